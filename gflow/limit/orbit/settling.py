"""What a state on an orbit leads to: critical points found by Newton steps, told apart by what is around them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import NamedTuple

import numpy as np

from gflow.critical import CriticalPoint, NotConverged, classify
from gflow.critical.points import stationary_point
from gflow.limit.orbit.curvature import DENSE_SYSTEM, Curvature
from gflow.limit.orbit.krylov import Lowest
from gflow.limit.orbit.polish import completed, direct_polish, krylov_polish, rest_ahead, smallest_off_gauge
from gflow.limit.orbit.sizes import is_isolating, is_large
from gflow.limit.orbit.uniqueness import flat_directions, locally_unique
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.policy import DENSE_LIMIT, ZERO_LOSS
from gflow.problems import EntryProblem, WeightedCompletion

DENSE_POLISH = DENSE_SYSTEM
"""Largest dimension that is polished with the eigenvectors of the Hessian."""
FLAT = 1e-11
"""Eigenvalues below this fraction of the largest one cannot be told from zero."""
SOFT_TOLS = 1e-10, 1e-14
"""Completions ahead are looked for with steps in all but the softest directions, and in all."""


class Sighting(StrEnum):
    """What a watch saw."""

    NOTHING = "nothing yet"
    MINIMUM = "a minimum inside the manifold"
    VALLEY = "a continuum of critical points, which remembers the way"
    NEAR_SADDLE = "a saddle inside the manifold, passed within the error of the integration"
    DEGENERATE = "a critical point inside the manifold where some curvature vanishes"


class Sight(NamedTuple):
    """What lies ahead, where, and how far from theta along the growing modes of a saddle, relative to |theta|."""

    shape: Sighting
    end: np.ndarray | None = None
    distance: float = np.inf


UNSEEN = Sight(Sighting.NOTHING)


@dataclass(frozen=True, eq=False)
class EndSearch:
    """The search for what lies ahead of a state in a manifold of the problem.

    Attributes
    ----------
    completes : bool
        Whether the end is known to belong to a continuum of completions: then Gauss-Newton steps lead to it.
    """

    problem: EntryProblem
    model: Factorization
    objective: Objective
    curvature: Curvature
    completes: bool = False

    def near(self, theta: np.ndarray, radius: float) -> Sight:
        """Return the critical point within ``radius`` of theta, and what it is."""
        if self.completes and self.objective.dim <= DENSE_POLISH:
            nearest = completed(self.problem, self.model, theta)
            if nearest is None or float(np.linalg.norm(nearest - theta)) > radius:
                return UNSEEN
            return Sight(Sighting.VALLEY, nearest)
        try:
            if self.objective.dim > DENSE_LIMIT or is_large(self.problem):
                return self.counted(theta, krylov_polish(self.objective, self.model, theta, radius=radius))
            if self.objective.dim > DENSE_POLISH:
                end = direct_polish(self.curvature, theta, radius=radius)
            else:
                end = stationary_point(self.objective, theta, radius=radius, max_steps=12)
            point = classify(self.objective, end, higher_orders=False)
        except NotConverged:
            return UNSEEN
        end, shape = point.theta, self.surroundings(point)
        if shape == Sighting.VALLEY and self.meets(point.theta, point.value):
            nearest = completed(self.problem, self.model, theta)
            end = point.theta if nearest is None else nearest
        return Sight(shape, end, self.passed(theta, point) if shape == Sighting.NEAR_SADDLE else np.inf)

    def passed(self, theta: np.ndarray, point: CriticalPoint) -> float:
        """Return the largest part of theta along a growing mode of a saddle, relative to |theta|."""
        growing = point.spectrum.negative(FLAT * point.spectrum.norm)
        rates = -point.spectrum.values[: growing.shape[1]]
        amplitudes = np.abs(growing.T @ self.objective.gradient(theta)) / rates
        return float(amplitudes.max()) / max(float(np.linalg.norm(theta)), 1.0)

    def meets(self, theta: np.ndarray, loss: float) -> bool:
        """Return whether the data are met at theta, where the loss is this; however little an entry counts."""
        if isinstance(self.problem, WeightedCompletion):
            loss = self.problem.means.risk(self.model.output(theta))
        return loss <= ZERO_LOSS

    def completion_ahead(self, theta: np.ndarray) -> np.ndarray | None:
        """Return the completion that Gauss-Newton steps from theta find, however far, or None."""
        if self.objective.dim > DENSE_POLISH:
            return None
        for soft_tol in SOFT_TOLS:
            end = completed(self.problem, self.model, theta, soft_tol=soft_tol, max_steps=60)
            if end is not None:
                return end
        return None

    def leads_on(self, theta: np.ndarray) -> bool:
        """Return whether a completion or a minimum is found ahead: then an orbit that grows may be on its way to it.

        True as well for orbits too large for the search.
        """
        if self.objective.dim > DENSE_POLISH:
            return True
        if self.completion_ahead(theta) is not None:
            return True
        rest = rest_ahead(self.objective, theta)
        if rest is None:
            return False
        shape = self.surroundings(classify(self.objective, rest, higher_orders=False))
        return shape == Sighting.MINIMUM or (
            shape == Sighting.VALLEY and not is_isolating(self.problem, self.model.rank)
        )

    def counted(self, theta: np.ndarray, end: np.ndarray) -> Sight:
        """Return what the ``end`` of a problem without a dense Hessian is: counting tells minima from continua."""
        hvp = partial(self.objective.hvp, end)
        lowest = smallest_off_gauge(hvp, self.objective, self.model, end)
        if lowest.is_negative:
            apart = distance_along(lowest, self.objective.gradient(theta), theta)
            return Sight(Sighting.NEAR_SADDLE, end, apart)
        isolated = is_isolating(self.problem, self.model.rank)
        return Sight(Sighting.MINIMUM if isolated else Sighting.VALLEY, end)

    def surroundings(self, point: CriticalPoint) -> Sighting:
        """Return whether a critical point is a minimum, one of a continuum, or a saddle inside the manifold.

        Degenerate where the curvature of some mode vanishes, or is too small to be told from zero, though it changes
        observed entries: a value that is met at infinity always has such modes.
        """
        if self.meets(point.theta, point.value):
            unique = locally_unique(self.problem, *self.model.factors(point.theta))
            return Sighting.MINIMUM if unique is True else Sighting.VALLEY
        size = max(float(np.linalg.norm(point.theta)), 1.0)
        values, noise = point.spectrum.values, FLAT * point.spectrum.norm + point.gradient_norm / size
        if values[0] < -noise:
            return Sighting.NEAR_SADDLE
        if values[point.gauge_dimension or 0] > noise:
            return Sighting.MINIMUM
        flat = flat_directions(self.problem, self.model, point.theta, point.spectrum.vectors[:, values <= noise])
        return Sighting.VALLEY if flat else Sighting.DEGENERATE


def distance_along(lowest: Lowest, gradient: np.ndarray, theta: np.ndarray) -> float:
    """Return the part of theta along the growing mode of a saddle nearby, relative to |theta|, from the slope there."""
    assert lowest.value is not None
    return abs(float(lowest.vector @ gradient) / lowest.value) / max(float(np.linalg.norm(theta)), 1.0)
