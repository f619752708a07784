"""Eigenvalues of a small symmetric matrix and singular values of few columns, in loops.

For so few rows these are faster than calls of LAPACK, and many times faster to compile. Golub and Van Loan, Matrix
Computations, sections 8.3 (Householder's reduction and implicit QL steps) and 8.6 (Jacobi's one-sided rotations, which
find small singular values to full relative accuracy).
"""

from __future__ import annotations

import numpy as np

from gflow.fast.field import norm
from gflow.fast.jit import lean, part
from gflow.policy import EPS

ROUNDS = 60
"""Steps for one eigenvalue, or sweeps over the columns, that are never needed."""


@part
def eigenvalues(matrix: np.ndarray, values: np.ndarray, beside: np.ndarray, spare: np.ndarray) -> None:
    """Write the eigenvalues of a symmetric matrix, of which the upper triangle is read, into ``values``, rising.

    The matrix is overwritten; ``beside`` and ``spare`` are vectors of its size.
    """
    tridiagonal(matrix, values, beside, spare)
    for k in range(values.size):
        for _ in range(ROUNDS):
            last = k
            while last < values.size - 1:
                if abs(beside[last]) <= EPS * (abs(values[last]) + abs(values[last + 1])):
                    break
                last += 1
            if last == k:
                break
            chase(values, beside, k, last)
    for k in range(1, values.size):
        number, place = values[k], k
        while place > 0 and values[place - 1] > number:
            values[place] = values[place - 1]
            place -= 1
        values[place] = number


@part
def tridiagonal(matrix: np.ndarray, diagonal: np.ndarray, beside: np.ndarray, v: np.ndarray) -> None:
    """Write a tridiagonal matrix with the same eigenvalues into its diagonal and what stands beside it."""
    size, w = diagonal.size, beside
    for i in range(size):
        for j in range(i):
            matrix[i, j] = matrix[j, i]
    for k in range(size):
        diagonal[k] = matrix[k, k]
        if k == size - 1:
            beside[k] = 0.0
            return
        tail, head = 0.0, matrix[k, k + 1]
        for j in range(k + 2, size):
            tail += matrix[k, j] * matrix[k, j]
        if tail == 0.0:
            beside[k] = head
            continue
        length = -np.sqrt(head * head + tail) if head > 0.0 else np.sqrt(head * head + tail)
        for j in range(k + 1, size):
            v[j] = matrix[k, j]
        v[k + 1] = head - length
        beta, along = 2.0 / (tail + v[k + 1] * v[k + 1]), 0.0
        for i in range(k + 1, size):
            total = 0.0
            for j in range(k + 1, size):
                total += matrix[i, j] * v[j]
            w[i] = beta * total
            along += w[i] * v[i]
        for i in range(k + 1, size):
            w[i] -= 0.5 * beta * along * v[i]
        for i in range(k + 1, size):
            a, b = v[i], w[i]
            for j in range(k + 1, size):
                matrix[i, j] -= a * w[j] + b * v[j]
        beside[k] = length


@part
def chase(values: np.ndarray, beside: np.ndarray, first: int, last: int) -> None:
    """Write what one implicit QL step makes of the rows ``first`` to ``last`` of a tridiagonal matrix."""
    ratio = (values[first + 1] - values[first]) / (2.0 * beside[first])
    root = np.sqrt(ratio * ratio + 1.0)
    bulge = values[last] - values[first] + beside[first] / (ratio + (root if ratio >= 0.0 else -root))
    sine, cosine, shift = 1.0, 1.0, 0.0
    for i in range(last - 1, first - 1, -1):
        along, across = sine * beside[i], cosine * beside[i]
        root = np.sqrt(along * along + bulge * bulge)
        beside[i + 1] = root
        if root == 0.0:
            values[i + 1] -= shift
            beside[last] = 0.0
            return
        sine, cosine = along / root, bulge / root
        rest = values[i + 1] - shift
        change = (values[i] - rest) * sine + 2.0 * cosine * across
        shift = sine * change
        values[i + 1] = rest + shift
        bulge = cosine * change - across
    values[first] -= shift
    beside[first] = bulge
    beside[last] = 0.0


@part
def orthogonal(columns: np.ndarray, axes: np.ndarray, sizes: np.ndarray) -> None:
    """Write columns, the rows of ``columns``, over themselves, turned until they are normal to each other.

    The rows of ``axes`` turn with them. Both are sorted by the norms of the columns, which are written into ``sizes``.
    """
    for _ in range(ROUNDS):
        turned = False
        for p in range(sizes.size - 1):
            for q in range(p + 1, sizes.size):
                one, two, both = 0.0, 0.0, 0.0
                for k in range(columns.shape[1]):
                    one += columns[p, k] * columns[p, k]
                    two += columns[q, k] * columns[q, k]
                    both += columns[p, k] * columns[q, k]
                if abs(both) > 4.0 * EPS * np.sqrt(one) * np.sqrt(two):
                    turned = True
                    ratio = (two - one) / (2.0 * both)
                    tangent = 1.0 / (abs(ratio) + np.sqrt(ratio * ratio + 1.0))
                    turn(columns, p, q, tangent if ratio >= 0.0 else -tangent)
                    turn(axes, p, q, tangent if ratio >= 0.0 else -tangent)
        if not turned:
            break
    for p in range(sizes.size):
        sizes[p] = norm(columns[p])
    for p in range(sizes.size):
        for q in range(p + 1, sizes.size):
            if sizes[q] > sizes[p]:
                sizes[p], sizes[q] = sizes[q], sizes[p]
                turn(columns, p, q, np.inf)
                turn(axes, p, q, np.inf)


@lean
def turn(rows: np.ndarray, p: int, q: int, tangent: float) -> None:
    """Write two rows turned by an angle with that tangent; an infinite one exchanges them."""
    cosine = 1.0 / np.sqrt(tangent * tangent + 1.0)
    sine = cosine * tangent if tangent < np.inf else 1.0
    for k in range(rows.shape[1]):
        x, y = rows[p, k], rows[q, k]
        rows[p, k] = cosine * x - sine * y
        rows[q, k] = sine * x + cosine * y
