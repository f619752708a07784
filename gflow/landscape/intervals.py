"""Interval arithmetic on arrays, with first and second derivatives: what exclusion by subdivision needs.

Every result is widened outwards by a rounding unit, so the intervals contain all values for all points of the operands.
"""

from __future__ import annotations

import numpy as np


def outward(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the next doubles below and above."""
    return np.nextafter(low, -np.inf), np.nextafter(high, np.inf)


class Interval:
    """Intervals [low, high], arrays of one shape."""

    __slots__ = ("high", "low")

    def __init__(self, low: np.ndarray, high: np.ndarray) -> None:
        self.low, self.high = low, high

    @classmethod
    def of(cls, value: float, size: int) -> Interval:
        """Return ``size`` intervals that hold one double."""
        return cls(np.full(size, value), np.full(size, value))

    def __add__(self, other: Interval) -> Interval:
        return Interval(*outward(self.low + other.low, self.high + other.high))

    def __sub__(self, other: Interval) -> Interval:
        return Interval(*outward(self.low - other.high, self.high - other.low))

    def __mul__(self, other: Interval) -> Interval:
        ends = self.low * other.low, self.low * other.high, self.high * other.low, self.high * other.high
        return Interval(*outward(np.minimum.reduce(ends), np.maximum.reduce(ends)))

    def squared(self) -> Interval:
        """Return the squares."""
        low, high = self.low**2, self.high**2
        least = np.where((self.low <= 0.0) & (self.high >= 0.0), 0.0, np.minimum(low, high))
        down, up = outward(least, np.maximum(low, high))
        return Interval(np.maximum(down, 0.0), up)

    def inverse(self) -> Interval:
        """Return the inverses of positive intervals; infinite where an interval reaches zero."""
        with np.errstate(divide="ignore"):
            low, high = outward(1.0 / self.high, np.where(self.low > 0.0, 1.0 / np.maximum(self.low, 1e-300), np.inf))
        return Interval(low, high)

    def contains_zero(self) -> np.ndarray:
        """Return which intervals hold zero."""
        return (self.low <= 0.0) & (self.high >= 0.0)

    def at(self, chosen: np.ndarray) -> Interval:
        """Return some of the intervals."""
        return Interval(self.low[chosen], self.high[chosen])


class Jet:
    """Values with gradients and Hessians in m variables, all as intervals; None stands for zero."""

    __slots__ = ("first", "second", "value")

    def __init__(self, value: Interval, first: list[Interval | None], second: list[list[Interval | None]]) -> None:
        self.value, self.first, self.second = value, first, second

    @classmethod
    def constant(cls, value: float, size: int, m: int) -> Jet:
        """Return a constant."""
        return cls(Interval.of(value, size), [None] * m, [[None] * m for _ in range(m)])

    @classmethod
    def variable(cls, place: int, box: list[Interval]) -> Jet:
        """Return one of the variables over the boxes."""
        jet = cls.constant(0.0, len(box[0].low), len(box))
        jet.value = box[place]
        jet.first[place] = Interval.of(1.0, len(box[0].low))
        return jet

    def __add__(self, other: Jet) -> Jet:
        m = len(self.first)
        first = [_plus(a, b) for a, b in zip(self.first, other.first, strict=True)]
        second = [[_plus(self.second[i][j], other.second[i][j]) for j in range(m)] for i in range(m)]
        return Jet(self.value + other.value, first, second)

    def __mul__(self, other: Jet) -> Jet:
        m = len(self.first)
        first = [_plus(_times(self.first[i], other.value), _times(self.value, other.first[i])) for i in range(m)]
        second: list[list[Interval | None]] = [[None] * m for _ in range(m)]
        for i in range(m):
            for j in range(i, m):
                outer = _plus(_times(self.second[i][j], other.value), _times(self.value, other.second[i][j]))
                cross = _plus(_times(self.first[i], other.first[j]), _times(self.first[j], other.first[i]))
                second[i][j] = second[j][i] = _plus(outer, cross)
        return Jet(self.value * other.value, first, second)

    def scaled(self, factor: float) -> Jet:
        """Return the jet times an exact number."""
        return self * Jet.constant(factor, len(self.value.low), len(self.first))

    def squared(self) -> Jet:
        """Return the square, whose value is not negative."""
        square = self * self
        square.value = self.value.squared()
        return square

    def inverse(self) -> Jet:
        """Return 1 / jet for positive values."""
        m = len(self.first)
        r = self.value.inverse()
        square = r * r
        minus = Interval(-square.high, -square.low)
        cube = square * r
        double = Interval(2.0 * cube.low, 2.0 * cube.high)
        first = [_times(minus, each) for each in self.first]
        second: list[list[Interval | None]] = [[None] * m for _ in range(m)]
        for i in range(m):
            for j in range(i, m):
                outer = _times(double, _times(self.first[i], self.first[j]) if i != j else _squared(self.first[i]))
                second[i][j] = second[j][i] = _plus(outer, _times(minus, self.second[i][j]))
        return Jet(r, first, second)


def _plus(a: Interval | None, b: Interval | None) -> Interval | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _times(a: Interval | None, b: Interval | None) -> Interval | None:
    return None if a is None or b is None else a * b


def _squared(a: Interval | None) -> Interval | None:
    return None if a is None else a.squared()
