"""The flow of W = A B on few observed entries, entry by entry, and its linearisation.

The state is Z = [A; B^T], shape (d1 + d2, r): one row z_i for each row and column of W, and W_ij = <z_i, z_(d1 + j)>.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gflow.fast.jit import lean

LARGE = 1e150
"""Times this, numbers whose squares underflow have squares that do not."""


class Entries(NamedTuple):
    """The observed entries of a matrix in its own unit.

    Attributes
    ----------
    rows, columns : (n,) int arrays
        ``columns`` are rows of Z: d1 + j.
    targets : (n,) array
    size, rank : int
        Shape of Z: (d1 + d2, r).
    cut : int
        d1: the rows of Z that belong to A.
    hidden : int or None
        Number of layers between A and B, for ``gflow.fast.deep``; None where there are none.
    """

    rows: np.ndarray
    columns: np.ndarray
    targets: np.ndarray
    size: int
    rank: int
    cut: int
    hidden: Any


def entries_of(problem: Any, rank: int, hidden: int | None = None) -> Entries:
    """Return the observed entries of a problem in its own unit, in arrays of the types that are compiled for."""
    d1, d2 = problem.shape
    rows, columns = np.array(problem.rows, dtype=np.int64), np.array(problem.columns, dtype=np.int64)
    return Entries(rows, columns + d1, np.array(problem.targets, dtype=float), d1 + d2, rank, d1, hidden)


@lean
def copy(source: np.ndarray, target: np.ndarray) -> None:
    """Write the numbers of one vector into another."""
    for k in range(target.size):
        target[k] = source[k]


@lean
def fill(target: np.ndarray, number: float) -> None:
    """Write one number into all places of a vector."""
    for k in range(target.size):
        target[k] = number


@lean
def least(a: float, b: float) -> float:
    """Return what ``min`` does, which is slower to compile."""
    return b if b < a else a


@lean
def most(a: float, b: float) -> float:
    """Return what ``max`` does."""
    return b if b > a else a


@lean
def hessian(entries: Entries, Z: np.ndarray, bend: float, result: np.ndarray) -> None:
    """Write the upper triangle of the Hessian of the loss at Z into ``result``, the part of E times ``bend``."""
    rank, count = entries.rank, entries.targets.size
    factor = 2.0 / count
    for row in range(result.shape[0]):
        fill(result[row], 0.0)
    for e in range(count):
        i, j = entries.rows[e] * rank, entries.columns[e] * rank
        error = -entries.targets[e]
        for p in range(rank):
            error += Z[i + p] * Z[j + p]
        for p in range(rank):
            x, y = factor * Z[i + p], factor * Z[j + p]
            for q in range(rank):
                result[i + p, j + q] += y * Z[i + q]
            for q in range(p, rank):
                result[i + p, i + q] += y * Z[j + q]
                result[j + p, j + q] += x * Z[i + q]
            result[i + p, j + p] += factor * bend * error


@lean
def cholesky(matrix: np.ndarray, shift: float, U: np.ndarray) -> bool:
    """Return whether matrix + shift I = U^T U with U upper triangular; only upper triangles count.

    U is written with the reciprocals of its diagonal, by which ``solve`` multiplies. Four rows are taken together.
    """
    size = matrix.shape[0]
    for i in range(size):
        for j in range(i, size):
            U[i, j] = matrix[i, j]
        U[i, i] += shift
    for i in range(0, size, 4):
        stop = i + 4 if i + 4 < size else size
        for k in range(i, stop):
            if not U[k, k] > 0.0:
                return False
            U[k, k] = 1.0 / np.sqrt(U[k, k])
            for j in range(k + 1, size):
                U[k, j] *= U[k, k]
            for m in range(k + 1, stop):
                for j in range(m, size):
                    U[m, j] -= U[k, m] * U[k, j]
        for m in range(stop, size):
            a, b, c, d = U[i, m], U[i + 1, m], U[i + 2, m], U[i + 3, m]
            if abs(a) + abs(b) + abs(c) + abs(d) > 0.0:  # rows of A are coupled through columns of B alone
                for j in range(m, size):
                    U[m, j] -= (a * U[i, j] + b * U[i + 1, j]) + (c * U[i + 2, j] + d * U[i + 3, j])
    return True


@lean
def solve(U: np.ndarray, x: np.ndarray) -> None:
    """Write the solution of U^T U y = x over x, for U as left by ``cholesky``, four rows together."""
    size = x.size
    for i in range(0, size, 4):
        stop = i + 4 if i + 4 < size else size
        for k in range(i, stop):
            x[k] *= U[k, k]
            for j in range(k + 1, stop):
                x[j] -= x[k] * U[k, j]
        if stop < size:
            a, b, c, d = x[i], x[i + 1], x[i + 2], x[i + 3]
            for j in range(stop, size):
                x[j] -= (a * U[i, j] + b * U[i + 1, j]) + (c * U[i + 2, j] + d * U[i + 3, j])
    for i in range((size - 1) // 4 * 4, -1, -4):
        stop = i + 4 if i + 4 < size else size
        if stop < size:
            a, b, c, d = x[i], x[i + 1], x[i + 2], x[i + 3]
            for j in range(stop, size):
                a -= U[i, j] * x[j]
                b -= U[i + 1, j] * x[j]
                c -= U[i + 2, j] * x[j]
                d -= U[i + 3, j] * x[j]
            x[i], x[i + 1], x[i + 2], x[i + 3] = a, b, c, d
        for k in range(stop - 1, i - 1, -1):
            for j in range(k + 1, stop):
                x[k] -= U[k, j] * x[j]
            x[k] *= U[k, k]


@lean
def norm(vector: np.ndarray) -> float:
    """Return the Euclidean norm, also where squares underflow."""
    square = 0.0
    for k in range(vector.size):
        square += vector[k] * vector[k]
    if square > 1e-280:
        return np.sqrt(square)
    square = 0.0
    for k in range(vector.size):
        square += (LARGE * vector[k]) * (LARGE * vector[k])
    return np.sqrt(square) / LARGE
