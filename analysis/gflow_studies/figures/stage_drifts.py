"""Random connected problems whose limit alpha -> 0 leaves the premise of Theorem 3, and where their stages lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

import gflow
from gflow.statements import Evidence, thm3_premise
from gflow.statements.claims import Claim

FIT_TOL = 1e-6
"""A fit is better when it lowers the loss of the saddle by more than this fraction."""
FITS = 10
"""Starts of a fit in the search; the verdict on a case that is found takes more."""
FROM, PER_DECADE = 1e2, 6
"""Drifts are followed from this time on, in the problem's own unit, with so many states per decade."""
TRUSTED = 1e-4
"""Two integrations of a drift agree when |W| differs by at most this fraction."""
FLAT = 0.1
"""A drift whose |W| grows more slowly than this power of time, and ever more slowly, comes to rest."""


class Fate(StrEnum):
    """Where a slow stage leads."""

    INFINITY = "infinity"
    REST = "a critical point far away"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """A stage followed for a long time, in the units of the matrix.

    Attributes
    ----------
    times, sizes, norms, losses : (T,) arrays
        ``sizes`` is max|W|, ``norms`` is |theta|.
    status : str
        How the integration ended.
    growth, norm_growth : float
        Powers of time in which max|W| and |theta| grow over the last decade.
    bending : float
        Change of ``growth`` from the decade before.
    floor : float
        What the loss tends to, if it falls as t^(-1/2) from the end on.
    agreement : float or None
        Largest relative difference of max|W| from an integration by another method; None where that failed.
    """

    times: np.ndarray
    sizes: np.ndarray
    norms: np.ndarray
    losses: np.ndarray
    status: str
    growth: float
    norm_growth: float
    bending: float
    floor: float
    agreement: float | None

    @property
    def fate(self) -> Fate:
        """Return where it leads: told by whether it comes to rest, whatever the power of its growth."""
        resting = self.growth < FLAT and self.bending < 0
        if self.status == gflow.Status.CONVERGED or resting:
            return Fate.REST
        return Fate.INFINITY if self.status == gflow.Status.HORIZON and self.bending > -FLAT else Fate.UNDECIDED

    def __repr__(self) -> str:
        return f"Drift({self.fate}, |W| ~ t^{self.growth:.4g} to {self.sizes[-1]:.4g}, loss -> {self.floor:.4g})"


@dataclass(frozen=True, slots=True, eq=False)
class DriftCase:
    """One problem: its name, the verdict on its premise, its saddles, their best fits, and its drift if it has one.

    ``saddles`` holds (component, rank, loss, escape rate) for each; ``fits`` (rank, loss reached, loss of best fit).
    """

    name: str
    problem: gflow.MatrixCompletion
    status: str
    learned_rank: int | None
    least_rank: tuple[int, int]
    premise: Claim
    saddles: Sequence[tuple[int, int, float, float]]
    fits: Sequence[tuple[int, float, float]]
    drift: Drift | None

    @property
    def beaten(self) -> bool:
        """Return whether a fit is better than what the limit visits, or tends to, at some rank."""
        return any(loss - best > FIT_TOL * loss for _, loss, best in self.fits)

    @property
    def reason(self) -> str:
        """Return the first words of the premise's reason: which kind of violation it is."""
        return self.premise.reason.split(":")[0]


def random_problem(seed: int, number: int, size: int, ranks: Sequence[int]) -> gflow.MatrixCompletion:
    """Return Gaussian data of low rank on a random connected mask that meets every row and column."""
    return random_case(seed, number, size, ranks)[1]


def random_case(seed: int, number: int, size: int, ranks: Sequence[int]) -> tuple[str, gflow.MatrixCompletion]:
    """Return the name of such a problem, by its rank, its entries and its number, and the problem.

    It depends on the arguments alone: problem ``number`` of the search that ``seed`` begins.
    """
    rng = np.random.default_rng([seed, number])
    while True:
        rank, count = int(rng.choice(ranks)), int(rng.integers(size + 1, size * size))
        W = rng.standard_normal((size, rank)) @ rng.standard_normal((rank, size))
        mask = np.zeros((size, size), dtype=bool)
        mask.flat[rng.permutation(size * size)[:count]] = True
        if mask.any(axis=0).all() and mask.any(axis=1).all():
            problem = gflow.MatrixCompletion(W, mask)
            if gflow.connectivity(problem).kind is gflow.Kind.CONNECTED:
                return f"rank {rank}, {count} of {size * size} ({number})", problem


