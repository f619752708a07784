"""What gradient flow learns from starts of several variances, run by run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.workers import mapped

GRADED_BELOW = 1e-12
"""Starts of a smaller scale are integrated in graded columns."""


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """The matrices in which v x m flows ended: m starts for each of v variances.

    Attributes
    ----------
    problem : gflow.MatrixCompletion
    variances : (v,) array
        Variance of the entries of A and B at the start; the scale alpha is its square root.
    matrices : (v, m, d1, d2) array
    statuses : (v, m) array of str
    """

    problem: gflow.MatrixCompletion
    variances: np.ndarray
    matrices: np.ndarray
    statuses: np.ndarray

    @property
    def scales(self) -> np.ndarray:
        """Return alpha, shape (v,)."""
        return np.sqrt(self.variances)

    @property
    def singular_values(self) -> np.ndarray:
        """Return the singular values, largest first, shape (v, m, min(d1, d2))."""
        return np.linalg.svd(self.matrices, compute_uv=False)

    @property
    def unfinished(self) -> int:
        """Return the number of flows that did not converge."""
        return int(np.sum(self.statuses != str(gflow.Status.CONVERGED)))

    def __repr__(self) -> str:
        v, m = self.statuses.shape
        return f"Learned({v} variances, {m} runs each, {self.unfinished} not converged)"


def sizes_of(variances: Any) -> np.ndarray:
    """Return standard deviations; raises ``ValueError`` for a variance that is not positive and finite."""
    found = np.asarray(variances, dtype=float)
    if not (np.isfinite(found) & (found > 0.0)).all():
        raise ValueError(f"variances must be positive and finite; got {variances!r}")
    return np.sqrt(found)


def learned(
    problem: gflow.MatrixCompletion, variances: Sequence[float], starts: np.ndarray, *, rtol: float, jobs: int = 1
) -> Learned:
    """Return what is learned from the square root of every variance times its starts, shape (v, m, dim)."""
    scales = sizes_of(variances)
    tasks = [(problem, scale * start, scale, rtol) for scale, row in zip(scales, starts, strict=True) for start in row]
    ends = mapped(_end, tasks, jobs)
    shape = (len(scales), starts.shape[1])
    matrices = np.array([W for W, _ in ends]).reshape(*shape, *problem.shape)
    return Learned(problem, scales**2, matrices, np.array([status for _, status in ends]).reshape(shape))


def random_starts(model: gflow.Factorization, seed: Sequence[int], number: int) -> np.ndarray:
    """Return independent starts of variance 1, shape (number, dim)."""
    return np.array([model.random(rng) for rng in np.random.default_rng(seed).spawn(number)])


def flow(problem: gflow.MatrixCompletion, start: np.ndarray, scale: float, rtol: float) -> gflow.Trajectory:
    """Return the gradient flow of the full-width factorisation from a start whose entries are of size ``scale``."""
    if scale < GRADED_BELOW:
        return gflow.graded_flow(problem, start, rtol=rtol)
    objective = gflow.Objective.of(problem, gflow.Factorization(problem.shape))
    return gflow.gradient_flow(objective, start, rtol=rtol)


def _end(problem: gflow.MatrixCompletion, start: np.ndarray, scale: float, rtol: float) -> tuple[np.ndarray, str]:
    theta, status, _ = flow_end(problem, start, scale < GRADED_BELOW, rtol=rtol)
    return gflow.Factorization(problem.shape).output(theta), status


def flow_end(
    problem: gflow.MatrixCompletion, start: np.ndarray, graded: bool, **options: Any
) -> tuple[np.ndarray, str, float]:
    """Return where the flow ends, how, and its loss; raises ``RuntimeError`` if the solver gives up."""
    if graded:
        path = gflow.graded_flow(problem, start, **options)
        return path.final, str(path.status), path.final_loss
    (end,) = gflow.gradient_flows(problem, start, **options)
    if end.failed or end.loss is None:
        raise RuntimeError(end.message)
    return end.theta, str(end.status), end.loss
