"""The alpha -> 0 limit of a study and the reference completions, on which the verdicts about the limit rest.

All numbers are in the units of the matrix. Negative controls replace a field and see which verdicts change.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

import gflow
from gflow.statements.study import DENSE_LIMIT, IntegrationFailed, Study
from gflow.statements.visits import Visit, visits

STARTS = 40
"""Starts of each fit of rank k."""
LARGEST_FIT = 400
"""Up to this many variables k (d1 + d2) fits of rank k are searched from many starts."""
LARGEST_NORM = 100
"""Up to this many rows and columns the minimum nuclear norm is computed, beyond it where there is a closed form."""
ALPHAS = (1e-4, 1e-6, 1e-8)
"""Starts of the direct runs, relative to sqrt(max|M|), where the traversal reaches no limit."""
SETTLED = 1e-3
"""Direct runs show a limit if the distance of the last run from it is at most this fraction of max|W|."""
RUN_TOL = 1e-6
"""Error of the end of a direct run, relative to max|W|."""
RANK_TOL = 1e-6
INTERPOLATION_TOL = 1e-6
ROUNDED = 1e-12
"""Singular values up to this fraction of the largest are zeros of a matrix that is a product of thin factors."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The limit of one start, and what it is compared with.

    Attributes
    ----------
    study : Study
    traversal : Traversal
        The limit along the directions of the study's start.
    visits : tuple of Visit
        The critical points of the whole matrix that the limit passes, in order; up to where the traversal stops.
    matrix : (d1, d2) array or None
        The limit for the study's start; None where there is none, or none is known.
    error : float
        Estimate of the largest error of an entry of ``matrix``; infinite where it is not known.
    source : str
        Where ``matrix`` comes from, or why there is none.
    nuclear : Completion or None
        Certified minimum nuclear norm; None where it was not computed.
    bracket : RankBracket or None
        Bounds of the minimum rank; None where they were not computed.
    """

    study: Study
    traversal: gflow.Traversal
    visits: tuple[Visit, ...]
    matrix: np.ndarray | None
    error: float
    source: str
    nuclear: gflow.Completion | None
    bracket: gflow.RankBracket | None

    @property
    def problem(self) -> gflow.MatrixCompletion:
        """Return the problem as given."""
        return self.study.problem

    @property
    def rank(self) -> int | None:
        """Return the number of singular values of the limit that are not zero; None where its error hides it.

        One between rounding and ten times the error of an entry may be zero or not.
        """
        if self.matrix is None:
            return None
        sizes = _sizes(self)
        clear = int(np.sum(sizes > max(ROUNDED * sizes[0], 10.0 * self.error)))
        return clear if clear == int(np.sum(sizes > ROUNDED * sizes[0])) else None

    @property
    def faint(self) -> bool:
        """Return whether the rank counts singular values up to 1e-6 of the largest: too small to refute a theorem."""
        return self.rank is not None and self.rank > int(np.sum(_sizes(self) > RANK_TOL * _sizes(self)[0]))

    @property
    def nuclear_norm(self) -> float | None:
        """Return the nuclear norm of the limit."""
        return None if self.matrix is None else float(_sizes(self).sum())

    @property
    def norm_error(self) -> float:
        """Return a bound on the error of the nuclear norm: |dW|_* <= sqrt(min(d1, d2)) |dW|_F."""
        d1, d2 = self.problem.shape
        return self.error * float(np.sqrt(min(d1, d2) * d1 * d2))

    @property
    def misfit(self) -> float | None:
        """Return max|P o (W - M)| / max|M| for the limit W; 0.0 where it vanishes."""
        if self.matrix is None:
            return None
        gap = float(np.abs(self.problem.residual(self.matrix)).max())
        return gap / self.problem.size if gap and self.problem.size else gap

    def __repr__(self) -> str:
        return f"Evidence({self.traversal}, {len(self.visits)} visits, {self.nuclear}, {self.bracket})"


@lru_cache(maxsize=4)
def evidence(study: Study) -> Evidence:
    """Return the evidence of a study; the statements about its limit share it."""
    size = float(np.abs(study.start).max())
    start = study.start / size if size > 0 else None
    traversal = gflow.saddle_to_saddle(study.problem, start, rank=study.model.rank)
    matrix, error, source = _limit(study, traversal, start)
    d1, d2 = study.problem.shape
    closed = study.connectivity.kind is gflow.Kind.COMPLETE_BIPARTITE
    return Evidence(
        study=study,
        traversal=traversal,
        visits=visits(traversal),
        matrix=matrix,
        error=error,
        source=source,
        nuclear=_nuclear(study.problem) if closed or max(d1, d2) <= LARGEST_NORM else None,
        bracket=gflow.minimum_rank(study.problem) if d1 * d2 <= DENSE_LIMIT else None,
    )


@lru_cache(maxsize=4)
def _sizes(given: Evidence) -> np.ndarray:
    """Return the singular values of the limit, largest first."""
    assert given.matrix is not None
    return np.linalg.svd(given.matrix, compute_uv=False)


def best_fit(problem: gflow.MatrixCompletion, k: int) -> gflow.RankFit | None:
    """Return the best of many fits of rank k, 1 <= k <= min(d1, d2); None where that is too large."""
    if k * sum(problem.shape) > LARGEST_FIT:
        return None
    return gflow.rank_fit(problem, k, starts=STARTS)


def _nuclear(problem: gflow.MatrixCompletion) -> gflow.Completion | None:
    try:
        return gflow.minimum_nuclear_norm(problem)
    except gflow.InaccurateSolution:
        return None


def _limit(study: Study, traversal: gflow.Traversal, start: np.ndarray | None) -> tuple[np.ndarray | None, float, str]:
    """Return the limit for the start, the error of its entries and where it comes from."""
    status, matrix = traversal.status, traversal.matrix
    if matrix is not None and (traversal.from_start or traversal.determined.all()):
        error = np.inf if traversal.error is None else traversal.error
        return matrix, error, "the saddle-to-saddle traversal"
    why = f"the traversal is {status}"
    open_ended = [chain for chain in traversal.chains if chain.status is not gflow.TraversalStatus.CONVERGED]
    if any(chain.infinite is not None for chain in open_ended) or start is None:
        return None, np.inf, why
    if study.model.dim > DENSE_LIMIT:
        return None, np.inf, f"{why}; no direct runs at dimension {study.model.dim}"
    return _direct(study, start, why)


def _direct(study: Study, start: np.ndarray, why: str) -> tuple[np.ndarray | None, float, str]:
    """Return the limit that direct runs from decreasing starts show, if they do."""
    root = float(np.sqrt(study.normalized.size or 1.0))
    alphas = ", ".join(f"{alpha:g}" for alpha in ALPHAS)
    try:
        paths = [gflow.gradient_flow(study.objective, alpha * root * start) for alpha in ALPHAS]
    except IntegrationFailed as failure:
        return None, np.inf, f"{why}; a direct run failed: {failure}"
    if any(path.status is not gflow.Status.CONVERGED for path in paths):
        endings = ", ".join(str(path.status) for path in paths)
        return None, np.inf, f"{why}; direct runs from alpha = {alphas} ended {endings}"
    first, second, last = (study.model.matrix(path.final) * study.unit for path in paths)
    size = float(np.abs(last).max())
    earlier, later = (float(np.abs(a - b).max()) for a, b in ((first, second), (second, last)))
    ratio = later / earlier if earlier > RUN_TOL * size else 0.0
    error = max(later, RUN_TOL * size) if ratio < 0.9 else np.inf
    error = max(error, later * ratio / (1.0 - ratio)) if ratio < 0.9 else error
    source = f"direct runs from alpha = {alphas}, the last two {later:.2g} apart; {why}"
    if error > SETTLED * size:
        return None, np.inf, f"no limit is seen in {source}"
    last.setflags(write=False)
    return last, error, source
