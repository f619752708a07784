"""The factorisation W = A B."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gflow.models.protocol import checked_shape, positive, positive_scale


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
        object.__setattr__(self, "shape", checked_shape(shape))
        object.__setattr__(self, "rank", positive(min(self.shape) if rank is None else rank, "rank"))

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

    def mirror(self, theta: np.ndarray) -> np.ndarray:
        """Return the parameters with A and B^T exchanged, those of W^T, for a square W."""
        A, B = self.factors(theta)
        return self.theta(B.T, A.T)

    @property
    def signature(self) -> np.ndarray:
        """Return the signs s, shape (d1 + d2,), with A^T A - B B^T = Z^T diag(s) Z for Z = [A; B^T]."""
        return np.repeat([1.0, -1.0], self.shape)

    def drive(self, G: Any) -> Callable[[np.ndarray], np.ndarray]:
        """Return Z -> -[[0, G], [G^T, 0]] Z: how columns of [A; B^T] move where dR/dW = G, shapes (d1 + d2, m)."""
        cut = self.shape[0]
        return lambda Z: -np.concatenate([G @ Z[cut:], G.T @ Z[:cut]])

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

    def masked_gradient(self, curvature: np.ndarray, target: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Return theta -> pullback(theta, curvature o A B - target): the gradient of a masked loss with less overhead.

        ``curvature`` and ``target`` are (d1, d2) arrays, (2/n) P and (2/n) P o M for matrix completion.
        """
        (d1, d2), r = self.shape, self.rank
        cut, dim = d1 * r, self.dim

        def gradient(theta: np.ndarray) -> np.ndarray:
            A, B = theta[:cut].reshape(d1, r), theta[cut:].reshape(r, d2)
            G = A.dot(B)
            G *= curvature
            G -= target
            result = np.empty(dim)
            G.dot(B.T, out=result[:cut].reshape(d1, r))
            A.T.dot(G, out=result[cut:].reshape(r, d2))
            return result

        return gradient

    def masked_deviation(
        self, center: np.ndarray, curvature: np.ndarray, G: np.ndarray
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Return delta -> gradient(center + delta) - gradient(center) of a masked loss, without cancellation.

        ``G`` is dR/dW at the center. With dE = curvature o (dA (B + dB) + A dB) and S = G + dE the difference is
        (dE B^T + S dB^T, A^T dE + dA^T S).
        """
        (d1, d2), r = self.shape, self.rank
        cut, dim = d1 * r, self.dim
        A, B = (factor.copy() for factor in self.factors(center))
        At, Bt = A.T.copy(), B.T.copy()

        def gradient(delta: np.ndarray) -> np.ndarray:
            dA, dB = delta[:cut].reshape(d1, r), delta[cut:].reshape(r, d2)
            dE = dA.dot(B + dB)
            dE += A.dot(dB)
            dE *= curvature
            S = G + dE
            result = np.empty(dim)
            left, right = result[:cut].reshape(d1, r), result[cut:].reshape(r, d2)
            dE.dot(Bt, out=left)
            left += S.dot(dB.T)
            At.dot(dE, out=right)
            right += dA.T.dot(S)
            return result

        return gradient

    def random(self, rng: np.random.Generator, scale: float = 1.0) -> np.ndarray:
        """Return ``scale * rng.standard_normal(dim)``; a small scale is the paper's small initialisation."""
        return positive_scale(scale) * rng.standard_normal(self.dim)
