"""The walk of one coupling component, W = A B: what leaves each saddle, and what is kept of the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy

import numpy as np

from gflow.flow import Trajectory
from gflow.limit.family import Stop, Stopped
from gflow.limit.finite import Departure, Stage
from gflow.limit.infinity import beyond
from gflow.limit.law.clocks import Clock
from gflow.limit.law.exponents import remembered
from gflow.limit.law.sectors import MixingUnknown
from gflow.limit.orbit.modes import misfit
from gflow.limit.orbit.orbits import Connection, Ending
from gflow.limit.orbit.polish import balanced
from gflow.limit.orbit.settling import DENSE_POLISH
from gflow.limit.orbit.sizes import is_large
from gflow.limit.orbit.uniqueness import completed
from gflow.limit.records import Saddle, TraversalStatus
from gflow.policy import ZERO_LOSS

ASIDE, SAME_END = 1e-9, 1e-3
"""A displacement that rounding might have made, in the component's unit, and by how much it may change an end."""
UNSTEADY = "where the orbit ends depends on displacements as small as rounding errors"

Pair = tuple[np.ndarray, np.ndarray]


class FactorPairs:
    """The family W = A B of one component, and what a walk keeps on its way: the clock, orbits and their errors."""

    def __init__(self, stage: Stage, clock: Clock) -> None:
        self.stage, self.clock, self.memory = stage, clock, np.inf
        self.lost = self.apart = False
        self.infinite: int | None = None
        self.unmixed: Stop | None = None
        self.spreads: list[Callable[[], float]] = []
        self.orbits: list[Trajectory] = []
        self.left: list[Departure] = []

    def origin(self) -> Pair:
        """Return factors of inner width 0."""
        d1, d2 = self.stage.problem.shape
        return np.zeros((d1, 0)), np.zeros((0, d2))

    def saddle(self, place: Pair) -> Saddle:
        """Return the critical point with its residual, its inside spectrum and its race."""
        saddle, self.unmixed = self.stage.saddle(*place, self.clock)
        return saddle

    def stop(self, saddles: Sequence[Saddle]) -> Stop | None:
        """Return why the chain ends, or None."""
        return self.stage.stop(saddles[-1], self.memory) or self.unmixed

    def departed(self, place: Pair, saddles: Sequence[Saddle]) -> Pair:
        """Return the end of the orbit along the pair that escapes, and carry what stays passive along it."""
        saddle, (A, B) = saddles[-1], place
        self.apart |= self.clock.keeps_apart
        reached = self.stage.orbit(saddle, A, B)
        self.orbits += [] if reached.path is None else [reached.path]
        self.spreads.append(reached.spread)
        self.left = [*self.left[:1], Departure(saddle, A, B, reached, copy(self.clock))]
        if reached.ending in (Ending.DIVERGING, Ending.UNDECIDED):
            self.infinite = len(self.orbits) - 1 if reached.ending == Ending.DIVERGING else None
            return self.beyond()
        if not self.is_steady(saddle, place, reached):
            raise Stopped(TraversalStatus.UNDECIDED, f"from rank {saddle.rank}: {UNSTEADY}")
        A, B = balanced(*reached.model.factors(reached.end))
        problem = self.stage.problem
        if reached.model.dim <= DENSE_POLISH and not is_large(problem) and misfit(problem, A, B) <= ZERO_LOSS:
            A, B = completed(problem, A, B)
        self.memory = remembered(saddle, self.memory)
        try:
            return self.clock.cross(self.orbits[-1], A, B)
        except MixingUnknown as unknown:
            if self.stage.use.tight or misfit(self.stage.problem, A, B) > ZERO_LOSS:
                raise Stopped(TraversalStatus.UNDECIDED, f"from rank {saddle.rank}: {unknown}") from unknown
            self.lost = True  # the end is known, what stays passive there is not
        return A, B

    def is_steady(self, saddle: Saddle, place: Pair, reached: Connection) -> bool:
        """Return whether an orbit leads a displaced start to the same end.

        It is asked where the saddle is unstable inside, or symmetries keep modes apart: these may hold an orbit on its
        way from one saddle inside to another, and what it does when rounding breaks them is not what the flow does.
        """
        if reached.ending != Ending.MINIMUM or is_large(self.stage.problem):
            return True
        if not (saddle.inside_rate > 0.0 or self.apart):
            return True
        rng = np.random.default_rng(0)
        aside = self.stage.orbit(saddle, *(each + ASIDE * rng.standard_normal(each.shape) for each in place))
        one, other = (each.model.output(each.end) for each in (reached, aside))
        return float(np.abs(one - other).max()) <= SAME_END * max(1.0, float(np.abs(one).max()))

    def beyond(self) -> Pair:
        """Return what follows the last orbit, which runs to infinity, where another mode brings the flow back."""
        far = beyond(self.stage, self.left[0], self.left[-1])
        if far.factors is None:
            raise Stopped(far.status, far.reason)
        self.lost, self.orbits, self.spreads[-1] = True, [*self.orbits, *far.orbits], far.spread
        return far.factors
