"""The work of a search: rounds until nothing new is met, then the flow along every unstable class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from gflow import watch
from gflow.landscape import search
from gflow.landscape.arrows import Runaway, UnstableClass, classes, followed, launches, valley
from gflow.landscape.catalog import Catalog, Found
from gflow.landscape.separatrices import Exit, arcs, between_basins, border_saddle, on_border

ROUND, MOST_ROUNDS = 24, 8
"""Random starts at every rank in a round, every other one after a descent, and rounds at most: the search ends after a
round in which nothing is met for the first time, and at most one orbit has been met only once."""
MOST_BORDERS = 8
"""Borders between basins that are followed to their saddles; each takes the flow some thirty times."""
CHECKED = 6
"""Random starts, in the first round alone, at a rank whose orbits are all known by proof: they may contradict it."""
DEFLATED = 6
"""Deflated starts at every rank in a round."""
CLIMBED_MODES = 2
"""Lowest rising modes of each orbit along which the next index is sought, both ways."""


class Leaving(NamedTuple):
    """What one class of an orbit leads to, and the fraction of its directions that go there."""

    source: Found
    target: Found | Runaway
    kind: UnstableClass
    share: float
    border: bool = False


@dataclass(eq=False)
class Survey:
    """What is known so far: orbits, runs to infinity, connections, and what the flow left undecided."""

    catalog: Catalog
    rng: np.random.Generator
    runs: list[Runaway] = field(default_factory=list)
    connections: list[Leaving] = field(default_factory=list)
    undecided: int = 0
    climbed: int = 0
    exits: dict[Found, list[Exit]] = field(default_factory=dict)
    rounds: int = MOST_ROUNDS
    borders: int = MOST_BORDERS
    unfollowed: int = 0
    saturated: bool = True
    settled: frozenset[int] = frozenset()

    def searched(self, known: Sequence[int | None]) -> None:
        """Add orbits in rounds, until one meets nothing new or all are found that there are; ``known`` counts them."""
        orbits = self.catalog.orbits
        for turn in range(self.rounds):
            before, found = len(orbits), Counter(orbit.k for orbit in orbits)
            open_ranks = [k for k in self.catalog.space.ranks() if known[k] != found[k]]
            self.settled = frozenset(self.catalog.space.ranks()) - {*open_ranks}
            if turn and not open_ranks:
                return
            with watch.stage(f"round {turn + 1}, {before} orbits"):
                self._round(open_ranks, first=turn == 0)
            once = sum(orbit.hits["start"] == 1 and orbit.k in open_ranks for orbit in orbits)
            if len(orbits) == before and once <= 1:
                return
        self.saturated = not open_ranks

    def _round(self, open_ranks: Sequence[int], first: bool) -> None:
        space = self.catalog.space
        for trial in range(ROUND):
            for k in space.ranks() if first and trial < CHECKED else open_ranks:
                watch.tick("random starts", trial + 1, ROUND)
                search.random_start(self.catalog, k, trial, self.rng)
        for _ in range(DEFLATED):
            for k in open_ranks:
                watch.tick("deflated starts")
                search.deflated(self.catalog, k, space.random(k, self.rng))
        self._climb()
        search.images(self.catalog)

    def _climb(self) -> None:
        """Climb from every orbit that was not climbed from before, where its rank is not settled by proof."""
        orbits = self.catalog.orbits
        while self.climbed < len(orbits):
            orbit = orbits[self.climbed]
            self.climbed += 1
            if orbit.point is None or orbit.k in self.settled:
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
                self._bordered()

    def _left(self, orbit: Found, each: UnstableClass) -> None:
        """Add where the orbits of one class end."""
        ends: Counter[Found | Runaway] = Counter()
        exits = self.exits.setdefault(orbit, [])
        tried = 0
        for k, center, launch in launches(self.catalog, orbit, each, self.rng):
            tried += 1
            end = followed(self.catalog, k, center, launch, orbit, self.runs)
            if isinstance(end, Runaway):
                if not end.decided:
                    self.undecided += 1
                    continue
                end = self._valley(end)
            ends[end] += 1
            if ends[end] == 1 or each.directions == 1:
                exits.append(Exit(each, k, center, launch, end))
        for target, count in ends.items():
            self.connections.append(Leaving(orbit, target, each, count / tried))

    def _bordered(self) -> None:
        """Add the saddles on borders of basins, where one is known that may lie there and no class leads to it."""
        orbits = self.catalog.orbits
        for orbit, exits in self.exits.items():
            for turned in arcs(self.catalog, orbit, exits):
                reached = {each.target for each in self.connections if each.source is orbit}
                if {*on_border(orbit, turned, orbits)} <= reached:
                    continue
                if self.borders == 0:
                    self.unfollowed += 1
                elif (arc := between_basins(self.catalog, orbit, turned, self.runs)) is not None:
                    self.borders -= 1
                    saddle = border_saddle(self.catalog, orbit, arc, self.runs)
                    if saddle is not None and saddle not in reached:
                        self.connections.append(Leaving(orbit, saddle, arc.kind, 0.0, border=True))
        self.exits.clear()

    def _valley(self, run: Runaway) -> Runaway:
        """Return the node of a run: that of an earlier one at the same rank and loss, or a new one."""
        if (known := valley(self.runs, run)) is not None:
            return known
        self.runs.append(run)
        return run
