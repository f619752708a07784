"""Where critical orbits are looked for: factors by their rank, or the parameters of any objective.

A matrix W = A B (or U U^T) is critical at width r if and only if it is critical at its own rank: A^T G = 0 and
G B^T = 0 for the slope G of the loss on W. So orbits are sought rank by rank, in k (d1 + d2) variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from gflow.models import Factorization, SymmetricFactorization
from gflow.objective import Objective
from gflow.policy import TESTED_RANK_TOL

LARGEST_GROUP = 4096
"""Elements of a declared symmetry group up to which it is listed."""


class Space(Protocol):
    """What the search asks of a problem, in its own unit; ``k`` is a rank, 0 where there are none."""

    width: int

    def ranks(self) -> Sequence[int]:
        """Return the ranks at which there is something to search."""

    def objective(self, k: int) -> Objective:
        """Return the function whose critical points of rank k are sought."""

    def random(self, k: int, rng: np.random.Generator) -> np.ndarray:
        """Return a random start of that rank."""

    def reduced(self, k: int, theta: np.ndarray) -> tuple[int, np.ndarray]:
        """Return the rank of a point and its standard representative at that rank."""

    def place(self, k: int, theta: np.ndarray) -> np.ndarray:
        """Return what all points of one orbit share, a flat array."""

    def apart(self, one: np.ndarray, two: np.ndarray) -> float:
        """Return how far two places are from each other, up to the declared symmetries."""

    def gauge(self, k: int, theta: np.ndarray) -> int:
        """Return the dimension of the orbit of a point of rank k in the model of that rank."""

    def outside(self, k: int, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rates at which new columns grow, falling, and the columns, shapes (m,) and (m, m)."""

    def widened(self, k: int, theta: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a point with zero columns added, and the deviation that puts ``columns`` there."""

    def padded(self, k: int, theta: np.ndarray) -> np.ndarray:
        """Return a deviation at rank k with a zero column added."""

    def whole(self, k: int, theta: np.ndarray) -> np.ndarray:
        """Return the point in the model of full width."""


class FactorColumns:
    """The factors Z = [A; B^T], or U, of a model of degree two, with one column for each rank."""

    def __init__(self, problem: Any, model: Factorization | SymmetricFactorization) -> None:
        self.problem, self.model, self.width = problem, model, model.rank
        self._known: dict[int, tuple[Any, Objective]] = {}

    def ranks(self) -> Sequence[int]:
        """Return 1, ..., as far as width and shape allow."""
        return range(1, min(self.width, *self.model.shape) + 1)

    def narrow(self, k: int) -> Any:
        """Return the model of width k."""
        return self._pair(k)[0]

    def objective(self, k: int) -> Objective:
        """Return the loss at width k, at least one."""
        return self._pair(k)[1]

    def _pair(self, k: int) -> tuple[Any, Objective]:
        if k not in self._known:
            whole = self.model
            model: Any = Factorization(whole.shape, k)
            if isinstance(whole, SymmetricFactorization):
                model = SymmetricFactorization(whole.size, k)
            self._known[k] = model, Objective.of(self.problem, model)
        return self._known[k]

    def random(self, k: int, rng: np.random.Generator) -> np.ndarray:
        """Return Gaussian factors of a random size."""
        return self.narrow(k).random(rng, 10.0 ** rng.uniform(-0.8, 0.4))

    def reduced(self, k: int, theta: np.ndarray) -> tuple[int, np.ndarray]:
        """Return the rank of W and balanced factors of it: A^T A = B B^T diagonal and falling."""
        if k == 0:
            return 0, theta
        return self.factored(self.narrow(k).output(theta))

    def factored(self, W: np.ndarray) -> tuple[int, np.ndarray]:
        """Return the rank of a matrix and its balanced factors."""
        U, sizes, Vt = np.linalg.svd(W)
        k = min(int(np.sum(sizes > TESTED_RANK_TOL * max(1.0, sizes[0]))), self.width)
        if k == 0:
            return 0, np.zeros(0)
        A, B = U[:, :k] * np.sqrt(sizes[:k]), np.sqrt(sizes[:k])[:, None] * Vt[:k]
        Z = A if isinstance(self.model, SymmetricFactorization) else np.concatenate([A, B.T])
        return k, self._theta(k, Z)

    def _theta(self, k: int, Z: np.ndarray) -> np.ndarray:
        model = self.narrow(k)
        return Z.ravel() if isinstance(model, SymmetricFactorization) else model.unstacked(Z)

    def _columns(self, k: int, theta: np.ndarray) -> np.ndarray:
        m = self.model.size if isinstance(self.model, SymmetricFactorization) else sum(self.model.shape)
        return np.zeros((m, 0)) if k == 0 else self.narrow(k).stacked(theta)

    def place(self, k: int, theta: np.ndarray) -> np.ndarray:
        """Return W as a flat array."""
        return np.zeros(self.model.shape).ravel() if k == 0 else self.narrow(k).output(theta).ravel()

    def apart(self, one: np.ndarray, two: np.ndarray) -> float:
        """Return the largest difference of two entries."""
        return float(np.abs(one - two).max())

    def gauge(self, k: int, theta: np.ndarray) -> int:
        """Return k^2, or k (k - 1) / 2 for U U^T."""
        return k * (k - 1) // 2 if isinstance(self.model, SymmetricFactorization) else k * k

    def outside(self, k: int, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the eigenvalues and eigenvectors of Z -> -[[0, G], [G^T, 0]] Z, falling."""
        point = np.zeros(self.narrow(1).dim) if k == 0 else theta
        drive = self.objective(max(k, 1)).drive
        assert drive is not None
        m = len(self._columns(0, theta))
        values, vectors = np.linalg.eigh(drive(point)(np.eye(m)))
        return values[::-1], vectors[:, ::-1]

    def widened(self, k: int, theta: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return [Z, 0] and [0, columns] at width k + the number of columns."""
        Z, wide = self._columns(k, theta), k + columns.shape[1]
        center = self._theta(wide, np.hstack([Z, np.zeros_like(columns)]))
        return center, self._theta(wide, np.hstack([np.zeros_like(Z), columns]))

    def padded(self, k: int, theta: np.ndarray) -> np.ndarray:
        """Return [Z, 0] at width k + 1."""
        Z = self._columns(k, theta)
        return self._theta(k + 1, np.hstack([Z, np.zeros((len(Z), 1))]))

    def whole(self, k: int, theta: np.ndarray) -> np.ndarray:
        """Return the point with zero columns up to the full width."""
        Z = self._columns(k, theta)
        full = np.hstack([Z, np.zeros((len(Z), self.width - k))])
        return full.ravel() if isinstance(self.model, SymmetricFactorization) else self.model.unstacked(full)


class Parameters:
    """The parameters of an objective, up to a finite group of permutations and signs."""

    width = 0

    def __init__(self, objective: Objective, generators: Sequence[tuple[np.ndarray, np.ndarray]] = ()) -> None:
        self.inner = objective.normalized or objective
        self.root = objective.theta_unit / self.inner.theta_unit
        self.group = group(objective.dim, generators)

    def ranks(self) -> Sequence[int]:
        """Return the one level there is."""
        return (0,)

    def objective(self, k: int) -> Objective:
        """Return the objective in its own unit."""
        return self.inner

    def random(self, k: int, rng: np.random.Generator) -> np.ndarray:
        """Return a Gaussian point of a random size."""
        return 10.0 ** rng.uniform(-0.8, 0.6) * self.inner.theta_unit * rng.standard_normal(self.inner.dim)

    def reduced(self, k: int, theta: np.ndarray) -> tuple[int, np.ndarray]:
        """Return the point as it is."""
        return 0, theta

    def place(self, k: int, theta: np.ndarray) -> np.ndarray:
        """Return the point itself."""
        return theta

    def apart(self, one: np.ndarray, two: np.ndarray) -> float:
        """Return the least over the group of the largest difference of two parameters."""
        return float(min(np.abs(one - signs * two[order]).max() for order, signs in self.group))

    def gauge(self, k: int, theta: np.ndarray) -> int:
        """Return the dimension of the symmetry orbit that the objective tells of, else 0."""
        return 0 if self.inner.gauge_dimension is None else self.inner.gauge_dimension(theta)

    def outside(self, k: int, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return nothing: there are no further columns."""
        return np.zeros(0), np.zeros((0, 0))

    def widened(self, k: int, theta: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Raise ``ValueError``: there are no columns to add."""
        raise ValueError("an objective without ranks cannot be widened")

    def padded(self, k: int, theta: np.ndarray) -> np.ndarray:
        """Raise ``ValueError``: there are no columns to add."""
        raise ValueError("an objective without ranks cannot be widened")

    def whole(self, k: int, theta: np.ndarray) -> np.ndarray:
        """Return the point as it is."""
        return theta


def group(dim: int, generators: Sequence[tuple[Any, Any]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return all products of the generators theta -> signs * theta[order], the identity first.

    Raises ``ValueError`` for what is no signed permutation of ``dim`` parameters, or more than 4096 elements.
    """
    steps = []
    for order, signs in generators:
        order, signs = np.asarray(order), np.asarray(signs, dtype=float)
        if sorted(order.tolist()) != list(range(dim)) or signs.shape != (dim,) or not np.all(np.abs(signs) == 1.0):
            raise ValueError(f"a symmetry must be a permutation of {dim} parameters and {dim} signs +1 or -1")
        steps.append((order, signs))
    found = [(np.arange(dim), np.ones(dim))]
    seen = {_key(*found[0])}
    for order, signs in found:
        for second, more in steps:
            product = order[second], more * signs[second]
            if _key(*product) not in seen:
                seen.add(_key(*product))
                found.append(product)
        if len(found) > LARGEST_GROUP:
            raise ValueError(f"the symmetries generate more than {LARGEST_GROUP} elements")
    return found


def _key(order: np.ndarray, signs: np.ndarray) -> tuple[Any, ...]:
    return (*order.tolist(), *signs.tolist())
