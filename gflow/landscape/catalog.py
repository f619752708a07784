"""The orbits found so far: points are polished, compared up to gauge and symmetry, and counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from gflow.critical import CriticalPoint, NotConverged, classify, stationary_point
from gflow.landscape.spaces import Space

SAME_PLACE = 1e-5
"""Places of one orbit differ by at most this, in the unit of the problem."""
ONE_LOSS = 1e-9
"""Losses of one continuum agree within this fraction,"""
NO_LOSS = 1e-13
"""or this, in units squared: where continua cross, Newton's method comes to rest early."""
NEARBY = 0.05
"""Longest way of a polish, and the step along a zero mode that must lead to another critical point, relative to the
size of the point."""
UNRESOLVED = 3e-6
"""Eigenvalues up to this fraction of the largest may be those of a degenerate point: near one a gradient falls with the
square of the distance, so that Newton's method rests, at slopes of 1e-13, while they are still of its root."""
MOVED = 1e-3
"""A step along a continuum changes the place by more than this."""
FAR = 400.0
"""Points farther out than this, in units of theta, are not told from runs to infinity."""
FLAT_OUT = 6.0
"""Nor are points farther out than this with zero modes beyond the gauge that lead to no other critical point: slopes on
the way to infinity sink below what a gradient can resolve. Functions that are not polynomials saturate, so that whole
regions look critical: of those no continuum so far out is believed."""


@dataclass(eq=False)
class Found:
    """An orbit in the unit of the problem: a point of rank k, what it is there, and how it was met.

    ``extra`` counts eigenvalues beyond the gauge that may be zero, and ``flat`` those of a continuum that was seen.
    """

    k: int
    theta: np.ndarray
    place: np.ndarray
    value: float
    point: CriticalPoint | None
    flat: int
    extra: int
    hits: Counter[str] = field(default_factory=Counter)


class Catalog:
    """Every orbit once.

    Isolated orbits are equal where their places are. Points with zero modes beyond the gauge lie on continua, which may
    cross, so that dimensions differ from point to point: of equal rank and loss they count as one, symmetric images
    and pieces of one level set too.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.orbits: list[Found] = [] if 0 in space.ranks() else [self._origin()]

    def _origin(self) -> Found:
        zero = np.zeros(self.space.objective(1).dim)
        value = self.space.objective(1).value(zero)
        return Found(0, np.zeros(0), self.space.place(0, zero), value, None, 0, 0, Counter(origin=1))

    def file(self, k: int, theta: np.ndarray, how: str) -> Found | None:
        """Return the orbit of a point near a critical one, known or new; None where there is no critical point."""
        k, theta = self.space.reduced(k, theta)
        if (known := self.known(k, theta)) is None:
            known = self._examined(k, theta)
        if known is not None:
            known.hits[how] += 1
        return known

    def known(self, k: int, theta: np.ndarray) -> Found | None:
        """Return the orbit whose place is that of the point, None where there is none."""
        place = self.space.place(k, theta)
        same = (each for each in self.orbits if each.k == k)
        return next((each for each in same if self.space.apart(each.place, place) <= SAME_PLACE), None)

    def _examined(self, k: int, theta: np.ndarray) -> Found | None:
        if (polished := self.polished(k, theta)) is None:
            return None
        rank, theta = self.space.reduced(k, polished)
        if rank != k:
            return self._examined(rank, theta) if rank else self.orbits[0]
        if (again := self.known(k, theta)) is not None:
            return again
        point = classify(self.space.objective(k), theta, higher_orders=False)
        gauge, sizes = self.space.gauge(k, theta), np.abs(point.spectrum.values)
        flat, soft = self._flat(k, theta, point), int(np.sum(sizes <= UNRESOLVED * point.spectrum.norm))
        zero = point.n_zero or 0
        extra = max(soft, zero) - gauge
        beyond = zero - gauge > flat if self.space.width else extra > 0
        if beyond and float(np.linalg.norm(theta)) > FLAT_OUT * self.space.objective(k).theta_unit:
            return None
        new = Found(k, theta, self.space.place(k, theta), point.value, point, flat, extra)
        if extra > 0 and (family := self._family(new)) is not None:
            family.flat = max(family.flat, flat)
            return family
        self.orbits.append(new)
        return new

    def polished(self, k: int, theta: np.ndarray) -> np.ndarray | None:
        """Return the critical point close to a point of rank k, None where Newton's method finds none."""
        objective = self.space.objective(k)
        radius = NEARBY * max(float(np.linalg.norm(theta)), objective.theta_unit)
        try:
            found = stationary_point(objective, theta, radius=radius)
        except NotConverged:
            return None
        return found if float(np.linalg.norm(found)) <= FAR * objective.theta_unit else None

    def _flat(self, k: int, theta: np.ndarray, point: CriticalPoint) -> int:
        """Return the number of zero modes beyond the gauge, where a step along them ends at other critical points."""
        assert point.n_zero is not None
        flat = point.n_zero - self.space.gauge(k, theta)
        if flat <= 0:
            return 0
        zero = point.spectrum.vectors[:, np.abs(point.spectrum.values) <= point.zero_cut]
        objective, here = self.space.objective(k), self.space.place(k, theta)
        size = max(float(np.linalg.norm(theta)), objective.theta_unit)
        moves = np.array([self.space.place(k, theta + 1e-4 * size * v) - here for v in zero.T])
        way = zero @ np.linalg.svd(moves.T)[2][0]
        for sign in (1.0, -1.0):
            end = self.polished(k, theta + sign * NEARBY / 2 * size * way)
            if end is None or abs(objective.value(end) - point.value) > max(NO_LOSS, ONE_LOSS * point.value):
                continue
            rank, end = self.space.reduced(k, end)
            if rank == k and self.space.apart(self.space.place(k, end), here) > MOVED:
                return flat
        return 0

    def _family(self, new: Found) -> Found | None:
        """Return the known orbit with zero modes, of equal rank and loss, that a point with zero modes belongs to."""
        for each in self.orbits:
            level = max(NO_LOSS, ONE_LOSS * each.value)
            if each.k == new.k and each.extra > 0 and abs(each.value - new.value) <= level:
                return each
        return None
