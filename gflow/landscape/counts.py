"""How many orbits there are at each rank, where that can be proven."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gflow.certify.balls import FlintMissing, exact_rank
from gflow.landscape.catalog import Catalog
from gflow.landscape.spaces import Columns, Space
from gflow.models import Factorization
from gflow.problems import MatrixCompletion

APART = 1e-6
"""Singular values count as distinct, and as not zero, from this fraction of the largest on: a thousand million times
what rounding does to them."""


class Count(NamedTuple):
    """A proven number of orbits, or None, and how it is known or why it is not."""

    number: int | None
    how: str


def unknown(space: Space, why: str) -> list[Count]:
    """Return counts of which nothing is known, one for each rank."""
    origin = Count(1, "W = 0 is critical") if isinstance(space, Columns) else Count(None, why)
    return [origin, *(Count(None, why) for k in space.ranks() if k)]


def counted(catalog: Catalog) -> list[Count]:
    """Return the count at every rank, from 0; orbits that algebra finds are filed in the catalog."""
    space = catalog.space
    if not isinstance(space, Columns):
        return unknown(space, "critical points of a general function are not counted")
    problem = space.problem
    if not isinstance(problem, MatrixCompletion) or not isinstance(space.model, Factorization):
        return unknown(space, "orbits of this problem are not counted")
    if problem.observed.all():
        return _fully_observed(catalog, problem)
    return unknown(space, "no proof is known")


def _fully_observed(catalog: Catalog, problem: MatrixCompletion) -> list[Count]:
    """Return the counts of the best-approximation problem: every choice of k singular pairs, and nothing else.

    Critical points of rank k of |W - M|^2 are the partial sums of singular value decompositions of M: binomial(rank M,
    k) where its singular values are distinct (Eckart and Young 1936; Ottaviani, Spaenlehauer and Sturmfels 2014,
    example 2.3).
    """
    from math import comb

    U, sizes, Vt = np.linalg.svd(problem.values)
    try:
        rank = exact_rank(problem.values)
    except FlintMissing:
        return unknown(catalog.space, "the rank of M is proven with python-flint, which is not installed")
    gaps = -np.diff(sizes[:rank]) if rank > 1 else np.ones(1)
    if gaps.min() <= APART * sizes[0] or (rank and sizes[rank - 1] <= APART * sizes[0]):
        return unknown(catalog.space, "singular values of M coincide, or nearly")
    from itertools import combinations

    counts = [Count(1, "W = 0 is critical")]
    for k in catalog.space.ranks():
        assert isinstance(catalog.space, Columns)
        for chosen in map(list, combinations(range(rank), k)):
            W = U[:, chosen] * sizes[chosen] @ Vt[chosen]
            catalog.file(*catalog.space.factored(W), "algebra")
        how = f"every choice of {k} of the {rank} singular pairs of M (Eckart and Young)"
        counts.append(Count(comb(rank, k), how))
    return counts
