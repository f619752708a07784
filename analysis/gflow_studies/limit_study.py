"""A study of random problems: the limit by saddle-to-saddle traversal against direct integration in graded columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

import gflow
from gflow.plain import plain
from gflow.workers import mapped

ACCURACY = 1e-5
"""Direct runs start where the traversal promises this accuracy, relative to max|M|,"""
SLACK = 1e2
"""and agree if they end within this many times of it, relative to the larger of max|M| and max|W|."""
SMALLEST = -12000.0
"""Exponent of the smallest scale of a start; the limit is out of reach if it asks for less."""
PROBES = -300.0, -600.0
"""Exponents of the two scales whose runs show the order where the limit is out of reach."""
BUDGET = 1_500_000
"""Gradients granted to a direct run: a slow orbit takes hundreds of thousands at these scales."""
ORDER_TOL = 0.2
"""Relative difference up to which a fitted order is the predicted one."""
LARGEST = -12.0
"""Exponent of the largest scale."""


class LimitOutcome(StrEnum):
    """What a problem showed."""

    AGREE = "agree"
    APPROACHES = "approaches with the predicted order"
    DISAGREE = "silent disagreement"
    OUT_OF_REACH = "out of reach"
    DIVERGING = "diverging"
    DEGENERATE = "degenerate"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, eq=False)
class LimitCase:
    """One problem.

    Attributes
    ----------
    problem : gflow.MatrixCompletion
    connected : bool
        Whether one coupling component holds all observed entries.
    outcome : LimitOutcome
    reason : str
        Why there is no limit, or why no direct run can show it; else empty.
    log10_alpha : float or None
        Scale of the direct run.
    difference : float or None
        Largest difference of an entry, relative to the larger of max|M| and max|W|.
    """

    problem: gflow.MatrixCompletion
    connected: bool
    outcome: LimitOutcome
    reason: str
    log10_alpha: float | None
    difference: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the case for JSON; entries that are not observed are null."""
        rows = [[None if np.isnan(x) else float(x) for x in row] for row in self.problem.with_gaps()]
        return {"matrix": rows} | plain(self, "connected outcome reason log10_alpha difference")

    def __repr__(self) -> str:
        return f"LimitCase({self.problem!r}, {self.outcome})"


@dataclass(frozen=True, slots=True, eq=False)
class LimitStudy:
    """All cases of a study."""

    cases: tuple[LimitCase, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Return how many problems showed each outcome."""
        found = Counter(case.outcome for case in self.cases)
        return {str(outcome): found[outcome] for outcome in LimitOutcome}

    def to_dict(self) -> dict[str, Any]:
        """Return counts and cases for JSON."""
        return {"counts": self.counts, "cases": [case.to_dict() for case in self.cases]}

    def __repr__(self) -> str:
        return f"LimitStudy({', '.join(f'{name} {count}' for name, count in self.counts.items())})"


def random_problem(rng: np.random.Generator) -> gflow.MatrixCompletion:
    """Return a problem from 4 x 4 to 6 x 7: real or integer data of low or full rank, connected or in blocks."""
    d1, d2 = int(rng.integers(4, 7)), int(rng.integers(4, 8))
    k = int(rng.integers(1, 4))
    kind = rng.integers(3)
    W: np.ndarray
    if kind == 0:
        W = rng.standard_normal((d1, d2))
    elif kind == 1:
        W = rng.standard_normal((d1, k)) @ rng.standard_normal((k, d2))
    else:
        W = 1.0 * (rng.integers(-3, 4, (d1, k)) @ rng.integers(-3, 4, (k, d2)))
    mask = np.zeros((d1, d2), dtype=bool)
    if rng.random() < 0.35:
        i, j = int(rng.integers(1, d1)), int(rng.integers(1, d2))
        mask[:i, :j], mask[i:, j:] = True, True
        mask &= rng.random((d1, d2)) < 0.8
    n = int(rng.integers(d1 + d2 - 1, d1 * d2 + 1))
    if not mask.any():
        mask.flat[rng.permutation(d1 * d2)[:n]] = True
    return gflow.MatrixCompletion(W, mask)


def limit_case(problem: gflow.MatrixCompletion, start: np.ndarray) -> LimitCase:
    """Return what the traversal says of a problem and start, checked by direct runs wherever they can show it.

    Where the limit is out of reach of any start, two runs at smaller scales must approach it with its order.
    """
    connected = len(gflow.connectivity(problem).coupling_components) == 1
    limit = gflow.saddle_to_saddle(problem, start, compiled=None)
    if limit.matrix is None:
        return LimitCase(problem, connected, LimitOutcome(str(limit.status)), limit.reason, None, None)
    needed = limit.log10_alpha(ACCURACY)
    if needed is None and not problem.observed.all():
        return LimitCase(problem, connected, LimitOutcome.OUT_OF_REACH, "its order is not known", None, None)
    scale = LARGEST if needed is None else min(needed, LARGEST)
    within = scale >= SMALLEST
    found = [_difference(problem, start, limit.matrix, x) for x in ([scale] if within else PROBES)]
    runs = [difference for difference in found if difference is not None]
    reason = "" if within else f"an accuracy of {ACCURACY:g} needs alpha = 1e{scale:.4g}"
    if len(runs) < len(found):
        return LimitCase(problem, connected, LimitOutcome.OUT_OF_REACH, "the direct run did not converge", scale, None)
    if within:
        outcome = LimitOutcome.AGREE if runs[0] <= SLACK * ACCURACY else LimitOutcome.DISAGREE
        return LimitCase(problem, connected, outcome, "", scale, runs[0])
    order = limit.order or 0.0
    fitted = float(np.log10(runs[0] / runs[1])) / (PROBES[0] - PROBES[1]) if min(runs) > 0 else np.inf
    outcome = LimitOutcome.APPROACHES if abs(fitted - order) <= ORDER_TOL * order else LimitOutcome.OUT_OF_REACH
    reason = f"{reason}; order fitted {fitted:.4g}, predicted {order:.4g}"
    return LimitCase(problem, connected, outcome, reason, scale, runs[1])


def _difference(problem: gflow.MatrixCompletion, start: np.ndarray, limit: np.ndarray, scale: float) -> float | None:
    """Return how far from the limit a direct run ends, relative to the data; None if it does not converge."""
    small = scale * float(np.log(10.0))
    path = gflow.graded_flow(problem, start, log_scale=small, loss_tol=1e-24, max_evaluations=BUDGET)
    if path.status != gflow.Status.CONVERGED:
        return None
    W = gflow.Factorization(problem.shape).output(path.final)
    size = max(problem.size, float(np.abs(limit).max()))
    return float(np.abs(W - limit).max()) / size if size else 0.0


def limit_study(n: int, *, seed: int = 0, n_jobs: int = 1) -> LimitStudy:
    """Return the study of n random problems; problem number i depends on the seed and i alone.

    Raises ``ValueError`` unless n is a positive integer.
    """
    if n < 1:
        raise ValueError(f"n must be a positive integer; got {n!r}")
    return LimitStudy(tuple(mapped(_case, ((seed, i) for i in range(n)), n_jobs)))


def _case(seed: int, number: int) -> LimitCase:
    rng = np.random.default_rng([seed, number])
    problem = random_problem(rng)
    return limit_case(problem, gflow.Factorization(problem.shape).random(rng))
