"""One heteroclinic orbit: from a saddle of rank k, along its escape direction, to the next critical point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from gflow.flow import IntegrationFailed, Status, Trajectory, gradient_flow
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion
from gflow.traversal.rosenbrock import rosenbrock_flow
from gflow.traversal.settling import DENSE_POLISH, Finding, Watch
from gflow.traversal.uniqueness import locally_unique

LAUNCH = 1e-6
"""Start on the unstable manifold, relative to the unit; the error of the orbit is of the order of its square."""
SMALL = 120
"""Up to this dimension eigendecompositions are cheaper than the small steps of an explicit method."""
LOOSE, FINEST = 1e-5, 1e-12
"""Tolerances of orbits whose end does not remember the way, and of those that pass a saddle very closely."""
COARSER = 100.0
"""Factor between the tolerances of two orbits whose difference is the error estimate, 100^(5/6) = 46 times it."""
LOOSE_STEPS, STEPS = 150, 4000
DRIFT_BUDGETS = 600, 1200, 20_000
"""Gradients with which a slow drift is followed until it is seen whether it ends."""
EXPLICIT_BUDGET = 4000
"""Gradients granted to the explicit method before another one takes over."""
FAR_REACH, HORIZON = 0.1, 2.0
"""An orbit at rest ends at the isolated completion that Gauss-Newton steps find within this distance, relative to
|theta|; no orbit is said to run to infinity that has a completion within the second distance."""
AT_REST = 0.01
"""An orbit at rest is polished within this distance, relative to |theta|."""
GROWTH = 0.14
"""A slow orbit runs to infinity if |theta| grew faster than this power of time in its last decade.

