"""One flow from a small start beside the saddles that the limit of vanishing starts predicts for it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

import gflow
from gflow.statements.visits import Visit, visits
from gflow_studies.figures.variances import flow

MOST_POINTS = 1200
"""A journey keeps at most about this many states."""
RANK_TOL = 1e-2
"""Singular values of A, B and [A; B^T] above this times sqrt(max|M|), and of W above its square times max|M|, count."""


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """A saddle (at last the end) and the state that rests near it: that of least gradient at about its loss.

    Attributes
    ----------
    visit : Visit
        The saddle in the limit of vanishing starts.
    matrix : (d1, d2) array
        Its W, with 0 between components.
    time, loss, gradient_norm : float
        Of the state.
    learned : (d1, d2) array
        W at the state.
    distance : float
        |W - matrix| within the components, relative to max|M|.
    ranks : tuple of int
        Numerical ranks of W, A, B and [A; B^T].
    outside : float
        Distance of theta to the nearest Omega_k, relative to sqrt(max|M|).
    predicted : float
        How near a start of this scale comes, without prefactors: alpha^(lambda mu L / (lambda + mu)), where
        L log(1/alpha) is the stay, lambda the rate of the next escape and mu the slowest rate of the approach inside:
        after a time s the approach leaves exp(-mu s), and what escapes has grown to alpha^(lambda L) exp(lambda s).
        1 if mu is not known, alpha at the end.
    idle : float
        Largest entry of the rows of A and columns of B whose component has rank 0 at the saddle, relative to
        sqrt(max|M|); 0 if there are none.
    fit : (d1, d2) array
        The best approximation of the observed entries of rank at most k that many starts found.
    fit_loss : float
    """

    visit: Visit
    matrix: np.ndarray
    time: float
    loss: float
    gradient_norm: float
    learned: np.ndarray
    distance: float
    ranks: tuple[int, int, int, int]
    outside: float
    predicted: float
    idle: float
    fit: np.ndarray
    fit_loss: float

    @property
    def fit_distance(self) -> float:
        """Return |W - fit|_F."""
        return float(np.linalg.norm(self.learned - self.fit))

    @property
    def disagreeing(self) -> int:
        """Return how many of the four ranks differ from k."""
        return sum(rank != min(self.visit.rank, *self.matrix.shape) for rank in self.ranks)

    def __repr__(self) -> str:
        return f"Passage(rank {self.visit.rank}, loss={self.loss:.8g}, t={self.time:.4g}, ranks {list(self.ranks)})"


@dataclass(frozen=True, slots=True, eq=False)
class Journey:
    """A flow, thinned for drawing, with its singular values and passages.

    Attributes
    ----------
    limit : gflow.Traversal
    status, message : str
        How the flow ended.
    times, losses, gradient_norms : (T,) arrays
    values : dict of (T, k) arrays
        Singular values of "W", "A", "B" and "stacked", [A; B^T].
    passages : tuple of Passage
    missing : int
        Saddles of the limit at whose loss the flow has no state.
    """

    limit: gflow.Traversal
    status: str
    message: str
    times: np.ndarray
    losses: np.ndarray
    gradient_norms: np.ndarray
    values: dict[str, np.ndarray]
    passages: tuple[Passage, ...]
    missing: int

    def __repr__(self) -> str:
        return f"Journey({self.status}, {len(self.passages)} passages, {self.missing} missing)"


def journey(
    problem: gflow.MatrixCompletion, limit: gflow.Traversal, start: np.ndarray, scale: float, rtol: float, starts: int
) -> Journey:
    """Return the flow from ``start``, whose entries are of size ``scale``, beside the saddles of its limit.

    ``starts`` is the number of starts of each search for a best approximation.
    """
    model, path = gflow.Factorization(problem.shape), flow(problem, start, scale, rtol)
    met = visits(limit)
    steps = [_rest(path, loss, above, below) for loss, above, below in _bands([visit.loss for visit in met])]
    levels = [nearness(*pair, scale) for pair in pairwise(met)]
    passages = [
        _passage(problem, model, path, visit, level, step, starts)
        for visit, level, step in zip(met, [*levels, scale], steps, strict=True)
        if step >= 0
    ]
    kept = {*np.linspace(0, len(path.times) - 1, min(len(path.times), MOST_POINTS)).astype(int), *steps} - {-1}
    shown = np.array(sorted(kept))
    values = {"W": gflow.singular_values(model, path)[shown]}
    values |= {key: gflow.factor_singular_values(model, path, key)[shown] for key in ("A", "B", "stacked")}
    return Journey(
        limit,
        str(path.status),
        path.message,
        path.times[shown],
        path.losses[shown],
        path.gradient_norms[shown],
        values,
        tuple(passages),
        sum(step < 0 for step in steps),
    )


def nearness(visit: Visit, following: Visit, scale: float) -> float:
    """Return how near the flow from a start of this scale should come to a saddle: see ``Passage.predicted``."""
    stay = following.arrival - visit.arrival
    leaving = next(a for a, b in zip(visit.saddles, following.saddles, strict=True) if a.rank != b.rank)
    approach = [saddle.mu for saddle in visit.saddles if saddle.rank]
    if any(mu is None for mu in approach):
        return 1.0
    slowness = max((leaving.escape_rate / mu for mu in approach if mu), default=0.0)
    return float(scale ** (leaving.escape_rate * stay / (1 + slowness)))


def _bands(losses: list[float]) -> list[tuple[float, float, float]]:
    """Return every saddle's loss with the bounds halfway to its neighbours."""
    halves = [(high + low) / 2 for high, low in pairwise(losses)]
    return list(zip(losses, [np.inf, *halves], [*halves, -np.inf], strict=True))


