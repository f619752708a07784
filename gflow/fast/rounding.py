"""Rounding errors in small columns of Z, followed along a compiled integration; the reasoning is ``gflow.flow``'s."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gflow.fast.field import Entries, copy, norm
from gflow.fast.jit import compiled, in_time
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
    """

    sample: np.ndarray
    squares: np.ndarray
    origin: np.ndarray
    slopes: np.ndarray
    term: np.ndarray
    spare: np.ndarray


def errors_of(entries: Entries, Z: np.ndarray) -> tuple[Lost, Any]:
    """Return the memory and the record for an integration that starts at Z."""
    lines = np.zeros((5, Z.size))
    lines[2] = Z
    errors = Lost(lines[0], lines[1], lines[2], np.zeros(entries.targets.size), lines[3], lines[4])
    seen = np.zeros(1, SEEN).view(np.recarray)[0]
    seen.large, seen.seed = entries.rank, 1
    in_time(residuals, entries, Z, errors.slopes)
    return errors, seen


@compiled
def residuals(entries: Entries, Z: np.ndarray, slopes: np.ndarray) -> None:
    """Write (2/n) E at the observed entries into ``slopes``."""
    rank, count = entries.rank, entries.targets.size
    for e in range(count):
        i, j = entries.rows[e] * rank, entries.columns[e] * rank
        error = -entries.targets[e]
        for p in range(rank):
            error += Z[i + p] * Z[j + p]
        slopes[e] = 2.0 / count * error


@compiled
def grow(entries: Entries, errors: Lost, dt: float, parts: int) -> None:
    """Write exp(-dt [[0, G], [G^T, 0]]) times the sample over it, G being the slopes."""
    rank, sample, term, spare = entries.rank, errors.sample, errors.term, errors.spare
    for _ in range(parts):
        term[:] = sample
        for k in range(1, TERMS):
            spare[:] = 0.0
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


@compiled
def note(entries: Entries, Z: np.ndarray, t: float, drive: float, errors: Lost, seen: Any, last: bool) -> bool:
    """Keep what a step to Z at time t has lost; return whether the errors can still be followed."""
    for q in range(Z.size):
        errors.squares[q] += Z[q] * Z[q]
    if t < seen.until and not last:
        return True
    dt = t - seen.since
    if np.any(errors.sample != 0.0):
        parts = int(dt * drive / FOLDINGS) + 1
        if parts > MOST_PARTS:
            return False
        grow(entries, errors, 0.5 * dt, parts)
        residuals(entries, Z, errors.slopes)
        grow(entries, errors, 0.5 * dt, parts)
    else:
        residuals(entries, Z, errors.slopes)
    meet(entries, Z, errors, seen)
    errors.squares[:] = 0.0
    seen.since = t
    seen.until = t + FOLDINGS / max(drive, 1e-300)
    return True


@compiled
def meet(entries: Entries, Z: np.ndarray, errors: Lost, seen: Any) -> None:
    """Add fresh rounding errors, and keep the worst error of a column that is large."""
    rank, size = entries.rank, entries.size
    for q in range(Z.size):
        seen.seed = (MULTIPLIER * seen.seed + INCREMENT) % MODULUS
        errors.sample[q] += EPS * np.sqrt(3.0 * errors.squares[q]) * (2.0 * seen.seed / MODULUS - 1.0)
    U, sizes, Vt = np.linalg.svd(Z.reshape((size, rank)), False)
    columns = errors.sample.reshape((size, rank)) @ Vt.T
    starts, ends = errors.origin.reshape((size, rank)) @ Vt.T, Z.reshape((size, rank)) @ Vt.T
    least = IDLE * min(1.0, sizes[0])
    large = 0
    for j in range(sizes.size):
        large += int(sizes[j] > least)
    if large > seen.large:
        seen.worst, seen.pending = max(seen.worst, seen.pending), 0.0
    seen.large = large
    for j in range(sizes.size):
        apart(U, sizes, columns, j)
        if sizes[j] > 0.0:
            seen.worst = max(seen.worst, norm(columns[:, j].copy()) / (sizes[j] if sizes[j] > least else sizes[0]))
        if sizes[j] > least:
            columns[:, j] = 0.0
        elif sizes[j] > EPS * sizes[0]:
            change = ends[:, j] ** 2 - starts[:, j] ** 2
            drift = abs(change[: entries.cut].sum() - change[entries.cut :].sum())
            drift -= DRIFT_ROUNDING * EPS * sizes[j] * sizes[0]
            seen.pending = max(seen.pending, drift / sizes[j] ** 2)
    copy((columns @ Vt).ravel(), errors.sample)


@compiled
def apart(U: np.ndarray, sizes: np.ndarray, columns: np.ndarray, j: int) -> None:
    """Keep of column j what does not lie along columns of larger scale: that only turns the frame."""
    for i in range(j):
        along = 0.0
        for k in range(U.shape[0]):
            along += U[k, i] * columns[k, j]
        if abs(along) < sizes[i]:
            for k in range(U.shape[0]):
                columns[k, j] -= along * U[k, i]
