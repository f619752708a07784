"""One integration: the solver, the critical point it is centred on, and what ends it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow import watch
from gflow.critical import NotConverged, SpectrumNotConverged
from gflow.critical.spectra import DENSE_LIMIT, hessian_norm
from gflow.flow.monitor import Record, norm
from gflow.flow.outcome import recorded
from gflow.flow.rounding import Rounding
from gflow.flow.saddles import EPS, TURN, Clock, Saddle, Stay, curvature_at, saddle_at, saddle_near, shifted
from gflow.flow.solvers import Solvers
from gflow.flow.trajectory import Ending, Status, Trajectory
from gflow.flow.verdicts import at_rest, undecided

if TYPE_CHECKING:
    from gflow.objective import Objective

FOREVER = 1e250
RESOLUTION = 1e-3
"""The solver's tolerance may be at most this fraction of the distance to the critical point that is passed."""
SETTLED, DAMPED = 1e-2, 0.1
"""The same towards a minimum, and for steps that damp the stiff modes, whose errors only cost loss."""
CURVATURE_GROWTH = 1e6
"""The curvature along a trajectory is taken to stay below this many times the largest one met."""

Callback = Callable[[float, np.ndarray, float], object]


class IntegrationFailed(RuntimeError):
    """The ODE solver could not go on; the message carries its words and the time reached."""


