"""Telling where an orbit ends before it is there: Newton steps that must agree along the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

import numpy as np

from gflow.critical import CriticalPoint, NotConverged, classify
from gflow.critical.points import stationary_point
from gflow.limit.orbit.curvature import DENSE_SYSTEM, Curvature
from gflow.limit.orbit.krylov import Lowest
from gflow.limit.orbit.polish import balanced, completed, direct_polish, krylov_polish, rest_ahead, smallest_off_gauge
from gflow.limit.orbit.sizes import is_isolating, is_large
from gflow.limit.orbit.uniqueness import flat_directions, locally_unique
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.policy import DENSE_LIMIT, ZERO_LOSS
from gflow.problems import EntryProblem, WeightedCompletion

DENSE_POLISH = DENSE_SYSTEM
"""Largest dimension that is polished with the eigenvectors of the Hessian."""
FIRST_TRY = 0.03
"""No Newton step is tried before the slope has fallen below this fraction of its peak."""
REACH = 0.05
"""Longest final Newton step, relative to |theta|."""
TRY_AGAIN = 8.0
"""Newton steps are tried each time the slope has fallen by this factor."""
FLAT = 1e-11
"""Eigenvalues below this fraction of the largest one cannot be told from zero."""
RESOLVED = 1e2
"""A saddle inside is passed at a distance that the integration resolves if it exceeds its error this many times."""
NOISE_LEVEL = 30.0
"""Differences up to this many times the agreement that have stopped falling are rounding."""
SOFT_TOLS = 1e-10, 1e-14
"""Completions ahead are looked for with steps in all but the softest directions, and in all."""
MET = 1e-13
"""A saddle inside is met exactly if it is passed at less than this distance, relative to |theta|."""


class Sighting(StrEnum):
    """What a watch saw."""

    NOTHING = "nothing yet"
    MINIMUM = "a minimum inside the manifold"
    VALLEY = "a continuum of critical points, which remembers the way"
    NEAR_SADDLE = "a saddle inside the manifold, passed within the error of the integration"
    DEGENERATE = "a critical point inside the manifold where some curvature vanishes"


@dataclass
class Watch:
    """Stop an integration when Newton steps from two states along it, with slopes 8 : 1, end in one point.

    Newton's step is the limit of the linearised flow, also along a valley of completions, with an error of the order
    of its square: where two of them agree, the second is 64 times as accurate as the difference.

    Attributes
    ----------
    agreement : float
        Largest difference of the two matrices, relative to max|W|. Differences up to 30 times as large that no
        longer fall are rounding, and agree.
    accuracy : float
        Error of the integration, relative to |theta|: a saddle inside that is passed at less than 100 times this
        distance stops it.
    stop_at_valley : bool
        Whether to stop as soon as the end is seen to belong to a continuum of critical points.
    compares_factors : bool
        Whether the factors themselves (balanced) must agree, not only their product.
    completes : bool
        Whether the end is known to belong to a continuum of completions: then Gauss-Newton steps lead to it.
    """

    problem: EntryProblem
    model: Factorization
    objective: Objective
    curvature: Curvature
    agreement: float
    accuracy: float
    stop_at_valley: bool
    compares_factors: bool
    completes: bool = False
    finding: Sighting = Sighting.NOTHING
    end: np.ndarray = field(default_factory=lambda: np.empty(0))
    distance: float = np.inf
    peak: float = 0.0
    slope: float = 0.0
    first: float = 0.0
    next_try: float = np.inf
    last: np.ndarray | None = None
    moved: float = np.inf

    def __call__(self, t: float, theta: np.ndarray, loss: float) -> bool:
        """Return whether the end is seen: a callback of ``gradient_flow``."""
        return self.sees(t, theta, float(np.linalg.norm(self.objective.gradient(theta))))

    def sees(self, t: float, theta: np.ndarray, slope: float) -> bool:
        """Return whether the end is seen from theta, where the gradient has the norm ``slope``."""
        self.peak, self.slope, self.first = max(self.peak, slope), slope, self.first or slope
        if slope > min(FIRST_TRY * self.peak, self.next_try):
            return False
        self.next_try = slope / TRY_AGAIN
        self.finding = self.settled(theta)
        return self.finding != Sighting.NOTHING

    def settled(self, theta: np.ndarray) -> Sighting:
        """Return what the Newton iteration from theta leads to, as far as it is certain."""
        size = max(float(np.linalg.norm(theta)), 1.0)
        previous, self.last = self.last, None
        shape = self.polished(theta, REACH * size)
        if shape == Sighting.NEAR_SADDLE:
            return shape if self.distance <= RESOLVED * self.accuracy else Sighting.NOTHING
        if shape in (Sighting.NOTHING, Sighting.DEGENERATE) or not self.is_quadratic(theta):
            return Sighting.NOTHING
        self.last = self.compared()
        if shape == Sighting.VALLEY and self.stop_at_valley:
            return shape
        return shape if self.agrees(previous) else Sighting.NOTHING

    def compared(self) -> np.ndarray:
        """Return what two Newton steps must agree in: the matrix at the end, or its balanced factors."""
        if self.compares_factors:
            return np.concatenate([factor.ravel() for factor in balanced(*self.model.factors(self.end))])
        return self.model.output(self.end)

    def agrees(self, previous: np.ndarray | None) -> bool:
        """Return whether the end is where the step before led to, within the agreement or within rounding."""
        if previous is None or self.last is None:
            return False
        moved = float(np.abs(self.last - previous).max()) / max(float(np.abs(self.last).max()), 1e-300)
        before, self.moved = self.moved, moved
        return moved <= self.agreement or before / 2 <= moved <= NOISE_LEVEL * self.agreement

    def polished(self, theta: np.ndarray, radius: float) -> Sighting:
        """Return what the critical point within ``radius`` of theta is, and keep it as ``end``."""
        if self.completes and self.objective.dim <= DENSE_POLISH:
            nearest = completed(self.problem, self.model, theta)
            if nearest is None or float(np.linalg.norm(nearest - theta)) > radius:
                return Sighting.NOTHING
            self.end = nearest
            return Sighting.VALLEY
        try:
            if self.objective.dim > DENSE_LIMIT or is_large(self.problem):
                self.end = krylov_polish(self.objective, self.model, theta, radius=radius)
                return self.counted(theta)
            if self.objective.dim > DENSE_POLISH:
                end = direct_polish(self.curvature, theta, radius=radius)
            else:
                end = stationary_point(self.objective, theta, radius=radius, max_steps=12)
            point = classify(self.objective, end, higher_orders=False)
        except NotConverged:
            return Sighting.NOTHING
        self.end, shape = point.theta, self.surroundings(point)
        if shape == Sighting.VALLEY and self.meets(point.theta, point.value):
            nearest = completed(self.problem, self.model, theta)
            self.end = point.theta if nearest is None else nearest
        if shape == Sighting.NEAR_SADDLE:
            self.distance = self.passed(theta, point)
        return shape

    def passed(self, theta: np.ndarray, point: CriticalPoint) -> float:
        """Return the largest part of theta along a growing mode of a saddle, relative to |theta|."""
        growing = point.spectrum.negative(FLAT * point.spectrum.norm)
        rates = -point.spectrum.values[: growing.shape[1]]
        amplitudes = np.abs(growing.T @ self.objective.gradient(theta)) / rates
        return float(amplitudes.max()) / max(float(np.linalg.norm(theta)), 1.0)

    @property
    def is_past(self) -> bool:
        """Return whether the fast part of the orbit is over."""
        return self.first < FIRST_TRY * self.peak and self.slope <= FIRST_TRY * self.peak

    @property
    def is_unresolved(self) -> bool:
        """Return whether a saddle inside is passed within the error of the integration, but not met exactly."""
        return self.finding == Sighting.NEAR_SADDLE and self.distance > MET

    @property
    def is_completion(self) -> bool:
        """Return whether the end is a completion that belongs to a continuum of them."""
        return self.finding == Sighting.VALLEY and self.meets(self.end, self.objective.value(self.end))

    def meets(self, theta: np.ndarray, loss: float) -> bool:
        """Return whether the data are met at theta, where the loss is this; however little an entry counts."""
        if isinstance(self.problem, WeightedCompletion):
            loss = self.problem.means.risk(self.model.output(theta))
        return loss <= ZERO_LOSS

    def is_completed(self, theta: np.ndarray, radius: float) -> bool:
        """Return whether Gauss-Newton steps find a completion within ``radius`` of theta, and keep it as ``end``."""
        end = self.completion_ahead(theta)
        if end is None or float(np.linalg.norm(end - theta)) > radius:
            return False
        self.end = end
        return True

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

    def counted(self, theta: np.ndarray) -> Sighting:
        """Return what the end of a problem without a dense Hessian is: counting tells minima from continua."""
        hvp = partial(self.objective.hvp, self.end)
        lowest = smallest_off_gauge(hvp, self.objective, self.model, self.end)
        if lowest.is_negative:
            self.distance = distance_along(lowest, self.objective.gradient(theta), theta)
            return Sighting.NEAR_SADDLE
        return Sighting.MINIMUM if is_isolating(self.problem, self.model.rank) else Sighting.VALLEY

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

    def is_quadratic(self, theta: np.ndarray) -> bool:
        """Return whether the loss falls from theta to the end as the Newton decrement says, within a tenth."""
        drop = self.objective.value(theta) - self.objective.value(self.end)
        decrement = 0.5 * float(self.objective.gradient(theta) @ (theta - self.end))
        return abs(decrement - drop) <= 0.1 * drop + 1e-14


def distance_along(lowest: Lowest, gradient: np.ndarray, theta: np.ndarray) -> float:
    """Return the part of theta along the growing mode of a saddle nearby, relative to |theta|, from the slope there."""
    assert lowest.value is not None
    return abs(float(lowest.vector @ gradient) / lowest.value) / max(float(np.linalg.norm(theta)), 1.0)
