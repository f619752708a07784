"""The steps of one gradient flow in compiled code: how long, by which method, and when somebody must look at it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gflow.fast.abreast import STAGES
from gflow.fast.field import least, most
from gflow.fast.jit import part
from gflow.flow.saddles import TURN
from gflow.policy import EPS

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
TINY, HUGE = 1e-100, 1e150
"""States below the first are multiplied by the second before they are squared."""


class Limits(NamedTuple):
    """The tolerances of ``gradient_flow``, in the problem's own unit; ``far`` bounds |Z|, ``doubt`` rounding errors.

    Those in units are of one flow, or arrays of one for each.
    """

    rtol: float
    t_end: float | np.ndarray
    loss_tol: float
    gradient_tol: float
    far: float | np.ndarray
    doubt: float
    max_evaluations: int


NOW = np.dtype(
    [(name, float) for name in Limits._fields[:-1]]
    + [(name, float) for name in ("t", "h", "drive", "rate", "slope", "radius", "before", "explicit_h")]
    + [(name, float) for name in ("peak", "low", "arrived", "highest", "minimum_below")]
    + [(name, float) for name in ("since", "until", "worst", "pending", "weight", "tol", "length", "unit")]
    + [(name, np.int64) for name in ("implicit", "count", "patience", "evaluations", "hessians", "steps", "rejected")]
    + [(name, np.int64) for name in ("max_evaluations", "large", "seed", "why", "search")]
)
"""Where a run is, after its limits: time, next step, (2/n) |E|_F, a bound of every growth rate, |gradient|, |Z|, last
error ratio, the length of explicit steps; then the present stay; when rounding errors were looked at and will be, the
worst relative one of a large column, and of small ones that may become large; 2/n; error allowed and length of the step
that is tried, what its numbers are multiplied by before they are squared; what it cost; how many columns are large; why
it left its lane; what is looked for of its growth rate."""
KNOWN, UNKNOWN, ZERO, HIGHER, LOWER = range(5)
"""What is looked for: nothing; whether a bound 0 is right still, or one above it; whether a lower one is."""


@part
def roundoff(now: Any) -> float:
    """Return the rounding errors of the Hessian: growth rates below are zero."""
    return 4.0 * EPS * (now.drive + now.weight * now.radius * now.radius)


@part
def wanted(now: Any) -> float:
    """Return the bound of the growth rates to be proved next, 0 if none is."""
    if now.search == UNKNOWN:
        now.hessians += 1
        now.rate = least(now.rate, now.drive)
        now.search = ZERO if now.rate == 0.0 else HIGHER
    if now.search == ZERO:
        return roundoff(now)
    if now.search == HIGHER and 0.0 < now.rate < now.drive:
        return now.rate
    if now.search != KNOWN and now.h * now.rate > ROSENBROCK_GROWTH:
        now.search = LOWER
        return now.rate / 4.0
    now.search = KNOWN
    return 0.0


@part
def answered(now: Any, proved: bool) -> None:
    """Keep whether the bound that was wanted is one: (2/n) |E|_F always is."""
    if now.search == ZERO:
        now.rate = now.rate if proved else least(roundoff(now), now.drive)
        now.search = HIGHER
    elif now.search == HIGHER:
        now.rate = now.rate if proved else least(4.0 * now.rate, now.drive)
        now.search = LOWER if proved else HIGHER
    elif proved:
        now.rate = now.rate / 4.0 if now.rate > roundoff(now) else 0.0
    else:
        now.search = KNOWN


@part
def begin(now: Any) -> None:
    """Write the length of the next trial step, and the error that it may have."""
    if not now.implicit:
        now.rate = now.drive
    reach = now.slope / now.rate if now.rate > 0.0 else now.radius
    # at a saddle slope / rate is below the distance to it, at a minimum it stays of the order of the state
    growth = ROSENBROCK_GROWTH if now.implicit else EXPLICIT_GROWTH
    now.length = least(least(now.h, growth / most(now.rate, 1e-300)), now.t_end - now.t)
    curved = now.weight * now.radius * now.radius + now.drive
    rounded = least(ROUNDING * EPS * (1.0 + now.length * curved), now.rtol) * now.radius
    now.tol = most(now.rtol * least(now.radius, reach), rounded)
    now.unit = HUGE if now.radius < TINY else 1.0


@part
def judged(now: Any, large: float, small: float) -> bool:
    """Return whether the error of the trial is acceptable; the length of the next one is set either way."""
    order, error = 5.0 if now.implicit else 8.0, np.sqrt(large) / now.unit
    if not now.implicit and large > 0.0:
        error *= np.sqrt(large / (large + 0.01 * small))
    now.evaluations += 8 if now.implicit else STAGES
    ratio = most(error / now.tol, 1e-10)
    if not ratio <= 1.0:
        now.rejected += 1
        now.h = now.length * (most(0.2, 0.9 * ratio ** (-1.0 / order)) if np.isfinite(ratio) else 0.2)
        return False
    factor = 0.95 * ratio ** (-0.7 / order) * now.before ** (0.4 / order)
    now.before = most(ratio, 1e-4)
    now.t += now.length
    now.h = now.length * least(5.0, most(0.2, factor))
    now.steps += 1
    now.search = UNKNOWN
    return True


@part
def suits(now: Any, stiffness: float) -> None:
    """Keep how many of the last steps did not suit the method, and after many of them the other one."""
    if now.implicit:
        now.count = now.count + 1 if now.length < PAYS * now.explicit_h else 0
    else:
        now.explicit_h = now.length
        if stiffness > STIFF:
            now.count += 1
        else:
            now.count = now.count - 2 if now.count > 2 else 0
    if now.count >= now.patience:
        now.count, now.implicit = 0, 1 - now.implicit
        if not now.implicit:
            now.h, now.patience = now.explicit_h, 2 * now.patience


@part
def looked(now: Any) -> bool:
    """Return whether something may have ended at the present state: the flow, or a stay at a saddle."""
    now.highest, now.peak = most(now.highest, now.slope), most(now.peak, now.slope)
    if now.slope <= now.peak / TURN:
        now.arrived = least(now.arrived, now.t)
    if now.slope > TURN * now.low:
        if now.arrived < np.inf:
            return True
        now.peak, now.low, now.minimum_below = now.slope, now.slope, np.inf
    if 0.5 * now.drive * now.drive / now.weight <= now.loss_tol:
        return True
    if now.slope <= now.gradient_tol * now.highest and now.slope <= now.minimum_below:
        return True
    return not now.radius <= now.far or now.t >= now.t_end or now.evaluations >= now.max_evaluations
