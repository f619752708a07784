"""The walk that all kinds of factors share: from the origin along saddles until nothing escapes.

A **family** says what its saddles are and how they are left. There are three: pairs W = A B of one coupling component
(``chain``), X = U U^T (``symmetric``) and W = W1 ... WL (``deep``). Each tells of a saddle how it grows inside, its
gauge set aside, and what escapes; leaves it in a model widened by what escapes; and keeps its own clock: a stay lasts
p / rate log(1/alpha) where the escape is linear, s alpha^-(L - 2) where the Hessian vanishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from gflow import watch
from gflow.limit.records import TraversalStatus

Place = TypeVar("Place")
Point = TypeVar("Point")
Stop = tuple[TraversalStatus, str]


class Stopped(Exception):
    """There is no limit, or it is not known: status, reason, and a ``last`` place that is met all the same."""

    def __init__(self, status: TraversalStatus, reason: str, last: Any = None) -> None:
        super().__init__(reason)
        self.status, self.last = status, last


class Family(Protocol[Place, Point]):
    """What a walk asks of a kind of factors: ``Place`` are the factors of a critical point, ``Point`` its record.

    ``saddles`` are those of the walk so far, the origin first and the present one last.
    """

    def origin(self) -> Place:
        """Return the factors of rank 0."""

    def saddle(self, place: Place) -> Point:
        """Return what is known of a critical point: its residual, its growth inside, and what escapes."""

    def stop(self, saddles: Sequence[Point]) -> Stop | None:
        """Return why a walk ends here, at a limit or without one; None if something escapes."""

    def departed(self, place: Place, saddles: Sequence[Point]) -> Place:
        """Return the critical point to which the orbit leads that leaves along what escapes first.

        Raises ``Stopped`` where it leads to none, or to none that is known.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Walked(Generic[Place, Point]):
    """The saddles of a walk in the order of the visit, the last place, and how it ended."""

    saddles: tuple[Point, ...]
    place: Place
    status: TraversalStatus
    reason: str

    @property
    def converged(self) -> bool:
        """Return whether the walk reached its limit."""
        return self.status == TraversalStatus.CONVERGED


def walked(family: Family[Place, Point]) -> Walked[Place, Point]:
    """Return the walk from the origin until nothing escapes, nothing more is known, or the time allowed is over."""
    place = family.origin()
    saddles = [family.saddle(place)]
    try:
        with watch.whole():
            while (stop := family.stop(saddles)) is None:
                watch.tick("saddle", len(saddles))
                place = family.departed(place, saddles)
                saddles.append(family.saddle(place))
    except watch.TimeIsUp as up:
        if not watch.ends_early():
            raise
        stop = TraversalStatus.UNDECIDED, f"after {len(saddles)} saddles: {up}"
    except Stopped as stopped:
        stop = stopped.status, str(stopped)
        if stopped.last is not None:
            saddles.append(family.saddle(stopped.last))
    return Walked(tuple(saddles), place, *stop)
