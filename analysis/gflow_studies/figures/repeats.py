"""Repeated random completions of 4 x 4 matrices: finite runs, the limit alpha -> 0, and certified references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import gflow
from gflow.statements import Evidence, thm3_premise
from gflow.statements.claims import Claim
from gflow.workers import mapped
from gflow_studies.figures.mask_orbits import random_mask
from gflow_studies.figures.variances import flow_end

SHAPE = (4, 4)
RANK_TOL = 1e-4
"""Singular values of a run above this fraction of the largest count towards its rank."""
MARGIN = 100.0
"""Passive modes are held this many times below RANK_TOL, for the factors that their exponents do not show."""
DIRECT = 1e-9
"""Starts below this scale are integrated in graded columns."""
SIZES: dict[gflow.Kind, dict[int, tuple[int, ...]]] = {
    gflow.Kind.CONNECTED: {1: (5, 6, 7, 9, 11), 2: (8, 10, 12, 14), 3: (11, 13, 15, 16)},
    gflow.Kind.DISCONNECTED: {rank: (5, 7, 9) for rank in (1, 2, 3)},
    gflow.Kind.COMPLETE_BIPARTITE: {rank: (5, 7, 8, 10) for rank in (1, 2, 3)},
}
"""Numbers of observed entries by kind and ground-truth rank. Disconnected 4 x 4 masks have at most 9 or 10."""
KINDS = tuple(SIZES)
KIND_NAMES = dict(zip(KINDS, ("connected", "disconnected, not complete", "complete bipartite components"), strict=True))
"""The kinds as legends and tables name them."""
PREMISE_SCALE = 1e-8


def threshold(rank: int) -> int:
    """Return 2 r d - r^2, the number of free parameters of a d x d matrix of rank r, here with d = 4."""
    return 2 * rank * SHAPE[0] - rank**2


@dataclass(frozen=True, slots=True, eq=False)
class RepeatRun:
    """One flow from alpha theta_0: how it ended, its singular values, loss, and largest distance to the limit.

    ``distance`` is relative to the larger of max|M| and the limit's largest entry, and None where there is no limit.
    """

    alpha: float
    status: str
    singular_values: np.ndarray
    loss: float
    distance: float | None

    @property
    def converged(self) -> bool:
        """Return whether the flow was followed to its end."""
        return self.status == gflow.Status.CONVERGED

    @property
    def rank(self) -> int:
        """Return the numerical rank, relative to the largest singular value."""
        return int(np.sum(self.singular_values > RANK_TOL * self.singular_values[0]))

    @property
    def nuclear_norm(self) -> float:
        """Return the sum of the singular values."""
        return float(self.singular_values.sum())


@dataclass(frozen=True, slots=True, eq=False)
class RepeatCase:
    """One matrix of known rank, one mask and one theta_0.

    Attributes
    ----------
    kind : gflow.Kind
    rank, repeat : int
        Rank of the ground truth, and the number of the repeat.
    problem : gflow.MatrixCompletion
    truth_norm : float
        Nuclear norm of the ground truth.
    least_rank : gflow.RankBracket
        Certified bounds of the minimum rank.
    parts_rank : int or None
        Sum of the minimum ranks of the coupling components; None where one is not closed.
    least_norm : gflow.Completion
        Certified minimum nuclear norm.
    limit : gflow.Traversal
        The limit alpha -> 0 for theta_0.
    premise : Claim or None
        The premise of Theorem 3, asked for where the limit is not known to have the rank
        ``parts_rank``; else None.
    runs : tuple of RepeatRun
    """

    kind: gflow.Kind
    rank: int
    repeat: int
    problem: gflow.MatrixCompletion
    truth_norm: float
    least_rank: gflow.RankBracket
    parts_rank: int | None
    least_norm: gflow.Completion
    limit: gflow.Traversal
    premise: Claim | None
    runs: tuple[RepeatRun, ...]

    @property
    def n(self) -> int:
        """Return the number of observed entries."""
        return self.problem.n_observed

    @property
    def mask(self) -> str:
        """Return the rows of the mask as 0 and 1, separated by "/"."""
        return "/".join("".join("1" if seen else "0" for seen in row) for row in self.problem.observed)

    @property
    def surplus(self) -> int:
        """Return n - (2 r d - r^2)."""
        return self.n - threshold(self.rank)

    def rank_scale(self) -> float:
        """Return log10 of the alpha below which no passive mode counts towards the rank; -inf if unknown.

        The modes that are passive at a saddle enter W with the square of their amplitude e^gain alpha^p there.
        """
        left = [saddle for saddle in self.limit.saddles if saddle.exponents]
        if self.limit.matrix is None or any(saddle.gain is None for saddle in left):
            return -np.inf
        wanted = -0.5 * np.log(RANK_TOL / MARGIN)
        return -max((((s.gain or 0.0) + wanted) / s.exponents[0] for s in left), default=0.0) / np.log(10.0)

    def scale(self, accuracy: float) -> float:
        """Return log10 of the alpha that promises entries of this accuracy, relative to max|M|; -inf if unknown."""
        if self.limit.matrix is None:
            return -np.inf
        if self.problem.observed.all():
            return self.rank_scale()
        known = self.limit.log10_alpha(accuracy)
        return -np.inf if known is None else known

    @property
    def faint(self) -> bool:
        """Return whether a singular value of the limit is below ten times the threshold of the rank of a run."""
        if self.limit.matrix is None:
            return False
        sizes = np.linalg.svd(self.limit.matrix, compute_uv=False)
        return int(np.sum(sizes > 10 * RANK_TOL * sizes[0])) < (self.limit.rank or 0)

    def excess(self, norm: float) -> float:
        """Return how far a nuclear norm lies above the certified minimum, relative to it."""
        return (norm - self.least_norm.lower) / self.least_norm.lower

    def __repr__(self) -> str:
        return f"Case({self.kind}, rank {self.rank}, n = {self.n}, repeat {self.repeat}, {self.limit})"


def repeats(
    ranks: Sequence[int],
    count: int,
    alphas: Sequence[float],
    seed: int,
    jobs: int,
    kinds: Sequence[gflow.Kind] = KINDS,
) -> tuple[RepeatCase, ...]:
    """Return ``count`` cases for every kind, rank and number of samples; each depends on its place and seed alone."""
    places = [(kind, rank, n) for kind in kinds for rank in ranks for n in SIZES[kind][rank]]
    tasks = [(*place, repeat, tuple(alphas), seed) for place in places for repeat in range(count)]
    return tuple(mapped(case, tasks, jobs))


def case(kind: gflow.Kind, rank: int, n: int, repeat: int, alphas: Sequence[float], seed: int) -> RepeatCase:
    """Return one case: a Gaussian matrix of the rank, a uniform mask of the kind with n entries, a Gaussian start."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, KINDS.index(kind), rank, n, repeat]))
    truth = rng.standard_normal((SHAPE[0], rank)) @ rng.standard_normal((rank, SHAPE[1]))
    problem = gflow.MatrixCompletion(truth, random_mask(rng, SHAPE, kind, n))
    start = gflow.Factorization(SHAPE).random(rng)
    limit, parts = gflow.saddle_to_saddle(problem, start, compiled=None), _parts_rank(problem)
    return RepeatCase(
        kind=kind,
        rank=rank,
        repeat=repeat,
        problem=problem,
        truth_norm=float(np.linalg.svd(truth, compute_uv=False).sum()),
        least_rank=gflow.minimum_rank(problem),
        parts_rank=parts,
        least_norm=gflow.minimum_nuclear_norm(problem),
        limit=limit,
        premise=None if limit.rank is not None and limit.rank == parts else _premise(problem, start),
        runs=tuple(run(problem, alpha, start, limit.matrix) for alpha in alphas),
    )


def run(problem: gflow.MatrixCompletion, alpha: float, start: np.ndarray, limit: np.ndarray | None) -> RepeatRun:
    """Return how the flow from alpha theta_0 ends."""
    model = gflow.Factorization(problem.shape)
    theta, status, loss = flow_end(problem, alpha * start, float(np.abs(alpha * start).max()) < DIRECT)
    W = model.output(theta)
    distance = None
    if limit is not None:
        distance = float(np.abs(W - limit).max() / max(problem.size, float(np.abs(limit).max())))
    return RepeatRun(alpha, status, np.linalg.svd(W, compute_uv=False), loss, distance)


def _parts_rank(problem: gflow.MatrixCompletion) -> int | None:
    parts = gflow.connectivity(problem).coupling_components
    ends = [gflow.minimum_rank(problem.restricted(part.rows, part.columns)) for part in parts]
    return sum(end.lower for end in ends) if all(end.closed for end in ends) else None


def _premise(problem: gflow.MatrixCompletion, start: np.ndarray) -> Claim:
    return thm3_premise.claim(Evidence.of(problem, start=PREMISE_SCALE * start))
