"""The alpha -> 0 limit of one start and the reference completions it is compared with, in the units of the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import gflow
from gflow.policy import DENSE_LIMIT

if TYPE_CHECKING:
    from gflow.statements.limit_evidence import LimitEvidence

STARTS, FEWEST_STARTS, FULL_SEARCH = 40, 5, 170
"""Starts of each fit of rank k up to the last number of variables; beyond it as many fewer as each takes longer, with
the cube of that number, but at least the second."""
LARGEST_FIT = 400
"""Up to this many variables k (d1 + d2) fits of rank k are searched from many starts."""
LARGEST_NORM = 100
"""Up to this many rows and columns the minimum nuclear norm is computed, beyond it where there is a closed form."""
ALPHAS = (1e-4, 1e-6, 1e-8)
"""Starts of the direct runs, relative to sqrt(max|M|), where the traversal reaches no limit."""
RUNS_AGREE = 1e-3
"""Direct runs show a limit if the distance of the last run from it is at most this fraction of max|W|."""
RUN_TOL = 1e-6
"""Error of the end of a direct run, relative to max|W|."""
INTERPOLATION_TOL = 1e-6
ROUNDED = 1e-12
"""Singular values up to this fraction of the largest are zeros of a matrix that is a product of thin factors."""


class Limit(NamedTuple):
    """What is known of the limit for one start.

    Attributes
    ----------
    matrix : (d1, d2) array or None
        None where there is no limit, or none is known.
    error : float
        Estimate of the largest error of an entry of ``matrix``; infinite where it is not known.
    source : str
        Where ``matrix`` comes from, or why there is none.
    """

    matrix: np.ndarray | None
    error: float
    source: str


def best_fit(problem: gflow.MatrixCompletion, k: int) -> gflow.RankFit | None:
    """Return the best of many fits of rank k, 1 <= k <= min(d1, d2); None where that is too large."""
    variables = k * sum(problem.shape)
    if variables > LARGEST_FIT:
        return None
    affordable = int(STARTS * min(1.0, (FULL_SEARCH / variables) ** 3))
    return gflow.rank_fit(problem, k, starts=max(FEWEST_STARTS, affordable))


def least_norm(given: LimitEvidence) -> gflow.Completion | None:
    """Return the certified minimum nuclear norm; None where it was not computed, or not certified."""
    closed = given.connectivity.kind is gflow.Kind.COMPLETE_BIPARTITE
    if not closed and max(given.problem.shape) > LARGEST_NORM:
        return None
    try:
        return gflow.minimum_nuclear_norm(given.problem)
    except gflow.InaccurateSolution:
        return None


def limit_of(given: LimitEvidence) -> Limit:
    """Return the limit for the start: that of the traversal, or what direct runs show where it reaches none."""
    traversal, start = given.traversal, given.direction
    status, matrix = traversal.status, traversal.matrix
    if matrix is not None and (traversal.from_start or traversal.determined.all()):
        error = np.inf if traversal.error is None else traversal.error
        return Limit(matrix, error, "the saddle-to-saddle traversal")
    why = f"the traversal is {status}"
    open_ended = [chain for chain in traversal.chains if chain.status is not gflow.TraversalStatus.CONVERGED]
    if any(chain.infinite is not None for chain in open_ended) or start is None:
        return Limit(None, np.inf, why)
    if given.model.dim > DENSE_LIMIT:
        return Limit(None, np.inf, f"{why}; no direct runs at dimension {given.model.dim}")
    return _direct(given, start, why)


def _direct(given: LimitEvidence, start: np.ndarray, why: str) -> Limit:
    """Return the limit that direct runs from decreasing starts show, if they do."""
    root = float(np.sqrt(given.normalized.size or 1.0))
    alphas = ", ".join(f"{alpha:g}" for alpha in ALPHAS)
    try:
        paths = [gflow.gradient_flow(given.objective, alpha * root * start) for alpha in ALPHAS]
    except gflow.IntegrationFailed as failure:
        return Limit(None, np.inf, f"{why}; a direct run failed: {failure}")
    if any(path.status is not gflow.Status.CONVERGED for path in paths):
        endings = ", ".join(str(path.status) for path in paths)
        return Limit(None, np.inf, f"{why}; direct runs from alpha = {alphas} ended {endings}")
    first, second, last = (given.model.output(path.final) * given.unit for path in paths)
    size = float(np.abs(last).max())
    earlier, later = (float(np.abs(a - b).max()) for a, b in ((first, second), (second, last)))
    ratio = later / earlier if earlier > RUN_TOL * size else 0.0
    error = max(later, RUN_TOL * size) if ratio < 0.9 else np.inf
    error = max(error, later * ratio / (1.0 - ratio)) if ratio < 0.9 else error
    source = f"direct runs from alpha = {alphas}, the last two {later:.2g} apart; {why}"
    if error > RUNS_AGREE * size:
        return Limit(None, np.inf, f"no limit is seen in {source}")
    last.setflags(write=False)
    return Limit(last, error, source)
