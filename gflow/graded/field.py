"""The velocity of scaled columns and its derivative."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from gflow.problems import EntryProblem, WeightedCompletion


class Field:
    """The gradient flow of Z = [A; B^T] for columns z = Z / scale, shape (d1 + d2, k): all of moderate size.

    z' = -(2/n) [[0, E], [E^T, 0]] z is linear in every column once E = P o (A B - M) is known, so scales enter E alone.

    Parameters
    ----------
    problem : MatrixCompletion or WeightedCompletion
        With weights E is weighted.
    squares : (d1 + d2, k) array
        The square of the scale of every entry; the caller renews it with the columns.
    """

    def __init__(self, problem: EntryProblem, squares: np.ndarray) -> None:
        self.problem, self.cut, self.twice = problem, problem.shape[0], 2.0 * problem.weight
        self.squares = squares

    @cached_property
    def mask(self) -> np.ndarray:
        """Return the weights, 0 where nothing is observed and 1 where there are none, shape (d1, d2)."""
        problem = self.problem
        return problem.weight_matrix if isinstance(problem, WeightedCompletion) else problem.observed.astype(float)

    def residual(self, z: np.ndarray) -> np.ndarray:
        """Return E = P o (A B - M), shape (d1, d2)."""
        W = (z[: self.cut] * self.squares[: self.cut]).dot(z[self.cut :].T)
        if isinstance(self.problem, WeightedCompletion):
            return self.problem.residual(W)
        W *= self.mask
        W -= self.problem.values
        return W

    def loss(self, E: np.ndarray) -> float:
        """Return the loss where the residual is E."""
        if not isinstance(self.problem, WeightedCompletion):
            return float(np.vdot(E, E)) * self.problem.weight
        roots = self.problem.means.measure(E) / self.problem.roots
        return float(roots @ roots) * self.problem.weight

    def velocity(self, z: np.ndarray, E: np.ndarray) -> np.ndarray:
        """Return z' where the residual is E, shape (d1 + d2, k)."""
        F, result = -self.twice * E, np.empty(z.shape)
        F.dot(z[self.cut :], out=result[: self.cut])
        F.T.dot(z[: self.cut], out=result[self.cut :])
        return result

    def jacobian(self, z: np.ndarray) -> np.ndarray:
        """Return the derivative of z' in z, shape (m k, m k) with m = d1 + d2."""
        (m, k), cut = z.shape, self.cut
        a, b = z[:cut], z[cut:]
        P, E = self.mask, self.residual(z)
        J = np.zeros((m, k, m, k))
        rows, columns, inner = np.arange(cut), np.arange(cut, m), np.arange(k)
        J[rows, :, rows, :] = np.einsum("ij,jk,jl->ikl", P, b, b, optimize=True) * self.squares[:cut, None, :]
        J[columns, :, columns, :] = np.einsum("ij,ik,il->jkl", P, a, a, optimize=True) * self.squares[cut:, None, :]
        A, B = a * self.squares[:cut], b * self.squares[cut:]
        upper, lower = J[:cut, :, cut:, :], J[cut:, :, :cut, :]
        upper[:] = P[:, None, :, None] * A[:, None, None, :] * b.T[None, :, :, None]
        lower[:] = P.T[:, None, :, None] * B[:, None, None, :] * a.T[None, :, :, None]
        upper[:, inner, :, inner] += E
        lower[:, inner, :, inner] += E.T
        return -self.twice * J.reshape(m * k, m * k)
