"""A chain at one finite, very large log(1/alpha).

Every orbit ends at the latest where the next passive element has reached the size of the data, be it on its way to
infinity or back; exponents hold all that has grown so far. For alpha -> 0 along orbits that end it is the usual chain.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from gflow.flow import Trajectory
from gflow.limit.family import Stop
from gflow.limit.law.clocks import Clock, RaceClock
from gflow.limit.law.crossing import Crossing
from gflow.limit.law.elements import Sector
from gflow.limit.law.race import Passive
from gflow.limit.law.sectors import MixingUnknown
from gflow.limit.orbit.growth import peak_time
from gflow.limit.orbit.modes import misfit
from gflow.limit.orbit.orbits import Connection, Ending
from gflow.limit.orbit.polish import balanced
from gflow.limit.orbit.stages import LAUNCH, orbit
from gflow.limit.records import Saddle, TraversalStatus
from gflow.limit.settings import Settings
from gflow.policy import ZERO_LOSS
from gflow.problems import EntryProblem

FAR_LAUNCH = 1e-3
"""Amplitude of a column that escapes on the way, in the square root of the unit: rounding errors are larger there."""
LATEST = 1e16
"""No orbit is followed longer than this, in the problem's own unit."""
LONGER = 10.0
"""An orbit on which nothing has arrived is followed at least so many times as long."""
EXTENSIONS, MOST_STAGES = 6, 12
SURELY = 30.0
"""Elements whose factors are not known stay passive if a bound of their growth leaves them below e^-30."""


class Stage(Protocol):
    """What a component's chain tells of its saddles."""

    @property
    def use(self) -> Settings:
        """Return how orbits are followed."""

    @property
    def width(self) -> int:
        """Return the inner width of the model."""

    @property
    def greedy(self) -> bool:
        """Return whether every stage is meant to be followed to its end."""

    @property
    def problem(self) -> EntryProblem:
        """Return the component in its own unit."""

    def saddle(self, A: np.ndarray, B: np.ndarray, clock: Clock) -> tuple[Saddle, Stop | None]:
        """Return a point of the chain, and why its escape is not known."""

    def stop(self, saddle: Saddle, memory: float) -> Stop | None:
        """Return why the chain ends there."""

    def orbit(self, saddle: Saddle, A: np.ndarray, B: np.ndarray) -> Connection:
        """Return the orbit that leaves a saddle."""


class Unknown(ValueError):
    """What follows cannot be told, for the reason given."""


class Departure(NamedTuple):
    """A saddle with its factors, the orbit that leaves it, and the clock there."""

    saddle: Saddle
    A: np.ndarray
    B: np.ndarray
    reached: Connection
    clock: Clock


class FiniteEnd(NamedTuple):
    """Where the flow from alpha = exp(-log) ends, after which orbits; no factors where it runs to infinity itself."""

    log: float
    factors: tuple[np.ndarray, np.ndarray] | None
    orbits: tuple[Trajectory, ...]


def elements(passive: Passive) -> list[tuple[float, float]]:
    """Return exponents and largest factors along the last orbit of all elements, its end included."""
    largest = [(each.exponents, np.maximum(each.peaks, each.gains)) for each in passive.whole]
    return [pair for exponents, factors in largest for pair in zip(exponents, factors, strict=True)]


def crossed(
    clock: RaceClock, crossing: Crossing, reached: Connection, place: int
) -> tuple[Passive, np.ndarray, np.ndarray]:
    """Return what is passive at the state number ``place`` of an orbit, and the factors there."""
    assert reached.path is not None
    there = copy(clock)
    A, B = there.arrive(crossing, place, *balanced(*reached.model.factors(reached.path.states[place])))
    return there.passive, A, B


