"""Flows of W = W1 ... WL, L > 2, in compiled steps, with the gauges and the repetitions of ``gradient_flow``."""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow.ensemble.record import FlowEnd, FlowRun, ended
from gflow.flow import Status
from gflow.flow.driver import FOREVER, drive
from gflow.flow.endings import EXACTLY_ZERO, T_END, loss_reached, passed, spent
from gflow.flow.hidden import hidden_drift
from gflow.flow.mirror import fold_of
from gflow.flow.outcome import Doubts, Output
from gflow.flow.record import Course, Record, drift_along
from gflow.flow.rest import with_rest
from gflow.flow.trajectory import Ending
from gflow.flow.trust import Integrated, trusted
from gflow.flow.verdicts import at_rest

DEEP_METHOD = "compiled Rodas5P"
FIRST_STEP = 0.1
"""First step, over the rate of growth of the start."""
STEPS = 64
"""Steps between two looks."""
LEFT_TO_OTHERS = (Status.ROUNDOFF, Status.BUDGET)


def deep_end(run: FlowRun, settings: Any) -> FlowEnd | None:
    """Return where the compiled flow ends, or None where it cannot be trusted or its data and start are mirrored."""
    objective = run.objective
    if fold_of(objective, run.start) is not None or not run.start.any():
        return None

    def follow(rtol: float) -> Integrated:
        return DeepFlow(run, rtol, settings).integrated()

    path = with_rest(trusted(follow, settings["rtol"], settings["drift_tol"], settings["error_tol"]), objective)
    return None if path.status in LEFT_TO_OTHERS else ended(path)


class DeepFlow:
    """One integration, in the unit of the problem."""

    def __init__(self, run: FlowRun, rtol: float, settings: Any) -> None:
        from gflow.fast.deep_steps import DEEP_NOW, room
        from gflow.fast.field import entries_of

        outer = run.objective
        self.objective, self.model, self.rtol, self.limits = outer.normalized or outer, run.model, rtol, settings
        self.units = outer.theta_unit, outer.time_unit, outer.unit
        t_end, theta = settings["t_end"], run.start / outer.theta_unit
        self.horizon = FOREVER if t_end is None else t_end / outer.time_unit
        first, *inner, last = self.model.factors(np.arange(self.model.dim))
        self.places = np.concatenate([first.ravel(), last.T.ravel(), *(hidden.ravel() for hidden in inner)])
        self.Z = theta[self.places]
        self.entries = entries_of(run.subject.normalized, self.model.rank, self.model.depth - 2)
        self.errors, self.origin = -2.0 / len(self.entries.targets) * self.entries.targets, np.zeros(self.model.dim)
        self.memory, self.now = room(self.model.dim), np.zeros(1, DEEP_NOW).view(np.recarray)[0]
        slope, size = float(np.linalg.norm(self.objective.gradient(theta))), float(np.linalg.norm(theta))
        self.now.h, self.now.before = FIRST_STEP * size / max(slope, 1e-300), 1e-4
        self.far, self.highest, self.below = settings["norm_limit"] * max(1.0, size), slope, np.inf
        self.record = Record()
        self.record.keep(0.0, theta, slope, float(self.objective.value(theta)))

    def step(self) -> Ending | None:
        """Return how the flow ends within the next steps, which are kept; None where it goes on."""
        from gflow.fast.deep_steps import deep_steps
        from gflow.fast.jit import in_time

        times, slopes, states = np.empty(STEPS), np.empty(STEPS), np.empty((STEPS, self.model.dim))
        parts = self.entries, self.errors, self.origin, self.Z, self.rtol, self.horizon, (self.now, self.memory)
        count = int(in_time(deep_steps, *parts, times, states, slopes))
        thetas = np.empty((count, self.model.dim))
        thetas[:, self.places] = states[:count]
        losses = np.asarray(self.objective.value(thetas))
        for m in range(count):
            self.record.keep(float(times[m]), thetas[m], float(slopes[m]), float(losses[m]))
            if ending := self.verdict():
                return ending
        return None if count == STEPS else (Status.BUDGET, "steps are shorter than rounding")

    def verdict(self) -> Ending | None:
        """Return how the flow ends at the last state, or None, in the order in which ``gradient_flow`` asks."""
        record, limits, unit = self.record, self.limits, self.units[2]
        theta, slope, loss = record.states[-1], record.slopes[-1], record.losses[-1]
        self.highest = max(self.highest, slope)
        if loss <= limits["loss_tol"]:
            return loss_reached(loss * unit**2)
        if slope <= min(limits["gradient_tol"] * self.highest, self.below):
            self.below = slope / 10
            if ending := at_rest(self.objective, theta, limits["loss_tol"], self.far, self.units[0]):
                return ending
        if slope == 0.0:
            return EXACTLY_ZERO
        if np.linalg.norm(theta) > self.far:
            return passed(self.far * self.units[0])
        if record.times[-1] >= self.horizon:
            return T_END
        count, allowed = int(self.now.gradients), limits["max_evaluations"]
        return spent(count, allowed) if count >= allowed else None

    def integrated(self) -> Integrated:
        """Return the trajectory to its end, and the doubts that remain: an escape is taken to have been blind."""
        ending, record = drive(self.step, (self.verdict,)), self.record
        states = np.array(record.states)
        course = Course.known(record, drift_along(self.objective, states))
        hidden = hidden_drift(self.objective.layers, states)
        output, end = Output(self.objective, self.units), states[-1] * self.units[0]
        doubts = Doubts(output, end, self.rtol, None, 0.0, True, True, hidden, False)
        counts = int(self.now.gradients), len(states) - 1, len(states) - 1
        noise = float(np.linalg.norm(self.memory.hessian)) * (self.rtol * float(np.abs(states).max())) ** 2 * len(end)
        error = doubts.error(course.drift, course.rise)
        path = course.trajectory(ending, DEEP_METHOD, counts=counts, units=self.units, noise=noise, error=error)
        return Integrated(path, doubts)
