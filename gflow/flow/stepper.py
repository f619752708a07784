"""What the solvers of this package share as solvers of scipy: their arguments, and interpolation."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from scipy.integrate import DenseOutput, OdeSolver

from gflow.flow.chebyshev import Field

TINY = 1e-300
FIRST = 1e-3
"""The first step changes the state by this part of it."""


class Hermite(DenseOutput):
    """The cubic through the states and fields at both ends of a step."""

    def __init__(self, t_old: float, t: float, ends: tuple[np.ndarray, np.ndarray], fields: tuple[Any, Any]) -> None:
        super().__init__(t_old, t)
        h = t - t_old
        self.values = ends[0], h * fields[0], ends[1], h * fields[1]

    def _call_impl(self, times: np.ndarray) -> np.ndarray:
        x = (np.asarray(times) - self.t_old) / (self.t - self.t_old)
        weights = (1 + 2 * x) * (1 - x) ** 2, x * (1 - x) ** 2, x * x * (3 - 2 * x), x * x * (x - 1)
        return sum(np.multiply.outer(value, weight) for value, weight in zip(self.values, weights, strict=True))


class Stepper(OdeSolver):
    """What the solvers of this package share: tolerances, a longest and a first step, cubic interpolation.

    Times run forward inside: ``field`` is the velocity in s = direction * t.
    """

    t: float
    y: np.ndarray

    def __init__(
        self,
        fun: Field,
        t0: float,
        y0: np.ndarray,
        t_bound: float,
        vectorized: bool = False,
        *,
        rtol: float = 1e-3,
        atol: float = 1e-6,
        max_step: float = np.inf,
        first_step: float | None = None,
        jac: Any = None,
    ) -> None:
        super().__init__(fun, t0, y0, t_bound, vectorized)
        if not rtol > 0 or not np.ndim(rtol) == np.ndim(atol) == 0 or not atol >= 0:
            raise ValueError(f"rtol must be positive and atol not negative, both numbers; got {rtol!r}, {atol!r}")
        if not max_step > 0 or (first_step is not None and not first_step > 0):
            raise ValueError(f"max_step and first_step must be positive; got {max_step!r}, {first_step!r}")
        self.rtol, self.atol, self.max_step, self.first_step, self.jac = rtol, atol, max_step, first_step, jac
        self.y_old = self.f = self.f_old = self.y
        self._begin()

    def _begin(self) -> None:
        """Keep what the steps need beside the arguments."""

    def field(self, s: float, y: np.ndarray) -> np.ndarray:
        """Return the velocity."""
        if self.direction > 0:
            return self.fun(s, y)
        return -self.fun(-s, y)

    def jacobian(self, s: float, y: np.ndarray) -> np.ndarray:
        """Return the derivative of ``field`` in y: from ``jac``, or by differences where there is none."""
        self.njev += 1
        if self.jac is None:
            steps = sqrt(np.finfo(float).eps) * np.maximum(np.abs(y), 1.0)
            here = self.field(s, y)
            moved = [self.field(s, y + step * unit) - here for step, unit in zip(steps, np.eye(self.n), strict=True)]
            return np.array(moved).T / steps
        given = self.jac(self.direction * s, y) if callable(self.jac) else self.jac
        return self.direction * np.asarray(given, dtype=float)

    def allowed(self, size: float) -> float:
        """Return the norm of the error that a step may have to a state of this norm."""
        return max(self.atol * sqrt(self.n) + self.rtol * size, TINY)

    def first_length(self, speed: float) -> float:
        """Return the length of the first step from a state that moves at this speed."""
        size = float(np.linalg.norm(self.y))
        return self.first_step or max(self.allowed(size), FIRST * size) / max(speed, TINY)

    @property
    def left(self) -> float:
        """Return how long the next step may be: no longer than asked, and not beyond the end."""
        return min(self.max_step, abs(self.t_bound - self.t))

    def _arrive(self, s: float, y: np.ndarray, f: np.ndarray) -> tuple[bool, None]:
        """Keep the state y at s, where ``field`` is f."""
        self.y_old, self.f_old = self.y, self.f
        at_end = s >= self.direction * self.t_bound - 4 * np.spacing(abs(self.t_bound))
        self.t, self.y, self.f = self.t_bound if at_end else self.direction * s, y, self.direction * f
        return True, None

    def _dense_output_impl(self) -> DenseOutput:
        return Hermite(self.t_old, self.t, (self.y_old, self.y), (self.f_old, self.f))
