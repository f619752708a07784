"""The alpha -> 0 limit of X = U U^T from the origin, saddle to saddle.

At a critical point U of rank k, with G = dR/dX (symmetrised) and G U = 0, the Hessian outside the row space of U has
the eigenvalues 2 lambda_i(G), for dU = u w^T with u an eigenvector of G and w orthogonal to the rows of U: the escape
goes along the top eigenvector of -G, and its sign does not matter to X. Where -G has no positive eigenvalue, G >= 0,
G X = 0 and X >= 0 are the optimality conditions of the convex risk over the cone: the chain ends at a global minimum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gflow import watch
from gflow.limit import TraversalStatus
from gflow.limit.family import Stop, Stopped, walked
from gflow.limit.law.sectors import LENGTHS, subspaces
from gflow.limit.orbit.symmetric_orbits import arrived
from gflow.limit.symmetric_records import SymmetricSaddle, SymmetricTraversal
from gflow.models import SymmetricFactorization
from gflow.objective import Objective
from gflow.policy import ZERO_LOSS
from gflow.problems import MatrixSensing, as_sensing

SMALL_LOSS = 1e-7
"""A minimum whose loss is below this fraction of that at the origin cannot be told from one at infinity."""
RESTING = 1e-12
"""Rates up to this fraction of the first slope are rounding where X has the size of the data; ends leave 1e-15."""
ORBIT_BUDGET = 200_000


@watch.watched
def symmetric_traversal(
    problem: Any,
    *,
    width: int | None = None,
    gap_tol: float = 1e-6,
    rtol: float = 1e-10,
    max_evaluations: int = ORBIT_BUDGET,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> SymmetricTraversal:
    """Return the limit alpha -> 0 of the gradient flow of X = U U^T from generic starts alpha U_0.

    Parameters
    ----------
    problem : MatrixSensing or MatrixCompletion
        With square measurements; X sees their symmetric parts.
    width : int, optional
        Width of U; the chain is no longer than that. Default: the order d, where every end is a global minimum.
    gap_tol : float
        Degenerate where the two largest growth rates at a saddle differ by at most this fraction of the largest
        growth rate at the origin, or the saddle grows inside its rank: the limit then depends on the start.
    rtol : float
        Tolerance of the integration of each orbit.
    max_evaluations : int
        Budget of gradients of each orbit.
    progress, timeout : see ``gflow.watch.watching``

    Raises
    ------
    ValueError
        If the measurements are not square, or a number is out of range.

    Matrices and rates scale as s, losses as s^2, when y is multiplied by s. Li, Luo, Lyu 2021 (GLRL); Jin et al. 2023.

    Examples
    --------
    >>> from gflow.problems import MatrixCompletion
    >>> limit = symmetric_traversal(MatrixCompletion([[np.nan, 2], [2, 1]]))
    >>> limit.rank, limit.matrix.round(6).tolist()
    (1, [[4.0, 2.0], [2.0, 1.0]])
    """
    problem = as_sensing(problem)
    d, d2 = problem.shape
    if d != d2:
        raise ValueError(f"X = U U^T needs square measurements; got {d} x {d2}: see symmetric_dilation")
    if not 0 < gap_tol < 1:
        raise ValueError(f"gap_tol must lie between 0 and 1; got {gap_tol!r}")
    model = SymmetricFactorization(d, width)
    walk = walked(SymmetricFactors(problem, min(model.rank, d), gap_tol, rtol, max_evaluations))
    return SymmetricTraversal(
        walk.status, walk.reason, walk.saddles, walk.saddles[-1].matrix if walk.converged else None
    )


class SymmetricFactors:
    """The family X = U U^T, in the problem's own unit: a new column opens along the top eigenvector of -G."""

    def __init__(self, problem: MatrixSensing, width: int, gap_tol: float, rtol: float, max_evaluations: int) -> None:
        self.problem, self.unit, self.width = problem.normalized, problem.unit, width
        self.gap_tol, self.limits = gap_tol, {"rtol": rtol, "max_evaluations": max_evaluations}
        self.rounding = RESTING * 2.0 * float(np.linalg.norm(self.problem.gradient(np.zeros(problem.shape)), 2))

    def origin(self) -> np.ndarray:
        """Return U without columns."""
        return np.zeros((self.problem.shape[0], 0))

    def saddle(self, U: np.ndarray) -> SymmetricSaddle:
        """Return what is known of the critical point U, in the caller's units."""
        X = U @ U.T
        G = self.problem.gradient(X)
        values, vectors = np.linalg.eigh(-(G + G.T) / 2)
        u = vectors[:, -1] * (1.0 if vectors[np.abs(vectors[:, -1]).argmax(), -1] > 0 else -1.0)
        gap = float(values[-1] - values[-2]) if len(values) > 1 else float("inf")
        rate = max(2.0 * float(values[-1]), 0.0)
        inside = 0.0
        if U.shape[1]:
            objective = Objective.of(self.problem, SymmetricFactorization(*U.shape))
            inside = max(-float(np.linalg.eigvalsh(objective.hessian(U.ravel()))[0]), 0.0)
        loss = self.problem.risk(X) * self.unit * self.unit
        gap = min(2.0 * gap, rate) * self.unit
        return SymmetricSaddle(X * self.unit, U.shape[1], loss, rate * self.unit, gap, u, inside * self.unit)

    def stop(self, saddles: Sequence[SymmetricSaddle]) -> Stop | None:
        """Return how the walk ends at the last saddle, or None if it goes on."""
        saddle, first = saddles[-1], saddles[0].escape_rate
        quiet = self.rounding * max(self.unit, float(np.abs(saddle.matrix).max()))
        if saddle.loss <= ZERO_LOSS * self.unit**2 and (saddle.escape_rate <= quiet or saddle.rank >= self.width):
            return TraversalStatus.CONVERGED, "the data are met"
        if saddle.inside_rate > self.gap_tol * first and saddle.rank:
            return TraversalStatus.DEGENERATE, (
                f"the saddle of rank {saddle.rank} is unstable inside its rank as well: the limit depends on the start"
            )
        if saddle.escape_rate <= self.gap_tol * first and 0 < saddle.loss < SMALL_LOSS * saddles[0].loss:
            return TraversalStatus.UNDECIDED, (
                f"the loss fell to {saddle.loss:.3g} without vanishing: its infimum may be met at infinity only"
            )
        if saddle.escape_rate <= quiet:
            return TraversalStatus.CONVERGED, f"a minimum over X >= 0 of loss {saddle.loss:.6g}"
        if saddle.rank >= self.width:
            return TraversalStatus.CONVERGED, f"a critical point of loss {saddle.loss:.6g} at the full width"
        if saddle.escape_rate <= self.gap_tol * first:
            said = f"a mode grows at {saddle.escape_rate / first:.1e} of the first rate, above rounding errors"
            return TraversalStatus.UNDECIDED, f"at rank {saddle.rank} {said}, and is not followed"
        if saddle.gap <= self.gap_tol * first:
            reason = f"the top eigenvalue of -G is repeated at the saddle of rank {saddle.rank}"
            return TraversalStatus.DEGENERATE, reason
        return None

    def departed(self, U: np.ndarray, saddles: Sequence[SymmetricSaddle]) -> np.ndarray:
        """Return the critical point at the end of the orbit along a new column, of rank k + 1 or less."""
        u = saddles[-1].direction
        reached = arrived(self.problem, U, u, self.width, self.limits)
        if len(saddles) < self.width:
            self.require_order(U, u, reached, self.gap_tol * saddles[0].escape_rate / (2.0 * self.unit))
        return reached

    def require_order(self, U: np.ndarray, u: np.ndarray, reached: np.ndarray, least: float) -> None:
        """Raise ``Stopped`` at ``reached`` if several modes that were kept apart grow there, at rates that changed."""
        X, flows = np.c_[U, u], []
        for length in LENGTHS:
            G = self.problem.gradient(X @ X.T)
            flows.append(-(G + G.T) / 2)
            size = float(np.linalg.norm(flows[-1]) + np.linalg.norm(X) ** 2)
            X = X + length / size * (flows[-1] @ X)
        G = self.problem.gradient(reached @ reached.T)
        grow, kept = 0, True
        for basis in subspaces(np.array(flows)):
            before, after = (np.linalg.eigvalsh(basis.T @ flow @ basis) for flow in (flows[0], -(G + G.T) / 2))
            grow += bool(after[-1] > least)
            kept &= bool(after[-1] <= least or np.abs(after - before).max() <= least)
        if grow >= 2 and not kept:
            said = "several modes grow that the data keep apart: which comes first is not followed"
            raise Stopped(TraversalStatus.UNDECIDED, f"at rank {reached.shape[1]} {said}", reached)
