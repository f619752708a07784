"""Separatrices: orbits that leave a saddle on the border of two basins, and the saddles on the border where they end.

Two directions in which a saddle is left may lead to different ends. On the arc between them the flow then crosses the
border of a basin, which is, where it is smooth, the stable manifold of a saddle with a single falling mode: the arc is
halved until an orbit comes to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from gflow import watch
from gflow.landscape.arrows import Runaway, UnstableClass, followed, valley
from gflow.landscape.catalog import Catalog, Found

TILT = 0.1
"""Angle by which a direction inside is turned towards a new column, so that both raise the rank."""
ARC_HALVINGS = 48
"""Halvings of an arc at most: to the rounding of an angle."""


class Exit(NamedTuple):
    """A direction in which an orbit is left, one for each end of each class: ``launch`` from ``center`` at width k."""

    kind: UnstableClass
    k: int
    center: np.ndarray
    launch: np.ndarray
    end: Found | Runaway


class Arc(NamedTuple):
    """The directions cos(a) first + sin(a) second between two exits; the slower class is that of the exit."""

    k: int
    center: np.ndarray
    first: np.ndarray
    second: np.ndarray
    begin: float
    kind: UnstableClass
    ends: tuple[Found | Runaway | None, Found | Runaway]

    def at(self, angle: float) -> np.ndarray:
        """Return the deviation at an angle."""
        return np.cos(angle) * self.first + np.sin(angle) * self.second


def arcs(catalog: Catalog, orbit: Found, exits: Sequence[Exit]) -> Iterator[Arc]:
    """Yield the arcs between exits of one width, and between directions inside and new columns."""
    for one, two in combinations(exits, 2):
        slow = max(one.kind, two.kind, key=lambda kind: kind.label)
        if one.k == two.k and one.end is not two.end and not _opposite(one.launch, two.launch):
            yield Arc(one.k, one.center, one.launch, two.launch, 0.0, slow, (one.end, two.end))
            if one.kind.outside and one.kind is not two.kind:
                yield Arc(one.k, one.center, one.launch, -two.launch, 0.0, slow, (one.end, two.end))
        elif one.kind.outside is not two.kind.outside and abs(one.k - two.k) == 1:
            inner, outer = (two, one) if one.kind.outside else (one, two)
            widened = catalog.space.padded(orbit.k, inner.launch)
            yield Arc(outer.k, outer.center, widened, outer.launch, TILT, slow, (None, outer.end))


def _opposite(one: np.ndarray, two: np.ndarray) -> bool:
    return bool(np.linalg.norm(one + two) <= 1e-6 * np.linalg.norm(one))


def on_border(orbit: Found, arc: Arc, known: Sequence[Found]) -> list[Found]:
    """Return the known saddles of one falling mode that may lie on the border of two basins, by rank and loss."""
    floor = max(end.value for end in arc.ends if end is not None)
    return [
        each
        for each in known
        if each.k == arc.k and each.point is not None and each.point.index == 1 and floor < each.value < orbit.value
    ]


def between_basins(catalog: Catalog, orbit: Found, arc: Arc, runs: Sequence[Runaway]) -> Arc | None:
    """Return the arc with both its ends, None where they are the same."""
    below = arc.ends[0] or _end(catalog, orbit, arc, arc.begin, runs)
    return None if below is None or below is arc.ends[1] else arc._replace(ends=(below, arc.ends[1]))


def border_saddle(catalog: Catalog, orbit: Found, arc: Arc, runs: Sequence[Runaway]) -> Found | None:
    """Return the saddle to which the flow on the border of two basins leads.

    None where the halvings meet no saddle, or a run that is not known: the border may lead to infinity.
    """
    low, high = arc.begin, 0.5 * np.pi
    for _ in range(ARC_HALVINGS):
        watch.tick("following a border")
        middle = 0.5 * (low + high)
        here = _end(catalog, orbit, arc, middle, runs)
        if here is None:
            return None
        if here is arc.ends[0]:
            low = middle
        elif isinstance(here, Found) and here is not arc.ends[1] and _is_saddle(here, arc.k):
            return here
        else:
            high, arc = middle, arc._replace(ends=(arc.ends[0], here))
    return None


def _end(catalog: Catalog, orbit: Found, arc: Arc, angle: float, runs: Sequence[Runaway]) -> Found | Runaway | None:
    """Return where the flow leads in a direction of an arc, None for a run that is not known."""
    found = followed(catalog, arc.k, arc.center, arc.at(angle), orbit, runs)
    return valley(runs, found) if isinstance(found, Runaway) else found


def _is_saddle(orbit: Found, k: int) -> bool:
    return orbit.k == k and orbit.point is not None and orbit.point.index > 0
