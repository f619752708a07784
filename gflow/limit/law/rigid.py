"""Whether data and mask have a symmetry that could keep modes apart, by colour refinement: what large data allow.

A symmetry maps rows to rows and columns to columns (or, of a square matrix, one to the other) and changes signs only.
It maps each vertex of the bipartite graph of the data to one of the same colour, so that vertices that refinement
tells apart leave no symmetry but changes of sign; and these need a graph of the entries other than zero that falls
apart. Rows that agree in all their entries, up to one sign, and columns likewise, are harmless twins: their residuals
agree as well, so that nothing grows in their difference.
"""

from __future__ import annotations

import numpy as np

from gflow.connectivity import connectivity
from gflow.problems import MatrixCompletion

ALIKE = 1e-9
"""Entries that differ by less than this, in the unit, may be meant to be equal."""
ODD = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""Multipliers of the finaliser of splitmix64 (Steele, Lea and Flood 2014)."""


def is_rigid(problem: MatrixCompletion) -> bool:
    """Return whether no symmetry of data and mask can keep modes apart; False where that is not seen.

    Costs a few passes over the observations. Values that differ by less than ``ALIKE`` count as equal, and so does
    what ordinary refinement cannot tell apart: the answer errs towards False alone.
    """
    values = np.asarray(problem.targets, dtype=float) / problem.unit
    size, seen = _labels(np.abs(values)), values != 0.0
    if np.any(seen & (np.abs(values) <= ALIKE)) or len(connectivity(problem).components) > 1:
        return False
    return not _alike(problem, size, np.sign(values))


def _labels(values: np.ndarray) -> np.ndarray:
    """Return a number for each value, the same for those within ``ALIKE`` of a neighbour of theirs."""
    order = np.argsort(values)
    steps = np.diff(values[order], prepend=values[order[:1]]) > ALIKE
    labels = np.empty(len(values), dtype=np.uint64)
    labels[order] = np.cumsum(steps)
    return labels


def _alike(problem: MatrixCompletion, size: np.ndarray, sign: np.ndarray) -> bool:
    """Return whether two vertices that are no twins have the same colour when nothing more is told apart."""
    d1, d2 = problem.shape
    rows, columns = problem.rows, problem.columns
    colours = np.zeros(d1 + d2, dtype=np.uint64)
    if d1 != d2:
        colours[d1:] = 1
    count, edges = 0, _mixed(size)
    while count < (found := len(np.unique(colours))):
        count, known = found, _mixed(colours)
        colours = _mixed(colours + np.uint64(ODD[0]))
        np.add.at(colours, rows, _mixed(edges ^ known[d1 + columns]))
        np.add.at(colours, d1 + columns, _mixed(edges ^ known[rows]))
    if count == d1 + d2:
        return False
    twins = np.r_[
        _contents(rows, d1, columns + d1, edges, sign),
        _contents(columns, d2, rows, edges, sign),
    ]
    return len(np.unique(twins)) > count


def _contents(own: np.ndarray, number: int, others: np.ndarray, edges: np.ndarray, sign: np.ndarray) -> np.ndarray:
    """Return a hash of the entries of each row, or column, up to one sign."""
    place = _mixed(others.astype(np.uint64) + np.uint64(1))
    found = []
    for turn in (1.0, -1.0):
        hashed = np.zeros(number, dtype=np.uint64)
        np.add.at(hashed, own, _mixed(place ^ (edges + (turn * sign).astype(np.int64).view(np.uint64))))
        found.append(hashed)
    return np.minimum(*found)


def _mixed(x: np.ndarray) -> np.ndarray:
    """Return well-mixed 64-bit hashes of whole numbers."""
    x = x + np.uint64(ODD[0])
    x = (x ^ (x >> np.uint64(30))) * np.uint64(ODD[1])
    x = (x ^ (x >> np.uint64(27))) * np.uint64(ODD[2])
    return x ^ (x >> np.uint64(31))
