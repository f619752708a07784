"""Bookkeeping of an integration: states kept, plateaus met, and the gauges of its accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.flow.trajectory import Plateau

if TYPE_CHECKING:
    from gflow.objective import Objective

PROMINENCE = 10.0
"""A plateau is a local minimum of the gradient norm that is this many times below its surroundings."""
STATE_MEMORY, FEWEST_STATES = 2**26, 8
"""Numbers held in states before every other one is dropped, but never fewer states than the second."""
CHUNK = 2**16
"""Numbers of states that are evaluated together."""
LARGE, DRIFT_STATES = 1000, 16
"""Above the first dimension the conserved quantity is looked at in about the second number of states."""


def norm(vector: np.ndarray) -> float:
    """Return the Euclidean norm of a flat array, also where squares underflow."""
    square = vector.dot(vector)
    if square > 1e-280:
        return sqrt(square)
    size = float(np.abs(vector).max())
    return size * float(np.linalg.norm(vector / size)) if size > 1e-300 else size


@dataclass
class Record:
    """Times and states along a trajectory."""

    dim: int
    times: list[float] = field(default_factory=list)
    states: list[np.ndarray] = field(default_factory=list)
    slopes: list[float] = field(default_factory=list)
    stride: int = 1
    offered: int = 0

    def keep(self, t: float, theta: np.ndarray, slope: float = np.nan) -> None:
        """Keep the state, and the gradient norm there, unless that time is already there."""
        if not self.times or t > self.times[-1]:
            self.times.append(t)
            self.states.append(theta)
            self.slopes.append(slope)

    def offer(self, t: float, theta: np.ndarray, slope: float = np.nan) -> None:
        """Keep the state if its turn has come; when memory is short, every other one is dropped."""
        self.offered += 1
        if self.offered % self.stride:
            return
        self.keep(t, theta, slope)
        if len(self.times) * self.dim > max(STATE_MEMORY, FEWEST_STATES * self.dim):
            del self.times[1::2], self.states[1::2], self.slopes[1::2]
            self.stride *= 2

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return times (T,) and states (T, dim)."""
        return np.array(self.times), np.stack(self.states)


def along(
    objective: Objective, states: np.ndarray, slopes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, float | None]:
    """Return losses, gradient norms and the relative drift of the conserved quantity along a list of states.

    Known gradient norms are not evaluated again. In dimensions above 1000 the drift is that of 16 states and the last.
    """
    together = max(1, CHUNK // objective.dim) if objective.broadcasts else 1

    def mapped(function: Callable[[np.ndarray], Any], at: np.ndarray) -> np.ndarray:
        if together == 1:
            return np.array([function(theta) for theta in at])
        return np.concatenate([function(at[first : first + together]) for first in range(0, len(at), together)])

    drift = None
    if objective.conserved is not None:
        conserved, origin = objective.conserved, objective.conserved(states[0])
        size = max(max(map(_square, states)), 1e-300)
        looked = states if objective.dim <= LARGE else states[:: -(-len(states) // DRIFT_STATES)]
        apart = mapped(lambda theta: np.linalg.norm(conserved(theta) - origin, axis=-1), looked)
        drift = float(max(apart.max(), np.linalg.norm(conserved(states[-1]) - origin))) / size
    if slopes is None or not np.isfinite(slopes).all():
        slopes = np.array([norm(gradient) for gradient in mapped(objective.gradient, states)])
    return mapped(objective.value, states), slopes, drift


def _square(theta: np.ndarray) -> float:
    return float(theta.dot(theta))


def plateaus(
    times: np.ndarray, states: np.ndarray, losses: np.ndarray, slopes: np.ndarray, noise: float, ends_flat: bool
) -> tuple[Plateau, ...]:
    """Return the plateaus of a trajectory: the prominent local minima of its gradient norm, at falling losses.

    Parameters
    ----------
    times, losses, slopes : (T,) arrays
        Times, losses and gradient norms along the trajectory.
    states : (T, dim) array
    noise : float
        Minima of the gradient norm between which the loss falls by no more than this are one plateau.
    ends_flat : bool
        Whether the trajectory ended on a plateau (it converged, or waits at a saddle).
    """
    found: list[int] = []
    for index in _minima(slopes, losses, ends_flat):
        if not found or losses[found[-1]] - losses[index] > noise:
            found.append(index)
        elif slopes[index] < slopes[found[-1]]:
            found[-1] = index
    return tuple(_span(times, states, losses, index, ends_flat) for index in found)


def _minima(slopes: np.ndarray, losses: np.ndarray, ends_flat: bool) -> list[int]:
    """Return where the gradient norm has a local minimum that is prominent on both sides."""
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
    return found


def _span(times: np.ndarray, states: np.ndarray, losses: np.ndarray, index: int, ends_flat: bool) -> Plateau:
    """Return the plateau around a state: where the loss is within 1 % of the loss there, or of the drop to come.

    Its ends are interpolated between states: they do not depend on where the steps happen to end.
    """
    level = float(losses[index])
    slack = 0.01 * max(abs(level), level - float(losses[-1])) + 1e-18 * abs(float(losses[0]))
    before = np.nonzero(losses[:index] > level + slack)[0]
    after = np.nonzero(losses[index:] < level - slack)[0]
    start = _falling(times, losses, int(before[-1]) + 1, level + slack) if before.size else times[0]
    end = _falling(times, losses, index + int(after[0]), level - slack) if after.size else None
    if end is None and not ends_flat:
        end = float(times[-1])
    return Plateau(level, float(start), end, states[index].copy())


def _falling(times: np.ndarray, losses: np.ndarray, index: int, level: float) -> float:
    """Return when the loss falls to a level, within the step that ends at a state."""
    return float(np.interp(-level, -losses[[index - 1, index]], times[[index - 1, index]]))
