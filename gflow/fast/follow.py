"""Flows of one shape in compiled code, with the looks that decide what ends one and when to leave it to others."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np

from gflow.fast.abreast import bank_of
from gflow.fast.control import NOW, PATIENCE, Limits
from gflow.fast.jit import in_time, record
from gflow.fast.lanes import LANES
from gflow.fast.rounding import BOTTOM, MASK, ORIGIN, STATE, TARGETS, VELOCITY, errors_of
from gflow.fast.run import EVENT, LOST_WAY, run
from gflow.fast.saddles import certain, unstable
from gflow.fast.stacks import Stack
from gflow.flow.saddles import TURN, SaddleClock

GOING, CONVERGED, FLAT, HORIZON, DIVERGING, BUDGET, DOUBTFUL = range(7)
"""How a flow ends. ``FLAT``: the gradient vanished at a minimum; ``DOUBTFUL``: rounding errors may have decided."""
LOST = 1e-12
"""At a saddle with a gradient below this fraction of the largest, states are too coarse to hold what will escape."""


class Abreast(NamedTuple):
    """Flows of one shape.

    Attributes
    ----------
    stack : Stack
        Their problems.
    flows, data, records : (m, 6, N), (m, 3, d1 d2), (m,) arrays
        Named in ``gflow.fast.rounding`` and ``gflow.fast.control``.
    """

    stack: Stack
    flows: np.ndarray
    data: np.ndarray
    records: np.ndarray

    def states(self, places: Any, row: int) -> np.ndarray:
        """Return a row of some flows as matrices, shape (k, d1 + d2, r)."""
        d1, d2 = self.stack.mask.shape[1:]
        return self.flows[places, row].reshape(len(places), d1 + d2, self.flows.shape[2] // (d1 + d2))


def side_by_side(problems: Any, starts: np.ndarray, limits: Limits) -> Abreast:
    """Return flows that begin at ``starts``, shape (m, d1 + d2, r), in the unit of each problem.

    Each limit is one for all, or one for each.
    """
    m, rank = len(problems), starts.shape[2]
    observed = np.array([problem.observed for problem in problems], dtype=float)
    values = np.array([problem.values / problem.unit for problem in problems])
    stack = Stack(observed, values, 2.0 / np.array([float(problem.n_observed) for problem in problems]))
    flows, data, now = np.zeros((m, 6, starts[0].size)), np.zeros((m, 3, observed[0].size)), record(NOW, m)
    flows[:, STATE] = flows[:, ORIGIN] = starts.reshape(m, -1)
    flows[:, VELOCITY] = stack.slope(starts).reshape(m, -1)
    data[:, MASK], data[:, TARGETS] = observed.reshape(m, -1), values.reshape(m, -1)
    drive = stack.weight * norms(stack.residual(starts).reshape(m, -1))
    radius, slope = norms(flows[:, STATE]), norms(flows[:, VELOCITY])
    first = {"drive": drive, "radius": radius, "slope": slope, "peak": slope, "low": slope, "highest": slope}
    first |= {"h": 0.1 / np.maximum(np.maximum(drive, radius**2), 1e-300), "weight": stack.weight, "before": 1e-4}
    first |= {"arrived": np.inf, "minimum_below": np.inf, "evaluations": 1, "patience": PATIENCE, "seed": 1}
    for name, numbers in (limits._asdict() | first | {"large": rank}).items():
        now[name] = numbers
    return Abreast(stack, flows, data, now)


def norms(rows: np.ndarray) -> np.ndarray:
    """Return the Euclidean norms of rows, also where squares underflow."""
    top = np.abs(rows).max(axis=1)
    found: np.ndarray = top * np.linalg.norm(rows / np.where(top > 0.0, top, 1.0)[:, None], axis=1)
    return found


def follow(side: Abreast) -> np.ndarray:
    """Return how each flow ends, shape (m,)."""
    now, (d1, d2) = side.records, side.stack.mask.shape[1:]
    bank, lines = bank_of((d1, d2), side.flows.shape[2] // (d1 + d2))
    memory = bank, lines, side.flows, side.data, now
    held, errors = np.zeros(LANES, dtype=np.int64), errors_of(bank)
    clocks: defaultdict[int, SaddleClock] = defaultdict(SaddleClock)
    endings = verdicts(side, np.arange(len(now)))
    queue = np.flatnonzero(endings == GOING)
    while queue.size:
        implicit = now["implicit"][queue] > 0
        for stiff, part in ((None, queue[~implicit]), (True, queue[implicit])):
            if part.size:
                in_time(run, *memory, part, stiff, held, errors)
        why = now["why"][queue]
        endings[queue[why == LOST_WAY]] = DOUBTFUL
        stopped = queue[why == EVENT]
        escaped = stopped[now["slope"][stopped] > TURN * now["low"][stopped]]
        endings[stopped] = verdicts(side, stopped, passed(side, escaped, clocks))
        queue = queue[endings[queue] == GOING]
    return endings


def passed(side: Abreast, places: np.ndarray, clocks: defaultdict[int, SaddleClock]) -> np.ndarray:
    """Return which flows cannot be trusted past their states: rounding errors may have decided an escape."""
    now = side.records
    if not places.size:
        return places
    sure = certain(
        side.stack.at(places), side.states(places, BOTTOM), now[places], [clocks[k] for k in places.tolist()]
    )
    now["hessians"][places] += 1
    now["evaluations"][places] += 5
    now["peak"][places] = now["low"][places] = now["slope"][places]
    now["arrived"][places] = now["minimum_below"][places] = np.inf
    return places[~np.array(sure)]


def verdicts(side: Abreast, places: np.ndarray, doubted: np.ndarray | None = None) -> np.ndarray:
    """Return how the runs end at their present states, in the order in which ``gradient_flow`` asks; GOING if not."""
    now, endings = side.records, np.full(len(places), GOING)
    here = now[places]
    slope, still = here["slope"], here["slope"] <= here["gradient_tol"] * here["highest"]
    late = here["evaluations"] >= here["max_evaluations"]
    for ending, met in (
        (BUDGET, late),
        (HORIZON, here["t"] >= here["t_end"]),
        (DIVERGING, here["radius"] > here["far"]),
        (DOUBTFUL, (slope == 0.0) | ~np.isfinite(here["radius"])),
    ):
        endings[met] = ending
    learned = 0.5 * here["drive"] ** 2 / here["weight"] <= here["loss_tol"]
    looks = np.flatnonzero(still & (slope <= here["minimum_below"]) & ~learned)
    if looks.size:
        at = places[looks]
        now["minimum_below"][at] = slope[looks] / 10.0
        now["hessians"][at] += 1
        rates = unstable(side.stack.at(at), side.states(at, STATE), slope[looks])
        lost = slope[looks] <= LOST * here["highest"][looks]
        for k, found, coarse in zip(looks, rates, lost, strict=True):
            endings[k] = FLAT if not found.size else DOUBTFUL if coarse else endings[k]
    endings[learned] = CONVERGED
    if doubted is not None:
        endings[np.isin(places, doubted)] = DOUBTFUL
    return endings
