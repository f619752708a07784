"""The symmetric factorisation X = U U^T."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gflow.checks import positive
from gflow.models.protocol import normal_start, positive_number


@dataclass(frozen=True, init=False)
class SymmetricFactorization:
    """The model X = U U^T with U (d, r); theta is U row-major.

    Parameters
    ----------
    size : int
        d, the order of X.
    rank : int, optional
        The width r. Default d: no constraint on the rank of X.

    Raises ``ValueError`` unless both are positive integers. U scales as sqrt(s) when X is multiplied by s. The problem
    may hold any measurements: X sees their symmetric parts. Gunasekar et al. 2017, section 2.
    """

    size: int
    rank: int
    degree: ClassVar[int] = 2
    broadcasts: ClassVar[bool] = True

    def __init__(self, size: int, rank: int | None = None) -> None:
        object.__setattr__(self, "size", positive(size, "size"))
        object.__setattr__(self, "rank", positive(self.size if rank is None else rank, "rank"))

    @property
    def shape(self) -> tuple[int, int]:
        """Return (d, d), the shape of X."""
        return self.size, self.size

    @property
    def dim(self) -> int:
        """Return d r."""
        return self.size * self.rank

    def factor(self, theta: np.ndarray) -> np.ndarray:
        """Return U, shape (d, r), as a view of theta (leading axes of theta are kept)."""
        return theta.reshape(*theta.shape[:-1], self.size, self.rank)

    def output(self, theta: np.ndarray) -> np.ndarray:
        """Return X = U U^T, shape (d, d) (leading axes of theta are kept)."""
        U = self.factor(theta)
        return U @ U.mT

    def tangent(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return dX = dU U^T + U dU^T, shape (d, d)."""
        half = self.factor(variation) @ self.factor(theta).mT
        return half + half.mT

    def pullback(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return (G + G^T) U as a flat array of shape (dim,) (leading axes are kept)."""
        return ((G + G.mT) @ self.factor(theta)).reshape(theta.shape)

    def bend(self, theta: np.ndarray, variation: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return (G + G^T) dU: ``pullback`` is linear in theta."""
        return self.pullback(variation, G)

    def increment(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return X(theta + variation) - X(theta) = dU U^T + U dU^T + dU dU^T, shape (d, d)."""
        U, dU = self.factor(theta), self.factor(variation)
        half = dU @ (U + dU / 2).mT
        return half + half.mT

    def stacked(self, theta: np.ndarray) -> np.ndarray:
        """Return U, shape (d, r): one row for each row of X."""
        return self.factor(theta)

    def drive(self, G: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Return Z -> -(G + G^T) Z: how columns of U move where dR/dX = G, shapes (d, m)."""
        K = -(G + G.T)
        return lambda Z: K @ Z

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """Return the derivative of X at theta, shape (d, d, dim)."""
        d, U = self.size, self.factor(theta)
        J = np.zeros((d, d, d, self.rank))
        index = np.arange(d)
        J[index, :, index, :] += U
        J[:, index, index, :] += U[:, None, :]
        return J.reshape(d, d, self.dim)

    def bend_matrix(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the matrix of ``bend(theta, ., G)``, (G + G^T) (x) I, shape (dim, dim)."""
        return np.kron(G + G.T, np.eye(self.rank))

    def gauge_dimension(self, theta: np.ndarray, rank_tol: float = 1e-6) -> int:
        """Return the dimension of the O(r) orbit of theta, r (r - 1) / 2 - (r - k)(r - k - 1) / 2 at rank k.

        The rank counts singular values of U above ``rank_tol`` times the largest.
        """
        sizes = np.linalg.svd(self.factor(theta), compute_uv=False)
        free = self.rank - int(np.sum(sizes > rank_tol * sizes[0]))
        return self.rank * (self.rank - 1) // 2 - free * (free - 1) // 2

    def random(self, rng: np.random.Generator | int, scale: float = 1.0) -> np.ndarray:
        """Return ``scale * rng.standard_normal(dim)``."""
        return normal_start(self.dim, rng, scale)

    def identity(self, scale: float = 1.0) -> np.ndarray:
        """Return theta with U = ``scale`` times the identity (its first r columns), so that X = scale^2 I."""
        return (positive_number(scale, "scale") * np.eye(self.size, self.rank)).ravel()
