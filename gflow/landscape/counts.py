"""How many orbits there are at each rank, where that can be proven."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np

from gflow.certify.balls import FlintMissing, exact_rank
from gflow.landscape.catalog import ONE_LOSS, Catalog
from gflow.landscape.corank_one import corank_one_points, determinant_values
from gflow.landscape.rank_one import NotCounted, rank_one_points
from gflow.landscape.spaces import FactorColumns, Space
from gflow.models import Factorization
from gflow.problems import MatrixCompletion

COUNTED_ROWS, COUNTED_LINES = 3, 5
"""Rows or columns, whichever are fewer, up to which orbits of rank one, and of rank d - 1, are counted."""
TOLD_APART = 1e-6
"""Singular values count as distinct, and as not zero, from this fraction of the largest on: a thousand million times
what rounding does to them."""


class Count(NamedTuple):
    """A proven number of orbits, or None, and how it is known or why it is not."""

    number: int | None
    how: str


def unknown(space: Space, why: str) -> list[Count]:
    """Return counts of which nothing is known, one for each rank."""
    origin = Count(1, "W = 0 is critical") if isinstance(space, FactorColumns) else Count(None, why)
    return [origin, *(Count(None, why) for k in space.ranks() if k)]


def counted(catalog: Catalog) -> list[Count]:
    """Return the count at every rank, from 0; orbits that algebra finds are filed in the catalog."""
    space = catalog.space
    if not isinstance(space, FactorColumns):
        return unknown(space, "critical points of a general function are not counted")
    problem = space.problem
    if not isinstance(problem, MatrixCompletion) or not isinstance(space.model, Factorization):
        return unknown(space, "orbits of this problem are not counted")
    if problem.observed.all():
        return _fully_observed(catalog, problem)
    counts = unknown(space, "no proof is known")
    for k in space.ranks():
        try:
            counts[k] = _of_rank(catalog, problem, k)
        except (NotCounted, FlintMissing) as why:
            counts[k] = Count(None, str(why))
    return counts


def _of_rank(catalog: Catalog, problem: MatrixCompletion, k: int) -> Count:
    """Return the count at rank k of a problem with gaps; raises ``NotCounted`` where there is no proof."""
    lines = min(problem.shape)
    if 1 == k < lines <= COUNTED_ROWS:
        return _rank_one(catalog, problem)
    if k == lines:
        return _full_rank(problem)
    if problem.shape == (k + 1, k + 1) and lines <= COUNTED_LINES:
        return _corank_one(catalog, problem)
    raise NotCounted(f"no proof is known at rank {k} of this shape")


def _rank_one(catalog: Catalog, problem: MatrixCompletion) -> Count:
    """Return the count by exclusion with intervals."""
    flipped = problem.shape[0] > problem.shape[1]
    M, P = (problem.values.T, problem.observed.T) if flipped else (problem.values, problem.observed)
    found = [ray.matrix.T if flipped else ray.matrix for ray in rank_one_points(M, P.astype(float))]
    for W in found:
        _filed(catalog, W, 1)
    return Count(len(found), "exclusion with interval arithmetic, Euler characteristic checked")


def _full_rank(problem: MatrixCompletion) -> Count:
    """Return the count at full rank, where only completions are critical: one family, if the data allow that rank."""
    M, P = problem.values, problem.observed
    drawn = np.random.default_rng(0).integers(1, 1000, size=M.shape).astype(float)
    if exact_rank(np.where(P, M, drawn)) == min(M.shape):
        return Count(1, "at full rank only completions are critical; an exact one of that rank was drawn")
    if M.shape[0] == M.shape[1] and not any(determinant_values(M, P)):
        return Count(0, "every completion is singular, by exact arithmetic")
    raise NotCounted("whether a completion of full rank exists was not decided")


def _corank_one(catalog: Catalog, problem: MatrixCompletion) -> Count:
    """Return the count at rank d - 1: singular pairs of observed blocks, and completions of that rank."""
    M, P = problem.values, problem.observed
    found = corank_one_points(M, P)
    losses: list[float] = []
    isolated = 0
    for W, dimension in found:
        _filed(catalog, W, len(M) - 1)
        value = float(np.mean((W - M)[P] ** 2))
        if dimension and not any(abs(value - each) <= ONE_LOSS * value for each in losses):
            losses.append(value)
        isolated += dimension == 0
    dets = determinant_values(M, P)
    if len(set(dets)) == 1 and not dets[0]:
        raise NotCounted("every completion is singular")
    fits = int(len(set(dets)) > 1)
    how = f"closed form: {len(found)} singular pairs of observed blocks, and {fits or 'no'} set of completions"
    return Count(isolated + len(losses) + fits, how)


def _filed(catalog: Catalog, W: np.ndarray, k: int) -> None:
    """File a point that algebra found; ``NotCounted`` where numbers do not confirm its rank."""
    assert isinstance(catalog.space, FactorColumns)
    rank, theta = catalog.space.factored(W)
    if rank != k or catalog.file(rank, theta, "algebra") is None:
        raise NotCounted(f"a point of rank {k} that algebra found was not confirmed")


def _fully_observed(catalog: Catalog, problem: MatrixCompletion) -> list[Count]:
    """Return the counts of the best-approximation problem: every choice of k singular pairs, and nothing else.

    Critical points of rank k of |W - M|^2 are the partial sums of singular value decompositions of M: binomial(rank M,
    k) where its singular values are distinct (Eckart and Young 1936; Ottaviani, Spaenlehauer and Sturmfels
    2014).
    """
    U, sizes, Vt = np.linalg.svd(problem.values)
    try:
        rank = exact_rank(problem.values)
    except FlintMissing:
        return unknown(catalog.space, "the rank of M is proven with python-flint, which is not installed")
    gaps = -np.diff(sizes[:rank]) if rank > 1 else np.ones(1)
    if gaps.min() <= TOLD_APART * sizes[0] or (rank and sizes[rank - 1] <= TOLD_APART * sizes[0]):
        return unknown(catalog.space, "singular values of M coincide, or nearly")
    counts = [Count(1, "W = 0 is critical")]
    for k in catalog.space.ranks():
        assert isinstance(catalog.space, FactorColumns)
        for chosen in map(list, combinations(range(rank), k)):
            W = U[:, chosen] * sizes[chosen] @ Vt[chosen]
            catalog.file(*catalog.space.factored(W), "algebra")
        how = f"every choice of {k} of the {rank} singular pairs of M (Eckart and Young)"
        counts.append(Count(comb(rank, k), how))
    return counts
