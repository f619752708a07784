"""Bookkeeping of an integration: states kept, plateaus met, and the gauges of its accuracy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gflow.flow.trajectory import Plateau

PROMINENCE = 10.0
"""A plateau is a local minimum of the gradient norm that is this many times below its surroundings."""
STATE_MEMORY = 2**26
"""Numbers held in states before every other one is dropped."""


@dataclass
class Record:
    """Times and states along a trajectory; when memory is short, every other one is dropped."""

    dim: int
    times: list[float] = field(default_factory=list)
    states: list[np.ndarray] = field(default_factory=list)
    stride: int = 1
    offered: int = 0

    def offer(self, t: float, theta: np.ndarray) -> None:
        """Keep the state if its turn has come."""
        if self.offered % self.stride == 0:
            self.keep(t, theta)
        self.offered += 1

    def keep(self, t: float, theta: np.ndarray) -> None:
        """Keep the state unless that time is already there."""
        if self.times and t <= self.times[-1]:
            return
        self.times.append(t)
        self.states.append(theta)
        if len(self.times) * self.dim > max(STATE_MEMORY, 64 * self.dim):
            del self.times[1::2], self.states[1::2]
            self.stride *= 2

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return times (T,) and states (T, dim)."""
        return np.array(self.times), np.array(self.states)


def plateaus(
    times: np.ndarray, states: np.ndarray, losses: np.ndarray, slopes: np.ndarray, ends_flat: bool
) -> tuple[Plateau, ...]:
    """Return the plateaus of a trajectory: the prominent local minima of its gradient norm.

    Parameters
    ----------
    times, losses, slopes : (T,) arrays
        Times, losses and gradient norms along the trajectory.
    states : (T, dim) array
    ends_flat : bool
        Whether the trajectory ended on a plateau (it converged, or waits at a saddle).
    """
    found, high, low = [], np.inf, 0
    for index, slope in enumerate(slopes):
        if slope < slopes[low] or (slope == 0.0 and slopes[low] == 0.0 and losses[index] < losses[low]):
            low = index
        if slope > PROMINENCE * slopes[low] and high > PROMINENCE * slopes[low]:
            found.append(low)
            high, low = slope, index
        elif slope > high:
            high, low = slope, index
    if ends_flat and high > PROMINENCE * slopes[low]:
        found.append(low)
    return tuple(_span(times, states, losses, index, ends_flat) for index in found)


def _span(times: np.ndarray, states: np.ndarray, losses: np.ndarray, index: int, ends_flat: bool) -> Plateau:
    """Return the plateau around the state ``index``: where the loss is within 1 % of the loss there."""
    level = losses[index]
    slack = 0.01 * abs(level) + 1e-18 * abs(losses[0])
    before = np.nonzero(losses[:index] > level + slack)[0]
    after = np.nonzero(losses[index:] < level - slack)[0]
    start = times[before[-1] + 1] if before.size else times[0]
    end = float(times[index + after[0]]) if after.size else None
    if end is None and not ends_flat:
        end = float(times[-1])
    return Plateau(float(level), float(start), end, states[index].copy())
