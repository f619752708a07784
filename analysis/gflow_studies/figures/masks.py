"""One matrix under several masks: the loss of a flow from a small start, and the limit beside certified references."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import gflow
from gflow.workers import mapped
from gflow_studies.figures.variances import flow

MOST_POINTS = 300
"""A loss curve keeps at most so many states."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskRun:
    """What one mask shows.

    Attributes
    ----------
    problem : gflow.MatrixCompletion
    kind : gflow.Kind
    limit : gflow.Traversal
    least_rank : gflow.RankBracket
    least_norm : float
        The certified minimum of the nuclear norm.
    status : str
        How the flow ended.
    times, losses : (T,) arrays
    learned : (d1, d2) array
    """

    problem: gflow.MatrixCompletion
    kind: gflow.Kind
    limit: gflow.Traversal
    least_rank: gflow.RankBracket
    least_norm: float
    status: str
    times: np.ndarray
    losses: np.ndarray
    learned: np.ndarray

    def __repr__(self) -> str:
        return f"MaskRun({self.problem}, {self.kind}, limit of rank {self.limit.rank}, flow {self.status})"


def mask_runs(
    problems: list[gflow.MatrixCompletion], starts: np.ndarray, scale: float, rtol: float, jobs: int
) -> tuple[MaskRun, ...]:
    """Return one run for each problem, from ``scale`` times its start."""
    tasks = [(problem, start, scale, rtol) for problem, start in zip(problems, starts, strict=True)]
    return tuple(mapped(_mask_run, tasks, jobs))


def _mask_run(problem: gflow.MatrixCompletion, start: np.ndarray, scale: float, rtol: float) -> MaskRun:
    path = flow(problem, scale * start, scale, rtol)
    shown = np.unique(np.linspace(0, len(path.times) - 1, min(len(path.times), MOST_POINTS)).astype(int))
    return MaskRun(
        problem,
        gflow.connectivity(problem).kind,
        gflow.saddle_to_saddle(problem, start),
        gflow.minimum_rank(problem),
        gflow.minimum_nuclear_norm(problem).value,
        str(path.status),
        path.times[shown],
        path.losses[shown],
        gflow.Factorization(problem.shape).output(path.final),
    )
