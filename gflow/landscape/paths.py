"""The path that small starts take through a landscape, from the traversals of ``gflow.limit``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gflow.landscape.catalog import ONE_LOSS, Catalog, Found
from gflow.landscape.spaces import FactorColumns
from gflow.limit import Traversal, saddle_to_saddle
from gflow.limit.symmetric import symmetric_traversal
from gflow.models import Factorization, SymmetricFactorization
from gflow.policy import ZERO_LOSS
from gflow.problems import MatrixCompletion

ONE_TIME = 1e-9
"""Times of escape that agree within this fraction are one."""


@dataclass(frozen=True, eq=False)
class Path:
    """The orbits that a traversal passes, whether it then runs to infinity, and how it ended."""

    orbits: tuple[Found, ...]
    escapes: bool
    status: str


def traversed(catalog: Catalog, start: np.ndarray | None = None, rng: np.random.Generator | None = None) -> Path:
    """Return the path of the limit alpha -> 0 from the origin; an empty one where there is no such limit to follow."""
    space = catalog.space
    if not isinstance(space, FactorColumns):
        return Path((), False, "")
    if isinstance(space.model, SymmetricFactorization):
        limit = symmetric_traversal(space.problem, width=space.width)
        matrices = [saddle.matrix for saddle in limit.saddles]
        return _path(catalog, matrices, False, f"{limit.status}: {limit.reason}")
    if not isinstance(space.problem, MatrixCompletion) or not isinstance(space.model, Factorization):
        return Path((), False, "")
    found = saddle_to_saddle(space.problem, start, rng, rank=space.width)
    assert isinstance(found, Traversal)
    runs = any(chain.infinite is not None for chain in found.chains)
    return _path(catalog, states(found), runs, f"{found.status}: {found.reason}")


def states(limit: Traversal) -> list[np.ndarray]:
    """Return W at every saddle of the whole matrix, in the order of time.

    Coupling components escape one after the other, each at its own times, and together where these agree; entries
    between them, which no data tie, are put to zero.
    """
    place = [0] * len(limit.chains)
    clock = [0.0] * len(limit.chains)
    found = [_blocks(limit, place)]
    while True:
        waiting = []
        for c, chain in enumerate(limit.chains):
            stay = chain.saddles[place[c]].plateau_time
            if place[c] + 1 < len(chain.saddles) and stay is not None:
                waiting.append((clock[c] + stay, c))
        if not waiting:
            return found
        first = min(waiting)[0]
        for time, c in waiting:
            if time <= first * (1.0 + ONE_TIME):
                place[c], clock[c] = place[c] + 1, time
        found.append(_blocks(limit, place))


def _blocks(limit: Traversal, place: list[int]) -> np.ndarray:
    W = np.zeros(limit.shape)
    for chain, k in zip(limit.chains, place, strict=True):
        W[np.ix_(chain.rows, chain.columns)] = chain.saddles[k].matrix
    return W


def _path(catalog: Catalog, matrices: list[np.ndarray], escapes: bool, status: str) -> Path:
    orbits: list[Found] = []
    for W in matrices:
        orbit = _orbit(catalog, W)
        if orbit is None:
            return Path(tuple(orbits), escapes, f"{status}; the saddle after {len(orbits)} steps is no known orbit")
        if not orbits or orbit is not orbits[-1]:
            orbits.append(orbit)
    return Path(tuple(orbits), escapes, status)


def _orbit(catalog: Catalog, W: np.ndarray) -> Found | None:
    """Return the orbit of W; where components share inner directions and W is no point of it, that of its loss."""
    space = catalog.space
    assert isinstance(space, FactorColumns)
    k, theta = space.factored(W)
    if k == 0:
        return catalog.orbits[0]
    wide = int(np.linalg.matrix_rank(W, tol=1e-6))
    if wide == k and (found := catalog.file(k, theta, "path")) is not None:
        return found
    value = float(np.mean(space.problem.residual(W)[space.problem.observed] ** 2))
    level = max(ZERO_LOSS, ONE_LOSS * value)
    near = (each for each in catalog.orbits if each.k == k and abs(each.value - value) <= level)
    return next(near, None)
