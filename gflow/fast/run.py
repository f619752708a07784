"""Gradient flows in compiled code: which step, how long, and when somebody must look at one of them.

``LANES`` flows take their steps together, each of its own length, and each is followed as it would be alone: no number
of one lane enters another. Where one must be looked at, the next of the queue takes its lane.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gflow.fast.abreast import (
    BEND,
    CHANGE,
    LARGE,
    ONE,
    PER_STEP,
    RADIUS,
    SHIFT,
    SLOPE,
    SMALL,
    SQUARE,
    STAGES,
    STEP,
    TAKEN,
    UNIT,
    WEIGHT,
    Bank,
    curvature,
    definite,
    factorise,
)
from gflow.fast.field import copy, least, most
from gflow.fast.jit import lean, part
from gflow.fast.lanes import LANES
from gflow.fast.rounding import BOTTOM, MASK, SQUARES, STATE, TARGETS, VELOCITY, Lost, note
from gflow.fast.steps import GAMMA, explicit, rosenbrock, sized, taken
from gflow.flow.saddles import TURN
from gflow.policy import EPS

GOES_ON, EVENT, LOST_WAY, OTHER_METHOD = range(4)
"""Why a flow leaves its lane: a stay or the flow may have ended; no step is left, or rounding errors are too large; the
other method may suit it better."""
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
def bound(bank: Bank, lines: np.ndarray, records: np.ndarray, held: np.ndarray) -> None:
    """Keep a bound of the growth rates at Z in every lane, so low as its step needs and a factorisation proves."""
    curvature(bank, lines, bank.Z, 1.0)
    while True:
        looking = False
        for k in range(LANES):
            if held[k] >= 0:
                shift = wanted(records[held[k]])
                if shift > 0.0:
                    lines[bank.single + SHIFT, k], looking = shift, True
        if not looking:
            return
        factorise(bank, lines)
        for k in range(LANES):
            if held[k] >= 0 and records[held[k]].search != KNOWN:
                answered(records[held[k]], definite(bank, lines, k))


@part
def begin(now: Any) -> None:
    """Choose the length of the next trial, and the error that it may have."""
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
    factor = 0.9 * ratio ** (-0.7 / order) * now.before ** (0.4 / order)
    now.before = most(ratio, 1e-4)
    now.t += now.length
    now.h = now.length * least(5.0, most(0.2, factor))
    now.steps += 1
    now.search = UNKNOWN
    return True


@part
def suits(now: Any, stiffness: float) -> None:
    """Count how many of the last steps did not suit the present method; after many of them it is the other one."""
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


@lean
def column(lines: np.ndarray, first: int, lane: int, row: np.ndarray) -> None:
    """Write the numbers of one lane, from a row on."""
    for k in range(row.size):
        row[k] = lines[first + k, lane]


@lean
def put(lines: np.ndarray, first: int, lane: int, row: np.ndarray) -> None:
    """Write numbers into one lane, from a row on."""
    for k in range(row.size):
        lines[first + k, lane] = row[k]


@part
def board(bank: Bank, lines: np.ndarray, k: int, rows: np.ndarray, data: np.ndarray, now: Any) -> None:
    """Let a flow take a lane."""
    put(lines, bank.weights, k, data[MASK])
    put(lines, bank.targets, k, data[TARGETS])
    put(lines, bank.Z, k, rows[STATE])
    put(lines, bank.velocity, k, rows[VELOCITY])
    put(lines, bank.squares, k, rows[SQUARES])
    lines[bank.single + WEIGHT, k] = -now.weight
    now.search = UNKNOWN


@part
def leave(bank: Bank, lines: np.ndarray, k: int, rows: np.ndarray) -> None:
    """Keep where a flow is that leaves its lane, which is idle after that: nothing moves there."""
    column(lines, bank.Z, k, rows[STATE])
    column(lines, bank.velocity, k, rows[VELOCITY])
    column(lines, bank.squares, k, rows[SQUARES])
    for row in range(bank.single):
        lines[row, k] = 0.0
    for row in range(ONE + 1):
        lines[bank.single + row, k] = 1.0


@part
def settled(bank: Bank, lines: np.ndarray, k: int, rows: np.ndarray, data: np.ndarray, now: Any, errors: Lost) -> int:
    """Return why a flow leaves its lane after a step that was taken, or GOES_ON."""
    single, before = bank.single, now.implicit
    now.drive = now.weight * np.sqrt(lines[single + SQUARE, k])
    now.radius, now.slope = np.sqrt(lines[single + RADIUS, k]) / now.unit, np.sqrt(lines[single + SLOPE, k]) / now.unit
    change = lines[single + CHANGE, k]
    suits(now, np.sqrt(lines[single + BEND, k] / change) if change > 0.0 else 0.0)
    if now.slope < now.low:
        now.low = now.slope
        column(lines, bank.Z, k, rows[BOTTOM])
    ended = looked(now)
    if ended or now.t >= now.until:
        column(lines, bank.Z, k, rows[STATE])
        column(lines, bank.squares, k, rows[SQUARES])
        if not note(bank, data, rows, now, errors):
            return LOST_WAY
        put(lines, bank.squares, k, rows[SQUARES])
    if ended:
        return EVENT
    return GOES_ON if now.implicit == before else OTHER_METHOD


@part
def start(bank: Bank, lines: np.ndarray, records: np.ndarray, held: np.ndarray) -> None:
    """Choose the trial steps of all lanes."""
    for k in range(LANES):
        lines[bank.single + TAKEN, k] = 0.0
        if held[k] >= 0:
            now = records[held[k]]
            begin(now)
            lines[bank.single + STEP, k], lines[bank.single + PER_STEP, k] = now.length, 1.0 / now.length
            lines[bank.single + SHIFT, k], lines[bank.single + UNIT, k] = 1.0 / (GAMMA * now.length), now.unit


@part
def judge(bank: Bank, lines: np.ndarray, records: np.ndarray, held: np.ndarray) -> None:
    """Keep what is acceptable of the trial steps."""
    sized(bank, lines)
    for k in range(LANES):
        if held[k] >= 0 and judged(records[held[k]], lines[bank.single + LARGE, k], lines[bank.single + SMALL, k]):
            lines[bank.single + TAKEN, k] = 1.0
    taken(bank, lines)


@lean
def run(
    bank: Bank,
    lines: np.ndarray,
    flows: np.ndarray,
    data: np.ndarray,
    records: np.ndarray,
    queue: np.ndarray,
    stiff: bool | None,
    held: np.ndarray,
    errors: Lost,
) -> None:
    """Follow the flows of a queue, all by one method, until each of them must be looked at.

    Parameters
    ----------
    bank, lines
        As left by ``bank_of``, or by this function.
    flows : (m, 6, N) array
        Of each flow the rows named in ``gflow.fast.rounding``; where it is, is renewed.
    data : (m, 3, d1 d2) array
        Likewise; the weights, the targets, and slopes at the last look.
    records : (m,) array of type NOW
        Each is told why its flow has stopped.
    queue, held : (q,), (LANES,) int arrays
        The flows that are followed; room to note which of them hold the lanes.
    stiff : True or None
        Whether the method is Rodas5P: of the two one is compiled, by the type.
    """
    waiting, busy = 0, 0
    for k in range(LANES):
        held[k] = -1
    while True:
        for k in range(LANES):
            if held[k] < 0 and waiting < queue.size:
                held[k] = queue[waiting]
                waiting, busy = waiting + 1, busy + 1
                board(bank, lines, k, flows[held[k]], data[held[k]], records[held[k]])
        if busy == 0:
            return
        if stiff is None:
            start(bank, lines, records, held)
            explicit(bank, lines)
        else:
            bound(bank, lines, records, held)
            start(bank, lines, records, held)
            rosenbrock(bank, lines)
        judge(bank, lines, records, held)
        for k in range(LANES):
            if held[k] < 0:
                continue
            now, why = records[held[k]], GOES_ON
            if lines[bank.single + TAKEN, k] > 0.0:
                why = settled(bank, lines, k, flows[held[k]], data[held[k]], now, errors)
            elif now.h <= 4.0 * EPS * now.t or now.evaluations > now.max_evaluations:
                why = LOST_WAY
            if why != GOES_ON:
                now.why = why
                leave(bank, lines, k, flows[held[k]])
                held[k], busy = -1, busy - 1
