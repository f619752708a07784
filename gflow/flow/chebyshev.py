"""Runge-Kutta-Chebyshev steps: explicit, of order two, and stable on a real interval that grows as stages squared.

Sommeijer, Shampine, Verwer: RKC, an explicit solver for parabolic PDEs, J. Comput. Appl. Math. 88 (1998) 315-326.
The Jacobian of a gradient flow is symmetric, which is what the method is made for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np

DAMPING = 2.0 / 13.0
MOST_STAGES = 1000
"""Rounding errors of a step grow as stages squared: to 1e-10 of the state at this number."""
RADIUS_STEPS = 25
"""Steps after which the spectral radius is estimated afresh; also after a step that failed."""
RADIUS_SAFETY = 1.2
ACCURACY = 0.05
"""Fraction of the tolerance that a step may err by: errors of order two keep their direction, so they add up."""

Field = Callable[[np.ndarray], np.ndarray]


class Chebyshev:
    """A solver with the attributes and methods of ``scipy.integrate.OdeSolver`` that an integration uses.

    Parameters
    ----------
    field : y -> (dim,) array
    t : float
    y : (dim,) array
    t_bound : float
    radius : y -> float
        An estimate of the largest |eigenvalue| of the Jacobian.
    rtol, atol : float
        The error of a step is kept below 0.05 (atol + rtol |y|), in the root mean square over the entries.
    """

    def __init__(
        self,
        field: Field,
        t: float,
        y: np.ndarray,
        t_bound: float,
        *,
        radius: Callable[[np.ndarray], float],
        rtol: float,
        atol: float,
    ) -> None:
        self.field, self.radius = field, radius
        self.t, self.y, self.t_bound = t, y, t_bound
        self.rtol, self.atol = rtol, atol
        self.t_old, self.y_old = t, y
        self.f = self.f_old = field(y)
        self.status = "running"
        self.rho, self.age, self.stages = 0.0, RADIUS_STEPS, 0
        self.h: float | None = None
        self.last: tuple[float, float] | None = None

    def step(self) -> str | None:
        """Return None after one more step, or a message if it failed."""
        while True:
            self._estimate_radius()
            if self.h is None:
                self.h = self._first_step()
            h = min(self.h, self.t_bound - self.t, (MOST_STAGES**2 - 1) / (1.54 * self.rho) if self.rho else np.inf)
            if self.t + h <= self.t:
                self.status = "failed"
                return f"the step {h:.3g} is below the spacing of numbers at t = {self.t:.6g}"
            self.stages = 1 + int(sqrt(1.54 * h * self.rho + 1.0)) if self.rho else 2
            self.stages = max(self.stages, 2)
            y = advanced(self.field, self.y, self.f, h, self.stages)
            f = self.field(y)
            error = step_error(self.y, y, self.f, f, h, self.rtol, self.atol)
            if error <= 1.0:
                break
            self.h = h * max(0.1, 0.8 / error ** (1 / 3)) if np.isfinite(error) else h / 10
            self.last, self.age = None, max(self.age, RADIUS_STEPS - 2)
        self._accept(y, f, h, error)
        return None

    def dense_output(self) -> Callable[[Any], np.ndarray]:
        """Return the cubic Hermite interpolant of the last step: times (m,) -> states (dim, m)."""
        t, h = self.t_old, self.t - self.t_old
        values = self.y_old, h * self.f_old, self.y, h * self.f

        def at(times: Any) -> np.ndarray:
            x = (np.asarray(times) - t) / h
            weights = (1 + 2 * x) * (1 - x) ** 2, x * (1 - x) ** 2, x * x * (3 - 2 * x), x * x * (x - 1)
            return sum(np.multiply.outer(value, weight) for value, weight in zip(values, weights, strict=True))

        return at

    def _accept(self, y: np.ndarray, f: np.ndarray, h: float, error: float) -> None:
        error = max(error, 1e-6)
        factor = 0.8 / error ** (1 / 3)
        if self.last is not None:
            earlier_h, earlier = self.last
            factor = min(factor, 0.8 * h / earlier_h * earlier ** (1 / 3) / error ** (2 / 3))
        self.last = h, error
        self.h = h * min(10.0, max(0.1, factor))
        self.t_old, self.y_old, self.f_old = self.t, self.y, self.f
        self.t, self.y, self.f = self.t + h, y, f
        self.age += 1
        if self.t >= self.t_bound:
            self.status = "finished"

    def _estimate_radius(self) -> None:
        if self.age >= RADIUS_STEPS:
            self.rho, self.age = RADIUS_SAFETY * self.radius(self.y), 0

    def _first_step(self) -> float:
        """Return a step within the stability of few stages that changes the state by at most the tolerance^(1/3)."""
        speed = float(np.linalg.norm(self.f)) or 1.0
        allowed = self.atol * sqrt(len(self.y)) + self.rtol * float(np.linalg.norm(self.y))
        quick = 1.0 / self.rho if self.rho else np.inf
        return min(quick, max(allowed, 1e-3 * float(np.linalg.norm(self.y))) / speed, self.t_bound - self.t)


def step_error(
    y: np.ndarray, y_new: np.ndarray, f: np.ndarray, f_new: np.ndarray, h: float, rtol: float, atol: float
) -> float:
    """Return the error of a step of order two from y to y_new, relative to what is allowed of it."""
    missed = 0.8 * (y - y_new) + 0.4 * h * (f + f_new)
    missed /= atol + rtol * np.maximum(np.abs(y), np.abs(y_new))
    return float(np.linalg.norm(missed)) / sqrt(len(y)) / ACCURACY


def advanced(field: Field, y: np.ndarray, f: np.ndarray, h: float, stages: int) -> np.ndarray:
    """Return the state after one step of length h, of order two, stable for h |lambda| <= 0.65 stages^2.

    Parameters
    ----------
    y, f : (dim,) arrays
        The state and the field there.
    """
    first, rest = coefficients(stages)
    before, here = y, y + (first * h) * f
    for mu, nu, mu_field, gamma in rest:
        slope = field(here)
        later = (1.0 - mu - nu) * y
        later += mu * here
        later += nu * before
        slope *= mu_field * h
        later += slope
        later += (gamma * h) * f
        before, here = here, later
    return here


@lru_cache(maxsize=MOST_STAGES)
def coefficients(stages: int) -> tuple[float, tuple[tuple[float, float, float, float], ...]]:
    """Return the coefficient of the first stage and (mu, nu, mu~, gamma~) of the others, eq. (2.2)-(2.5) there."""
    s = stages
    w0 = 1.0 + DAMPING / s**2
    T, D, DD = np.ones(s + 1), np.zeros(s + 1), np.zeros(s + 1)
    T[1], D[1] = w0, 1.0
    for j in range(2, s + 1):
        T[j] = 2 * w0 * T[j - 1] - T[j - 2]
        D[j] = 2 * w0 * D[j - 1] - D[j - 2] + 2 * T[j - 1]
        DD[j] = 2 * w0 * DD[j - 1] - DD[j - 2] + 4 * D[j - 1]
    w1 = D[s] / DD[s]
    b = np.empty(s + 1)
    b[2:] = DD[2:] / D[2:] ** 2
    b[:2] = b[2]
    a = 1.0 - b * T
    rest = []
    for j in range(2, s + 1):
        field = float(2 * w1 * b[j] / b[j - 1])
        rest.append((float(2 * w0 * b[j] / b[j - 1]), float(-b[j] / b[j - 2]), field, float(-a[j - 1]) * field))
    return float(b[1] * w1), tuple(rest)
