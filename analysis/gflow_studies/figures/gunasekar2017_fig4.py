"""Gunasekar et al. 2017, Figure 4: how far above the minimum the nuclear norm ends, over a grid of small problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

import gflow
from gflow.plots import INK, PALETTE
from gflow.studies.study import Claim, Columns, Panel, Table
from gflow.workers import mapped

TITLE = "Gunasekar et al. 2017, Figure 4: excess of the nuclear norm over a grid of small problems"
FORMULA = r"\|X\|_* / \min \|X\|_* - 1"
SETTING = (
    "The publication's grid is not known here; this one was chosen: orders 3, 4, 5; planted X* = V V^T of rank 1 and 2 "
    "with Gaussian V; m = 1/4, 1/2 and 3/4 of the n (n + 1) / 2 unknowns; symmetric Gaussian measurements, and "
    "observed pairs of entries (i, j), (j, i); three seeds each. X = U U^T at full width follows the gradient flow "
    "from Gaussian U_0 of norm 1, 1e-3 and 1e-5 (in the square root of the unit) to its end; the exact limit "
    "alpha -> 0 is that of the saddle-to-saddle traversal. The excess is relative to the certified minimum over X >= 0."
    " Runs that did not converge, limits that diverge, depend on the start or are undecided, and problems whose minimum"
    " could not be certified to 1e-8, are counted and left out."
)
SIZES = {"large": 1.0, "middle": 1e-3, "small": 1e-5}
NAMES = (*SIZES, "limit")
LABELS = {"large": "$\\|U_0\\|_F = 1$", "middle": "$10^{-3}$", "small": "$10^{-5}$", "limit": "$\\alpha \\to 0$"}
FIT_TOL, NEAR = 1e-6, 0.01
BINS = np.concatenate([[-1e-3], np.geomspace(1e-3, 100.0, 26)])
PANELS = {
    "histograms": Panel(
        "Relative excess of the nuclear norm over the certified minimum, from starts of norm 1, 1e-3 and 1e-5 and in "
        "the exact limit; the first bin holds all excesses below 1e-3 and the last all above 60.",
        "Four histograms on a logarithmic axis; the mass moves to the first bin as the start shrinks.",
        figsize=(6.6, 4.4),
        grid=(2, 2),
    )
}


@dataclass(frozen=True, slots=True)
class Config:
    """The grid."""

    orders: tuple[int, ...] = (3, 4, 5)
    ranks: tuple[int, ...] = (1, 2)
    shares: tuple[float, ...] = (0.25, 0.5, 0.75)
    kinds: tuple[str, ...] = ("gaussian", "entries")
    repeats: int = 3
    seed: int = 0


QUICK = Config(orders=(3, 4), ranks=(1,), shares=(0.5, 0.75), repeats=2)


@dataclass(frozen=True, slots=True, eq=False)
class GridCase:
    """One problem: its place in the grid, the certified minimum, and what the starts and the limit ended at.

    Excesses are relative, None where a run did not fit, there is no limit, or the minimum could not be certified;
    ``endings`` says why.
    """

    kind: str
    order: int
    rank: int
    n_observed: int
    minimum: float | None
    gap: float | None
    excesses: Mapping[str, float | None]
    endings: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """All cases of the grid."""

    config: Config
    cases: tuple[GridCase, ...]

    def excesses(self, name: str) -> np.ndarray:
        """Return the known excesses of one start, or of the limit."""
        return np.array([value for case in self.cases if (value := case.excesses[name]) is not None])


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the cases of the grid."""
    grid = list(product(config.kinds, config.orders, config.ranks, config.shares, range(config.repeats)))
    seeds = np.random.SeedSequence(config.seed).spawn(len(grid))
    tasks = [(*point[:4], seed) for point, seed in zip(grid, seeds, strict=True)]
    return Result(config, tuple(mapped(_case, tasks, jobs)))


def measured(kind: str, order: int, rank: int, share: float, rng: np.random.Generator) -> gflow.MatrixSensing:
    """Return a problem of the grid."""
    V = rng.standard_normal((order, rank))
    X = V @ V.T
    unknowns = order * (order + 1) // 2
    count = max(1, round(share * unknowns))
    if kind == "gaussian":
        A = rng.standard_normal((count, order, order))
    else:
        chosen = rng.permutation(unknowns)[:count]
        i, j = (index[chosen] for index in np.triu_indices(order))
        A = np.zeros((count, order, order))
        A[np.arange(count), i, j] = 1.0
    A = (A + A.mT) / 2
    return gflow.MatrixSensing(A, np.tensordot(A, X, 2))


def _case(kind: str, order: int, rank: int, share: float, seed: np.random.SeedSequence) -> GridCase:
    rng = np.random.default_rng(seed)
    problem = measured(kind, order, rank, share, rng)
    try:
        least = gflow.minimum_trace(problem)
    except gflow.InaccurateSolution:
        unknown = dict.fromkeys(NAMES), dict.fromkeys(NAMES, "minimum not certified")
        return GridCase(kind, order, rank, problem.n_observed, None, None, *unknown)
    model = gflow.SymmetricFactorization(order)
    objective, direction = gflow.Objective.of(problem, model), model.random(rng)
    direction *= np.sqrt(problem.unit) / np.linalg.norm(direction)
    excesses: dict[str, float | None] = {}
    endings: dict[str, str] = {}
    for name, size in SIZES.items():
        flow = gflow.gradient_flow(objective, size * direction, max_evaluations=30_000)
        X = model.output(flow.final)
        fits = bool(np.linalg.norm(problem.misfit(X)) <= FIT_TOL * np.linalg.norm(problem.targets))
        excesses[name] = float(np.trace(X)) / least.value - 1.0 if fits else None
        endings[name] = str(flow.status)
    limit = gflow.symmetric_traversal(problem, max_evaluations=30_000)
    norm = limit.nuclear_norm
    excesses["limit"] = norm / least.value - 1.0 if norm is not None and _fits(problem, limit) else None
    endings["limit"] = str(limit.status)
    return GridCase(kind, order, rank, problem.n_observed, least.value, least.gap, excesses, endings)


