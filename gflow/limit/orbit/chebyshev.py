"""The gradient flow in many variables by a stabilised explicit method: few gradients, no linear systems.

Errors are measured in one norm against the size to which |theta| grows, so that an escape from a saddle takes few
steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gflow.flow.chebyshev import Chebyshev, defect

ORBIT_STAGES = 60
STABLE_LENGTH = 0.65
"""Length of a stable step, times the curvature, over s^2."""
FIRST = 0.25
"""Length of the first step, times the curvature."""
UNSTABLE = 10.0
"""Errors this many times too large may come from an outdated bound of the curvature."""
CHANGED = 0.2
"""The bound is outdated where |theta| has changed by this fraction of itself and of the size it grows to."""


class ChebyshevSteps(Chebyshev):
    """Steps of y' = -gradient(y) with an error per step of about ``tol`` max(size, |y|).

    Parameters
    ----------
    gradient : theta -> (dim,) array
    curvature : theta -> float
        An upper bound of the curvature.
    theta : (dim,) array
    tol : float
    size : float
        What |theta| grows to, roughly.
    """

    scale, shrink, grow = 1.0 / STABLE_LENGTH, 0.2, 4.0

    def __init__(
        self,
        gradient: Callable[[np.ndarray], np.ndarray],
        curvature: Callable[[np.ndarray], float],
        theta: np.ndarray,
        tol: float,
        size: float = 1.0,
    ) -> None:
        self.tol, self.size = tol, size
        self.counted = counted = [0]

        def field(t: float, y: np.ndarray) -> np.ndarray:
            counted[0] += 1  # not of self, which would hold itself and all that the gradient needs
            return -gradient(y)

        super().__init__(field, 0.0, theta, radius=curvature, rtol=tol, atol=0.0, most_stages=ORBIT_STAGES + 1)
        self.measure()
        self.h = FIRST / self.rho

    @property
    def n_gradients(self) -> int:
        """Return the number of gradients so far."""
        return self.counted[0]

    def measure(self) -> None:
        """Keep a bound of the curvature here."""
        self.rho, self.measured = self.radius(self.y), float(np.linalg.norm(self.y))

    def is_outdated(self) -> bool:
        """Return whether |theta| has changed since the curvature was asked for."""
        changed = abs(float(np.linalg.norm(self.y)) - self.measured)
        return changed > CHANGED * max(self.measured, self.size)

    def length(self) -> float:
        """Return the length of the next step."""
        return min(self.h, STABLE_LENGTH * ORBIT_STAGES**2 / self.rho)

    def error(self, y: np.ndarray, f: np.ndarray, h: float) -> float:
        """Return the error of a step to y, where the field is f, relative to what is allowed of it."""
        missed = float(np.linalg.norm(defect(self.y, y, self.f, f, h)))
        return missed / (self.tol * max(self.size, float(np.linalg.norm(y))))

    def refuse(self, h: float, error: float) -> None:
        """Keep the length to be tried after a step whose error was too large."""
        super().refuse(h, error)
        if not error <= UNSTABLE:
            self.measure()

    def accept(self, y: np.ndarray, f: np.ndarray, h: float, error: float) -> None:
        """Keep the state that a step has led to, and the length of the next one."""
        self.last = None
        super().accept(y, f, h, error)
