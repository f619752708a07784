"""The alpha -> 0 limit of X = U U^T from the origin, saddle to saddle.

At a critical point U of rank k, with G = dR/dX (symmetrised) and G U = 0, the Hessian outside the row space of U has
the eigenvalues 2 lambda_i(G), for dU = u w^T with u an eigenvector of G and w orthogonal to the rows of U: the escape
goes along the top eigenvector of -G, and its sign does not matter to X. Where -G has no positive eigenvalue, G >= 0,
G X = 0 and X >= 0 are the optimality conditions of the convex risk over the cone: the chain ends at a global minimum.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow import watch
from gflow.critical import NotConverged, find_critical_point
from gflow.flow import IntegrationFailed, Status, Trajectory, gradient_flow
from gflow.models import SymmetricFactorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion, MatrixSensing, as_problem
from gflow.traversal import TraversalStatus
from gflow.traversal.growth import FAR_GROWTH, Growth, grows, growth, peak_time
from gflow.traversal.polish import rest_ahead
from gflow.traversal.sectors import LENGTHS, subspaces
from gflow.traversal.settling import FLAT
from gflow.traversal.symmetric_records import SymmetricSaddle, SymmetricTraversal

LAUNCH = 1e-5
"""Length of the first step along an unstable manifold, in the square root of the unit: errors are of its square."""
COLUMN_TOL = 1e-6
"""Singular values of U below this fraction of the largest are lost."""
ZERO_LOSS = 1e-18
"""Losses up to this, in the unit squared, are zero."""
SMALL_LOSS = 1e-7
"""A minimum whose loss is below this fraction of that at the origin cannot be told from one at infinity."""
REACH = 0.05
"""Longest way from the end of an orbit to the critical point, relative to |U|."""
MOST_EVALUATIONS = 200_000


@watch.watched
def symmetric_traversal(
    problem: Any,
    *,
    width: int | None = None,
    gap_tol: float = 1e-6,
    rtol: float = 1e-10,
    max_evaluations: int = MOST_EVALUATIONS,
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
    >>> limit = symmetric_traversal(MatrixCompletion([[np.nan, 2], [2, 1]]))
    >>> limit.rank, limit.matrix.round(6).tolist()
    (1, [[4.0, 2.0], [2.0, 1.0]])
    """
    problem = as_problem(problem)
    if isinstance(problem, MatrixCompletion):
        problem = MatrixSensing.of_completion(problem)
    d, d2 = problem.shape
    if d != d2:
        raise ValueError(f"X = U U^T needs square measurements; got {d} x {d2}: see symmetric_dilation")
    if not 0 < gap_tol < 1:
        raise ValueError(f"gap_tol must lie between 0 and 1; got {gap_tol!r}")
    model = SymmetricFactorization(d, width)
    return _Chain(problem, min(model.rank, d), gap_tol, rtol, max_evaluations).traversal()


