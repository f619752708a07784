"""Multistart surveys of the critical points of small problems, grouped by symmetry orbit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow import watch
from gflow.critical.points import CriticalPoint, NotConverged, PointKind, find_critical_point
from gflow.plain import ReadOnly, plain

if TYPE_CHECKING:
    from gflow.objective import Objective

LONG_DESCENT = 1000
"""Steps after which a descent to a minimum is given up, for Newton's method to finish."""


@dataclass(frozen=True, slots=True, eq=False)
class Orbit(ReadOnly):
    """Critical points that share loss, matrix W and the ranks of A and B: points of one GL(r) orbit, in general.

    Global minima are grouped by the ranks alone: where unobserved entries are free they form families, in which every
    start ends at another W. Eigenvalues of the Hessian change along an orbit, so every point found is kept.

    Attributes
    ----------
    value : float
    matrix : (d1, d2) array, read-only
        W at the first point.
    ranks : (rank A, rank B)
    points : tuple of CriticalPoint
    n_on_omega : int
        How many points lie on an Omega_k, rank A = rank B = rank [A; B^T].
    """

    value: float
    matrix: np.ndarray
    ranks: tuple[int, int]
    points: tuple[CriticalPoint, ...]
    n_on_omega: int

    @property
    def kinds(self) -> tuple[PointKind, ...]:
        """Return the kinds of the points, without repetition."""
        return tuple(sorted({point.kind for point in self.points}))

    @property
    def escape_rates(self) -> tuple[float, float]:
        """Return the least and the largest escape rate of the points."""
        rates = [point.escape_rate for point in self.points]
        return min(rates), max(rates)

    def to_dict(self) -> dict[str, object]:
        """Return loss, W, ranks, the kinds met and the range of the escape rates for JSON."""
        return {
            **plain(self, "value matrix ranks"),
            "n_points": len(self.points),
            **plain(self, "n_on_omega"),
            "kinds": [str(kind) for kind in self.kinds],
            **plain(self, "escape_rates"),
        }

    def __repr__(self) -> str:
        kinds = ", ".join(self.kinds)
        return f"Orbit({kinds}, value={self.value:.8g}, ranks={self.ranks}, {len(self.points)} points)"