def _fits(problem: gflow.MatrixSensing, limit: gflow.SymmetricTraversal) -> bool:
    assert limit.matrix is not None
    return bool(np.linalg.norm(problem.misfit(limit.matrix)) <= FIT_TOL * np.linalg.norm(problem.targets))


def claims(result: Result) -> Sequence[Claim]:
    """Return how the excesses depend on the start, and what the exact limit says of the conjecture."""
    cases, found = result.cases, {name: result.excesses(name) for name in NAMES}
    medians = {name: float(np.median(values)) if len(values) else None for name, values in found.items()}
    lowest = min((float(values.min()) for values in found.values() if len(values)), default=None)
    near = float(np.mean(found["small"] <= NEAR)) if len(found["small"]) else None
    gaps = [case.gap for case in cases if case.gap is not None]
    counts = ", ".join(f"{name} {len(values)} of {len(cases)}" for name, values in found.items())
    left_out = f"{len(cases) - len(gaps)} of {len(cases)} problems are left out"
    text = "from norm 1e-5 at least half of the problems end within 1 % of the minimum"
    below = "nothing that fits lies below its certified minimum"
    certified = "every minimum that is compared with is certified"
    return [
        Claim.bounded("minima", certified, max(gaps, default=None), 0, 1e-8, reason=left_out),
        Claim.bounded("below", below, lowest, -1e-5, None, reason=counts),
        Claim.bounded("falls", "the median excess falls with the start: 1, 1e-3, 1e-5", _rise(medians), None, 1e-9),
        Claim.bounded("large", "from norm 1 the median excess exceeds 5 %", medians["large"], 0.05, None),
        Claim.bounded("peak", text, near, 0.5, 1),
        *_limit_claims(result),
    ]


def _rise(medians: Mapping[str, float | None]) -> float | None:
    """Return the larger change of the median as the start shrinks, which should be negative."""
    large, middle, small = (medians[name] for name in SIZES)
    return None if large is None or middle is None or small is None else max(small - middle, middle - large)


def _limit_claims(result: Result) -> list[Claim]:
    """Return that the small start is near the exact limit, and that the conjecture fails on the grid."""
    pairs = [(case.excesses["small"], case.excesses["limit"]) for case in result.cases]
    gaps = [abs(a - b) for a, b in pairs if a is not None and b is not None]
    limits = result.excesses("limit")
    above, largest = int(np.sum(limits > NEAR)), float(limits.max(initial=0.0))
    text = "the excess from norm 1e-5 is that of the exact limit, in the median to 0.02"
    refuted = "the conjecture fails on the grid: some exact limits are more than 1 % above the certified minimum"
    reason = f"{above} of {len(limits)} limits; the largest excess is {largest:.3g}"
    return [
        Claim.bounded("limit-near", text, float(np.median(gaps)) if gaps else None, 0, 0.02),
        Claim.bounded("refuted", refuted, above, 1, None, reason=reason),
    ]


def tables(result: Result) -> Sequence[Table]:
    """Return quantiles and endings for every start and for the limit."""
    rows = []
    for name in NAMES:
        values = result.excesses(name)
        endings = [case.endings[name] for case in result.cases]
        said = ", ".join(f"{endings.count(end)} {end}" for end in sorted(set(endings)))
        cuts = [float(cut) for cut in np.quantile(values, [0.25, 0.5, 0.75, 1.0])] if len(values) else [None] * 4
        rows.append([SIZES.get(name, 0.0), len(values), *cuts, float(np.mean(values <= NEAR)), said])
    head = ("norm of the start", "known", "quartile", "median", "upper quartile", "largest", "within 1 %", "endings")
    return [Table("excesses", f"Relative excesses over {len(result.cases)} problems; 0 is the limit.", head, rows)]


def data(result: Result) -> Mapping[str, Columns]:
    """Return place, minimum and excesses of every case; NaN where an excess is not known."""
    cases = result.cases
    columns = {
        name: np.array([np.nan if case.excesses[name] is None else case.excesses[name] for case in cases], dtype=float)
        for name in NAMES
    }
    places = {key: np.array([getattr(case, key) for case in cases]) for key in ("order", "rank", "n_observed")}
    gaussian = np.array([int(case.kind == "gaussian") for case in cases])
    return {"histograms": {"gaussian": gaussian} | places | columns}


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the histograms."""
    if "histograms" not in axes:
        return
    for k, (name, ax) in enumerate(zip(NAMES, np.ravel(axes["histograms"]), strict=True)):
        counts, _ = np.histogram(np.clip(result.excesses(name), 0.0, BINS[-1] * 0.999), BINS)
        left = np.concatenate([[BINS[1] ** 2 / BINS[2]], BINS[1:-1]])
        ax.bar(left, counts, width=BINS[1:] - left, align="edge", color=PALETTE[k], edgecolor="none")
        ax.set_xscale("log")
        ax.text(0.97, 0.93, LABELS[name], transform=ax.transAxes, ha="right", va="top", color=INK)
        ax.set(xlabel="relative excess", ylabel="problems")
