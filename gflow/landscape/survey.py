"""The work of a search: rounds until nothing new is met, then the flow along every unstable class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from gflow import watch
from gflow.landscape import search
from gflow.landscape.arrows import Runaway, UnstableClass, classes, followed, launches
from gflow.landscape.catalog import Catalog, Found

ROUND, MOST_ROUNDS = 24, 8
"""Random starts at every rank in a round, every other one after a descent, and rounds at most: the search ends after a
round in which nothing is met for the first time, and at most one orbit has been met only once."""
DEFLATED = 6
"""Deflated starts at every rank in a round."""
CLIMBED_MODES = 2
"""Lowest rising modes of each orbit along which the next index is sought, both ways."""
SAME_VALLEY = 0.02
"""Runs to infinity at one rank whose losses agree within this fraction are one node."""


class Leaving(NamedTuple):
    """What one class of an orbit leads to, and the fraction of its directions that go there."""

    source: Found
    target: Found | Runaway
    kind: UnstableClass
    share: float


@dataclass(eq=False)
class Survey:
    """What is known so far: orbits, runs to infinity, connections, and what the flow left undecided."""

    catalog: Catalog
    rng: np.random.Generator
    runs: list[Runaway] = field(default_factory=list)
    connections: list[Leaving] = field(default_factory=list)
    undecided: int = 0
    climbed: int = 0

    def searched(self, known: Sequence[int | None]) -> None:
        """Add orbits in rounds, until one meets nothing new or all are found that there are; ``known`` counts them."""
        orbits = self.catalog.orbits
        for turn in range(MOST_ROUNDS):
            before = len(orbits)
            with watch.stage(f"round {turn + 1}, {before} orbits"):
                self._round()
            once = sum(orbit.hits["start"] == 1 for orbit in orbits)
            found = Counter(orbit.k for orbit in orbits)
            whole = all(number == found[k] for k, number in enumerate(known))
            if whole or (len(orbits) == before and once <= 1):
                return

    def _round(self) -> None:
        space = self.catalog.space
        for trial in range(ROUND):
            for k in space.ranks():
                watch.tick("random starts", trial + 1, ROUND)
                search.random_start(self.catalog, k, trial, self.rng)
        for _ in range(DEFLATED):
            for k in space.ranks():
                watch.tick("deflated starts")
                search.deflated(self.catalog, k, space.random(k, self.rng))
        self._climb()
        search.images(self.catalog)

    def _climb(self) -> None:
        """Climb from every orbit that was not climbed from before."""
        orbits = self.catalog.orbits
        while self.climbed < len(orbits):
            orbit = orbits[self.climbed]
            self.climbed += 1
            if orbit.point is None:
                continue
            for mode in range(CLIMBED_MODES):
                for sign in (1.0, -1.0):
                    watch.tick("climbing")
                    search.climbed(self.catalog, orbit, mode, sign)

    def connected(self) -> None:
        """Add where the flow leads along every unstable class of every orbit, those included that it meets."""
        orbits = self.catalog.orbits
        done = 0
        while done < len(orbits):
            watch.tick("connections", done, len(orbits))
            for each in classes(self.catalog, orbits[done]):
                self._left(orbits[done], each)
            done += 1
            if done == len(orbits):
                self._climb()
                search.images(self.catalog)

    def _left(self, orbit: Found, each: UnstableClass) -> None:
        """Add where the orbits of one class end."""
        ends: Counter[Found | Runaway] = Counter()
        tried = 0
        for k, center, launch in launches(self.catalog, orbit, each, self.rng):
            tried += 1
            end = followed(self.catalog, k, center, launch, orbit)
            if isinstance(end, Runaway):
                if not end.decided:
                    self.undecided += 1
                    continue
                end = self._valley(end)
            ends[end] += 1
        for target, count in ends.items():
            self.connections.append(Leaving(orbit, target, each, count / tried))

    def _valley(self, run: Runaway) -> Runaway:
        """Return the node of a run: that of an earlier one at the same rank and loss, or a new one."""
        for each in self.runs:
            if each.k == run.k and abs(each.value - run.value) <= SAME_VALLEY * each.value:
                return each
        self.runs.append(run)
        return run
