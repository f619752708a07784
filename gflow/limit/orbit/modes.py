"""What the residual at a point says: the loss, the leading singular values, and the pair of the escape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gflow.limit.orbit.krylov import leading_triples
from gflow.limit.orbit.sizes import is_large
from gflow.problems import MatrixCompletion

LEADING = 16
"""Singular values found for large components."""


@dataclass(frozen=True, slots=True, eq=False)
class Modes:
    """The loss at a point, and the singular values of its residual with their first pair.

    ``sigma`` holds all of them, or the leading ones (``complete`` is False); ``exact`` says whether they converged.
    """

    loss: float
    sigma: np.ndarray
    u: np.ndarray
    v: np.ndarray
    complete: bool
    exact: bool


def residual_modes(problem: MatrixCompletion, A: np.ndarray, B: np.ndarray) -> Modes:
    """Return the modes of P o (A B - M): all of them, or the leading ones of a large component."""
    if not is_large(problem):
        W = A @ B
        U, sigma, Vt = np.linalg.svd(problem.residual(W), full_matrices=False)
        return Modes(problem.risk(W), sigma, U[:, 0], Vt[0], True, True)
    errors = errors_at(problem, A, B)
    found = leading_triples(problem.scattered(errors), min(LEADING, *problem.shape))
    complete = len(found.sigma) == min(problem.shape)
    return Modes(
        problem.weight * float(errors @ errors), found.sigma, found.U[:, 0], found.V[:, 0], complete, found.converged
    )


def loss_at(problem: MatrixCompletion, A: np.ndarray, B: np.ndarray) -> float:
    """Return the loss of A B."""
    if not is_large(problem):
        return float(problem.risk(A @ B))
    errors = errors_at(problem, A, B)
    return problem.weight * float(errors @ errors)


def errors_at(problem: MatrixCompletion, A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Return A B - M at the observed entries, shape (n,)."""
    return problem.observed_product(A, B) - problem.targets if A.shape[1] else -problem.targets
