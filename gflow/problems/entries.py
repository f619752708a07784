"""The observed entries of a matrix, whichever way it is given, in row-major order."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

Entries: TypeAlias = tuple[tuple[int, int], np.ndarray, np.ndarray, np.ndarray]
"""Shape, rows, columns and values."""


def observed_entries(values: Any, observed: Any) -> Entries:
    """Return the observed entries of a dense or sparse matrix.

    Raises ``TypeError`` or ``ValueError`` for what is no matrix of real numbers or no mask of its shape.
    """
    if hasattr(values, "tocoo") and hasattr(values, "nnz"):
        if observed is not None:
            raise ValueError("observed must be left out for a sparse array: its stored entries are the observed ones")
        return _stored(values)
    matrix = _real_matrix(values)
    mask = ~np.isnan(matrix) if observed is None else _mask(observed, matrix.shape)
    rows, columns = (np.ascontiguousarray(index) for index in np.nonzero(mask))
    return (matrix.shape[0], matrix.shape[1]), rows, columns, matrix[rows, columns]


def _stored(values: Any) -> Entries:
    if values.dtype.kind not in "buif":
        raise TypeError(f"values must be an array of real numbers; got dtype {values.dtype}")
    if len(values.shape) != 2:
        raise ValueError(f"values must be a matrix (2 dimensions); got a sparse array of shape {values.shape}")
    stored = values.tocoo()
    rows, columns = (np.array(index, dtype=np.intp) for index in (stored.row, stored.col))
    shape = int(stored.shape[0]), int(stored.shape[1])
    cells = rows * shape[1] + columns
    if (cells[1:] > cells[:-1]).all():  # in order, none stored twice: no copies are needed to sort them
        return shape, rows, columns, doubles(stored.data, rows, columns)
    cells, place = np.unique(cells, return_inverse=True)
    targets = np.full(len(cells), -0.0)  # the zero that keeps the sign of every other number added to it
    with np.errstate(over="ignore", invalid="ignore"):
        np.add.at(targets, place.ravel(), doubles(stored.data, rows, columns))
    return shape, cells // shape[1], cells % shape[1], targets


def doubles(array: np.ndarray, rows: Any = None, columns: Any = None) -> np.ndarray:
    """Return real numbers of any type as doubles, the nearest ones.

    Parameters
    ----------
    array : array
    rows, columns : (n,) int arrays, optional
        Where the n numbers of ``array`` stand, if it is no matrix.

    Raises ``ValueError`` if a number of higher precision that is not zero would become zero, another observation.
    """
    with np.errstate(over="ignore", under="ignore"):
        result = array.astype(float)
    if array.dtype.itemsize <= result.dtype.itemsize:
        return result
    lost = np.argwhere((result == 0) & (array != 0))
    if lost.size:
        first = tuple(lost[0].tolist())
        place = first if rows is None else (int(rows[first]), int(columns[first]))
        where = ", ".join(f"{name} {i + 1}" for name, i in zip(("row", "column"), place[-2:], strict=False))
        raise ValueError(f"{where} holds {array[first]!s}, which is too small for a double: choose other units")
    return result


def selected(
    scattered: Callable[[np.ndarray], Any], count: int, rows: np.ndarray, columns: np.ndarray
) -> tuple[tuple[int, int], np.ndarray, np.ndarray, np.ndarray]:
    """Return shape, rows and columns of a submatrix, and the number of the entry that each of its entries was."""
    chosen = scattered(np.arange(1, count + 1))[rows][:, columns]
    chosen.sort_indices()
    at_rows = np.repeat(np.arange(chosen.shape[0]), np.diff(chosen.indptr))
    return (chosen.shape[0], chosen.shape[1]), at_rows, chosen.indices.astype(np.intp), chosen.data - 1


def transposed(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows and columns of the transpose in row-major order, and the order that puts entries there."""
    order = np.lexsort((rows, columns))
    return columns[order], rows[order], order


def _real_matrix(values: Any) -> np.ndarray:
    array = np.asarray([_unmasked(row) for row in values] if isinstance(values, (list, tuple)) else values)
    if array.dtype.kind == "O" and array.ndim == 2:
        array = _numbers(array)
    if array.dtype.kind not in "buif":
        raise TypeError(f"values must be an array of real numbers; got dtype {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"values must be a matrix (2 dimensions); got an array of shape {array.shape}")
    return np.where(np.ma.getmask(values), np.nan, doubles(array))


def _unmasked(row: Any) -> Any:
    """Return a row of nested lists with None where an entry is masked, which numpy would unmask."""
    if isinstance(row, np.ma.MaskedArray):
        return row.tolist()
    return [None if cell is np.ma.masked else cell for cell in row] if isinstance(row, (list, tuple)) else row


def _numbers(array: np.ndarray) -> np.ndarray:
    """Return an array of objects as doubles, with NaN for None and for the missing value of a data frame."""
    result = np.full(array.shape, np.nan)
    for place, value in np.ndenumerate(array):
        if value is None or type(value).__name__ in ("NAType", "NaTType"):
            continue
        if not isinstance(value, Real):
            i, j = (index + 1 for index in place)
            hint = ": names of rows belong in the index of a data frame" if isinstance(value, str) else ""
            raise TypeError(f"values must be real numbers; row {i}, column {j} holds {value!r}{hint}")
        result[place] = value
    return result


def _mask(observed: Any, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.asarray(observed)
    if mask.shape != shape:
        raise ValueError(f"observed must have the shape of values, {shape}; got {mask.shape}")
    if mask.dtype.kind != "b" and not np.isin(mask, (0, 1)).all():
        raise ValueError("observed must hold only True and False (or 0 and 1)")
    return mask.astype(bool)
