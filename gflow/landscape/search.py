"""The search for critical points of one rank: random starts, descents, climbs, deflation and images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

import numpy as np

from gflow.critical import NotConverged, stationary_point
from gflow.landscape.catalog import Catalog, Found
from gflow.landscape.spaces import FactorColumns
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

DESCENT = 60
"""Steps of the descents that precede Newton's method in every other start."""
CLIMB = 60
TRUST = 0.15
"""Longest step of a climb or of a deflated iteration, relative to the size of the point."""
SMALLEST_CURVATURE = 1e-8
"""Modes of a smaller curvature, relative to the largest, are left alone: gauge and continua."""
LARGEST_IMAGES = 5
"""Symmetries are searched among all permutations of up to so many rows and columns."""


def random_start(catalog: Catalog, k: int, trial: int, rng: np.random.Generator) -> None:
    """Keep the critical point that Newton's method reaches from a random start; every other start descends first."""
    objective = catalog.space.objective(k)
    theta = catalog.space.random(k, rng)
    if trial % 2:
        theta = _descended(objective, theta, int(rng.integers(3, DESCENT)))
    keep(catalog, k, theta, "start")


def keep(catalog: Catalog, k: int, theta: np.ndarray, how: str) -> Found | None:
    """Return the orbit to which Newton's method leads from ``theta``, None where it leads to none."""
    try:
        end = stationary_point(catalog.space.objective(k), theta, radius=np.inf, max_steps=60)
    except NotConverged:
        return None
    return catalog.file(k, end, how)


def _descended(objective: Objective, theta: np.ndarray, steps: int) -> np.ndarray:
    from scipy.optimize import minimize

    return minimize(objective.value, theta, jac=objective.gradient, method="L-BFGS-B", options={"maxiter": steps}).x


def deflated(catalog: Catalog, k: int, theta: np.ndarray) -> Found | None:
    """Return the orbit where a Newton iteration ends that the known orbits of this rank repel.

    The gradient is multiplied by the product of 1 + 1 / |place - known|^2 over the known orbits, which only changes
    the length and the sign of Newton's step (Farrell, Birkisson and Funke 2015).
    """
    objective, space = catalog.space.objective(k), catalog.space
    known = [each.place for each in catalog.orbits if each.k == k]
    for _ in range(CLIMB):
        size = max(float(np.linalg.norm(theta)), objective.theta_unit)
        step = _steps(objective, theta, 0)
        here = space.place(k, theta)
        ahead = (space.place(k, theta + 1e-6 * step) - here) / 1e-6
        slope = sum(_log_slope(here - each, ahead) for each in known)
        step = step / max(1.0 - slope, 0.1) if slope < 1.0 else step / min(1.0 - slope, -0.1)
        length = float(np.linalg.norm(step))
        theta = theta + step * min(1.0, TRUST * size / max(length, 1e-300))
        if length <= 1e-6 * size:
            break
    return keep(catalog, k, theta, "deflation")


def _log_slope(gap: np.ndarray, ahead: np.ndarray) -> float:
    square = max(float(gap @ gap), 1e-12)
    return -2.0 * float(gap @ ahead) / (square * (square + 1.0))


def climbed(catalog: Catalog, orbit: Found, mode: int, sign: float) -> Found | None:
    """Return the orbit of the next index, found by climbing from ``orbit`` along its mode number ``mode``.

    The lowest modes, as many as the index sought, are walked uphill and the others downhill, each by its own Newton
    step (high-index saddle dynamics: Yin, Zhang and Zhang 2019, with second derivatives).
    """
    assert orbit.point is not None
    objective, k = catalog.space.objective(orbit.k), orbit.k
    values = orbit.point.spectrum.values
    rising = np.flatnonzero(values > orbit.point.zero_cut)
    if mode >= len(rising):
        return None
    size = max(float(np.linalg.norm(orbit.theta)), objective.theta_unit)
    theta = orbit.theta + sign * TRUST * size * orbit.point.spectrum.vectors[:, rising[mode]]
    for _ in range(CLIMB):
        size = max(float(np.linalg.norm(theta)), objective.theta_unit)
        step = _steps(objective, theta, orbit.point.index + 1)
        length = float(np.linalg.norm(step))
        theta = theta + step * min(1.0, TRUST * size / max(length, 1e-300))
        if length <= 1e-6 * size:
            break
    return keep(catalog, k, theta, "climb")


