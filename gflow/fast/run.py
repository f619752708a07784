"""Gradient flows side by side in compiled code, until somebody must look at each of them.

``LANES`` flows take their steps together, each of its own length, and each is followed as it would be alone: no number
of one lane enters another. Where one must be looked at, the next of the queue takes its lane.
"""

from __future__ import annotations

from typing import Any

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
    STEP,
    TAKEN,
    UNIT,
    WEIGHT,
    Bank,
    curvature,
    definite,
    factorise,
)
from gflow.fast.control import KNOWN, UNKNOWN, answered, begin, judged, looked, suits, wanted
from gflow.fast.jit import lean, part
from gflow.fast.lanes import LANES
from gflow.fast.rounding import BOTTOM, MASK, SQUARES, STATE, TARGETS, VELOCITY, Lost, note
from gflow.fast.steps import GAMMA, explicit, rosenbrock, sized, taken
from gflow.policy import EPS

GOES_ON, EVENT, LOST_WAY, OTHER_METHOD = range(4)
"""Why a flow leaves its lane: a stay or the flow may have ended; no step is left, or rounding errors are too large; the
other method may suit it better."""


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
    """Write a flow into a lane."""
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
    """Write the lengths of the trial steps of all lanes."""
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
    """Keep the flows of a queue going, all by one method, until each of them must be looked at.

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
