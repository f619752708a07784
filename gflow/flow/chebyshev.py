"""Runge-Kutta-Chebyshev steps: explicit, of order two, and stable on a real interval that grows as stages squared.

Sommeijer, Shampine, Verwer: RKC, an explicit solver for parabolic PDEs, J. Comput. Appl. Math. 88 (1998) 315-326.
The Jacobian of a gradient flow is symmetric, which is what the method is made for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import sqrt

import numpy as np

DAMPING = 2.0 / 13.0
MOST_STAGES = 1000
"""Rounding errors of a step grow as stages squared: to 1e-10 of the state at this number."""
RADIUS_STEPS = 25
"""Steps after which the spectral radius is estimated afresh; also after a step that failed."""
RADIUS_SAFETY = 1.2
ACCURACY = 0.05
"""Fraction of the tolerance that a step may err by: errors of order two keep their direction, so they add up."""
SAFETY, LEAST_ERROR = 0.8, 1e-6
"""The next step aims at this fraction of the length that would just do; errors below the second tell no more."""

Field = Callable[[float, np.ndarray], np.ndarray]


class Chebyshev:
    """Steps of y' = field(t, y) of as many stages as stability asks for, and as long as their errors allow.

    How errors are measured and when the spectral radius is asked for are methods: large orbits have their own.

    Parameters
    ----------
    field : (t, y) -> (dim,) array
    t : float
    y : (dim,) array
    radius : y -> float
        An estimate of the largest |eigenvalue| of the Jacobian.
    rtol, atol : float
        The error of a step is kept below 0.05 (atol + rtol |y|), in the root mean square over the entries.
    most_stages : int
    first : float, optional
        Length of the first step.

    Attributes
    ----------
    rho : float
        A bound of the spectral radius.
    h : float
        Length of the next step.
    stages : int
        Of the last step.
    """

    scale, shrink, grow = 1.54, 0.1, 10.0
    """Stages squared over h rho, and the factors between which the length of a step may change."""

    def __init__(
        self,
        field: Field,
        t: float,
        y: np.ndarray,
        *,
        radius: Callable[[np.ndarray], float],
        rtol: float,
        atol: float,
        most_stages: int = MOST_STAGES,
        first: float | None = None,
    ) -> None:
        self.field, self.radius, self.rtol, self.atol = field, radius, rtol, atol
        self.most_stages, self.h = most_stages, np.inf if first is None else first
        self.t, self.y, self.f = t, y, field(t, y)
        self.rho, self.age, self.stages = 0.0, RADIUS_STEPS, 0
        self.last: tuple[float, float] | None = None

    def step(self, t_bound: float = np.inf, longest: float = np.inf) -> str | None:
        """Return None after one more step, up to ``t_bound`` and no longer than ``longest``, or why there is none."""
        while True:
            if self.is_outdated():
                self.measure()
            stable = (self.most_stages**2 - 1) / (self.scale * self.rho) if self.rho else np.inf
            h = min(self.length(), t_bound - self.t, longest, stable)
            if self.t + h <= self.t:
                return f"the step {h:.3g} is below the spacing of numbers at t = {self.t:.6g}"
            self.stages = max(2, 1 + int(sqrt(self.scale * h * self.rho + 1.0)))
            y = advanced(self.field, self.t, self.y, self.f, h, self.stages)
            f = self.field(self.t + h, y)
            error = self.error(y, f, h)
            if error <= 1.0:
                break
            self.refuse(h, error)
        self.accept(y, f, h, max(error, LEAST_ERROR))
        return None

    def is_outdated(self) -> bool:
        """Return whether the spectral radius is to be estimated afresh."""
        return self.age >= RADIUS_STEPS

    def measure(self) -> None:
        """Keep a bound of the spectral radius here."""
        self.rho, self.age = RADIUS_SAFETY * self.radius(self.y), 0

    def length(self) -> float:
        """Return the length of the next step; the first changes the state by at most a thousandth, or the tolerance."""
        if self.h == np.inf:
            speed, size = float(np.linalg.norm(self.f)) or 1.0, float(np.linalg.norm(self.y))
            allowed = self.atol * sqrt(len(self.y)) + self.rtol * size
            self.h = min(1.0 / self.rho if self.rho else np.inf, max(allowed, 1e-3 * size) / speed)
        return self.h

    def error(self, y: np.ndarray, f: np.ndarray, h: float) -> float:
        """Return the error of a step to y, where the field is f, relative to what is allowed of it."""
        return step_error(self.y, y, self.f, f, h, self.rtol, self.atol)

    def refuse(self, h: float, error: float) -> None:
        """Keep the length to be tried after a step whose error was too large."""
        self.h = h * max(self.shrink, SAFETY / error ** (1 / 3)) if np.isfinite(error) else h * self.shrink
        self.last, self.age = None, max(self.age, RADIUS_STEPS - 2)

    def accept(self, y: np.ndarray, f: np.ndarray, h: float, error: float) -> None:
        """Keep the state that a step has led to, and the length of the next one."""
        factor = SAFETY / error ** (1 / 3)
        if self.last is not None:
            earlier_h, earlier = self.last
            factor = min(factor, SAFETY * h / earlier_h * earlier ** (1 / 3) / error ** (2 / 3))
        self.last, self.age = (h, error), self.age + 1
        self.h = h * min(self.grow, max(self.shrink, factor))
        self.t, self.y, self.f = self.t + h, y, f


def step_error(
    y: np.ndarray, y_new: np.ndarray, f: np.ndarray, f_new: np.ndarray, h: float, rtol: float, atol: float
) -> float:
    """Return the error of a step of order two from y to y_new, relative to what is allowed of it."""
    missed = defect(y, y_new, f, f_new, h)
    missed /= atol + rtol * np.maximum(np.abs(y), np.abs(y_new))
    return float(np.linalg.norm(missed)) / sqrt(len(y)) / ACCURACY


def defect(y: np.ndarray, y_new: np.ndarray, f: np.ndarray, f_new: np.ndarray, h: float) -> np.ndarray:
    """Return the estimated error of a step of length h, of order two, from y to y_new, shape (dim,)."""
    return 0.8 * (y - y_new) + 0.4 * h * (f + f_new)


def advanced(field: Field, t: float, y: np.ndarray, f: np.ndarray, h: float, stages: int) -> np.ndarray:
    """Return the state after one step of length h, of order two, stable for h |lambda| <= 0.65 stages^2.

    Parameters
    ----------
    t : float
    y, f : (dim,) arrays
        The state and the field there.
    """
    first, rest = coefficients(stages)
    before, here = y, y + (first * h) * f
    for mu, nu, mu_field, gamma, node in rest:
        slope = field(t + node * h, here)
        later = (1.0 - mu - nu) * y
        later += mu * here
        later += nu * before
        later += (mu_field * h) * slope
        later += (gamma * h) * f
        before, here = here, later
    return here


@lru_cache(maxsize=MOST_STAGES)
def coefficients(stages: int) -> tuple[float, tuple[tuple[float, float, float, float, float], ...]]:
    """Return the coefficient of the first stage, and (mu, nu, mu~, gamma~, c) of the others, eq. (2.2)-(2.5) there.

    c is the time, in steps, at which the stage takes the field.
    """
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
    a, nodes = 1.0 - b * T, np.empty(s + 1)
    nodes[2:] = w1 * DD[2:] / D[2:]
    nodes[1] = nodes[2] / D[2]
    rest = []
    for j in range(2, s + 1):
        field = float(2 * w1 * b[j] / b[j - 1])
        mu, nu = float(2 * w0 * b[j] / b[j - 1]), float(-b[j] / b[j - 2])
        rest.append((mu, nu, field, float(-a[j - 1]) * field, float(nodes[j - 1])))
    return float(b[1] * w1), tuple(rest)
