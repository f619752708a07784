"""What the residual at a point says: the loss, the leading singular values, and the pair of the escape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gflow.limit.orbit.krylov import leading_triples
from gflow.limit.orbit.sizes import is_large
from gflow.policy import EPS, ZERO_LOSS
from gflow.problems import EntryProblem, MatrixCompletion, WeightedCompletion, without_weights

LEADING, MOST_TRIPLE_STEPS = 16, 500
"""Singular values found for large components, and the steps allowed for them."""
POLISHED, SOLVED = 256.0, 1e5
"""Residuals of a completion below so many rounding units of |A| |B| are rounding: at ends of chains that are polished
with dense matrices, which leave a few, and at others, which leave some hundred."""


@dataclass(frozen=True, slots=True, eq=False)
class Modes:
    """The loss at a point, and the singular values of its residual with their first pair.

    ``sigma`` holds all of them, or the leading ones (``complete`` is False); ``exact`` says whether they converged, and
    ``met`` whether the data are met.
    """

    loss: float
    sigma: np.ndarray
    u: np.ndarray
    v: np.ndarray
    complete: bool
    exact: bool
    met: bool


def residual_modes(problem: EntryProblem, A: np.ndarray, B: np.ndarray) -> Modes:
    """Return the modes of P o (A B - M): all of them, or the leading ones of a large component."""
    if not is_large(problem):
        W = A @ B
        U, sigma, Vt = np.linalg.svd(problem.residual(W), full_matrices=False)
        loss = problem.risk(W)
        left = loss if isinstance(problem, MatrixCompletion) else without_weights(problem).risk(W)
        return Modes(loss, sigma, U[:, 0], Vt[0], True, True, left <= ZERO_LOSS)
    errors = errors_at(problem, A, B)
    loss = problem.weight * float(errors @ errors)
    met, count = loss <= ZERO_LOSS, min(LEADING, *problem.shape)
    # what is left where the data are met is rounding, of which no triple is looked for
    found = leading_triples(problem.scattered(errors), count, max_steps=count if met else MOST_TRIPLE_STEPS)
    complete = len(found.sigma) == min(problem.shape)
    u, v = found.U[:, 0].copy(), found.V[:, 0].copy()
    return Modes(loss, found.sigma, u, v, complete, found.converged or met, met)


def loss_at(problem: EntryProblem, A: np.ndarray, B: np.ndarray) -> float:
    """Return the loss of A B."""
    if not is_large(problem):
        return float(problem.risk(A @ B))
    errors = errors_at(problem, A, B)
    return problem.weight * float(errors @ errors)


def misfit(problem: EntryProblem, A: np.ndarray, B: np.ndarray) -> float:
    """Return the loss of A B without weights: whether data are met does not depend on how much they count."""
    return loss_at(without_weights(problem), A, B)


def left_over(problem: EntryProblem, A: np.ndarray, B: np.ndarray, units: float) -> float:
    """Return the largest residual where the data, of unit 1, are met; 0.0 where so many rounding units explain it."""
    largest = float(np.abs(errors_at(without_weights(problem), A, B)).max(initial=0.0))
    size = float(np.linalg.norm(A, axis=1).max(initial=0.0) * np.linalg.norm(B, axis=0).max(initial=0.0))
    return largest if largest > units * EPS * max(size, 1.0) else 0.0


def errors_at(problem: EntryProblem, A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Return the residual of A B at the observed entries, shape (n,): A B - M, times the weights if there are any."""
    seen = without_weights(problem)
    if A.shape[1]:
        errors = seen.observed_product(A, B)
        errors -= seen.targets
    else:
        errors = -seen.targets
    return problem.weights * errors if isinstance(problem, WeightedCompletion) else errors
