"""Descent on X = U U^T for every factor width, from small and from large starts: what two figures show.

Runs with a fixed step on the same measurements are one descent on the sum of their losses: the iterates are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

import gflow
from gflow.workers import mapped
from gflow_studies.figures.together import Together

CASES = {
    "a": "rank 2, m = 3 n r",
    "b": "spectrum (k - c)^-1.5, m = 3 n r",
    "c": "rank 2, m = n r / 4",
    "uniform": "rank 2, m = 3 n r entries, uniform",
    "power": "rank 2, m = 3 n r entries, power law",
}
SMALL, LARGE = 1e-4, 1.0
EXACT = "exact"
CURVES: dict[str, tuple[float, float | str]] = {
    "small": (SMALL, 1e-3),
    "small-exact": (SMALL, EXACT),
    "large": (LARGE, 1e-3),
    "large-exact": (LARGE, EXACT),
}
"""Norm of the start and step of every curve."""
LOSS_TOL = 1e-12
"""A run has converged when the sum of squares is at most this; |y| is about 1."""
FIT_TOL = 1e-2
"""A run fits when |A(X) - y| is at most this fraction of |y|."""


@dataclass(frozen=True, slots=True)
class Widths:
    """Cases and curves, sizes, widths of the factor, and budgets of steps: of every case, and of the line search."""

    cases: tuple[str, ...] = ("a", "b", "c")
    curves: tuple[str, ...] = (*CURVES, "svd")
    order: int = 50
    rank: int = 2
    widths: tuple[int, ...] = (2, 5, 10, 20, 30, 40, 50)
    starts: int = 3
    steps: tuple[int, ...] = (10_000, 40_000, 20_000)
    searches: int = 600
    seed: int = 0


SMALL_WIDTHS = Widths(order=20, widths=(2, 6, 20), starts=2, steps=(3000, 16_000, 12_000), searches=150)


@dataclass(frozen=True, slots=True, eq=False)
class WidthCase:
    """One problem with its reference solutions and the runs on it.

    Attributes
    ----------
    problem : MatrixSensing
        With the plain sum of squares.
    planted : (n, n) array
        The matrix measured, of Frobenius norm 1.
    minimum : Completion
        The X >= 0 of certified least trace.
    projected : (n, n) array
        X_gd, the end of projected gradient descent from 0.
    projected_status : str
    errors, norms, misfits : mapping of curve to (widths, starts) array
        |X - planted|_F, trace X and |A(X) - y| / |y| at the end; the curve 'svd', which starts at the factor of X_gd
        of each width, has one start.
    measured : mapping of curve to (widths, starts, m) array
        A(X) at the end.
    ends : mapping of curve to tuple of str
        How the descents ended.
    """

    problem: gflow.MatrixSensing
    planted: np.ndarray
    minimum: gflow.Completion
    projected: np.ndarray
    projected_status: str
    errors: Mapping[str, np.ndarray]
    norms: Mapping[str, np.ndarray]
    misfits: Mapping[str, np.ndarray]
    measured: Mapping[str, np.ndarray]
    ends: Mapping[str, tuple[str, ...]]

    @property
    def projected_error(self) -> float:
        """Return |X_gd - planted|_F."""
        return float(np.linalg.norm(self.projected - self.planted))


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The cases by name."""

    config: Widths
    cases: Mapping[str, WidthCase]


def shared_run(config: Widths, jobs: int = 1) -> Result:
    """Return what `runs` does, and holds between studies, for any number of processes."""
    return runs(config, jobs)


@lru_cache(maxsize=2)
def runs(config: Widths, jobs: int) -> Result:
    """Return all runs of a configuration; two studies share them."""
    children = np.random.SeedSequence(config.seed).spawn(len(CASES))
    seeds = dict(zip(CASES, children, strict=True))
    # the longest runs come first
    order = sorted(config.cases, key=lambda case: -config.steps[config.cases.index(case)])
    names = [(case, curve) for case in order for curve in (*config.curves, "references")]
    found = mapped(_part, [(config, case, curve, seeds[case]) for case, curve in names], jobs)
    parts = dict(zip(names, found, strict=True))
    return Result(config, {case: _assembled(config, case, seeds[case], parts) for case in config.cases})


def _assembled(config: Widths, case: str, seed: np.random.SeedSequence, parts: Mapping[Any, Any]) -> WidthCase:
    problem, X = planted(config, case, seed)
    minimum, projected, status = parts[case, "references"]
    curves = {curve: parts[case, curve] for curve in config.curves}
    columns = ({curve: part[i] for curve, part in curves.items()} for i in range(5))
    return WidthCase(problem, X, minimum, projected, status, *columns)


