"""Theorem 2: the limit of the trajectories from saddle + alpha direction as alpha -> 0, by two routes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.escape.directions import EscapeDirections, escape_directions
from gflow.flow import Trajectory, gradient_flow

if TYPE_CHECKING:
    from gflow.models import Factorization
    from gflow.objective import Objective

EPSILON = 1e-5
"""Start of the unstable-manifold route, relative to the size of the saddle; its error is O(EPSILON^2)."""
DIGITS_KEPT = 1e2
"""A start must exceed rounding of the saddle by this factor where no exact deviation form is available."""


class EscapeVerdict(StrEnum):
    """What the computation says about the limit."""

    EXISTS = "limit-exists"
    VIOLATED = "assumption-violated"
    ROUNDOFF = "controlled-by-roundoff"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, eq=False)
class EscapeLimit:
    """The limit phi(t) = lim phi(saddle + alpha direction, t + log(1/alpha) / lambda_1).

    Attributes
    ----------
    verdict : EscapeVerdict
    reason : str
    directions : EscapeDirections
    path : Trajectory or None
        The limit, by the unstable manifold: times are those of phi, states are points (not deviations).
    times : (m,) array
        Times of phi at which the two routes are compared.
    alphas : (p,) array
        The starts of the direct route, decreasing.
    errors : (p,) array
        Largest distance of the direct route from the path over ``times``, relative to the largest |path - saddle|.
    predicted_order, fitted_order : float or None
        Exponent of alpha in ``errors``: min(1, 1 - lambda_2 / lambda_1), and the slope where it has settled.
    direct_error, manifold_error : float or None
        Each route's own estimate of its error, relative: extrapolation in alpha, and halving of the start.
    agreement : float or None
        Distance between the path and the direct route extrapolated to alpha = 0 with the predicted order, relative.
    basis : (r, k + 1) array or None
        For a factorisation: orthonormal basis of the Omega_(k+1) on which the path lies.
    omega_defect : float or None
        Largest distance of the path from that manifold, relative.
    """

    verdict: EscapeVerdict
    reason: str
    directions: EscapeDirections
    path: Trajectory | None = None
    times: np.ndarray | None = None
    alphas: np.ndarray | None = None
    errors: np.ndarray | None = None
    predicted_order: float | None = None
    fitted_order: float | None = None
    direct_error: float | None = None
    manifold_error: float | None = None
    agreement: float | None = None
    basis: np.ndarray | None = None
    omega_defect: float | None = None

    @property
    def end(self) -> np.ndarray | None:
        """Return the critical point to which the limit tends, shape (dim,), None without a limit."""
        return None if self.path is None else self.path.final

    def to_dict(self) -> dict[str, Any]:
        """Return verdict, orders and errors for JSON."""
        numbers = ("predicted_order", "fitted_order", "direct_error", "manifold_error", "agreement", "omega_defect")
        arrays = {"alphas": self.alphas, "errors": self.errors, "end": self.end}
        return {
            "verdict": str(self.verdict),
            "reason": self.reason,
            **self.directions.to_dict(),
            **{name: getattr(self, name) for name in numbers},
            **{name: None if array is None else array.tolist() for name, array in arrays.items()},
        }

    def __repr__(self) -> str:
        return f"EscapeLimit({self.verdict}, predicted order {self.predicted_order}, fitted {self.fitted_order})"


def escape_limit(
    objective: Objective,
    saddle: np.ndarray,
    direction: np.ndarray,
    *,
    model: Factorization | None = None,
    alphas: Any = None,
    n_times: int = 9,
    rtol: float = 1e-11,
    critical_tol: float = 1e-8,
) -> EscapeLimit:
    """Return the escape limit of Theorem 2 at ``saddle`` along ``direction``, by two independent routes.

    The direct route integrates from saddle + alpha direction for decreasing alpha; the other starts on the unstable
    manifold, at saddle + epsilon Pi direction with Pi the projector on the top eigenspace of -H.

    Parameters
    ----------
    objective : Objective
        Any objective with a strict saddle. With an exact ``deviation`` form alpha may be as small as 1e-100.
    saddle, direction : (dim,) arrays
    model : Factorization, optional
        Names the manifold Omega_(k+1) on which the limit lies.
    alphas : decreasing (p,) array, optional
        Default 1e-2, 1e-3, ..., 1e-14, relative to the saddle's size over the direction's.
    n_times : int
        Number of times at which the routes are compared.
    rtol : float
        Tolerance of the integrations.
    critical_tol : float
        The saddle must satisfy |g| <= critical_tol * norm(H) * max(|saddle|, theta_unit).

    Raises
    ------
    ValueError
        If the point is not critical, the shapes are wrong, or alphas are not positive and decreasing.

    Times scale as 1 / s for a factorisation when M is multiplied by s. Bai et al. 2024, Theorem 2.
    """
    inner, unit = objective.normalized or objective, objective.theta_unit
    center, heading = _vector(saddle, objective.dim, "saddle") / unit, _vector(direction, objective.dim, "direction")
    heading = heading / unit
    directions = escape_directions(inner, center)
    _require_critical(inner, center, directions.norm, critical_tol)
    scaled = _in_units(directions, objective)
    if not directions.multiplicity:
        return EscapeLimit(EscapeVerdict.VIOLATED, "the point has no direction of escape", scaled)
    if model is not None and directions.order <= 1e-6:
        return EscapeLimit(EscapeVerdict.VIOLATED, "the two largest eigenvalues of -H are not separated", scaled)
    size = max(float(np.linalg.norm(center)), 1.0)
    launch = directions.project(heading)
    strength = float(np.linalg.norm(launch))
    if strength <= DIGITS_KEPT * np.finfo(float).eps * float(np.linalg.norm(heading)):
        reason = "the direction has no part in the escape eigenspace beyond rounding"
        return EscapeLimit(EscapeVerdict.ROUNDOFF, reason, scaled)
    starts = _alphas(alphas, size / float(np.linalg.norm(heading)))
    exact = objective.deviation is not None or not center.any()
    least = 0.0 if exact else DIGITS_KEPT * np.finfo(float).eps * size / strength
    if starts[-1] < least:
        reason = f"alpha = {starts[-1]:.3g} is hidden by rounding of the saddle; at least {least:.3g} is needed"
        return EscapeLimit(EscapeVerdict.ROUNDOFF, reason, scaled)
    routes = _Routes(inner, center, heading, launch, directions.rate, rtol)
    return _compared(routes, objective, scaled, starts, n_times, model)


class _Routes:
    """The two routes to the limit, in the objective's own unit; states are deviations from the saddle."""

    def __init__(
        self, inner: Objective, center: np.ndarray, heading: np.ndarray, launch: np.ndarray, rate: float, rtol: float
    ) -> None:
        self.local, self.center, self.heading, self.launch = inner.around(center), center, heading, launch
        self.rate, self.rtol = rate, rtol
        self.epsilon = EPSILON * max(1.0, float(np.linalg.norm(center))) / float(np.linalg.norm(launch))

    def shift(self, small: float) -> float:
        return -float(np.log(small)) / self.rate

    def manifold(self, epsilon: float, times: np.ndarray | None = None) -> Trajectory:
        """Return the route along the unstable manifold, whole or at the given times of phi."""
        wanted = None if times is None else times + self.shift(epsilon)
        return _to_next(gradient_flow(self.local, epsilon * self.launch, rtol=self.rtol, t_eval=wanted))

    def direct(self, alpha: float, times: np.ndarray) -> np.ndarray:
        """Return the deviations of the direct route at the given times of phi, shape (m, dim)."""
        path = gradient_flow(self.local, alpha * self.heading, rtol=self.rtol, t_eval=times + self.shift(alpha))
        return _at(path, times + self.shift(alpha))


