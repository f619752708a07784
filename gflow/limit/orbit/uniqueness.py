"""Whether a completion, or a critical point, is the only one of its rank nearby."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gflow.limit.orbit.polish import smallest_off_gauge
from gflow.limit.orbit.sizes import is_isolating, is_large
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.objective.fused import FusedEntries, is_fused
from gflow.policy import EPS
from gflow.problems import EntryProblem, MatrixCompletion, without_weights

SILENT = 1e-10
"""A direction leaves the observed entries alone if they change by less than this fraction of the largest change."""
SHORTEST = 1e-4
"""Rows of factors are measured in units no shorter than this fraction of the longest one."""
TRUSTED = 0.1
"""The linearised completion is trusted as long as it moves no entry by more than this fraction of its size."""
SQUARED_TOL = 1e-4
"""Ratios of singular values below this cannot be told from zero by their squares."""
MOST_FREE = 10_000_000
"""Free directions with more entries than this are never formed."""
BLOCK = 2**21
"""Numbers held while it is told how entries answer."""
LARGE_SYSTEM = 4_000_000
"""Jacobians with more entries than this are never formed."""


def locally_unique(problem: EntryProblem, A: np.ndarray, B: np.ndarray, *, rank_tol: float = 1e-8) -> bool | None:
    """Return whether A B is the only completion of its rank nearby: the rank of (a, b) -> P o (a b) at (A, B).

    True if the Jacobian's singular value number k (d1 + d2 - k) exceeds ``rank_tol`` times the first, False if it is
    below a thousandth of that or there are too few observations, None in between. Jacobians of more than 4e6 entries,
    and those of large problems, are judged by their squares: True above 1e-4, else None. Rows of A and columns of B are
    brought to one length before, as far as they are not noise: rescaled rows and columns have the same rank.
    """
    problem, k = without_weights(problem), A.shape[1]
    wanted = k * (sum(problem.shape) - k)
    if wanted == 0:
        return True
    if not is_isolating(problem, k):
        return False
    model = Factorization(problem.shape, k)
    theta = model.theta(A / _lengths(A)[:, None], B / _lengths(B.T))
    if model.dim * problem.n_observed > LARGE_SYSTEM or is_large(problem):
        return True if _ratio_of_squares(problem, model, theta) > max(SQUARED_TOL, rank_tol) else None
    sizes = np.linalg.svd(problem.measure(model.jacobian(theta)), compute_uv=False)
    ratio = float(sizes[wanted - 1] / sizes[0]) if sizes[0] > 0.0 else 0.0
    return None if 1e-3 * rank_tol <= ratio <= rank_tol else ratio > rank_tol


FITTED = 1e-3
"""Share of the residual of a best fit that a Newton step may still seem to remove."""
MET = 4.0
"""Rounding errors of an observed product, in units of that of its terms, at which an entry counts as met."""


def completion_error(problem: EntryProblem, A: np.ndarray, B: np.ndarray) -> float:
    """Return the largest error of an entry of A B, a completion that is locally unique.

    What is left of the residual, and the rounding of the observed products, are carried to the other entries by the
    linearised completion, with rows of A and columns of B of length 1. Infinite where that moves an entry by more than
    ``TRUSTED`` of its size: observations too small to be seen beside the largest ones decide such an entry.
    """
    if A.shape[1] == 0:
        return 0.0
    problem = without_weights(problem)
    J, solved, scale = _answers(problem, A, B)
    left = np.abs(problem.residual(A @ B)) + EPS * (np.abs(A) @ np.abs(B))
    share = problem.measure(left) / problem.measure(scale)
    block = max(1, BLOCK // max(1, len(share)))
    carried = np.concatenate([np.abs(J[i : i + block] @ solved) @ share for i in range(0, len(J), block)])
    if not float(carried.max()) <= TRUSTED:
        return float(np.inf)
    return float((carried.reshape(problem.shape) * scale).max())


def _answers(problem: MatrixCompletion, A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two factors of how all entries of A B, flat, answer to observed ones, with rows of A and columns of B of
    length 1, and the products of their lengths, (d1, d2), in which entries are then measured.
    """
    rows, columns = _lengths(A), _lengths(B.T)
    model = Factorization(problem.shape, A.shape[1])
    J = model.jacobian(model.theta(A / rows[:, None], B / columns))
    solved = np.linalg.pinv(problem.measure(J), rcond=EPS * model.dim)
    return J.reshape(-1, model.dim), solved, np.outer(rows, columns)


