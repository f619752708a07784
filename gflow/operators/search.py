"""Local search for matrices of rank at most r on which an operator is smallest or largest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gflow import watch
from gflow.policy import EPS
from gflow.problems import MatrixSensing, power_of_four


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """W -> (<A_i, W>)_i on d1 x d2 matrices, or on symmetric ones, divided by ``unit``.

    Attributes
    ----------
    rows : (m, d1 d2) array
        The A_i / unit, row-major; their symmetric parts if ``symmetric``.
    """

    rows: np.ndarray
    shape: tuple[int, int]
    symmetric: bool
    unit: float

    @classmethod
    def of(cls, problem: MatrixSensing, symmetric: bool) -> Operator:
        """Return the operator of a problem; raise ``ValueError`` if symmetric matrices are asked of d1 != d2."""
        d1, d2 = problem.shape
        if symmetric and d1 != d2:
            raise ValueError(f"symmetric matrices must be square; got {d1} x {d2}")
        A = problem.measurements
        unit = power_of_four(float(np.abs(A).max()))
        A = A / unit
        if symmetric:
            A = (A + A.mT) / 2
        return cls(A.reshape(len(A), -1), problem.shape, symmetric, unit)

    @property
    def dim(self) -> int:
        """Return the dimension of the space of matrices."""
        d1, d2 = self.shape
        return d1 * (d1 + 1) // 2 if self.symmetric else d1 * d2

    @property
    def full(self) -> int:
        """Return the largest rank, min(d1, d2)."""
        return min(self.shape)

    def basis(self) -> np.ndarray:
        """Return an orthonormal basis of the space as columns, shape (d1 d2, dim)."""
        d1, d2 = self.shape
        if not self.symmetric:
            return np.eye(d1 * d2)
        i, j = np.triu_indices(d1)
        S = np.zeros((d1, d1, len(i)))
        size = np.where(i == j, 1.0, np.sqrt(0.5))
        S[i, j, np.arange(len(i))] = S[j, i, np.arange(len(i))] = size
        return S.reshape(d1 * d1, -1)

    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the non-zero singular values, shape (k,), and their right singular vectors, shape (k, d1 d2)."""
        _, sizes, V = np.linalg.svd(self.rows, full_matrices=False)
        kept = sizes > max(self.rows.shape) * EPS * sizes[0]
        return sizes[kept], V[kept]

    def energy(self, X: np.ndarray) -> float:
        """Return |A(X)|^2."""
        image = self.rows @ X.ravel()
        return float(image @ image)

    def leading(self, X: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return U, sizes and V of the nearest matrix U diag(sizes) V^T of the space, of rank at most ``rank``."""
        if self.symmetric:
            values, vectors = np.linalg.eigh((X + X.T) / 2)
            chosen = np.argsort(-np.abs(values))[:rank]
            return vectors[:, chosen], values[chosen], vectors[:, chosen]
        U, sizes, Vt = np.linalg.svd(X, full_matrices=False)
        return U[:, :rank], sizes[:rank], Vt[:rank].T

    def truncated(self, X: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return that matrix scaled to norm 1, and bases of its two spaces."""
        U, sizes, V = self.leading(X, rank)
        return (U * (sizes / np.linalg.norm(sizes))) @ V.T, U, V


def extreme(operator: Operator, rank: int, sign: int, starts: list[np.ndarray], max_steps: int = 1000) -> np.ndarray:
    """Return the best unit matrix of rank at most ``rank`` found: least |A(X)| for sign 1, largest for sign -1.

    The rows should be scaled to an operator norm of about 1.
    """
    found = [descended(operator, start, rank, sign, max_steps) for start in starts]
    return min(found, key=lambda X: sign * operator.energy(X))


def descended(operator: Operator, start: np.ndarray, rank: int, sign: int, max_steps: int) -> np.ndarray:
    """Return where a gradient descent of sign |A(X)|^2 on the unit matrices of rank ``rank`` ends.

    Gradients are projected on the tangent space, steps follow Barzilai and Borwein, are shortened until the value
    falls, and return to the rank by truncation.
    """
    X, U, V = operator.truncated(start, rank)
    slope, value = _slope(operator, X, U, V, sign)
    step, idle = 1.0, 0
    for _ in range(max_steps):
        size = float(np.sum(slope * slope))
        if size <= EPS**2 or idle == 5 or watch.spent("search"):
            break
        while True:
            Y, U, V = operator.truncated(X - step * slope, rank)
            moved = sign * operator.energy(Y)
            if moved <= value - 1e-4 * step * size or step < 1e-12:
                break
            step /= 4
        if moved >= value:
            break
        idle = idle + 1 if value - moved <= 1e-15 * abs(value) else 0
        fresh, value = _slope(operator, Y, U, V, sign)
        dX, dG = Y - X, fresh - slope
        curvature = abs(float(np.sum(dX * dG)))
        step = min(max(float(np.sum(dX * dX)) / curvature, 1e-2), 1e3) if curvature > 0 else 1.0
        X, slope = Y, fresh
    return X


def _slope(operator: Operator, X: np.ndarray, U: np.ndarray, V: np.ndarray, sign: int) -> tuple[np.ndarray, float]:
    """Return half the gradient of sign |A(X)|^2 / |X|^2 in the tangent space, and the value."""
    image = operator.rows @ X.ravel()
    value = float(image @ image)
    G = sign * ((image @ operator.rows).reshape(operator.shape) - value * X)
    inner = U.T @ G
    return U @ inner + (G @ V) @ V.T - U @ (inner @ V) @ V.T, sign * value