def _compared(
    routes: _Routes,
    objective: Objective,
    directions: EscapeDirections,
    alphas: np.ndarray,
    n_times: int,
    model: Factorization | None,
) -> EscapeLimit:
    path = routes.manifold(routes.epsilon)
    times = _window(path, n_times) - routes.shift(routes.epsilon)
    limit = _at(routes.manifold(routes.epsilon, times), times + routes.shift(routes.epsilon))
    half = _at(routes.manifold(routes.epsilon / 4, times), times + routes.shift(routes.epsilon / 4))
    scale = float(np.linalg.norm(limit, axis=1).max())
    manifold_error = float(np.linalg.norm(limit - half, axis=1).max()) / scale
    runs = [routes.direct(alpha, times) for alpha in alphas]
    errors = np.array([float(np.linalg.norm(run - limit, axis=1).max()) / scale for run in runs])
    order = directions.order
    fitted = _settled_slope(alphas, errors, 20.0 * max(manifold_error, 1e-11))
    moved = [float(np.linalg.norm(b - a, axis=1).max()) / scale for a, b in pairwise(runs)]
    shrink = (alphas[-1] / alphas[-2]) ** order if moved else 0.0
    ahead = shrink / (1.0 - shrink)
    direct_error = moved[-1] * ahead if moved else None
    extrapolated = runs[-1] + (runs[-1] - runs[-2]) * ahead if moved else runs[-1]
    agreement = float(np.linalg.norm(extrapolated - limit, axis=1).max()) / scale
    settled = direct_error is not None and agreement <= 0.1 * direct_error + 10.0 * manifold_error + 1e-9
    verdict = EscapeVerdict.EXISTS if settled else EscapeVerdict.UNDECIDED
    reason = "both routes agree within their errors" if settled else "the routes do not agree within their errors"
    return EscapeLimit(
        verdict=verdict,
        reason=reason,
        directions=directions,
        path=_shifted(path, routes, objective),
        times=times * objective.time_unit,
        alphas=alphas,
        errors=errors,
        predicted_order=order,
        fitted_order=fitted,
        direct_error=direct_error,
        manifold_error=manifold_error,
        agreement=agreement,
        **_manifold_of(model, path.states + routes.center),
    )


