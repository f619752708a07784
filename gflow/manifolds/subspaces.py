"""Omega_k and its parts omega_k as linear subspaces of parameter space, at any depth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow import watch
from gflow.manifolds.linear import Subspace
from gflow.plain import ReadOnly

if TYPE_CHECKING:
    from gflow.objective import Objective


@dataclass(frozen=True, eq=False)
class Manifold(Subspace, ReadOnly):
    """The closure of Omega_k, or of a sub-Omega_k: a linear subspace that the gradient flow does not leave.

    Attributes
    ----------
    model : Factorization
    Q : (r, k) or (L - 1, r, k) array, read-only
        Orthonormal basis of the common span of row(A) and col(B); at depth L >= 3 one basis for each inner space,
        of row(Wj) and col(W(j+1)).
    active : (d1 + d2,) bool array, read-only
        The rows, then the columns of W that take part: all of them for Omega_k, those of one component for omega_k.

    Bai et al. 2024, Propositions 1 and 2; docs/develop/mathematics.md, section 12, for more than two factors.
    """

    model: Any
    Q: np.ndarray
    active: np.ndarray

    @property
    def k(self) -> int:
        """Return the largest rank of W on the manifold (before the component limits it)."""
        return self.Q.shape[-1]

    @cached_property
    def _counts(self) -> tuple[int, int]:
        """The numbers of rows and columns that take part."""
        d1 = self.model.shape[0]
        return int(self.active[:d1].sum()), int(self.active[d1:].sum())

    @cached_property
    def _is_whole(self) -> bool:
        return bool(self.active.all())

    @property
    def bases(self) -> tuple[np.ndarray, ...]:
        """Return the L - 1 bases, each (r, k)."""
        return tuple(self.Q if self.Q.ndim == 3 else self.Q[None])

    @property
    def dim(self) -> int:
        """Return the dimension of the subspace, k times the number of active rows and columns, and (L - 2) k^2."""
        return self.k * int(self.active.sum()) + (self.model.depth - 2) * self.k**2

    def project(self, theta: np.ndarray) -> np.ndarray:
        """Return the point of the manifold nearest to theta, shape (dim,)."""
        return self.embed(*self.reduced(theta))

    def reduced(self, theta: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return (A Q, Q^T B) on the active rows and columns, shapes (|I|, k) and (k, |J|).

        At depth L: (W1 Q1, Q1^T W2 Q2, ..., Q_(L-1)^T WL), those between of shape (k, k).
        """
        d1, factors, bases = self.model.shape[0], list(self.model.factors(theta)), self.bases
        factors[0], factors[-1] = factors[0][self.active[:d1]], factors[-1][:, self.active[d1:]]
        for j, Q in enumerate(bases):
            factors[j], factors[j + 1] = factors[j] @ Q, Q.T @ factors[j + 1]
        return tuple(factors)

    def embed(self, *parts: np.ndarray) -> np.ndarray:
        """Return theta with A = a Q^T and B = Q b on the active rows and columns and 0 elsewhere, shape (dim,).

        At depth L the parts are those of ``reduced``; ``ValueError`` for other shapes.
        """
        d1, k, depth = self.model.shape[0], self.k, self.model.depth
        (n_rows, n_columns), rows, columns = self._counts, self.active[:d1], self.active[d1:]
        expected = ((n_rows, k), *((k, k),) * (depth - 2), (k, n_columns))
        found = tuple(np.shape(part) for part in parts)
        if found != expected:
            names = "a and b" if depth == 2 else "the parts"
            raise ValueError(f"{names} must have shapes {_listed(expected)}; got {_listed(found)}")
        factors = [np.asarray(part) for part in parts]
        for j, Q in enumerate(self.bases):
            factors[j], factors[j + 1] = factors[j] @ Q.T, Q @ factors[j + 1]
        if self._is_whole:
            return self.model.theta(*factors)
        wide = [np.zeros(layer) for layer in self.model.layers]
        wide[0][rows], wide[-1][:, columns] = factors[0], factors[-1]
        return self.model.theta(wide[0], *factors[1:-1], wide[-1])

    def growth_at(self, objective: Objective, point: np.ndarray) -> float:
        """Return the largest eigenvalue of -Hessian on the normal space at a point of the manifold.

        On Omega_k it is (2/n) sigma_1(E) at depth two, where the whole space is 0.
        """
        watch.tick()
        if objective.drive is not None and self._is_whole and self.k < self.model.rank:  # columns that are 0 there
            return float(np.linalg.eigvalsh(objective.drive(point)(np.eye(len(self.active))))[-1])
        N = self._normal_directions
        if not N.shape[1]:
            return 0.0
        H = N.T @ np.column_stack([objective.hvp(point, v) for v in N.T])
        return float(np.linalg.eigvalsh(-(H + H.T) / 2)[-1])

    @cached_property
    def _normal_directions(self) -> np.ndarray:
        """Orthonormal normal vectors in columns; at depth two every row and column of W times one w orthogonal to Q
        (rotating w within the complement changes no rate), and the inactive ones times Q."""
        if self.model.depth != 2:
            outside = np.column_stack([v - self.project(v) for v in np.eye(self.model.dim)])
            values, vectors = np.linalg.eigh(outside)
            return vectors[:, values > 0.5]
        rows, r = len(self.active), self.model.rank
        spans = [np.kron(np.eye(rows)[:, ~self.active], self.Q)]
        if self.k < r:
            w = np.linalg.qr(self.Q, mode="complete")[0][:, self.k :][:, :1]
            spans.append(np.kron(np.eye(rows), w))
        stacked = np.hstack(spans)
        order = self.model.unstacked(np.arange(rows * r, dtype=float).reshape(rows, r)).astype(int)
        return stacked[order]

    def __repr__(self) -> str:
        whole = "Omega" if self.active.all() else f"omega on {int(self.active.sum())} rows and columns"
        return f"Manifold({whole}, k={self.k}, dim={self.dim})"


