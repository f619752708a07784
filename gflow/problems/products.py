"""Entries of a product of two factors at given positions, without the product."""

from __future__ import annotations

import numpy as np

BLOCK_DENSITY = 0.025
"""Above this fraction of wanted entries, blocks of rows of the whole product cost less than gathered factors."""
BLOCK_CELLS, CHUNK = 2**18, 2**14
"""Entries of a block of the product, and entries gathered at a time: what the caches of a core hold."""


def sampled_product(
    A: np.ndarray, B: np.ndarray, rows: np.ndarray, columns: np.ndarray, pointers: np.ndarray
) -> np.ndarray:
    """Return the entries (A B)[rows, columns], shape (n,).

    Parameters
    ----------
    A : (d1, k) array
    B : (k, d2) array
    rows, columns : (n,) int arrays, in row-major order
    pointers : (d1 + 1,) int array
        Where each row begins in ``rows``.

    Besides the factors and the result at most a block of 2^18 entries, or one row of A B, is held.
    """
    d1, d2 = A.shape[0], B.shape[1]
    if len(rows) >= BLOCK_DENSITY * d1 * d2:
        return _from_blocks(A, B, rows, columns, pointers)
    return _gathered(A, B, rows, columns)


def _from_blocks(
    A: np.ndarray, B: np.ndarray, rows: np.ndarray, columns: np.ndarray, pointers: np.ndarray
) -> np.ndarray:
    d1, d2 = A.shape[0], B.shape[1]
    height = max(1, min(d1, BLOCK_CELLS // d2))
    result, block = np.empty(len(rows)), np.empty((height, d2))
    for first in range(0, d1, height):
        last = min(first + height, d1)
        begin, end = pointers[first], pointers[last]
        W = np.matmul(A[first:last], B, out=block[: last - first])
        cells = rows[begin:end] - first
        cells *= d2
        cells += columns[begin:end]
        W.ravel().take(cells, out=result[begin:end], mode="clip")
    return result


def _gathered(A: np.ndarray, B: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    At, result = np.ascontiguousarray(A.T), np.zeros(len(rows))
    for first in range(0, len(rows), CHUNK):
        at_rows, at_columns = rows[first : first + CHUNK], columns[first : first + CHUNK]
        part = result[first : first + CHUNK]
        for a, b in zip(At, B, strict=True):
            term = a.take(at_rows)
            term *= b.take(at_columns)
            part += term
    return result
