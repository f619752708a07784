"""Theorem 2: the limit of the trajectories from saddle + alpha direction as alpha -> 0, by two routes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow import watch
from gflow.escape.bursts import NotFollowed, moving_times
from gflow.escape.directions import EscapeDirections, escape_directions
from gflow.escape.homogeneous import homogeneous_limit
from gflow.escape.records import EscapeLimit, EscapeVerdict
from gflow.escape.residual import residual_escape
from gflow.escape.routes import Routes, distance, settled_slope
from gflow.flow import Trajectory

if TYPE_CHECKING:
    from gflow.models import Factorization
    from gflow.objective import Objective
    from gflow.problems import MatrixCompletion

BLURRED = 1e-2
"""A start whose escaping part rounding changes by more than this fraction does not control the escape."""
DECADES, ROUGH_DECADES = (2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 14.0), (2.0, 3.0, 4.0, 5.0, 6.0, 7.0)
"""Default starts, in decades below the largest alpha for which the start is near the saddle."""
DISPLACED = 1e-6
"""Newton's step along the escape directions, relative to the size of a saddle, that a critical point may leave."""
ROUNDED_PART = 1e2 * float(np.finfo(float).eps)
"""A direction's part in the escape eigenspace is rounding up to this fraction of the direction."""


@watch.watched
def escape_limit(
    objective: Objective,
    saddle: np.ndarray,
    direction: np.ndarray,
    *,
    problem: MatrixCompletion | None = None,
    model: Factorization | None = None,
    alphas: Any = None,
    n_times: int = 9,
    rtol: float = 1e-12,
    critical_tol: float = 1e-8,
    agreement_tol: float = 1e-3,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> EscapeLimit:
    """Return the escape limit of Theorem 2 at ``saddle`` along ``direction``, by two independent routes.

    The direct route integrates from saddle + alpha direction for decreasing alpha; the other starts on the unstable
    manifold, at saddle + epsilon Pi direction with Pi the projector on the top eigenspace of -H. Where the path runs
    off to infinity they are compared up to ten times the size of the saddle.

    Parameters
    ----------
    objective : Objective
        Any objective with a strict saddle. With an exact ``deviation`` form alpha may be as small as 1e-100.
    saddle, direction : (dim,) arrays
    problem : MatrixCompletion, optional
        With it (and its model) Assumptions 1 and 2 are tested: where one fails the verdict is
        ``assumption-violated``. A general objective has no such assumptions, a repeated lambda_1 does no harm.
    model : Factorization, optional
        Names the manifold Omega_(k+1) on which the limit lies.
    alphas : decreasing (p,) array of at least two positive numbers, optional
        Default: from 1e-2 to 1e-14 times the largest alpha for which the start is near the saddle, to 1e-7 times it
        where deviations are rounded.
    n_times : int
        Largest number of times at which the routes are compared.
    rtol : float
        Tolerance of the integrations. Of the path after its fastest stretch, where nothing is compared, it is 1e-10 at
        least; where the path becomes still faster later on, it is followed with ``rtol`` up to there.
    critical_tol : float
        The saddle must satisfy |g| <= critical_tol * norm(H) * max(|saddle|, theta_unit), and along the escape
        directions |g| <= 1e-6 * lambda_1 * max(|saddle|, theta_unit).
    agreement_tol : float
        The limit exists when the routes agree within this, relative, and within their own errors.
    progress, timeout : see ``gflow.watch.watching``

    Raises
    ------
    ValueError
        If the point is not critical, a shape is wrong, the alphas are not positive and decreasing or the largest
        starts beyond the escape, n_times is below 2, or a problem is given without its model.

    Where the Hessian has no negative eigenvalue and the loss falls at a higher order p, the homogeneous escape takes
    the place of the exponential one, and s* alpha^-(p - 2) that of log(1/alpha) / lambda_1: see ``escape`` of the
    record, and ``degenerate_escape``; at a saddle of rank k of W = W1 ... WL this needs problem and model.

    A trajectory that the solver cannot follow, as where the objective is not a number, gives ``undecided``.

    Times scale as 1 / s for a factorisation when M is multiplied by s. Bai et al. 2024, Theorem 2.
    """
    saddle, direction = _vector(saddle, objective.dim, "saddle"), _vector(direction, objective.dim, "direction")
    if problem is not None and model is None:
        raise ValueError("problem needs its model; got model=None")
    if n_times < 2:
        raise ValueError(f"n_times must be at least 2; got {n_times!r}")
    starts = None if alphas is None else _alphas(alphas)
    directions = escape_directions(objective, saddle)
    _require_critical(objective, saddle, directions, critical_tol)
    if not directions.multiplicity:
        parts: dict[str, Any] = {"problem": problem, "model": model, "alphas": starts, "n_times": n_times, "rtol": rtol}
        found = homogeneous_limit(objective, saddle, direction, directions, agreement_tol=agreement_tol, **parts)
        if found is not None:
            return found
        reason = f"the point has no direction of escape: no eigenvalue of -H exceeds its error, {directions.error:.2g}"
        return EscapeLimit(EscapeVerdict.VIOLATED, reason, directions)
    if not directions.clear:
        return EscapeLimit(EscapeVerdict.UNDECIDED, _unclear(directions), directions)
    if problem is not None and model is not None:
        verdict, reason = _assumptions(problem, model, saddle)
        if verdict != EscapeVerdict.EXISTS:
            return EscapeLimit(verdict, reason, directions)
    launch = directions.project(direction)
    if float(np.linalg.norm(launch)) <= ROUNDED_PART * float(np.linalg.norm(direction)):
        reason = "the direction has no part in the escape eigenspace beyond rounding"
        return EscapeLimit(EscapeVerdict.ROUNDOFF, reason, directions)
    routes = Routes(objective, saddle, direction, directions, launch, rtol, objective.around(saddle))
    try:
        with watch.whole():
            return _along(routes, model, starts, n_times, agreement_tol)
    except watch.TimeIsUp as up:
        if not watch.ends_early():
            raise
        return EscapeLimit(EscapeVerdict.UNDECIDED, str(up), directions)


def _unclear(directions: EscapeDirections) -> str:
    """Return why eigenvalues that are almost equal leave the limit open."""
    return (
        f"lambda_1 = {directions.rate:.8g} and lambda_2 differ by {directions.gap:.2g}: the direct route converges as "
        f"alpha^{directions.order:.2g}, and no alpha tells its limit from that of equal eigenvalues"
    )


def _assumptions(problem: MatrixCompletion, model: Factorization, saddle: np.ndarray) -> tuple[EscapeVerdict, str]:
    """Return EXISTS where Theorem 2's assumptions hold, and else which of them does not."""
    found = residual_escape(problem, model, saddle)
    if found.assumption_1 is False:
        sigma = found.singular_values
        return EscapeVerdict.VIOLATED, f"Assumption 1 fails: the residual has sigma_1 = {sigma[0]:.8g} = sigma_2"
    if found.assumption_2 is False:
        reason = f"Assumption 2 fails: an escape inside the manifold, rate {found.inside_rate:.6g}"
        return EscapeVerdict.VIOLATED, reason
    if found.assumption_2 is None:
        return EscapeVerdict.UNDECIDED, "Assumption 2: rounding hides the sign of the curvature inside the manifold"
    return EscapeVerdict.EXISTS, ""


def _along(
    routes: Routes, model: Factorization | None, starts: np.ndarray | None, n_times: int, agreement_tol: float
) -> EscapeLimit:
    """Return the limit by both routes, unless rounding controls one of them."""
    if starts is not None and (reason := _hidden(routes, float(starts[-1]))):
        return EscapeLimit(EscapeVerdict.ROUNDOFF, reason, routes.directions)
    try:
        path, apart = routes.orbit()
        index = moving_times(path, n_times, None if starts is None else -routes.shift(float(starts[0])))
        if starts is None:
            starts = _default_alphas(routes, float(path.times[index[0]]))
            if reason := _hidden(routes, float(starts[-1])):
                return EscapeLimit(EscapeVerdict.ROUNDOFF, reason, routes.directions)
        return _compared(routes, model, path, index, apart, starts, agreement_tol)
    except NotFollowed as failure:
        return EscapeLimit(EscapeVerdict.UNDECIDED, f"a trajectory was not followed: {failure}", routes.directions)


def _hidden(routes: Routes, alpha: float) -> str:
    """Return why a start with this alpha is controlled by rounding, or an empty string."""
    error = routes.rounding(alpha)
    return f"alpha = {alpha:.3g} is hidden by rounding: relative error {error:.2g}" if error > BLURRED else ""


def _compared(
    routes: Routes,
    model: Factorization | None,
    path: Trajectory,
    index: np.ndarray,
    apart: np.ndarray,
    alphas: np.ndarray,
    agreement_tol: float,
) -> EscapeLimit:
    """Return the record with both routes at the times of the path's states with these indices."""
    times, limit = path.times[index], path.states[index]
    scale = float(np.linalg.norm(limit, axis=1).max())
    order, last = routes.directions.order, float(alphas[-1])
    # errors of the path are O(epsilon) or smaller: a start four times nearer takes off 3/4 of them at least
    manifold_error = 4 / 3 * float(apart[index].max()) + routes.rounding(routes.epsilon)
    runs = [routes.direct(float(alpha), times) for alpha in alphas]
    errors = np.array([distance(run, limit) for run in runs]) / scale
    moved = [distance(run, previous) / scale for previous, run in pairwise(runs)]
    shrink = (last / float(alphas[-2])) ** order
    direct_error = moved[-1] * shrink / (1.0 - shrink) + routes.rounding(last)
    agreement = distance(runs[-1] + (runs[-1] - runs[-2]) * (shrink / (1.0 - shrink)), limit) / scale
    floors = np.array([manifold_error + routes.rounding(float(alpha)) for alpha in alphas]) + 1e2 * routes.rtol
    allowed = min(2.0 * direct_error + 10.0 * manifold_error + 1e3 * routes.rtol, agreement_tol)
    settled = agreement <= allowed
    relation = "agree" if settled else f"(the direct one converges as alpha^{order:.2g}) do not agree"
    return EscapeLimit(
        verdict=EscapeVerdict.EXISTS if settled else EscapeVerdict.UNDECIDED,
        reason=f"the two routes {relation}: they differ by {agreement:.2g} of the path's size, allowed {allowed:.2g}",
        directions=routes.directions,
        path=routes.placed(path),
        times=times,
        alphas=alphas,
        errors=errors,
        predicted_order=order,
        fitted_order=settled_slope(alphas, errors, 20.0 * floors),
        direct_error=direct_error,
        manifold_error=manifold_error,
        agreement=agreement,
        **_manifold_of(model, limit + routes.saddle),
    )


def _manifold_of(model: Factorization | None, states: np.ndarray, rank_tol: float = 1e-6) -> dict[str, Any]:
    """Return the basis of the smallest Omega_k that holds the states, and their largest relative distance from it."""
    if model is None:
        return {"basis": None, "omega_defect": None}
    stacked = model.stacked(states)
    _, sizes, Vt = np.linalg.svd(stacked.reshape(-1, model.rank), full_matrices=False)
    basis = Vt[: int(np.sum(sizes > rank_tol * sizes[0]))].T
    outside = stacked - (stacked @ basis) @ basis.T
    defect = float(np.linalg.norm(outside, axis=(1, 2)).max()) / float(np.linalg.norm(stacked, axis=(1, 2)).max())
    return {"basis": basis, "omega_defect": defect}


def _default_alphas(routes: Routes, first: float) -> np.ndarray:
    """Return starts below the one that is near the saddle and on the path by the ``first`` time compared."""
    near = routes.size / float(np.linalg.norm(routes.direction))
    natural = min(near, float(np.exp(routes.directions.rate * first)))
    return natural * 10.0 ** -np.array(DECADES if routes.exact else ROUGH_DECADES)


def _require_critical(
    objective: Objective, saddle: np.ndarray, directions: EscapeDirections, critical_tol: float
) -> None:
    inner = objective.normalized or objective
    gradient = inner.gradient(inner.theta_unit * saddle / objective.theta_unit)
    slope, time = float(np.linalg.norm(gradient)), objective.time_unit / inner.time_unit
    length = inner.theta_unit * max(float(np.linalg.norm(saddle)) / objective.theta_unit, 1.0)
    allowed = critical_tol * directions.norm * time * length
    if slope <= allowed and directions.multiplicity:  # along the escape directions the norm of H is no measure
        slope = float(np.linalg.norm(directions.project(gradient)))
        allowed = DISPLACED * directions.rate * time * length
    if slope > allowed:
        raise ValueError(
            f"saddle must be a critical point: in the objective's own unit its gradient norm is {slope:.3g}, allowed "
            f"{allowed:.3g}; polish it with find_critical_point"
        )


def _alphas(alphas: Any) -> np.ndarray:
    array = np.array(alphas, dtype=float)
    if array.ndim != 1 or len(array) < 2 or not (array > 0).all() or not (np.diff(array) < 0).all():
        raise ValueError(f"alphas must be a decreasing list of at least two positive numbers; got {alphas!r}")
    return array


def _vector(value: np.ndarray, dim: int, name: str) -> np.ndarray:
    array = np.array(value, dtype=float)
    if array.shape != (dim,) or not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite and of shape ({dim},); got shape {array.shape}")
    return array
