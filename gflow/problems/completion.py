"""Matrix completion: some entries of a matrix are observed."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

LARGEST_ENTRY = 1e150
"""Largest and (inverted) smallest admissible max|M|: beyond it the loss, its square, leaves the range of a double."""


def power_of_four(size: float) -> float:
    """Return the power of four with size / power in [1/2, 2); 1.0 for size 0.

    Dividing by it, and dividing the factors by its square root, is exact in binary arithmetic.
    """
    exponent = int(np.frexp(size)[1])
    return float(np.ldexp(1.0, exponent - exponent % 2)) if size > 0 else 1.0


class MatrixCompletion:
    """A partially observed matrix M with mask P and loss R(W) = (1/n) ||P o (W - M)||_F^2.

    Parameters
    ----------
    values : (d1, d2) array of real numbers
        The matrix M. NaN means "not observed". Zeros are data.
    observed : (d1, d2) array of bool, optional
        The mask P. Entries outside it are ignored, whatever they hold. Default: where ``values`` is not NaN.

    Attributes
    ----------
    values : (d1, d2) array, read-only
        M on the mask and 0 elsewhere.
    observed : (d1, d2) bool array, read-only
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
        entry is infinite or NaN, or max|M| lies outside [1e-150, 1e150] and is not zero.

    Scales: R as s^2, gradient as s and curvature as 1 when M is multiplied by s. Bai et al. 2024, eq. (1)-(2).
    """

    def __init__(self, values: Any, observed: Any = None) -> None:
        matrix = _real_matrix(values)
        mask = ~np.isnan(matrix) if observed is None else _mask(observed, matrix.shape)
        if not mask.any():
            raise ValueError(f"no entry of the {matrix.shape[0]} x {matrix.shape[1]} matrix is observed")
        bad = np.argwhere(mask & ~np.isfinite(matrix))
        if bad.size:
            i, j = (int(index) for index in bad[0])
            raise ValueError(f"observed entries must be finite; row {i + 1}, column {j + 1} holds {matrix[i, j]}")
        self.values = np.where(mask, matrix, 0.0)
        self.observed = mask
        self.rows, self.columns = np.nonzero(mask)
        self.targets = self.values[self.rows, self.columns]
        size = self.size
        if size and not 1 / LARGEST_ENTRY <= size <= LARGEST_ENTRY:
            raise ValueError(f"max|M| must lie in [1e-150, 1e150]; it is {size:g}: choose other units")
        for array in (self.values, self.observed, self.rows, self.columns, self.targets):
            array.setflags(write=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Return (d1, d2)."""
        return self.values.shape[0], self.values.shape[1]

    @property
    def n_observed(self) -> int:
        """Return n, the number of observed entries."""
        return len(self.targets)

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
    def normalized(self) -> MatrixCompletion:
        """Return the same problem in its own unit, M / unit, so that max|M| lies in [1/2, 2)."""
        return self if self.unit == 1.0 else MatrixCompletion(self.values / self.unit, self.observed)

    def measure(self, W: np.ndarray) -> np.ndarray:
        """Return the entries of W at the observed positions, shape (n,) (trailing axes of W are kept)."""
        return W[self.rows, self.columns]

    def adjoint(self, weights: np.ndarray) -> np.ndarray:
        """Return the (d1, d2) matrix with ``weights`` at the observed positions and 0 elsewhere."""
        result = np.zeros(self.shape, dtype=weights.dtype)
        result[self.rows, self.columns] = weights
        return result

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

    def rescaled(self, factor: float) -> MatrixCompletion:
        """Return the problem with M multiplied by ``factor``."""
        return MatrixCompletion(self.values * factor, self.observed)

    def restricted(self, rows: Any, columns: Any) -> MatrixCompletion:
        """Return the problem on the given rows and columns alone (its own n, hence its own normalisation)."""
        index = np.ix_(np.asarray(rows, dtype=int), np.asarray(columns, dtype=int))
        return MatrixCompletion(self.values[index], self.observed[index])

    @property
    def transpose(self) -> MatrixCompletion:
        """Return the problem for M^T."""
        return MatrixCompletion(self.values.T, self.observed.T)

    def with_gaps(self) -> np.ndarray:
        """Return M as a (d1, d2) array with NaN where nothing is observed."""
        return np.where(self.observed, self.values, np.nan)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MatrixCompletion):
            return NotImplemented
        return np.array_equal(self.values, other.values) and np.array_equal(self.observed, other.observed)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"MatrixCompletion({self.shape[0]} x {self.shape[1]}, {self.n_observed} observed)"


def _real_matrix(values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "buif":
        raise TypeError(f"values must be an array of real numbers; got dtype {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"values must be a matrix (2 dimensions); got an array of shape {array.shape}")
    return np.where(np.ma.getmask(values), np.nan, array.astype(float))


def _mask(observed: Any, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.asarray(observed)
    if mask.shape != shape:
        raise ValueError(f"observed must have the shape of values, {shape}; got {mask.shape}")
    if mask.dtype.kind != "b" and not np.isin(mask, (0, 1)).all():
        raise ValueError("observed must hold only True and False (or 0 and 1)")
    return mask.astype(bool)
