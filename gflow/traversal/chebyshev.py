"""The gradient flow in many variables by a stabilised explicit method: few gradients, no linear systems.

The Runge-Kutta-Chebyshev method of order 2: s gradients carry a step of length 0.65 s^2 over the largest curvature,
where an ordinary explicit step needs s^2 of them. Errors are measured in one norm against the size to which |theta|
grows, so that an escape from a saddle takes few steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from gflow.flow.chebyshev import advanced

ORBIT_STAGES = 60
STABLE_LENGTH = 0.65
"""Length of a stable step, times the curvature, over s^2."""

UNSTABLE = 10.0
"""Errors this many times too large may come from an outdated bound of the curvature."""

Slope = Callable[[np.ndarray], np.ndarray]


@dataclass
class ChebyshevSteps:
    """Steps of y' = -gradient(y) with an error per step of about ``tol`` max(size, |y|).

    Attributes
    ----------
    gradient : theta -> (dim,) array
    curvature : theta -> float
        An upper bound of the curvature, asked for whenever |theta| has changed by a fifth of itself and of ``size``,
        and after large errors.
    size : float
        What |theta| grows to, roughly.
    theta, slope : arrays
        The state and the gradient there.
    """

    gradient: Slope
    curvature: Callable[[np.ndarray], float]
    theta: np.ndarray
    tol: float
    size: float = 1.0
    time: float = 0.0
    n_gradients: int = 1
    length: float = np.inf
    slope: np.ndarray = field(init=False)
    stiffness: float = field(init=False)
    measured: float = field(init=False)

    def __post_init__(self) -> None:
        self.slope = self.gradient(self.theta)
        self.measure()
        self.length = 0.25 / self.stiffness

    def measure(self) -> None:
        """Keep a bound of the curvature here."""
        self.stiffness, self.measured = self.curvature(self.theta), float(np.linalg.norm(self.theta))

    def step(self) -> None:
        """Keep the state after one step of acceptable error, and the length of the next one."""
        while True:
            h = min(self.length, STABLE_LENGTH * ORBIT_STAGES**2 / self.stiffness)
            stages = max(2, 1 + int(np.sqrt(1.0 + h * self.stiffness / STABLE_LENGTH)))
            theta = self.attempt(h, stages)
            slope = self.gradient(theta)
            self.n_gradients += stages
            defect = 0.8 * (self.theta - theta) - 0.4 * h * (self.slope + slope)
            error = float(np.linalg.norm(defect)) / (self.tol * max(self.size, float(np.linalg.norm(theta))))
            if error <= 1.0:
                break
            self.length = h * (max(0.2, 0.8 * error ** (-1.0 / 3.0)) if np.isfinite(error) else 0.2)
            if not error <= UNSTABLE:
                self.measure()
        self.time, self.theta, self.slope = self.time + h, theta, slope
        self.length = h * min(4.0, 0.8 * max(error, 1e-6) ** (-1.0 / 3.0))
        if abs(float(np.linalg.norm(theta)) - self.measured) > 0.2 * max(self.measured, self.size):
            self.measure()

    def attempt(self, h: float, stages: int) -> np.ndarray:
        """Return the state after a step of length h with so many stages."""
        return advanced(lambda theta: -self.gradient(theta), self.theta, -self.slope, h, stages)
