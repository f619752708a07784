"""Rounding errors in small columns of Z, followed along a compiled integration; the reasoning is ``gflow.flow``'s."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gflow.fast.field import Entries, copy, fill, most, norm
from gflow.fast.jit import lean, part
from gflow.fast.spectrum import orthogonal
from gflow.fast.steps import Work, rows
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


class Lost(NamedTuple):
    """What is known of rounding errors.

    Attributes
    ----------
    slopes : (n,) array
        (2/n) E at the last look.
    sizes : (r,) array
        The singular values of the state.
    frame : (r, 3 m + r) array
        Along its right singular vectors: the state, the sample and the origin; then these vectors.
    """

    slopes: np.ndarray
    sizes: np.ndarray
    frame: np.ndarray


def errors_of(entries: Entries) -> Lost:
    """Return the memory for an integration."""
    r = entries.rank
    return Lost(np.zeros(entries.targets.size), np.zeros(r), np.zeros((r, 3 * entries.size + r)))


@part
def residuals(entries: Entries, Z: np.ndarray, slopes: np.ndarray) -> None:
    """Write (2/n) E at the observed entries into ``slopes``."""
    rank, count = entries.rank, entries.targets.size
    for e in range(count):
        i, j = entries.rows[e] * rank, entries.columns[e] * rank
        error = -entries.targets[e]
        for p in range(rank):
            error += Z[i + p] * Z[j + p]
        slopes[e] = 2.0 / count * error


@part
def grow(entries: Entries, slopes: np.ndarray, dt: float, terms: int, memory: Work) -> None:
    """Write exp(-dt [[0, G], [G^T, 0]]) times the sample over it, G being the slopes."""
    rank, sample, term, spare = entries.rank, memory.sample, memory.spare[0], memory.spare[1]
    copy(sample, term)
    for k in range(1, terms):
        fill(spare, 0.0)
        for e in range(slopes.size):
            i, j = entries.rows[e] * rank, entries.columns[e] * rank
            weight = -dt / k * slopes[e]
            for p in range(rank):
                spare[i + p] += weight * term[j + p]
                spare[j + p] += weight * term[i + p]
        for q in range(sample.size):
            term[q] = spare[q]
            sample[q] += spare[q]


@lean
def note(entries: Entries, lines: np.ndarray, errors: Lost, record: np.ndarray) -> bool:
    """Keep what the steps since the last look have lost; return whether it is known and at most ``now.doubt``."""
    memory, now = rows(lines), record[0]
    dt, parts = now.t - now.since, 0
    if norm(memory.sample) > 0.0:
        parts = int(dt * now.drive / FOLDINGS) + 1
        if parts > MOST_PARTS:
            return False
    for k in range(2 * parts + 1):
        if k == parts:
            residuals(entries, memory.Z, errors.slopes)
        if k < 2 * parts:
            grow(entries, errors.slopes, 0.5 * dt / parts, TERMS, memory)
    for q in range(memory.sample.size):
        now.seed = (MULTIPLIER * now.seed + INCREMENT) % MODULUS
        memory.sample[q] += EPS * np.sqrt(3.0 * memory.squares[q]) * (2.0 * now.seed / MODULUS - 1.0)
        memory.squares[q] = 0.0
    turned(entries, errors, memory)
    meet(entries, errors, now, memory.sample)
    now.since = now.t
    now.until = now.t + FOLDINGS / most(now.drive, 1e-300)
    return MARGIN * now.worst <= now.doubt


@part
def turned(entries: Entries, errors: Lost, memory: Work) -> None:
    """Write the state, the sample and the origin into the frame."""
    m, frame = entries.size, errors.frame
    for p in range(entries.rank):
        fill(frame[p], 0.0)
        frame[p, 3 * m + p] = 1.0
        for k in range(m):
            q = k * entries.rank + p
            frame[p, k], frame[p, m + k], frame[p, 2 * m + k] = memory.Z[q], memory.sample[q], memory.origin[q]
    orthogonal(frame, m, errors.sizes)


@part
def meet(entries: Entries, errors: Lost, now: Any, sample: np.ndarray) -> None:
    """Keep the worst error of a column that is large, and the errors of those that are not."""
    m, frame, sizes = entries.size, errors.frame, errors.sizes
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
            change = -DRIFT_ROUNDING * EPS * sizes[j] * sizes[0] + drift(frame, m, j, entries.cut)
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
