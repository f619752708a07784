"""The factorisation W = W1 W2 ... WL; W = A B at depth two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import accumulate, pairwise
from typing import Any, ClassVar

import numpy as np

from gflow.checks import positive
from gflow.models.functions import checked_target, product_rank, rational_rank
from gflow.models.layers import (
    Factors,
    as_matrix,
    moved_products,
    orbit_dimension,
    products_after,
    products_before,
    sandwich,
)
from gflow.models.protocol import checked_shape, normal_start
from gflow.policy import EPS


@dataclass(frozen=True)
class Factorization:
    """The factorisation W = W1 W2 ... WL with L = ``depth`` factors; theta is W1 row-major, then W2, ... WL.

    Parameters
    ----------
    shape : (d1, d2)
    rank : int, optional
        The inner width r: W1 is (d1, r), WL is (r, d2), those between are (r, r). Default min(d1, d2): full width, no
        constraint on the rank of W.
    depth : int
        L, 2 for W = A B. Depth 1 is W = theta and takes no rank.

    Raises
    ------
    ValueError
        If a dimension, the width or the depth is not a positive integer, or a width is given at depth 1.

    Every factor scales as s^(1/L) when M is multiplied by s. Bai et al. 2024, section 3; Arora et al. 2019 for depth.
    """

    shape: tuple[int, int]
    rank: int
    depth: int
    broadcasts: ClassVar[bool] = True

    def __init__(self, shape: tuple[int, int], rank: int | None = None, depth: int = 2) -> None:
        object.__setattr__(self, "shape", checked_shape(shape))
        object.__setattr__(self, "depth", positive(depth, "depth"))
        full = min(self.shape)
        if depth == 1 and rank not in (None, full):
            raise ValueError(f"depth 1 has no inner width: leave rank out; got {rank!r}")
        object.__setattr__(self, "rank", positive(full if rank is None else rank, "rank"))

    def __repr__(self) -> str:
        deep = "" if self.depth == 2 else f", depth={self.depth}"
        return f"Factorization(shape={self.shape}, rank={self.rank}{deep})"

    @property
    def degree(self) -> int:
        """Return L: W is homogeneous of this degree in theta."""
        return self.depth

    @cached_property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """Return the shapes of W1, ..., WL."""
        sides = (self.shape[0], *(self.rank,) * (self.depth - 1), self.shape[1])
        return tuple(pairwise(sides))

    @cached_property
    def _bounds(self) -> tuple[tuple[int, int], ...]:
        return tuple(pairwise(accumulate((m * n for m, n in self.layers), initial=0)))

    @cached_property
    def _pieces(self) -> tuple[tuple[int, int, tuple[int, int]], ...]:
        return tuple((*bounds, layer) for bounds, layer in zip(self._bounds, self.layers, strict=True))

    @cached_property
    def dim(self) -> int:
        """Return the number of parameters, r (d1 + d2) + (L - 2) r^2."""
        return self._bounds[-1][1]

    def factors(self, theta: np.ndarray) -> Factors:
        """Return (W1, ..., WL) as views of theta (leading axes of theta are kept); (A, B) at depth two."""
        if theta.ndim == 1:
            return tuple([theta[first:last].reshape(layer) for first, last, layer in self._pieces])
        lead = theta.shape[:-1]
        return tuple([theta[..., first:last].reshape(lead + layer) for first, last, layer in self._pieces])

    def theta(self, *factors: Any) -> np.ndarray:
        """Return the flat parameter of shape (dim,) that holds the factors; ``ValueError`` if a shape is another."""
        arrays = [np.asarray(factor, dtype=float) for factor in factors]
        found = tuple(array.shape for array in arrays)
        if found != self.layers:
            names = "A and B" if self.depth == 2 else "the factors"
            raise ValueError(f"{names} must have shapes {_listed(self.layers)}; got {_listed(found)}")
        return np.concatenate([array.ravel() for array in arrays])

    def output(self, theta: np.ndarray) -> np.ndarray:
        """Return W = W1 ... WL, shape (d1, d2) (leading axes of theta are kept)."""
        return reduce(np.matmul, self.factors(theta))

    def tangent(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return dW, the sum over j of W1 ... dWj ... WL, shape (d1, d2)."""
        factors = self.factors(theta)
        return moved_products(factors, self.factors(variation), factors)[-1]

    def increment(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return W(theta + variation) - W(theta) without cancellation, shape (d1, d2); dA (B + dB) + A dB for L = 2."""
        return moved_products(self.factors(theta), self.factors(variation), self.factors(theta + variation))[-1]

    def pullback(self, theta: np.ndarray, G: Any) -> np.ndarray:
        """Return (W1 ... W_(j-1))^T G (W_(j+1) ... WL)^T for every j, shape (dim,); (G B^T, A^T G) for L = 2.

        Leading axes of theta are kept; G may be a sparse array.
        """
        factors, left = self.factors(theta), G
        result = np.empty(theta.shape)
        *inner, last = self.factors(result)
        for part, factor, after in zip(inner, factors, products_after(factors), strict=False):
            part[...] = left @ after.mT
            left = factor.mT @ left
        last[...] = left
        return result

    def bend(self, theta: np.ndarray, variation: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the derivative of ``pullback`` along ``variation``, shape (dim,); (G dB^T, dA^T G) for L = 2."""
        if self.depth == 2:
            return self.pullback(variation, G)
        result = np.zeros(np.broadcast_shapes(theta.shape, variation.shape))
        if self.depth == 1:
            return result
        factors, moves = self.factors(theta), self.factors(variation)
        left, right = products_before(factors), [*products_after(factors), None]
        forwards, backwards = factors[:-1], [factor.mT for factor in factors[:0:-1]]
        turned = moved_products(backwards, [move.mT for move in moves[:0:-1]], backwards)
        left_moves = [None, *moved_products(forwards, moves[:-1], forwards)]
        right_moves = [*(move.mT for move in turned[::-1]), None]
        for j, part in enumerate(self.factors(result)):
            if left_moves[j] is not None:
                part += sandwich(left_moves[j], G, right[j])
            if right_moves[j] is not None:
                part += sandwich(left[j], G, right_moves[j])
        return result

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """Return the derivative of W at theta, shape (d1, d2, dim)."""
        (d1, d2), factors = self.shape, self.factors(theta)
        J = np.zeros((d1, d2, self.dim), dtype=np.result_type(theta, float))
        sides = zip(self._pieces, products_before(factors), [*products_after(factors), None], strict=True)
        for (first, last, layer), before, after in sides:
            left, right = as_matrix(before, d1), as_matrix(after, d2)
            J[:, :, first:last].reshape(d1, d2, *layer)[:] = left[:, None, :, None] * right.T[None, :, None, :]
        return J

    def bend_matrix(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the matrix of ``bend(theta, ., G)``, shape (dim, dim).

        The factors j < k are coupled by (S_ad T_bc) for their entries (a, b) and (c, d), where S is the pullback of G
        to the left of j and to the right of k and T the product of the factors between them; S = G, T = I for L = 2.
        """
        factors = self.factors(theta)
        left, right = products_before(factors), [*products_after(factors), None]
        H = np.zeros((self.dim, self.dim))
        for k, (begin, end) in enumerate(self._bounds):
            between: np.ndarray | None = None
            for j in range(k - 1, -1, -1):
                first, last = self._bounds[j]
                S, T = sandwich(left[j], G, right[k]), as_matrix(between, self.layers[j][1])
                block = (S[:, None, None, :] * T[None, :, :, None]).reshape(last - first, end - begin)
                H[first:last, begin:end], H[begin:end, first:last] = block, block.T
                between = factors[j] if between is None else factors[j] @ between
        return H

    def conserved(self, theta: np.ndarray) -> np.ndarray:
        """Return Wj^T Wj - W_(j+1) W_(j+1)^T for j < L, shape ((L - 1) r^2,), constant along every gradient flow.

        Leading axes of theta are kept. Arora, Cohen and Hazan 2018, theorem 1.
        """
        gaps = [one.mT @ one - two @ two.mT for one, two in pairwise(self.factors(theta))]
        flat = [gap.reshape(*theta.shape[:-1], self.rank**2) for gap in gaps]
        return np.concatenate(flat, axis=-1) if flat else np.zeros((*theta.shape[:-1], 0))

    def outer_gaps(self, theta: np.ndarray, parts: Any) -> np.ndarray:
        """Return |W1[I]|^2 - |WL[:, J]|^2 for every (I, J) of ``parts``, rows and columns of W, shape (len(parts),).

        Constant along the flow of every loss whose gradient on W vanishes between I and the columns outside J and
        between J and the rows outside I, as for ``connectivity(problem).coupling_components``. Leading axes are kept.
        """
        factors = self.factors(theta)
        first, last = factors[0], factors[-1]
        gaps = [
            np.sum(first[..., list(rows), :] ** 2, axis=(-2, -1))
            - np.sum(last[..., :, list(columns)] ** 2, axis=(-2, -1))
            for rows, columns in parts
        ]
        return np.stack(gaps, axis=-1)

    def gauge_dimension(self, theta: np.ndarray, rank_tol: float = 1e-6) -> int:
        """Return the dimension of the orbit of theta under GL(r)^(L-1), Wj -> Xj^-1 Wj X_(j+1).

        For L = 2 it is r^2 - (r - rank A)(r - rank B), where ranks count singular values above ``rank_tol`` times the
        largest of A and B; for more factors the rank of (Wj X_(j+1) - Xj Wj)_j in the X, counted likewise.
        """
        factors = self.factors(theta)
        if self.depth != 2:
            return orbit_dimension(factors, self.rank, rank_tol)
        a, b = (np.linalg.svd(factor, compute_uv=False) for factor in factors)
        largest = max(a[0], b[0])
        rank_a, rank_b = (int(np.sum(s > rank_tol * largest)) for s in (a, b))
        return self.rank**2 - (self.rank - rank_a) * (self.rank - rank_b)

    def structural_rank(self, theta: np.ndarray) -> int | None:
        """Return d1 d2 - (d1 - rank A)(d2 - rank B), exactly for the doubles of theta; None at another depth than two.

        Zhang et al. 2022, arXiv 2211.11623, Proposition 1, for any d1, d2 and width.
        """
        return product_rank(*self.factors(theta)) if self.depth == 2 else None

    def sample_size(self, target: np.ndarray, tol: float | None = None) -> int | None:
        """Return rho (d1 + d2 - rho) for a matrix of rank rho; None above the width.

        rho is the rank of the exact doubles, and ``ValueError`` tells where that is another one up to rounding; with
        ``tol`` the number of singular values above tol times the largest. Zhang et al. 2023, arXiv 2307.08921, (20).
        """
        M = checked_target(target, self.shape)
        sizes = np.linalg.svd(M, compute_uv=False)
        seen = int(np.sum(sizes > (max(self.shape) * EPS if tol is None else tol) * sizes[0]))
        rho = rational_rank(M) if tol is None else seen
        if rho != seen:
            raise ValueError(f"target has rank {rho}, and {seen} up to rounding: give tol, or exact entries")
        return rho * (sum(self.shape) - rho) if self.depth == 2 and rho <= self.rank else None

    def stacked(self, theta: np.ndarray) -> np.ndarray:
        """Return [A; B^T], shape (d1 + d2, r): one row for each row and column of W, at depth two."""
        A, B = self.factors(theta)
        return np.concatenate([A, B.mT], axis=-2)

    def unstacked(self, Z: np.ndarray) -> np.ndarray:
        """Return the flat parameter whose ``stacked`` form is Z, shape (d1 + d2, r) (leading axes of Z are kept)."""
        A, B = Z[..., : self.shape[0], :], Z[..., self.shape[0] :, :].mT
        return np.concatenate([factor.reshape(*Z.shape[:-2], -1) for factor in (A, B)], axis=-1)

    def mirror(self, theta: np.ndarray) -> np.ndarray:
        """Return the parameters with the factors transposed in reverse order, those of W^T, for a square W."""
        return self.theta(*(factor.T for factor in self.factors(theta)[::-1]))

    @property
    def signature(self) -> np.ndarray:
        """Return the signs s, shape (d1 + d2,), with A^T A - B B^T = Z^T diag(s) Z for Z = [A; B^T]."""
        return np.repeat([1.0, -1.0], self.shape)

    def drive(self, G: Any) -> Callable[[np.ndarray], np.ndarray]:
        """Return Z -> -[[0, G], [G^T, 0]] Z: how columns of [A; B^T] move where dR/dW = G, shapes (d1 + d2, m)."""
        cut = self.shape[0]
        return lambda Z: -np.concatenate([G @ Z[cut:], G.T @ Z[:cut]])

    def random(self, rng: np.random.Generator | int, scale: float = 1.0) -> np.ndarray:
        """Return ``scale * rng.standard_normal(dim)``; a small scale is the paper's small initialisation."""
        return normal_start(self.dim, rng, scale)


def _listed(shapes: Any) -> str:
    *most, last = map(str, shapes)
    return f"{', '.join(most)} and {last}" if most else last
