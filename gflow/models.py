"""Models: how a flat parameter vector theta becomes a matrix W, and the chain rule through that map.

Every model offers ``matrix`` (theta -> W), ``tangent`` (its derivative), ``pullback`` (the adjoint of the derivative)
and ``bend`` (the derivative of ``pullback`` in theta). ``objective`` composes them with any problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np


class Model(Protocol):
    """What ``Objective.of`` needs of a model; theta and its variations are flat arrays of shape (dim,)."""

    shape: tuple[int, int]
    degree: int
    """W is homogeneous of this degree in theta: theta scales as s^(1/degree) when M is multiplied by s."""

    @property
    def dim(self) -> int:
        """Return the number of parameters."""

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return W(theta), shape (d1, d2)."""

    def tangent(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return the derivative of W at theta along ``variation``, shape (d1, d2)."""

    def pullback(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the adjoint of ``tangent`` at theta applied to G, shape (dim,)."""

    def bend(self, variation: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the derivative of ``pullback(theta, G)`` in theta along ``variation``, shape (dim,)."""

    def increment(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return W(theta + variation) - W(theta) without cancellation, shape (d1, d2)."""

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """Return the derivative of W at theta, shape (d1, d2, dim)."""

    def bend_matrix(self, G: np.ndarray) -> np.ndarray:
        """Return the matrix of ``bend(., G)``, shape (dim, dim)."""


@dataclass(frozen=True)
class Factorization:
    """The factorisation W = A B with A (d1, r) and B (r, d2); theta is A row-major, then B row-major.

    Parameters
    ----------
    shape : (d1, d2)
    rank : int, optional
        The inner width r. Default min(d1, d2): full width, no constraint on the rank of W.

    Raises
    ------
    ValueError
        If a dimension or the width is not a positive integer.

    A and B scale as sqrt(s) when M is multiplied by s. Bai et al. 2024, section 3.
    """

    shape: tuple[int, int]
    rank: int
    degree: ClassVar[int] = 2

    def __init__(self, shape: tuple[int, int], rank: int | None = None) -> None:
        object.__setattr__(self, "shape", _shape(shape))
        object.__setattr__(self, "rank", _positive(min(self.shape) if rank is None else rank, "rank"))

    @property
    def dim(self) -> int:
        """Return r (d1 + d2)."""
        return self.rank * (self.shape[0] + self.shape[1])

    def factors(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (A, B), shapes (d1, r) and (r, d2), as views of theta (leading axes of theta are kept)."""
        (d1, d2), r = self.shape, self.rank
        cut, lead = d1 * r, theta.shape[:-1]
        return theta[..., :cut].reshape(*lead, d1, r), theta[..., cut:].reshape(*lead, r, d2)

    def theta(self, A: np.ndarray, B: np.ndarray) -> np.ndarray:
        """Return the flat parameter of shape (dim,) that holds the factors A and B."""
        A, B = np.asarray(A, dtype=float), np.asarray(B, dtype=float)
        expected = (self.shape[0], self.rank), (self.rank, self.shape[1])
        if (A.shape, B.shape) != expected:
            raise ValueError(f"A and B must have shapes {expected[0]} and {expected[1]}; got {A.shape} and {B.shape}")
        return np.concatenate([A.ravel(), B.ravel()])

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return W = A B, shape (d1, d2) (leading axes of theta are kept)."""
        A, B = self.factors(theta)
        return A @ B

    def tangent(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return dW = dA B + A dB, shape (d1, d2)."""
        (A, B), (dA, dB) = self.factors(theta), self.factors(variation)
        return dA @ B + A @ dB

    def pullback(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return (G B^T, A^T G) as a flat array of shape (dim,) (leading axes are kept)."""
        A, B = self.factors(theta)
        result = np.empty(theta.shape)
        left, right = self.factors(result)
        np.matmul(G, B.mT, out=left)
        np.matmul(A.mT, G, out=right)
        return result

    def bend(self, variation: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return (G dB^T, dA^T G): ``pullback`` is linear in theta."""
        return self.pullback(variation, G)

    def increment(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return W(theta + variation) - W(theta) = dA (B + dB) + A dB, shape (d1, d2)."""
        (A, B), (dA, dB) = self.factors(theta), self.factors(variation)
        return dA @ (B + dB) + A @ dB

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """Return the derivative of W at theta, shape (d1, d2, dim)."""
        (d1, d2), r = self.shape, self.rank
        A, B = self.factors(theta)
        J = np.zeros((d1, d2, self.dim))
        left, right = J[:, :, : d1 * r].reshape(d1, d2, d1, r), J[:, :, d1 * r :].reshape(d1, d2, r, d2)
        rows, columns = np.arange(d1), np.arange(d2)
        left[rows, :, rows, :] = B.T
        right[:, columns, :, columns] = A
        return J

    def bend_matrix(self, G: np.ndarray) -> np.ndarray:
        """Return the matrix of ``bend(., G)``, shape (dim, dim): blocks G (x) I couple A and B."""
        (d1, d2), r = self.shape, self.rank
        cut = d1 * r
        H = np.zeros((self.dim, self.dim))
        inner = np.arange(r)
        upper, lower = H[:cut, cut:].reshape(d1, r, r, d2), H[cut:, :cut].reshape(r, d2, d1, r)
        upper[:, inner, inner, :] = G[:, None, :]
        lower[inner, :, :, inner] = G.T
        return H

    def stacked(self, theta: np.ndarray) -> np.ndarray:
        """Return [A; B^T], shape (d1 + d2, r): one row for each row and column of W."""
        A, B = self.factors(theta)
        return np.concatenate([A, B.mT], axis=-2)

    def unstacked(self, Z: np.ndarray) -> np.ndarray:
        """Return the flat parameter whose ``stacked`` form is Z, shape (d1 + d2, r)."""
        return self.theta(Z[: self.shape[0]], Z[self.shape[0] :].T)

    def conserved(self, theta: np.ndarray) -> np.ndarray:
        """Return A^T A - B B^T, shape (r r,), constant along every gradient flow (leading axes are kept)."""
        A, B = self.factors(theta)
        return (A.mT @ A - B @ B.mT).reshape(*theta.shape[:-1], self.rank**2)

    def gauge_dimension(self, theta: np.ndarray, rank_tol: float = 1e-6) -> int:
        """Return the dimension of the GL(r) orbit of theta, r^2 - (r - rank A)(r - rank B).

        Ranks count singular values above ``rank_tol`` times the largest of A and B.
        """
        A, B = self.factors(theta)
        a, b = (np.linalg.svd(factor, compute_uv=False) for factor in (A, B))
        largest = max(a[0], b[0])
        rank_a, rank_b = (int(np.sum(s > rank_tol * largest)) for s in (a, b))
        return self.rank**2 - (self.rank - rank_a) * (self.rank - rank_b)

    def random(self, rng: np.random.Generator, scale: float = 1.0) -> np.ndarray:
        """Return ``scale * rng.standard_normal(dim)``; a small scale is the paper's small initialisation."""
        return _positive_scale(scale) * rng.standard_normal(self.dim)


@dataclass(frozen=True)
class DirectMatrix:
    """The linear model W = theta without factors; its flow tends to the interpolant nearest to W(0).

    Raises ``ValueError`` if a dimension is not a positive integer.
    """

    shape: tuple[int, int]
    degree: ClassVar[int] = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _shape(self.shape))

    @property
    def dim(self) -> int:
        """Return d1 d2."""
        return self.shape[0] * self.shape[1]

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return W, shape (d1, d2) (leading axes of theta are kept)."""
        return theta.reshape(*theta.shape[:-1], *self.shape)

    def tangent(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return dW, shape (d1, d2)."""
        return variation.reshape(self.shape)

    def pullback(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return G as a flat array of shape (dim,) (leading axes are kept)."""
        return G.reshape(theta.shape)

    def bend(self, variation: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return zeros: the model is linear."""
        return np.zeros(self.dim)

    def increment(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return dW, shape (d1, d2)."""
        return variation.reshape(self.shape)

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """Return the identity, shape (d1, d2, d1 d2)."""
        return np.eye(self.dim).reshape(*self.shape, self.dim)

    def bend_matrix(self, G: np.ndarray) -> np.ndarray:
        """Return zeros, shape (dim, dim)."""
        return np.zeros((self.dim, self.dim))

    def random(self, rng: np.random.Generator, scale: float = 1.0) -> np.ndarray:
        """Return ``scale * rng.standard_normal(dim)``."""
        return _positive_scale(scale) * rng.standard_normal(self.dim)


def _positive(value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a positive integer; got {value!r}")
    return int(value)


def _shape(shape: tuple[int, int]) -> tuple[int, int]:
    if len(shape) != 2:
        raise ValueError(f"shape must be (d1, d2); got {shape!r}")
    return _positive(shape[0], "d1"), _positive(shape[1], "d2")


def _positive_scale(scale: float) -> float:
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be a positive finite number; got {scale!r}")
    return float(scale)
