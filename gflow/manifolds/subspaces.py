"""Omega_k and its parts omega_k as linear subspaces of parameter space."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow import watch

if TYPE_CHECKING:
    from gflow.objective import Objective


@dataclass(frozen=True, eq=False)
class Manifold:
    """The closure of Omega_k, or of a sub-Omega_k: a linear subspace that the gradient flow does not leave.

    Attributes
    ----------
    model : Factorization
    Q : (r, k) array, read-only
        Orthonormal basis of the common span of row(A) and col(B).
    active : (d1 + d2,) bool array, read-only
        The rows, then the columns of W that take part: all of them for Omega_k, those of one component for omega_k.

    Bai et al. 2024, Propositions 1 and 2.
    """

    model: Any
    Q: np.ndarray
    active: np.ndarray

    def __post_init__(self) -> None:
        self.Q.setflags(write=False)
        self.active.setflags(write=False)

    @property
    def k(self) -> int:
        """Return the largest rank of W on the manifold (before the component limits it)."""
        return self.Q.shape[1]

    @property
    def dim(self) -> int:
        """Return the dimension of the subspace, k times the number of active rows and columns."""
        return self.k * int(self.active.sum())

    def project(self, theta: np.ndarray) -> np.ndarray:
        """Return the point of the manifold nearest to theta, shape (dim,)."""
        Z = self.model.stacked(theta)
        return self.model.unstacked(self.active[:, None] * (Z @ self.Q @ self.Q.T))

    def distance(self, theta: np.ndarray) -> float:
        """Return the distance of theta to the manifold; scales as sqrt(s) when M is multiplied by s."""
        return float(np.linalg.norm(theta - self.project(theta)))

    def reduced(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (a, b) = (A Q, Q^T B) on the active rows and columns, shapes (|I|, k) and (k, |J|)."""
        d1 = self.model.shape[0]
        A, B = self.model.factors(theta)
        return A[self.active[:d1]] @ self.Q, self.Q.T @ B[:, self.active[d1:]]

    def embed(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return theta with A = a Q^T and B = Q b on the active rows and columns and 0 elsewhere, shape (dim,)."""
        d1 = self.model.shape[0]
        expected = (int(self.active[:d1].sum()), self.k), (self.k, int(self.active[d1:].sum()))
        if (np.shape(a), np.shape(b)) != expected:
            raise ValueError(
                f"a and b must have shapes {expected[0]} and {expected[1]}; got {np.shape(a)} and {np.shape(b)}"
            )
        Z = np.zeros((len(self.active), self.model.rank))
        Z[self.active] = np.concatenate([np.asarray(a), np.asarray(b).T]) @ self.Q.T
        return self.model.unstacked(Z)

    def defect(self, objective: Objective, theta: np.ndarray) -> float:
        """Return |normal part of the gradient| / |gradient| at the point of the manifold nearest to theta.

        Zero up to rounding where the flow preserves the manifold, and 0.0 where the gradient vanishes. Near a critical
        point the ratio magnifies rounding: ask at generic points.
        """
        gradient = objective.gradient(self.project(theta))
        size = float(np.abs(gradient).max())
        if size == 0.0:
            return 0.0
        return self.distance(gradient / size) / float(np.linalg.norm(gradient / size))

    def normal_growth(self, objective: Objective, theta: np.ndarray) -> float:
        """Return the largest eigenvalue of -Hessian on the normal space at the point nearest to theta.

        A small distance to the manifold grows at this rate. On Omega_k it is (2/n) sigma_1(E), on the whole space 0.
        Scales as s when M is multiplied by s.
        """
        watch.tick()
        N, point = self._normal_directions, self.project(theta)
        if not N.shape[1]:
            return 0.0
        H = N.T @ np.column_stack([objective.hvp(point, v) for v in N.T])
        return float(np.linalg.eigvalsh(-(H + H.T) / 2)[-1])

    @cached_property
    def _normal_directions(self) -> np.ndarray:
        """Orthonormal normal vectors in columns: every row and column of W times one w orthogonal to Q (rotating w
        within the complement changes no rate), and the inactive ones times Q."""
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


def omega(model: Any, Q: np.ndarray) -> Manifold:
    """Return the closure of Omega_k(Q), all theta with row(A) and col(B) inside the span of Q.

    Parameters
    ----------
    model : Factorization
    Q : (r, k) array
        Orthonormal columns: |Q^T Q - I| <= 1e-12 in every entry.

    Raises ``ValueError`` for a Q of another shape or not orthonormal.
    """
    return sub_omega(model, Q, range(model.shape[0]), range(model.shape[1]))


def sub_omega(model: Any, Q: np.ndarray, rows: Iterable[int], columns: Iterable[int]) -> Manifold:
    """Return the closure of omega_k(Q) on one component: Omega_k(Q) with a_i = 0 and b_j = 0 outside the component.

    Parameters
    ----------
    model : Factorization
    Q : (r, k) array
        Orthonormal columns: |Q^T Q - I| <= 1e-12 in every entry.
    rows, columns : int
        The component, counted from 0.

    Raises ``ValueError`` for a Q of another shape or not orthonormal, or a row or column out of range.
    """
    Q = np.array(Q, dtype=float)
    if Q.ndim != 2 or Q.shape[0] != model.rank or Q.shape[1] > model.rank:
        raise ValueError(f"Q must have shape (r, k) with r = {model.rank} and k <= r; got {Q.shape}")
    off = float(np.abs(Q.T @ Q - np.eye(Q.shape[1])).max(initial=0.0))
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
