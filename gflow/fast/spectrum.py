"""Singular values of few columns, in loops: for so few these are faster than LAPACK, and many times faster to compile.

Golub and Van Loan, Matrix Computations, section 8.6: Jacobi's one-sided rotations find small singular values to full
relative accuracy.
"""

from __future__ import annotations

import numpy as np

from gflow.fast.field import norm
from gflow.fast.jit import lean
from gflow.policy import EPS

ROUNDS = 60
"""Sweeps over the columns that are never needed."""


@lean
def orthogonal(columns: np.ndarray, length: int, sizes: np.ndarray) -> None:
    """Write columns, the rows of ``columns``, turned until their first ``length`` numbers are normal to each other.

    They are sorted by the norms of these, which are written into ``sizes``; what stands behind them turns with them.
    """
    rounds, turns = 0, 1
    while turns > 0 and rounds < ROUNDS:
        rounds, turns = rounds + 1, 0
        for p in range(sizes.size - 1):
            for q in range(p + 1, sizes.size):
                one, two, both = 0.0, 0.0, 0.0
                for k in range(length):
                    x, y = columns[p, k], columns[q, k]
                    one += x * x
                    two += y * y
                    both += x * y
                if abs(both) > 4.0 * EPS * np.sqrt(one) * np.sqrt(two):
                    turns += 1
                    ratio = (two - one) / (2.0 * both)
                    tangent = 1.0 / (abs(ratio) + np.sqrt(ratio * ratio + 1.0))
                    turn(columns, p, q, tangent if ratio >= 0.0 else -tangent)
    for p in range(sizes.size):
        sizes[p] = norm(columns[p, :length])
    for p in range(sizes.size):
        for q in range(p + 1, sizes.size):
            if sizes[q] > sizes[p]:
                sizes[p], sizes[q] = sizes[q], sizes[p]
                turn(columns, p, q, np.inf)


@lean
def turn(rows: np.ndarray, p: int, q: int, tangent: float) -> None:
    """Write two rows turned by an angle with that tangent; an infinite one exchanges them."""
    cosine = 1.0 / np.sqrt(tangent * tangent + 1.0)
    sine = cosine * tangent if tangent < np.inf else 1.0
    for k in range(rows.shape[1]):
        x, y = rows[p, k], rows[q, k]
        rows[p, k] = cosine * x - sine * y
        rows[q, k] = sine * x + cosine * y
