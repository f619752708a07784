"""Minimum nuclear norm by Newton steps in the unobserved entries alone: quick where they are few.

With the barrier -mu log det of [[U, W], [W^T, V]] >= 0, the least (trace U + trace V)/2 over U and V is
f_mu(W) = sum_i u_i - mu log(2 mu u_i) with u_i = mu + sqrt(mu^2 + sigma_i^2). Its gradient has the singular vectors of
W and the singular values y_i = sigma_i / u_i < 1: where it vanishes off the mask it is a feasible point of the dual,
with a gap of at most mu min(d1, d2). Its Hessian divides the entries of a direction in these singular vectors by
u_i u_j (1 +- y_i y_j) / (2 mu): plus on their symmetric part, minus on the antisymmetric one.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg

from gflow import watch
from gflow.completions.semidefinite import Pair
from gflow.memory import require_memory
from gflow.problems import MatrixCompletion

REDUCTION = 0.1
"""How much smaller the next mu is, once a Newton step at this one is short enough to land close to the minimum."""
LANDS, FAR_STEP = 0.3, 0.5
"""Newton decrements below which mu is reduced, and above which the step is damped, which then cannot fail."""
HESSIANS = 3
"""Matrices of the size of the Hessian that are held while it is made."""
NUMBERS = 2**22
"""Numbers held while a block of rows of the Hessian is made."""


def barrier_solution(problem: MatrixCompletion, gap_tol: float, max_iterations: int = 150) -> Pair:
    """Return (W, Y) by following the central path; W interpolates, Y bounds the minimum from below once feasible.

    It stops at a relative gap of ``gap_tol``, after ``max_iterations`` or when rounding makes the Hessian indefinite.
    With m unobserved entries one iteration costs m^3/3 + O(m d1 d2 min(d1, d2)) operations.
    Nesterov and Nemirovskii 1994, "Interior-Point Polynomial Algorithms in Convex Programming", chapter 2.
    """
    if problem.shape[0] < problem.shape[1]:
        W, Y = barrier_solution(problem.transpose, gap_tol, max_iterations)
        return W.T, Y.T
    W, observed = problem.values.copy(), problem.observed
    i, j = np.nonzero(~observed)
    require_memory(HESSIANS * len(i) ** 2, f"a Newton method on {len(i)} unobserved entries")
    mu = float(np.linalg.norm(W, 2))
    lower, best = -np.inf, np.zeros(W.shape)
    for _ in range(max_iterations):
        watch.tick("Newton step")
        try:
            point = _Point(W, mu)
            factor = scipy.linalg.cho_factor(point.hessian(i, j), overwrite_a=True)
        except np.linalg.LinAlgError:
            break
        slope, drift = point.gradient[i, j], point.drift[i, j]
        step = -scipy.linalg.cho_solve(factor, slope)
        change = np.zeros(W.shape)
        change[i, j] = step
        Y = observed * (point.gradient + point.curvature(change))
        Y /= max(1.0, float(np.linalg.norm(Y, 2)))
        bound = float(np.sum(Y * problem.values))
        if bound > lower:
            lower, best = bound, Y
        if point.norm - lower <= gap_tol * point.norm:
            break
        decrement = float(np.sqrt(max(-slope @ step, 0.0) / mu))
        W[i, j] += step / (1 + decrement) if decrement > FAR_STEP else step
        if decrement < LANDS:
            W[i, j] += (1 - REDUCTION) * mu * scipy.linalg.cho_solve(factor, drift)
            mu *= REDUCTION
    return W, best


class _Point:
    """f_mu at a W with at least as many rows as columns: its gradient, how that changes with mu, and its Hessian."""

    def __init__(self, W: np.ndarray, mu: float) -> None:
        self.U, sigma, self.Vt = np.linalg.svd(W, full_matrices=False)
        self.norm = float(sigma.sum())
        root = np.hypot(mu, sigma)
        u = mu + root
        y = sigma / u
        self.gradient = (self.U * y) @ self.Vt
        self.drift = -(self.U * (y / root)) @ self.Vt
        rest = 2 * mu / u / (1 + y)  # 1 - y
        half = mu / np.outer(u, u)
        even, odd = half / (1 + np.outer(y, y)), half / (rest[:, None] + y[:, None] * rest)
        self.same, self.crossed = even + odd, even - odd
        self.outside = np.eye(len(W)) - self.U @ self.U.T
        self.right = (self.Vt.T / u) @ self.Vt

    def curvature(self, change: np.ndarray) -> np.ndarray:
        """Return the Hessian applied to a direction."""
        X = self.U.T @ change @ self.Vt.T
        return self.U @ self._weighted(X) @ self.Vt + self.outside @ change @ self.right

    def hessian(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Return the Hessian in the entries (i, j)."""
        H = self.outside[np.ix_(i, i)] * self.right[np.ix_(j, j)]
        places = i * self.Vt.shape[1] + j
        block = max(NUMBERS // self.outside.shape[0] // self.Vt.shape[1], 1)
        for begin in range(0, len(i), block):
            rows = slice(begin, begin + block)
            X = self.U[i[rows]][:, :, None] * self.Vt.T[j[rows]][:, None, :]
            products = self.U @ self._weighted(X) @ self.Vt
            H[rows] += products.reshape(len(X), -1)[:, places]
        return (H + H.T) / 2

    def _weighted(self, X: np.ndarray) -> np.ndarray:
        return self.same * X + self.crossed * X.swapaxes(-1, -2)