def planted(config: Widths, case: str, seed: np.random.SeedSequence) -> tuple[gflow.MatrixSensing, np.ndarray]:
    """Return the problem of a case and the matrix that is measured."""
    n, r = config.order, config.rank
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    sizes = spectrum(n, r) if case == "b" else np.repeat([1.0, 0.0], [r, n - r])
    X = (Q * (sizes / np.linalg.norm(sizes))) @ Q.T
    count = max(n * r // 4, 1) if case == "c" else 3 * n * r
    if case in ("uniform", "power"):
        return _entries(X, count, case, rng), X
    A = rng.standard_normal((count, n, n)) / np.sqrt(n)
    A = (A + A.mT) / 2
    return gflow.MatrixSensing(A, np.tensordot(A, X, 2), normalization="sum"), X


def _entries(X: np.ndarray, count: int, law: str, rng: np.random.Generator) -> gflow.MatrixSensing:
    """Return the problem of ``count`` pairs of entries (i, j), (j, i), in A_i as large as Gaussian ones."""
    n = len(X)
    chances = np.ones(n) if law == "uniform" else np.arange(1.0, n + 1) ** -1.0
    i, j = np.triu_indices(n)
    weights = (chances[:, None] * chances)[i, j] * np.where(i == j, 1.0, 2.0)
    chosen = rng.choice(len(i), size=count, replace=False, p=weights / weights.sum())
    A = np.zeros((count, n, n))
    A[np.arange(count), i[chosen], j[chosen]] = 1.0
    A = (A + A.mT) * np.sqrt(n / 2) / np.linalg.norm(A + A.mT, axis=(1, 2), keepdims=True)
    return gflow.MatrixSensing(A, np.tensordot(A, X, 2), normalization="sum")


def spectrum(n: int, r: int) -> np.ndarray:
    """Return (k - c)^-1.5 for k = 1 ... n with the c < 1 for which the sum is sqrt(r) times the norm."""
    from scipy.optimize import brentq

    def excess(c: float) -> float:
        sizes = (np.arange(1, n + 1) - c) ** -1.5
        return float(sizes.sum() / np.linalg.norm(sizes) - np.sqrt(r))

    return (np.arange(1, n + 1) - brentq(excess, -n, 1 - 1e-9)) ** -1.5


Starts = Sequence[Sequence[np.ndarray]]
"""For every width its starts."""


def _part(config: Widths, case: str, curve: str, seed: np.random.SeedSequence) -> Any:
    """Return errors, norms, misfits, A(X) and endings of one curve, or the reference solutions of one case."""
    problem, X = planted(config, case, seed)
    models = [gflow.SymmetricFactorization(config.order, width) for width in config.widths]
    if curve in ("references", "svd"):
        flow = gflow.projected_gradient(problem, loss_tol=LOSS_TOL, max_states=2, max_evaluations=5000)
        projected = flow.final.reshape(X.shape)
        if curve == "references":
            return gflow.minimum_trace(problem, gap_tol=1e-6), projected, str(flow.status)
        starts: Starts = [[gflow.svd_initialization(projected, model.rank)] for model in models]
        size, step = CURVES["large-exact"]
    else:
        # the same directions for every curve
        rng = np.random.default_rng([*seed.spawn_key, config.seed, config.order])
        size, step = CURVES[curve]
        starts = [[_direction(model, rng) for _ in range(config.starts)] for model in models]
    starts = [[size * start for start in row] for row in starts]
    descend = _searched if step == EXACT else partial(_stepped, step=float(step))
    budget = config.searches if step == EXACT else config.steps[config.cases.index(case)]
    ends, statuses = descend(problem, models, starts, budget)
    X_ends = [[model.output(theta) for theta in row] for model, row in zip(models, ends, strict=True)]
    stack, size_y = np.array(X_ends), float(np.linalg.norm(problem.targets))
    errors, norms = np.linalg.norm(stack - X, axis=(-2, -1)), np.trace(stack, axis1=-2, axis2=-1)
    missing = problem.misfit(stack)
    return errors, norms, np.linalg.norm(missing, axis=-1) / size_y, missing + problem.targets, statuses


def _direction(model: gflow.SymmetricFactorization, rng: np.random.Generator) -> np.ndarray:
    theta = model.random(rng)
    return theta / np.linalg.norm(theta)


def _searched(
    problem: gflow.MatrixSensing, models: Sequence[gflow.SymmetricFactorization], starts: Starts, budget: int
) -> tuple[list[list[np.ndarray]], tuple[str, ...]]:
    """Return the ends of descents with exact line search and how each ended; at most ``budget`` steps each."""
    limits: dict[str, Any] = {"loss_tol": LOSS_TOL, "max_states": 2, "max_evaluations": 2 * budget}
    ends, statuses = [], []
    for model, row in zip(models, starts, strict=True):
        objective = gflow.Objective.of(problem, model)
        flows = [gflow.gradient_descent(objective, start, **limits) for start in row]
        ends.append([flow.final for flow in flows])
        statuses += [str(flow.status) for flow in flows]
    return ends, tuple(statuses)


def _stepped(
    problem: gflow.MatrixSensing,
    models: Sequence[gflow.SymmetricFactorization],
    starts: Starts,
    budget: int,
    *,
    step: float,
) -> tuple[list[list[np.ndarray]], tuple[str, ...]]:
    """Return the ends of descents with a fixed step, all at once, and how they ended."""
    members = [model for model, row in zip(models, starts, strict=True) for _ in row]
    together = Together(problem, members)
    limits: dict[str, Any] = {"loss_tol": LOSS_TOL, "gradient_tol": 1e-30, "max_states": 2, "max_evaluations": budget}
    flow = gflow.gradient_descent(
        together.objective(), np.concatenate([start for row in starts for start in row]), step=step, **limits
    )
    parts = iter(np.split(flow.final, together.cuts))
    return [[next(parts) for _ in row] for row in starts], (str(flow.status),) * len(members)
