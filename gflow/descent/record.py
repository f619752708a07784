"""What a descent keeps of its iterates, and the limits it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.blas import dnrm2 as norm

from gflow.checks import require_positive
from gflow.flow import Status, Trajectory
from gflow.flow.driver import Callback, drive
from gflow.flow.endings import STOPPED, loss_reached
from gflow.flow.record import Course, Record
from gflow.flow.trajectory import Ending
from gflow.flow.verdicts import at_rest
from gflow.policy import EPS

if TYPE_CHECKING:
    from gflow.objective import Objective

LARGEST_ITERATE = 1e60
"""An iterate with a larger entry, in the objective's own unit, is not kept: its loss might overflow."""
STALLED = 1e-8
"""A state where steps are lost in rounding may be critical where the gradient is below this fraction of its largest."""
LEAST = {"max_steps": 1}
"""The least budget, 2 for those that are not named."""


def checked_limits(counts: dict[str, int], **limits: float | None) -> dict[str, float]:
    """Return counts and limits by name, infinite for None; raise ``ValueError`` for one that is out of range."""
    for name, count in counts.items():
        least = LEAST.get(name, 2)
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < least:
            raise ValueError(f"{name} must be an integer of at least {least}; got {count!r}")
    found = {name: np.inf if limit is None else limit for name, limit in limits.items()}
    require_positive(**found)
    return found | counts


def checked_start(objective: Objective, start: np.ndarray) -> np.ndarray:
    """Return a copy of the start; raise ``ValueError`` if it has another shape or is not finite."""
    theta = np.array(start, dtype=float)
    if theta.shape != (objective.dim,) or not np.isfinite(theta).all():
        raise ValueError(f"start must be finite numbers of shape ({objective.dim},); got shape {theta.shape}")
    return theta


class Steps:
    """One step after another until something ends them; a method says what a step is and what ends the steps."""

    def __init__(self, limits: dict[str, float], size: float, callback: Callback | None) -> None:
        self.limits, self.callback = limits, callback
        self.bound = limits["norm_limit"] * max(1.0, size)
        self.n_steps = self.n_gradients = self.n_hessians = 0
        self.highest = 0.0
        self.kept = Record(limits["max_states"])

    def verdict(self) -> Ending | None:
        """Return how the steps end at the present state, or None if they go on."""
        raise NotImplementedError

    def advance(self) -> Ending | None:
        """Return how the steps end with one more, or None."""
        raise NotImplementedError

    def asked(self) -> Ending | None:
        """Return that the callback asked to stop at the state, or None."""
        raise NotImplementedError

    def result(self, ending: Ending) -> Trajectory:
        """Return the record of what was kept."""
        raise NotImplementedError

    def trajectory(self) -> Trajectory:
        """Return what was kept after stepping until something ends the descent."""
        return self.result(drive(self.advance, (self.verdict, self.asked), stage="descent"))

    def exhausted(self) -> Ending | None:
        """Return that the budget of gradients is spent, or None."""
        if self.n_gradients >= self.limits["max_evaluations"]:
            return Status.BUDGET, f"{self.n_gradients} gradients were evaluated"
        return None

    def stopped(self, t: float, state: np.ndarray, loss: float) -> Ending | None:
        """Return that the callback, told of a state that a step has led to, asked to stop, or None."""
        return STOPPED if self.callback is not None and self.callback(t, state, loss) else None


class ObjectiveSteps(Steps):
    """Steps on an objective; ``theta`` and all else but the times are in its own unit.

    Parameters
    ----------
    objective : Objective
    start : (dim,) array
        In the units of the caller, as everywhere below.
    clock : float
        What a unit of the times kept stands for.
    """

    def __init__(
        self,
        objective: Objective,
        start: np.ndarray,
        clock: float,
        limits: dict[str, float],
        callback: Callback | None,
    ) -> None:
        self.units, self.clock = (objective.theta_unit, objective.time_unit, objective.unit), clock
        self.objective = objective.normalized or objective
        self.theta = start / self.units[0]
        super().__init__(limits, norm(self.theta), callback)
        self.slope_vector = self.objective.gradient(self.theta)
        self.n_gradients = 1
        self.slope = self.highest = norm(self.slope_vector)
        self.minimum_below, self.t = np.inf, 0.0
        self.kept.offer(0.0, self.theta)

    def reached(self) -> Ending | None:
        """Return that the loss is within ``loss_tol`` of its lower bound, or None."""
        floor = self.objective.lower_bound
        if floor is not None and (loss := self.objective.value(self.theta)) - floor <= self.limits["loss_tol"]:
            return loss_reached(loss * self.units[2] ** 2)
        return None

    def at_rest(self) -> Ending | None:
        """Return what a state is whose gradient has vanished, or None where the loss is going to fall further."""
        if self.slope > self.minimum_below:
            return None
        self.minimum_below = self.slope / 10
        return at_rest(self.objective, self.theta, self.limits["loss_tol"], self.bound, self.units[0])

    def stalled(self, what: str) -> Ending:
        """Return how a descent ends whose steps change nothing; ``what`` says that they do not."""
        slope = self.slope * self.units[2] * (self.units[2] / self.units[0])
        if self.slope > STALLED * self.highest:
            return Status.BUDGET, f"{what} at |grad f| = {slope:.3g}, which is no critical point of the loss"
        ending = at_rest(self.objective, self.theta, self.limits["loss_tol"], self.bound, self.units[0])
        return ending or (Status.ROUNDOFF, f"{what} at a saddle that only rounding could leave, |grad f| = {slope:.3g}")

    def asked(self) -> Ending | None:
        """Return that the callback asked to stop at the state, or None."""
        if self.callback is None or not self.n_steps:
            return None
        loss = self.objective.value(self.theta) * self.units[2] ** 2
        return self.stopped(self.t * self.clock, self.theta * self.units[0], loss)

    def name(self) -> str:
        """Return the name of the method."""
        raise NotImplementedError

    def result(self, ending: Ending) -> Trajectory:
        """Return the record of what was kept, in the units of the caller."""
        self.kept.keep(self.t, self.theta)
        course = Course.along(self.objective, self.kept)
        return course.trajectory(
            ending,
            self.name(),
            counts=(self.n_gradients, self.n_hessians, self.n_steps),
            units=(self.units[0], self.clock, self.units[2]),
            noise=EPS * float(np.abs(course.losses).max()),
        )
