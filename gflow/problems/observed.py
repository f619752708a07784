"""The observed entries of a matrix: where they are, what they hold, and what a matrix or a product holds there."""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import Any, Self

import numpy as np

from gflow.policy import DENSE_CELLS
from gflow.problems.entries import selected, transposed
from gflow.problems.names import Names
from gflow.problems.products import sampled_product


class ObservedEntries:
    """The entries of a (d1, d2) matrix that are observed, in row-major order, with the names of its lines.

    Attributes
    ----------
    shape : (d1, d2)
    rows, columns : (n,) int arrays, read-only
        Positions, counted from 0.
    targets : (n,) array, read-only
        Their values.
    """

    shape: tuple[int, int]
    rows: np.ndarray
    columns: np.ndarray
    targets: np.ndarray
    _names: Names

    def _hold(self, shape: tuple[int, int], rows: np.ndarray, columns: np.ndarray, targets: np.ndarray) -> None:
        if not len(targets):
            raise ValueError(f"no entry of the {shape[0]} x {shape[1]} matrix is observed")
        bad = np.nonzero(~np.isfinite(targets))[0]
        if bad.size:
            i, j = int(rows[bad[0]]), int(columns[bad[0]])
            raise ValueError(f"observed entries must be finite; row {i + 1}, column {j + 1} holds {targets[bad[0]]}")
        self.shape = shape
        self.rows, self.columns, self.targets = rows, columns, targets
        for array in (rows, columns, targets):
            array.setflags(write=False)

    def _with(self, shape: tuple[int, int], rows: np.ndarray, columns: np.ndarray, targets: np.ndarray) -> Self:
        """Return a problem of the same class with other entries; what a subclass keeps besides is carried over."""
        other = object.__new__(type(self))
        kept = {k: v for k, v in vars(self).items() if not isinstance(getattr(type(self), k, None), cached_property)}
        vars(other).update(kept)
        other._hold(shape, rows, columns, targets)
        return other

    @property
    def row_names(self) -> tuple[str | None, ...] | None:
        """Return the names of the rows, None where they have none."""
        return self._names.rows

    @property
    def column_names(self) -> tuple[str | None, ...] | None:
        """Return the names of the columns, None where they have none."""
        return self._names.columns

    @cached_property
    def values(self) -> np.ndarray:
        """Return M on the mask and 0 elsewhere, shape (d1, d2), read-only; ``ValueError`` above 5e7 entries."""
        matrix = self.adjoint(self.targets)
        matrix.setflags(write=False)
        return matrix

    @cached_property
    def observed(self) -> np.ndarray:
        """Return the mask P, shape (d1, d2), bool, read-only; ``ValueError`` above 5e7 entries."""
        mask = self.adjoint(np.ones(self.n_observed, dtype=bool))
        mask.setflags(write=False)
        return mask

    @property
    def n_observed(self) -> int:
        """Return n, the number of observed entries."""
        return len(self.targets)

    @property
    def density(self) -> float:
        """Return n / (d1 d2)."""
        return self.n_observed / (self.shape[0] * self.shape[1])

    def measure(self, W: np.ndarray) -> np.ndarray:
        """Return the entries of W at the observed positions, shape (n,) (trailing axes of W are kept)."""
        return W[self.rows, self.columns]

    def adjoint(self, weights: np.ndarray) -> np.ndarray:
        """Return the (d1, d2) matrix with ``weights`` at the observed positions and 0 elsewhere.

        Raises ``ValueError`` above 5e7 entries: ``scattered`` returns the same as a sparse array.
        """
        d1, d2 = self.shape
        if d1 * d2 > DENSE_CELLS:
            raise ValueError(
                f"a dense {d1} x {d2} matrix passes the limit of {DENSE_CELLS} entries; use rows, columns and targets, "
                "observed_product(A, B) and scattered(weights), which hold the observed entries alone"
            )
        result = np.zeros(self.shape, dtype=weights.dtype)
        result[self.rows, self.columns] = weights
        return result

    def observed_product(self, A: np.ndarray, B: np.ndarray) -> np.ndarray:
        """Return the entries of A B at the observed positions, shape (n,), without the matrix A B.

        Parameters
        ----------
        A : (d1, k) array
        B : (k, d2) array
        """
        return sampled_product(A, B, self.rows, self.columns, self.pointers)

    def scattered(self, weights: np.ndarray) -> Any:
        """Return the scipy CSR array of shape (d1, d2) that stores ``weights``, shape (n,), at the observed positions.

        All such arrays share their indices. ``ValueError`` if the number of weights is another one.
        """
        if np.shape(weights) != self.targets.shape:
            raise ValueError(f"weights must have shape {self.targets.shape}; got {np.shape(weights)}")
        array = copy(self._pattern)
        array.data = np.asarray(weights)
        return array

    @cached_property
    def pointers(self) -> np.ndarray:
        """Return where each row begins in ``rows``, shape (d1 + 1,)."""
        return np.searchsorted(self.rows, np.arange(self.shape[0] + 1))

    @cached_property
    def _pattern(self) -> Any:
        """Return the array whose indices all scattered ones share: to copy it spares scipy's checks of the indices."""
        from scipy import sparse

        kind = np.int32 if max(self.n_observed, *self.shape) < 2**31 else np.int64
        indices = self.columns.astype(kind), self.pointers.astype(kind)
        return sparse.csr_array((self.targets, *indices), shape=self.shape)

    def restricted(self, rows: Any, columns: Any) -> Self:
        """Return the problem on the given rows and columns alone (its own n, hence its own normalisation)."""
        chosen = np.asarray(rows, dtype=int), np.asarray(columns, dtype=int)
        shape, at_rows, at_columns, entry = selected(self.scattered, self.n_observed, *chosen)
        part = self._with(shape, at_rows, at_columns, self.targets[entry])
        part._names = self._names.restricted(*chosen)
        return part

    @property
    def transpose(self) -> Self:
        """Return the problem for M^T."""
        rows, columns, order = transposed(self.rows, self.columns)
        turned = self._with((self.shape[1], self.shape[0]), rows, columns, self.targets[order])
        turned._names = self._names.transpose
        return turned

    def with_gaps(self) -> np.ndarray:
        """Return M as a (d1, d2) array with NaN where nothing is observed."""
        return np.where(self.observed, self.values, np.nan)
