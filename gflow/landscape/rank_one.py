"""Every critical point of rank one, with a proof, for matrices with up to three rows.

For W = a b^T the best b is b_j = l_j / q_j, l_j = sum_i w_ij m_ij a_i, q_j = sum_i w_ij a_i^2, which leaves the
function g(a) = -sum_j l_j^2 / q_j on the projective line or plane. Its critical points are isolated by subdivision with
interval arithmetic. Where a vanishes on the rows of a column, g is not smooth: at a point e_i the plane is blown up,
which makes it smooth there, and columns with a single entry, fitted everywhere else, drop out. Critical points where a
does vanish on the rows of some columns Z come from the matrix without these rows and columns, and the b_j, j in Z, then
solve a linear system.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np

from gflow.certify.balls import flint, rank_at_least
from gflow.landscape.exclusion import Root, isolated_roots
from gflow.landscape.intervals import Interval, Jet


class NotCounted(RuntimeError):
    """The proof did not come to an end; the message says why."""


@dataclass(frozen=True, eq=False)
class Chart:
    """Coordinates of a part of the projective space: a is 1 at ``pivot``; ``blown`` says which row leads a blow-up.

    The other rows are the coordinates themselves, or at a blow-up eps for the leading row and eps t for the other.
    """

    rows: int
    pivot: int
    blown: int | None = None

    @property
    def others(self) -> list[int]:
        """Return the rows that are coordinates, the leading one first."""
        rest = [i for i in range(self.rows) if i != self.pivot]
        return sorted(rest, key=lambda i: i != self.blown)

    def monomials(self, box: list[Interval], rows: np.ndarray) -> dict[int, Jet]:
        """Return a on some rows, without the factor eps where all of them have it."""
        size, m = len(box[0].low), len(box)
        found = {self.pivot: Jet.constant(1.0, size, m)}
        if self.blown is None:
            return found | {i: Jet.variable(n, box) for n, i in enumerate(self.others)}
        first, second = self.others
        eps, t = Jet.variable(0, box), Jet.variable(1, box)
        if self.pivot in rows:
            return found | {first: eps, second: eps * t}
        return {first: Jet.constant(1.0, size, m), second: t}

    def ray(self, box: list[Interval]) -> list[Interval]:
        """Return intervals around a."""
        jets = self.monomials(box, np.arange(self.rows))
        return [jets[i].value for i in range(self.rows)]

    def coordinates(self, a: np.ndarray) -> np.ndarray:
        """Return the coordinates of a ray; infinite where the chart does not hold it."""
        with np.errstate(divide="ignore", invalid="ignore"):
            x = a[self.others] / a[self.pivot]
            return np.array([x[0], x[1] / x[0]]) if self.blown is not None else x


@dataclass(frozen=True, eq=False)
class Ray:
    """A critical point: intervals around a and b."""

    a: list[Interval]
    b: list[Interval]

    @property
    def matrix(self) -> np.ndarray:
        """Return W = a b^T at the midpoints."""
        a, b = (np.array([0.5 * float(x.low[0] + x.high[0]) for x in vector]) for vector in (self.a, self.b))
        return np.outer(a, b)


def rank_one_points(values: np.ndarray, weights: np.ndarray) -> list[Ray]:
    """Return all critical points of rank one of sum_ij w_ij (W_ij - m_ij)^2.

    Parameters
    ----------
    values, weights : (d1, d2) arrays, d1 at most 3
        The doubles are taken as exact, and so are the products w_ij m_ij; weights are not negative, 0 where nothing is
        observed.

    Raises
    ------
    NotCounted
        Where points are not isolated, or too close to decide, or a row or column has no weight.
    """
    d1 = len(values)
    observed = np.asarray(weights > 0)
    if not (observed.any(axis=0).all() and observed.any(axis=1).all()):
        raise NotCounted("a row or a column is not observed")
    found = _regular(values, weights)
    for size in range(1, d1):
        for zero in map(list, combinations(range(d1), size)):
            free = np.logical_not(observed[[i for i in range(d1) if i not in zero]].any(axis=0))
            if free.any() and observed[zero][:, free].any(axis=1).all():
                found += _vanishing(values, weights, zero, free)
    return found


def _regular(values: np.ndarray, weights: np.ndarray) -> list[Ray]:
    """Return the points at which no column loses all of a."""
    d1 = len(values)
    if d1 == 1:
        one = Interval.of(1.0, 1)
        return [Ray([one], [Interval.of(float(m), 1) for m in values[0]])]
    used = np.flatnonzero((weights > 0).sum(axis=0) > 1)
    if not len(used):
        raise NotCounted("rank-one fits are not isolated: no two entries share a row and no two a column")
    roots: list[tuple[Chart, Root]] = []
    charts = list(_charts(weights[:, used]))
    for chart in charts:
        found = isolated_roots(partial(reduced, values, weights, used, chart), d1 - 1)
        if found is None:
            raise NotCounted("critical points of rank one are not isolated, or too close to be told apart")
        roots += [(chart, root) for root in found]
    kept = _distinct(roots)
    blown = len({chart.pivot for chart in charts if chart.blown is not None})
    euler = 0 if d1 == 2 else 1 - blown
    if sum(root.sign for _, root in kept) != euler:
        raise NotCounted(f"the signs of the Hessians do not add up to the Euler characteristic {euler}")
    return [_ray(values, weights, chart, root) for chart, root in kept]


def _charts(weights: np.ndarray) -> Iterator[Chart]:
    d1 = len(weights)
    for pivot in range(d1):
        others = [i for i in range(d1) if i != pivot]
        singular = d1 == 3 and not (weights[pivot] > 0).all()
        for blown in others if singular else [None]:
            yield Chart(d1, pivot, blown)


def reduced(values: np.ndarray, weights: np.ndarray, used: np.ndarray, chart: Chart, box: list[Interval]) -> Jet:
    """Return g over boxes of coordinates, with its derivatives."""
    total = Jet.constant(0.0, len(box[0].low), len(box))
    for j in used:
        slope, size = _parts(values, weights, int(j), chart, box)
        total = total + (slope.squared() * size.inverse()).scaled(-1.0)
    return total


def _parts(values: np.ndarray, weights: np.ndarray, j: int, chart: Chart, box: list[Interval]) -> tuple[Jet, Jet]:
    """Return l_j and q_j, without the factors eps and eps^2 that a blow-up takes out."""
    rows = np.flatnonzero(weights[:, j] > 0)
    a = chart.monomials(box, rows)
    slope = size = Jet.constant(0.0, len(box[0].low), len(box))
    for i in map(int, rows):
        slope = slope + a[i].scaled(float(weights[i, j] * values[i, j]))
        size = size + a[i].squared().scaled(float(weights[i, j]))
    return slope, size


def _distinct(roots: list[tuple[Chart, Root]]) -> list[tuple[Chart, Root]]:
    """Return the roots once each: charts overlap, and a box that holds one root holds no other."""
    kept: list[tuple[Chart, Root]] = []
    for chart, root in roots:
        a = np.array([0.5 * float(x.low[0] + x.high[0]) for x in chart.ray(root.box)])
        if not any(other.holds(place.coordinates(a)) for place, other in kept):
            kept.append((chart, root))
    return kept


def _ray(values: np.ndarray, weights: np.ndarray, chart: Chart, root: Root) -> Ray:
    """Return a and b at a root; ``NotCounted`` where it cannot be told from a point where a column loses all of a."""
    a = chart.ray(root.box)
    if chart.blown is not None and root.box[0].contains_zero()[0]:
        raise NotCounted("a critical point of rank one lies at infinity")
    b = []
    for j in range(values.shape[1]):
        rows = np.flatnonzero(weights[:, j] > 0)
        slope = size = Interval.of(0.0, 1)
        for i in rows:
            slope = slope + a[i] * Interval.of(float(weights[i, j] * values[i, j]), 1)
            size = size + a[i].squared() * Interval.of(float(weights[i, j]), 1)
        if not size.low[0] > 0.0:
            raise NotCounted(f"a critical point of rank one may vanish on the rows of column {j + 1}")
        b.append(slope * size.inverse())
    return Ray(a, b)


def _vanishing(values: np.ndarray, weights: np.ndarray, zero: list[int], free: np.ndarray) -> list[Ray]:
    """Return the points with a = 0 on the rows ``zero``, so that b is free on the columns ``free``.

    There the rows ``zero`` ask for sum_j w_ij m_ij b_j = 0.
    """
    d1, d2 = values.shape
    rest, bound = [i for i in range(d1) if i not in zero], np.flatnonzero(~free)
    loose = np.flatnonzero(free)
    found = []
    block = np.ix_(np.array(rest), bound)
    for ray in _regular(values[block], weights[block]):
        ball = flint().arb
        scaled = weights * values
        right = []
        for i in zero:
            total = Interval.of(0.0, 1)
            for n, j in enumerate(bound):
                total = total - ray.b[n] * Interval.of(float(scaled[i, j]), 1)
            right.append(ball(0.5 * (total.low[0] + total.high[0]), total.high[0] - total.low[0]))
        left = [[ball(float(scaled[i, j])) for j in loose] for i in zero]
        joint = np.array([[*row, end] for row, end in zip(left, right, strict=True)], dtype=object)
        if len(zero) > len(loose) and rank_at_least(joint, len(loose) + 1) == len(loose) + 1:
            continue
        square = np.array(left, dtype=object)
        if len(zero) != len(loose) or rank_at_least(square, len(loose)) < len(loose):
            raise NotCounted("critical points of rank one that vanish on some rows are not isolated")
        solution = np.linalg.solve(scaled[zero][:, loose], np.array([float(each.mid()) for each in right]))
        a, b = [Interval.of(0.0, 1)] * d1, [Interval.of(0.0, 1)] * d2
        for n, i in enumerate(rest):
            a[i] = ray.a[n]
        for n, j in enumerate(bound):
            b[j] = ray.b[n]
        for value, j in zip(solution, loose, strict=True):
            b[j] = Interval.of(float(value), 1)
        found.append(Ray(a, b))
    return found
