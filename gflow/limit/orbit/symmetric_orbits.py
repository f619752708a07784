"""Orbits of X = U U^T that leave a saddle of rank k in rank k + 1, and where they lead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gflow.critical import NotConverged, find_critical_point
from gflow.flow import IntegrationFailed, Status, Trajectory, gradient_flow
from gflow.limit.family import Stopped
from gflow.limit.orbit.growth import FAR_GROWTH, NOT_YET_TOLD, Growth, grows, growth, hides, peak_time
from gflow.limit.orbit.polish import rest_ahead
from gflow.limit.orbit.settling import FLAT
from gflow.limit.records import TraversalStatus
from gflow.models import SymmetricFactorization
from gflow.objective import Objective
from gflow.problems import MatrixSensing

SYMMETRIC_LAUNCH = 1e-5
"""Length of the first step along an unstable manifold, in the square root of the unit: errors are of its square."""
COLUMN_TOL = 1e-6
"""Singular values of U below this fraction of the largest are lost."""
SYMMETRIC_REACH = 0.05
"""Longest way from the end of an orbit to the critical point, relative to |U|."""


def arrived(problem: MatrixSensing, U: np.ndarray, u: np.ndarray, width: int, limits: Mapping[str, Any]) -> np.ndarray:
    """Return the critical point at the end of the orbit that leaves U along a new column u, of rank k + 1 or less.

    Parameters
    ----------
    problem : MatrixSensing, of unit 1
    U : (d, k) array
    u : (d,) array
    width : int
        The largest rank.
    limits : tolerances and budget of the orbit, as in ``gradient_flow``

    Raises ``Stopped`` where the orbit runs to infinity, or its end is not known.
    """
    d, k = U.shape
    objective = Objective.of(problem, SymmetricFactorization(d, k + 1))
    center = np.pad(U, ((0, 0), (0, 1)))
    launch = np.zeros((d, k + 1))
    launch[:, k] = SYMMETRIC_LAUNCH * u
    where = f"from rank {k}: "
    watch = Growth(objective, launch.ravel(), center.ravel())
    try:
        path = gradient_flow(objective, launch.ravel(), center=center.ravel(), loss_tol=1e-22, callback=watch, **limits)
    except IntegrationFailed as failure:
        raise Stopped(TraversalStatus.UNDECIDED, f"{where}{failure}") from failure
    if path.status in (Status.DIVERGING, Status.HORIZON) or grows(path.times, path.states, peak_time(path), FAR_GROWTH):
        raise far_away(problem, objective, path, where, alone=k + 1 >= width)
    size = float(np.linalg.norm(path.final))
    try:
        point = find_critical_point(objective, path.final, radius=SYMMETRIC_REACH * size)
    except NotConverged as failure:
        raise Stopped(TraversalStatus.UNDECIDED, f"{where}the orbit ended {path.status}; {failure}") from failure
    if path.status != Status.CONVERGED and float(np.linalg.norm(point.theta - path.final)) > 1e-6 * size:
        raise Stopped(TraversalStatus.UNDECIDED, f"{where}the orbit ended {path.status}: {path.message}")
    return without_lost_columns(np.asarray(point.theta).reshape(d, k + 1))


def far_away(problem: MatrixSensing, objective: Objective, path: Trajectory, where: str, *, alone: bool) -> Stopped:
    """Return what is known of an orbit whose |U| grows as a power of time, ``alone`` if no column is left to grow."""
    columns = objective.dim // problem.shape[0]
    rest = rest_ahead(objective, path.final)
    size, time = float(np.linalg.norm(path.final)), float(path.times[-1])
    reason = f"{where}|U| is {size:.3g} at t = {time:.3g}, in the problem's own unit; loss {path.final_loss:.6g}"
    if rest is not None and is_minimum(objective, rest, columns):
        return Stopped(TraversalStatus.UNDECIDED, f"{reason}; a minimum lies far ahead")
    if not alone and growth_rate(problem, path.final) * time > 1.0:
        said = "other modes grow on the way, and are not followed from there"
        return Stopped(TraversalStatus.UNDECIDED, f"{reason}; {said}")
    U = path.final.reshape(problem.shape[0], -1)
    if hides(problem.misfit(U @ U.T), problem.targets):
        return Stopped(TraversalStatus.UNDECIDED, f"{reason}; {NOT_YET_TOLD}")
    power = growth(path.times, path.states)
    return Stopped(TraversalStatus.DIVERGING, f"{reason}; it grows as t^{power:.2f}, and no minimum is found ahead")


def growth_rate(problem: MatrixSensing, theta: np.ndarray) -> float:
    """Return the largest rate at which a new column grows beside those of U."""
    U = theta.reshape(problem.shape[0], -1)
    G, free = problem.gradient(U @ U.T), np.linalg.qr(U, mode="complete")[0][:, U.shape[1] :]
    return -float(np.linalg.eigvalsh(free.T @ (G + G.T) @ free)[0])


def is_minimum(objective: Objective, U: np.ndarray, columns: int) -> bool:
    """Return whether every mode of a critical point but the rotations of its columns has a positive curvature."""
    values = np.linalg.eigvalsh(objective.hessian(U))
    return bool(values[columns * (columns - 1) // 2] > FLAT * values[-1])


def without_lost_columns(U: np.ndarray) -> np.ndarray:
    """Return U with orthogonal columns, without those that the orbit has lost: X need not keep its rank."""
    left, sizes, _ = np.linalg.svd(U, full_matrices=False)
    kept = sizes > COLUMN_TOL * sizes[0]
    return left[:, kept] * sizes[kept]
