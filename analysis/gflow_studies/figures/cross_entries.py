"""Entries between coupling components: their exact law over Gaussian starts, and what runs say about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow_studies.figures.variances import Learned

EQUAL = 1e-9
"""An entry and its mirror image are equal in the limit if draws differ by at most this fraction of the largest."""
SMALL = 1e-4
"""The law is tested from starts of at most this variance."""


@dataclass(frozen=True, slots=True, eq=False)
class CrossEntry:
    """An entry W_ij between two components, with its law: reach * cos(angle of two random lines in R^width).

    Attributes
    ----------
    place : (i, j), counted from 0
    reach : float
        |a_i| |b_j|, the largest value possible.
    width : int
        Inner width r of the model, at least 2.
    mirrored : bool
        Whether W_ji equals W_ij in the limit, whatever the start.
    """

    place: tuple[int, int]
    reach: float
    width: int
    mirrored: bool

    @property
    def law(self) -> Any:
        """Return the exact distribution: Beta((r - 1) / 2, (r - 1) / 2) on (-reach, reach); uniform for r = 3."""
        from scipy import stats

        half = (self.width - 1) / 2
        return stats.beta(half, half, loc=-self.reach, scale=2 * self.reach)

    @property
    def name(self) -> str:
        """Return W_ij with indices from 1."""
        return f"W_{self.place[0] + 1}{self.place[1] + 1}"

    @property
    def mirror(self) -> tuple[int, int]:
        """Return (j, i)."""
        return self.place[1], self.place[0]

    def values(self, learned: Learned) -> np.ndarray:
        """Return the entry in all runs, shape (v, m)."""
        return learned.matrices[:, :, self.place[0], self.place[1]]

    def asymmetry(self, learned: Learned) -> np.ndarray:
        """Return |W_ij - W_ji| in all runs, shape (v, m)."""
        return np.abs(self.values(learned) - learned.matrices[:, :, self.place[1], self.place[0]])


@dataclass(frozen=True, slots=True)
class LawTest:
    """Kolmogorov-Smirnov tests of runs against the exact law."""

    variances: tuple[float, ...]
    p_values: tuple[float, ...]
    pooled_statistic: float
    pooled_p: float
    pooled_runs: int


def first_cross_entry(limit: gflow.Traversal) -> CrossEntry | None:
    """Return the first entry, row by row, whose value in the limit depends on the start; None if there is none."""
    if limit.matrix is None or limit.width < 2 or not (limit.std > 0).any():
        return None
    i, j = (int(index) for index in np.argwhere(limit.std > 0)[0])
    draws = limit.sample(np.random.default_rng(0), 20)
    square = max(i, j) < min(limit.shape)
    mirrored = square and float(np.abs(draws[:, i, j] - draws[:, j, i]).max()) <= EQUAL * float(np.abs(draws).max())
    return CrossEntry((i, j), float(limit.std[i, j] * np.sqrt(limit.width)), limit.width, mirrored)


def law_test(entry: CrossEntry, learned: Learned) -> LawTest:
    """Return the tests for every variance, and of all runs from small variances together."""
    from scipy import stats

    values, law = entry.values(learned), entry.law
    pooled = values[learned.variances <= SMALL * (1 + 1e-9)].ravel()
    whole = stats.kstest(pooled, law.cdf)
    alone = tuple(float(stats.kstest(row, law.cdf).pvalue) for row in values)
    variances = tuple(float(variance) for variance in learned.variances)
    return LawTest(variances, alone, float(whole.statistic), float(whole.pvalue), pooled.size)
