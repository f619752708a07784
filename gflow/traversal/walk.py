"""The walk from saddle to saddle of one component."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gflow.flow import Trajectory
from gflow.traversal.clocks import Clock
from gflow.traversal.exponents import remembered
from gflow.traversal.finite import Departure
from gflow.traversal.infinity import beyond
from gflow.traversal.modes import loss_at
from gflow.traversal.orbits import Ending
from gflow.traversal.polish import balanced
from gflow.traversal.records import Saddle, TraversalStatus
from gflow.traversal.sectors import MixingUnknown
from gflow.traversal.settling import ZERO_LOSS

if TYPE_CHECKING:
    from gflow.traversal.chain import _Stage

Stop = tuple[TraversalStatus, str]


@dataclass
class Walk:
    """What a chain has passed, and the factors of the saddle that comes next."""

    stage: _Stage
    clock: Clock
    A: np.ndarray
    B: np.ndarray
    memory: float = np.inf
    lost: bool = False
    infinite: int | None = None
    spreads: list[Callable[[], float]] = field(default_factory=list)
    saddles: list[Saddle] = field(default_factory=list)
    orbits: list[Trajectory] = field(default_factory=list)
    left: list[Departure] = field(default_factory=list)

    def step(self) -> Stop | None:
        """Return why the chain ends at the next saddle or on the orbit from there, or None."""
        stage, clock, A, B = self.stage, self.clock, self.A, self.B
        saddle, stop = stage.saddle(A, B, clock)
        self.saddles.append(saddle)
        stop = stage.stop(saddle, self.memory) or stop
        if stop is not None:
            return stop
        reached = stage.orbit(saddle, A, B)
        self.orbits += [] if reached.path is None else [reached.path]
        self.spreads.append(reached.spread)
        self.left = [*self.left[:1], Departure(saddle, A, B, reached, copy(clock))]
        if reached.ending in (Ending.DIVERGING, Ending.UNDECIDED):
            self.infinite = len(self.orbits) - 1 if reached.ending == Ending.DIVERGING else None
            far = beyond(stage, self.left[0], self.left[-1])
            if far.factors is None:
                return far.status, far.reason
            (self.A, self.B), self.lost = far.factors, True
            self.orbits += far.orbits
            self.spreads[-1] = far.spread
            return None
        self.A, self.B = balanced(*reached.model.factors(reached.end))
        self.memory = remembered(saddle, self.memory)
        try:
            self.A, self.B = clock.cross(self.orbits[-1], self.A, self.B)
        except MixingUnknown as unknown:
            if stage.use.tight or loss_at(stage.problem, self.A, self.B) > ZERO_LOSS:
                return TraversalStatus.UNDECIDED, f"from rank {saddle.rank}: {unknown}"
            self.lost = True  # the end is known, what stays passive there is not
        return None
