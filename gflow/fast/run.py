"""One gradient flow in compiled code: which step, how long, and when somebody must look at it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gflow.fast.field import Entries, cholesky, copy, hessian, least, most, norm
from gflow.fast.jit import lean, part
from gflow.fast.rounding import Lost, note
from gflow.fast.steps import STAGES, Work, rows, step
from gflow.flow.saddles import TURN
from gflow.policy import EPS

EVENT, LOST_WAY = range(2)
"""Why a run stops: a stay or the flow may have ended; or no step is left, or rounding errors are too large."""
EXPLICIT_GROWTH, ROSENBROCK_GROWTH = 0.7, 0.3
"""Largest growth of an unstable mode in one step, in e-foldings: modes hidden below the tolerance must be right too."""
ROUNDING = 2.0
"""Rounding units, of the state and of what its slope adds to it, below which the error of a step is not held."""
STIFF = 4.5
"""The explicit pair is near its limit of stability (about 6) where h times the largest rate exceeds this."""
PATIENCE = 60
"""Steps at that limit, or short steps of the Rosenbrock method, after which the other method is tried."""
PAYS = 9.0
"""A step of the Rosenbrock method costs as much as this many explicit ones."""


class Limits(NamedTuple):
    """The tolerances of ``gradient_flow``, in the problem's own unit; ``far`` bounds |Z|, ``doubt`` rounding errors."""

    rtol: float
    t_end: float
    loss_tol: float
    gradient_tol: float
    far: float
    doubt: float
    max_evaluations: int


NOW = np.dtype(
    [(name, float) for name in Limits._fields[:-1]]
    + [(name, float) for name in ("t", "h", "drive", "rate", "slope", "radius", "before", "explicit_h")]
    + [(name, float) for name in ("peak", "low", "arrived", "highest", "minimum_below")]
    + [(name, float) for name in ("since", "until", "worst", "pending")]
    + [(name, np.int64) for name in ("implicit", "count", "patience", "evaluations", "hessians", "steps", "rejected")]
    + [(name, np.int64) for name in ("max_evaluations", "large", "seed")]
)
"""Where a run is, after its limits: time, next step, (2/n) |E|_F, a bound of every growth rate, |gradient|, |Z|, last
error ratio, the length of explicit steps; then the present stay; when rounding errors were looked at and will be, the
worst relative one of a large column, and of small ones that may become large; what it cost; how many columns are
large."""


@part
def advance(entries: Entries, now: Any, memory: Work) -> bool:
    """Return whether a step of acceptable error was taken from Z; the length of the next trial is set either way."""
    reach = now.slope / now.rate if now.rate > 0.0 else now.radius
    # at a saddle slope / rate is below the distance to it, at a minimum it stays of the order of the state
    tol = now.rtol * least(now.radius, reach)
    growth = ROSENBROCK_GROWTH if now.implicit else EXPLICIT_GROWTH
    h = least(least(now.h, growth / most(now.rate, 1e-300)), now.t_end - now.t)
    curvature = 2.0 / entries.targets.size * now.radius * now.radius + now.drive
    tol = most(tol, least(ROUNDING * EPS * (1.0 + h * curvature), now.rtol) * now.radius)
    error, drive, stiffness = step(entries, memory.Z, h, now.implicit, memory)
    now.evaluations += 8 if now.implicit else STAGES
    order = 5.0 if now.implicit else 8.0
    ratio = most(error / tol, 1e-10)
    if not ratio <= 1.0:
        now.rejected += 1
        now.h = h * (most(0.2, 0.9 * ratio ** (-1.0 / order)) if np.isfinite(ratio) else 0.2)
        return False
    factor = 0.9 * ratio ** (-0.7 / order) * now.before ** (0.4 / order)
    now.before = most(ratio, 1e-4)
    now.t += h
    now.h = h * least(5.0, most(0.2, factor))
    now.drive = drive
    now.steps += 1
    now.count = count(now, h, stiffness)
    return True


@part
def count(now: Any, h: float, stiffness: float) -> int:
    """Return how many of the last steps did not suit the present method, one of them of length h."""
    if now.implicit:
        return now.count + 1 if h < PAYS * now.explicit_h else 0
    now.explicit_h = h
    if stiffness > STIFF:
        return now.count + 1
    return now.count - 2 if now.count > 2 else 0


@part
def choose(entries: Entries, now: Any, memory: Work) -> None:
    """Keep the method until it has not suited for long, and bound the growth rates at Z."""
    if now.count >= now.patience:
        now.count, now.implicit = 0, 1 - now.implicit
        if not now.implicit:
            now.h, now.patience = now.explicit_h, 2 * now.patience
    if now.implicit:
        hessian(entries, memory.Z, 1.0, memory.hessian)
        now.hessians += 1
        bound(now, memory, 4.0 * EPS * (now.drive + 2.0 / entries.targets.size * now.radius * now.radius))
    else:
        now.rate = now.drive


@part
def bound(now: Any, memory: Work, lowest: float) -> None:
    """Keep the bound of the growth rates, (2/n) |E|_F at first, so low as a step needs and Cholesky proves.

    Rates below ``lowest``, the rounding errors of the Hessian, are zero.
    """
    now.rate = least(now.rate, now.drive)
    if now.rate == 0.0 and not cholesky(memory.hessian, lowest, memory.factor):
        now.rate = least(lowest, now.drive)
    while now.rate > 0.0 and now.rate < now.drive and not cholesky(memory.hessian, now.rate, memory.factor):
        now.rate = least(4.0 * now.rate, now.drive)
    while now.h * now.rate > ROSENBROCK_GROWTH and cholesky(memory.hessian, now.rate / 4.0, memory.factor):
        now.rate = now.rate / 4.0 if now.rate > lowest else 0.0


@part
def looked(entries: Entries, now: Any, memory: Work) -> bool:
    """Return whether something may have ended at the present state: the flow, or a stay at a saddle."""
    now.radius, now.slope = norm(memory.Z), norm(memory.velocity)
    now.highest, now.peak = most(now.highest, now.slope), most(now.peak, now.slope)
    if now.slope < now.low:
        now.low = now.slope
        copy(memory.Z, memory.bottom)
    if now.slope <= now.peak / TURN:
        now.arrived = least(now.arrived, now.t)
    if now.slope > TURN * now.low:
        if now.arrived < np.inf:
            return True
        now.peak, now.low, now.minimum_below = now.slope, now.slope, np.inf
    if 0.25 * entries.targets.size * now.drive * now.drive <= now.loss_tol:
        return True
    if now.slope <= now.gradient_tol * now.highest and now.slope <= now.minimum_below:
        return True
    return not now.radius <= now.far or now.t >= now.t_end or now.evaluations >= now.max_evaluations


@lean
def run(entries: Entries, lines: np.ndarray, errors: Lost, record: np.ndarray) -> int:
    """Return why the flow stops to be looked at."""
    memory, now = rows(lines), record[0]
    while True:
        choose(entries, now, memory)
        while not advance(entries, now, memory):
            if now.h <= 4.0 * EPS * now.t or now.evaluations > now.max_evaluations:
                return LOST_WAY
        copy(memory.state, memory.Z)
        copy(memory.slopes[STAGES], memory.velocity)
        for k in range(memory.Z.size):
            memory.squares[k] += memory.Z[k] * memory.Z[k]
        if looked(entries, now, memory):
            return EVENT
        if now.t >= now.until and not note(entries, lines, errors, record):
            return LOST_WAY
