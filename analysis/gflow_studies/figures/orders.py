"""The predicted order of the limit alpha -> 0 over random problems, and its check by flows in graded columns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

import gflow
from gflow_studies.limit_study import random_problem

WINDOW = (1e-2, 1e-3, 1e-4, 1e-6)
"""A check starts at the scales that promise these accuracies."""
VISIBLE = 1e-8
"""Distances from the limit above this are told from the errors of a flow, and from ten times those of the limit."""
LOSS_TOL = 1e-24
SETTLED = 0.25
"""A fitted order has settled where those of the last two intervals differ by at most this fraction."""


class CompletionClass(StrEnum):
    """What the order depends on."""

    UNIQUE = "locally unique"
    FAMILY = "one of a family"
    CROSS = "entries between components"
    WHOLE = "nothing unobserved"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True, eq=False)
class OrderCase:
    """One random problem with one theta_0, and the order of its limit.

    Attributes
    ----------
    number : int
    shape : (d1, d2)
    n_observed : int
    status : str
        How the traversal ended.
    completion : CompletionClass
    rank : int or None
    order, safe_order : float or None
        The predicted q and its lower bound; None where it is not known or nothing is unobserved.
    scale : float or None
        log10 of the alpha that promises the accuracy asked for; None where it is not known.
    """

    number: int
    shape: tuple[int, int]
    n_observed: int
    status: str
    completion: CompletionClass
    rank: int | None
    order: float | None
    safe_order: float | None
    scale: float | None

    def __repr__(self) -> str:
        return f"OrderCase({self.number}: {self.shape}, {self.completion}, rank {self.rank}, order {self.order})"


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """Flows of one problem that approach its limit.

    Attributes
    ----------
    case : OrderCase
    log10_alphas : (m,) array, falling
    distances : (m,) array
        Largest entry of the difference from the limit, relative to the larger of max|M| and max|W|.
    statuses : tuple of str
    floor : float
        Distances up to this are not told from the errors of flow and limit.
    """

    case: OrderCase
    log10_alphas: np.ndarray
    distances: np.ndarray
    statuses: tuple[str, ...]
    floor: float

    @property
    def converged(self) -> bool:
        """Return whether every flow was followed to its end."""
        return all(status == gflow.Status.CONVERGED for status in self.statuses)

    @property
    def fitted(self) -> float | None:
        """Return the order between the two smallest scales at which the distance is seen; None without two."""
        seen = np.flatnonzero(self.distances > self.floor)
        if not self.converged or len(seen) < 2:
            return None
        fall = np.log10(self.distances[seen[-2]] / self.distances[seen[-1]])
        return float(fall / (self.log10_alphas[seen[-2]] - self.log10_alphas[seen[-1]]))

    @property
    def settled(self) -> bool:
        """Return whether the orders between the three smallest scales at which the distance is seen agree."""
        seen = np.flatnonzero(self.distances > self.floor)[-3:]
        if not self.converged or len(seen) < 3:
            return False
        first, last = np.diff(np.log(self.distances[seen])) / np.diff(self.log10_alphas[seen])
        return bool(abs(first - last) <= SETTLED * last)

    def __repr__(self) -> str:
        return f"Check({self.case}, fitted {self.fitted})"


def order_case(number: int, seed: np.random.SeedSequence, accuracy: float) -> OrderCase:
    """Return the order of the limit of one random problem."""
    problem, start = _drawn(seed)
    limit = gflow.saddle_to_saddle(problem, start, compiled=None)
    return OrderCase(
        number=number,
        shape=problem.shape,
        n_observed=problem.n_observed,
        status=str(limit.status),
        completion=_completion(problem, limit),
        rank=limit.rank,
        order=limit.order,
        safe_order=limit.safe_order,
        scale=None if limit.matrix is None else limit.log10_alpha(accuracy),
    )


def order_check(case: OrderCase, seed: np.random.SeedSequence) -> Check:
    """Return how flows from the scales of WINDOW end, for a case with a known order."""
    problem, start = _drawn(seed)
    limit = gflow.saddle_to_saddle(problem, start, compiled=None)
    if limit.matrix is None or case.scale is None:
        raise ValueError(f"problem number {case.number} has no order to check: its traversal is {case.status}")
    scales = np.array([limit.log10_alpha(accuracy) for accuracy in WINDOW], dtype=float)
    paths = [gflow.graded_flow(problem, start, log_scale=x * np.log(10.0), loss_tol=LOSS_TOL) for x in scales]
    model = gflow.Factorization(problem.shape)
    size = max(problem.size, float(np.abs(limit.matrix).max()))
    distances = [float(np.abs(model.output(path.final) - limit.matrix).max()) / size for path in paths]
    floor = max(VISIBLE, 10.0 * (limit.error or 0.0) / size)
    return Check(case, scales, np.array(distances), tuple(str(path.status) for path in paths), floor)


def _drawn(seed: np.random.SeedSequence) -> tuple[gflow.MatrixCompletion, np.ndarray]:
    rng = np.random.default_rng(seed)
    problem = random_problem(rng)
    return problem, gflow.Factorization(problem.shape).random(rng)


def _completion(problem: gflow.MatrixCompletion, limit: gflow.Traversal) -> CompletionClass:
    if limit.matrix is None:
        return CompletionClass.UNKNOWN
    if problem.observed.all():
        return CompletionClass.WHOLE
    if (limit.std > 0).any():
        return CompletionClass.CROSS
    unique = {chain.unique for chain in limit.chains}
    if None in unique:
        return CompletionClass.UNKNOWN
    return CompletionClass.UNIQUE if unique == {True} else CompletionClass.FAMILY
