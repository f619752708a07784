"""The steps of this package as solvers of scipy: each is a method of ``gradient_flow`` and of ``solve_ivp``.

Loaded when one of them is asked for: the limits take the same steps without ``scipy.integrate``.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
from scipy.integrate import DenseOutput

from gflow.flow.bdf import BackwardSteps
from gflow.flow.chebyshev import Chebyshev, Field
from gflow.flow.exponential import LinearPhase
from gflow.flow.rosenbrock import Rosenbrock, phi_functions
from gflow.flow.stepper import Hermite, Stepper

__all__ = ["BDF2", "RKC", "ExponentialRosenbrock", "LinearPhase"]

SYMMETRIC = 1e-8
"""Largest part of a Jacobian, relative to it, that may be skew."""
POWER_STEPS, POWER_TOL, APART = 50, 1e-2, 1e-7
"""Of the power iteration for a spectral radius: products, accuracy, and the length of the differences it takes."""
NEWTON_STEPS, NEWTON_TOL = 8, 1e-2
"""Newton steps of an implicit step, until they are the second fraction of the error that is allowed."""
START = 1.0 - sqrt(0.5)
"""gamma of the stiffly stable Runge-Kutta method of order two with two stages of backward Euler (Alexander 1977)."""


class RKC(Stepper):
    """Runge-Kutta-Chebyshev steps: explicit, of order two, for stiff fields whose Jacobian has real eigenvalues.

    Parameters
    ----------
    fun, t0, y0, t_bound, vectorized, rtol, atol, max_step, first_step
        As for the solvers of scipy; tolerances are numbers.
    radius : y -> float, optional
        An estimate of the largest |eigenvalue| of the Jacobian. Default: a power iteration on differences of ``fun``.

    Raises
    ------
    ValueError
        If a tolerance or a length is out of range.

    Sommeijer, Shampine and Verwer, J. Comput. Appl. Math. 88 (1998) 315-326.
    """

    order = 2

    def __init__(
        self,
        fun: Field,
        t0: float,
        y0: np.ndarray,
        t_bound: float,
        vectorized: bool = False,
        *,
        radius: Callable[[np.ndarray], float] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(fun, t0, y0, t_bound, vectorized, **options)
        self.steps = Chebyshev(
            self.field,
            self.direction * self.t,
            self.y,
            radius=radius or self.power_radius,
            rtol=self.rtol,
            atol=self.atol,
            first=self.first_step,
        )
        self.f = self.direction * self.steps.f

    def _step_impl(self) -> tuple[bool, str | None]:
        message = self.steps.step(self.direction * self.t_bound, self.max_step)
        if message is not None:
            return False, message
        return self._arrive(self.steps.t, self.steps.y, self.steps.f)

    def power_radius(self, y: np.ndarray) -> float:
        """Return an estimate of the largest |eigenvalue| of the Jacobian at y."""
        here, found = self.field(self.steps.t, y), 0.0
        v = here + np.random.default_rng(0).standard_normal(self.n) * (float(np.linalg.norm(here)) or 1.0)
        for _ in range(POWER_STEPS):
            step = APART * max(float(np.linalg.norm(y)), 1.0) / (float(np.linalg.norm(v)) or 1.0)
            v = (self.field(self.steps.t, y + step * v) - here) / (step * float(np.linalg.norm(v)))
            before, found = found, float(np.linalg.norm(v))
            if found == 0.0 or abs(found - before) <= POWER_TOL * found:
                break
        return found


class Exponential(DenseOutput):
    """The linearised flow of a step, and the cubic by which states and velocities at its ends differ from it."""

    def __init__(self, stepper: ExponentialRosenbrock) -> None:
        super().__init__(stepper.t_old, stepper.t)
        (self.rates, self.basis, self.moving), self.origin = stepper.linear, stepper.y_old
        end = np.array([self.t])
        ends = np.zeros_like(stepper.y), stepper.y - self.state(end)[:, 0]
        self.rest = Hermite(self.t_old, self.t, ends, (0.0 * ends[0], stepper.f - self.velocity(end)[:, 0]))

    def state(self, times: np.ndarray) -> np.ndarray:
        """Return the states of the linearised flow, shape (dim, m)."""
        s = np.abs(times - self.t_old)
        return self.origin[:, None] + self.basis @ (
            s * phi_functions(-np.outer(self.rates, s))[0] * self.moving[:, None]
        )

    def velocity(self, times: np.ndarray) -> np.ndarray:
        """Return its velocities, shape (dim, m)."""
        decay = np.exp(-np.outer(self.rates, np.abs(times - self.t_old)))
        return np.sign(self.t - self.t_old) * self.basis @ (decay * self.moving[:, None])

    def _call_impl(self, times: np.ndarray) -> np.ndarray:
        found = self.state(np.atleast_1d(times)) + self.rest(np.atleast_1d(times))
        return found if np.ndim(times) else found[:, 0]


class ExponentialRosenbrock(Stepper):
    """Exponential Rosenbrock steps of order five for gradient flows: an autonomous field with a symmetric Jacobian.

    Parameters
    ----------
    fun, t0, y0, t_bound, vectorized, rtol, atol, max_step, first_step
        As for the solvers of scipy; tolerances are numbers, and bound the norm of an error estimate of order three.
    jac : (t, y) -> (n, n) array, or an array, optional
        Default: differences of ``fun``.

    Raises
    ------
    ValueError
        If a tolerance or a length is out of range, or the Jacobian is not symmetric: its eigenvectors would not do.

    A step costs an eigendecomposition. Luan and Ostermann, J. Comput. Appl. Math. 255 (2014) 417-431.
    """

    order = 5

    def _begin(self) -> None:
        self.steps = Rosenbrock(lambda y: -self.field(self.direction * self.t, y), self.hessian, self.y, self.allowed)
        self.steps.length = self.first_step or np.inf
        self.f = self.direction * (self.steps.basis @ self.steps.velocity)

    def hessian(self, y: np.ndarray) -> np.ndarray:
        """Return minus the symmetric Jacobian at y."""
        J = self.jacobian(self.direction * self.t, y)
        if np.linalg.norm(J - J.T) > (SYMMETRIC if self.jac is not None else sqrt(SYMMETRIC)) * np.linalg.norm(J):
            raise ValueError("ExponentialRosenbrock needs a symmetric Jacobian, as every gradient flow has")
        return -0.5 * (J + J.T)

    def _step_impl(self) -> tuple[bool, str | None]:
        self.linear = self.steps.rates, self.steps.basis, self.steps.moving
        s, h = self.direction * self.t, self.steps.step(self.left)
        if not s + h > s:
            return False, self.TOO_SMALL_STEP
        f = self.field(s + h, self.steps.y)
        if np.linalg.norm(f - self.steps.basis @ self.steps.velocity) > SYMMETRIC * np.linalg.norm(f):
            raise ValueError("ExponentialRosenbrock needs a field that does not depend on time")
        return self._arrive(s + h, self.steps.y, f)

    def _dense_output_impl(self) -> DenseOutput:
        return Exponential(self)


class BDF2(Stepper):
    """The two-step backward differentiation formula with variable steps, of order two.

    Parameters
    ----------
    fun, t0, y0, t_bound, vectorized, rtol, atol, max_step, first_step
        As for the solvers of scipy; tolerances are numbers, and bound the norm of the error of a step.
    jac : (t, y) -> (n, n) array, or an array, optional
        Default: differences of ``fun``.

    Raises
    ------
    ValueError
        If a tolerance or a length is out of range.

    The first two steps are those of a method of order two with the same linear systems. Hairer, Noersett and Wanner
    1993, section III.5.
    """

    order = 2

    def _begin(self) -> None:
        self.times, self.states, self.f = [self.direction * self.t], [self.y], self.fun(self.t, self.y)
        self.h = self.first_length(float(np.linalg.norm(self.f)))
        self.steps: BackwardSteps | None = None

    def _step_impl(self) -> tuple[bool, str | None]:
        if self.steps is None and not self._started():
            return False, self.TOO_SMALL_STEP
        if self.steps is not None and not self.steps.step(self.left):
            return False, self.TOO_SMALL_STEP
        if self.steps is None and len(self.times) == 3:
            self.steps = BackwardSteps(self.times, self.states, self.solved, self.allowed)
        del self.times[:-3], self.states[:-3]
        return self._arrive(self.times[-1], self.states[-1], self.field(self.times[-1], self.states[-1]))

    def _started(self) -> bool:
        """Return whether one of the first two steps was taken: two implicit stages, each of reach START h."""
        y, s = self.states[-1], self.times[-1]
        while (h := min(self.h, self.left)) > 0.0 and s + h > s:
            self.h = h
            middle = self.solved(s + START * h, y, y, START * h)
            slope = None if middle is None else (middle - y) / (START * h)
            end = None if slope is None else self.solved(s + h, y, y + (1.0 - START) * h * slope, START * h)
            if end is not None and slope is not None:
                missed = float(np.linalg.norm(end - y - h * slope))  # what a method of order one misses
                if missed <= self.allowed(float(np.linalg.norm(end))):
                    self.times.append(s + h)
                    self.states.append(end)
                    return True
            self.h = 0.25 * h
        return False

    def solved(self, s: float, guess: np.ndarray, fixed: np.ndarray, reach: float) -> np.ndarray | None:
        """Return the y with y = fixed + reach field(s, y), or None where Newton's method does not find it."""
        y, tol = guess, NEWTON_TOL * self.allowed(float(np.linalg.norm(guess)))
        matrix = np.eye(self.n) - reach * self.jacobian(s, guess)
        before = np.inf
        self.nlu += 1
        for _ in range(NEWTON_STEPS):
            with np.errstate(over="ignore", invalid="ignore"):
                defect = fixed + reach * self.field(s, y) - y
            try:
                move = np.linalg.solve(matrix, defect)
            except np.linalg.LinAlgError:
                return None
            y, size = y + move, float(np.linalg.norm(move))
            if size <= tol:
                return y
            if not size < before:
                return None
            before = size
        return None
