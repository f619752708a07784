"""Matrix completion with weights: entries that were seen several times, with values that contradict each other."""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from gflow.problems.completion import MatrixCompletion
from gflow.problems.given import as_completion


class WeightedCompletion:
    """A partially observed matrix with risk R(W) = (1/n) sum_ij w_ij (W_ij - M_ij)^2, n the sum of the weights.

    Parameters
    ----------
    values : MatrixCompletion, or what its first argument may be
        The matrix M.
    weights : (d1, d2) array
        Positive and finite where an entry is observed; others are ignored.

    Attributes
    ----------
    means : MatrixCompletion
        M without the weights. ``shape``, ``rows``, ``columns``, ``row_names``, ``column_names``, ``unit``, ``size``,
        ``n_observed`` and ``density`` are its own: each entry counts once.
    weights : (n,) array
        Those of the observed entries, in row-major order.
    spread : float
        What ``repeated`` has found that no W explains: the mean square of all values is R(W) + spread.

    Raises
    ------
    TypeError, ValueError
        As ``MatrixCompletion`` for the values; if the weights have another shape, or one of them is not positive.

    Scales: R as s^2, gradient as s and curvature as 1 when M is multiplied by s.
    """

    def __init__(self, values: Any, weights: Any) -> None:
        means, array = as_completion(values), np.asarray(weights, dtype=float)
        if array.shape != means.shape:
            raise ValueError(f"weights must have the shape of values, {means.shape}; got {array.shape}")
        self._hold(means, means.measure(array), 0.0)

    def _hold(self, means: MatrixCompletion, weights: np.ndarray, spread: float) -> None:
        bad = np.flatnonzero(~(np.isfinite(weights) & (weights > 0)))
        if bad.size:
            i, j = int(means.rows[bad[0]]), int(means.columns[bad[0]])
            raise ValueError(
                f"weights must be positive and finite; row {i + 1}, column {j + 1} has {weights[bad[0]]:g}"
            )
        self.means, self.weights, self.spread = means, weights, spread
        self.shape, self.rows, self.columns = means.shape, means.rows, means.columns
        self.row_names, self.column_names = means.row_names, means.column_names
        self.unit, self.size = means.unit, means.size
        self.n_observed, self.density = means.n_observed, means.density
        self.roots, self.weight = np.sqrt(weights), 1.0 / float(weights.sum())
        self.targets = self.roots * means.targets

    @classmethod
    def repeated(cls, rows: Any, columns: Any, values: Any, shape: tuple[int, int] | None = None) -> WeightedCompletion:
        """Return the problem of entries (rows, columns), counted from 0, with values that may repeat and contradict.

        Their means with the numbers of repetitions as weights; ``spread`` is the mean square about the means.

        Parameters
        ----------
        rows, columns : (m,) int arrays
        values : (m,) array
        shape : (d1, d2), optional
            Default: as large as the entries ask for.

        Raises ``ValueError`` if the lengths differ, an entry lies outside, or a value is not finite.
        """
        from scipy import sparse

        at: tuple[Any, ...] = (np.asarray(rows), np.asarray(columns))
        seen = np.asarray(values, dtype=float)
        if not all(index.shape == seen.shape == (seen.size,) and index.dtype.kind in "iu" for index in at):
            raise ValueError("rows, columns and values must be lists of equal length, the first two of integers")
        at = tuple(index.astype(np.int64) for index in at)  # of a shorter type, numbers of cells would overflow
        bad = np.flatnonzero(~np.isfinite(seen))
        if bad.size:
            raise ValueError(f"values must be finite; value {bad[0] + 1} is {seen[bad[0]]}")
        size = shape or tuple(int(index.max(initial=-1)) + 1 for index in at)
        if any(index.size and not 0 <= index.min() <= index.max() < d for index, d in zip(at, size, strict=True)):
            raise ValueError(f"rows and columns must be those of a {size[0]} x {size[1]} matrix, counted from 0")
        cells, place, counts = np.unique(at[0] * size[1] + at[1], return_inverse=True, return_counts=True)
        scale = float(np.abs(seen).max(initial=0.0)) or 1.0  # sums of what a double holds need not be held by one
        means = scale * (np.bincount(place, seen / scale, len(cells)) / counts)
        where = cells // size[1], cells % size[1]
        matrix = MatrixCompletion(sparse.coo_array((means, where), shape=size))
        with np.errstate(over="ignore"):
            return cls._of(matrix, counts.astype(float), float(np.mean((seen - means[place]) ** 2)))

    @classmethod
    def _of(cls, means: MatrixCompletion, weights: np.ndarray, spread: float) -> WeightedCompletion:
        problem = object.__new__(cls)
        problem._hold(means, weights, spread)
        return problem

    @property
    def observed(self) -> np.ndarray:
        """Return the mask P, shape (d1, d2), bool."""
        return self.means.observed

    @cached_property
    def normalized(self) -> WeightedCompletion:
        """Return the problem in its own unit."""
        if self.unit == 1.0:
            return self
        return self._of(self.means.normalized, self.weights, self.spread / self.unit / self.unit)

    @cached_property
    def relative(self) -> WeightedCompletion:
        """Return the problem with the largest weight 1: R is the same, E smaller by the largest one."""
        return self._of(self.means, self.weights / float(self.weights.max()), self.spread)

    def restricted(self, rows: Any, columns: Any) -> WeightedCompletion:
        """Return the problem on the given rows and columns alone, with their own n; how they spread is not kept."""
        part = self.means.restricted(rows, columns)
        return self._of(part, part.measure(self.weight_matrix[np.ix_(rows, columns)]), 0.0)

    def observed_product(self, A: np.ndarray, B: np.ndarray) -> np.ndarray:
        """Return the entries of A B at the observed positions, without roots of weights, shape (n,)."""
        return self.means.observed_product(A, B)

    def scattered(self, values: np.ndarray) -> Any:
        """Return the scipy CSR array with ``values``, shape (n,), at the observed positions as they are."""
        return self.means.scattered(values)

    def measure(self, W: np.ndarray) -> np.ndarray:
        """Return the observed entries of W times the roots of their weights, (n,) (trailing axes of W are kept)."""
        return self.roots.reshape(-1, *[1] * (np.ndim(W) - 2)) * self.means.measure(W)

    def adjoint(self, weights: np.ndarray) -> np.ndarray:
        """Return the (d1, d2) matrix with ``weights`` times those roots at the observed entries, 0 elsewhere."""
        return self.means.adjoint(self.roots * weights)

    @cached_property
    def weight_matrix(self) -> np.ndarray:
        """Return the weights as a matrix, zero where nothing is observed, shape (d1, d2)."""
        return self.means.adjoint(self.weights)

    def residual(self, W: np.ndarray) -> np.ndarray:
        """Return E = w o (W - M), shape (d1, d2)."""
        return self.weight_matrix * (W - self.means.values)

    def risk(self, W: np.ndarray) -> Any:
        """Return R(W), a float; an array where W has leading axes."""
        found = self.weight * np.sum(self.residual(W) * (W - self.means.values), axis=(-2, -1))
        return float(found) if np.ndim(W) == 2 else found

    def gradient(self, W: np.ndarray) -> np.ndarray:
        """Return dR/dW = (2/n) E, shape (d1, d2)."""
        return 2.0 * self.weight * self.residual(W)

    def curvature(self, dW: np.ndarray) -> np.ndarray:
        """Return (2/n) w o dW, shape (d1, d2)."""
        return 2.0 * self.weight * self.weight_matrix * dW

    def __repr__(self) -> str:
        return f"WeightedCompletion({self.shape[0]} x {self.shape[1]}, {len(self.targets)} observed)"


EntryProblem: TypeAlias = MatrixCompletion | WeightedCompletion
"""What is said of single entries, with weights or without."""


def as_entries(problem: Any) -> EntryProblem:
    """Return a problem of weighted completion as it is, and others as ``as_completion`` does."""
    return problem if isinstance(problem, WeightedCompletion) else as_completion(problem)


def without_weights(problem: EntryProblem) -> MatrixCompletion:
    """Return the observed entries alone."""
    return problem.means if isinstance(problem, WeightedCompletion) else problem


def total_weight(problem: EntryProblem) -> float:
    """Return the n of R: the sum of the weights, the number of entries where there are none."""
    return float(problem.weights.sum()) if isinstance(problem, WeightedCompletion) else problem.n_observed


def largest_weight(problem: EntryProblem) -> float:
    """Return the largest weight, 1.0 where there are none."""
    return float(problem.weights.max()) if isinstance(problem, WeightedCompletion) else 1.0


def in_own_units(problem: EntryProblem) -> EntryProblem:
    """Return the problem in its own unit, its largest weight 1; weights that are all equal are none."""
    if not isinstance(problem, WeightedCompletion):
        return problem.normalized
    relative = problem.normalized.relative
    return relative.means if bool((relative.weights == 1.0).all()) else relative
