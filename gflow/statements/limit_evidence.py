"""The part of the evidence that concerns the limit: the traversal, its numbers, and certified references."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

import gflow
from gflow.policy import DENSE_LIMIT, TESTED_RANK_TOL
from gflow.statements.given import Given
from gflow.statements.limits import ROUNDED, Limit, least_norm, limit_of
from gflow.statements.visits import Visit, visits


class LimitEvidence(Given):
    """The limit of infinitesimal starts along the start, and the references that it is compared with."""

    @cached_property
    def traversal(self) -> gflow.Traversal:
        """Return the saddle-to-saddle limit along the directions of the start.

        With one component it is that of every start, unless modes escape together.
        """
        single = len(self.connectivity.coupling_components) == 1
        if single and self.every_start.status is not gflow.TraversalStatus.DEGENERATE:
            known = self.every_start.factors is not None and self.direction is not None
            return replace(self.every_start, from_start=known)
        return gflow.saddle_to_saddle(self.problem, self.direction, rank=self.model.rank)

    @cached_property
    def every_start(self) -> gflow.Traversal:
        """Return the limit over all starts, in which entries that depend on the start have a law."""
        return gflow.saddle_to_saddle(self.problem, rank=self.model.rank)

    @cached_property
    def visits(self) -> tuple[Visit, ...]:
        """Return the critical points of the whole matrix that the limit passes; up to where the traversal stops."""
        return visits(self.traversal)

    @cached_property
    def limit(self) -> Limit:
        """Return the limit for the start, as far as it is known."""
        return limit_of(self)

    @property
    def matrix(self) -> np.ndarray | None:
        """Return the limit, shape (d1, d2); None where there is none, or none is known."""
        return self.limit.matrix

    @property
    def error(self) -> float:
        """Return an estimate of the largest error of an entry of the limit; infinite where it is not known."""
        return self.limit.error

    @property
    def rank(self) -> int | None:
        """Return the number of singular values of the limit that are not zero; None where its error hides it.

        One between rounding and ten times the error of an entry may be zero or not.
        """
        if self.matrix is None:
            return None
        sizes = self.once(_sizes)
        clear = int(np.sum(sizes > max(ROUNDED * sizes[0], 10.0 * self.error)))
        return clear if clear == int(np.sum(sizes > ROUNDED * sizes[0])) else None

    @property
    def faint(self) -> bool:
        """Return whether the rank counts singular values up to 1e-6 of the largest: too small to refute a theorem."""
        if self.rank is None:
            return False
        sizes = self.once(_sizes)
        return self.rank > int(np.sum(sizes > TESTED_RANK_TOL * sizes[0]))

    @property
    def nuclear_norm(self) -> float | None:
        """Return the nuclear norm of the limit."""
        return None if self.matrix is None else float(self.once(_sizes).sum())

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

    @cached_property
    def nuclear(self) -> gflow.Completion | None:
        """Return the certified minimum nuclear norm; None where it was not computed."""
        return least_norm(self)

    @cached_property
    def bracket(self) -> gflow.RankBracket | None:
        """Return bounds of the minimum rank; None where they were not computed."""
        return gflow.minimum_rank(self.problem) if np.prod(self.problem.shape) <= DENSE_LIMIT else None


def _sizes(given: LimitEvidence) -> np.ndarray:
    """Return the singular values of the limit, largest first."""
    assert given.matrix is not None
    return np.linalg.svd(given.matrix, compute_uv=False)