Generically it grows like t^(1/4), and t^(1/6) where the loss falls to 0 on the way."""


class Ending(StrEnum):
    """Where an orbit leads."""

    MINIMUM = "minimum inside the manifold"
    SADDLE = "saddle inside the manifold"
    DIVERGING = "infinity"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, eq=False)
class Orbit:
    """An orbit in reduced coordinates, its critical point, and how it ended; no path if solvers failed.

    ``error`` estimates the largest error of an entry of its matrix, in the problem's own unit: what the tolerance
    leaves where the end remembers the way, rounding elsewhere.
    """

    model: Factorization
    path: Trajectory | None
    end: np.ndarray
    ending: Ending
    reason: str
    error: float


@dataclass(frozen=True)
class Settings:
    """How stages are integrated and when singular values count as equal; see ``saddle_to_saddle``."""

    rtol: float = 1e-8
    simple_tol: float = 1e-9
    norm_limit: float = 2e2
    max_evaluations: int = 200_000
    tight: bool = False

    def __post_init__(self) -> None:
        if not 1e-13 <= self.rtol <= 1e-2:
            raise ValueError(f"rtol must lie between 1e-13 and 1e-2; got {self.rtol!r}")
        if not 0.0 <= self.simple_tol < 1.0:
            raise ValueError(f"simple_tol must lie between 0 and 1; got {self.simple_tol!r}")
        if not self.norm_limit > 1.0:
            raise ValueError(f"norm_limit must exceed 1; got {self.norm_limit!r}")
        if not self.max_evaluations >= 1:
            raise ValueError(f"max_evaluations must be a positive integer; got {self.max_evaluations!r}")


def orbit(
    problem: MatrixCompletion, A: np.ndarray, B: np.ndarray, u: np.ndarray, v: np.ndarray, use: Settings
) -> Orbit:
    """Return the orbit that leaves the saddle (A, B) of rank k along (u w^T, -w v^T), in rank k + 1.

    Parameters
    ----------
    problem : MatrixCompletion, in its own unit (unit 1)
    A, B : (d1, k) and (k, d2) arrays
        A critical point of the rank-k model.
    u, v : top singular pair of the residual there
    use : Settings
        ``rtol`` is spent only where the end of the orbit remembers its way (on a continuum of critical points), or
        where the orbit itself is wanted (``tight``).
    """
    model = Factorization(problem.shape, A.shape[1] + 1)
    objective = Objective.of(problem, model)
    center = model.theta(np.c_[A, np.zeros(len(A))], np.r_[B, np.zeros((1, B.shape[1]))])
    launch = model.theta(np.c_[0 * A, LAUNCH * u], np.r_[0 * B, -LAUNCH * v[None]])
    stage = _Stage(problem, model, objective, center, launch, use)
    try:
        return stage.orbit()
    except IntegrationFailed as failure:
        return Orbit(model, None, center + launch, Ending.UNDECIDED, str(failure), np.inf)


@dataclass(frozen=True)
class _Stage:
    problem: MatrixCompletion
    model: Factorization
    objective: Objective
    center: np.ndarray
    launch: np.ndarray
    use: Settings

    def orbit(self) -> Orbit:
        """Return the orbit, integrated only as finely as its end asks for."""
        first = self.use.rtol if self.use.tight else (self.coarse if self.expects_valley else LOOSE)
        path, watch = self.integrated(first, tight=self.use.tight or self.expects_valley, brief=not self.use.tight)
        coarse = watch if first == self.coarse else None
        if watch.finding == Finding.NOTHING and path.status == Status.BUDGET:
            path, watch = self.followed(path, watch)
        if not self.use.tight and (watch.finding == Finding.VALLEY or watch.is_unresolved):
            path, watch = self.integrated(self.use.rtol, tight=True, completes=watch.is_completion)
        if watch.is_unresolved:
            path, watch = self.integrated(FINEST, tight=True)
        if watch.finding == Finding.NEAR_SADDLE:
            return self.at_saddle(path, watch)
        if watch.finding == Finding.NOTHING:
            return self.unsettled(path, watch)
        error = self.valley_error(watch, coarse) if watch.finding == Finding.VALLEY else 0.0
        return Orbit(self.model, path, watch.end, Ending.MINIMUM, str(watch.finding), error)

    @property
    def expects_valley(self) -> bool:
        """Return whether completions of this rank, if there are any, must form a continuum: too few observations."""
        k = self.model.rank
        return self.problem.n_observed < k * (sum(self.problem.shape) - k)

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
        if self.objective.dim > SMALL:
            budget = EXPLICIT_BUDGET if self.objective.dim <= DENSE_POLISH else self.use.max_evaluations
            with np.errstate(over="ignore", invalid="ignore"):  # trial steps that are rejected
                path = gradient_flow(
                    self.objective,
                    self.launch,
                    center=self.center,
                    method="DOP853",
                    callback=watch,
                    max_evaluations=budget,
                    **options,
                )
            if path.status != Status.BUDGET or self.objective.dim > DENSE_POLISH:
                return path, watch
            watch = self.watch(rtol, tight, completes)
        steps = min(LOOSE_STEPS if brief or not tight else STEPS, self.use.max_evaluations // 3 + 1)
        path = rosenbrock_flow(self.objective, self.center, self.launch, watch=watch, max_steps=steps, **options)
        self.rest(path, watch)
        return path, watch

    def rest(self, path: Trajectory, watch: Watch) -> None:
        """Keep what an orbit that has come to rest is at as the finding of its watch."""
        if watch.finding != Finding.NOTHING or path.status not in (Status.ROUNDOFF, Status.CONVERGED):
            return
        size = max(1.0, float(np.linalg.norm(path.final)))
        if watch.is_completed(path.final, FAR_REACH * size) and locally_unique(
            self.problem, *self.model.factors(watch.end)
        ):
            watch.finding = Finding.MINIMUM
        else:
            watch.finding = watch.polished(path.final, AT_REST * size)

    def watch(self, rtol: float, tight: bool, completes: bool = False) -> Watch:
        return Watch(
            self.problem,
            self.model,
            self.objective,
            agreement=max(rtol, 1e-13) if tight else 1e-7,
            accuracy=rtol,
            stop_at_valley=not tight,
            compares_factors=self.use.tight,
            completes=completes,
        )

    def valley_error(self, fine: Watch, coarse: Watch | None) -> float:
        """Return how much the end moves when the tolerance is coarser; ``coarse`` is that run if it has been made."""
        if coarse is None or coarse.finding != Finding.VALLEY:
            _, coarse = self.integrated(self.coarse, tight=True, completes=fine.is_completion)
        if coarse.finding != Finding.VALLEY:
            return np.inf
        return float(np.abs(self.model.matrix(fine.end) - self.model.matrix(coarse.end)).max())

    def at_saddle(self, path: Trajectory, watch: Watch) -> Orbit:
        """Return the orbit that ends at a saddle inside, or comes too close to one to be told."""
        if not watch.is_unresolved:
            return Orbit(self.model, path, watch.end, Ending.SADDLE, "a saddle inside the manifold, met exactly", 0.0)
        reason = f"a saddle inside the manifold is passed at a relative distance of {watch.distance:.2g}"
        return Orbit(self.model, path, path.final, Ending.UNDECIDED, reason, np.inf)

    def followed(self, path: Trajectory, watch: Watch) -> tuple[Trajectory, Watch]:
        """Return a slow orbit with its drift, until that is seen to end or to run to infinity."""
        if self.objective.dim > DENSE_POLISH:
            return path, watch
        tail = path
        for budget in DRIFT_BUDGETS:
            watch = self.watch(LOOSE, tight=False)
            tail = self.drift(path, watch, min(budget, self.use.max_evaluations))
            self.rest(tail, watch)
            if tail.status != Status.BUDGET or self.grows(tail, watch):
                break
        return tail, watch

    def grows(self, path: Trajectory, watch: Watch) -> bool:
        """Return whether an orbit runs to infinity: |theta| grows as a power of time, and not towards a completion."""
        if path.status == Status.DIVERGING:
            return True
        return growth(path) > GROWTH and not watch.is_completed(path.final, HORIZON * float(np.linalg.norm(path.final)))

    def unsettled(self, path: Trajectory, watch: Watch) -> Orbit:
        """Return the orbit that no Newton step has ended: on its way to infinity, or too slow for the steps allowed."""
        size, time = float(np.linalg.norm(path.final)), float(path.times[-1])
        reason = f"|theta| grew to {size:.3g} by t = {time:.3g}, in the problem's own unit; loss {path.final_loss:.6g}"
        ending = Ending.DIVERGING if self.grows(path, watch) else Ending.UNDECIDED
        return Orbit(self.model, path, path.final, ending, reason, np.inf)

    def drift(self, path: Trajectory, watch: Watch, budget: int) -> Trajectory:
        """Return the orbit with its slow rest by LSODA, as far as that goes; loosely, to see whether it ends."""
        try:
            rest = gradient_flow(
                self.objective,
                path.final,
                method="LSODA",
                rtol=LOOSE,
                norm_limit=self.use.norm_limit,
                max_evaluations=budget,
                callback=watch,
            )
        except IntegrationFailed:
            return path
        return replace(
            rest,
            times=np.concatenate([path.times, path.times[-1] + rest.times[1:]]),
            states=np.concatenate([path.states, rest.states[1:]]),
            losses=np.concatenate([path.losses, rest.losses[1:]]),
            gradient_norms=np.concatenate([path.gradient_norms, rest.gradient_norms[1:]]),
            method="exponential Rosenbrock, then LSODA",
            plateaus=(),
            n_gradients=path.n_gradients + rest.n_gradients,
            n_hessians=path.n_hessians + rest.n_hessians,
            n_steps=path.n_steps + rest.n_steps,
        )


def growth(path: Trajectory) -> float:
    """Return d log |theta| / d log t over the last decade of a trajectory; 0.0 if it is shorter."""
    early = np.searchsorted(path.times, path.times[-1] / 10)
    if path.times[early] <= 0.0 or early == len(path.times) - 1:
        return 0.0
    sizes = np.log([np.linalg.norm(path.states[early]), np.linalg.norm(path.final)])
    return float((sizes[1] - sizes[0]) / np.log(path.times[-1] / path.times[early]))
