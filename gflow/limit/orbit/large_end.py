"""Where the orbit of a large component leads: the critical point of Newton's iteration, confirmed from two states."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from gflow.critical import NotConverged
from gflow.flow import Trajectory
from gflow.limit.orbit.curvature import Curvature
from gflow.limit.orbit.growth import FAR_GROWTH, grows, peak_time
from gflow.limit.orbit.polish import direct_polish, krylov_polish, product_svd, smallest_off_gauge
from gflow.limit.orbit.settling import distance_along
from gflow.limit.orbit.stages import AT_REST
from gflow.limit.orbit.watching import MET, RESOLVED
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.policy import ZERO_LOSS

AGREEMENT = 1e-6
"""Largest entry, in the unit, by which two such ends may differ."""
CONFIRMED = 2.0
"""Slopes of the two states that must confirm the end."""
LARGE_REACH = 0.3
"""Longest way to the critical point, relative to |theta|."""
EXPLAINED = 0.1
"""The loss is quadratic between orbit and end where Newton's decrement is its fall but for this fraction."""


def largest_difference(model: Factorization, theta: np.ndarray, other: np.ndarray) -> float:
    """Return the spectral norm of the difference of two matrices, which bounds its entries."""
    (A, B), (A_other, B_other) = model.factors(theta), model.factors(other)
    return float(product_svd(np.hstack([A, -A_other]), np.vstack([B, B_other]))[1][0])


@dataclass
class ExpectedEnd:
    """The critical point to which Newton's iteration leads from an orbit, and what is seen of it on the way.

    Attributes
    ----------
    tol : float
        Error of the steps of the orbit, relative to |theta|.
    remembers : bool
        Whether the end depends on the way, so that two states must lead to one point.
    system : Curvature or None
        The linear algebra of Newton steps; without it they are found by Krylov's method.
    end, saddle : arrays or None
        The minimum expected, and a saddle inside that was met instead, at the relative ``distance``.
    """

    model: Factorization
    objective: Objective
    tol: float
    remembers: bool
    system: Curvature | None = None
    end: np.ndarray | None = None
    saddle: np.ndarray | None = None
    is_valley: bool = False
    end_loss: float = 0.0
    explained_from: float = 0.0
    distance: float = np.inf

    @property
    def is_met(self) -> bool:
        """Return whether a saddle inside is met exactly."""
        return self.distance <= MET

    @property
    def is_unresolved(self) -> bool:
        """Return whether a saddle inside is passed within the error of the steps, but not met exactly."""
        return MET < self.distance <= RESOLVED * self.tol

    @property
    def passing(self) -> str:
        """Return how closely a saddle inside is passed."""
        return f"a saddle inside the manifold is passed at a relative distance of {self.distance:.2g}"

    def settled(self, theta: np.ndarray, gradient: np.ndarray, loss: float) -> bool:
        """Return whether this state and one with twice the slope lie in the quadratic surroundings of the end.

        There the loss falls from theta to the end as Newton's decrement says, by half of slope times way.
        """
        if self.end is None:
            return False
        drop, slope = loss - self.end_loss, float(np.linalg.norm(gradient))
        explained = abs(0.5 * float(gradient @ (theta - self.end)) - drop) <= EXPLAINED * drop
        self.explained_from = max(self.explained_from, slope) if explained else 0.0
        if slope > self.explained_from / CONFIRMED:
            return False
        return not self.remembers or self.agrees(theta, slope)

    def agrees(self, theta: np.ndarray, slope: float) -> bool:
        """Return whether Newton's iteration leads from this state to the end expected; else expect its own."""
        before, self.explained_from = self.end, slope
        if not self.polished(theta) or before is None or self.end is None:
            return False
        return largest_difference(self.model, before, self.end) <= AGREEMENT

    def polished(self, theta: np.ndarray) -> bool:
        """Return whether Newton's iteration leads from theta to a minimum, and keep that as the end expected.

        A saddle is kept apart, with the distance at which it is passed.
        """
        radius, self.saddle = LARGE_REACH * float(np.linalg.norm(theta)), None
        try:
            if self.system is not None:
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

    def rests(self, theta: np.ndarray) -> bool:
        """Return whether a state that moves no more is at a minimum."""
        if not self.polished(theta) or self.end is None:
            return False
        return float(np.linalg.norm(self.end - theta)) <= AT_REST * float(np.linalg.norm(theta))

    def runs_off(self, path: Trajectory) -> bool:
        """Return whether |theta| grows as a power of time towards an end whose curvature is not seen to be positive.

        On the way to infinity the slope sinks below what a Newton iteration takes for zero, anywhere.
        """
        doubtful = self.is_valley and self.end_loss > ZERO_LOSS
        return doubtful and grows(path.times, path.states, peak_time(path), FAR_GROWTH)