@watch.watched
def critical_orbits(
    objective: Objective,
    model: Any,
    rng: np.random.Generator,
    *,
    n_starts: int = 60,
    components: Sequence[tuple[Sequence[int], Sequence[int]]] = (),
    norm_limit: float = 100.0,
    matrix_tol: float = 1e-5,
    rank_tol: float = 1e-6,
    callback: Callable[[int], object] | None = None,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> tuple[Orbit, ...]:
    """Return the orbits of critical points reached by Newton's method from random starts, by falling loss.

    A third of the starts are random points of an Omega_k (k = 0 to r, sizes 0.1 to 3). A third are such points after a
    descent (L-BFGS), which stays in Omega_k: every other one is cut off after 3 to 300 steps, the rest go on to a
    minimum inside Omega_k, for k = 1, ..., r in turn. A third are critical points already found, moved along their
    GL(r) orbit, where row(A) and col(B) part, and disturbed.

    Parameters
    ----------
    objective : Objective
    model : Factorization
        Tells A and B in theta.
    rng : numpy.random.Generator
    n_starts : int
    components : sequence of (rows, columns), optional
        The coupling components of disconnected data: starts then lie on their sub-Omega_k as well.
    norm_limit : float
        Points with |theta| > norm_limit * theta_unit are left out: so far along an orbit rounding hides their kind.
    matrix_tol : float
        Two points share an orbit when their W differ by at most matrix_tol * unit in every entry, or both are global
        minima, and their ranks agree.
    rank_tol : float
        Ranks count singular values above rank_tol times the larger of theta_unit and the largest of [A; B^T].
    callback : (trial) -> object, optional
        Called before every start with its number, from 0.
    progress, timeout : see ``gflow.watch.watching``
        A warning says how many starts were made when the time is over.

    Raises ``ValueError`` for a dimension above 1000. A survey proves nothing about points it did not meet.
    """
    groups: list[list[_Found]] = []
    for trial in range(n_starts):
        if late := watch.spent("start", trial + 1, n_starts):
            warnings.warn(f"{late}: {trial} of {n_starts} starts were made", stacklevel=2)
            break
        if callback is not None:
            callback(trial)
        start = _start(objective, model, groups, trial, components, rng)
        try:
            point = find_critical_point(objective, start, radius=np.inf)
        except (NotConverged, watch.TimeIsUp):
            continue
        if float(np.linalg.norm(point.theta / objective.theta_unit)) > norm_limit:
            continue
        ranks = _ranks(model, point.theta, rank_tol, objective.theta_unit)
        _file(groups, _Found(point, model.output(point.theta), ranks), matrix_tol * objective.unit)
    return tuple(sorted((_orbit(group) for group in groups), key=lambda orbit: -orbit.value))


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A critical point with its W and (rank A, rank B, rank [A; B^T])."""

    point: CriticalPoint
    W: np.ndarray
    ranks: tuple[int, int, int]

    def joins(self, other: _Found, allowed: float) -> bool:
        """Return whether both belong to one group."""
        if self.ranks[:2] != other.ranks[:2]:
            return False
        minima = self.point.kind == other.point.kind == PointKind.GLOBAL_MINIMUM
        return minima or float(np.abs(self.W - other.W).max()) <= allowed


def _start(
    objective: Objective,
    model: Any,
    groups: list[list[_Found]],
    trial: int,
    components: Sequence[tuple[Sequence[int], Sequence[int]]],
    rng: np.random.Generator,
) -> np.ndarray:
    if trial % 3 == 2 and groups:
        return _moved(model, groups[rng.integers(len(groups))][0].point.theta, rng)
    to_the_end = trial % 6 == 4
    width = 1 + (trial // 6) % model.rank if to_the_end else int(rng.integers(0, model.rank + 1))
    start = _on_some_omega(model, width, components, rng)
    if trial % 3 == 1:
        steps = LONG_DESCENT if to_the_end else int(10.0 ** rng.uniform(0.5, 2.5))
        start = _descended(objective.normalized or objective, start, steps)
    return objective.theta_unit * start


def _on_some_omega(
    model: Any, width: int, components: Sequence[tuple[Sequence[int], Sequence[int]]], rng: np.random.Generator
) -> np.ndarray:
    Q = np.linalg.qr(rng.standard_normal((model.rank, model.rank)))[0][:, :width]
    size = 10.0 ** rng.uniform(-1.0, 0.5)
    Z = size * rng.standard_normal((sum(model.shape), width)) @ Q.T
    for rows, columns in components if len(components) > 1 else ():
        if rng.random() < 1 / 3:
            Z[list(rows)] = Z[[model.shape[0] + column for column in columns]] = 0.0
    return model.unstacked(Z)


def _descended(objective: Objective, start: np.ndarray, steps: int) -> np.ndarray:
    from scipy.optimize import minimize

    options = {"maxiter": steps, "gtol": 1e-10, "ftol": 0.0}
    return minimize(objective.value, start, jac=objective.gradient, method="L-BFGS-B", options=options).x


def _moved(model: Any, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    A, B = model.factors(theta)
    left, right = (np.linalg.qr(rng.standard_normal((model.rank, model.rank)))[0] for _ in "AB")
    stretch = np.exp(rng.uniform(-1.0, 1.0, model.rank))
    moved = model.theta(A @ left * stretch @ right, right.T @ (left.T @ B / stretch[:, None]))
    return moved + 1e-3 * float(np.linalg.norm(moved)) * rng.standard_normal(model.dim) / np.sqrt(model.dim)


def _ranks(model: Any, theta: np.ndarray, rank_tol: float, theta_unit: float) -> tuple[int, int, int]:
    sizes = [np.linalg.svd(X, compute_uv=False) for X in (*model.factors(theta), model.stacked(theta))]
    cut = rank_tol * max(theta_unit, sizes[2][0])
    rank_a, rank_b, rank = (int(np.sum(s > cut)) for s in sizes)
    return rank_a, rank_b, rank


def _file(groups: list[list[_Found]], found: _Found, allowed: float) -> None:
    for group in groups:
        if found.joins(group[0], allowed):
            group.append(found)
            return
    groups.append([found])


def _orbit(group: list[_Found]) -> Orbit:
    first = group[0]
    n_on_omega = sum(len(set(found.ranks)) == 1 for found in group)
    return Orbit(first.point.value, first.W, first.ranks[:2], tuple(found.point for found in group), n_on_omega)
