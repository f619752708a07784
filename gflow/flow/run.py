"""One integration: the flow, the watch over its saddles, what is recorded and what ends it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.flow.centred import Centred, IntegrationFailed
from gflow.flow.driver import FOREVER, Callback, drive
from gflow.flow.endings import EXACTLY_ZERO, STOPPED, T_END, passed, small_loss, spent, steepest
from gflow.flow.fading import Fading
from gflow.flow.hidden import hidden_drift
from gflow.flow.outcome import Doubts, Output, missed
from gflow.flow.record import Course, Record
from gflow.flow.trajectory import Ending, Status, Trajectory
from gflow.flow.verdicts import at_rest
from gflow.flow.watch import SaddleWatch
from gflow.policy import DENSE_LIMIT

if TYPE_CHECKING:
    from gflow.flow.record import Units
    from gflow.objective import Objective


class FlowEndings:
    """What ends a gradient flow, asked in this order; all in the objective's own unit.

    Parameters
    ----------
    flow : Centred
    watch : SaddleWatch
    units : (theta_unit, time_unit, unit)
    limits : dict
        ``loss_tol``, ``gradient_tol``, ``norm_limit`` and ``max_evaluations`` of ``gradient_flow``.
    """

    def __init__(self, flow: Centred, watch: SaddleWatch, units: Units, limits: dict[str, float]) -> None:
        self.flow, self.watch, self.units, self.limits = flow, watch, units, limits
        self.far, self.highest = limits["norm_limit"] * max(1.0, flow.size), flow.slope
        self.steepest = steepest(flow.objective, flow.curvature, limits["loss_tol"])

    def __call__(self) -> Ending | None:
        """Return how the integration ends at the present state, or None if it goes on."""
        flow, limits = self.flow, self.limits
        slope, self.highest = flow.slope, max(self.highest, flow.slope)
        if slope <= self.steepest:
            if ending := small_loss(flow.objective, flow.theta, limits["loss_tol"], self.units[2]):
                return ending
        if slope <= limits["gradient_tol"] * self.highest and (ending := self.at_rest()):
            return ending
        if slope == 0.0:
            return EXACTLY_ZERO
        if flow.size > self.far:
            return passed(self.far * self.units[0])
        if flow.solver.status == "finished":
            return T_END
        if flow.n_gradients >= limits["max_evaluations"]:
            return spent(flow.n_gradients, int(limits["max_evaluations"]))
        return None

    def at_rest(self) -> Ending | None:
        """Return the verdict where the gradient has vanished, or None where the loss is going to fall further."""
        flow, stay = self.flow, self.watch.stay
        if flow.slope > stay.minimum_below:
            return None
        stay.minimum_below = flow.slope / 10
        flow.n_hessians += 1
        return at_rest(flow.objective, flow.theta, self.limits["loss_tol"], self.far, self.units[0])


class Run:
    """One integration in the objective's own unit; ``start`` and ``t_end`` are in the caller's.

    Parameters
    ----------
    objective : Objective
    start : (dim,) array
    center : (dim,) array, optional
        A critical point from which ``start`` is the deviation.
    method : str or class
        As ``method_of`` returns it.
    limits
        Those of ``FlowEndings``.
    """

    def __init__(
        self,
        objective: Objective,
        start: np.ndarray,
        center: np.ndarray | None,
        method: Any,
        rtol: float,
        t_end: float | None,
        **limits: float,
    ) -> None:
        self.units = objective.theta_unit, objective.time_unit, objective.unit
        self.objective = objective.normalized or objective
        horizon = FOREVER if t_end is None else t_end / objective.time_unit
        origin = None if center is None else center / objective.theta_unit
        self.flow = Centred(self.objective, start / objective.theta_unit, origin, method, rtol, horizon)
        self.watch = SaddleWatch(self.flow, self.units, exact=center is not None)
        self.verdict = FlowEndings(self.flow, self.watch, self.units, limits)
        self.fading, self.is_open = Fading(self.flow, objective.unit, limits), t_end is None
        self.steps, self.samples, self.stopped = Record.of(objective.dim), Record(), False
        self.stop: object = False

    def trajectory(self, wanted: np.ndarray | None, callback: Callback | None) -> Trajectory:
        """Return what was recorded after stepping until something ends the integration."""
        self.wanted, self.callback = None if wanted is None else wanted / self.units[1], callback
        self.keep()
        # trial steps may leave the range of doubles; a state that is not finite ends the integration
        with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
            warnings.filterwarnings("ignore", message="lsoda: ", category=UserWarning)
            ending = drive(self.step, self.endings())
        self.watch.rounding.follow(to_the_end=True)
        return self.recorded(ending)

    def endings(self) -> list[Callable[[], Ending | None]]:
        """Return what may end the integration, in the order in which it is asked."""
        if self.callback is not None:
            return [self.verdict, self.asked]
        return [self.verdict, self.fading] if self.is_open and self.fading.may_end else [self.verdict]

    def step(self) -> Ending | None:
        """Keep what one more step of the solver leads to, after a look at the saddles."""
        flow = self.flow
        if flow.n_steps and (ending := self.watch.look()):
            return ending
        try:
            flow.step()
        except IntegrationFailed as failure:
            said = f"{flow.solvers.name} gave up at t = {flow.solver.t * self.units[1]:.6g} after {flow.n_steps} steps"
            said += f" ({failure}); try another method or another rtol"
            if flow.n_steps <= 1:
                raise IntegrationFailed(said) from None
            return Status.BUDGET, said
        self.watch.keep()
        self.keep()
        return None

    def keep(self) -> None:
        """Keep the state, and those at the times that are wanted; tell the caller of it."""
        flow = self.flow
        self.steps.offer(flow.t, flow.theta, flow.slope)
        if not flow.n_steps:
            self.samples.keep(0.0, flow.theta)
            return
        if self.wanted is not None:
            for t, theta in flow.between(self.wanted):
                self.samples.keep(t, theta)
        if self.callback is not None:
            loss = self.objective.value(flow.theta) * self.units[2] ** 2
            self.stop = self.callback(flow.t * self.units[1], flow.theta * self.units[0], loss)

    def asked(self) -> Ending | None:
        """Return that the callback asked to stop, or None."""
        self.stopped = bool(self.stop)
        return STOPPED if self.stopped else None

    def recorded(self, ending: Ending) -> Trajectory:
        """Return the record in the caller's units, with its gauges."""
        flow, dim = self.flow, self.objective.dim
        self.steps.keep(flow.t, flow.theta, flow.slope)
        self.samples.keep(flow.t, flow.theta)
        known = dim > DENSE_LIMIT
        if not known and self.objective.columns is None and not self.objective.broadcasts:
            # what the steps have seen is right within their tolerance, where the flow ends it is to be exact
            known, self.steps.slopes[-1] = True, flow.norm(self.objective.gradient(self.steps.states[-1]))
        course = Course.along(self.objective, self.steps, slopes_known=known)
        sampled = None if self.wanted is None else Course.along(self.objective, self.samples)
        largest = max(float(course.states.max()), -float(course.states.min()))
        output, end, rounding = Output(self.objective, self.units), flow.theta * self.units[0], self.watch.rounding
        escaped = self.watch.escapes > 0
        self.doubts = Doubts(
            output=output,
            theta=end,
            rtol=flow.rtol,
            rounding=rounding.relative,
            missed=missed(output, end, rounding.steps, flow.rtol),
            escaped=escaped,
            blind=escaped and self.objective.columns is None,
            hidden=hidden_drift(self.objective.layers, course.states),
            stopped=self.stopped,
        )
        error = self.doubts.error(course.drift, course.rise)
        return course.trajectory(
            ending,
            flow.solvers.name,
            counts=(flow.n_gradients, flow.n_hessians, flow.n_steps),
            units=self.units,
            noise=flow.curvature * (flow.rtol * largest) ** 2 * dim,
            error=None if error is None else error + self.fading.error,
            sampled=sampled,
        )
