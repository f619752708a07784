"""Steps of the two-step backward differentiation formula with variable lengths, damped however stiff the field is.

Along a curved valley whose slope is ten orders of magnitude below its walls explicit and exponential steps stay short.
These damp the walls at any length, so that the way alone limits the steps. Hairer, Noersett and Wanner 1993, section
III.5.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gflow.policy import EPS

ERROR_SHARE = 2.0 / 11.0
"""Error of a step as a fraction of its distance from quadratic extrapolation (equal steps)."""
STRETCH, SHRINK = 2.0, 0.25
"""Bounds of the ratio of successive steps: the formula is stable below 1 + sqrt 2."""
LEAST_ERROR = 1e-3

Solve = Callable[[float, np.ndarray, np.ndarray, float], "np.ndarray | None"]


class BackwardSteps:
    """Steps after three states that are known.

    Parameters
    ----------
    times, states : lists
        At least the last three; steps append to them.
    solve : (t, guess, fixed, reach) -> (dim,) array or None
        The y with y = fixed + reach y' at time t, looked for from a guess; None where it is not found.
    allowed : size -> float
        The error that a step may have to a state of that norm.

    Attributes
    ----------
    length : float
        Length of the next step.
    """

    def __init__(
        self, times: list[float], states: list[np.ndarray], solve: Solve, allowed: Callable[[float], float]
    ) -> None:
        self.times, self.states, self.solve, self.allowed = times, states, solve, allowed
        self.length = STRETCH * (times[-1] - times[-2])

    def step(self, longest: float = np.inf) -> bool:
        """Return whether one more step of acceptable error, no longer than ``longest``, was taken."""
        while min(self.length, longest) > EPS * self.times[-1]:
            h = min(self.length, longest)
            guess = self.extrapolated(h)
            y = self.solve(self.times[-1] + h, guess, *self.formula(h))
            if y is None:
                self.length = h * SHRINK
                continue
            error = ERROR_SHARE * float(np.linalg.norm(y - guess)) / self.allowed(float(np.linalg.norm(y)))
            factor = 0.9 * max(error, LEAST_ERROR) ** (-1.0 / 3.0)
            if error <= 1.0:
                self.times.append(self.times[-1] + h)
                self.states.append(y)
                self.length = h * min(STRETCH, factor)
                return True
            self.length = h * max(SHRINK, factor)
        return False

    def extrapolated(self, h: float) -> np.ndarray:
        """Return the quadratic through the last three states at h after the last one."""
        (t0, t1, t2), (y0, y1, y2) = self.times[-3:], self.states[-3:]
        first, before = (y2 - y1) / (t2 - t1), (y1 - y0) / (t1 - t0)
        return y2 + h * (first + (h + t2 - t1) * (first - before) / (t2 - t0))

    def formula(self, h: float) -> tuple[np.ndarray, float]:
        """Return ``fixed`` and ``reach`` of a step of length h: y = fixed + reach y'."""
        ratio = h / (self.times[-1] - self.times[-2])
        share = 1.0 + 2.0 * ratio
        fixed = ((1.0 + ratio) ** 2 * self.states[-1] - ratio**2 * self.states[-2]) / share
        return fixed, h * (1.0 + ratio) / share
