"""One orbit of a large component: stabilised explicit steps, implicit ones where it is slow, Newton by Krylov."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from gflow.critical.spectra import hessian_norm
from gflow.flow import Status
from gflow.flow.driver import drive
from gflow.flow.endings import passed
from gflow.flow.record import Course, Record
from gflow.limit.orbit import drift
from gflow.limit.orbit.chebyshev import ChebyshevSteps
from gflow.limit.orbit.curvature import Curvature, is_eliminable
from gflow.limit.orbit.large_end import ExpectedEnd
from gflow.limit.orbit.orbits import Connection, Ending
from gflow.limit.settings import Settings
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

LARGE_ORBIT_BUDGET = 5000
"""Gradients after which an orbit counts as too slow for this method."""
FIRST_TRY, AGAIN, PATIENCE = 0.03, 3.0, 30.0
"""Newton's iteration is tried from slopes below this fraction of the peak, and again when they have fallen by the
second factor; once it has led to a point, when they have fallen by the third one without confirming it."""
DRIFTING = 0.1
"""Where the slope is below this fraction of its peak an orbit is slow: implicit steps may follow it."""
LEFT_BEHIND = 2.0
"""An orbit whose slope has grown by this factor since it was least leaves the saddle that it passes."""
IMPLICIT_STEPS = 1000
"""Implicit steps that follow an orbit too slow for explicit ones, where the longer factor can be eliminated."""
ORBIT_NUMBERS, FEWEST_KEPT = 2**24, 200
"""Numbers held in the states of an orbit before every other one is dropped, but never fewer states than the second."""
METHOD = "Runge-Kutta-Chebyshev"
INSIDE_MINIMUM = "a minimum inside the manifold"
MET_EXACTLY = "a saddle inside the manifold, met exactly"
CURVATURE_STEPS, MARGIN = 6, 1.25
"""Products for an estimate of the largest curvature, and the factor that makes it a bound."""


@dataclass
class LargeOrbit:
    """One orbit of a large component with steps of one accuracy."""

    problem: MatrixCompletion
    model: Factorization
    objective: Objective
    start: np.ndarray
    sigma: float
    use: Settings
    expected: ExpectedEnd
    record: Record = field(init=False)
    n_steps: int = 0
    slope: float = 0.0
    highest: float = 0.0
    loss: float = np.inf
    peak: float = 0.0
    next_try: float = 0.0

    def __post_init__(self) -> None:
        self.record = Record(max(ORBIT_NUMBERS // self.model.dim, FEWEST_KEPT))

    def orbit(self) -> Connection:
        """Return the orbit, with the critical point at its end."""
        d1, d2 = self.problem.shape
        size = float(np.sqrt(2.0 * self.sigma * d1 * d2 / self.problem.n_observed))
        steps = ChebyshevSteps(self.objective.gradient, self.curvature, self.start, self.expected.tol, size)
        far = self.use.norm_limit * float(np.sqrt(sum(self.problem.shape)))
        most = min(LARGE_ORBIT_BUDGET, self.use.max_evaluations)
        self.keep(steps)

        def spent() -> Connection | None:
            if steps.n_gradients < most:
                return None
            reason = f"{steps.n_gradients} gradients led to t = {steps.t:.3g} and the loss {self.loss:.6g}"
            return self.ended(steps, Status.BUDGET, Ending.UNDECIDED, reason)

        late = partial(self.ended, steps, Status.BUDGET, Ending.UNDECIDED)
        return drive(partial(self.advance, steps, far), (spent,), stage="orbit of a large component", late=late)

    def advance(self, steps: ChebyshevSteps, far: float) -> Connection | None:
        """Return the orbit if it ends with one more step, None if it goes on."""
        if message := steps.step():
            return self.ended(steps, Status.BUDGET, Ending.UNDECIDED, message)
        slope, self.n_steps = self.keep(steps), self.n_steps + 1
        if slope > self.peak:
            self.peak, self.next_try = slope, FIRST_TRY * slope
        if float(np.linalg.norm(steps.y)) > far:
            reason = f"{passed(far)[1]} at t = {steps.t:.3g}, loss {self.loss:.6g}"
            return self.ended(steps, Status.DIVERGING, Ending.UNDECIDED, reason)
        if self.expected.settled(steps.y, -steps.f, self.loss):
            return self.ended(steps, Status.HORIZON, Ending.MINIMUM, INSIDE_MINIMUM, self.expected.end)
        if self.expected.saddle is not None:
            self.peak = min(self.peak, LEFT_BEHIND * slope)
        if slope <= self.next_try:
            self.next_try = slope / self.patience(steps.y)
        return self.at_saddle(steps) if self.expected.is_unresolved or self.expected.is_met else None

    def patience(self, theta: np.ndarray) -> float:
        """Return by what factor the slope is to fall from that at theta before Newton's iteration is tried again."""
        return PATIENCE if self.expected.polished(theta) or self.expected.saddle is not None else AGAIN

    def at_saddle(self, steps: ChebyshevSteps) -> Connection:
        """Return the orbit that ends at a saddle inside, or comes too close to one to be told."""
        if self.expected.is_met:
            return self.ended(steps, Status.HORIZON, Ending.SADDLE, MET_EXACTLY, self.expected.saddle)
        return self.ended(steps, Status.HORIZON, Ending.UNDECIDED, self.expected.passing)

    @property
    def can_drift(self) -> bool:
        """Return whether the fast part of the orbit is over, no saddle is near, and implicit steps are cheap."""
        slow = max(self.record.slopes[0], self.slope) <= DRIFTING * self.highest
        return slow and not self.expected.is_unresolved and is_eliminable(self.problem, self.model.rank)

    def drifted(self, found: Connection) -> Connection:
        """Return an orbit too slow for explicit steps with its continuation by implicit ones."""
        assert found.path is not None
        self.next_try = self.slope
        self.expected.system = system = Curvature(self.problem, self.model)

        def sees(t: float, theta: np.ndarray, slope: float) -> bool:
            gradient = self.objective.gradient(theta)
            if self.expected.settled(theta, gradient, self.objective.value(theta)):
                return True
            if slope <= self.next_try:
                self.next_try = slope / self.patience(theta)
            return self.expected.is_unresolved or self.expected.is_met

        limits: dict[str, Any] = {"tol": min(drift.TOL, self.expected.tol)}
        limits["max_steps"] = min(IMPLICIT_STEPS, self.use.max_evaluations // 3 + 1)
        tail = drift.drift(self.objective, system, found.path, watch=sees, escapes=lambda *_: False, **limits)
        stopped = tail.status in (Status.ROUNDOFF, Status.CONVERGED)
        expected = self.expected
        ends = tail.status == Status.HORIZON or (stopped and expected.rests(tail.final))
        if ends and expected.end is not None and not expected.runs_off(tail):
            return Connection(self.model, tail, expected.end, Ending.MINIMUM, INSIDE_MINIMUM, lambda: 0.0)
        if expected.is_met and expected.saddle is not None:
            return Connection(self.model, tail, expected.saddle, Ending.SADDLE, MET_EXACTLY, lambda: 0.0)
        reason = expected.passing if expected.is_unresolved else f"{found.reason}; {tail.message}"
        return Connection(self.model, tail, tail.final, Ending.UNDECIDED, reason, lambda: np.inf)

    def curvature(self, theta: np.ndarray) -> float:
        """Return a bound of the largest curvature at theta."""
        return MARGIN * hessian_norm(self.objective, theta, CURVATURE_STEPS)

    def keep(self, steps: ChebyshevSteps) -> float:
        """Keep the present state; return its slope."""
        self.slope, self.loss = float(np.linalg.norm(steps.f)), self.objective.value(steps.y)
        self.highest = max(self.highest, self.slope)
        self.record.offer(steps.t, steps.y, self.slope, self.loss)
        return self.slope

    def ended(
        self, steps: ChebyshevSteps, status: Status, ending: Ending, reason: str, end: np.ndarray | None = None
    ) -> Connection:
        """Return the orbit as far as it was followed, with its end where that is known."""
        self.record.keep(steps.t, steps.y, self.slope, self.loss)
        states = self.record.states
        drift = max(float(np.abs(self.model.conserved(x) - self.model.conserved(states[0])).max()) for x in states)
        drift /= max(float(np.linalg.norm(x)) for x in states) ** 2
        course = Course.known(self.record, drift)
        path = course.trajectory((status, reason), METHOD, counts=(steps.n_gradients, 0, self.n_steps))
        error = 0.0 if end is not None else np.inf
        return Connection(self.model, path, steps.y if end is None else end, ending, reason, lambda: error)
