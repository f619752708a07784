"""The gradient flow in deviations from a point, with tolerances that follow what can still grow."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.critical.spectra import curvature_at, hessian_norm
from gflow.flow.solvers import Solvers
from gflow.policy import EPS

if TYPE_CHECKING:
    from scipy.integrate import OdeSolver

    from gflow.objective import Objective


class IntegrationFailed(RuntimeError):
    """The ODE solver could not go on; the message carries its words and the time reached."""


class Centred:
    """Where a flow is, in the objective's own unit, and the solver that takes its steps.

    Parameters
    ----------
    objective : Objective
        In its own unit.
    delta : (dim,) array
        The start, a deviation from ``center``.
    center : (dim,) array, optional
        A critical point; the deviations are those from 0 where there is none.
    method : str or class
    rtol, t_end : float

    Attributes
    ----------
    t : float
    theta : (dim,) array
        The state, of norm ``size``; ``reach`` is the norm of its deviation.
    slope : float
        The gradient norm there.
    tolerance : float
        Absolute tolerance of the steps, in the norm of the deviation.
    """

    solver: OdeSolver

    def __init__(
        self, objective: Objective, delta: np.ndarray, center: np.ndarray | None, method: Any, rtol: float, t_end: float
    ) -> None:
        from scipy.linalg.blas import dnrm2

        self.objective, self.rtol, self.t_end = objective, rtol, t_end
        self.norm: Callable[[np.ndarray], float] = dnrm2  # also where squares underflow
        self.solvers = Solvers(method, objective.dim, rtol, self._radius)
        self.n_gradients, self.n_hessians, self.n_steps = 0, 1, 0
        self.is_centred = center is not None
        self.center = np.zeros_like(delta) if center is None else center
        self.local = objective if center is None else objective.around(center)
        self.theta = self.center + delta
        self.velocity = -self.local.gradient(delta)
        self.slope, self.size = self.norm(self.velocity), self.norm(self.theta)
        self.curvature = curvature_at(objective, self.theta)
        self.tolerance = self.reach = 0.0
        ahead = self.slope / self.curvature if self.curvature > 0.0 else float(self.slope > 0.0)  # of a start at 0
        self.enter(0.0, delta, self.norm(delta) or ahead)

    @property
    def allowed(self) -> float:
        """Return the error that a step may make."""
        return max(self.tolerance, self.rtol * self.reach)

    def enter(self, t: float, delta: np.ndarray, grows: float) -> None:
        """Keep a solver that starts at ``center + delta``, with tolerances relative to ``grows``, what still can."""
        precise = self.local.deviation is not None or not self.center.any()
        before, self.t, self.reach = self.allowed, t, self.norm(delta)
        self.tolerance = max(self.rtol * grows, 1e-300 if precise else 100 * EPS * self.norm(self.center))
        if self.n_steps:
            first = self.solvers.next_step(self.solver, min(1.0, self.allowed / before))
        else:
            first = self.solvers.first_step(self.curvature)
        self.solver = self._solver_at(t, delta, self.tolerance / np.sqrt(self.local.dim), first)

    def recentre(self, center: np.ndarray, local: Objective, grows: float) -> None:
        """Keep coordinates around ``center``, with tolerances relative to ``grows``."""
        delta = (self.center - center) + self.solver.y
        self.center, self.local, self.is_centred, self.solvers.linear = center, local, True, False
        self.enter(self.t, delta, grows)

    def step(self) -> None:
        """Keep the state of one more step; raises ``IntegrationFailed`` with the words of a solver that gives up."""
        said = self.solver.step()
        self.n_steps += 1
        theta = self.center + self.solver.y
        size = self.norm(theta)
        if self.solver.status == "failed" or not isfinite(size):
            raise IntegrationFailed(said or "the state is not finite")
        if self.solvers.is_foreign:
            self._velocity(self.solver.t, self.solver.y)
        self.t, self.theta, self.size, self.slope = float(self.solver.t), theta, size, self.norm(self.velocity)
        self.reach = self.norm(self.solver.y) if self.is_centred else size

    def go_on(self) -> None:
        """Keep a fresh solver where rounding errors of the state exceed its tolerance, or where another one is due."""
        if self.tolerance < 10 * EPS * self.reach:
            self.enter(self.t, self.solver.y, self.reach)
        if self.solvers.switches and self.solvers.changed(self.solver):
            first = self.solvers.next_step(self.solver, 1.0)
            self.solver = self._solver_at(self.t, self.solver.y, self.solvers.atol, first)

    def between(self, wanted: np.ndarray) -> list[tuple[float, np.ndarray]]:
        """Return the wanted times within the last step and the states there."""
        last = bisect_right(wanted, self.solver.t)
        first = bisect_right(wanted, self.solver.t_old, hi=last)
        if last == first:
            return []
        states = self.solver.dense_output()(wanted[first:last]).T
        return [(float(t), self.center + delta) for t, delta in zip(wanted[first:last], states, strict=True)]

    def _solver_at(self, t: float, delta: np.ndarray, atol: float, first: float) -> OdeSolver:
        seen, local = partial(setattr, self, "velocity"), self.local

        def jacobian(y: np.ndarray) -> np.ndarray:
            self.n_hessians += 1
            return -local.hessian(y)

        def product(v: np.ndarray) -> np.ndarray:
            self.n_gradients += 1
            return local.hvp(np.zeros_like(v), v)

        phase = self.solvers.phase(t, delta, self.t_end, atol, self._velocity, product, seen)
        return phase or self.solvers.at(t, delta, self.t_end, atol, self._velocity, jacobian, first=first)

    def _velocity(self, _: float, y: np.ndarray) -> np.ndarray:
        self.n_gradients += 1
        self.velocity = -self.local.gradient(y)
        return self.velocity

    def _radius(self, y: np.ndarray) -> float:
        self.n_hessians += 1
        return hessian_norm(self.objective, self.center + y)
