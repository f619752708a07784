"""Following an orbit of a deep flow to the critical point at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gflow.critical import NotConverged
from gflow.critical.points import stationary_point
from gflow.flow import IntegrationFailed, Status, Trajectory
from gflow.limit.family import Stopped
from gflow.limit.orbit.deep_orbits import SOFT_CURVATURE, orbit
from gflow.limit.orbit.growth import NOT_YET_TOLD, grows, growth, hides, peak_time
from gflow.limit.records import TraversalStatus
from gflow.limit.settings import Settings
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.policy import EPS
from gflow.problems import EntryProblem, without_weights

FINER_BY = 3.0
"""How much smaller the first step is, and its fourth power the tolerance, of a second orbit where the end remembers."""
DEEP_REACH = 1e-2
"""Longest way from the end of an orbit to the critical point, relative to |theta|."""
NO_MINIMUM = "full width is used up without a minimum"
"""Said of a critical point of full width that leaves a loss: all minima meet the data (Kawaguchi 2016)."""

Launch = Callable[[float], np.ndarray]


class Arrival(NamedTuple):
    """The critical point at the end of an orbit, the orbit, and the largest error of an entry of W there."""

    theta: np.ndarray
    path: Trajectory
    error: float


@dataclass(frozen=True)
class DeepOrbits:
    """Orbits of one problem, in its own unit."""

    problem: EntryProblem
    use: Settings

    def arrived(self, model: Factorization, center: np.ndarray, launched: Launch, where: str) -> Arrival:
        """Return the critical point at the end of the orbit from ``center`` along ``launched(1.0)``, with its error.

        Where the end remembers the way, a second and finer orbit is the answer, and their difference its error. Raises
        ``Stopped`` where the orbit runs to infinity or its end is not told.
        """
        objective = Objective.of(self.problem, model)
        theta, path = self.followed(model, center, launched(1.0), self.use.rtol, where)
        values = np.abs(np.linalg.eigvalsh(objective.hessian(theta)))
        W, size = model.output(theta), float(values.max())
        if int(np.sum(values <= SOFT_CURVATURE * size)) <= model.gauge_dimension(theta):
            return Arrival(
                theta, path, EPS * size / float(values[values > SOFT_CURVATURE * size].min()) * float(np.abs(W).max())
            )
        finer, rtol = launched(1.0 / FINER_BY), self.use.rtol / FINER_BY**4
        theta, path = self.followed(model, center, finer, rtol, where)
        return Arrival(theta, path, float(np.abs(W - model.output(theta)).max()))

    def followed(
        self, model: Factorization, center: np.ndarray, launch: np.ndarray, rtol: float, where: str
    ) -> tuple[np.ndarray, Trajectory]:
        """Return the critical point at which an orbit comes to rest, and the orbit."""
        try:
            path = orbit(self.problem, model, center, launch, rtol, self.use)
        except IntegrationFailed as failure:
            raise Stopped(TraversalStatus.UNDECIDED, f"{where}: {failure}") from failure
        reached = f"{where}: |theta| is {np.linalg.norm(path.final):.3g} at t = {path.times[-1]:.3g}, in the unit"
        if power := power_of_growth(path, model.depth):
            seen = without_weights(self.problem)
            if hides(seen.measure(seen.residual(model.output(path.final))), seen.targets):
                raise Stopped(TraversalStatus.UNDECIDED, f"{reached}; {NOT_YET_TOLD}")
            raise Stopped(TraversalStatus.DIVERGING, f"{reached}, and grows as t^{power:.2f}")
        if path.status not in (Status.HORIZON, Status.ROUNDOFF, Status.CONVERGED):
            raise Stopped(TraversalStatus.UNDECIDED, f"{reached}: {path.message}")
        try:
            radius = DEEP_REACH * float(np.linalg.norm(path.final))
            return stationary_point(Objective.of(self.problem, model), path.final, radius=radius), path
        except NotConverged as failure:
            raise Stopped(TraversalStatus.UNDECIDED, f"{reached}; {failure}") from failure


def power_of_growth(path: Trajectory, depth: int) -> float:
    """Return the power of time with which |theta| grows at the end of an orbit that runs to infinity, 0 elsewhere.

    Layers of a product of L factors grow like t^(1 / (2 L + 2)) there; half of that is growth.
    """
    slow = 0.25 / (depth + 1)
    return growth(path.times, path.states) if grows(path.times, path.states, peak_time(path), slow) else 0.0
