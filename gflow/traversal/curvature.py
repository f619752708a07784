"""Residual, Jacobian and Hessian of a small completion problem with little overhead: positions are worked out once."""

from __future__ import annotations

import numpy as np

from gflow.models import Factorization
from gflow.problems import MatrixCompletion


class Curvature:
    """The loss r^T r of a problem in its own unit, r = P o (A B - M) / sqrt(n) at the observed entries.

    Its gradient is 2 J^T r and its Hessian 2 (J^T J + S(r)): J is the Jacobian of r; S, linear in r, couples A to B.
    """

    def __init__(self, problem: MatrixCompletion, model: Factorization) -> None:
        (d1, d2), k, dim, n = problem.shape, model.rank, model.dim, problem.n_observed
        self.rows, self.columns, self.shape, self.rank = problem.rows, problem.columns, (d1, d2), k
        left = self.rows[:, None] * k + np.arange(k)
        right = d1 * k + np.arange(k) * d2 + self.columns[:, None]
        entry = np.arange(n)[:, None] * dim
        self.in_left, self.in_right = (entry + left).ravel(), (entry + right).ravel()
        self.upper, self.lower = (left * dim + right).T.ravel(), (right * dim + left).T.ravel()
        self.root = float(np.sqrt(problem.weight))
        self.targets, self.size = self.root * problem.targets, (n, dim)

    def residual(self, theta: np.ndarray) -> np.ndarray:
        """Return r, shape (n,)."""
        a, b = self._factors(theta)
        return self.root * (a * b).sum(axis=1) - self.targets

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """Return J, shape (n, dim)."""
        a, b = self._factors(theta)
        J = np.zeros(self.size[0] * self.size[1])
        J[self.in_left] = (self.root * b).ravel()
        J[self.in_right] = (self.root * a).ravel()
        return J.reshape(self.size)

    def assembled(self, J: np.ndarray, r: np.ndarray) -> np.ndarray:
        """Return 2 (J^T J + S(r)), shape (dim, dim)."""
        H = J.T.dot(J)
        coupling = np.tile(self.root * r, self.rank)
        flat = H.reshape(-1)
        flat[self.upper] += coupling
        flat[self.lower] += coupling
        H *= 2.0
        return H

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Return the Hessian of the loss at theta, shape (dim, dim)."""
        return self.assembled(self.jacobian(theta), self.residual(theta))

    def _factors(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the row of A and the column of B that meet in each entry, both of shape (n, k)."""
        (d1, d2), k = self.shape, self.rank
        cut = d1 * k
        A, Bt = theta[:cut].reshape(d1, k), theta[cut:].reshape(k, d2).T
        return A.take(self.rows, axis=0), Bt.take(self.columns, axis=0)
