"""The Lanczos process: a symmetric operator on the Krylov space of a vector."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Product = Callable[[np.ndarray], np.ndarray]


class Lanczos:
    """An orthonormal basis of the Krylov space that grows vector by vector, and the operator on it.

    Parameters
    ----------
    product : v -> (dim,) array
        The operator.
    first : (dim,) array of norm 1
    most : int
        The largest number of products.
    locked : (m, dim) array, optional
        Orthonormal rows, to which the space is kept orthogonal.
    short : bool
        Keep three vectors and use the recurrence of three terms; there is no ``basis`` then.

    Attributes
    ----------
    size : int
        The number of products.
    beta : float
        What the last product left outside the space.

    Saad, Numerical methods for large eigenvalue problems, section 6.3.
    """

    def __init__(
        self, product: Product, first: np.ndarray, most: int, locked: np.ndarray | None = None, *, short: bool = False
    ) -> None:
        self.product, self.locked, self.most, self.short = product, locked, most, short
        self.vectors = np.empty((3 if short else most + 1, len(first)))
        self.vectors[0] = first
        self.matrix = np.zeros((most + 1, most + 1))
        self.size, self.beta = 0, np.inf

    def grow(self) -> None:
        """Add one product."""
        j, rows = self.size, len(self.vectors)
        w = np.array(self.product(self.vectors[j % rows]))
        if self.short:
            if j:
                w -= self.beta * self.vectors[(j - 1) % rows]
            self.matrix[j, j] = w @ self.vectors[j % rows]
            w -= self.matrix[j, j] * self.vectors[j % rows]
        else:
            self._orthogonalise(w)
        self.beta = self.matrix[j, j + 1] = self.matrix[j + 1, j] = float(np.linalg.norm(w))
        self.vectors[(j + 1) % rows] = w / max(self.beta, 1e-300)
        self.size += 1

    def _orthogonalise(self, w: np.ndarray) -> None:
        j, basis = self.size, self.vectors[: self.size + 1]
        for _ in range(2):
            overlaps = basis @ w
            w -= overlaps @ basis
            if self.locked is not None:
                w -= (self.locked @ w) @ self.locked
            self.matrix[j, j] += overlaps[j]

    @property
    def basis(self) -> np.ndarray:
        """Return the basis in rows, shape (size, dim)."""
        return self.vectors[: self.size]

    @property
    def projected(self) -> np.ndarray:
        """Return the operator on the space, tridiagonal, shape (size, size)."""
        return self.matrix[: self.size, : self.size]

    def is_complete(self, tol: float) -> bool:
        """Return whether the space is invariant: what was left outside is below ``tol`` times the operator."""
        return self.beta <= tol * float(np.abs(self.projected).max())

    def ritz(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the eigenvalues of the operator on the space, ascending, and its eigenvectors in that basis."""
        return np.linalg.eigh(self.projected)
