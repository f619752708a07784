"""Rounding errors in small columns of Z, followed along a compiled integration; the reasoning is ``gflow.flow``'s."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gflow.fast.field import Entries, copy, fill, most, norm
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

SEEN = np.dtype(
    [(name, float) for name in ("since", "until", "worst", "pending")] + [("large", np.int64), ("seed", np.int64)]
)
"""When the state was looked at and will be; the worst relative error of a large column, and of small ones that may
become large; how many are large."""


class Lost(NamedTuple):
    """What is known of rounding errors.

    Attributes
    ----------
    sample, squares, origin : (N,) arrays
        A sample of the errors, sums of squares of the numbers held since the last look, the start.
    slopes : (n,) array
        (2/n) E at the last look.
    term, spare : (N,) arrays
    axes, sizes : (r, r) and (r,) arrays
        The right singular vectors of the state, in rows, and its singular values.
    frame : (3, r, m) array
        Along these axes: the state, the sample and the origin.
    """

    sample: np.ndarray
    squares: np.ndarray
    origin: np.ndarray
    slopes: np.ndarray
    term: np.ndarray
    spare: np.ndarray
    axes: np.ndarray
    sizes: np.ndarray
    frame: np.ndarray


def errors_of(entries: Entries, Z: np.ndarray) -> tuple[Lost, Any]:
    """Return the memory and the record for an integration that starts at Z."""
    lines, r = np.zeros((5, Z.size)), entries.rank
    lines[2] = Z
    turned = np.zeros((r, r)), np.zeros(r), np.zeros((3, r, entries.size))
    errors = Lost(lines[0], lines[1], lines[2], np.zeros(entries.targets.size), lines[3], lines[4], *turned)
    seen = np.zeros(1, SEEN).view(np.recarray)
    seen["large"], seen["seed"] = r, 1
    return errors, seen


@lean
def residuals(entries: Entries, Z: np.ndarray, slopes: np.ndarray) -> None:
    """Write (2/n) E at the observed entries into ``slopes``."""
    rank, count = entries.rank, entries.targets.size
    for e in range(count):
        i, j = entries.rows[e] * rank, entries.columns[e] * rank
        error = -entries.targets[e]
        for p in range(rank):
            error += Z[i + p] * Z[j + p]
        slopes[e] = 2.0 / count * error


@lean
def grow(entries: Entries, errors: Lost, dt: float, parts: int) -> None:
    """Write exp(-dt [[0, G], [G^T, 0]]) times the sample over it, G being the slopes."""
    rank, sample, term, spare = entries.rank, errors.sample, errors.term, errors.spare
    for _ in range(parts):
        copy(sample, term)
        for k in range(1, TERMS):
            fill(spare, 0.0)
            factor = -dt / (parts * k)
            for e in range(errors.slopes.size):
                i, j = entries.rows[e] * rank, entries.columns[e] * rank
                weight = factor * errors.slopes[e]
                for p in range(rank):
                    spare[i + p] += weight * term[j + p]
                    spare[j + p] += weight * term[i + p]
            for q in range(sample.size):
                term[q] = spare[q]
                sample[q] += spare[q]


@part
def note(entries: Entries, Z: np.ndarray, t: float, drive: float, errors: Lost, seen: Any, last: bool) -> bool:
    """Keep what a step to Z at time t has lost; return whether the errors can still be followed."""
    for q in range(Z.size):
        errors.squares[q] += Z[q] * Z[q]
    if t < seen.until and not last:
        return True
    dt = t - seen.since
    if norm(errors.sample) > 0.0:
        parts = int(dt * drive / FOLDINGS) + 1
        if parts > MOST_PARTS:
            return False
        grow(entries, errors, 0.5 * dt, parts)
        residuals(entries, Z, errors.slopes)
        grow(entries, errors, 0.5 * dt, parts)
    else:
        residuals(entries, Z, errors.slopes)
    meet(entries, Z, errors, seen)
    fill(errors.squares, 0.0)
    seen.since = t
    seen.until = t + FOLDINGS / most(drive, 1e-300)
    return True


@part
def meet(entries: Entries, Z: np.ndarray, errors: Lost, seen: Any) -> None:
    """Add fresh rounding errors, and keep the worst error of a column that is large."""
    for q in range(Z.size):
        seen.seed = (MULTIPLIER * seen.seed + INCREMENT) % MODULUS
        errors.sample[q] += EPS * np.sqrt(3.0 * errors.squares[q]) * (2.0 * seen.seed / MODULUS - 1.0)
    sizes, columns = errors.sizes, errors.frame[1]
    for p in range(entries.rank):
        fill(errors.axes[p], 0.0)
        errors.axes[p, p] = 1.0
    along(errors.axes, Z, errors.frame[0])
    orthogonal(errors.frame[0], errors.axes, sizes)
    along(errors.axes, errors.sample, columns)
    along(errors.axes, errors.origin, errors.frame[2])
    floor = IDLE * (sizes[0] if sizes[0] < 1.0 else 1.0)
    large = 0
    for j in range(sizes.size):
        large += 1 if sizes[j] > floor else 0
    if large > seen.large:
        seen.worst, seen.pending = most(seen.worst, seen.pending), 0.0
    seen.large = large
    for j in range(sizes.size):
        apart(errors.frame[0], sizes, columns, j)
        if sizes[j] > 0.0:
            seen.worst = most(seen.worst, norm(columns[j]) / (sizes[j] if sizes[j] > floor else sizes[0]))
        if sizes[j] > floor:
            fill(columns[j], 0.0)
        elif sizes[j] > EPS * sizes[0]:
            change = -DRIFT_ROUNDING * EPS * sizes[j] * sizes[0] + drift(errors.frame, j, entries.cut)
            seen.pending = most(seen.pending, change / sizes[j] ** 2)
    for k in range(entries.size):
        for q in range(entries.rank):
            total = 0.0
            for j in range(sizes.size):
                total += columns[j, k] * errors.axes[j, q]
            errors.sample[k * entries.rank + q] = total


@lean
def along(axes: np.ndarray, Z: np.ndarray, result: np.ndarray) -> None:
    """Write the components of the rows of Z along each axis into a row of ``result``."""
    rank = axes.shape[0]
    for j in range(rank):
        for k in range(result.shape[1]):
            total = 0.0
            for q in range(rank):
                total += axes[j, q] * Z[k * rank + q]
            result[j, k] = total


@part
def drift(frame: np.ndarray, j: int, cut: int) -> float:
    """Return how far a^T a - b^T b of column j has moved from where it was at the start."""
    total = 0.0
    for k in range(frame.shape[2]):
        change = frame[0, j, k] ** 2 - frame[2, j, k] ** 2
        total += change if k < cut else -change
    return abs(total)


@part
def apart(state: np.ndarray, sizes: np.ndarray, columns: np.ndarray, j: int) -> None:
    """Keep of column j what does not lie along columns of larger scale: that only turns the frame."""
    for i in range(j):
        if sizes[i] > 0.0:
            part = 0.0
            for k in range(state.shape[1]):
                part += state[i, k] / sizes[i] * columns[j, k]
            if abs(part) < sizes[i]:
                for k in range(state.shape[1]):
                    columns[j, k] -= part / sizes[i] * state[i, k]
