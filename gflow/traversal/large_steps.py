"""One orbit of a large component: stabilised explicit steps, implicit ones where it is slow, Newton by Krylov."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from gflow import watch
from gflow.critical import NotConverged
from gflow.critical.spectra import hessian_norm
from gflow.flow import Status, Trajectory
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.objective.loss import is_sparse
from gflow.problems import MatrixCompletion
from gflow.traversal import drift
from gflow.traversal.chebyshev import ChebyshevSteps
from gflow.traversal.curvature import Curvature, is_eliminable
from gflow.traversal.growth import FAR_GROWTH, grows, peak_time
from gflow.traversal.orbits import Ending, Orbit
from gflow.traversal.polish import direct_polish, krylov_polish, product_svd, smallest_off_gauge
from gflow.traversal.settings import Settings
from gflow.traversal.settling import MET, RESOLVED, ZERO_LOSS, distance_along
from gflow.traversal.stages import AT_REST

BUDGET = 5000
"""Gradients after which an orbit counts as too slow for this method."""
AGREEMENT = 1e-6
"""Largest entry, in the unit, by which two such ends may differ."""
FIRST_TRY, AGAIN, PATIENCE = 0.1, 3.0, 30.0
"""Newton's iteration is tried from slopes below this fraction of the peak, and again when they have fallen by the
second factor; once it has led to a point, when they have fallen by the third one without confirming it."""
APART = 2.0
"""Slopes of the two states that must confirm the end."""
REACH = 0.3
"""Longest way to the critical point, relative to |theta|."""
EXPLAINED = 0.1
"""The loss is quadratic between orbit and end where Newton's decrement is its fall but for this fraction."""
IMPLICIT_STEPS = 1000
"""Implicit steps that follow an orbit too slow for explicit ones, where the longer factor can be eliminated."""
MET_EXACTLY = "a saddle inside the manifold, met exactly"
CURVATURE_STEPS, MARGIN = 6, 1.25
"""Products for an estimate of the largest curvature, and the factor that makes it a bound."""


def largest_difference(model: Factorization, theta: np.ndarray, other: np.ndarray) -> float:
    """Return the spectral norm of the difference of two matrices, which bounds its entries."""
    (A, B), (A_other, B_other) = model.factors(theta), model.factors(other)
    return float(product_svd(np.hstack([A, -A_other]), np.vstack([B, B_other]))[1][0])


