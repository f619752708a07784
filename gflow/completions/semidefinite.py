"""Solvers of max <Y, M> subject to Y = P o Y, ||Y||_2 <= 1, the dual of the minimum nuclear norm.

The constraint reads F(y) = [[I, Y], [Y^T, I]] >= 0, linear in the n observed entries y of Y. Its multiplier
Z = [[., -W/2], [-W^T/2, .]] holds the completion W.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse

from gflow import watch
from gflow.completions.cone import SHORTEST, Pair, step_length, symmetric
from gflow.memory import require_memory
from gflow.problems import MatrixCompletion

NUMBERS = 2**19
"""Numbers held while a block of rows of a Newton matrix is made."""

SHIFTS = (0.0, 1e-14, 1e-12)
OPTIONS: dict[str, Any] = {"tol_gap_rel": 1e-11, "tol_gap_abs": 1e-11, "tol_feas": 1e-11, "verbose": False}


def conic_solution(problem: MatrixCompletion) -> Pair | None:
    """Return approximate (W, Y) from Clarabel; None if it ends without numbers.

    How accurate they are is for the caller to measure; the solver's own verdict is not used.
    """
    import clarabel

    (d1, _), n, D = problem.shape, problem.n_observed, sum(problem.shape)
    i, j = problem.rows, problem.columns + d1
    # the upper triangle of F by columns, with roots of 2 beside the diagonal
    triangle, places, root = D * (D + 1) // 2, i + j * (j + 1) // 2, np.sqrt(2.0)
    spread = scipy.sparse.csc_matrix((np.full(n, -root), (places, np.arange(n))), shape=(triangle, n))
    identity, diagonal = np.zeros(triangle), np.arange(D)
    identity[diagonal * (diagonal + 3) // 2] = 1.0
    settings, none = clarabel.DefaultSettings(), scipy.sparse.csc_matrix((n, n))
    left = watch.remaining()
    for name, value in (OPTIONS if left is None else OPTIONS | {"time_limit": max(left, SHORTEST)}).items():
        setattr(settings, name, value)
    cones = [clarabel.PSDTriangleConeT(D)]
    found = clarabel.DefaultSolver(none, -problem.targets, spread, identity, cones, settings).solve()
    watch.tick("conic solver")
    rows, columns = np.indices(problem.shape)
    columns += d1
    W = -root * np.asarray(found.z)[rows + columns * (columns + 1) // 2]
    Y = problem.adjoint(np.asarray(found.x))
    return (W, Y) if np.isfinite(W).all() and np.isfinite(Y).all() else None


def interior_point(problem: MatrixCompletion, gap_tol: float, max_iterations: int = 60) -> Pair:
    """Return (W, Y) by a feasible primal-dual interior-point method (HKM direction, Mehrotra's corrector).

    Y is strictly feasible and W interpolates. It stops at a relative gap of ``gap_tol``, after ``max_iterations`` or
    when rounding makes a matrix indefinite. One iteration costs n^3/3 + O((d1 + d2)^3) operations.
    Helmberg, Rendl, Vanderbei, Wolkowicz 1996, "An interior-point method for semidefinite programming".
    """
    (d1, d2), b = problem.shape, problem.targets
    D, i, j = d1 + d2, problem.rows, problem.columns + d1
    require_memory(len(b) ** 2, f"an interior-point method on {len(b)} observed entries")
    y, F = np.zeros(len(b)), np.eye(D)
    Z = _modulus(problem.values, 0.5 * float(np.linalg.norm(problem.values, 2)))
    for _ in range(max_iterations):
        watch.tick("interior point")
        if np.trace(Z) - b @ y <= gap_tol * np.trace(Z):
            break
        try:
            step = _NewtonStep(problem, F, Z)
        except np.linalg.LinAlgError:
            break
        mu = float(np.sum(F * Z)) / D
        _, dF, dZ = step.direction(0.0, np.zeros((D, D)))
        p, q = step_length(step.dual_root, dF), step_length(step.primal_root, dZ)
        predicted = float(np.sum((F + p * dF) * (Z + q * dZ))) / D
        centring = max(min(1.0, (predicted / mu) ** 2), 1e-6)
        dy, dF, dZ = step.direction(centring * mu, symmetric(step.G @ dF @ dZ))
        p, q = step_length(step.dual_root, dF), step_length(step.primal_root, dZ)
        y, F, Z = y + p * dy, F + p * dF, Z + q * dZ
        Z[i, j] = Z[j, i] = -b / 2
    return -2 * Z[:d1, d1:], problem.adjoint(y)


class _NewtonStep:
    """The Newton system of one interior-point iteration, factorised once and used for predictor and corrector."""

    def __init__(self, problem: MatrixCompletion, F: np.ndarray, Z: np.ndarray) -> None:
        self.i, self.j, self.b, self.Z = problem.rows, problem.columns + problem.shape[0], problem.targets, Z
        self.dual_root, self.primal_root = np.linalg.cholesky(F), np.linalg.cholesky(Z)
        self.G = symmetric(scipy.linalg.cho_solve((self.dual_root, True), np.eye(len(F))))
        self.factor = _factor(_schur(problem, self.G, Z))

    def direction(self, target: float, correction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (dy, dF, dZ) towards F Z = target I."""
        aim = target * self.G - correction
        dy = scipy.linalg.cho_solve(self.factor, self.b + 2 * aim[self.i, self.j], check_finite=False)
        dF = np.zeros_like(self.Z)
        dF[self.i, self.j] = dF[self.j, self.i] = dy
        return dy, dF, aim - self.Z - symmetric(self.G @ dF @ self.Z)


def _schur(problem: MatrixCompletion, G: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """Return the Newton matrix between observed entries, H[k, l] = sum of the four products of entries of G and Z.

    Row k is a matrix of rank 4 at all places (i, j), of which the observed ones are kept: this is far quicker than to
    look up its factors one by one.
    """
    (d1, d2), i, j = problem.shape, problem.rows, problem.columns + problem.shape[0]
    places, H = problem.rows * d2 + problem.columns, np.empty((len(i), len(i)))
    block = max(NUMBERS // (d1 * d2), 1)
    for begin in range(0, len(i), block):
        rows = slice(begin, begin + block)
        g_i, g_j, z_i, z_j = G[i[rows]], G[j[rows]], Z[i[rows]], Z[j[rows]]
        left = np.stack([part[:, :d1] for part in (g_j, z_j, z_i, g_i)], axis=2)
        right = np.stack([part[:, d1:] for part in (z_i, g_i, g_j, z_j)], axis=1)
        np.take((left @ right).reshape(len(left), -1), places, axis=1, out=H[rows], mode="clip")
    return H


def _factor(H: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the Cholesky factor of H, its diagonal raised by a relative SHIFTS if rounding made it indefinite.

    It is written over one triangle of H; the other one serves the next attempt.
    """
    diagonal = np.diag(H).copy()
    for shift in SHIFTS:
        np.fill_diagonal(H, (1 + shift) * diagonal)
        try:
            return scipy.linalg.cho_factor(H.T, lower=True, overwrite_a=True)
        except np.linalg.LinAlgError:
            H = np.tril(H, -1)
            H += H.T
    raise np.linalg.LinAlgError("the Newton system is indefinite")


def _modulus(W: np.ndarray, shift: float) -> np.ndarray:
    """Return [[|W^T| + shift, -W], [-W^T, |W| + shift]] / 2, positive definite for a positive shift."""
    U, singular, Vt = np.linalg.svd(W)
    left, right = (np.pad(singular, (0, size - len(singular))) + shift for size in W.shape)
    return np.block([[(U * left) @ U.T, -W], [-W.T, (Vt.T * right) @ Vt]]) / 2
