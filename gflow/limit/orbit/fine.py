"""An orbit as finely as the terms of one exponent along it ask for: to its rest, and with states in between."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gflow.flow import Status
from gflow.limit.law.sectors import MixingUnknown, residual_flow
from gflow.limit.orbit.curvature import Curvature
from gflow.limit.orbit.rosenbrock import rosenbrock_flow
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import EntryProblem

REST = 1e-10
"""An orbit is followed until its slope has fallen to this fraction of its peak."""
MOST_STEPS = 3000
NORM_LIMIT = 1e6
PARTS = 8
"""Each step is divided into so many."""
BENT, STIFF = 3.0, 300.0
"""Longest steps, times the largest curvature, in which an orbit is a quintic in time, and a cubic."""
SAME_END = 1e-5
"""It ends where the orbit of the chain does, within this fraction of its size."""
POINTS = 0.5 + np.array([-1.0, 1.0]) * np.sqrt(3.0) / 6.0
"""Gauss points of a step; the residual there makes a commutator-free exponential method of order 4."""
WEIGHTS = 0.5 + np.array([[1.0, -1.0], [-1.0, 1.0]]) * np.sqrt(3.0) / 3.0


def fine_orbit(
    problem: EntryProblem, active: np.ndarray, columns: np.ndarray, end: np.ndarray, accuracy: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times, (T,), active columns, (T, N, K), and [[0, -E], [-E^T, 0]] (2 / n) in each step, of an orbit.

    Parameters
    ----------
    problem : MatrixCompletion, in its own unit
    active, columns : (N, k) and (N, m) arrays
        [A; B^T] at the saddle left, and the columns that start beside it; K = k + m.
    end : (N, K) array
        Where the orbit leads.
    accuracy : float
        Tolerance of the integration.

    Raises ``MixingUnknown`` where it does not arrive there within its steps.
    """
    d1, k, m = problem.shape[0], active.shape[1], columns.shape[1]
    model = Factorization(problem.shape, k + m)
    objective = replace(Objective.of(problem, model), hessian=Curvature(problem, model).hessian)
    parts = np.pad(active, ((0, 0), (0, m))), np.hstack([0.0 * active, columns])
    center, launch = (model.theta(each[:d1], each[d1:].T) for each in parts)
    peak = 0.0

    def rests(t: float, theta: np.ndarray, slope: float) -> bool:
        nonlocal peak
        peak = max(peak, slope)
        return slope <= REST * peak

    limits: dict[str, Any] = {"rtol": accuracy, "norm_limit": NORM_LIMIT, "max_steps": MOST_STEPS}
    path = rosenbrock_flow(objective, center, launch, watch=rests, **limits)
    left = float(np.linalg.norm(stacked(model, path.final[None])[0] - end))
    if path.status not in (Status.HORIZON, Status.ROUNDOFF) or left > SAME_END * float(np.linalg.norm(end)):
        raise MixingUnknown("an orbit whose passive modes must be known exactly does not come to rest")
    times, states, between = refined(objective, path.times, path.states)
    E = problem.residual(np.array([model.output(theta) for theta in between]))
    flows = 2.0 * problem.weight * residual_flow(E).reshape(-1, 2, len(active), len(active))
    return times, stacked(model, states), np.einsum("ij,tjkl->tikl", WEIGHTS, flows).reshape(-1, *flows.shape[2:])


def stacked(model: Factorization, states: np.ndarray) -> np.ndarray:
    """Return [A; B^T] of states, (T, d1 + d2, k)."""
    factors = [model.factors(theta) for theta in states]
    return np.array([np.concatenate([A, B.T]) for A, B in factors])


def refined(objective: Objective, times: np.ndarray, states: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times and states after every half of every part of the steps, and the states at their Gauss points.

    A part of length h is an exponential step of h / 2 for each of two weighted means over its Gauss points.
    """
    ends, points = np.arange(1, 2 * PARTS + 1) / (2 * PARTS), ((np.arange(PARTS)[:, None] + POINTS) / PARTS).ravel()
    velocities = np.array([-objective.gradient(theta) for theta in states])
    hessians = [objective.hessian(theta) for theta in states]
    bends = np.array([-H @ v for H, v in zip(hessians, velocities, strict=True)])
    sizes = np.array([np.linalg.norm(H, 2) for H in hessians])
    found, between = [states[:1]], []
    for i, h in enumerate(np.diff(times)):
        reach = h * max(sizes[i], sizes[i + 1])
        order = 5 if reach <= BENT else 3 if reach <= STIFF else 1
        knots = states[i : i + 2], h * velocities[i : i + 2], h * h * bends[i : i + 2]
        found.append(interpolated(ends, knots, order))
        between.append(interpolated(points, knots, order))
    steps = np.repeat(np.diff(times) / (2 * PARTS), 2 * PARTS)
    return np.cumsum(np.r_[0.0, steps]), np.concatenate(found), np.concatenate(between)


def interpolated(s: np.ndarray, knots: tuple[np.ndarray, np.ndarray, np.ndarray], order: int) -> np.ndarray:
    """Return Hermite's interpolant at s in [0, 1] from values, slopes and second derivatives at 0 and 1."""
    (x0, x1), (v0, v1), (a0, a1) = knots
    s = s[:, None]
    if order == 1:
        return np.asarray(x0 + s * (x1 - x0))
    cubic = x0 + s * v0 + s * s * (3 * (x1 - x0) - 2 * v0 - v1) + s**3 * (v0 + v1 - 2 * (x1 - x0))
    if order == 3:
        return np.asarray(cubic)
    bends = 6 * (x1 - x0) - 4 * v0 - 2 * v1, -6 * (x1 - x0) + 2 * v0 + 4 * v1
    missing = a0 - bends[0], a1 - bends[1]
    return np.asarray(cubic + 0.5 * s * s * (1 - s) ** 2 * ((1 - s) * missing[0] + s * missing[1]))
