"""Solvers of min trace X subject to X >= 0 and <B_k, X> = b_k, for orthonormal symmetric B_k.

The dual is max <b, mu> subject to Z = I - sum_k mu_k B_k >= 0.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.linalg

OPTIONS: dict[str, dict[str, Any]] = {
    "clarabel": {"tol_gap_rel": 1e-12, "tol_gap_abs": 1e-12, "tol_feas": 1e-12},
    "scs": {"eps_abs": 1e-10, "eps_rel": 1e-10, "max_iters": 5000},
}
UNBOUNDED = 1e8
"""Where the trace passes this many times the size of the values, the search for an X that fits is given up."""
Pair = tuple[np.ndarray, np.ndarray]


def conic_pair(B: np.ndarray, b: np.ndarray, solver: str) -> Pair | None:
    """Return approximate (X, mu) from a conic solver, "clarabel" or "scs"; None if it ends without numbers.

    How accurate they are is for the caller to measure; the solver's own verdict is not used.
    """
    import cvxpy

    d = B.shape[-1]
    mu = cvxpy.Variable(len(b))
    columns = B.reshape(len(b), -1).T
    cone = cvxpy.reshape(np.eye(d).ravel() - columns @ mu, (d, d), order="C") >> 0
    task = cvxpy.Problem(cvxpy.Maximize(b @ mu), [cone])
    if not _solved(task, solver) or mu.value is None or cone.dual_value is None:
        return None
    X, y = np.asarray(cone.dual_value), np.asarray(mu.value)
    return (X / 2 + X.T / 2, y) if np.isfinite(X).all() and np.isfinite(y).all() else None


def separating(B: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """Return mu of norm 1 with sum_k mu_k B_k <= 0 nearly and <b, mu> largest; None if the solver finds none.

    A positive <b, mu> shows that no X >= 0 fits (Farkas).
    """
    import cvxpy

    d = B.shape[-1]
    mu = cvxpy.Variable(len(b))
    cone = cvxpy.reshape(-(B.reshape(len(b), -1).T @ mu), (d, d), order="C") >> 0
    task = cvxpy.Problem(cvxpy.Maximize(b @ mu), [cone, cvxpy.norm(mu) <= 1])
    if not _solved(task, "clarabel") or mu.value is None:
        return None
    size = float(np.linalg.norm(mu.value))
    return np.asarray(mu.value) / size if 0 < size < np.inf else None


def _solved(task: Any, solver: str) -> bool:
    import cvxpy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            task.solve(solver=solver.upper(), **OPTIONS[solver])
        except cvxpy.SolverError:
            return False
    return True


def interior_pair(B: np.ndarray, b: np.ndarray, gap_tol: float, max_iterations: int = 80) -> Pair:
    """Return (X, mu) by a primal-dual interior-point method (HKM direction, Mehrotra's corrector).

    mu is strictly feasible; X becomes feasible with the first full step. It stops at a relative gap of ``gap_tol``,
    after ``max_iterations``, when rounding makes a matrix indefinite, or when X grows without bound: then no X >= 0
    may fit. One iteration costs O(m d^3 + m^2 d^2) operations.
    Helmberg, Rendl, Vanderbei, Wolkowicz 1996, "An interior-point method for semidefinite programming".
    """
    d = B.shape[-1]
    start = max(1.0, float(np.linalg.norm(b)))
    X, mu, Z = start * np.eye(d), np.zeros(len(b)), np.eye(d)
    for _ in range(max_iterations):
        missing = b - np.tensordot(B, X, 2)
        gap = float(np.trace(X) - b @ mu)
        if (abs(gap) <= gap_tol * np.trace(X) and np.linalg.norm(missing) <= 1e-13 * start) or np.trace(
            X
        ) > 1e14 * start:
            break
        centre = float(np.sum(X * Z)) / d
        try:
            step = _Step(B, X, Z, missing)
            _, dX, dZ = step.direction(0.0, np.zeros((d, d)))
            p, q = step.primal_length(dX), step.dual_length(dZ)
            predicted = float(np.sum((X + p * dX) * (Z + q * dZ))) / d
            centring = max(min(1.0, (predicted / centre) ** 2), 1e-6)
            dmu, dX, dZ = step.direction(centring * centre, _symmetric(dX @ dZ @ step.inverse))
            p, q = step.primal_length(dX), step.dual_length(dZ)
        except np.linalg.LinAlgError:
            break
        X, mu = X + p * dX, mu + q * dmu
        Z = np.eye(d) - np.tensordot(mu, B, 1)
    return X, mu


class _Step:
    """The Newton system of one interior-point iteration, factorised once and used for predictor and corrector."""

    def __init__(self, B: np.ndarray, X: np.ndarray, Z: np.ndarray, missing: np.ndarray) -> None:
        self.B, self.X, self.missing = B, X, missing
        self.primal_root, self.dual_root = np.linalg.cholesky(X), np.linalg.cholesky(Z)
        self.inverse = _symmetric(scipy.linalg.cho_solve((self.dual_root, True), np.eye(len(Z))))
        rows = B.reshape(len(B), -1)
        H = rows @ (X @ B @ self.inverse).reshape(len(B), -1).T
        self.factor = scipy.linalg.cho_factor(_symmetric(H) + 1e-16 * np.trace(H) / len(H) * np.eye(len(H)))

    def direction(self, target: float, correction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (dmu, dX, dZ) towards X Z = target I and the measurements still missing."""
        aim = target * self.inverse - self.X - correction
        dmu = scipy.linalg.cho_solve(self.factor, self.missing - np.tensordot(self.B, aim, 2))
        if not np.isfinite(dmu).all():
            raise np.linalg.LinAlgError("the Newton system is singular")
        dZ = -np.tensordot(dmu, self.B, 1)
        return dmu, aim - _symmetric(self.X @ dZ @ self.inverse), dZ

    def primal_length(self, dX: np.ndarray) -> float:
        """Return how far X may go along dX and stay positive definite, at most 1."""
        return _length(self.primal_root, dX)

    def dual_length(self, dZ: np.ndarray) -> float:
        """Return how far Z may go along dZ and stay positive definite, at most 1."""
        return _length(self.dual_root, dZ)


def _length(root: np.ndarray, change: np.ndarray) -> float:
    half = scipy.linalg.solve_triangular(root, change, lower=True)
    least = float(np.linalg.eigvalsh(_symmetric(scipy.linalg.solve_triangular(root, half.T, lower=True)))[0])
    return min(1.0, -0.98 / least) if least < 0 else 1.0


def _symmetric(X: np.ndarray) -> np.ndarray:
    return (X + X.T) / 2
