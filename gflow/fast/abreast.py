"""Flows of one shape side by side: slopes, Hessians and their factors, for ``LANES`` problems at once.

The state is that of ``gflow.fast.field``. Everything is a row of one array of shape (m, LANES), and row k of a flow is
one number; W is taken whole, with weights 0 where it is not observed, so that all flows take the same steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gflow.fast.jit import lean, part
from gflow.fast.lanes import every, inverse_root, load, rows_of, store

STAGES = 12
"""Of the explicit pair; the slope of the new state comes after them."""
WEIGHT, SQUARE, STEP, PER_STEP, SHIFT, UNIT, TAKEN, LARGE, SMALL, BEND, CHANGE, RADIUS, SLOPE, ONE = range(14)
"""Single rows: -2/n; |E|_F^2; h, 1/h; what is added to a Hessian; what numbers are multiplied by before they are
squared; whether the step is taken; then sums of squares, of two errors, of a change of slope and of state, of the new
state and its slope; 1."""


class Bank(NamedTuple):
    """Where the rows begin.

    Attributes
    ----------
    cut, other, rank, size : int
        d1, d2, r and N = (d1 + d2) r.
    weights, targets : int
        d1 d2 rows each: 1 where W is observed, and M there; else 0.
    Z, velocity, state, spare, squares : int
        N rows each: the present state and its slope, the next state, the one before it, sums of squares.
    single, slopes : int
        The single rows, and (STAGES + 1) N rows.
    hessian, factor : int
        N^2 rows, of which the upper triangles count.
    """

    cut: int
    other: int
    rank: int
    size: int
    weights: int
    targets: int
    Z: int
    velocity: int
    state: int
    spare: int
    squares: int
    single: int
    slopes: int
    hessian: int
    factor: int


def bank_of(shape: tuple[int, int], rank: int) -> tuple[Bank, np.ndarray]:
    """Return the places of the rows for flows of this shape and width, and the rows."""
    m, N = shape[0] * shape[1], sum(shape) * rank
    lengths = m, m, N, N, N, N, N, ONE + 1, (STAGES + 1) * N, N * N, N * N
    ends = np.cumsum(lengths).tolist()
    lines = rows_of(ends[-1])
    bank = Bank(*shape, rank, N, 0, *ends[:-1])
    lines[bank.single : bank.single + ONE + 1] = 1.0
    return bank, lines


@lean
def velocity(bank: Bank, lines: np.ndarray, Z: int, result: int) -> None:
    """Write Z' = -(2/n) [[0, E], [E^T, 0]] Z into the rows from ``result`` on, and |E|_F^2 into its row."""
    if bank.rank == 4:
        velocity_of_four(bank, lines, Z, result)
        return
    rank, weight, square = bank.rank, load(lines, bank.single + WEIGHT), every(0.0)
    for k in range(bank.size):
        store(lines, result + k, every(0.0))
    for i in range(bank.cut):
        for j in range(bank.other):
            a, b, e = i * rank, (bank.cut + j) * rank, i * bank.other + j
            error = every(0.0)
            for p in range(rank):
                error = error + load(lines, Z + a + p) * load(lines, Z + b + p)
            error = load(lines, bank.weights + e) * error - load(lines, bank.targets + e)
            square = square + error * error
            error = error * weight
            for p in range(rank):
                x, y = load(lines, Z + a + p), load(lines, Z + b + p)
                store(lines, result + a + p, load(lines, result + a + p) + error * y)
                store(lines, result + b + p, load(lines, result + b + p) + error * x)
    store(lines, bank.single + SQUARE, square)


@part
def velocity_of_four(bank: Bank, lines: np.ndarray, Z: int, result: int) -> None:
    """Write what ``velocity`` does, for r = 4: a row of A and its slope stay in registers."""
    weight, square, zero = load(lines, bank.single + WEIGHT), every(0.0), every(0.0)
    for k in range(4 * bank.cut, bank.size):
        store(lines, result + k, zero)
    for i in range(bank.cut):
        at = Z + 4 * i
        x, y, z, w = load(lines, at), load(lines, at + 1), load(lines, at + 2), load(lines, at + 3)
        dx, dy, dz, dw = zero, zero, zero, zero
        for j in range(bank.other):
            at, to, e = Z + 4 * (bank.cut + j), result + 4 * (bank.cut + j), i * bank.other + j
            a, b, c, d = load(lines, at), load(lines, at + 1), load(lines, at + 2), load(lines, at + 3)
            error = load(lines, bank.weights + e) * ((x * a + y * b) + (z * c + w * d)) - load(lines, bank.targets + e)
            square = square + error * error
            error = error * weight
            dx, dy, dz, dw = dx + error * a, dy + error * b, dz + error * c, dw + error * d
            store(lines, to, load(lines, to) + error * x)
            store(lines, to + 1, load(lines, to + 1) + error * y)
            store(lines, to + 2, load(lines, to + 2) + error * z)
            store(lines, to + 3, load(lines, to + 3) + error * w)
        to = result + 4 * i
        store(lines, to, dx)
        store(lines, to + 1, dy)
        store(lines, to + 2, dz)
        store(lines, to + 3, dw)
    store(lines, bank.single + SQUARE, square)


