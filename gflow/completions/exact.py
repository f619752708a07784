"""Partially known matrices of rational numbers, or of doubles with a known uncertainty, and what rank k forces.

A table holds object entries (``fractions.Fraction``) for exact data and doubles otherwise; the same code serves both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, islice
from math import comb

import numpy as np

from gflow.problems import MatrixCompletion

FEW_BITS = 24
"""Data are exact if they are integer multiples of one power of two, each below 2^FEW_BITS times it."""
MOST_BLOCKS = 2000
"""Largest number of k x k blocks that are looked through."""
MOST_CELLS = 20_000
"""Largest number of entries that are eliminated in the search for a rational completion, in all tries together."""
FEW_ROWS = 8
LARGEST_DEPENDENCE = 1e-3
"""A block of doubles serves as pivot if its inverse times the uncertainty of its entries is at most this."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownEntries:
    """Entries, which of them are known, and how uncertain each is (zero for exact data)."""

    values: np.ndarray
    known: np.ndarray
    doubt: np.ndarray
    exact: bool

    def transposed(self) -> KnownEntries:
        """Return the table of the transposed matrix."""
        return KnownEntries(self.values.T, self.known.T, self.doubt.T, self.exact)

    def restricted(self, rows: tuple[int, ...], columns: tuple[int, ...], unit: float) -> KnownEntries:
        """Return the table of the given rows and columns alone, divided by ``unit``."""
        block = np.ix_(rows, columns)
        scale = Fraction(unit) if self.exact else unit
        return KnownEntries(self.values[block] / scale, self.known[block], self.doubt[block] / unit, self.exact)


def table(problem: MatrixCompletion, rank_tol: float) -> KnownEntries:
    """Return the data as a table: exact if they have few bits, else uncertain by rank_tol max|M|."""
    rational = few_bit_values(problem)
    if rational is not None:
        return KnownEntries(rational, problem.observed, np.zeros(problem.shape), True)
    doubt = np.where(problem.observed, rank_tol * problem.size, 0.0)
    return KnownEntries(problem.values, problem.observed, doubt, False)


def few_bit_values(problem: MatrixCompletion) -> np.ndarray | None:
    """Return M as fractions (zero where not observed) if its entries have few bits; None otherwise."""
    mantissas, exponents = np.frexp(problem.targets[problem.targets != 0])
    if not mantissas.size:
        return np.full(problem.shape, Fraction(0), dtype=object)
    lowest = int(exponents.max()) - FEW_BITS
    scaled = np.ldexp(problem.targets, -lowest)
    if np.any(scaled != np.round(scaled)):
        return None
    result = np.full(problem.shape, Fraction(0), dtype=object)
    unit = Fraction(2) ** lowest
    result[problem.rows, problem.columns] = [int(value) * unit for value in scaled]
    return result


def inverse(block: np.ndarray, doubt: float, exact: bool) -> np.ndarray | None:
    """Return the inverse of a square block; None if it is singular or too uncertain to tell."""
    if exact:
        solved = eliminated(np.concatenate([block, _identity(len(block))], axis=1), len(block))
        return solved[0][:, len(block) :] if solved[1] == len(block) else None
    smallest = float(np.linalg.svd(block, compute_uv=False)[-1])
    if smallest * LARGEST_DEPENDENCE <= doubt * len(block):
        return None
    return np.linalg.inv(block)


def eliminated(rows: np.ndarray, width: int) -> tuple[np.ndarray, int]:
    """Return the reduced row echelon form of a matrix of fractions in its first ``width`` columns, and their rank."""
    rows, rank = rows.copy(), 0
    for column in range(width):
        pivot = next((row for row in range(rank, len(rows)) if rows[row, column] != 0), None)
        if pivot is None:
            continue
        rows[[rank, pivot]] = rows[[pivot, rank]]
        rows[rank] = rows[rank] / rows[rank, column]
        for row in range(len(rows)):
            if row != rank and rows[row, column] != 0:
                rows[row] = rows[row] - rows[row, column] * rows[rank]
        rank += 1
    return rows, rank


