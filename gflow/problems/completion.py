"""Matrix completion: some entries of a matrix are observed."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

import numpy as np

from gflow.plain import plain
from gflow.problems.entries import observed_entries
from gflow.problems.names import Names
from gflow.problems.observed import ObservedEntries
from gflow.showing import Drawn, Tabular

LARGEST_ENTRY = 1e150
"""Largest and (inverted) smallest admissible max|M|: beyond it the loss, its square, leaves the range of a double."""


def power_of_four(size: float) -> float:
    """Return the power of four with size / power in [1/2, 2); 1.0 for size 0.

    Dividing by it, and dividing the factors by its square root, is exact in binary arithmetic.
    """
    exponent = int(np.frexp(size)[1])
    return float(np.ldexp(1.0, exponent - exponent % 2)) if size > 0 else 1.0


class MatrixCompletion(ObservedEntries, Drawn, Tabular):
    """A partially observed matrix M with mask P and loss R(W) = (1/n) ||P o (W - M)||_F^2.

    Parameters
    ----------
    values : (d1, d2) array of real numbers, data frame, or scipy sparse array or matrix
        The matrix M. NaN, None, NA and masked entries mean "not observed". Zeros are data. Of a sparse array the
        stored entries are the observed ones, stored zeros are data, and entries stored twice are added, as in scipy.
    observed : (d1, d2) array of bool, optional
        The mask P. Entries outside it are ignored, whatever they hold. Default: where ``values`` is not NaN. Not for
        sparse arrays.
    row_names, column_names : sequences of str, optional
        Default: the labels of a data frame that are not 0, 1, 2, ...

    Attributes
    ----------
    shape : (d1, d2)
    row_names, column_names : tuples of str, or None
    notes : tuple of str
        What was decided when the problem was read from a file.
    rows, columns : (n,) int arrays, read-only
        Positions of the observed entries, in row-major order.
    targets : (n,) array, read-only
        Their values.

    Raises
    ------
    TypeError
        If ``values`` is not an array of real numbers.
    ValueError
        If ``values`` is not two-dimensional, a mask of another shape is given, nothing is observed, an observed
        entry is infinite or NaN, max|M| lies outside [1e-150, 1e150] and is not zero, or an entry that is not zero
        becomes zero when it is divided by ``unit``.

    Only the observed entries are held; ``values``, ``observed`` and what takes or returns a matrix of shape (d1, d2)
    are for small problems, ``observed_product`` and ``scattered`` for all. Scales: R as s^2, gradient as s and
    curvature as 1 when M is multiplied by s. Bai et al. 2024, eq. (1)-(2).
    """

    notes: tuple[str, ...] = ()

    def __init__(self, values: Any, observed: Any = None, *, row_names: Any = None, column_names: Any = None) -> None:
        self._hold(*observed_entries(values, observed))
        self._require_range("other units")
        self._names = Names.of(values, row_names, column_names, self.shape)

    def _require_range(self, remedy: str) -> None:
        """Refuse entries whose squares leave the range of a double, and those that are zero in the problem's unit."""
        size = self.size
        if size and not 1 / LARGEST_ENTRY <= size <= LARGEST_ENTRY:
            raise ValueError(f"max|M| must lie in [1e-150, 1e150]; it is {size:g}: choose {remedy}")
        vanished = np.flatnonzero((self.targets != 0) & (self.targets / self.unit == 0))
        if vanished.size:
            i, j = int(self.rows[vanished[0]]), int(self.columns[vanished[0]])
            raise ValueError(
                f"row {i + 1}, column {j + 1} holds {self.targets[vanished[0]]:g}, which is too small for a double in "
                f"units of max|M| = {size:g}: write 0, or leave the entry out"
            )

    @property
    def weight(self) -> float:
        """Return 1 / n, the factor before the sum of squares in R."""
        return 1.0 / self.n_observed

    @property
    def size(self) -> float:
        """Return max|M| over the observed entries; scales as s."""
        return float(np.abs(self.targets).max())

    @cached_property
    def unit(self) -> float:
        """Return the power of four nearest to max|M| (1.0 when M = 0): the unit in which algorithms work."""
        return power_of_four(self.size)

    @cached_property
    def normalized(self) -> Self:
        """Return the same problem in its own unit, M / unit, so that max|M| lies in [1/2, 2)."""
        return self if self.unit == 1.0 else self._with(self.shape, self.rows, self.columns, self.targets / self.unit)

    def residual(self, W: np.ndarray) -> np.ndarray:
        """Return E = P o (W - M), shape (d1, d2), zero outside the mask."""
        return self.observed * W - self.values

    def risk(self, W: np.ndarray) -> Any:
        """Return R(W) = (1/n) ||P o (W - M)||_F^2; an array of such values if W has leading axes."""
        error = self.residual(W)
        if error.ndim > 2:
            return np.einsum("...ij,...ij->...", error, error) / self.n_observed
        flat = error.ravel()
        return float(flat @ flat) / self.n_observed

    def gradient(self, W: np.ndarray) -> np.ndarray:
        """Return dR/dW = (2/n) E, shape (d1, d2)."""
        return (2.0 / self.n_observed) * self.residual(W)

    def curvature(self, dW: np.ndarray) -> np.ndarray:
        """Return the second derivative of R applied to dW, (2/n) P o dW, shape (d1, d2)."""
        return (2.0 / self.n_observed) * (self.observed * dW)

    @cached_property
    def curvature_mask(self) -> np.ndarray:
        """Return (2/n) P, shape (d1, d2): ``curvature`` multiplies by it entry by entry."""
        return (2.0 / self.n_observed) * self.observed

    def rescaled(self, factor: float) -> Self:
        """Return the problem with M multiplied by ``factor``."""
        other = self._with(self.shape, self.rows, self.columns, self.targets * factor)
        other._require_range("another factor")
        return other

    def to_dict(self) -> dict[str, Any]:
        """Return the problem for JSON: its observed entries, places counted from 0, and its names."""
        return {
            **plain(self, "shape n_observed rows columns"),
            "values": self.targets.tolist(),
            **plain(self, "row_names column_names notes"),
        }

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MatrixCompletion):
            return NotImplemented
        names = ("rows", "columns", "targets")
        return self.shape == other.shape and all(np.array_equal(getattr(self, k), getattr(other, k)) for k in names)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"MatrixCompletion({self.shape[0]} x {self.shape[1]}, {self.n_observed} observed)"
