"""A study of all classes of masks: what the limit of vanishing initialisation learns, against certified references."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

import gflow
from gflow.plain import plain
from gflow.policy import TESTED_RANK_TOL
from gflow.statements import Evidence, thm3, thm3_premise
from gflow.statements.claims import Claim
from gflow.workers import mapped

FACTORS = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])
NORM_TOL = 1e-7
"""Relative difference up to which a nuclear norm equals the certified minimum."""


class Group(StrEnum):
    """What theory says about a mask without observed zeros."""

    CONNECTED = "connected, every row and column observed"
    COMPLETE_BIPARTITE = "disconnected, complete bipartite components"
    OTHER = "other"


@dataclass(frozen=True, slots=True, eq=False)
class MaskCase:
    """One mask with one integer matrix.

    Attributes
    ----------
    mask : str
        Rows of 0 and 1, separated by "/".
    rank : int
        Rank of the integer matrix.
    group : Group
    status : str
        How the traversal ended.
    learned_rank : int or None
        Rank of the limit; None where no limit is known.
    least_rank : (int, int)
        Certified bracket of the minimum rank.
    norm, least_norm : float or None, float
        Nuclear norm of the limit, and the certified minimum.
    reason : str
        Why the minimum rank is not learned on a connected mask, or no limit is known; else empty.
    """

    mask: str
    rank: int
    group: Group
    status: str
    learned_rank: int | None
    least_rank: tuple[int, int]
    norm: float | None
    least_norm: float
    reason: str

    @property
    def minimal_rank(self) -> bool | None:
        """Return whether the limit has minimum rank; None where no limit is known or the bracket leaves it open."""
        lower, upper = self.least_rank
        if self.learned_rank is None:
            return None
        if self.learned_rank <= lower:
            return True
        return False if self.learned_rank > upper or lower == upper else None

    @property
    def norm_gap(self) -> float | None:
        """Return (nuclear norm of the limit - minimum) / minimum; None where no limit is known."""
        return None if self.norm is None else (self.norm - self.least_norm) / self.least_norm

    def to_dict(self) -> dict[str, Any]:
        """Return the case as a JSON-ready dictionary."""
        found = plain(self, "mask rank group status learned_rank least_rank minimal_rank")
        norms = {"nuclear_norm": self.norm, "least_nuclear_norm": self.least_norm}
        return found | norms | plain(self, "norm_gap reason")

    def __repr__(self) -> str:
        found = f"rank {self.learned_rank} of {list(self.least_rank)}, norm gap {self.norm_gap}"
        return f"MaskCase({self.mask}, data of rank {self.rank}: {self.status}, {found})"


@dataclass(frozen=True, slots=True, eq=False)
class MaskStudy:
    """All cases of a study, and what they say."""

    cases: tuple[MaskCase, ...]
    seed: int

    def of(self, group: Group) -> tuple[MaskCase, ...]:
        """Return the cases of one group."""
        return tuple(case for case in self.cases if case.group is group)

    @property
    def exceptions(self) -> tuple[MaskCase, ...]:
        """Return the connected cases in which the minimum rank is not known to be learned."""
        return tuple(case for case in self.of(Group.CONNECTED) if case.minimal_rank is not True)

    def claims(self) -> tuple[Claim, ...]:
        """Return the claim on nuclear norms that theory makes; a case without a limit leaves it undecided."""
        statement = "on complete bipartite components the limit has the minimum nuclear norm"
        gaps = [case.norm_gap for case in self.of(Group.COMPLETE_BIPARTITE)]
        known = [abs(gap) for gap in gaps if gap is not None]
        reason = f"largest relative difference over {len(gaps)} cases"
        if len(known) < len(gaps) or not gaps:
            return (Claim.undecided("masks.norm", statement, f"{len(gaps) - len(known)} of {len(gaps)} have no limit"),)
        return (Claim.bounded("masks.norm", statement, max(known), 0.0, NORM_TOL, reason=reason),)

    def summary(self) -> dict[str, Any]:
        """Return counts and extremes for each group, JSON-ready."""
        return {str(group): _counts(self.of(group)) for group in Group}

    def to_dict(self) -> dict[str, Any]:
        """Return summary, claims, exceptions and all cases as a JSON-ready dictionary."""
        return {
            "seed": self.seed,
            "summary": self.summary(),
            "claims": [claim.to_dict() for claim in self.claims()],
            "exceptions": [case.to_dict() for case in self.exceptions],
            "cases": [case.to_dict() for case in self.cases],
        }

    def __repr__(self) -> str:
        return f"MaskStudy({len(self.cases)} cases, {len(self.exceptions)} exceptions, seed {self.seed})"


def mask_study(
    masks: Iterable[np.ndarray], *, ranks: Sequence[int] = (1, 2, 3), seed: int = 0, n_jobs: int = 1
) -> MaskStudy:
    """Return the study of the masks, each with one integer matrix of every rank.

    Parameters
    ----------
    masks : iterable of (d1, d2) bool arrays
        For example ``gflow.mask_classes(4, 4)``.
    ranks : sequence of int
    seed : int
        Equal seeds give equal studies, whatever ``n_jobs``.
    n_jobs : int
        Processes, each with one BLAS thread.

    Raises
    ------
    ValueError
        If a rank does not fit a mask.
    """
    tasks = [(mask, rank, [seed, number, rank]) for number, mask in enumerate(masks) for rank in ranks]
    return MaskStudy(tuple(mapped(mask_case, tasks, n_jobs)), seed)


def integer_matrix(rng: np.random.Generator, shape: tuple[int, int], rank: int) -> np.ndarray:
    """Return a product of two random matrices with entries +-1, +-2, +-3, of the given rank and without zeros.

    Raises ``ValueError`` if the rank does not lie between 1 and min(d1, d2).
    """
    if not 1 <= rank <= min(shape):
        raise ValueError(f"rank must lie between 1 and {min(shape)}; got {rank}")
    while True:
        W = rng.choice(FACTORS, (shape[0], rank)) @ rng.choice(FACTORS, (rank, shape[1]))
        if W.all() and np.linalg.matrix_rank(W) == rank:
            return W


def mask_case(mask: np.ndarray, rank: int, seed: int | Sequence[int]) -> MaskCase:
    """Return what the limit learns from one integer matrix on the mask, for one start."""
    rng = np.random.default_rng(seed)
    problem = gflow.MatrixCompletion(integer_matrix(rng, mask.shape, rank), mask)
    start = gflow.Factorization(problem.shape).random(rng)
    traversal, bracket = gflow.saddle_to_saddle(problem, start, compiled=None), gflow.minimum_rank(problem)
    group, W, reason = _group(problem), traversal.matrix, ""
    learned = None if W is None else _rank(W)
    if W is None or (group is Group.CONNECTED and learned != bracket.lower):
        given = Evidence.of(problem, start=1e-8 * start)
        (premise,) = thm3_premise.STATEMENT.claims(given)
        W, learned, reason = given.matrix, given.rank, f"premise {premise.label}: {premise.reason}"
        if W is not None and group is Group.CONNECTED:
            reason += f"; theorem {thm3.claim(given).verdict}"
    return MaskCase(
        mask="/".join("".join("1" if seen else "0" for seen in row) for row in mask),
        rank=rank,
        group=group,
        status=str(traversal.status),
        learned_rank=learned,
        least_rank=(bracket.lower, bracket.upper),
        norm=None if W is None else float(np.linalg.svd(W, compute_uv=False).sum()),
        least_norm=gflow.minimum_nuclear_norm(problem).value,
        reason=reason,
    )


def _group(problem: gflow.MatrixCompletion) -> Group:
    graphs = gflow.connectivity(problem)
    if graphs.kind is gflow.Kind.COMPLETE_BIPARTITE:
        return Group.COMPLETE_BIPARTITE
    whole = graphs.kind is gflow.Kind.CONNECTED and not (graphs.unobserved_rows or graphs.unobserved_columns)
    return Group.CONNECTED if whole else Group.OTHER


def _rank(W: np.ndarray) -> int:
    sizes = np.linalg.svd(W, compute_uv=False)
    return int(np.sum(sizes > TESTED_RANK_TOL * sizes[0])) if sizes[0] > 0 else 0


def _counts(cases: Sequence[MaskCase]) -> dict[str, Any]:
    gaps = [case.norm_gap for case in cases if case.norm_gap is not None]
    minimal = sum(case.minimal_rank is True for case in cases)
    return {
        "cases": len(cases),
        "without a limit": sum(case.norm is None for case in cases),
        "minimum rank": minimal,
        "above the minimum rank": sum(case.minimal_rank is False for case in cases),
        "fraction at minimum rank": minimal / len(cases) if cases else None,
        "largest norm gap": max(gaps, default=None),
        "median norm gap": float(np.median(gaps)) if gaps else None,
        "at the minimum norm": sum(abs(gap) <= NORM_TOL for gap in gaps),
    }
