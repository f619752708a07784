"""Side by side: the limit, greedy low-rank learning, and the reference completions of one matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.policy import DENSE_LIMIT, TESTED_RANK_TOL
from gflow.statements.evidence import Evidence

LINEAR, GREEDY, LIMIT, NUCLEAR, RANK = (
    "nearest interpolant",
    "greedy low rank",
    "limit",
    "minimum nuclear norm",
    "minimum rank",
)
NAMES = (LINEAR, GREEDY, LIMIT, NUCLEAR, RANK)
COLUMNS = ("completion", "rank", "nuclear norm", "Frobenius norm", *(f"distance to {name}" for name in NAMES), "note")
CAPTION = (
    "Completions side by side, with their distances in the Frobenius norm. The nearest interpolant is the limit of the "
    "linear model from 0; minimisers of nuclear norm and rank need not be unique: compare values, not entries."
)


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonRow:
    """One completion: its name, the matrix (None where there is none), and what is to be said about it."""

    name: str
    matrix: np.ndarray | None
    note: str


def completions(given: Evidence) -> dict[str, Any]:
    """Return name, caption, columns and rows of the table of completions; None where there is no number."""
    found = tuple(_completions(given))
    rows = tuple(_cells(row, found) for row in found)
    return {"name": "completions", "caption": CAPTION, "columns": COLUMNS, "rows": rows}


def _completions(given: Evidence) -> Iterator[ComparisonRow]:
    yield ComparisonRow(LINEAR, gflow.nearest_interpolant(given.problem).matrix, "zeros outside the mask")
    yield _greedy(given)
    yield ComparisonRow(LIMIT, given.matrix, given.limit.source)
    if given.nuclear is None:
        yield ComparisonRow(NUCLEAR, None, "not certified")
    else:
        unique = {True: "unique", False: "not unique", None: "uniqueness not known"}[given.nuclear.unique]
        note = f"{unique}; certified gap {given.nuclear.gap:.1e}, {given.nuclear.solver}"
        yield ComparisonRow(NUCLEAR, given.nuclear.matrix, note)
    if given.bracket is None:
        yield ComparisonRow(RANK, None, "not bracketed")
    else:
        low, high = given.bracket.lower, given.bracket.upper
        ends = f"rank {low}" if low == high else f"rank in [{low}, {high}]"
        yield ComparisonRow(RANK, given.bracket.completion, f"{ends}; one completion of the upper rank")


def _greedy(given: Evidence) -> ComparisonRow:
    if given.model.dim > DENSE_LIMIT:
        return ComparisonRow(GREEDY, None, f"not computed at dimension {given.model.dim}")
    chain = gflow.greedy_low_rank(given.problem, rank=given.model.rank)
    if chain.status is not gflow.TraversalStatus.CONVERGED:
        return ComparisonRow(GREEDY, None, f"{chain.status}: {chain.reason}")
    return ComparisonRow(GREEDY, chain.end.matrix, chain.reason)


def _cells(row: ComparisonRow, others: tuple[ComparisonRow, ...]) -> list[Any]:
    if row.matrix is None:
        return [row.name, None, None, None, *[None] * len(others), row.note]
    sizes = np.linalg.svd(row.matrix, compute_uv=False)
    rank = int(np.sum(sizes > TESTED_RANK_TOL * sizes[0])) if sizes[0] > 0 else 0
    apart = [None if other.matrix is None else _norm(row.matrix - other.matrix) for other in others]
    return [row.name, rank, float(sizes.sum()), _norm(row.matrix), *apart, row.note]


def _norm(matrix: np.ndarray) -> float:
    """Return the Frobenius norm; no square leaves the range of a double."""
    size = float(np.abs(matrix).max())
    return size * float(np.linalg.norm(matrix / size)) if size > 0 else 0.0
