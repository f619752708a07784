"""How the size of an orbit grows with time: as a power on its way to infinity, not at all at a rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow.flow import Trajectory
from gflow.objective import Objective

GROWTH, FAR_GROWTH = 0.2, 0.1
"""A slow orbit runs to infinity if |theta| grew faster than this power of time in each of its last two decades, and
nothing is found ahead of it; beyond the norm limit, or where steps or slope are used up, faster than the second power.

Generically it grows like t^(1/4), and like t^(1/6) where the loss falls to 0 on the way or a rest is far off."""
FAR_SLOPE, LATE_SLOPE = 1e-5, 1e-8
"""An orbit arrives exponentially if its distance from the end fell along with the slope, between these fractions of
the peak of the slope, but for ``STRAGGLE``."""
STRAGGLE = 10.0
SMALL_ENTRY = 1e-2
"""Entries below this, relative to the largest, may be too small to be seen on the way to infinity."""
NOT_YET_TOLD = "it cannot be told yet whether a small entry of the data is zero, which decides whether there is an end"
ASKED_FROM = 20.0
"""An orbit is asked whether it runs to infinity from this size on, relative to the saddle before."""


def peak_time(path: Trajectory) -> float:
    """Return when the slope of an orbit was largest: its launch lies before that."""
    return float(path.times[int(np.argmax(path.gradient_norms))])


def arrives(path: Trajectory, end: np.ndarray) -> bool:
    """Return whether an orbit comes to ``end`` exponentially: its distance falls along with its slope."""
    slopes, peak = path.gradient_norms, int(np.argmax(path.gradient_norms))
    falls = [np.flatnonzero(slopes[peak:] <= share * slopes[peak]) for share in (FAR_SLOPE, LATE_SLOPE)]
    if not all(fall.size for fall in falls):
        return False
    far, late = (peak + int(fall[0]) for fall in falls)
    distances = [float(np.linalg.norm(path.states[i] - end)) for i in (far, late)]
    return distances[1] <= STRAGGLE * slopes[late] / slopes[far] * distances[0]


def grows(times: Any, states: Any, since: float = 0.0, power: float = GROWTH) -> bool:
    """Return whether |theta| grew faster than a power of time in each of the last two decades, all after ``since``."""
    return times[-1] >= 100.0 * since and growth(times, states) > power and growth(times, states, 0.1) > power


def growth(times: Any, states: Any, until: float = 1.0) -> float:
    """Return d log |theta| / d log t over the decade that ends at ``until`` times the last time; 0.0 without one."""
    last = int(np.searchsorted(times, until * times[-1]))
    early = int(np.searchsorted(times, until * times[-1] / 10.0))
    if times[early] <= 0.0 or early == last:
        return 0.0
    sizes = np.log([np.linalg.norm(states[early]), np.linalg.norm(states[last])])
    return float((sizes[1] - sizes[0]) / np.log(times[last] / times[early]))


def hides(errors: np.ndarray, targets: np.ndarray) -> bool:
    """Return whether a run to infinity is farther from a small entry, but not zero, than this is large; max|M| is 1.

    So far it is the run of data with a zero there, and where these have no completion the others have one far away.
    """
    left, sizes = np.abs(errors), np.abs(targets)
    return bool(((sizes > 0.0) & (sizes <= left) & (left < SMALL_ENTRY)).any())


class Growth:
    """Stop an orbit once |U| is seen to grow as a power of time over two decades: a callback of ``gradient_flow``."""

    def __init__(self, objective: Objective, launch: np.ndarray, center: np.ndarray) -> None:
        self.far = ASKED_FROM * max(1.0, float(np.linalg.norm(center)))
        self.objective, self.peak, self.since = objective, 0.0, 0.0
        self.times, self.states = [0.0], [center + launch]

    def __call__(self, t: float, theta: np.ndarray, loss: float) -> bool:
        slope = float(np.linalg.norm(self.objective.gradient(theta)))
        if slope > self.peak:
            self.peak, self.since = slope, t
        self.times.append(t)
        self.states.append(theta)
        return float(np.linalg.norm(theta)) > self.far and grows(self.times, self.states, self.since, FAR_GROWTH)