def _manifold_of(model: Factorization | None, states: np.ndarray) -> dict[str, Any]:
    """Return the basis of the Omega_k that carries the states, and their largest relative distance from it."""
    if model is None:
        return {"basis": None, "omega_defect": None}
    _, sizes, Vt = np.linalg.svd(model.stacked(states[-1]))
    k = int(np.sum(sizes > 1e-6 * sizes[0]))
    basis = Vt[:k].T
    stacked = model.stacked(states)
    outside = stacked - (stacked @ basis) @ basis.T
    defect = float(np.linalg.norm(outside, axis=(1, 2)).max()) / float(np.linalg.norm(stacked, axis=(1, 2)).max())
    return {"basis": basis, "omega_defect": defect}


def _to_next(path: Trajectory) -> Trajectory:
    """Return the path cut at the critical point to which it leads: what follows there is decided by rounding."""
    if len(path.plateaus) < 3 or not np.array_equal(path.plateaus[0].theta, path.states[0]):
        return path
    stop = int(np.argmax((path.states == path.plateaus[1].theta).all(axis=1))) + 1
    arrays = ("times", "states", "losses", "gradient_norms")
    return replace(path, **{name: getattr(path, name)[:stop].copy() for name in arrays}) if stop > 1 else path


def _window(path: Trajectory, n_times: int) -> np.ndarray:
    """Return times of the path at which it has left the saddle and still moves."""
    distance = np.linalg.norm(path.states, axis=1)
    left = path.times[np.argmax(distance > 0.05 * distance.max())]
    speed = path.gradient_norms
    fastest = int(np.argmax(speed))
    slow = np.nonzero(speed[fastest:] < 0.05 * speed[fastest])[0]
    arrived = path.times[fastest + slow[0]] if slow.size else path.times[-1]
    return np.linspace(left, max(arrived, left * (1 + 1e-6)), n_times)


def _at(path: Trajectory, times: np.ndarray) -> np.ndarray:
    """Return the states at the wanted times; a path that ended before rests at its last state."""
    index = np.minimum(np.searchsorted(path.times, times - 1e-12 * np.abs(times)), len(path.times) - 1)
    return path.states[index]


def _settled_slope(alphas: np.ndarray, errors: np.ndarray, floor: float) -> float | None:
    """Return the slope of log error against log alpha over its small-alpha half above the floor."""
    usable = errors > floor
    a, e = np.log(alphas[usable]), np.log(errors[usable])
    tail = max(3, (len(a) + 1) // 2)
    return float(np.polyfit(a[-tail:], e[-tail:], 1)[0]) if len(a) >= 3 else None


def _shifted(path: Trajectory, routes: _Routes, objective: Objective) -> Trajectory:
    """Return the path in the caller's units: points instead of deviations, times of phi."""
    unit, root = objective.unit, objective.theta_unit
    states = (path.states + routes.center) * root
    offset = objective.value(routes.center * root)
    return replace(
        path,
        message="the limit, along the unstable manifold",
        times=(path.times - routes.shift(routes.epsilon)) * objective.time_unit,
        states=states,
        losses=path.losses * unit * unit + offset,
        gradient_norms=path.gradient_norms * unit * (unit / root),
        plateaus=(),
    )


def _in_units(directions: EscapeDirections, objective: Objective) -> EscapeDirections:
    factor = 1.0 / objective.time_unit
    next_rate = None if directions.next_rate is None else factor * directions.next_rate
    return replace(directions, rate=factor * directions.rate, next_rate=next_rate, norm=factor * directions.norm)


def _require_critical(objective: Objective, center: np.ndarray, norm: float, critical_tol: float) -> None:
    slope = float(np.linalg.norm(objective.gradient(center)))
    allowed = critical_tol * norm * max(1.0, float(np.linalg.norm(center)))
    if slope > allowed:
        raise ValueError(
            f"saddle must be a critical point: its gradient norm is {slope:.3g}, allowed {allowed:.3g}; "
            "polish it with find_critical_point"
        )


def _alphas(alphas: Any, natural: float) -> np.ndarray:
    if alphas is None:
        return natural * 10.0 ** -np.arange(2.0, 15.0)
    array = np.asarray(alphas, dtype=float)
    if array.ndim != 1 or not array.size or not (array > 0).all() or (np.diff(array) >= 0).any():
        raise ValueError("alphas must be a decreasing list of positive numbers")
    return array


def _vector(value: np.ndarray, dim: int, name: str) -> np.ndarray:
    array = np.array(value, dtype=float)
    if array.shape != (dim,) or not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite and of shape ({dim},); got shape {array.shape}")
    return array