def enlargements(problem: EntryProblem, A: np.ndarray, B: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return how far a b^T beside a locally unique completion A B moves it, for columns (a, b); (m,), at least 1.

    The factors make up for it in the observed entries; where these hardly determine A B, the others move far.
    """
    found = np.ones(columns.shape[1])
    if A.shape[1] == 0 or not columns.size or locally_unique(problem, A, B) is not True:
        return found
    problem = without_weights(problem)
    J, solved, scale = _answers(problem, A, B)
    for i, z in enumerate(columns.T):
        added = np.outer(z[: len(A)], z[len(A) :])
        moved = added - scale * (J @ (solved @ problem.measure(added / scale))).reshape(problem.shape)
        found[i] = max(1.0, float(np.abs(moved).max()))
    return found


def completed(problem: EntryProblem, A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors of a completion whose observed entries are met to rounding: one more Newton step to them."""
    problem = without_weights(problem)
    left = problem.measure(problem.residual(A @ B))
    if (np.abs(left) <= MET * EPS * problem.measure(np.abs(A) @ np.abs(B))).all():
        return A, B
    model = Factorization(problem.shape, A.shape[1])
    theta = model.theta(A, B)
    step = np.linalg.lstsq(problem.measure(model.jacobian(theta)), -left, rcond=EPS * model.dim)[0]
    near, next_to = model.factors(theta + step)
    nearer = float(np.abs(problem.measure(problem.residual(near @ next_to))).max()) < float(np.abs(left).max())
    return (near, next_to) if nearer else (A, B)


def is_fitted(problem: EntryProblem, A: np.ndarray, B: np.ndarray) -> bool:
    """Return whether no small change of the factors meets the data better: what is left of them is their own."""
    problem, model = without_weights(problem), Factorization(problem.shape, A.shape[1])
    left, J = problem.measure(problem.residual(A @ B)), problem.measure(model.jacobian(model.theta(A, B)))
    better = J @ np.linalg.lstsq(J, -left, rcond=EPS * model.dim)[0]
    return float(np.linalg.norm(better)) <= FITTED * float(np.linalg.norm(left))


def _lengths(A: np.ndarray) -> np.ndarray:
    """Return the lengths of the rows of A, those below ``SHORTEST`` of the longest one, which may be noise, as that."""
    lengths = np.linalg.norm(A, axis=1)
    return np.maximum(lengths, max(SHORTEST * float(lengths.max()), 1e-300))


def flat_directions(problem: EntryProblem, model: Factorization, theta: np.ndarray, modes: np.ndarray) -> bool:
    """Return whether all ``modes`` (in columns) leave the observed entries alone: with zero curvature, a valley.

    Modes that are only slow, or whose curvature vanishes by cancellation, do not.
    """
    J = without_weights(problem).measure(model.jacobian(theta))
    return float(np.linalg.norm(J @ modes, 2)) <= SILENT * float(np.linalg.norm(J, 2))


def short_directions(problem: EntryProblem, model: Factorization, theta: np.ndarray) -> np.ndarray | None:
    """Return the directions, in columns, that rows and columns with fewer observations than the rank leave free.

    Such a row of A moves freely where it meets none of the observed columns of B, and keeps its entries: at a critical
    point with independent columns there its residual vanishes. None if they were more than 1e7 numbers.
    """
    A, B = model.factors(theta)
    (d1, d2), k, found = problem.shape, model.rank, []
    sides = ((problem.rows, problem.columns, d1, B.T, 0), (problem.columns, problem.rows, d2, A, d1 * k))
    for own, other, length, factor, first in sides:
        counts = np.bincount(own, minlength=length)
        short = counts < k
        inside = short[own]
        order = np.argsort(own[inside], kind="stable")
        met = np.split(other[inside][order], np.cumsum(counts[short])[:-1])
        for index, at in zip(np.flatnonzero(short), met, strict=False):
            null = np.linalg.svd(factor[at])[2][len(at) :]
            places = first + (index * k + np.arange(k) if first == 0 else index + d2 * np.arange(k))
            found += [(places, vector) for vector in null]
    if len(found) * model.dim > MOST_FREE:
        return None
    directions = np.zeros((model.dim, len(found)))
    for number, (places, vector) in enumerate(found):
        directions[places, number] = vector
    return directions


def _ratio_of_squares(problem: EntryProblem, model: Factorization, theta: np.ndarray) -> float:
    """Return the same ratio from the smallest eigenvalue of J^T J off the gauge directions; 0.0 if it is not found."""

    A, B = model.factors(theta)

    def normal(v: np.ndarray) -> np.ndarray:
        dA, dB = model.factors(v)
        change = problem.scattered(problem.observed_product(np.hstack([dA, A]), np.vstack([B, dB])))
        return model.theta(change @ B.T, (change.T @ A).T)

    product: Callable[[np.ndarray], np.ndarray] = normal
    if type(problem) is MatrixCompletion and is_fused(problem):
        product = FusedEntries(problem, model).normal(theta)
    found = smallest_off_gauge(product, Objective.of(problem, model), model, theta)
    return float(np.sqrt(max(found.value or 0.0, 0.0) / found.largest))
