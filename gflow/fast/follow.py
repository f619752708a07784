"""Flows of one shape in compiled code, with the looks that decide what ends one and when to leave it to others."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np

from gflow.fast.abreast import Bank, bank_of
from gflow.fast.control import NOW, PATIENCE, Limits
from gflow.fast.jit import in_time, record
from gflow.fast.lanes import LANES
from gflow.fast.rounding import MASK, ORIGIN, STATE, TARGETS, VELOCITY, errors_of
from gflow.fast.run import EVENT, LOST_WAY, run
from gflow.fast.saddles import certain, unstable
from gflow.flow.saddles import TURN, SaddleClock

GOING, CONVERGED, FLAT, HORIZON, DIVERGING, BUDGET, DOUBTFUL = range(7)
"""How a flow ends. ``FLAT``: the gradient vanished at a minimum; ``DOUBTFUL``: rounding errors may have decided."""
LOST = 1e-12
"""At a saddle with a gradient below this fraction of the largest, states are too coarse to hold what will escape."""


class Abreast(NamedTuple):
    """Flows of one shape, with what ``gflow.fast.run`` needs of them.

    Attributes
    ----------
    bank, lines
        The memory of the lanes.
    flows, data, records : (m, 6, N), (m, 3, d1 d2), (m,) arrays
        Named in ``gflow.fast.rounding`` and ``gflow.fast.control``.
    """

    bank: Bank
    lines: np.ndarray
    flows: np.ndarray
    data: np.ndarray
    records: np.ndarray


def side_by_side(problems: Any, rank: int, starts: np.ndarray, limits: Limits) -> Abreast:
    """Return flows that begin at ``starts``, shape (m, d1 + d2, r), in the unit of each problem.

    Each limit is one for all, or one for each.
    """
    bank, lines = bank_of(problems[0].shape, rank)
    observed = np.array([problem.observed for problem in problems], dtype=float)
    values = np.array([problem.values / problem.unit for problem in problems])
    m, weight = len(problems), 2.0 / np.array([float(problem.n_observed) for problem in problems])
    A, B = starts[:, : bank.cut], starts[:, bank.cut :]
    E = observed * (A @ B.mT) - values
    flows, data, now = np.zeros((m, 6, bank.size)), np.zeros((m, 3, bank.targets)), record(NOW, m)
    flows[:, STATE] = flows[:, ORIGIN] = starts.reshape(m, -1)
    flows[:, VELOCITY] = (-weight[:, None, None] * np.concatenate([E @ B, E.mT @ A], axis=1)).reshape(m, -1)
    data[:, MASK], data[:, TARGETS] = observed.reshape(m, -1), values.reshape(m, -1)
    drive, radius, slope = weight * norms(E.reshape(m, -1)), norms(flows[:, STATE]), norms(flows[:, VELOCITY])
    first = {"drive": drive, "radius": radius, "slope": slope, "peak": slope, "low": slope, "highest": slope}
    first |= {"h": 0.1 / np.maximum(np.maximum(drive, radius**2), 1e-300), "weight": weight, "before": 1e-4}
    first |= {"arrived": np.inf, "minimum_below": np.inf, "evaluations": 1, "patience": PATIENCE, "seed": 1}
    for name, numbers in (limits._asdict() | first | {"large": rank}).items():
        now[name] = numbers
    return Abreast(bank, lines, flows, data, now)


def norms(rows: np.ndarray) -> np.ndarray:
    """Return the Euclidean norms of rows, also where squares underflow."""
    top = np.abs(rows).max(axis=1)
    found: np.ndarray = top * np.linalg.norm(rows / np.where(top > 0.0, top, 1.0)[:, None], axis=1)
    return found


def follow(side: Abreast) -> np.ndarray:
    """Return how each flow ends, shape (m,)."""
    now, held, errors = side.records, np.zeros(LANES, dtype=np.int64), errors_of(side.bank)
    clocks: defaultdict[int, SaddleClock] = defaultdict(SaddleClock)
    endings = np.array([verdict(side, k) for k in range(len(now))])
    queue = np.flatnonzero(endings == GOING)
    while queue.size:
        implicit = now["implicit"][queue] > 0
        for stiff, part in ((None, queue[~implicit]), (True, queue[implicit])):
            if part.size:
                in_time(run, *side, part, stiff, held, errors)
        why, settled = now["why"][queue], learned(now[queue]) & (now["slope"][queue] <= TURN * now["low"][queue])
        endings[queue[why == LOST_WAY]] = DOUBTFUL
        endings[queue[(why == EVENT) & settled]] = CONVERGED
        for k in queue[(why == EVENT) & ~settled]:
            endings[k] = verdict(side, k) if passed(side, k, clocks[int(k)]) else DOUBTFUL
        queue = queue[endings[queue] == GOING]
    return endings


def learned(now: Any) -> Any:
    """Return whether the loss has reached its tolerance."""
    return 0.5 * now["drive"] ** 2 / now["weight"] <= now["loss_tol"]


def passed(side: Abreast, k: int, clock: SaddleClock) -> bool:
    """Return whether the run can be trusted past the present state: no escape was left to rounding errors."""
    here = side.records[k]
    slope = here["slope"]
    if slope > TURN * here["low"]:
        if not certain(side.bank, side.lines, side.flows[k], side.data[k], here, clock):
            return False
        here["peak"] = here["low"] = slope
        here["arrived"] = here["minimum_below"] = np.inf
    return True


def verdict(side: Abreast, k: int) -> int:
    """Return how the run ends at the present state, in the order in which ``gradient_flow`` asks; GOING if not."""
    here = side.records[k]
    slope, radius, highest = here["slope"], here["radius"], here["highest"]
    if learned(here):
        return CONVERGED
    if slope <= here["gradient_tol"] * highest and slope <= here["minimum_below"]:
        here["minimum_below"] = slope / 10.0
        here["hessians"] += 1
        if not unstable(side.bank, side.lines, side.data[k], here["weight"], side.flows[k, STATE], slope).size:
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
