"""One integration in graded columns: how it moves, what is recorded and what ends it."""

from __future__ import annotations

import warnings

import numpy as np

from gflow.critical import hessian_spectrum
from gflow.flow.driver import FOREVER, Watch, drive
from gflow.flow.endings import MINIMUM, T_END, loss_reached, passed, passed_in_vain, spent
from gflow.flow.monitor import norm
from gflow.flow.outcome import STEPS
from gflow.flow.record import Course, Record, drift_along
from gflow.flow.rest import with_rest
from gflow.flow.trajectory import Ending, Status, Trajectory
from gflow.flow.verdicts import is_least
from gflow.graded.columns import EPS, ROUNDING
from gflow.graded.flow import GradedFlow
from gflow.graded.moves import NEGLIGIBLE, moves
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

AT_REST = 1e-8
"""A slow descent to loss 0 has a gradient above this many times sqrt(curvature * loss), a saddle has not."""
ZERO = 1e-11
"""Eigenvalues of the Hessian above minus this fraction of its norm are not negative."""


class GradedRun:
    """One integration on the lines that hold an observation; ``start`` and ``t_end`` are in the caller's units.

    Parameters
    ----------
    problem : MatrixCompletion
    model : Factorization
    start : (dim,) array
        The flow starts from exp(log_scale) * start.
    limits : dict
        ``loss_tol``, ``gradient_tol`` and ``norm_limit`` of ``graded_flow``.
    """

    def __init__(
        self,
        problem: MatrixCompletion,
        model: Factorization,
        start: np.ndarray,
        log_scale: float,
        rtol: float,
        t_end: float,
        max_evaluations: int,
        limits: dict[str, float],
    ) -> None:
        self.model, self.objective = model, Objective.of(problem, model)
        self.units = self.objective.theta_unit, self.objective.time_unit, self.objective.unit
        self.limits, self.max_evaluations = limits, max_evaluations
        rows, columns = np.unique(problem.rows), np.unique(problem.columns)
        self.moving, Z = np.concatenate([rows, problem.shape[0] + columns]), model.stacked(start)
        inner, log_unit = problem.normalized.restricted(rows, columns), 0.5 * float(np.log(problem.unit))
        t_end = min(t_end / self.units[1], FOREVER)
        self.flow = GradedFlow(inner, Z[self.moving], log_scale - log_unit, rtol, t_end)
        with np.errstate(under="ignore"):
            self.Z = Z / self.units[0] * np.exp(log_scale)
        self.local = Factorization(inner.shape, self.flow.z.shape[1])
        self.norm_limit = limits["norm_limit"] * max(1.0, float(np.linalg.norm(self.Z)))
        self.highest, self.retry_minimum = 0.0, np.inf
        self.record = Record.of(model.dim + 2)

    def trajectory(self, watch: Watch | None = None) -> Trajectory:
        """Return the record of crossing plateaus in closed form and integrating between them up to an end."""
        going = moves(self.flow, self.units[1])

        def step() -> Ending | None:
            if next(going, self) is self:
                return self.stuck()
            self.keep()
            return None

        self.keep()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="lsoda: ", category=UserWarning)
            ending = drive(step, (self.verdict,), watch)
            going.close()
        return with_rest(self.recorded(ending), self.objective)

    def keep(self) -> None:
        """Keep the present state."""
        flow = self.flow
        self.highest = max(self.highest, flow.slope)
        self.Z[self.moving] = flow.columns.stacked(flow.z)
        self.record.offer(flow.t, self.model.unstacked(self.Z), flow.slope, flow.loss)

    def verdict(self) -> Ending | None:
        """Return how the integration ends at the present state, or None if it goes on."""
        flow = self.flow
        if flow.loss <= self.limits["loss_tol"]:
            return loss_reached(flow.loss * self.units[2] ** 2)
        if flow.slope > self.limits["gradient_tol"] * self.highest:
            self.retry_minimum = np.inf
        elif flow.slope <= self.retry_minimum and (ending := self.examine()):
            return ending
        if ending := self.diverging(norm((flow.scales * flow.z).ravel())):
            return ending
        if flow.t >= flow.t_end:
            return T_END
        return spent(flow.n_gradients, self.max_evaluations) if flow.n_gradients >= self.max_evaluations else None

    def diverging(self, size: float) -> Ending | None:
        """Return the verdict where |theta| = size is too large, or None."""
        if size > self.norm_limit:
            return passed(size * self.units[0])
        if size**2 > self.norm_limit and self.flow.slope <= EPS * self.flow.field.twice * size**3:
            return passed_in_vain(size * self.units[0])
        return None

    def examine(self) -> Ending | None:
        """Return the verdict where the gradient has vanished, or None at a saddle that is going to be left."""
        flow, z = self.flow, self.flow.z
        self.retry_minimum = flow.slope / 10
        theta, objective = self.local.unstacked(flow.scales * z), Objective.of(flow.problem, self.local)
        size = max(1.0, norm(theta))
        orbit = 2.0 * flow.slope / size
        if flow.stay().rate > ZERO * size * size + orbit:
            return None
        spectrum = hessian_spectrum(objective, theta)
        flow.n_hessians += 1
        grows = spectrum.values < -(ZERO * spectrum.norm + orbit)
        if not grows.any():
            return MINIMUM if is_least(objective, theta, spectrum, self.limits["loss_tol"]) else None
        sizes = flow.columns.largest(z)
        if flow.blurred and ((sizes > NEGLIGIBLE) & (sizes < ROUNDING)).any():
            return None
        pushes = np.abs(spectrum.vectors[:, grows].T @ objective.gradient(theta)) / -spectrum.values[grows]
        waits = flow.slope <= AT_REST * np.sqrt(spectrum.norm * flow.loss)
        return self.stuck() if waits and float(pushes.max()) <= ROUNDING * size else None

    def stuck(self) -> Ending:
        """Return the verdict at a saddle that only rounding errors could leave."""
        level = self.flow.loss * self.units[2] ** 2
        return Status.ROUNDOFF, f"at the saddle of loss {level:.8g} nothing above rounding errors is left that escapes"

    def recorded(self, ending: Ending) -> Trajectory:
        """Return the record in the caller's units, with its gauges."""
        flow = self.flow
        self.record.keep(flow.t, self.model.unstacked(self.Z), flow.slope, flow.loss)
        drift = drift_along(self.objective, np.array(self.record.states)) or 0.0
        course = Course.known(self.record, drift)
        largest = float(np.abs(course.states).max())
        size = max(float(np.einsum("ti,ti->t", course.states, course.states).max()), 1e-300)
        curvature = flow.field.twice * (size + np.sqrt(course.losses[0] / flow.problem.weight))
        noise = curvature * (flow.rtol * largest * np.sqrt(self.model.dim)) ** 2 + ROUNDING * float(course.losses[0])
        relative = min(1.0, flow.errors.worst + drift + course.rise + STEPS * flow.rtol)
        W = self.units[2] * self.model.output(course.states[-1])
        return course.trajectory(
            ending,
            f"{flow.method} in graded columns",
            counts=(flow.n_gradients, flow.n_hessians, flow.n_steps),
            units=self.units,
            noise=noise,
            error=relative * max(self.units[2], float(np.abs(W).max())),
        )