@dataclass
class LargeOrbit:
    """One orbit of a large component with steps of one accuracy, and what is seen of its end."""

    problem: MatrixCompletion
    model: Factorization
    objective: Objective
    start: np.ndarray
    sigma: float
    use: Settings
    tol: float
    remembers: bool
    times: list[float] = field(default_factory=list)
    states: list[np.ndarray] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    slopes: list[float] = field(default_factory=list)
    end: np.ndarray | None = None
    saddle: np.ndarray | None = None
    is_valley: bool = False
    next_try: float = 0.0
    end_loss: float = 0.0
    loss: float = 0.0
    explained_from: float = 0.0
    distance: float = np.inf

    def orbit(self) -> Orbit:
        """Return the orbit, with the critical point at its end."""
        d1, d2 = self.problem.shape
        size = float(np.sqrt(2.0 * self.sigma * d1 * d2 / self.problem.n_observed))
        steps = ChebyshevSteps(self.gradient, self.curvature, self.start, self.tol, size)
        far = self.use.norm_limit * float(np.sqrt(sum(self.problem.shape)))
        peak = next_try = 0.0
        self.keep(steps)
        while steps.n_gradients < min(BUDGET, self.use.max_evaluations):
            if late := watch.spent("orbit of a large component"):
                return self.ended(steps, Status.BUDGET, Ending.UNDECIDED, late)
            steps.step()
            slope = self.keep(steps)
            if slope > peak:
                peak, next_try = slope, FIRST_TRY * slope
            if float(np.linalg.norm(steps.theta)) > far:
                reason = f"|theta| passed {far:.3g} at t = {steps.time:.3g}, loss {self.losses[-1]:.6g}"
                return self.ended(steps, Status.DIVERGING, Ending.UNDECIDED, reason)
            if self.settled(steps.theta, steps.slope):
                return self.ended(steps, Status.HORIZON, Ending.MINIMUM, "a minimum inside the manifold", self.end)
            if slope <= next_try:
                next_try = slope / (PATIENCE if self.polished(steps.theta) else AGAIN)
                peak = peak if self.saddle is None else slope
            if self.is_unresolved or self.is_met:
                return self.at_saddle(steps)
        reason = f"{steps.n_gradients} gradients led to t = {steps.time:.3g} and the loss {self.losses[-1]:.6g}"
        return self.ended(steps, Status.BUDGET, Ending.UNDECIDED, reason)

    @property
    def is_met(self) -> bool:
        """Return whether a saddle inside is met exactly."""
        return self.distance <= MET

    @property
    def is_unresolved(self) -> bool:
        """Return whether a saddle inside is passed within the error of the steps, but not met exactly."""
        return MET < self.distance <= RESOLVED * self.tol

    def at_saddle(self, steps: ChebyshevSteps) -> Orbit:
        """Return the orbit that ends at a saddle inside, or comes too close to one to be told."""
        if self.is_met:
            return self.ended(steps, Status.HORIZON, Ending.SADDLE, MET_EXACTLY, self.saddle)
        return self.ended(steps, Status.HORIZON, Ending.UNDECIDED, self.passing)

    @property
    def passing(self) -> str:
        """Return how closely a saddle inside is passed."""
        return f"a saddle inside the manifold is passed at a relative distance of {self.distance:.2g}"

    @property
    def can_drift(self) -> bool:
        """Return whether the fast part of the orbit is over, no saddle is near, and implicit steps are cheap."""
        slow = self.slopes[0] < FIRST_TRY * max(self.slopes) and self.slopes[-1] <= FIRST_TRY * max(self.slopes)
        return slow and not self.is_unresolved and is_eliminable(self.problem, self.model.rank)

    def drifted(self, found: Orbit) -> Orbit:
        """Return an orbit too slow for explicit steps with its continuation by implicit ones."""
        assert found.path is not None
        self.next_try = self.slopes[-1]

        def sees(t: float, theta: np.ndarray, slope: float) -> bool:
            gradient = self.gradient(theta)
            self.losses.append(self.loss)
            self.slopes.append(slope)
            if self.settled(theta, gradient):
                return True
            if slope <= self.next_try:
                self.next_try = slope / (PATIENCE if self.polished(theta) else AGAIN)
            return self.is_unresolved or self.is_met

        limits: dict[str, Any] = {"tol": min(drift.TOL, self.tol)}
        limits["max_steps"] = min(IMPLICIT_STEPS, self.use.max_evaluations // 3 + 1)
        tail = drift.drift(self.objective, self.system, found.path, watch=sees, escapes=lambda *_: False, **limits)
        stopped = tail.status in (Status.ROUNDOFF, Status.CONVERGED)
        ends = tail.status == Status.HORIZON or (stopped and self.rests(tail.final))
        if ends and self.end is not None and not self.runs_off(tail):
            return Orbit(self.model, tail, self.end, Ending.MINIMUM, "a minimum inside the manifold", lambda: 0.0)
        if self.is_met and self.saddle is not None:
            return Orbit(self.model, tail, self.saddle, Ending.SADDLE, MET_EXACTLY, lambda: 0.0)
        reason = self.passing if self.is_unresolved else f"{found.reason}; {tail.message}"
        return Orbit(self.model, tail, tail.final, Ending.UNDECIDED, reason, lambda: np.inf)

    def runs_off(self, path: Trajectory) -> bool:
        """Return whether |theta| grows as a power of time towards an end whose curvature is not seen to be positive.

        On the way to infinity the slope sinks below what a Newton iteration takes for zero, anywhere.
        """
        doubtful = self.is_valley and self.end_loss > ZERO_LOSS
        return doubtful and grows(path.times, path.states, peak_time(path), FAR_GROWTH)

    def rests(self, theta: np.ndarray) -> bool:
        """Return whether a state that moves no more is at a minimum."""
        if not self.polished(theta) or self.end is None:
            return False
        return float(np.linalg.norm(self.end - theta)) <= AT_REST * float(np.linalg.norm(theta))

    @cached_property
    def system(self) -> Curvature:
        """Return the linear algebra of implicit steps; once it is asked for, Newton steps use it as well."""
        return Curvature(self.problem, self.model)

    @cached_property
    def sparse(self) -> bool:
        """Return whether residuals are formed at the observed entries alone."""
        return is_sparse(self.problem)

    def curvature(self, theta: np.ndarray) -> float:
        """Return a bound of the largest curvature at theta."""
        return MARGIN * hessian_norm(self.objective, theta, CURVATURE_STEPS)

    def keep(self, steps: ChebyshevSteps) -> float:
        """Keep the present state; return its slope."""
        slope = float(np.linalg.norm(steps.slope))
        self.times.append(steps.time)
        self.states.append(steps.theta)
        self.losses.append(self.loss)
        self.slopes.append(slope)
        return slope

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """Return the gradient, and keep the loss."""
        A, B = self.model.factors(theta)
        if not self.sparse:
            E = self.problem.residual(A @ B)
            self.loss = self.problem.weight * float(np.vdot(E, E))
            E *= 2.0 * self.problem.weight
            return np.concatenate([(E @ B.T).ravel(), (A.T @ E).ravel()])
        errors = self.problem.observed_product(A, B) - self.problem.targets
        self.loss = self.problem.weight * float(errors @ errors)
        E = self.problem.scattered(2.0 * self.problem.weight * errors)
        return self.model.theta(E @ B.T, (E.T @ A).T)

    def settled(self, theta: np.ndarray, gradient: np.ndarray) -> bool:
        """Return whether this state and one with twice the slope lie in the quadratic surroundings of the end.

        There the loss falls from theta to the end as Newton's decrement says, by half of slope times way.
        """
        if self.end is None:
            return False
        drop = self.losses[-1] - self.end_loss
        explained = abs(0.5 * float(gradient @ (theta - self.end)) - drop) <= EXPLAINED * drop
        self.explained_from = max(self.explained_from, self.slopes[-1]) if explained else 0.0
        if self.slopes[-1] > self.explained_from / APART:
            return False
        return not self.remembers or self.agrees(theta)

    def agrees(self, theta: np.ndarray) -> bool:
        """Return whether Newton's iteration leads from this state to the end expected; else expect its own."""
        before, self.explained_from = self.end, self.slopes[-1]
        if not self.polished(theta) or before is None or self.end is None:
            return False
        return largest_difference(self.model, before, self.end) <= AGREEMENT

    def polished(self, theta: np.ndarray) -> bool:
        """Return whether Newton's iteration leads from theta to a minimum, and keep that as the end expected.

        A saddle is kept apart, with the distance at which it is passed.
        """
        radius, self.saddle = REACH * float(np.linalg.norm(theta)), None
        try:
            if "system" in self.__dict__:
                end = direct_polish(self.system, theta, radius=radius)
            else:
                end = krylov_polish(self.objective, self.model, theta, radius=radius, along_valleys=True)
        except NotConverged:
            return False
        lowest = smallest_off_gauge(partial(self.objective.hvp, end), self.objective, self.model, end)
        if lowest.is_negative:
            self.end, self.saddle = None, end
            self.distance = distance_along(lowest, self.objective.gradient(theta), theta)
            return False
        self.end, self.end_loss = end, self.objective.value(end)
        self.is_valley = not lowest.is_positive
        return True

    def ended(
        self, steps: ChebyshevSteps, status: Status, ending: Ending, reason: str, end: np.ndarray | None = None
    ) -> Orbit:
        """Return the orbit as far as it was followed, with its end where that is known."""
        states, losses = np.array(self.states), np.array(self.losses)
        drift = max(float(np.abs(self.model.conserved(x) - self.model.conserved(states[0])).max()) for x in states)
        path = Trajectory(
            times=np.array(self.times),
            states=states,
            losses=losses,
            gradient_norms=np.array(self.slopes),
            status=status,
            message=reason,
            method="Runge-Kutta-Chebyshev",
            plateaus=(),
            conservation_drift=drift / float(np.max(np.linalg.norm(states, axis=1))) ** 2,
            monotonicity_defect=float(np.max(np.diff(losses), initial=0.0)) / max(float(losses.max()), 1e-300),
            n_gradients=steps.n_gradients,
            n_hessians=0,
            n_steps=len(losses) - 1,
        )
        error = 0.0 if end is not None else np.inf
        return Orbit(self.model, path, steps.theta if end is None else end, ending, reason, lambda: error)
