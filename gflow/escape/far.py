"""Starts so small that no flow of theirs is followed: on the sphere until they are near, by the flow itself from there.

Below a distance at which only the homogeneous part of order p counts, delta = e^l x follows
x' = grad h - (x . grad h) x and l' = x . grad h, with a clock that does not slow down: alpha = 1e-300 costs hundreds of
steps. When delta has come to that distance, what is left of its blow-up time says when it would leave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gflow import watch
from gflow.escape.degenerate import blow_up
from gflow.escape.growth import LONGEST, STAGE, NoBlowUp, Slope

SPHERE_RTOL = 1e-12
FAR_ERRORS, LEAST_LOG10 = (1e-2, 10.0**-3.5, 1e-5), -300.0
"""Errors to which far starts are sent, as alpha^q tells them; none lies below ten to the second power."""


@dataclass(frozen=True, slots=True, eq=False)
class FarStarts:
    """The homogeneous part around a degenerate saddle, grad h in the problem's own unit, and the caller's units."""

    slope: Slope
    order: int
    root: float
    time_unit: float

    def near(self, start: np.ndarray, size: float, log_scale: float = 0.0) -> tuple[np.ndarray, float]:
        """Return the deviation of length ``size`` to which e^log_scale start grows, and its time to the blow-up.

        Raises ``NoBlowUp`` where it does not grow so far.
        """
        length = float(np.linalg.norm(start))
        x = self.turned(start / length, float(np.log(size / length)) - log_scale)
        return size * x, blow_up(self.slope, self.order, size * x, self.root, self.time_unit).time

    def turned(self, x: np.ndarray, growth: float) -> np.ndarray:
        """Return the unit vector that x has become when the logarithm of its length has grown by ``growth``."""
        from scipy.integrate import solve_ivp

        def field(_: float, y: np.ndarray) -> np.ndarray:
            watch.tick(STAGE)
            at = y[:-1] / np.linalg.norm(y[:-1])
            g = self.slope(at)
            along = float(at @ g)
            return np.append(g - along * at, along)

        def grown(_: float, y: np.ndarray) -> float:
            return float(y[-1]) - growth

        grown.terminal, grown.direction = True, 1.0  # type: ignore[attr-defined]
        if growth <= 0.0:
            return x
        span = LONGEST / float(np.linalg.norm(self.slope(x)))
        options = {"method": "DOP853", "events": grown, "rtol": SPHERE_RTOL, "atol": SPHERE_RTOL}
        found = solve_ivp(field, (0.0, span), np.append(x, 0.0), **options)
        if found.status != 1:
            raise NoBlowUp("the flow of the homogeneous part was not seen to grow so far")
        end: np.ndarray = found.y[:-1, -1]
        return end / float(np.linalg.norm(end))


def far_alphas(order: float) -> np.ndarray:
    """Return falling multiples of a direction whose escapes err by ``FAR_ERRORS`` where they converge at an order."""
    logs = np.log10(FAR_ERRORS) / order
    return np.asarray(10.0 ** (logs * min(1.0, LEAST_LOG10 / float(logs[-1]))))