def known_blocks(known: np.ndarray, k: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows and columns of fully known k x k blocks, as far as MOST_BLOCKS looked at."""
    if k <= min(known.shape):
        looked_at = ((rows, known[list(rows)].all(axis=0)) for rows in combinations(range(len(known)), k))
        found = (
            (np.array(rows), np.array(columns))
            for rows, common in islice(looked_at, MOST_BLOCKS)
            for columns in combinations(np.flatnonzero(common), k)
        )
        yield from islice(found, MOST_BLOCKS)


def observed_minor(data: KnownEntries) -> tuple[int, str]:
    """Return the largest rank found of a fully known block, a bound that every completion obeys, and the block.

    Looks at all sets of rows if there are at most FEW_ROWS, else at sets grown greedily from each row.
    """
    best, reason = 0, "a rank is not negative"
    for rows in _row_sets(data.known):
        columns = np.flatnonzero(data.known[rows].all(axis=0))
        if min(len(rows), len(columns)) > best:
            rank = _certain_rank(data, np.ix_(rows, columns))
            if rank > best:
                best, reason = rank, f"the observed block of {_named(rows, columns)} has rank {rank}"
    return best, reason


def _row_sets(known: np.ndarray) -> Iterator[np.ndarray]:
    d1 = len(known)
    if d1 <= FEW_ROWS:
        for size in range(1, d1 + 1):
            yield from map(np.array, combinations(range(d1), size))
        return
    for seed in range(d1):
        rows, common = np.array([seed]), known[seed]
        while len(rows) < common.sum():
            yield rows
            shared = np.where(np.isin(np.arange(d1), rows), -1, known @ common.astype(int))
            rows = np.append(rows, shared.argmax())
            common = common & known[rows[-1]]


def _certain_rank(data: KnownEntries, block: tuple[np.ndarray, ...]) -> int:
    """Return the rank of a known block, for doubles the least one within their uncertainty (Weyl)."""
    values = data.values[block]
    if data.exact:
        return eliminated(values, values.shape[1])[1]
    singular = np.linalg.svd(values, compute_uv=False)
    return int(np.sum(singular > np.linalg.norm(data.doubt[block])))


@dataclass(frozen=True, slots=True, eq=False)
class Forced:
    """A table after all entries that rank at most k forces were filled in, and the contradiction met ("" if none)."""

    data: KnownEntries
    contradiction: str


def forced(data: KnownEntries, k: int) -> Forced:
    """Return the table with every entry that W_ij = W_iC N^-1 W_Rj determines, for non-singular known k x k blocks N.

    Filling stops at the first entry that would need two values: then no completion has rank at most k.
    """
    data = KnownEntries(data.values.copy(), data.known.copy(), data.doubt.copy(), data.exact)
    if comb(data.known.shape[0], k) > MOST_BLOCKS:
        return Forced(data, "")
    while True:
        before = int(data.known.sum())
        for rows, columns in list(known_blocks(data.known, k)):
            contradiction = _fill(data, rows, columns)
            if contradiction:
                return Forced(data, contradiction)
        if int(data.known.sum()) == before:
            return Forced(data, "")


def _fill(data: KnownEntries, rows: np.ndarray, columns: np.ndarray) -> str:
    """Write the entries that one block forces; return the contradiction met, or ""."""
    block = np.ix_(rows, columns)
    N = inverse(data.values[block], float(data.doubt[block].max()), data.exact)
    if N is None:
        return ""
    others_i = np.setdiff1d(np.flatnonzero(data.known[:, columns].all(axis=1)), rows)
    others_j = np.setdiff1d(np.flatnonzero(data.known[rows].all(axis=0)), columns)
    place = np.ix_(others_i, others_j)
    p = data.values[np.ix_(others_i, columns)] @ N
    q = N @ data.values[np.ix_(rows, others_j)]
    value = p @ data.values[np.ix_(rows, others_j)]
    known = data.known[place]
    doubt = np.zeros(known.shape)
    if not data.exact:
        p, q = np.abs(p), np.abs(q)
        doubt = p @ data.doubt[np.ix_(rows, others_j)] + data.doubt[np.ix_(others_i, columns)] @ q
        doubt = 2 * (doubt + p @ data.doubt[block] @ q)
    wrong = np.argwhere(known & (np.abs(value - data.values[place]) > doubt + data.doubt[place]))
    if wrong.size:
        i, j = int(others_i[wrong[0][0]]), int(others_j[wrong[0][1]])
        return f"{_named(rows, columns)} would force another value at row {i + 1}, column {j + 1}"
    data.values[place] = np.where(known, data.values[place], value)
    data.doubt[place] = np.where(known, data.doubt[place], doubt)
    data.known[place] = True
    return ""


def rational_completion(data: KnownEntries, W: np.ndarray, k: int) -> np.ndarray | None:
    """Return an exact completion of rank at most k near the numerical one, W, or None if none was found.

    For k columns C the missing entries of W[:, C] are rounded to simple multiples of the unit of the data; every other
    column must then meet its known entries within their span, which rational elimination decides. Rows serve as well
    as columns. Exact data only.
    """
    unit = Fraction(1, max(value.denominator for value in data.values.flat))
    tries = min(50, 1 + MOST_CELLS // W.size)
    for side, guess in ((data, W), (data.transposed(), W.T)):
        for columns in islice(combinations(range(guess.shape[1]), k), tries):
            for denominator in (1, 12, 1000):
                found = _spanned(side, guess, np.array(columns), denominator, unit)
                if found is not None:
                    return found if side is data else found.T
    return None


def _spanned(
    data: KnownEntries, W: np.ndarray, columns: np.ndarray, denominator: int, unit: Fraction
) -> np.ndarray | None:
    basis = data.values[:, columns].copy()
    for i, c in np.argwhere(~data.known[:, columns]):
        basis[i, c] = unit * (Fraction(float(W[i, columns[c]])) / unit).limit_denominator(denominator)
    result = data.values.copy()
    result[:, columns] = basis
    k = len(columns)
    for j in np.setdiff1d(np.arange(W.shape[1]), columns):
        seen = data.known[:, j]
        system = np.concatenate([basis[seen], data.values[seen, j : j + 1]], axis=1)
        reduced, rank = eliminated(system, k)
        if any(value != 0 for value in reduced[rank:, k]):
            return None
        weights = np.full(k, Fraction(0), dtype=object)
        for row in range(rank):
            weights[next(c for c in range(k) if reduced[row, c] != 0)] = reduced[row, k]
        result[:, j] = np.where(seen, data.values[:, j], basis @ weights)
    return result


def _identity(size: int) -> np.ndarray:
    result = np.full((size, size), Fraction(0), dtype=object)
    np.fill_diagonal(result, Fraction(1))
    return result


def _named(rows: np.ndarray, columns: np.ndarray) -> str:
    return f"rows {', '.join(str(i + 1) for i in rows)} and columns {', '.join(str(j + 1) for j in columns)}"
