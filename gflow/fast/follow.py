"""One flow in compiled code, with the looks that decide what ends it and when to leave it to ``gradient_flow``."""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow.fast.field import Entries, norm, velocity
from gflow.fast.jit import in_time, record
from gflow.fast.rounding import errors_of, note
from gflow.fast.run import LOST_WAY, NOW, PATIENCE, Limits, run
from gflow.fast.saddles import certain, unstable
from gflow.fast.steps import Work, room, work
from gflow.flow.saddles import TURN, SaddleClock

GOING, CONVERGED, FLAT, HORIZON, DIVERGING, BUDGET, DOUBTFUL = range(7)
"""How a flow ends. ``FLAT``: the gradient vanished at a minimum; ``DOUBTFUL``: rounding errors may have decided."""
LOST = 1e-12
"""At a saddle with a gradient below this fraction of the largest, states are too coarse to hold what will escape."""


def follow(entries: Entries, start: np.ndarray, limits: Limits) -> tuple[int, Any, Work]:
    """Return how the flow from a start, shape (N,), ends, the record of where it was then, and its memory."""
    lines, errors, clock = room(start.size), errors_of(entries), SaddleClock()
    memory, now = work(lines), record(NOW)
    here = now[0]
    begin(entries, start, limits, here, memory)
    ending = verdict(entries, here, memory)
    while ending == GOING:
        if in_time(run, entries, lines, errors, now) == LOST_WAY or not passed(entries, here, clock, memory):
            return DOUBTFUL, here, memory
        ending = verdict(entries, here, memory)
        due = ending != GOING or here["t"] >= here["until"]
        if ending == DOUBTFUL or (due and not note(entries, lines, errors, now)):
            return DOUBTFUL, here, memory
    return ending, here, memory


def begin(entries: Entries, start: np.ndarray, limits: Limits, here: Any, memory: Work) -> None:
    """Write where a run is that begins at a start."""
    memory.Z[:] = memory.bottom[:] = memory.origin[:] = start
    drive, radius = in_time(velocity, entries, memory.Z, memory.velocity), norm(start)
    slope = norm(memory.velocity)
    first = {"drive": drive, "radius": radius, "slope": slope, "peak": slope, "low": slope, "highest": slope}
    first |= {"arrived": np.inf, "minimum_below": np.inf, "before": 1e-4, "h": 0.1 / max(drive, radius**2, 1e-300)}
    counts = {"evaluations": 1, "patience": PATIENCE, "large": entries.rank, "seed": 1}
    for name, number in (limits._asdict() | first | counts).items():
        here[name] = number


def passed(entries: Entries, here: Any, clock: SaddleClock, memory: Work) -> bool:
    """Return whether the run can be trusted past the present state: no escape was left to rounding errors."""
    slope = here["slope"]
    if slope > TURN * here["low"]:
        if not certain(entries, here, clock, memory):
            return False
        here["peak"] = here["low"] = slope
        here["arrived"] = here["minimum_below"] = np.inf
    return True


def verdict(entries: Entries, here: Any, memory: Work) -> int:
    """Return how the run ends at the present state, in the order in which ``gradient_flow`` asks; GOING if not."""
    slope, radius, highest = here["slope"], here["radius"], here["highest"]
    if 0.25 * entries.targets.size * here["drive"] ** 2 <= here["loss_tol"]:
        return CONVERGED
    if slope <= here["gradient_tol"] * highest and slope <= here["minimum_below"]:
        here["minimum_below"] = slope / 10.0
        here["hessians"] += 1
        if not unstable(entries, memory.Z, slope, memory).size:
            return FLAT
        if slope <= LOST * highest:
            return DOUBTFUL
    if slope == 0.0 or not np.isfinite(radius):
        return DOUBTFUL
    if radius > here["far"]:
        return DIVERGING
    if here["t"] >= here["t_end"]:
        return HORIZON
    return BUDGET if here["evaluations"] >= here["max_evaluations"] else GOING
