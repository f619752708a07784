"""Multistart surveys of the critical points of small problems, grouped by symmetry orbit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.critical.points import CriticalPoint, NotConverged, find_critical_point

if TYPE_CHECKING:
    from gflow.objective import Objective


@dataclass(frozen=True, slots=True, eq=False)
class Orbit:
    """Critical points that share loss, matrix W and the ranks of A and B: one orbit of GL(r), or part of one.

    Eigenvalues of the Hessian change along such an orbit, so every point found is kept. ``balanced`` counts the
    points that lie on an Omega_k (row(A) = col(B)).
    """

    value: float
    matrix: np.ndarray
    ranks: tuple[int, int]
    points: tuple[CriticalPoint, ...]
    balanced: int

    def to_dict(self) -> dict[str, object]:
        """Return loss, W, ranks, the kinds met and the range of the escape rates for JSON."""
        rates = [point.escape_rate for point in self.points]
        return {
            "value": self.value,
            "matrix": self.matrix.tolist(),
            "ranks": list(self.ranks),
            "n_points": len(self.points),
            "n_balanced": self.balanced,
            "kinds": sorted({str(point.kind) for point in self.points}),
            "escape_rates": [min(rates), max(rates)],
        }

    def __repr__(self) -> str:
        return f"Orbit(value={self.value:.8g}, ranks={self.ranks}, {len(self.points)} points)"


def critical_orbits(
    objective: Objective,
    model: Any,
    rng: np.random.Generator,
    *,
    n_starts: int = 60,
    matrix_tol: float = 1e-5,
    rank_tol: float = 1e-6,
) -> tuple[Orbit, ...]:
    """Return the orbits of critical points reached by Newton's method from random starts, by falling loss.

    Half of the starts have random factors of every width (rank 0 to r, scales 0.1 to 3), the other half are earlier
    critical points moved along their GL(r) orbit, where row(A) and col(B) part, and disturbed.

    Parameters
    ----------
    objective : Objective
    model : Factorization
        Tells A and B in theta.
    rng : numpy.random.Generator
    n_starts : int
    matrix_tol : float
        Two points share an orbit when their W differ by at most matrix_tol * unit in every entry.
    rank_tol : float
        Ranks of A and B count singular values above rank_tol times the largest of both.

    Raises ``ValueError`` for a dimension above 1000. A survey proves nothing about points it did not meet.
    """
    orbits: list[list[CriticalPoint]] = []
    for trial in range(n_starts):
        if trial % 2 and orbits:
            start = _moved(model, orbits[rng.integers(len(orbits))][0].theta, rng)
        else:
            start = _low_rank_start(model, rng) * objective.theta_unit
        try:
            point = find_critical_point(objective, start)
        except NotConverged:
            continue
        _file(orbits, point, model, matrix_tol * objective.unit)
    records = (_orbit(points, model, rank_tol) for points in orbits)
    return tuple(sorted(records, key=lambda orbit: -orbit.value))


def _low_rank_start(model: Any, rng: np.random.Generator) -> np.ndarray:
    width = int(rng.integers(0, model.rank + 1))
    projection = np.linalg.qr(rng.standard_normal((model.rank, model.rank)))[0][:, :width]
    scale = 10.0 ** rng.uniform(-1.0, 0.5)
    Z = scale * rng.standard_normal((sum(model.shape), width)) @ projection.T
    return model.unstacked(Z)


def _moved(model: Any, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    A, B = model.factors(theta)
    G = np.eye(model.rank) + 0.5 * rng.standard_normal((model.rank, model.rank))
    moved = model.theta(A @ G, np.linalg.solve(G, B))
    return moved + 1e-3 * float(np.linalg.norm(moved)) * rng.standard_normal(model.dim) / np.sqrt(model.dim)


def _file(orbits: list[list[CriticalPoint]], point: CriticalPoint, model: Any, allowed: float) -> None:
    W = model.matrix(point.theta)
    for points in orbits:
        if float(np.abs(model.matrix(points[0].theta) - W).max()) <= allowed:
            points.append(point)
            return
    orbits.append([point])


def _orbit(points: list[CriticalPoint], model: Any, rank_tol: float) -> Orbit:
    theta = points[0].theta
    A, B = model.factors(theta)
    a, b = (np.linalg.svd(factor, compute_uv=False) for factor in (A, B))
    largest = max(a[0], b[0])
    ranks = int(np.sum(a > rank_tol * largest)), int(np.sum(b > rank_tol * largest))
    balanced = sum(_on_omega(model, point.theta, rank_tol) for point in points)
    return Orbit(points[0].value, model.matrix(theta), ranks, tuple(points), balanced)


def _on_omega(model: Any, theta: np.ndarray, rank_tol: float) -> bool:
    A, B = model.factors(theta)
    sizes = [np.linalg.svd(X, compute_uv=False) for X in (A, B, model.stacked(theta))]
    largest = sizes[2][0]
    ranks = {int(np.sum(s > rank_tol * largest)) for s in sizes} if largest else {0}
    return len(ranks) == 1
