"""One integration: the solver, the critical point it is centred on, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.critical import NotConverged, find_critical_point, hessian_spectrum
from gflow.critical.spectra import DENSE_LIMIT
from gflow.flow.monitor import Record, plateaus
from gflow.flow.trajectory import Status, Trajectory

if TYPE_CHECKING:
    from gflow.objective import Objective

IMPLICIT = ("LSODA", "Radau", "BDF")
RESOLUTION = 1e-3
"""The solver's tolerance may be at most this fraction of the distance to the critical point that is passed."""
DIGITS_LOST = 1e2
"""An escape whose amplitude exceeds rounding by less than this factor counts as decided by rounding."""
FLAT = 1e-3
"""The loss is compared with its bound only where the gradient is this small against its largest value."""

Callback = Callable[[float, np.ndarray, float], object]


class IntegrationFailed(RuntimeError):
    """The ODE solver could not go on; the message carries its words and the time reached."""


class Run:
    """One integration in the objective's own unit: the solver, the point it is centred on, and what was seen."""

    def __init__(
        self,
        objective: Objective,
        start: np.ndarray,
        method: str,
        rtol: float,
        t_end: float,
        max_evaluations: int,
        **limits: float,
    ) -> None:
        self.units = objective.theta_unit, objective.time_unit, objective.unit
        self.objective = objective.normalized or objective
        self.method = method if method != "auto" else ("LSODA" if objective.dim <= DENSE_LIMIT else "DOP853")
        self.rtol, self.t_end, self.max_evaluations = rtol, t_end / objective.time_unit, max_evaluations
        self.limits = limits
        self.theta = start / objective.theta_unit
        self.norm_limit = limits["norm_limit"] * max(1.0, float(np.linalg.norm(self.theta)))
        self.n_gradients = self.n_hessians = self.n_steps = 0
        self.steps, self.samples = Record(objective.dim), Record(objective.dim)
        self.settled = False
        self.retry_below = np.inf
        self.velocity = -self.objective.gradient(self.theta)
        self.slope = self.highest = float(np.linalg.norm(self.velocity))
        self.enter(0.0, np.zeros_like(self.theta), self.objective, self.theta, None)

    def enter(self, t: float, center: np.ndarray, local: Objective, delta: np.ndarray, rate: float | None) -> None:
        """Start the solver afresh at ``center + delta``, with tolerances relative to what can still grow."""
        self.center, self.local = center, local
        if rate is None:
            rate = hessian_spectrum(local, delta, None if local.dim <= DENSE_LIMIT else 1).norm
            self.n_hessians += 1
            grows = float(np.linalg.norm(delta))
        else:
            grows = self.slope / rate
        self.rate = rate or 1.0
        self.peak = self.slope
        atol = self.rtol * max(grows, 1e-290) / np.sqrt(local.dim)
        self.solver = self.new_solver(t, delta, atol)

    def new_solver(self, t: float, delta: np.ndarray, atol: float) -> Any:
        from scipy import integrate

        gradient, hessian = self.local.gradient, self.local.hessian

        def velocity(_: float, y: np.ndarray) -> np.ndarray:
            self.n_gradients += 1
            self.velocity = -gradient(y)
            return self.velocity

        def jacobian(_: float, y: np.ndarray) -> np.ndarray:
            self.n_hessians += 1
            return -hessian(y)

        options = {"rtol": self.rtol, "atol": atol}
        if self.method in IMPLICIT:
            options["jac"] = jacobian
        return getattr(integrate, self.method)(velocity, t, delta, self.t_end, **options)

    def trajectory(self, wanted: np.ndarray | None, callback: Callback | None) -> Trajectory:
        """Step until something ends the integration and return what was recorded."""
        self.steps.keep(0.0, self.theta)
        self.samples.keep(0.0, self.theta)
        ending = self.verdict(0.0)
        while ending is None:
            self.step()
            t = self.solver.t
            self.steps.offer(t, self.theta)
            if wanted is not None:
                self.sample(wanted / self.units[1])
            ending = self.verdict(t)
            if ending is None and self.unresolved():
                ending = self.examine(t)
            if ending is None and callback is not None:
                loss = self.objective.value(self.theta) * self.units[2] ** 2
                if callback(t * self.units[1], self.theta * self.units[0], loss):
                    ending = Status.HORIZON, "the callback asked to stop"
        return self.result(*ending, sampled=wanted is not None)

    def step(self) -> None:
        said = self.solver.step()
        self.n_steps += 1
        if self.solver.status == "failed" or not np.isfinite(self.solver.y).all():
            raise IntegrationFailed(f"{self.method} gave up at t = {self.solver.t * self.units[1]:.6g}: {said}")
        self.theta = self.center + self.solver.y
        self.slope = float(np.linalg.norm(self.velocity))
        self.highest, self.peak = max(self.highest, self.slope), max(self.peak, self.slope)

    def sample(self, wanted: np.ndarray) -> None:
        """Keep the interpolated states at the wanted times within the last step."""
        first, last = np.searchsorted(wanted, [self.solver.t_old, self.solver.t], side="right")
        if last > first:
            states = self.solver.dense_output()(wanted[first:last]).T
            for t, delta in zip(wanted[first:last], states, strict=True):
                self.samples.keep(float(t), self.center + delta)

    def verdict(self, t: float) -> tuple[Status, str] | None:
        """Return how the integration ends at the present state, or None if it goes on."""
        floor = self.objective.lower_bound
        if floor is not None and (self.slope <= FLAT * self.highest or t == 0.0):
            loss = self.objective.value(self.theta)
            if loss - floor <= self.limits["loss_tol"]:
                return Status.CONVERGED, f"the loss reached {loss * self.units[2] ** 2:.3g}"
        if self.slope == 0.0:
            return Status.CONVERGED, "the gradient is exactly zero"
        if self.slope <= self.limits["gradient_tol"] * self.highest and self.is_minimum():
            return Status.CONVERGED, "the gradient vanished where the Hessian has no negative eigenvalue"
        if float(np.linalg.norm(self.theta)) > self.norm_limit:
            return Status.DIVERGING, f"|theta| passed {self.norm_limit * self.units[0]:.3g}"
        if self.solver.status == "finished":
            return Status.HORIZON, "t_end was reached"
        if self.n_gradients >= self.max_evaluations:
            return Status.BUDGET, f"{self.n_gradients} gradients were evaluated; allowed {self.max_evaluations}"
        return None

    def is_minimum(self) -> bool:
        if not self.settled and self.slope <= self.retry_below:
            self.retry_below = self.slope / 10
            self.settled = not self.escape_modes(self.theta)[0].size
        return self.settled

    def escape_modes(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the growth rates and directions (in columns) of the unstable modes at ``theta``."""
        spectrum = hessian_spectrum(self.objective, theta)
        self.n_hessians += 1
        cut = 1e-11 * spectrum.norm + 2.0 * self.slope / max(1.0, float(np.linalg.norm(theta)))
        grows = spectrum.values < -cut
        return -spectrum.values[grows], spectrum.vectors[:, grows]

    def unresolved(self) -> bool:
        """Return whether the tolerance hides the distance to the critical point that is being approached."""
        if self.settled or self.slope > self.peak / 10 or self.slope > self.retry_below:
            return False
        return self.rtol * float(np.linalg.norm(self.solver.y)) > RESOLUTION * self.slope / self.rate

    def examine(self, t: float) -> tuple[Status, str] | None:
        """Find the critical point nearby; go on around it, unless rounding would decide how it is left."""
        self.retry_below = self.slope / 10
        size = max(1.0, float(np.linalg.norm(self.theta)))
        center = self.theta
        if self.objective.dim <= DENSE_LIMIT:
            try:
                point = find_critical_point(self.objective, self.theta, radius=1e-2 * size, max_steps=12)
            except NotConverged:
                return None
            center = point.theta
        rates, modes = self.escape_modes(center)
        if not rates.size:
            self.settled = self.objective.dim <= DENSE_LIMIT
            return None
        delta = self.theta - center
        amplitudes = np.abs(modes.T @ self.local.gradient(self.solver.y)) / rates
        rounding = DIGITS_LOST * float(np.finfo(float).eps) * size
        with np.errstate(divide="ignore"):
            arrival = float(np.min(-np.log(amplitudes / size) / rates))
        if arrival >= -np.log(rounding / size) / rates[0]:
            return Status.ROUNDOFF, (
                f"at the saddle of loss {self.objective.value(center) * self.units[2] ** 2:.8g} the unstable part of "
                f"the state, {float(np.linalg.norm(amplitudes)) * self.units[0]:.2g}, is not above rounding, "
                f"{rounding * self.units[0]:.2g}"
            )
        if self.objective.dim <= DENSE_LIMIT:
            self.retry_below = np.inf
            self.enter(t, center, self.objective.around(center), delta, float(rates[0]))
        return None

    def result(self, status: Status, message: str, *, sampled: bool) -> Trajectory:
        """Return the record in the caller's units, with its gauges."""
        self.steps.keep(self.solver.t, self.theta)
        self.samples.keep(self.solver.t, self.theta)
        theta_unit, time_unit, unit = self.units
        slope_unit = unit * (unit / theta_unit)
        times, states = self.steps.arrays()
        losses, slopes, drift = _along(self.objective, states)
        rise = float(np.max(np.diff(losses), initial=0.0)) / max(float(losses[0]), 1e-300)
        flat = status in (Status.CONVERGED, Status.ROUNDOFF)
        met = plateaus(times * time_unit, states * theta_unit, losses * unit * unit, slopes, flat)
        if sampled:
            times, states = self.samples.arrays()
            losses, slopes, _ = _along(self.objective, states)
        return Trajectory(
            times=times * time_unit,
            states=states * theta_unit,
            losses=losses * unit * unit,
            gradient_norms=slopes * slope_unit,
            status=status,
            message=message,
            method=self.method,
            plateaus=met,
            conservation_drift=drift,
            monotonicity_defect=rise,
            n_gradients=self.n_gradients,
            n_hessians=self.n_hessians,
            n_steps=self.n_steps,
        )


def _along(objective: Objective, states: np.ndarray) -> tuple[np.ndarray, np.ndarray, float | None]:
    """Return losses, gradient norms and the relative drift of the conserved quantity along a list of states."""

    def mapped(function: Callable[[np.ndarray], Any]) -> np.ndarray:
        return function(states) if objective.broadcasts else np.array([function(theta) for theta in states])

    slopes = np.linalg.norm(mapped(objective.gradient), axis=1)
    drift = None
    if objective.conserved is not None:
        values = mapped(objective.conserved)
        size = max(float(np.einsum("ti,ti->t", states, states).max()), 1e-300)
        drift = float(np.linalg.norm(values - values[0], axis=1).max()) / size
    return mapped(objective.value), slopes, drift
