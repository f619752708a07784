"""The plateaus that a trajectory has met."""

from __future__ import annotations

import numpy as np

from gflow.flow.trajectory import Plateau
from gflow.policy import ROUNDED_LOSS

SHAKEN = 20.0
"""A slope that would have made the loss fall by this many times what it did is an error of the step."""
PROMINENCE = 10.0
"""A plateau is a local minimum of the gradient norm that is this many times below its surroundings."""


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
    heard = np.where(_shaken(times, losses, slopes), np.nan, slopes)
    for index in _minima(heard.tolist(), losses.tolist(), ends_flat):
        if not found or losses[found[-1]] - losses[index] > noise:
            found.append(index)
        elif slopes[index] < slopes[found[-1]]:
            found[-1] = index
    return tuple(_span(times, states, losses, index, ends_flat) for index in found)


def _shaken(times: np.ndarray, losses: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Return where slopes are errors of steps, (T,): along fast directions these outlast a loss that is rounding."""
    found = np.zeros(len(times), dtype=bool)
    steps, falls = np.diff(times), np.abs(losses[:-2] - losses[2:])
    with np.errstate(over="ignore"):
        due = slopes[1:-1] ** 2 * np.minimum(steps[:-1], steps[1:])
    found[1:-1] = (due > SHAKEN * falls) & (losses[1:-1] <= ROUNDED_LOSS * abs(float(losses[0])))
    return found


def _minima(slopes: list[float], losses: list[float], ends_flat: bool) -> list[int]:
    """Return where the gradient norm has a local minimum that is prominent on both sides; NaN is passed over."""
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