class Run:
    """One integration in the objective's own unit: the solver, the point it is centred on, and what was seen."""

    def __init__(
        self,
        objective: Objective,
        start: np.ndarray,
        center: np.ndarray | None,
        method: str,
        rtol: float,
        t_end: float | None,
        max_evaluations: int,
        **limits: float,
    ) -> None:
        self.units = objective.theta_unit, objective.time_unit, objective.unit
        self.objective = objective.normalized or objective
        self.solvers = Solvers(method, objective.dim, rtol, self._radius)
        self.t_end = FOREVER if t_end is None else t_end / objective.time_unit
        self.rtol, self.max_evaluations, self.limits = rtol, max_evaluations, limits
        delta = start / objective.theta_unit
        origin = np.zeros_like(delta) if center is None else center / objective.theta_unit
        self.theta, self.size = origin + delta, norm(origin + delta)
        self.norm_limit = limits["norm_limit"] * max(1.0, self.size)
        self.n_gradients, self.n_hessians, self.n_steps, self.escapes = 0, 1, 0, 0
        self.steps, self.samples = Record(objective.dim), Record(objective.dim)
        self.clock, self.rounding, self.stopped = Clock(), Rounding(self.objective, self.theta), False
        local = self.objective if center is None else self.objective.around(origin)
        self.velocity = -local.gradient(delta)
        self.slope = self.highest = norm(self.velocity)
        self.curvature = curvature_at(self.objective, self.theta)
        self.rate = self.curvature or 1.0
        self.center, self.local = origin, local
        self.stay = Stay(self.slope, self.theta, exact=center is not None)
        self._enter(0.0, delta, norm(delta))

    def _enter(self, t: float, delta: np.ndarray, grows: float) -> None:
        """Start the solver afresh at ``center + delta``, with tolerances relative to ``grows``, what can still grow."""
        precise = self.local.deviation is not None or not self.center.any()
        before, self.reach = self.allowed if self.n_steps else None, norm(delta)
        self.tolerance = max(self.rtol * grows, 1e-300 if precise else 100 * EPS * norm(self.center))
        if before is None:
            first = self.solvers.first_step(self.curvature)
        else:
            tighter = min(1.0, self.allowed / before)
            first = self.solvers.next_step(self.solver, tighter)
        self.solver: Any = self._solver_at(t, delta, self.tolerance / np.sqrt(self.local.dim), first)

    @property
    def follows_blindly(self) -> bool:
        """Return whether an escape was passed and nothing is known of the rounding errors in it."""
        return self.objective.columns is None and self.escapes > 0

    @property
    def allowed(self) -> float:
        """Return the error that a step may make."""
        return max(self.tolerance, self.rtol * self.reach)

    def _solver_at(self, t: float, delta: np.ndarray, atol: float, first: float = 0.0) -> Any:
        gradient, hessian = self.local.gradient, self.local.hessian

        def velocity(y: np.ndarray) -> np.ndarray:
            self.n_gradients += 1
            self.velocity = -gradient(y)
            return self.velocity

        def jacobian(y: np.ndarray) -> np.ndarray:
            self.n_hessians += 1
            return -hessian(y)

        seen = partial(setattr, self, "velocity")
        phase = self.solvers.phase(t, delta, self.t_end, atol, lambda y: -velocity(y), self._product, seen)
        return phase or self.solvers.at(t, delta, self.t_end, atol, velocity, jacobian, first=first)

    def _product(self, v: np.ndarray) -> np.ndarray:
        """Return the Hessian at the center times v."""
        self.n_gradients += 1
        return self.local.hvp(np.zeros_like(v), v)

    def _radius(self, y: np.ndarray) -> float:
        self.n_hessians += 1
        return hessian_norm(self.objective, self.center + y)

    def trajectory(self, wanted: np.ndarray | None, callback: Callback | None) -> Trajectory:
        """Return what was recorded after stepping until something ends the integration."""
        self.steps.keep(0.0, self.theta, self.slope)
        self.samples.keep(0.0, self.theta)
        times = None if wanted is None else wanted / self.units[1]
        ending = self.verdict(0.0)
        # trial steps may leave the range of doubles; a state that is not finite ends the integration
        with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
            warnings.filterwarnings("ignore", message="lsoda: ", category=UserWarning)
            while ending is None:
                try:
                    ending = self.advance(times, callback)
                except IntegrationFailed as failure:
                    if self.n_steps <= 1:
                        raise
                    ending = Status.BUDGET, str(failure)
        self.rounding.look(float(self.solver.t), self.theta)
        return recorded(self, *ending, sampled=wanted is not None)

    def advance(self, wanted: np.ndarray | None, callback: Callback | None) -> Ending | None:
        """Return how the integration ends with one more step, or None if it goes on."""
        self.step()
        t = float(self.solver.t)
        self.steps.offer(t, self.theta, self.slope)
        if wanted is not None:
            self.sample(wanted)
        stop = False
        if callback is not None:
            loss = self.objective.value(self.theta) * self.units[2] ** 2
            stop = bool(callback(t * self.units[1], self.theta * self.units[0], loss))
        ending = self.verdict(t)
        if ending is None and stop:
            self.stopped = True
            return Status.HORIZON, "the callback asked to stop"
        if ending is None and self.slope > TURN * self.stay.low:
            ending = self.depart(t)
        if ending is None and self.unresolved():
            return self.examine(t)
        if ending is None and self.tolerance < 10 * EPS * self.reach:
            self._enter(t, self.solver.y, self.reach)  # rounding errors of the state exceed the tolerance
        if ending is None and self.solvers.changed(self.solver):
            first = self.solvers.next_step(self.solver, 1.0)
            self.solver = self._solver_at(t, self.solver.y, self.solvers.atol, first)
        return ending

    def step(self) -> None:
        """Keep the state of one more step of the solver and what the endings are judged by."""
        said = self.solver.step()
        self.n_steps += 1
        theta = self.center + self.solver.y
        size = norm(theta)
        if self.solver.status == "failed" or not isfinite(size):
            raise IntegrationFailed(
                f"{self.solvers.name} gave up at t = {self.solver.t * self.units[1]:.6g} after {self.n_steps} steps "
                f"({said or 'the state is not finite'}); try another method or another rtol"
            )
        self.theta, self.size, self.reach = theta, size, norm(self.solver.y)
        missed = self.solvers.missed(self.solver, self.rounding.hidden_rate)
        self.rounding.step(float(self.solver.t), self.theta, self.solver.y, missed)
        self.slope = norm(self.velocity)
        self.highest = max(self.highest, self.slope)
        self.stay.keep(float(self.solver.t), self.theta, self.slope)

    def sample(self, wanted: np.ndarray) -> None:
        """Keep the interpolated states at the wanted times within the last step."""
        first, last = np.searchsorted(wanted, [self.solver.t_old, self.solver.t], side="right")
        if last > first:
            states = self.solver.dense_output()(wanted[first:last]).T
            for t, delta in zip(wanted[first:last], states, strict=True):
                self.samples.keep(float(t), self.center + delta)

    def verdict(self, t: float) -> Ending | None:
        """Return how the integration ends at the present state, or None if it goes on."""
        floor, loss_tol = self.objective.lower_bound, self.limits["loss_tol"]
        # f - floor >= |grad f|^2 / (2 L) with L a bound of the curvature: a steep slope excludes a small loss
        if floor is not None and self.slope**2 <= 2 * CURVATURE_GROWTH * self.curvature * loss_tol:
            loss = self.objective.value(self.theta)
            if loss - floor <= loss_tol:
                return Status.CONVERGED, f"the loss reached {loss * self.units[2] ** 2:.3g}"
        if self.slope <= self.limits["gradient_tol"] * self.highest and (ending := self._at_rest()):
            return ending
        if self.slope == 0.0:
            return Status.ROUNDOFF, "the gradient is exactly zero at a strict saddle: only rounding could leave it"
        if self.size > self.norm_limit:
            return Status.DIVERGING, f"|theta| passed {self.norm_limit * self.units[0]:.3g}"
        if self.solver.status == "finished":
            return Status.HORIZON, "t_end was reached"
        if self.n_gradients >= self.max_evaluations:
            return Status.BUDGET, f"{self.n_gradients} gradients were evaluated; allowed {self.max_evaluations}"
        return watch.ending(Status.BUDGET, "flow, t", t * self.units[1])

    def _at_rest(self) -> Ending | None:
        """Return the verdict where the gradient has vanished, or None where the loss is going to fall further."""
        if self.slope > self.stay.minimum_below:
            return None
        self.stay.minimum_below = self.slope / 10
        self.n_hessians += 1
        return at_rest(self.objective, self.theta, self.limits["loss_tol"], self.norm_limit, self.units[0])

    def _saddle_at(self, theta: np.ndarray) -> Saddle | None:
        self.n_hessians += 1
        try:
            return saddle_at(self.objective, theta)
        except SpectrumNotConverged:
            return None

    def depart(self, t: float) -> Ending | None:
        """Return the verdict at the end of a stay: that rounding may have decided it, or None to go on."""
        if np.isfinite(self.stay.arrived) and not self.stay.exact:
            saddle = self.stay.saddle or self._saddle_at(self.stay.bottom)
            if saddle is not None and saddle.rates.size:
                moved, part = self.clock.moved(saddle, self.stay.arrived, t), self.slope / saddle.rates
                if moved[0] >= part[0]:
                    return undecided(saddle, self.objective, part[0], moved[0], self.units)
                self.clock.leave(saddle, self.stay.arrived)
                self.escapes += 1
        self.rate = self.curvature or 1.0
        self.stay = Stay(self.slope, self.theta)
        return None

    def unresolved(self) -> bool:
        """Return whether the tolerance hides the distance to the critical point that is being approached."""
        if self.slope > self.stay.peak / TURN or self.slope > self.stay.retry_below:
            return False
        return self.allowed > RESOLUTION * self.slope / self.rate

    def examine(self, t: float) -> Ending | None:
        """Return the verdict at the critical point nearby: that rounding decides how it is left, or None to go on."""
        self.stay.retry_below = self.slope / 10
        if self.stay.saddle is not None or self.stay.exact:
            self._enter(t, self.solver.y, self.slope / self.rate)
            return None
        self.n_hessians += 1
        try:
            saddle = saddle_near(self.objective, self.theta)
        except (NotConverged, SpectrumNotConverged):
            if self.objective.dim > DENSE_LIMIT:  # its modes are not known: resolve whatever is there
                self._recentre(t, self.theta, shifted(self.objective, self.theta), self.curvature)
            return None
        if not saddle.rates.size:
            self._settle(t)
            return None
        amplitudes = np.abs(saddle.modes.T @ self.local.gradient(self.solver.y)) / saddle.rates
        moved = self.clock.moved(saddle, self.stay.arrived, t)
        with np.errstate(divide="ignore", over="ignore"):
            waiting, allowed = (np.log(saddle.size / part) / saddle.rates for part in (amplitudes, moved))
        first = int(np.argmin(allowed))
        if waiting.min() >= allowed[first]:
            return undecided(saddle, self.objective, amplitudes[first], moved[first], self.units)
        if saddle.residual <= 1e-2 * self.slope:
            self.stay.saddle = saddle
            self._recentre(t, saddle.center, self.objective.around(saddle.center), float(saddle.rates[0]))
        elif self.objective.dim > DENSE_LIMIT:
            self._recentre(t, self.theta, shifted(self.objective, self.theta), self.curvature)
        return None

    def _settle(self, t: float) -> None:
        """Go on towards a minimum: there errors are forgotten, and only must not exceed the distance that is left."""
        floor, distance = self.objective.lower_bound, self.slope / self.curvature
        below = 0.0 if floor is None else np.sqrt(2.0 * (self.objective.value(self.theta) - floor) / self.curvature)
        damped = min(self.rtol * self.size, DAMPED * max(distance, below))
        if self.solvers.damps(self.solver, damped / np.sqrt(self.objective.dim)):
            self.stay.retry_below = 0.0
            return
        allowed = damped if self.solvers.kind == "RKC" else SETTLED * distance
        self._recentre(t, self.theta, shifted(self.objective, self.theta), self.curvature, allowed / self.rtol)

    def _recentre(
        self, t: float, center: np.ndarray, local: Objective, rate: float, grows: float | None = None
    ) -> None:
        """Go on in coordinates around ``center``, with tolerances relative to ``grows``, the distance by default."""
        delta = (self.center - center) + self.solver.y
        self.center, self.local, self.rate = center, local, rate
        self.rounding.step(t, self.theta, self.theta)
        self.solvers.linear = False
        self._enter(t, delta, self.slope / rate if grows is None else grows)