def _listed(shapes: Any) -> str:
    *most, last = map(str, shapes or ("nothing",))
    return f"{', '.join(most)} and {last}" if most else last


def omega(model: Any, Q: Any) -> Manifold:
    """Return the closure of Omega_k(Q), all theta with row(A) and col(B) inside the span of Q.

    Parameters
    ----------
    model : Factorization
    Q : (r, k) array, or at depth L >= 3 one for each of the L - 1 inner spaces, (L - 1, r, k)
        Orthonormal columns: |Q^T Q - I| <= 1e-12 in every entry.

    Raises ``ValueError`` for a Q of another shape or not orthonormal, and for a model of one factor.
    """
    return sub_omega(model, Q, range(model.shape[0]), range(model.shape[1]))


def sub_omega(model: Any, Q: Any, rows: Iterable[int], columns: Iterable[int]) -> Manifold:
    """Return the closure of omega_k(Q) on one component: Omega_k(Q) with a_i = 0 and b_j = 0 outside the component.

    Parameters
    ----------
    model : Factorization
    Q : (r, k) array, or at depth L >= 3 one for each of the L - 1 inner spaces, (L - 1, r, k)
        Orthonormal columns: |Q^T Q - I| <= 1e-12 in every entry.
    rows, columns : int
        The component, counted from 0.

    Raises ``ValueError`` for a Q of another shape or not orthonormal, a row or column out of range, and for a model of
    one factor. At depth three and more it is invariant, but components do not evolve independently of one another.
    """
    if model.depth < 2:
        raise ValueError("Omega_k needs at least two factors; got depth 1")
    Q, several = np.array(Q, dtype=float), model.depth > 2
    lead = (model.depth - 1,) if several else ()
    if Q.shape[:-1] != (*lead, model.rank) or Q.shape[-1] > model.rank:
        shape = f"({model.depth - 1}, r, k)" if several else "(r, k)"
        raise ValueError(f"Q must have shape {shape} with r = {model.rank} and k <= r; got {Q.shape}")
    off = float(np.abs(Q.mT @ Q - np.eye(Q.shape[-1])).max(initial=0.0))
    if not off <= 1e-12:
        raise ValueError(f"Q must have orthonormal columns; Q^T Q differs from the identity by {off:.3g}")
    active = np.zeros(sum(model.shape), dtype=bool)
    for name, chosen, length, offset in zip(
        ("rows", "columns"), (rows, columns), model.shape, (0, model.shape[0]), strict=True
    ):
        indices = [int(index) for index in chosen]
        if any(not 0 <= index < length for index in indices):
            raise ValueError(f"{name} must lie between 0 and {length - 1}; got {indices}")
        active[[offset + index for index in indices]] = True
    return Manifold(model, Q, active)