class _Chain:
    """The chain in the problem's own unit."""

    def __init__(self, problem: MatrixSensing, width: int, gap_tol: float, rtol: float, max_evaluations: int) -> None:
        self.problem, self.unit, self.width = problem.normalized, problem.unit, width
        self.gap_tol, self.rtol, self.max_evaluations = gap_tol, rtol, max_evaluations
        self.saddles: list[SymmetricSaddle] = []

    def traversal(self) -> SymmetricTraversal:
        """Go from saddle to saddle until nothing escapes."""
        try:
            with watch.whole():
                status, reason = self.followed()
        except watch.TimeIsUp as up:
            if not (self.saddles and watch.ends_early()):
                raise
            status, reason = TraversalStatus.UNDECIDED, str(up)
        matrix = self.saddles[-1].matrix if status == TraversalStatus.CONVERGED else None
        return SymmetricTraversal(status, reason, tuple(self.saddles), matrix)

    def followed(self) -> tuple[TraversalStatus, str]:
        """Return how the chain ends."""
        U = np.zeros((self.problem.shape[0], 0))
        while True:
            self.saddles.append(self.saddle(U))
            stop = self.stop(self.saddles[-1])
            if stop is None:
                reached = self.orbit(U, self.saddles[-1].direction)
                if isinstance(reached, np.ndarray):
                    stop, U = self.unmixed(U, self.saddles[-1].direction, reached), reached
                    if stop is None:
                        continue
                    self.saddles.append(self.saddle(U))
                else:
                    stop = reached
            return stop

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

    def stop(self, saddle: SymmetricSaddle) -> tuple[TraversalStatus, str] | None:
        """Return how the chain ends at the saddle, or None if it goes on."""
        if saddle.loss <= ZERO_LOSS * self.unit**2:
            return TraversalStatus.CONVERGED, "the data are met"
        first = self.saddles[0].escape_rate
        if saddle.inside_rate > self.gap_tol * first and saddle.rank:
            return TraversalStatus.DEGENERATE, (
                f"the saddle of rank {saddle.rank} is unstable inside its rank as well: the limit depends on the start"
            )
        if saddle.escape_rate <= self.gap_tol * first and 0 < saddle.loss < SMALL_LOSS * self.saddles[0].loss:
            return TraversalStatus.UNDECIDED, (
                f"the loss fell to {saddle.loss:.3g} without vanishing: its infimum may be met at infinity only"
            )
        if saddle.escape_rate <= self.gap_tol * first:
            return TraversalStatus.CONVERGED, f"a minimum over X >= 0 of loss {saddle.loss:.6g}"
        if saddle.rank >= self.width:
            return TraversalStatus.CONVERGED, f"a critical point of loss {saddle.loss:.6g} at the full width"
        if saddle.gap <= self.gap_tol * first:
            return (
                TraversalStatus.DEGENERATE,
                f"the top eigenvalue of -G is repeated at the saddle of rank {saddle.rank}",
            )
        return None

    def unmixed(self, U: np.ndarray, u: np.ndarray, reached: np.ndarray) -> tuple[TraversalStatus, str] | None:
        """Return that the next escape is open where growing modes were kept apart, unless their rates stayed."""
        if len(self.saddles) >= self.width:
            return None
        X, flows = np.c_[U, u], []
        for length in LENGTHS:
            G = self.problem.gradient(X @ X.T)
            flows.append(-(G + G.T) / 2)
            size = float(np.linalg.norm(flows[-1]) + np.linalg.norm(X) ** 2)
            X = X + length / size * (flows[-1] @ X)
        G = self.problem.gradient(reached @ reached.T)
        least = self.gap_tol * self.saddles[0].escape_rate / (2.0 * self.unit)
        grow, kept = 0, True
        for basis in subspaces(np.array(flows)):
            before, after = (np.linalg.eigvalsh(basis.T @ flow @ basis) for flow in (flows[0], -(G + G.T) / 2))
            grow += bool(after[-1] > least)
            kept &= bool(after[-1] <= least or np.abs(after - before).max() <= least)
        if grow < 2 or kept:
            return None
        return TraversalStatus.UNDECIDED, (
            f"at rank {reached.shape[1]} several modes grow that the data keep apart: which comes first is not followed"
        )

    def orbit(self, U: np.ndarray, u: np.ndarray) -> np.ndarray | tuple[TraversalStatus, str]:
        """Return the critical point of rank k + 1 at the end of the unstable manifold along u, or why there is none."""
        d, k = U.shape
        objective = Objective.of(self.problem, SymmetricFactorization(d, k + 1))
        center = np.pad(U, ((0, 0), (0, 1)))
        launch = np.zeros((d, k + 1))
        launch[:, k] = LAUNCH * u
        where = f"from rank {k}: "
        try:
            limits: dict[str, Any] = {"rtol": self.rtol, "max_evaluations": self.max_evaluations}
            limits |= {"loss_tol": 1e-22, "callback": Growth(objective, launch.ravel(), center.ravel())}
            path = gradient_flow(objective, launch.ravel(), center=center.ravel(), **limits)
        except IntegrationFailed as failure:
            return TraversalStatus.UNDECIDED, f"{where}{failure}"
        if path.status in (Status.DIVERGING, Status.HORIZON) or grows(
            path.times, path.states, peak_time(path), FAR_GROWTH
        ):
            return self.far_away(objective, path, where)
        end = path.final.reshape(d, k + 1)
        size = float(np.linalg.norm(end))
        try:
            point = find_critical_point(objective, end.ravel(), radius=REACH * size)
        except NotConverged as failure:
            return TraversalStatus.UNDECIDED, f"{where}the orbit ended {path.status}; {failure}"
        if path.status != Status.CONVERGED and float(np.linalg.norm(point.theta - path.final)) > 1e-6 * size:
            return TraversalStatus.UNDECIDED, f"{where}the orbit ended {path.status}: {path.message}"
        return _without_lost_columns(np.asarray(point.theta).reshape(d, k + 1))

    def growing(self, theta: np.ndarray) -> float:
        """Return the largest rate at which a new column grows beside those of U."""
        U = theta.reshape(self.problem.shape[0], -1)
        G, free = self.problem.gradient(U @ U.T), np.linalg.qr(U, mode="complete")[0][:, U.shape[1] :]
        return -float(np.linalg.eigvalsh(free.T @ (G + G.T) @ free)[0])

    def far_away(self, objective: Objective, path: Trajectory, where: str) -> tuple[TraversalStatus, str]:
        """Return what is known of an orbit whose |U| grows as a power of time."""
        rest = rest_ahead(objective, path.final)
        size, time = float(np.linalg.norm(path.final)), float(path.times[-1])
        reason = f"{where}|U| is {size:.3g} at t = {time:.3g}, in the problem's own unit; loss {path.final_loss:.6g}"
        if rest is not None and _is_minimum(objective, rest, self.saddles[-1].rank + 1):
            return TraversalStatus.UNDECIDED, f"{reason}; a minimum lies far ahead"
        if self.saddles[-1].rank + 1 < self.width and self.growing(path.final) * time > 1.0:
            return TraversalStatus.UNDECIDED, f"{reason}; other modes grow on the way, and are not followed from there"
        power = growth(path.times, path.states)
        return TraversalStatus.DIVERGING, f"{reason}; it grows as t^{power:.2f}, and no minimum is found ahead"


def _is_minimum(objective: Objective, U: np.ndarray, columns: int) -> bool:
    """Return whether every mode of a critical point but the rotations of its columns has a positive curvature."""
    values = np.linalg.eigvalsh(objective.hessian(U))
    return bool(values[columns * (columns - 1) // 2] > FLAT * values[-1])


def _without_lost_columns(U: np.ndarray) -> np.ndarray:
    """Return U with orthogonal columns, without those that the orbit has lost: X need not keep its rank."""
    left, sizes, _ = np.linalg.svd(U, full_matrices=False)
    kept = sizes > COLUMN_TOL * sizes[0]
    return left[:, kept] * sizes[kept]
