"""Solvers of min trace X subject to X >= 0 and <B_k, X> = b_k, for orthonormal symmetric B_k.

The dual is max <b, mu> subject to Z = I - sum_k mu_k B_k >= 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from gflow import watch
from gflow.completions.conic import semidefinite_pair
from gflow.policy import EPS

OPTIONS: dict[str, dict[str, Any]] = {
    "clarabel": {"tol_gap_rel": 1e-12, "tol_gap_abs": 1e-12, "tol_feas": 1e-12},
    "scs": {"eps_abs": 1e-10, "eps_rel": 1e-10, "max_iters": 5000},
}
UNBOUNDED = 1e8
"""Where the trace passes this many times the size of the values, the search for an X that fits is given up."""
NO_NEARER = 8
"""The interior-point method ends when so many iterations in a row brought it no nearer."""
AIM = 0.1
"""Its last iterations aim at this fraction of the gap asked for."""
Pair = tuple[np.ndarray, np.ndarray]


def conic_pair(B: np.ndarray, b: np.ndarray, solver: str) -> Pair | None:
    """Return approximate (X, mu) from a conic solver, "clarabel" or "scs"; None if it ends without numbers.

    How accurate they are is for the caller to measure; the solver's own verdict is not used.
    """
    d = B.shape[-1]
    found = semidefinite_pair(b, np.eye(d), -B.reshape(len(b), -1).T, solver, OPTIONS[solver])
    return None if found is None else found[::-1]


def separating(B: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """Return mu of norm 1 with sum_k mu_k B_k <= 0 nearly and <b, mu> largest; None if the solver finds none.

    A positive <b, mu> shows that no X >= 0 fits (Farkas).
    """
    d = B.shape[-1]
    F = -B.reshape(len(b), -1).T
    found = semidefinite_pair(b, np.zeros((d, d)), F, "clarabel", OPTIONS["clarabel"], ball=True)
    size = 0.0 if found is None else float(np.linalg.norm(found[0]))
    return found[0] / size if found is not None and size > 0 else None


def interior_pair(B: np.ndarray, b: np.ndarray, gap_tol: float, max_iterations: int = 80) -> Pair:
    """Return (X, mu) by a primal-dual interior-point method (HKM direction, Mehrotra's corrector).

    Both are strictly feasible but for the misfit of X, and the best on the way: the larger of the relative gap and the
    relative misfit is least. It stops where that is ``gap_tol``, where ``NO_NEARER`` iterations brought nothing, after
    ``max_iterations``, or when X grows without bound: then no X >= 0 may fit, and the last pair is returned. No
    iteration aims beyond ``gap_tol``, where X and Z are singular up to rounding.
    One iteration costs O(m d^3 + m^2 d^2) operations.
    Helmberg, Rendl, Vanderbei, Wolkowicz 1996, "An interior-point method for semidefinite programming".
    """
    d, unit = B.shape[-1], max(1.0, float(np.linalg.norm(b)))
    X, mu = unit * np.eye(d), np.zeros(len(b))
    best, least, since = (X, mu), np.inf, 0
    for _ in range(max_iterations):
        watch.tick("interior point")
        trace, missing = float(np.trace(X)), b - np.tensordot(B, X, 2)
        error = max(abs(trace - float(b @ mu)) / trace, float(np.linalg.norm(missing)) / unit)
        since += 1
        if error < least:
            best, least, since = (X, mu), error, 0
        if trace > 1e14 * unit:
            return X, mu
        if least <= gap_tol or since >= NO_NEARER:
            break
        try:
            X, mu = _ConeStep(B, X, mu, missing).corrected(AIM * gap_tol * trace / d)
        except np.linalg.LinAlgError:
            break
    return best


class _ConeStep:
    """The Newton system of one interior-point iteration, factorised once and used for predictor and corrector."""

    def __init__(self, B: np.ndarray, X: np.ndarray, mu: np.ndarray, missing: np.ndarray) -> None:
        self.B, self.X, self.mu, self.missing = B, X, mu, missing
        self.Z = np.eye(len(X)) - np.tensordot(mu, B, 1)
        self.primal_root, self.dual_root = np.linalg.cholesky(X), np.linalg.cholesky(self.Z)
        self.inverse = symmetric(scipy.linalg.cho_solve((self.dual_root, True), np.eye(len(X))))
        rows = B.reshape(len(B), -1)
        H = rows @ (X @ B @ self.inverse).reshape(len(B), -1).T
        self.factor = scipy.linalg.cho_factor(symmetric(H) + 1e-16 * np.trace(H) / len(H) * np.eye(len(H)))

    def corrected(self, least: float) -> Pair:
        """Return the next (X, mu), predicted and corrected; X Z is aimed at ``least`` times the identity or more."""
        d, (_, dX, dZ) = len(self.X), self.direction(0.0, np.zeros_like(self.X))
        p, q = step_length(self.primal_root, dX), step_length(self.dual_root, dZ)
        centre = float(np.sum(self.X * self.Z)) / d
        predicted = float(np.sum((self.X + p * dX) * (self.Z + q * dZ))) / d
        target = max(min(1.0, (predicted / centre) ** 2) * centre, 1e-6 * centre, least)
        dmu, dX, dZ = self.direction(target, symmetric(dX @ dZ @ self.inverse))
        X, mu = self.X + step_length(self.primal_root, dX) * dX, self.mu + step_length(self.dual_root, dZ) * dmu
        for matrix in (X, np.eye(d) - np.tensordot(mu, self.B, 1)):
            # raises LinAlgError unless every eigenvalue is positive by more than the rounding of any decomposition
            np.linalg.cholesky(matrix - 4 * d * EPS * np.linalg.norm(matrix) * np.eye(d))
        return X, mu

    def direction(self, target: float, correction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (dmu, dX, dZ) towards X Z = target I and the measurements still missing, refined once."""
        aim = target * self.inverse - self.X - correction
        dmu, dX, dZ = np.zeros(len(self.B)), aim, np.zeros_like(aim)
        for _ in range(2):
            more = scipy.linalg.cho_solve(self.factor, self.missing - np.tensordot(self.B, dX, 2))
            if not np.isfinite(more).all():
                raise np.linalg.LinAlgError("the Newton system is singular")
            dmu = dmu + more
            dZ = -np.tensordot(dmu, self.B, 1)
            dX = aim - symmetric(self.X @ dZ @ self.inverse)
        return dmu, dX, dZ


def step_length(root: np.ndarray, change: np.ndarray) -> float:
    """Return how far L L^T may go along a change and stay positive definite, at most 1; ``root`` is L."""
    half = scipy.linalg.solve_triangular(root, change, lower=True)
    least = float(np.linalg.eigvalsh(symmetric(scipy.linalg.solve_triangular(root, half.T, lower=True)))[0])
    return min(1.0, -0.98 / least) if least < 0 else 1.0


def symmetric(X: np.ndarray) -> np.ndarray:
    """Return the symmetric part of X."""
    return (X + X.T) / 2