def _rest(path: gflow.Trajectory, loss: float, above: float, below: float) -> int:
    """Return the state of least gradient with a loss in the band, -1 if there is none."""
    inside = (path.losses < above) & (path.losses >= below)
    return int(np.argmin(np.where(inside, path.gradient_norms, np.inf))) if inside.any() else -1


def _passage(
    problem: gflow.MatrixCompletion,
    model: gflow.Factorization,
    path: gflow.Trajectory,
    visit: Visit,
    predicted: float,
    step: int,
    starts: int,
) -> Passage:
    theta, size = path.states[step], problem.size or 1.0
    root = float(np.sqrt(size))
    matrix, inside = np.zeros(problem.shape), np.zeros(problem.shape, dtype=bool)
    for saddle in visit.saddles:
        block = np.ix_(saddle.rows, saddle.columns)
        matrix[block], inside[block] = saddle.matrix, True
    idle = [saddle for saddle in visit.saddles if saddle.rank == 0]
    W, (A, B) = model.output(theta), model.factors(theta)
    factors = [(W, RANK_TOL**2 * size), (A, RANK_TOL * root), (B, RANK_TOL * root)]
    counted = [*factors, (model.stacked(theta), RANK_TOL * root)]
    ranks = [int(np.sum(np.linalg.svd(factor, compute_uv=False) > tol)) for factor, tol in counted]
    k = min(visit.rank, *problem.shape)
    best = gflow.rank_fit(problem, k, starts=starts).matrix if k else np.zeros(problem.shape)
    return Passage(
        visit,
        matrix,
        float(path.times[step]),
        float(path.losses[step]),
        float(path.gradient_norms[step]),
        W,
        float(np.abs((W - matrix) * inside).max()) / size,
        (ranks[0], ranks[1], ranks[2], ranks[3]),
        float(gflow.omega_distance(model, theta, k)) / root,
        predicted,
        max((float(max(np.abs(A[list(s.rows)]).max(), np.abs(B[:, list(s.columns)]).max())) for s in idle), default=0.0)
        / root,
        best,
        problem.risk(best),
    )
