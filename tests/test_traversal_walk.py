"""The walk of every kind of factors, on a family of numbers: what it visits, and how it ends."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gflow.limit import TraversalStatus
from gflow.limit.family import Family, Stop, Stopped, walked

MET, OPEN = TraversalStatus.CONVERGED, TraversalStatus.UNDECIDED


class Numbers:
    """Places are numbers, saddles their squares; from ``end`` on nothing escapes, and ``wall`` is not passed."""

    def __init__(self, end: int, wall: int, last: int | None = None) -> None:
        self.end, self.wall, self.last = end, wall, last

    def origin(self) -> int:
        return 0

    def saddle(self, place: int) -> int:
        return place * place

    def stop(self, saddles: Sequence[int]) -> Stop | None:
        return (MET, f"after {len(saddles)}") if saddles[-1] >= self.end else None

    def departed(self, place: int, saddles: Sequence[int]) -> int:
        if place >= self.wall:
            raise Stopped(OPEN, f"a wall after {saddles[-1]}", self.last)
        return place + 1


def walk(family: Family[int, int]) -> tuple[tuple[int, ...], int, TraversalStatus, str, bool]:
    found = walked(family)
    return found.saddles, found.place, found.status, found.reason, found.converged


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (Numbers(0, 9), ((0,), 0, MET, "after 1", True)),
        (Numbers(9, 9), ((0, 1, 4, 9), 3, MET, "after 4", True)),
        (Numbers(9, 2), ((0, 1, 4), 2, OPEN, "a wall after 4", False)),
        (Numbers(9, 2, 7), ((0, 1, 4, 49), 2, OPEN, "a wall after 4", False)),
    ],
)
def test_a_walk_visits_saddles_until_its_family_stops_it(family: Numbers, expected: object) -> None:
    assert walk(family) == expected
