"""Telling where an orbit ends before it is there: Newton steps that must agree along the way."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gflow.limit.orbit.polish import balanced
from gflow.limit.orbit.settling import EndSearch, Sighting

FIRST_TRY = 0.03
"""No Newton step is tried before the slope has fallen below this fraction of its peak."""
REACH = 0.05
"""Longest final Newton step, relative to |theta|."""
TRY_AGAIN = 8.0
"""Newton steps are tried each time the slope has fallen by this factor."""
RESOLVED = 1e2
"""A saddle inside is passed at a distance that the integration resolves if it exceeds its error this many times."""
NOISE_LEVEL = 30.0
"""Differences up to this many times the agreement that have stopped falling are rounding."""
MET = 1e-13
"""A saddle inside is met exactly if it is passed at less than this distance, relative to |theta|."""


@dataclass
class Watch:
    """Stop an integration when Newton steps from two states along it, with slopes 8 : 1, end in one point.

    Newton's step is the limit of the linearised flow, also along a valley of completions, with an error of the order
    of its square: where two of them agree, the second is 64 times as accurate as the difference.

    Attributes
    ----------
    search : EndSearch
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
    """

    search: EndSearch
    agreement: float
    accuracy: float
    stop_at_valley: bool
    compares_factors: bool
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
        return self.sees(t, theta, float(np.linalg.norm(self.search.objective.gradient(theta))))

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
            return np.concatenate([factor.ravel() for factor in balanced(*self.search.model.factors(self.end))])
        return self.search.model.output(self.end)

    def agrees(self, previous: np.ndarray | None) -> bool:
        """Return whether the end is where the step before led to, within the agreement or within rounding."""
        if previous is None or self.last is None:
            return False
        moved = float(np.abs(self.last - previous).max()) / max(float(np.abs(self.last).max()), 1e-300)
        before, self.moved = self.moved, moved
        return moved <= self.agreement or before / 2 <= moved <= NOISE_LEVEL * self.agreement

    def polished(self, theta: np.ndarray, radius: float) -> Sighting:
        """Return what the critical point within ``radius`` of theta is, and keep it as ``end``."""
        found = self.search.near(theta, radius)
        if found.end is not None:
            self.end, self.distance = found.end, found.distance
        return found.shape

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
        return self.finding == Sighting.VALLEY and self.search.meets(self.end, self.search.objective.value(self.end))

    def is_completed(self, theta: np.ndarray, radius: float) -> bool:
        """Return whether Gauss-Newton steps find a completion within ``radius`` of theta, and keep it as ``end``."""
        end = self.search.completion_ahead(theta)
        if end is None or float(np.linalg.norm(end - theta)) > radius:
            return False
        self.end = end
        return True

    def is_quadratic(self, theta: np.ndarray) -> bool:
        """Return whether the loss falls from theta to the end as the Newton decrement says, within a tenth."""
        objective = self.search.objective
        drop = objective.value(theta) - objective.value(self.end)
        decrement = 0.5 * float(objective.gradient(theta) @ (theta - self.end))
        return abs(decrement - drop) <= 0.1 * drop + 1e-14