class Crossed:
    """What is passive at states of orbits, each found once: it does not depend on alpha until something has risen."""

    def __init__(self) -> None:
        self.crossings: dict[tuple[int, int], tuple[Any, ...]] = {}
        self.found: dict[tuple[int, int, int], tuple[Passive, np.ndarray, np.ndarray]] = {}

    def __call__(self, clock: RaceClock, reached: Connection, place: int) -> tuple[Passive, np.ndarray, np.ndarray]:
        """Return what ``crossed`` does."""
        assert reached.path is not None
        key = id(clock.passive), id(reached.path)
        if key not in self.crossings:  # which keeps the numbers theirs
            self.crossings[key] = clock.crossing(reached.path), clock.passive, reached.path
        if (*key, place) not in self.found:
            self.found[(*key, place)] = crossed(clock, self.crossings[key][0], reached, place)
        return self.found[(*key, place)]


class Walk:
    """A chain at one log(1/alpha)."""

    def __init__(self, stage: Stage, clock: RaceClock, log: float, seen: Crossed) -> None:
        self.stage, self.clock, self.log, self.seen = stage, clock, log, seen
        self.orbits: list[Trajectory] = []

    def end(self, saddle: Saddle, A: np.ndarray, B: np.ndarray, reached: Connection) -> FiniteEnd:
        """Return where the flow ends that leaves a saddle, with factors A and B, on the orbit ``reached``."""
        reached = self.extended(reached, saddle, A, B, moving=False)
        for _ in range(MOST_STAGES):
            assert reached.path is not None
            self.check_order()
            place = self.arrival(reached)
            if place is None and reached.ending == Ending.DIVERGING:
                return FiniteEnd(self.log, None, tuple(self.orbits))
            if place is None and reached.ending in (Ending.UNDECIDED, Ending.SADDLE):
                raise Unknown(reached.reason)
            self.orbits.append(reached.path)
            A, B = self.crossed(reached, place)
            saddle, stop = self.stage.saddle(A, B, self.clock)
            stop = self.stage.stop(saddle, np.inf) or stop
            if stop is not None and stop[0] != TraversalStatus.CONVERGED:
                raise Unknown(stop[1])
            if stop is not None:
                return FiniteEnd(self.log, (A, B), tuple(self.orbits))
            if place is not None:
                self.check(reached.path, place)
            moving = place is not None
            reached = self.extended(self.orbit(saddle, A, B, moving=moving), saddle, A, B, moving=moving)
        raise Unknown(f"more than {MOST_STAGES} stages")

    def check_order(self) -> None:
        """Return nothing; raise ``Unknown`` if at this alpha another mode would escape first, or be the larger one."""
        if self.clock.race.since > self.log:
            raise Unknown(f"at log(1/alpha) = {self.log:.3g} another mode, of larger overlap, may escape first")

    def check(self, path: Trajectory, place: int) -> None:
        """Return nothing; raise ``Unknown`` unless what escapes is what arrived within the step from ``place``."""
        wait = self.clock.race.winner.time * self.log / (2.0 * self.stage.problem.weight)
        if wait > 2.0 * (path.times[place + 1] - path.times[place]):
            raise Unknown("what has grown there grows no more")

    def orbit(self, saddle: Saddle, A: np.ndarray, B: np.ndarray, *, moving: bool, until: float = 0.0) -> Connection:
        """Return the orbit that leaves a point, which may be on its way, by its mode that escapes."""
        self.clock.launch = FAR_LAUNCH if moving else LAUNCH
        options: dict[str, Any] = {"launch": self.clock.launch, "moving": moving, "until": until}
        found = orbit(self.stage.problem, A, B, *saddle.launched, self.stage.use, **options)
        if found.path is None:
            raise Unknown(found.reason)
        return found

    def extended(self, found: Connection, saddle: Saddle, A: np.ndarray, B: np.ndarray, *, moving: bool) -> Connection:
        """Return an orbit that, if it runs to infinity, is followed until something arrives, or nothing will."""
        for _ in range(EXTENSIONS):
            until = self.later(found) if found.ending == Ending.DIVERGING else None
            if until is None:
                return found
            found = self.orbit(saddle, A, B, moving=moving, until=until)
            if found.ending == Ending.DIVERGING and found.path is not None and found.path.times[-1] < until:
                break
        raise Unknown(f"nothing arrives before t = {until:.3g}")

    def later(self, reached: Connection) -> float | None:
        """Return a time by which something may have arrived on an orbit to infinity; None: by now, or never."""
        assert reached.path is not None
        passive, A, B = self.seen(self.clock, reached, len(reached.path.times) - 1)
        if any(self.log * p <= peak for p, peak in elements(passive)):
            return None
        growing = passive.race(self.stage.problem, np.concatenate([A, B.T])).runners
        waits = [(each.exponent * self.log - each.gain) / each.rate for each in growing]
        if not waits:
            return None
        time = float(reached.path.times[-1])
        until = max(LONGER * time, time + 2.0 * min(waits) / (2.0 * self.stage.problem.weight))
        if until > LATEST:
            raise Unknown(f"nothing arrives before t = {LATEST:.0g}")
        return until

    def arrival(self, reached: Connection) -> int | None:
        """Return the number of the last state of an orbit before the next element has reached the size of the data."""
        assert reached.path is not None
        low, high = 0, len(reached.path.times) - 1
        if not self.has_arrived(reached, high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.has_arrived(reached, middle) else (middle, high)
        if reached.path.times[low] <= peak_time(reached.path):
            raise Unknown("two modes escape at nearly the same time")
        return low

    def has_arrived(self, reached: Connection, place: int) -> bool:
        """Return whether an element reaches the size of the data before the state number ``place`` of an orbit."""
        try:
            passive, _, _ = self.seen(self.clock, reached, place)
        except MixingUnknown:
            if self.is_too_short(reached, place):
                return False
            raise
        return any(self.log * p <= peak for p, peak in elements(passive))

    def is_too_short(self, reached: Connection, place: int) -> bool:
        """Return whether an orbit is too short for any element to arrive, at whatever rates its residual allows."""
        assert reached.path is not None
        if not self.clock.passive.whole:
            return False
        times, states = reached.path.times[: place + 1], reached.path.states[: place + 1]
        tops = np.linalg.norm(self.stage.problem.residual(np.array(list(map(reached.model.output, states)))), 2, (1, 2))
        grown = 2.0 * self.stage.problem.weight * float(np.sum(np.diff(times) * np.maximum(tops[1:], tops[:-1])))
        first, *others = self.clock.race.runners
        stayed = max((each.rate for each in others), default=0.0) * first.time
        passive = self.clock.passive.whole
        depths = np.sort(np.concatenate([self.log * (each.exponents - stayed) - each.gains for each in passive]))
        return bool((depths[1:] > grown + SURELY).all())

    def crossed(self, reached: Connection, place: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the factors where an orbit ends, at a critical point or, from ``place``, by an arrival."""
        assert reached.path is not None
        if place is not None:
            passive, A, B = self.seen(self.clock, reached, place)
        else:
            A, B = balanced(*reached.model.factors(reached.end))
            try:
                A, B = self.clock.cross(reached.path, A, B)
            except MixingUnknown:
                if misfit(self.stage.problem, A, B) > ZERO_LOSS:
                    raise
            passive = self.clock.passive
        self.clock.passive = risen(passive, self.log)
        return A, B


def risen(passive: Passive, log: float) -> Passive:
    """Return what is passive with exponents that hold all growth so far."""

    def sector(each: Sector) -> Sector:
        exponents = np.maximum(each.exponents - each.gains / log, 0.0)
        if (np.diff(exponents) < 0.0).any():
            raise Unknown("the order of what has grown changes with alpha")
        zero = np.zeros_like(each.gains)
        return replace(each, exponents=exponents, gains=zero, peaks=zero, since=zero)

    own = tuple(map(sector, passive.sectors))
    whole = own if passive.whole is passive.sectors else tuple(map(sector, passive.whole))
    return replace(passive, sectors=own, whole=whole)
