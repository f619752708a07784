"""When a path has burst out of a saddle: all that is compared of it lies before, and the rest is followed coarsely."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gflow.flow import Trajectory

SPEEDS_UP, SLOWED = 0.05, 0.25
"""The routes are compared from when the speed exceeds the first fraction of the largest speed until it has fallen
below the second: later, what separates them may grow again."""
WELL_BELOW = 0.5
"""Speeds along chords are told apart from those along the path by this factor."""


class NotFollowed(RuntimeError):
    """A trajectory ended before the times at which it was wanted; the message says why."""


class Burst:
    """A callback of ``gradient_flow`` that stops it where the flow has slowed down after its fastest.

    Parameters
    ----------
    expected : float
        A speed that is going to be met: until it nearly is, a slower burst stops nothing.
    """

    def __init__(self, expected: float = 0.0) -> None:
        self.fastest = WELL_BELOW * expected
        self.seen = expected == 0.0
        self.before: tuple[float, np.ndarray] | None = None

    def __call__(self, t: float, state: np.ndarray, _: float) -> bool:
        """Return whether the speed since the last call is well below ``SLOWED`` times the largest one."""
        before, self.before = self.before, (t, state)
        if before is None or t <= before[0]:
            return False
        speed = float(np.linalg.norm(state - before[1])) / (t - before[0])
        if speed >= self.fastest:
            self.fastest, self.seen = speed, True
        return self.seen and speed < WELL_BELOW * SLOWED * self.fastest


def joined(first: Trajectory, second: Trajectory) -> Trajectory:
    """Return one trajectory of two, the second from the end of the first; it ends as the second does.

    Only times, states, losses, gradient norms, ending and counts are those of both.
    """
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(first, name), getattr(second, name)[1:]])
        for name in ("states", "losses", "gradient_norms")
    }
    counts: dict[str, Any] = {
        name: getattr(first, name) + getattr(second, name) for name in ("n_gradients", "n_hessians", "n_steps")
    }
    times = np.concatenate([first.times, first.times[-1] + second.times[1:]])
    return replace(second, times=times, plateaus=(), **arrays, **counts)


def moving_times(path: Trajectory, count: int, earliest: float | None = None) -> np.ndarray:
    """Return indices of up to ``count`` states, evenly spaced in time from ``earliest``, where the path moves fast.

    Raises ``ValueError`` if the path has slowed down by the time ``earliest``, and ``NotFollowed`` if it never moves.
    """
    speed = path.gradient_norms
    fastest = int(np.argmax(speed))
    first = int(np.argmax(speed > SPEEDS_UP * speed[fastest]))
    slow = np.nonzero(speed[fastest:] < SLOWED * speed[fastest])[0]
    last = fastest + int(slow[0]) if slow.size else len(speed) - 1
    if first >= last:
        raise NotFollowed("the path on the unstable manifold is too short")
    first = first if earliest is None else max(first, int(np.searchsorted(path.times, earliest)))
    if first >= last:
        raise ValueError("alphas must be so small that the trajectory starts near the saddle: the largest is too large")
    wanted = np.linspace(path.times[first], path.times[last], count)
    return np.unique(np.clip(np.searchsorted(path.times, wanted), first, last))
