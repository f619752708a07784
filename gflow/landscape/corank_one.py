"""Every critical point of rank d - 1 of a d x d completion problem, in closed form.

There W has one vector e to its left, e^T W = 0, and one f to its right, and the residual is E = P o (W - M) = e f^T,
or zero. Its support I x J lies in the mask, and e^T W = 0 on the columns J with W = M + e f^T there says that e and f
are a singular pair of the block M[I, J]: E = -sigma u v^T. Each other column with an unobserved entry in I, and each
other row with one in J, leaves its entries a linear condition; without one there is no critical point for this block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations, product

import numpy as np

from gflow.landscape.rank_one import NotCounted

ABOVE_ROUNDING = 1e-6
"""Numbers are told from zero, and singular values from each other, by this fraction of the largest: a thousand million
roundings."""
MOST_GAPS = 10
"""Unobserved entries up to which the determinant is expanded."""


def corank_one_points(values: np.ndarray, observed: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Return the critical points of rank d - 1 that do not fit, each with the dimension of its family.

    Parameters
    ----------
    values, observed : (d, d) arrays

    Raises ``NotCounted`` where singular values of a block coincide or a decision is too close to rounding.
    """
    d, found = len(values), []
    for rows in _subsets(d):
        for columns in _subsets(d):
            if observed[np.ix_(rows, columns)].all():
                found += list(_of_block(values, observed, rows, columns))
    return found


def _subsets(d: int) -> Iterator[list[int]]:
    for size in range(1, d + 1):
        yield from map(list, combinations(range(d), size))


def _of_block(
    values: np.ndarray, observed: np.ndarray, rows: list[int], columns: list[int]
) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the points whose residual lives on one block."""
    U, sizes, Vt = np.linalg.svd(values[np.ix_(rows, columns)])
    largest = float(np.abs(values).max())
    for n, sigma in enumerate(sizes):
        if sigma <= ABOVE_ROUNDING * largest:
            if sigma > 1e-14 * largest:
                raise NotCounted("a block of the data is nearly singular")
            continue
        if len(sizes) > 1 and np.abs(np.delete(sizes, n) - sigma).min() <= ABOVE_ROUNDING * largest:
            raise NotCounted("a block of the data has equal singular values")
        u, v = U[:, n], Vt[n]
        least = min(float(np.abs(u).min()), float(np.abs(v).min()))
        if least <= 1e-14:
            continue
        if least <= ABOVE_ROUNDING:
            raise NotCounted("a singular vector of a block nearly vanishes in an entry")
        W = np.where(observed, values, 0.0)
        W[np.ix_(rows, columns)] -= sigma * np.outer(u, v)
        free = _closed(W, observed, u, rows, columns)
        more = _closed(W.T, observed.T, v, columns, rows)
        if free is None or more is None:
            continue
        rest = ~observed
        rest[rows] = rest[:, columns] = False
        dimension = free + more + int(rest.sum())
        W = _generic(W, rest)
        if (rank := _rank(W)) == len(values) - 1:
            yield W, dimension
        elif dimension:
            raise NotCounted(f"a family of rank {rank} may hold points of rank {len(values) - 1}")


def _closed(W: np.ndarray, observed: np.ndarray, u: np.ndarray, rows: list[int], columns: list[int]) -> int | None:
    """Complete in place the entries on ``rows`` of the other columns so that u^T W = 0; return how many stay free.

    None where a column has no unobserved entry there and its observed ones are not orthogonal to u.
    """
    free = 0
    scale = float(np.abs(W).max())
    for j in range(W.shape[1]):
        if j in columns:
            continue
        open_rows = [n for n, i in enumerate(rows) if not observed[i, j]]
        total = float(sum(u[n] * W[i, j] for n, i in enumerate(rows) if observed[i, j]))
        if not open_rows:
            if abs(total) > ABOVE_ROUNDING * scale:
                return None
            if abs(total) > 1e-14 * scale:
                raise NotCounted("a column is nearly orthogonal to a singular vector of a block")
            continue
        share = np.array([u[n] for n in open_rows])
        for n, part in zip(open_rows, share, strict=True):
            W[rows[n], j] = -total * part / float(share @ share)
        free += len(open_rows) - 1
    return free


def _generic(W: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Return W with numbers in the entries that nothing ties."""
    rng = np.random.default_rng(0)
    return np.where(free, float(np.abs(W).max()) * rng.standard_normal(W.shape), W)


def _rank(W: np.ndarray) -> int:
    sizes = np.linalg.svd(W, compute_uv=False)
    unsure = (sizes > 1e-13 * sizes[0]) & (sizes <= ABOVE_ROUNDING * sizes[0])
    if unsure.any():
        raise NotCounted("the rank of a critical point is not clear")
    return int(np.sum(sizes > ABOVE_ROUNDING * sizes[0]))


def determinant_values(values: np.ndarray, observed: np.ndarray) -> list[Fraction]:
    """Return the determinant with every unobserved entry 0 or 1, exactly, shape (2^gaps,).

    It is linear in each unobserved entry, so it is constant if and only if these values are equal.

    Raises ``NotCounted`` above ten unobserved entries.
    """
    gaps = np.argwhere(~observed)
    if len(gaps) > MOST_GAPS:
        raise NotCounted(f"{len(gaps)} unobserved entries are too many for the determinant")
    exact = [[Fraction(float(value)) for value in row] for row in np.where(observed, values, 0.0)]
    found = []
    for choice in product((Fraction(0), Fraction(1)), repeat=len(gaps)):
        for (i, j), value in zip(gaps, choice, strict=True):
            exact[i][j] = value
        found.append(determinant(exact))
    return found


def determinant(matrix: Sequence[Sequence[Fraction]]) -> Fraction:
    """Return the determinant, by the first row."""
    if len(matrix) == 1:
        return matrix[0][0]
    total = Fraction(0)
    for j, entry in enumerate(matrix[0]):
        if entry:
            minor = [[*row[:j], *row[j + 1 :]] for row in matrix[1:]]
            total += (-1) ** j * entry * determinant(minor)
    return total
