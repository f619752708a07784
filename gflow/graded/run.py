"""One integration in graded columns: how it moves, what is recorded and what ends it."""

from __future__ import annotations

import warnings

import numpy as np

from gflow.flow.driver import FOREVER, drive
from gflow.flow.outcome import STEPS
from gflow.flow.record import Course, Record, drift_along
from gflow.flow.rest import with_rest
from gflow.flow.trajectory import Ending, Trajectory
from gflow.graded.columns import ROUNDING
from gflow.graded.endings import GradedEndings
from gflow.graded.flow import GradedFlow
from gflow.graded.moves import moves
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import EntryProblem, in_own_units


class GradedRun:
    """One integration on the lines that hold an observation; ``start`` and ``t_end`` are in the caller's units.

    Parameters
    ----------
    problem : MatrixCompletion or WeightedCompletion
    model : Factorization
    start : (dim,) array
        The flow starts from exp(log_scale) * start.
    limits : dict
        ``loss_tol``, ``gradient_tol`` and ``norm_limit`` of ``graded_flow``.
    """

    def __init__(
        self,
        problem: EntryProblem,
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
        rows, columns = np.unique(problem.rows), np.unique(problem.columns)
        self.moving, Z = np.concatenate([rows, problem.shape[0] + columns]), model.stacked(start)
        inner, log_unit = in_own_units(problem.restricted(rows, columns)), 0.5 * float(np.log(problem.unit))
        t_end = min(t_end / self.units[1], FOREVER)
        self.flow = GradedFlow(inner, Z[self.moving], log_scale - log_unit, rtol, t_end)
        with np.errstate(under="ignore"):
            self.Z = Z / self.units[0] * np.exp(log_scale)
        limits = {**limits, "max_evaluations": max_evaluations}
        self.verdict = GradedEndings(self.flow, float(np.linalg.norm(self.Z)), self.units, limits)
        self.record = Record.of(model.dim + 2)

    def trajectory(self) -> Trajectory:
        """Return the record of crossing plateaus in closed form and integrating between them up to an end."""
        going = moves(self.flow, self.units[1])

        def step() -> Ending | None:
            if next(going, self) is self:
                return self.verdict.stuck()
            self.keep()
            return None

        self.keep()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="lsoda: ", category=UserWarning)
            ending = drive(step, (self.verdict,), stage="graded flow")
            going.close()
        return with_rest(self.recorded(ending), self.objective)

    def keep(self) -> None:
        """Keep the present state."""
        flow = self.flow
        self.Z[self.moving] = flow.columns.stacked(flow.z)
        self.record.offer(flow.t, self.model.unstacked(self.Z), flow.slope, flow.loss)

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
