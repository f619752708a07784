"""One heteroclinic orbit: from a saddle of rank k, along its escape direction, to the next critical point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from gflow import flow
from gflow.flow import IntegrationFailed, Status, Trajectory
from gflow.limit.orbit.curvature import Curvature
from gflow.limit.orbit.drift import IMPLICIT, TOL, drift
from gflow.limit.orbit.growth import FAR_GROWTH, arrives, grows, growth, peak_time
from gflow.limit.orbit.orbits import Connection, Ending
from gflow.limit.orbit.rosenbrock import COMPILED_METHOD, METHOD, rosenbrock_flow
from gflow.limit.orbit.settling import DENSE_POLISH, EndSearch, Sighting
from gflow.limit.orbit.sizes import is_compilable, is_large
from gflow.limit.orbit.uniqueness import locally_unique
from gflow.limit.orbit.watching import Watch
from gflow.limit.settings import Settings
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.policy import DENSE_LIMIT
from gflow.problems import EntryProblem

LAUNCH = 1e-6
"""Start on the unstable manifold, relative to the unit; the error of the orbit is of the order of its square."""
EIGEN_DIM = 120
"""Up to this dimension eigendecompositions are cheaper than the small steps of an explicit method."""
LOOSE, FINEST = 1e-5, 1e-12
"""Tolerances of orbits whose end does not remember the way, and of those that pass a saddle very closely."""
COARSER = 100.0
"""Factor between the tolerances of two orbits whose difference is the error estimate, 100^(5/6) = 46 times it."""
LOOSE_STEPS, STEPS, DRIFT_STEPS, DRIFT_BEGINS = 100, 4000, 2000, 3
"""Steps of a brief orbit, of a tight one, of the implicit method that follows a slow drift, and states it begins from.
"""
EXPLICIT_BUDGET, ESCAPE_STEPS = 4000, 300
"""Gradients granted to the explicit method before another one takes over, and exponential steps for a slow escape."""
FAR_REACH = 0.1
"""An orbit at rest ends at the isolated completion that Gauss-Newton steps find within this distance, relative to
|theta|."""
AT_REST = 0.01
"""An orbit at rest is polished within this distance, relative to |theta|."""
LEVEL = 0.99
"""A drift within the norm limit whose loss fell below this fraction within a decade of time is followed further."""
LATER = 30.0
"""Whether something lies ahead of an orbit is asked again when its time has grown by this factor."""
REMEMBER = Sighting.VALLEY, Sighting.DEGENERATE
"""Findings whose place depends on the way to it."""


def orbit(
    problem: EntryProblem,
    A: np.ndarray,
    B: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    use: Settings,
    *,
    launch: float = LAUNCH,
    moving: bool = False,
    until: float = 0.0,
) -> Connection:
    """Return the orbit that leaves the saddle (A, B) of rank k along (u w^T, -w v^T), in rank k + 1 or more.

    Parameters
    ----------
    problem : MatrixCompletion, in its own unit (unit 1)
    A, B : (d1, k) and (k, d2) arrays
        A critical point of the rank-k model.
    u, v : (d1,) and (d2,) arrays, or (d1, m) and (d2, m)
        Singular pair of the residual there, or what starts with A and B^T in m columns that escape together.
    use : Settings
        ``rtol`` is spent only where the end of the orbit remembers its way (on a continuum of critical points), or
        where the orbit itself is wanted (``tight``).
    launch : float
        Amplitude of the new column at the start.
    moving : bool
        Whether (A, B) is no critical point, but on its way.
    until : float
        Before this time no orbit is said to run to infinity.
    """
    u, v = (np.reshape(each, (len(each), -1)) for each in (u, v))
    k, m = A.shape[1], u.shape[1]
    model = Factorization(problem.shape, k + m)
    curvature = Curvature(problem, model)
    objective = Objective.of(problem, model)
    if objective.dim <= DENSE_POLISH:
        objective = replace(objective, hessian=curvature.hessian)
    center = model.theta(np.pad(A, ((0, 0), (0, m))), np.pad(B, ((0, m), (0, 0))))
    began = model.theta(np.c_[0 * A, launch * u], np.r_[0 * B, -launch * v.T])
    if moving:
        use = replace(use, norm_limit=use.norm_limit * max(1.0, float(np.linalg.norm(center))))
        center, began = 0.0 * center, center + began
    stage = _Departing(problem, model, objective, curvature, center, began, use, until)
    try:
        return stage.orbit()
    except IntegrationFailed as failure:
        return Connection(model, None, center + began, Ending.UNDECIDED, str(failure), lambda: np.inf)


@dataclass(frozen=True)
class _Departing:
    problem: EntryProblem
    model: Factorization
    objective: Objective
    curvature: Curvature
    center: np.ndarray
    launch: np.ndarray
    use: Settings
    until: float

    def orbit(self) -> Connection:
        """Return the orbit, integrated only as finely as its end asks for."""
        first = self.use.rtol if self.use.tight or self.is_valley else (self.coarse if self.expects_valley else LOOSE)
        tight = self.use.tight or self.is_valley or self.expects_valley
        path, watch = self.integrated(first, tight=tight, brief=not self.use.tight)
        coarse = watch if first == self.coarse else None
        if watch.finding == Sighting.NOTHING and path.status != Status.CONVERGED:
            path, watch = self.followed(path, watch)
        done = self.use.tight or (first == self.use.rtol and path.method in (METHOD, COMPILED_METHOD))
        if (watch.finding in REMEMBER and not done) or (watch.is_unresolved and not self.use.tight):
            path, watch = self.integrated(self.use.rtol, tight=True, completes=watch.is_completion)
        if watch.is_unresolved:
            path, watch = self.integrated(FINEST, tight=True)
        if watch.finding == Sighting.NEAR_SADDLE:
            return self.at_saddle(path, watch)
        if watch.finding == Sighting.NOTHING:
            return self.unsettled(path, watch)
        spread = partial(self.spread, watch, coarse) if watch.finding in REMEMBER else lambda: 0.0
        ending = Ending.DEGENERATE if watch.finding == Sighting.DEGENERATE else Ending.MINIMUM
        return Connection(self.model, path, watch.end, ending, str(watch.finding), spread)

    @property
    def expects_valley(self) -> bool:
        """Return whether completions of this rank, if there are any, must form a continuum: too few observations."""
        k = self.model.rank
        return self.problem.n_observed < k * (sum(self.problem.shape) - k)

    @property
    def is_valley(self) -> bool:
        """Return whether every critical point of this rank belongs to a continuum, though completions might not.

        A row or column with fewer observations than the rank leaves directions of its factor free.
        """
        (d1, d2), k = self.problem.shape, self.model.rank
        counts = np.bincount(self.problem.rows, minlength=d1), np.bincount(self.problem.columns, minlength=d2)
        return not self.expects_valley and min(int(count.min()) for count in counts) < k <= min(d1, d2)

    @property
    def coarse(self) -> float:
        """Return the tolerance whose effect on the end of an orbit is its stated error."""
        return min(COARSER * self.use.rtol, LOOSE)

    def integrated(
        self, rtol: float, *, tight: bool, completes: bool = False, brief: bool = False
    ) -> tuple[Trajectory, Watch]:
        """Return the orbit and what its watch saw; ``tight`` orbits go on in a valley until their end is accurate.

        A ``brief`` integration spends few steps: slow drifts are followed in another way.
        """
        watch = self.watch(rtol, tight, completes)
        options: dict[str, Any] = {"rtol": rtol, "norm_limit": self.use.norm_limit}
        if self.objective.dim > EIGEN_DIM:
            path = self.explicit(watch, **options)
            if path.status != Status.BUDGET:
                return path, watch
            if self.objective.dim > DENSE_POLISH:
                if not watch.is_past and self.objective.dim <= DENSE_LIMIT and not is_large(self.problem):
                    path, watch = self.exponential(watch, **options)
                if watch.finding != Sighting.NOTHING or not watch.is_past or is_large(self.problem):
                    return path, watch
                return self.drifted(path, watch, rtol ** (2.0 / 3.0) if tight else TOL)
            watch = self.watch(rtol, tight, completes)
        steps = min(LOOSE_STEPS if brief or not tight else STEPS, self.use.max_evaluations // 3 + 1)
        if self.use.compiled and is_compilable(self.problem, self.model):
            options["compiled_for"] = self.problem, self.model
        path = rosenbrock_flow(self.objective, self.center, self.launch, watch=watch.sees, max_steps=steps, **options)
        self.rest(path, watch)
        return path, watch

    def explicit(self, watch: Watch, **options: Any) -> Trajectory:
        """Return the orbit by explicit steps, within their budget."""
        dense = self.objective.dim <= DENSE_LIMIT and not is_large(self.problem)
        budget = EXPLICIT_BUDGET if dense else self.use.max_evaluations
        options |= {"method": "DOP853", "callback": watch, "max_evaluations": min(budget, self.use.max_evaluations)}
        with np.errstate(over="ignore", invalid="ignore"):  # trial steps that are rejected
            return flow.gradient_flow(replace(self.objective, output=None), self.launch, center=self.center, **options)

    def exponential(self, watch: Watch, **options: Any) -> tuple[Trajectory, Watch]:
        """Return an orbit whose escape is slow against its fastest decay, past the escape, and a watch of its own."""
        watch = replace(watch, peak=0.0, first=0.0, next_try=np.inf, last=None, moved=np.inf)

        def sees(t: float, theta: np.ndarray, slope: float) -> bool:
            return watch.sees(t, theta, slope) or watch.is_past

        path = rosenbrock_flow(self.objective, self.center, self.launch, watch=sees, max_steps=ESCAPE_STEPS, **options)
        return path, watch

    def rest(self, path: Trajectory, watch: Watch) -> None:
        """Keep what an orbit that has come to rest is at as the finding of its watch."""
        if watch.finding != Sighting.NOTHING or path.status not in (Status.ROUNDOFF, Status.CONVERGED):
            return
        size = max(1.0, float(np.linalg.norm(path.final)))
        if watch.is_completed(path.final, FAR_REACH * size) and locally_unique(
            self.problem, *self.model.factors(watch.end)
        ):
            watch.finding = Sighting.MINIMUM
        elif not grows(path.times, path.states, peak_time(path), FAR_GROWTH):
            found = watch.polished(path.final, AT_REST * size)
            arrived = found != Sighting.DEGENERATE or arrives(path, watch.end)
            watch.finding = found if arrived else Sighting.NOTHING

    def watch(self, rtol: float, tight: bool, completes: bool = False) -> Watch:
        return Watch(
            EndSearch(self.problem, self.model, self.objective, self.curvature, completes),
            agreement=max(rtol, 1e-13) if tight else 1e-7,
            accuracy=rtol,
            stop_at_valley=not tight,
            compares_factors=self.use.tight,
        )

    def spread(self, fine: Watch, coarse: Watch | None) -> float:
        """Return how much the end moves when the tolerance is coarser, and no less than the tolerance itself.

        Two errors may agree by chance. ``coarse`` is that coarser run if it has been made.
        """
        if coarse is None or coarse.finding != fine.finding:
            _, coarse = self.integrated(self.coarse, tight=True, completes=fine.is_completion)
        if coarse.finding != fine.finding:
            return np.inf
        end = self.model.output(fine.end)
        return float(np.abs(end - self.model.output(coarse.end)).max() + self.use.rtol * np.abs(end).max())

    def at_saddle(self, path: Trajectory, watch: Watch) -> Connection:
        """Return the orbit that ends at a saddle inside, or comes too close to one to be told."""
        if not watch.is_unresolved:
            reason = "a saddle inside the manifold, met exactly"
            return Connection(self.model, path, watch.end, Ending.SADDLE, reason, lambda: 0.0)
        reason = f"a saddle inside the manifold is passed at a relative distance of {watch.distance:.2g}"
        return Connection(self.model, path, path.final, Ending.UNDECIDED, reason, lambda: np.inf)

    def followed(self, path: Trajectory, watch: Watch) -> tuple[Trajectory, Watch]:
        """Return a slow orbit with its drift, until that is seen to end or to run to infinity."""
        if self.objective.dim > DENSE_POLISH or len(path.times) < DRIFT_BEGINS:
            return path, watch
        return self.drifted(path, self.watch(LOOSE, tight=False), TOL)

    def drifted(self, path: Trajectory, watch: Watch, tol: float) -> tuple[Trajectory, Watch]:
        """Return an orbit with its continuation by implicit steps, and the watch that saw it."""
        steps = min(DRIFT_STEPS, self.use.max_evaluations // 3 + 1)
        asked, since = 0.0, peak_time(path)

        def escapes(times: list[float], states: list[np.ndarray]) -> bool:
            nonlocal asked
            if times[-1] < max(self.until, LATER * asked) or not self.grows(times, states, since):
                return False
            asked = times[-1]
            return not watch.search.leads_on(states[-1])

        limits: dict[str, Any] = {"watch": watch.sees, "escapes": escapes, "tol": tol, "max_steps": steps}
        tail = drift(self.objective, self.curvature, path, **limits)
        self.rest(tail, watch)
        return tail, watch

    def grows(self, times: Any, states: Any, since: float) -> bool:
        """Return whether |theta| grows as a power of time past the norm limit, or where the loss falls no more."""
        if float(np.linalg.norm(states[-1])) > self.far:
            return grows(times, states, since, FAR_GROWTH)
        if not grows(times, states, since):
            return False
        before = states[int(np.searchsorted(times, times[-1] / 10.0))]
        return self.objective.value(states[-1]) > LEVEL * self.objective.value(before)

    @property
    def far(self) -> float:
        """Return the norm limit."""
        return self.use.norm_limit * max(1.0, float(np.linalg.norm(self.center)))

    def unsettled(self, path: Trajectory, watch: Watch) -> Connection:
        """Return the orbit that no Newton step has ended: on its way to infinity, or too slow for the steps allowed."""
        size, time = float(np.linalg.norm(path.final)), float(path.times[-1])
        diverges = path.status == Status.DIVERGING and path.method.endswith(IMPLICIT)
        if not diverges and grows(path.times, path.states, peak_time(path), FAR_GROWTH):
            diverges = not watch.search.leads_on(path.final)
        if diverges:
            did = f"grows as t^{growth(path.times, path.states):.2f} and is"
        else:
            did = "came to rest at" if path.status == Status.CONVERGED else "is"
        reason = f"|theta| {did} {size:.3g} at t = {time:.3g}, in the problem's own unit; loss {path.final_loss:.6g}"
        if not diverges and path.status == Status.ROUNDOFF:
            reason += "; its slope has sunk into rounding errors"
        ending = Ending.DIVERGING if diverges else Ending.UNDECIDED
        return Connection(self.model, path, path.final, ending, reason, lambda: np.inf)