def _steps(objective: Objective, theta: np.ndarray, uphill: int) -> np.ndarray:
    """Return Newton's step for ``uphill`` zero; else down all modes but the lowest ``uphill``, and up those."""
    values, vectors = np.linalg.eigh(objective.hessian(theta))
    slopes = vectors.T @ objective.gradient(theta)
    seen = np.abs(values) > SMALLEST_CURVATURE * np.abs(values).max()
    scales = np.where(seen, values if uphill == 0 else np.abs(values), np.inf)
    steps = -slopes / scales
    if uphill:
        steps[np.flatnonzero(seen)[:uphill]] *= -1.0
    return vectors @ steps


def images(catalog: Catalog) -> int:
    """Return how many new orbits the symmetries of the data make of the known ones; they are kept."""
    space, before = catalog.space, len(catalog.orbits)
    if not isinstance(space, FactorColumns) or not isinstance(space.problem, MatrixCompletion):
        return 0
    if not isinstance(space.model, Factorization):
        return 0
    maps = list(symmetries(space.problem))
    for orbit in tuple(catalog.orbits):
        W = orbit.place.reshape(space.model.shape)
        for rows, columns, left, right, flipped in maps:
            image = (W.T if flipped else W)[np.ix_(rows, columns)] * left[:, None] * right
            keep_image = space.factored(image)
            if keep_image[0] == orbit.k and orbit.k:
                catalog.file(*keep_image, "image")
    return len(catalog.orbits) - before


Symmetry = tuple[Sequence[int], Sequence[int], np.ndarray, np.ndarray, bool]


def symmetries(problem: MatrixCompletion) -> Iterator[Symmetry]:
    """Yield rows, columns, signs of rows, signs of columns and a transposition that leave the data as they are."""
    d1, d2 = problem.shape
    if max(d1, d2) > LARGEST_IMAGES:
        return
    M = np.where(problem.observed, problem.values, np.nan)
    for flipped in (False, True) if d1 == d2 else (False,):
        N = M.T if flipped else M
        size = np.abs(N)
        target = np.abs(M)
        for rows in permutations(range(d1)):
            moved = size[list(rows)]
            for columns in permutations(range(d2)):
                if np.array_equal(moved[:, columns], target, equal_nan=True):
                    signs = _signs(N[np.ix_(rows, columns)], M)
                    if signs is not None and (flipped or (*rows, *columns) != (*range(d1), *range(d2))):
                        yield rows, columns, *signs, flipped


def _signs(N: np.ndarray, M: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return signs s and t with s_i N_ij t_j = M_ij where M is known and not zero; None where there are none."""
    left, right = np.zeros(len(M)), np.zeros(M.shape[1])
    ties = [(i, j, np.sign(N[i, j] * M[i, j])) for i, j in np.argwhere(np.abs(np.nan_to_num(M)) > 0)]
    while True:
        grown = False
        for i, j, sign in ties:
            if left[i] and not right[j]:
                right[j], grown = sign * left[i], True
            elif right[j] and not left[i]:
                left[i], grown = sign * right[j], True
            elif left[i] and left[i] * right[j] != sign:
                return None
        if not grown:
            rest = [(i, j) for i, j, _ in ties if not left[i]]
            if not rest:
                break
            left[rest[0][0]] = 1.0
    left[left == 0], right[right == 0] = 1.0, 1.0
    return left, right
