"""Connections: orbits of the flow that leave a critical orbit within one unstable class, and where they end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gflow import watch
from gflow.critical import NotConverged, stationary_point
from gflow.flow.rosenbrock import Rosenbrock
from gflow.landscape.catalog import FAR, Catalog, Found
from gflow.landscape.records import SEEN_FALL
from gflow.objective import Objective

DEPARTING = 1e-3
"""Distance at which an orbit leaves, relative to the size of the critical point."""
CLASS_TOL = 1e-6
"""Rates of one class agree within this fraction of the largest."""
DIRECTIONS = 24
"""Directions in which a class of several dimensions is left."""
ORBIT_ERROR = 1e-3
"""Error estimate of a step, of order 4, relative to the deviation; the error itself is of order 6."""
ORBIT_STEPS, PATIENT_STEPS = 600, 3000
"""Steps granted to an orbit that is far out, and to one that is not: it may be slow to end."""
PASSING = 1e-2
"""Speeds below this fraction of the largest on the way may belong to a critical point that is passed."""
ARRIVED = 1e-3
"""An orbit that comes so close to a critical point, relative to its size, leads there: an orbit within one class stays
on the stable manifold of its end but for rounding, and leaves it again only by that."""
CLOSE_BY = 4e-3
"""Newton's step from there is no longer than this, relative to the size of the point."""
FAR_OUT, AWAY = 20.0, 0.1
"""An orbit this far out, in units of theta, from which Newton's step is longer than this fraction of its size, runs to
infinity in a valley that is known, if it has the rank and loss of an earlier run."""
SAME_VALLEY = 0.02
"""Runs to infinity at one rank whose losses agree within this fraction are one node."""
FARTHER = 8.0
"""An orbit that has not ended leads to the point that Newton's method finds within this distance, relative to its
size, if their losses agree as those of one valley do: it is no run to infinity."""
RUNAWAY_GROWTH = 0.05
"""Growth of log|theta| in a decade of time of a run to infinity; what grows less, or by no power, may end."""
ORBIT_REST = 1e-13
"""Speeds, relative to the largest, at which an orbit has come to rest."""


class UnstableClass(NamedTuple):
    """Directions of one growth rate: new columns (m, q), or directions inside (dim, q)."""

    label: int
    rate: float
    outside: bool
    vectors: np.ndarray
    multiplicity: int

    @property
    def directions(self) -> int:
        """Return the dimension up to the gauge."""
        return self.vectors.shape[1]


@dataclass(eq=False)
class Runaway:
    """The end of an orbit that runs to infinity, or does not end in time."""

    k: int
    value: float
    theta: np.ndarray
    decided: bool


def classes(catalog: Catalog, orbit: Found) -> list[UnstableClass]:
    """Return the unstable classes of an orbit, the fastest first."""
    space, k = catalog.space, orbit.k
    found: list[tuple[float, bool, np.ndarray, int]] = []
    if k < max(space.ranks()):
        rates, vectors = space.outside(k, orbit.theta)
        cut = 1e-9 * max(float(np.abs(rates).max(initial=0.0)), space.objective(max(k, 1)).unit)
        for chosen in _groups(rates, cut):
            found.append((float(rates[chosen[0]]), True, vectors[:, chosen], len(chosen) * (space.width - k)))
    if orbit.point is not None:
        values = -orbit.point.spectrum.values
        for chosen in _groups(values, orbit.point.zero_cut):
            found.append((float(values[chosen[0]]), False, orbit.point.spectrum.vectors[:, chosen], len(chosen)))
    found.sort(key=lambda each: -each[0])
    return [UnstableClass(label, *each) for label, each in enumerate(found)]


def _groups(rates: np.ndarray, cut: float) -> Iterator[list[int]]:
    """Yield the places of equal rates above ``cut``; rates fall."""
    group: list[int] = []
    for place in np.flatnonzero(rates > cut):
        if group and rates[group[0]] - rates[place] > CLASS_TOL * rates[0]:
            yield group
            group = []
        group.append(int(place))
    if group:
        yield group


