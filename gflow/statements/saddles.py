"""The start of a trajectory, the saddles that it passes, and where it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow import critical, escape, manifolds
from gflow.policy import DENSE_LIMIT, LARGEST_MATRIX, LARGEST_START, RESTARTS, START_SCALE

PLATEAU_REACH = 0.05
"""A plateau's Omega_k, and the critical point on it, must lie within this fraction of max(|theta|, 1)."""

MINIMUM = critical.PointKind.GLOBAL_MINIMUM


@dataclass(frozen=True, slots=True, eq=False)
class VisitedSaddle:
    """A critical point of positive loss that the trajectory passes; in the problem's own unit.

    Attributes
    ----------
    plateau : Plateau
        The stay of the trajectory near it.
    rank : int
        The least k for which Omega_k holds a critical point as near and with as high a loss as the plateau.
    distance : float
        How far that Omega_k is from the polished point: rounding, unless Newton's method left it.
    point : CriticalPoint
    escape : ResidualEscape
    """

    plateau: Any
    rank: int
    distance: float
    point: gflow.CriticalPoint
    escape: escape.ResidualEscape

    def __repr__(self) -> str:
        return f"VisitedSaddle(rank={self.rank}, {self.point})"


def singular_values(model: gflow.Factorization, theta: np.ndarray) -> np.ndarray:
    """Return the singular values of W, largest first; above 10^6 entries the first min(d1, d2, r) ones alone.

    Those are the singular values of the product of the two triangular factors of A and of B^T.
    """
    d1, d2 = model.shape
    if d1 * d2 <= LARGEST_MATRIX or model.rank >= min(d1, d2):
        return np.linalg.svd(model.output(theta), compute_uv=False)
    A, B = model.factors(theta)
    left, right = (np.asarray(np.linalg.qr(factor, mode="r")) for factor in (A, B.T))
    return np.linalg.svd(left @ right.T, compute_uv=False)


def start_of(problem: Any, model: Any, seed: int, scale: float | None, start: Any) -> np.ndarray:
    """Return the start in the problem's own unit, shape (dim,), read-only: the one given, or a random one.

    Raises ``ValueError`` for a scale that is not positive, or a start above 1e50 sqrt(max|M|).
    """
    root = float(problem.unit ** (1.0 / model.degree)) if model.degree else 1.0
    if start is None:
        if scale is None:  # of degree L a flow can be followed while scale^(L - 1) is above rounding errors
            scale = START_SCALE ** (1.0 / max(1, (model.degree or 2) - 1)) * min(1.0, root)
        alpha = scale
        if not (np.isfinite(alpha) and alpha > 0):
            raise ValueError(f"scale must be a positive finite number; got {alpha!r}")
        theta = alpha * np.random.default_rng(seed).standard_normal(model.dim) / root
    else:
        theta = np.array(start, dtype=float) / root
    largest = float(np.abs(theta).max(initial=0.0))
    if largest > LARGEST_START:
        unit = "sqrt(max|M|)" if model.degree == 2 else f"max|M|^(1/{model.degree})"
        raise ValueError(
            f"entries of the start must be at most {LARGEST_START:g} {unit}; the largest is {largest:.3g} {unit}: "
            "choose a smaller scale"
        )
    theta.setflags(write=False)
    return theta


def passed(trajectory: gflow.Trajectory) -> list[Any]:
    """Return the plateaus that are not the global minimum in which the trajectory ends."""
    arrived = trajectory.status is gflow.Status.CONVERGED
    return [plateau for plateau in trajectory.plateaus if not (arrived and plateau.end is None)]


def saddle_at(
    problem: gflow.MatrixCompletion, model: gflow.Factorization, objective: gflow.Objective, plateau: Any
) -> VisitedSaddle | None:
    """Return the critical point of the smallest Omega_k that explains the plateau, or None if there is none."""
    if model.dim > DENSE_LIMIT:
        return None
    radius = PLATEAU_REACH * max(1.0, float(np.linalg.norm(plateau.theta)))
    for k in range(model.rank + 1):
        manifold = manifolds.omega(model, manifolds.omega_basis(model, plateau.theta, k))
        guess = manifold.project(plateau.theta)
        if float(np.linalg.norm(guess - plateau.theta)) > radius:
            continue
        try:
            point = gflow.find_critical_point(objective, guess, radius=radius)
        except critical.NotConverged:
            continue
        if plateau.loss / 2 <= point.value <= 2 * plateau.loss:
            leaves = escape.residual_escape(problem, model, point.theta, critical_tol=np.inf)
            return VisitedSaddle(plateau, k, float(manifolds.omega_distance(model, point.theta, k)), point, leaves)
    return None


def end_of(objective: gflow.Objective, trajectory: gflow.Trajectory) -> gflow.CriticalPoint | None:
    """Return the last state, polished, if the trajectory converged and its kind could be decided."""
    if trajectory.status is not gflow.Status.CONVERGED:
        return None
    if objective.dim > DENSE_LIMIT:
        return _classified(objective, trajectory.final)
    try:
        size = max(1.0, float(np.linalg.norm(trajectory.final)))
        return gflow.find_critical_point(objective, trajectory.final, radius=PLATEAU_REACH * size)
    except critical.NotConverged:
        return gflow.classify(objective, trajectory.final)


def _classified(objective: gflow.Objective, theta: np.ndarray) -> gflow.CriticalPoint | None:
    """Return what a state at a large dimension is, or None where the lowest eigenvalues are not found."""
    try:
        return gflow.classify(objective, theta, max_restarts=RESTARTS)
    except critical.SpectrumNotConverged:
        return None
