"""One gradient flow in compiled code: which step, how long, what ends it, and when to leave it to ``gradient_flow``."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gflow.fast.field import Entries, cholesky, copy, hessian, least, most, norm, velocity
from gflow.fast.jit import lean, part
from gflow.fast.rest import rest
from gflow.fast.rounding import MARGIN, Lost, note
from gflow.fast.saddles import Bottom, certain, unstable
from gflow.fast.steps import STAGES, Work, explicit_step, rosenbrock_step
from gflow.flow.saddles import TURN
from gflow.policy import EPS

GOING, CONVERGED, FLAT, HORIZON, DIVERGING, BUDGET, DOUBTFUL = range(7)
"""How a run ends. ``FLAT``: the gradient vanished at a minimum; ``DOUBTFUL``: rounding errors may have decided."""
EXPLICIT_GROWTH, ROSENBROCK_GROWTH = 0.7, 0.3
"""Largest growth of an unstable mode in one step, in e-foldings: modes hidden below the tolerance must be right too."""
LOST = 1e-12
"""At a saddle with a gradient below this fraction of the largest, states are too coarse to hold what will escape."""
ROUNDING = 2.0
"""Rounding units, of the state and of what its slope adds to it, below which the error of a step is not held."""
STIFF = 4.5
"""The explicit pair is near its limit of stability (about 6) where h times the largest rate exceeds this."""
PATIENCE = 60
"""Steps at that limit, or short steps of the Rosenbrock method, after which the other method is tried."""
PAYS = 9.0
"""A step of the Rosenbrock method costs as much as this many explicit ones."""

NOW = np.dtype(
    [(name, float) for name in ("t", "h", "drive", "rate", "slope", "radius", "before", "explicit_h")]
    + [(name, float) for name in ("peak", "low", "arrived", "clock", "highest", "minimum_below", "rest")]
    + [(name, np.int64) for name in ("implicit", "count", "patience", "evaluations", "hessians", "steps", "rejected")]
)
"""Where a run is: time, next step, (2/n) |E|_F, a bound of every growth rate, |gradient|, |Z|, last error ratio, the
length of explicit steps; then the present stay; how far W still moves where the loss has converged, -1 where that is
not known; then what it cost."""


class Limits(NamedTuple):
    """The tolerances of ``gradient_flow``, in the problem's own unit; ``far`` bounds |Z|, ``doubt`` rounding errors."""

    rtol: float
    t_end: float
    loss_tol: float
    gradient_tol: float
    far: float
    max_evaluations: int
    doubt: float


@part
def advance(entries: Entries, Z: np.ndarray, limits: Limits, now: Any, memory: Work) -> bool:
    """Return whether a step of acceptable error was taken from Z; the length of the next trial is set either way."""
    reach = now.slope / now.rate if now.rate > 0.0 else now.radius
    # at a saddle slope / rate is below the distance to it, at a minimum it stays of the order of the state
    tol = limits.rtol * least(now.radius, reach)
    growth = ROSENBROCK_GROWTH if now.implicit else EXPLICIT_GROWTH
    h = least(least(now.h, growth / most(now.rate, 1e-300)), limits.t_end - now.t)
    curvature = 2.0 / entries.targets.size * now.radius**2 + now.drive
    tol = most(tol, least(ROUNDING * EPS * (1.0 + h * curvature), limits.rtol) * now.radius)
    stiffness = 0.0
    if now.implicit:
        error, drive = rosenbrock_step(entries, Z, h, memory)
        now.evaluations += 8
    else:
        error, drive, stiffness = explicit_step(entries, Z, h, memory)
        now.evaluations += STAGES
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
def choose(entries: Entries, Z: np.ndarray, now: Any, memory: Work) -> None:
    """Keep the method until it has not suited for long, and bound the growth rates at Z."""
    if now.count >= now.patience:
        now.count, now.implicit = 0, 1 - now.implicit
        if not now.implicit:
            now.h, now.patience = now.explicit_h, 2 * now.patience
    if now.implicit:
        hessian(entries, Z, memory.hessian)
        now.hessians += 1
        bound(now, memory, 4.0 * EPS * (now.drive + 2.0 / entries.targets.size * now.radius**2))
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
def look(entries: Entries, Z: np.ndarray, now: Any, bottom: Bottom, memory: Work) -> bool:
    """Return whether the run can be trusted past the present state: no escape was left to rounding errors."""
    now.radius, now.slope = norm(Z), norm(memory.velocity)
    now.highest, now.peak = most(now.highest, now.slope), most(now.peak, now.slope)
    if now.slope < now.low:
        now.low = now.slope
        copy(Z, bottom.state)
    if now.slope <= now.peak / TURN:
        now.arrived = least(now.arrived, now.t)
    if now.slope > TURN * now.low:
        if now.arrived < np.inf and not certain(entries, now, bottom, memory):
            return False
        now.peak, now.low, now.arrived, now.minimum_below = now.slope, now.slope, np.inf, np.inf
    return True


@part
def verdict(entries: Entries, Z: np.ndarray, limits: Limits, now: Any, memory: Work) -> int:
    """Return how the run ends at the present state, in the order in which ``gradient_flow`` asks; GOING if not."""
    if 0.25 * entries.targets.size * now.drive**2 <= limits.loss_tol:
        return CONVERGED
    if now.slope <= limits.gradient_tol * now.highest and now.slope <= now.minimum_below:
        now.minimum_below = now.slope / 10.0
        now.hessians += 1
        if not unstable(entries, Z, now.slope, memory):
            return FLAT
        if now.slope <= LOST * now.highest:
            return DOUBTFUL
    if now.slope == 0.0 or not np.isfinite(now.radius):
        return DOUBTFUL
    if now.radius > limits.far:
        return DIVERGING
    if now.t >= limits.t_end:
        return HORIZON
    if now.evaluations >= limits.max_evaluations:
        return BUDGET
    return GOING


@lean
def run(
    entries: Entries,
    Z: np.ndarray,
    limits: Limits,
    record: np.ndarray,
    bottom: Bottom,
    errors: Lost,
    watched: np.ndarray,
    memory: Work,
) -> int:
    """Return how the flow from Z ends; Z becomes the last state, ``record`` and ``watched`` say when and how surely."""
    now, seen = record[0], watched[0]
    now.drive = velocity(entries, Z, memory.velocity)
    now.radius, now.slope, now.evaluations = norm(Z), norm(memory.velocity), 1
    now.peak, now.low, now.highest = now.slope, now.slope, now.slope
    now.arrived, now.minimum_below, now.before, now.patience = np.inf, np.inf, 1e-4, PATIENCE
    now.h = 0.1 / most(most(now.drive, now.radius**2), 1e-300)
    copy(Z, bottom.state)
    ending = verdict(entries, Z, limits, now, memory)
    while ending == GOING:
        choose(entries, Z, now, memory)
        while not advance(entries, Z, limits, now, memory):
            if now.h <= 4.0 * EPS * now.t or now.evaluations > limits.max_evaluations:
                return DOUBTFUL
        copy(memory.state, Z)
        copy(memory.slopes[STAGES], memory.velocity)
        ending = verdict(entries, Z, limits, now, memory) if look(entries, Z, now, bottom, memory) else DOUBTFUL
        followed = note(entries, Z, now.t, now.drive, errors, seen, ending != GOING)
        if not followed or MARGIN * seen.worst > limits.doubt:
            return DOUBTFUL
    now.rest = rest(entries, Z, memory) if ending == CONVERGED else -1.0
    return ending
