"""Rounding errors in small columns of Z, followed along a compiled integration; the reasoning is ``gflow.flow``'s."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gflow.fast.abreast import Bank
from gflow.fast.field import copy, fill, most, norm
from gflow.fast.jit import lean, part
from gflow.fast.spectrum import orthogonal
from gflow.flow.rounding import DRIFT_ROUNDING, IDLE
from gflow.policy import EPS

MARGIN = 4.0
"""Errors are taken to be this many times the one sample that is followed."""
FOLDINGS = 4.0
"""e-foldings of the fastest error between two looks at the state."""
TERMS, MOST_PARTS = 10, 50
"""Terms of the exponential of half as many e-foldings, and how often it is applied for one step at the most."""
MULTIPLIER, INCREMENT, MODULUS = 1103515245, 12345, 2**31
"""A linear congruential generator: the signs and sizes of rounding errors need be no more random than that."""

STATE, VELOCITY, BOTTOM, SAMPLE, ORIGIN, SQUARES = range(6)
"""Rows of N numbers that are kept of each flow: where it is, its slope, the state of least slope; then of rounding
errors: a sample, the first state, sums of squares of the numbers held since the last look."""
MASK, TARGETS, SLOPES = range(3)
"""Rows of d1 d2 numbers: 1 where W is observed, M there, and (2/n) E at the last look."""


class Lost(NamedTuple):
    """Memory for looks at flows of one shape.

    Attributes
    ----------
    sizes : (r,) array
        The singular values of the state.
    frame : (r, 3 m + r) array
        Along its right singular vectors: the state, the sample and the origin; then these vectors.
    term, spare : (N,) arrays
    """

    sizes: np.ndarray
    frame: np.ndarray
    term: np.ndarray
    spare: np.ndarray


def errors_of(bank: Bank) -> Lost:
    """Return the memory for flows of the shape of a bank."""
    r, m = bank.rank, bank.cut + bank.other
    return Lost(np.zeros(r), np.zeros((r, 3 * m + r)), np.zeros(bank.size), np.zeros(bank.size))


@part
def residuals(bank: Bank, weight: float, data: np.ndarray, Z: np.ndarray) -> None:
    """Write (2/n) E into the slopes of a flow; ``weight`` is 2/n."""
    for i in range(bank.cut):
        for j in range(bank.other):
            a, b, e = i * bank.rank, (bank.cut + j) * bank.rank, i * bank.other + j
            total = 0.0
            for p in range(bank.rank):
                total += Z[a + p] * Z[b + p]
            data[SLOPES, e] = weight * (data[MASK, e] * total - data[TARGETS, e])


@part
def grow(bank: Bank, slopes: np.ndarray, dt: float, sample: np.ndarray, errors: Lost) -> None:
    """Write exp(-dt [[0, G], [G^T, 0]]) times the sample over it, G being the slopes."""
    term, spare = errors.term, errors.spare
    copy(sample, term)
    for k in range(1, TERMS):
        fill(spare, 0.0)
        for i in range(bank.cut):
            for j in range(bank.other):
                a, b, weight = i * bank.rank, (bank.cut + j) * bank.rank, -dt / k * slopes[i * bank.other + j]
                for p in range(bank.rank):
                    spare[a + p] += weight * term[b + p]
                    spare[b + p] += weight * term[a + p]
        for q in range(sample.size):
            term[q] = spare[q]
            sample[q] += spare[q]


@lean
def note(bank: Bank, data: np.ndarray, rows: np.ndarray, now: Any, errors: Lost) -> bool:
    """Keep what the steps since the last look have lost; return whether it is known and at most ``now.doubt``.

    Parameters
    ----------
    data : (3, d1 d2) array
        Of one flow, as for ``gflow.fast.run``; its slopes are those of the last look, and are renewed.
    rows : (6, N) array
        Likewise; its sample is moved on, its sums of squares are taken and left as zeros.
    """
    sample, squares = rows[SAMPLE], rows[SQUARES]
    dt, parts = now.t - now.since, 0
    if norm(sample) > 0.0:
        parts = int(dt * now.drive / FOLDINGS) + 1
        if parts > MOST_PARTS:
            return False
    for k in range(2 * parts + 1):
        if k == parts:
            residuals(bank, now.weight, data, rows[STATE])
        if k < 2 * parts:
            grow(bank, data[SLOPES], 0.5 * dt / parts, sample, errors)
    for q in range(sample.size):
        now.seed = (MULTIPLIER * now.seed + INCREMENT) % MODULUS
        sample[q] += EPS * np.sqrt(3.0 * squares[q]) * (2.0 * now.seed / MODULUS - 1.0)
        squares[q] = 0.0
    turned(bank, rows, errors)
    meet(bank, errors, now, sample)
    now.since = now.t
    now.until = now.t + FOLDINGS / most(now.drive, 1e-300)
    return MARGIN * now.worst <= now.doubt


@part
def turned(bank: Bank, rows: np.ndarray, errors: Lost) -> None:
    """Write the state, the sample and the origin into the frame."""
    r, m, frame = bank.rank, bank.cut + bank.other, errors.frame
    for p in range(r):
        fill(frame[p], 0.0)
        frame[p, 3 * m + p] = 1.0
        for k in range(m):
            q = k * r + p
            frame[p, k], frame[p, m + k], frame[p, 2 * m + k] = rows[STATE, q], rows[SAMPLE, q], rows[ORIGIN, q]
    orthogonal(frame, m, errors.sizes)


@part
def meet(bank: Bank, errors: Lost, now: Any, sample: np.ndarray) -> None:
    """Keep the worst error of a column that is large, and the errors of those that are not."""
    m, frame, sizes = bank.cut + bank.other, errors.frame, errors.sizes
    floor = IDLE * (sizes[0] if sizes[0] < 1.0 else 1.0)
    large = 0
    for j in range(sizes.size):
        large += 1 if sizes[j] > floor else 0
    if large > now.large:
        now.worst, now.pending = most(now.worst, now.pending), 0.0
    now.large = large
    fill(sample, 0.0)
    for j in range(sizes.size):
        error = apart(frame, sizes, m, j)
        if sizes[j] > 0.0:
            now.worst = most(now.worst, error / (sizes[j] if sizes[j] > floor else sizes[0]))
        if sizes[j] > floor:
            continue
        if sizes[j] > EPS * sizes[0]:
            change = -DRIFT_ROUNDING * EPS * sizes[j] * sizes[0] + drift(frame, m, j, bank.cut)
            now.pending = most(now.pending, change / (sizes[j] * sizes[j]))
        for k in range(m):
            for q in range(sizes.size):
                sample[k * sizes.size + q] += frame[j, m + k] * frame[j, 3 * m + q]


@part
def drift(frame: np.ndarray, m: int, j: int, cut: int) -> float:
    """Return how far a^T a - b^T b of column j has moved from where it was at the start."""
    total = 0.0
    for k in range(m):
        change = frame[j, k] * frame[j, k] - frame[j, 2 * m + k] * frame[j, 2 * m + k]
        total += change if k < cut else -change
    return abs(total)


@part
def apart(frame: np.ndarray, sizes: np.ndarray, m: int, j: int) -> float:
    """Keep of the error of column j what does not lie along columns of larger scale, which only turns the frame.

    Return its norm.
    """
    for i in range(j):
        if sizes[i] > 0.0:
            part = 0.0
            for k in range(m):
                part += frame[i, k] / sizes[i] * frame[j, m + k]
            if abs(part) < sizes[i]:
                for k in range(m):
                    frame[j, m + k] -= part / sizes[i] * frame[i, k]
    return norm(frame[j, m : 2 * m])
