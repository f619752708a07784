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
        left = problem.rows[:, None] * k + np.arange(k)
        right = d1 * k + np.arange(k) * d2 + problem.columns[:, None]
        self.rank, self.partners = k, np.hstack([right, left])
        self.places = np.arange(n)[:, None] * dim + np.hstack([left, right])
        self.coupled = np.hstack([left * dim + right, right * dim + left]).T.copy()
        self.root = float(np.sqrt(problem.weight))
        self.targets, self.size = self.root * problem.targets, (n, dim)

    def residual(self, theta: np.ndarray) -> np.ndarray:
        """Return r, shape (n,)."""
        met = theta.take(self.partners)
        return self.root * np.vecdot(met[:, : self.rank], met[:, self.rank :]) - self.targets

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """Return J, shape (n, dim)."""
        J = np.zeros(self.size)
        J.reshape(-1)[self.places] = self.root * theta.take(self.partners)
        return J

    def assembled(self, J: np.ndarray, r: np.ndarray) -> np.ndarray:
        """Return 2 (J^T J + S(r)), shape (dim, dim)."""
        H = J.T.dot(J)
        H.reshape(-1)[self.coupled] += self.root * r
        H *= 2.0
        return H

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Return the Hessian of the loss at theta, shape (dim, dim)."""
        return self.assembled(self.jacobian(theta), self.residual(theta))