@lean
def curvature(bank: Bank, lines: np.ndarray, Z: int, bend: float) -> None:
    """Write the upper triangle of the Hessian of the loss at Z into its rows, the part of E times ``bend``."""
    rank, size, H = bank.rank, bank.size, bank.hessian
    factor, bent = every(-1.0) * load(lines, bank.single + WEIGHT), every(bend)
    for k in range(size * size):
        store(lines, H + k, every(0.0))
    for i in range(bank.cut):
        for j in range(bank.other):
            a, b, e = i * rank, (bank.cut + j) * rank, i * bank.other + j
            weight, error = load(lines, bank.weights + e), every(0.0)
            for p in range(rank):
                error = error + load(lines, Z + a + p) * load(lines, Z + b + p)
            error = (weight * error - load(lines, bank.targets + e)) * factor * bent
            for p in range(rank):
                x, y = weight * factor * load(lines, Z + a + p), weight * factor * load(lines, Z + b + p)
                for q in range(rank):
                    store(lines, H + (a + p) * size + b + q, y * load(lines, Z + a + q))
                for q in range(p, rank):
                    one, two = H + (a + p) * size + a + q, H + (b + p) * size + b + q
                    store(lines, one, load(lines, one) + y * load(lines, Z + b + q))
                    store(lines, two, load(lines, two) + x * load(lines, Z + a + q))
                to = H + (a + p) * size + b + p
                store(lines, to, load(lines, to) + error)


@lean
def factorise(bank: Bank, lines: np.ndarray) -> None:
    """Write U with hessian + shift I = U^T U into its rows, with the reciprocals of its diagonal, four rows together.

    Lanes where there is none have a diagonal that is not positive and finite. Rows of A are coupled through B alone.
    """
    size, U, shift, free = bank.size, bank.factor, load(lines, bank.single + SHIFT), bank.cut * bank.rank
    for i in range(size):
        for j in range(i * size + i, i * size + size):
            store(lines, U + j, load(lines, bank.hessian + j))
        store(lines, U + i * size + i, load(lines, U + i * size + i) + shift)
    for i in range(0, size, 4):
        stop = i + 4 if i + 4 < size else size
        for k in range(i, stop):
            x = U + k * size
            diagonal = inverse_root(load(lines, x + k))
            store(lines, x + k, diagonal)
            for j in range(k + 1, size):
                store(lines, x + j, load(lines, x + j) * diagonal)
            for m in range(k + 1, stop):
                a = load(lines, x + m)
                for j in range(m, size):
                    store(lines, U + m * size + j, load(lines, U + m * size + j) - a * load(lines, x + j))
        met = ((stop - 1) // bank.rank + 1) * bank.rank
        x, y, z, w = U + i * size, U + (i + 1) * size, U + (i + 2) * size, U + (i + 3) * size
        for m in range(stop, size):
            if m < met or m >= free:
                a, b, c, d = load(lines, x + m), load(lines, y + m), load(lines, z + m), load(lines, w + m)
                for j in range(m, size):
                    one = a * load(lines, x + j) + b * load(lines, y + j)
                    two = c * load(lines, z + j) + d * load(lines, w + j)
                    store(lines, U + m * size + j, load(lines, U + m * size + j) - (one + two))


@lean
def solved(bank: Bank, lines: np.ndarray, X: int) -> None:
    """Write the solution of U^T U y = x over x, rows from X on, for U as left by ``factorise``, four rows together."""
    size, U, free = bank.size, bank.factor, bank.cut * bank.rank
    for i in range(0, size, 4):
        stop = i + 4 if i + 4 < size else size
        for k in range(i, stop):
            u = U + k * size
            a = load(lines, X + k) * load(lines, u + k)
            store(lines, X + k, a)
            for j in range(k + 1, stop):
                store(lines, X + j, load(lines, X + j) - a * load(lines, u + j))
        if stop < size:
            met, u = ((stop - 1) // bank.rank + 1) * bank.rank, U + i * size
            a, b, c, d = load(lines, X + i), load(lines, X + i + 1), load(lines, X + i + 2), load(lines, X + i + 3)
            for j in range(stop, size):
                if j < met or j >= free:
                    one = a * load(lines, u + j) + b * load(lines, u + size + j)
                    two = c * load(lines, u + 2 * size + j) + d * load(lines, u + 3 * size + j)
                    store(lines, X + j, load(lines, X + j) - (one + two))
    for i in range((size - 1) // 4 * 4, -1, -4):
        stop = i + 4 if i + 4 < size else size
        if stop < size:
            met, u = ((stop - 1) // bank.rank + 1) * bank.rank, U + i * size
            a, b, c, d = load(lines, X + i), load(lines, X + i + 1), load(lines, X + i + 2), load(lines, X + i + 3)
            for j in range(stop, size):
                if j < met or j >= free:
                    x = load(lines, X + j)
                    a, b = a - x * load(lines, u + j), b - x * load(lines, u + size + j)
                    c, d = c - x * load(lines, u + 2 * size + j), d - x * load(lines, u + 3 * size + j)
            store(lines, X + i, a)
            store(lines, X + i + 1, b)
            store(lines, X + i + 2, c)
            store(lines, X + i + 3, d)
        for k in range(stop - 1, i - 1, -1):
            u = U + k * size
            a = load(lines, X + k)
            for j in range(k + 1, stop):
                a = a - load(lines, X + j) * load(lines, u + j)
            store(lines, X + k, a * load(lines, u + k))


@lean
def definite(bank: Bank, lines: np.ndarray, lane: int) -> bool:
    """Return whether the last factorisation exists in a lane."""
    for k in range(bank.size):
        diagonal = lines[bank.factor + k * (bank.size + 1), lane]
        if not 0.0 < diagonal < np.inf:
            return False
    return True
