"""Linear subspaces that a gradient flow keeps, for any model: what a symmetry fixes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.plain import ReadOnly

if TYPE_CHECKING:
    from gflow.objective import Objective


class Subspace(ABC):
    """A linear subspace of parameters, known by the nearest point to any other."""

    @abstractmethod
    def project(self, theta: np.ndarray) -> np.ndarray:
        """Return the nearest point, shape (dim,)."""

    @abstractmethod
    def growth_at(self, objective: Objective, point: np.ndarray) -> float:
        """Return the largest eigenvalue of -Hessian on the normal space at a point of the space."""

    def normal_growth(self, objective: Objective, theta: np.ndarray) -> float:
        """Return the largest eigenvalue of -Hessian on the normal space at the point nearest to theta.

        A small distance to the space grows at this rate. Scales as s^(2 - 2/L) when M is multiplied by s.
        """
        return self.growth_at(objective, self.project(theta))

    def distance(self, theta: np.ndarray) -> float:
        """Return the distance of theta, shape (dim,); scales as s^(1/L) when M is multiplied by s."""
        return float(np.linalg.norm(theta - self.project(theta)))

    def defect(self, objective: Objective, theta: np.ndarray) -> float:
        """Return |normal part of the gradient| / |gradient| at the point nearest to theta, 0.0 where that vanishes.

        Zero up to rounding where the flow keeps the space. Near a critical point the ratio magnifies rounding: ask at
        generic points.
        """
        gradient = objective.gradient(self.project(theta))
        size = float(np.abs(gradient).max())
        return self.distance(gradient / size) / float(np.linalg.norm(gradient / size)) if size else 0.0


@dataclass(frozen=True, eq=False)
class LinearSpace(Subspace, ReadOnly):
    """A linear subspace of parameters, which ``confinement`` takes as it takes a ``Manifold``.

    Attributes
    ----------
    basis : (dim, q) array, read-only
        Orthonormal columns.
    name : str
    """

    basis: np.ndarray
    name: str = "linear space"

    @property
    def dim(self) -> int:
        """Return q."""
        return self.basis.shape[1]

    def project(self, theta: np.ndarray) -> np.ndarray:
        """Return the nearest point, shape (..., dim)."""
        return (theta @ self.basis) @ self.basis.T

    def growth_at(self, objective: Objective, point: np.ndarray) -> float:
        """Return the largest eigenvalue of -Hessian on the normal space at a point of the space."""
        N = self._normal
        if not N.shape[1]:
            return 0.0
        H = N.T @ objective.hessian(point) @ N
        return float(np.linalg.eigvalsh(-(H + H.T) / 2)[-1])

    @cached_property
    def _normal(self) -> np.ndarray:
        return np.linalg.qr(self.basis, mode="complete")[0][:, self.dim :]

    def __repr__(self) -> str:
        return f"LinearSpace({self.name}, dim={self.dim})"


@dataclass(frozen=True, slots=True, eq=False)
class Condensed:
    """Networks of at most k distinct neurons that are not zero: a union of linear spaces that the flow keeps.

    Each neuron (a_i, w_i) is zero or one of k, up to the sign that leaves an odd or even activation in place: what
    permutations and signs of neurons fix. It is the counterpart of Omega_k, but there is no rotation of neurons, so it
    has no direction of escape from every start, and neurons with equal w and another ratio of a than +-1 do not stay.

    Attributes
    ----------
    model : TanhNetwork
    k : int
    """

    model: Any
    k: int

    def nearest(self, theta: np.ndarray) -> LinearSpace:
        """Return the space of the union nearest to theta, shape (dim,); ``ValueError`` unless that is finite."""
        theta = np.asarray(theta, dtype=float)
        if theta.shape != (self.model.dim,) or not np.isfinite(theta).all():
            raise ValueError(f"theta must be finite and of shape ({self.model.dim},); got shape {theta.shape}")
        neurons = self.model.neurons(theta)
        return min((self._space(labels) for labels in self._labels(len(neurons))), key=lambda s: s.distance(theta))

    def distance(self, theta: np.ndarray) -> float:
        """Return the distance of theta, shape (dim,), to the set."""
        return self.nearest(theta).distance(theta)

    def _labels(self, m: int) -> Iterator[tuple[int, ...]]:
        """Yield the class of every neuron, 0 for zero and -c for c with its sign changed; the first of a class is +."""
        signs = (1, -1) if self.model.activation.parity else (1,)

        def grown(found: tuple[int, ...], used: int) -> Iterator[tuple[int, ...]]:
            if len(found) == m:
                yield found
                return
            yield from grown((*found, 0), used)
            for c in range(1, used + 1):
                for sign in signs:
                    yield from grown((*found, sign * c), used)
            if used < self.k:
                yield from grown((*found, used + 1), used + 1)

        return grown((), 0)

    def _space(self, labels: tuple[int, ...]) -> LinearSpace:
        m, size = len(labels), self.model.dim // len(labels)
        flips = np.r_[float(self.model.activation.parity or 1), -np.ones(size - 1)]
        columns = []
        for c in sorted({abs(label) for label in labels} - {0}):
            members = [i for i in range(m) if abs(labels[i]) == c]
            for j in range(size):
                neurons = np.zeros((m, size))
                neurons[members, j] = [1.0 if labels[i] > 0 else flips[j] for i in members]
                columns.append(self.model.theta(neurons[:, 0], neurons[:, 1:]) / np.sqrt(len(members)))
        basis = np.column_stack(columns) if columns else np.zeros((self.model.dim, 0))
        return LinearSpace(basis, f"neurons in the classes {labels}")

    def __repr__(self) -> str:
        return f"Condensed({self.model}, k={self.k})"


MOST_NEURONS = 7
"""Up to this width all classes of neurons are tried."""


def condensed(model: Any, k: int) -> Condensed:
    """Return the set of networks of at most k distinct neurons (a, w), up to signs, that are not zero.

    Parameters
    ----------
    model : TanhNetwork
        Of at most 7 neurons: to find the nearest classes all are tried.
    k : int
        Between 0 and the width.

    Raises
    ------
    TypeError
        If the model has no neurons.
    ValueError
        If k or the width are out of range.
    """
    if not hasattr(model, "neurons"):
        raise TypeError(f"model must be a TanhNetwork; got {type(model).__name__}")
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 0 <= k <= model.width:
        raise ValueError(f"k must lie between 0 and the width {model.width}; got {k!r}")
    if model.width > MOST_NEURONS:
        raise ValueError(
            f"condensed tries all classes of neurons, for at most {MOST_NEURONS}; the width is {model.width}"
        )
    return Condensed(model, int(k))


def attention_space(model: Any, P: np.ndarray, R: np.ndarray) -> LinearSpace:
    """Return the invariant set of one head with rows of W_Q and W_K in the span of P, W_V and W_O^T in that of R.

    Parameters
    ----------
    model : Attention
        Of one head.
    P : (dk, k) array
        Orthonormal columns.
    R : (dv, l) array
        Orthonormal columns.

    Raises
    ------
    ValueError
        If there is more than one head, or P or R is not orthonormal or of another shape.

    The flow is equivariant under O(dk) x O(dv), W_Q U and W_K U, W_V U and U^T W_O.
    """
    if model.heads != 1:
        raise ValueError(f"the set is that of one head; the model has {model.heads}")
    P, R = np.atleast_2d(np.asarray(P, dtype=float)), np.atleast_2d(np.asarray(R, dtype=float))
    for name, span, rows in (("P", P, model.key_width), ("R", R, model.value_width)):
        if span.shape[0] != rows or span.shape[1] > rows:
            raise ValueError(f"{name} must have shape ({rows}, k) with k <= {rows}; got {span.shape}")
        off = float(np.abs(span.T @ span - np.eye(span.shape[1])).max(initial=0.0))
        if not off <= 1e-12:
            raise ValueError(f"{name} must have orthonormal columns; {name}^T {name} differs from 1 by {off:.3g}")
    keys, values, outputs = model.layers[0][0], model.layers[2][0], model.outputs
    blocks = [np.kron(np.eye(keys), P)] * 2 + [np.kron(np.eye(values), R), np.kron(R, np.eye(outputs))]
    basis = np.zeros((model.dim, sum(block.shape[1] for block in blocks)))
    row = column = 0
    for block in blocks:
        basis[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return LinearSpace(basis, f"ranks {P.shape[1]} of queries and keys, {R.shape[1]} of values and outputs")
