"""Residual, Jacobian and Hessian of a completion problem with little overhead: positions are worked out once.

Small problems have dense matrices. In larger ones the Hessian has a diagonal block for every row of A and column of B:
the blocks of the longer side are eliminated, and the system that is left has the size of the shorter one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow.models import Factorization
from gflow.problems import EntryProblem, WeightedCompletion

DENSE_SYSTEM = 400
"""Largest dimension whose systems are solved with dense matrices."""
BLOCK_NUMBERS, LARGEST_SYSTEM = 20_000_000, 1000
"""Elimination of the longer factor holds at most so many numbers, and leaves a system of at most this size."""


def is_eliminable(problem: EntryProblem, rank: int) -> bool:
    """Return whether the longer factor can be eliminated from systems with the Hessian."""
    (d1, d2), left = problem.shape, rank * min(problem.shape)
    return left <= LARGEST_SYSTEM and left * rank * max(d1, d2) <= BLOCK_NUMBERS


class Curvature:
    """The loss r^T r of a problem in its own unit, r = P o (A B - M) / sqrt(n) at the observed entries.

    Weights come in by their roots, a column beside every entry.

    Its gradient is 2 J^T r and its Hessian 2 (J^T J + S(r)): J is the Jacobian of r; S, linear in r, couples A to B.
    """

    def __init__(self, problem: EntryProblem, model: Factorization) -> None:
        (d1, d2), k, dim, n = problem.shape, model.rank, model.dim, problem.n_observed
        left = problem.rows[:, None] * k + np.arange(k)
        right = d1 * k + np.arange(k) * d2 + problem.columns[:, None]
        self.problem, self.model = problem, model
        self.rank, self.partners = k, np.hstack([right, left])
        self.places = np.arange(n)[:, None] * dim + np.hstack([left, right])
        self.coupled = np.hstack([left * dim + right, right * dim + left]).T.copy()
        self.root: Any = float(np.sqrt(problem.weight))
        self.targets, self.size = self.root * problem.targets, (n, dim)
        self.beside = self.root
        if isinstance(problem, WeightedCompletion):
            self.root = self.root * problem.roots
            self.beside = self.root[:, None]

    def residual(self, theta: np.ndarray) -> np.ndarray:
        """Return r, shape (n,)."""
        met = theta.take(self.partners)
        return self.root * np.vecdot(met[:, : self.rank], met[:, self.rank :]) - self.targets

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """Return J, shape (n, dim)."""
        J = np.zeros(self.size)
        J.reshape(-1)[self.places] = self.beside * theta.take(self.partners)
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

    def linearised(self, theta: np.ndarray) -> Linearised:
        """Return what implicit and Newton steps need at theta."""
        return Linearised(self, theta) if self.model.dim <= DENSE_SYSTEM else BlockLinearised(self, theta)


class Linearised:
    """The residual r, the gradient and trace 2 J^T J at theta, and systems with the Hessian, by dense matrices."""

    def __init__(self, curvature: Curvature, theta: np.ndarray) -> None:
        self.curvature, self.residual, self.J = curvature, curvature.residual(theta), curvature.jacobian(theta)
        self.gradient = 2.0 * (self.J.T @ self.residual)
        self.trace = 2.0 * float(np.vdot(self.J, self.J))

    def change(self, move: np.ndarray) -> np.ndarray:
        """Return J move, shape (n,)."""
        return self.J @ move

    def solved(self, r: np.ndarray, shift: float, b: np.ndarray) -> np.ndarray:
        """Return x with (2 (J^T J + S(r)) + shift) x = b; LinAlgError if that is singular."""
        H = self.curvature.assembled(self.J, r)
        H[np.diag_indices_from(H)] += shift
        return np.linalg.solve(H, b)


class BlockLinearised(Linearised):
    """The same with the blocks of the longer factor eliminated."""

    def __init__(self, curvature: Curvature, theta: np.ndarray) -> None:
        problem, self.curvature = curvature.problem, curvature
        self.tall = problem.shape[0] >= problem.shape[1]
        sides = problem.rows, problem.columns
        self.long, self.short = sides if self.tall else sides[::-1]
        L, S = self.sides(theta)
        self.l, self.s = L[self.long], S[self.short]
        self.residual = curvature.residual(theta)
        bent = 2.0 * curvature.beside * self.residual[:, None]
        self.gradient = self.theta(
            _summed(self.long, bent * self.s, len(L)), _summed(self.short, bent * self.l, len(S))
        )
        self.sizes = len(L), len(S)
        if isinstance(problem, WeightedCompletion):
            self.trace = 2.0 * float(np.sum((curvature.beside * self.l) ** 2 + (curvature.beside * self.s) ** 2))
        else:
            self.trace = 2.0 * curvature.root**2 * float(np.vdot(self.l, self.l) + np.vdot(self.s, self.s))

    def sides(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the longer and the shorter factor, one row for each row or column of the matrix."""
        A, B = self.curvature.model.factors(theta)
        return (A, B.T) if self.tall else (B.T, A)

    def theta(self, L: np.ndarray, S: np.ndarray) -> np.ndarray:
        """Return the variables of two factors."""
        return self.curvature.model.theta(*((L, S.T) if self.tall else (S, L.T)))

    def change(self, move: np.ndarray) -> np.ndarray:
        """Return J move, shape (n,)."""
        dL, dS = self.sides(move)
        return self.curvature.root * (np.vecdot(dL[self.long], self.s) + np.vecdot(self.l, dS[self.short]))

    def solved(self, r: np.ndarray, shift: float, b: np.ndarray) -> np.ndarray:
        """Return x with (2 (J^T J + S(r)) + shift) x = b; LinAlgError if that is singular."""
        (n, m), k, one = self.sizes, self.curvature.rank, np.eye(self.curvature.rank)
        weight = np.reshape(2.0 * self.curvature.root**2, (-1, 1, 1))
        H_long = _summed(self.long, weight * self.s[:, :, None] * self.s[:, None, :], n)
        H_short = _summed(self.short, weight * self.l[:, :, None] * self.l[:, None, :], m)
        C = np.zeros((n, k, m, k))
        bent = 2.0 * self.curvature.root * r
        C[self.long, :, self.short, :] = weight * self.s[:, :, None] * self.l[:, None, :] + bent[:, None, None] * one
        b_long, b_short = self.sides(b)
        coupling = np.concatenate([C.reshape(n, k, m * k), b_long[:, :, None]], axis=2)
        X = np.linalg.solve(H_long + shift * one, coupling)
        left = -(C.reshape(n * k, m * k).T @ X.reshape(n * k, m * k + 1))
        whole = left[:, :-1].reshape(m, k, m, k)
        whole[np.arange(m), :, np.arange(m), :] += H_short + shift * one
        y = np.linalg.solve(whole.reshape(m * k, m * k), b_short.ravel() + left[:, -1])
        return self.theta(X[:, :, -1] - X[:, :, :-1] @ y, y.reshape(m, k))


def _summed(index: np.ndarray, terms: np.ndarray, length: int) -> np.ndarray:
    """Return the sums of the terms with each index, shape (length, ...)."""
    flat = terms.reshape(len(index), -1)
    sums = [np.bincount(index, weights=column, minlength=length) for column in flat.T]
    return np.array(sums).T.reshape(length, *terms.shape[1:])