def launches(
    catalog: Catalog, orbit: Found, each: UnstableClass, rng: np.random.Generator
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield rank, critical point and deviation of the orbits that represent a class.

    A single new column is the same both ways, up to the gauge; a single direction inside is left both ways; of more,
    directions are drawn at random.
    """
    space, k = catalog.space, orbit.k
    size = max(float(np.linalg.norm(orbit.theta)), space.objective(max(k, 1)).theta_unit)
    q = each.directions
    if each.outside:
        wide = min(q, max(space.ranks()) - k)
        for _ in range(1 if q == 1 else DIRECTIONS):
            columns = each.vectors if q == 1 else each.vectors @ _sphere(rng, q, wide)
            yield k + wide, *space.widened(k, orbit.theta, DEPARTING * size * columns)
        return
    ways = np.array([[1.0], [-1.0]]) if q == 1 else [_sphere(rng, q, 1)[:, 0] for _ in range(DIRECTIONS)]
    for way in ways:
        yield k, orbit.theta, DEPARTING * size * (each.vectors @ way)


def _sphere(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    drawn = rng.standard_normal((rows, columns))
    return drawn / np.linalg.norm(drawn)


def valley(runs: Sequence[Runaway], run: Runaway) -> Runaway | None:
    """Return the known run to infinity of that rank and loss, which keeps the lower loss; None if there is none."""
    for known in runs:
        if known.k == run.k and abs(known.value - run.value) <= SAME_VALLEY * known.value:
            if run.value < known.value:
                known.value, known.theta = run.value, run.theta
            return known
    return None


def followed(
    catalog: Catalog, k: int, center: np.ndarray, launch: np.ndarray, start: Found, runs: Sequence[Runaway] = ()
) -> Found | Runaway:
    """Return where the orbit of the flow from ``center + launch`` ends: at a known or a new orbit, or in a run."""
    objective = catalog.space.objective(k)
    steps = Rosenbrock(
        objective.around(center).gradient,
        lambda y: objective.hessian(center + y),
        launch,
        lambda size: ORBIT_ERROR * size,
    )
    fastest, before, rising = steps.speed, np.inf, True
    size, way = 0.0, [(0.0, 0.0)]
    for number in range(PATIENT_STEPS):
        watch.tick("following the flow")
        if number > ORBIT_STEPS and size > FAR_OUT:
            break
        if steps.at_rest or (not rising and steps.speed <= ORBIT_REST * fastest):
            break
        last, speed, ahead = center + steps.y, steps.speed, _newton_length(steps, center)
        time = way[-1][0] + steps.step()
        fastest = max(fastest, steps.speed)
        rising = rising and steps.speed >= 0.5 * fastest
        if steps.speed > speed and before > speed and speed <= PASSING * fastest and not rising and ahead <= CLOSE_BY:
            if (passed := _arrival(catalog, k, last, start, ARRIVED)) is not None:
                return passed
        size = float(np.linalg.norm(center + steps.y)) / objective.theta_unit
        way.append((time, size))
        if size > FAR / 2:
            break
        if size > FAR_OUT and ahead > AWAY:
            here = Runaway(k, objective.value(center + steps.y), center + steps.y, True)
            if (run := valley(runs, here)) is not None:
                return run
        before = speed
    return _end(catalog, k, center + steps.y, start, objective, size > FAR_OUT or grows_on(way))


def _newton_length(steps: Rosenbrock, center: np.ndarray) -> float:
    """Return the length of Newton's step from the present state, relative to the size of the point."""
    seen = steps.moving != 0.0
    step = steps.moving[seen] / np.where(steps.rates[seen] == 0.0, 1e-300, steps.rates[seen])
    return float(np.linalg.norm(step)) / max(float(np.linalg.norm(center + steps.y)), 1e-300)


def _arrival(catalog: Catalog, k: int, theta: np.ndarray, start: Found, reach: float) -> Found | None:
    """Return the critical orbit within ``reach`` of the point, of a lower loss than the start."""
    objective = catalog.space.objective(k)
    size = max(float(np.linalg.norm(theta)), objective.theta_unit)
    try:
        end = stationary_point(objective, theta, radius=reach * size)
    except NotConverged:
        return None
    found = catalog.file(k, end, "flow")
    if found is None or found is start or found.value > start.value - SEEN_FALL * abs(start.value):
        return None
    return found


def grows_on(way: Sequence[tuple[float, float]]) -> bool:
    """Return whether sizes grow as one power of time over the last three decades of it, within a factor of two."""
    times, sizes = np.array(way[1:]).reshape(-1, 2).T
    if len(times) < 2 or times[0] > times[-1] / 1e3:
        return False
    logs = np.interp(np.log(times[-1]) - np.log(10.0) * np.arange(4), np.log(times), np.log(sizes))
    powers = logs[:-1] - logs[1:]
    return bool(powers.min() > RUNAWAY_GROWTH and powers.max() <= 2.0 * powers.min())


def _end(
    catalog: Catalog, k: int, theta: np.ndarray, start: Found, objective: Objective, growing: bool
) -> Found | Runaway:
    here = objective.value(theta)
    for reach in (0.05, 1.0, FARTHER):
        found = _arrival(catalog, k, theta, start, reach)
        least = (1.0 - SAME_VALLEY) * here if reach == FARTHER else -np.inf
        if found is not None and least <= found.value <= here + 1e-9 * start.value:
            return found
    far = float(np.linalg.norm(theta)) > 2.0 * max(float(np.linalg.norm(start.theta)), 2.0 * objective.theta_unit)
    return Runaway(k, here, theta, far and growing)