def violation(problem: gflow.MatrixCompletion) -> str:
    """Return a word for what a quick look at the limit shows: '', a stage 'diverging', 'better fit', or a status."""
    limit = gflow.saddle_to_saddle(problem)
    if any(chain.infinite is not None for chain in limit.chains):
        return "diverging"
    if limit.status is not gflow.TraversalStatus.CONVERGED:
        return str(limit.status)
    for saddle in limit.chains[0].saddles[1:-1]:
        fit = gflow.rank_fit(problem, saddle.rank, starts=FITS)
        if saddle.loss - fit.loss > FIT_TOL * saddle.loss:
            return "better fit"
    return ""


def case(name: str, problem: gflow.MatrixCompletion, horizon: float) -> DriftCase:
    """Return the case with its verdict, and its drift to ``horizon`` where a stage runs away."""
    given = Evidence.of(problem, max_evaluations=500)
    limit = given.traversal
    fits = [(visit.rank, visit.loss) for visit in given.visits if visit.rank and visit.loss > 0]
    found, stage = None, next((c for c in limit.chains if c.infinite is not None), None)
    if stage is not None and stage.infinite is not None:
        found = drift(problem, stage, horizon)
        fits.append((stage.saddles[stage.infinite].rank + 1, float(found.losses[-1])))
    bracket = given.bracket
    return DriftCase(
        name=name,
        problem=problem,
        status=str(limit.status),
        learned_rank=limit.rank,
        least_rank=(0, min(problem.shape)) if bracket is None else (bracket.lower, bracket.upper),
        premise=thm3_premise.claim(given),
        saddles=[(s.component, s.rank, s.loss, s.escape_rate) for s in limit.saddles],
        fits=[(rank, loss, gflow.rank_fit(problem, rank, starts=FITS).loss) for rank, loss in fits],
        drift=found,
    )


def drift(problem: gflow.MatrixCompletion, chain: gflow.Chain, horizon: float) -> Drift:
    """Return the stage of a chain that runs to infinity, followed to ``horizon``, a time in the units of the component.

    LSODA follows it from the orbit's state at time 100 on; BDF checks it over the first half of its decades.
    """
    assert chain.infinite is not None
    part = problem.restricted(chain.rows, chain.columns)
    model = gflow.Factorization(part.shape, chain.saddles[chain.infinite].rank + 1)
    loss = gflow.Objective.of(part.normalized, model)
    path = chain.orbits[chain.infinite]
    start = path.states[min(int(np.searchsorted(path.times, FROM)), len(path.times) - 1)]
    decades = float(np.log10(horizon))
    times = np.logspace(0.0, decades, int(PER_DECADE * decades) + 1)
    options: dict[str, Any] = {"rtol": 1e-7, "norm_limit": 1e8, "max_evaluations": 100_000}
    rest = gflow.gradient_flow(loss, start, method="LSODA", t_eval=times, **options)
    sizes = np.abs(model.output(rest.states)).max(axis=(1, 2))
    norms, share = np.linalg.norm(rest.states, axis=1), part.n_observed / problem.n_observed
    growth, before = (_power(rest.times, sizes, rest.times[-1] / 10.0**k) for k in (0, 1))
    return Drift(
        times=rest.times / part.unit / share,
        sizes=sizes * part.unit,
        norms=norms * np.sqrt(part.unit),
        losses=rest.losses * part.unit**2 * share,
        status=str(rest.status),
        growth=growth,
        norm_growth=_power(rest.times, norms, rest.times[-1]),
        bending=growth - before,
        floor=_floor(rest.times, rest.losses) * part.unit**2 * share,
        agreement=_agreement(loss, model, start, rest.times, sizes, options),
    )


def _power(times: np.ndarray, values: np.ndarray, end: float) -> float:
    """Return the power of time in which the values grow over the decade before ``end``."""
    window = np.interp(np.log([end / 10.0, end]), np.log(times[1:]), np.log(values[1:]))
    return float((window[1] - window[0]) / np.log(10.0))


def _floor(times: np.ndarray, losses: np.ndarray) -> float:
    """Return what the losses of the last two decades tend to, as f + c t^(-1/2)."""
    late = times >= times[-1] / 100.0
    return float(np.polyfit(times[late] ** -0.5, losses[late], 1)[1])


def _agreement(
    loss: gflow.Objective,
    model: gflow.Factorization,
    start: np.ndarray,
    times: np.ndarray,
    sizes: np.ndarray,
    use: dict[str, Any],
) -> float | None:
    half = times[1 : len(times) // 2 + 1]
    try:
        check = gflow.gradient_flow(loss, start, method="BDF", t_eval=half, **use)
    except gflow.IntegrationFailed:
        return None
    reached = min(len(check.times), len(half) + 1)
    found = np.abs(model.output(check.states[1:reached])).max(axis=(1, 2))
    return float(np.max(np.abs(found / sizes[1:reached] - 1.0), initial=0.0))
