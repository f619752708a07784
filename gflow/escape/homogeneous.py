"""The escape limit of a degenerate saddle, by two routes: the analogue of Theorem 2 where the Hessian says nothing.

phi(t) = lim phi(saddle + alpha direction, t + s* alpha^-(p - 2)) as alpha -> 0: the blow-up time s* of the homogeneous
flow takes the place of log(1/alpha) / lambda_1. One route starts on the ray along which that flow blows up, the other
from ever smaller multiples of the direction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.escape.bursts import NotFollowed, moving_times
from gflow.escape.degenerate import DegenerateEscape, blow_up, degenerate_escape
from gflow.escape.directions import EscapeDirections
from gflow.escape.growth import NoBlowUp
from gflow.escape.records import EscapeLimit, EscapeVerdict
from gflow.escape.routes import distance, settled_slope
from gflow.flow import IntegrationFailed, Status, Trajectory, gradient_flow

if TYPE_CHECKING:
    from gflow.models import Factorization
    from gflow.objective import Objective
    from gflow.problems import MatrixCompletion

HOMOGENEOUS_LAUNCH = 1e-9
"""Start on the ray, relative to the size of the saddle, to the power of the order: the error of the path."""
SMALLEST_START, FARTHEST_LAUNCH, SPREAD = 1e-5, 1e-3, np.array([10.0, 10.0**0.5, 1.0])
SHIFT_TOL, LEAST_ERROR, CLOCK_ERROR = 1e-5, 1e-11, 1e-10
"""Default starts: multiples of the smallest, or of one at which the error of s*, relative at least the second, moves
the time by no more than the first, in units of the time in which the ray grows at the size of the saddle. The last:
that of the time at which a trajectory is seen to leave."""
CHANNEL = 1e-6
"""Singular values of the saddle's W above this fraction of the largest are channels in use."""
LEAST_POWER = 0.05
"""Smallest order in alpha with which the direct route is extrapolated."""
MOST_GRADIENTS = 20_000
"""Gradients of one trajectory: long after its end a solver may be lost in rounding."""
MESSAGE, FINEST = "the limit along the ray of the homogeneous escape", 1e-11
WARY = 4.0
"""Errors of the ray are the difference to a start half as far out, times this."""


def homogeneous_limit(
    objective: Objective,
    saddle: np.ndarray,
    direction: np.ndarray,
    directions: EscapeDirections,
    *,
    problem: MatrixCompletion | None,
    model: Factorization | None,
    alphas: np.ndarray | None,
    n_times: int,
    agreement_tol: float,
    rtol: float,
) -> EscapeLimit | None:
    """Return the escape limit of a saddle without negative eigenvalue; None where no homogeneous escape is seen.

    Parameters
    ----------
    as for ``escape_limit``, which found the ``directions`` to hold none.
    """
    try:
        if problem is not None and model is not None and model.depth > 2:
            direction = outside_channels(model, saddle, direction)
            escape = channel_escape(objective, problem, model, saddle, direction)
        else:
            escape = degenerate_escape(objective, direction, saddle)
    except (NoBlowUp, ValueError):
        return None
    size = max(float(np.linalg.norm(saddle)), objective.theta_unit)
    power = escape.order - 2
    error = max(escape.error, LEAST_ERROR * escape.time)
    moved = error * escape.rate * float(np.linalg.norm(direction)) ** power
    least = min(max(SMALLEST_START, (moved / SHIFT_TOL) ** (1.0 / power)), FARTHEST_LAUNCH ** (1.0 / power))
    starts = SPREAD * least * size / float(np.linalg.norm(direction)) if alphas is None else alphas
    late = max(escape.error, CLOCK_ERROR * escape.time)
    orders = _orders(problem, model, saddle) if problem is not None and model is not None else (1.0, 2.0)
    try:
        ways = _Ways(objective, saddle, escape, max(rtol, FINEST))
        return _compared(ways, direction, directions, starts, orders, late, size, n_times, agreement_tol)
    except (NotFollowed, IntegrationFailed) as failure:
        return EscapeLimit(EscapeVerdict.UNDECIDED, f"a trajectory was not followed: {failure}", directions)


def channel_escape(
    objective: Objective, problem: MatrixCompletion, model: Factorization, saddle: np.ndarray, direction: np.ndarray
) -> DegenerateEscape:
    """Return how W1 ... WL leaves a saddle of rank k: what the direction has outside the k channels blows up.

    There the loss falls like <dR/dW, D1 ... DL>. The ``direction`` is one of ``outside_channels``: the other parts only
    move the saddle, and the time by O(1). Raises ``NoBlowUp``.
    """
    root, unit, sides = objective.theta_unit, objective.time_unit, _outside(model, saddle)
    G = sides[0] @ problem.normalized.gradient(model.output(saddle / root)) @ sides[-1]
    return blow_up(lambda at: -model.pullback(at, G), model.depth, direction, root, unit)


def outside_channels(model: Factorization, saddle: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return the part of a direction outside the spaces of the layers of a saddle of rank k, shape (dim,).

    Raises ``ValueError`` where these spaces do not match, or there is no such part.
    """
    sides, parts = _outside(model, saddle), model.factors(direction)
    D = model.theta(*(left @ part @ right for left, part, right in zip(sides, parts, sides[1:], strict=False)))
    if not np.linalg.norm(D) > CHANNEL * np.linalg.norm(direction):
        raise ValueError("the direction has no part outside the channels of the saddle")
    return D


def _outside(model: Factorization, theta: np.ndarray) -> list[np.ndarray]:
    """Return the projectors on the complements of col W, the L - 1 inner spaces, and row W."""
    decomposed = [np.linalg.svd(factor) for factor in model.factors(theta)]
    sizes = np.linalg.svd(model.output(theta), compute_uv=False)
    k = int(np.sum(sizes > CHANNEL * sizes[0])) if sizes[0] > 0 else 0
    if any(np.sum(s > CHANNEL * (s[0] or 1.0)) != k for _, s, _ in decomposed):
        raise ValueError("the layers of the saddle have other ranks than their product")
    sides = [np.eye(model.shape[0]) - decomposed[0][0][:, :k] @ decomposed[0][0][:, :k].T]
    for (_, _, Vt), (U, _, _) in pairwise(decomposed):
        if k and np.linalg.svd(Vt[:k] @ U[:, :k], compute_uv=False)[-1] < 1.0 - CHANNEL:
            raise ValueError("the inner spaces of the saddle's layers do not match")
        sides.append(np.eye(len(U)) - U[:, :k] @ U[:, :k].T)
    last = decomposed[-1][2][:k]
    return [*sides, np.eye(model.shape[1]) - last.T @ last]


def _orders(problem: MatrixCompletion, model: Factorization, saddle: np.ndarray) -> tuple[float, float]:
    """Return the two lowest orders of the direct route in alpha: 1 - sigma_r / sigma_1 of the residual, twice it, 1."""
    sizes = np.linalg.svd(problem.residual(model.output(saddle)), compute_uv=False)
    if len(sizes) < 2 or not sizes[0] > 0:
        return 1.0, 2.0
    gaps = 1.0 - sizes[1:] / sizes[0]
    later = np.array([*gaps[1:], 2.0 * gaps[0], 1.0 if gaps[0] < 1.0 else 2.0])
    return float(gaps[0]), float(later[later > gaps[0]].min(initial=2.0))


def _extrapolated(runs: list[np.ndarray], alphas: np.ndarray, orders: tuple[float, float]) -> tuple[np.ndarray, float]:
    """Return what the last three runs say of alpha = 0, and how far from the last one two of them say it is."""
    powers = np.array([0.0, *np.maximum(LEAST_POWER, orders)])
    one, whole = (
        np.tensordot(np.linalg.inv(alphas[-count:, None] ** powers[:count])[0], np.array(runs[-count:]), 1)
        for count in (2, min(3, len(runs)))
    )
    return whole, distance(one, runs[-1])


@dataclass(frozen=True, slots=True, eq=False)
class _Ways:
    """A degenerate saddle, how it is left, and the trajectories from there."""

    objective: Objective
    saddle: np.ndarray
    escape: DegenerateEscape
    rtol: float

    def onset(self, epsilon: float) -> float:
        """Return the time of the limit at which it is ``epsilon`` away on the ray."""
        power = self.escape.order - 2
        return -(epsilon**-power) / (power * self.escape.rate)

    def flow(self, start: np.ndarray, times: np.ndarray | None = None) -> Trajectory:
        """Return the trajectory from saddle + start, at these times of its own if any are given."""
        settings: dict[str, Any] = {"rtol": self.rtol, "max_evaluations": MOST_GRADIENTS}
        path = gradient_flow(self.objective, start, center=self.saddle, t_eval=times, **settings)
        if times is not None and path.status not in (Status.HORIZON, Status.CONVERGED, Status.ROUNDOFF):
            raise NotFollowed(path.message)
        return path

    def states(self, start: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return the states at these times; the last one where it has ended before."""
        if times[0] <= 0.0:
            raise ValueError("alphas must be so small that the trajectory starts near the saddle: one is too large")
        path = self.flow(start, times)
        return path.states[np.minimum(np.searchsorted(path.times, times * (1 - 1e-12)), len(path.times) - 1)]

    def runs(self, direction: np.ndarray, alphas: np.ndarray, times: np.ndarray) -> list[np.ndarray]:
        """Return the states from falling multiples of the direction, as far as they are followed, at least two."""
        found: list[np.ndarray] = []
        for alpha in map(float, alphas):
            try:
                found.append(self.states(alpha * direction, times + self.escape.plateau_time(alpha)))
            except NotFollowed:
                if len(found) < 2:
                    raise
                break
        return found


def _compared(
    ways: _Ways,
    direction: np.ndarray,
    directions: EscapeDirections,
    alphas: np.ndarray,
    orders: tuple[float, float],
    late: float,
    size: float,
    n_times: int,
    agreement_tol: float,
) -> EscapeLimit:
    """Return the record with both routes at the times at which the path on the ray moves; ``late`` errs s* by it."""
    escape, saddle = ways.escape, ways.saddle
    epsilon, power = HOMOGENEOUS_LAUNCH ** (1.0 / escape.order) * size, escape.order - 2
    path = ways.flow(epsilon * escape.direction)
    path = replace(path, times=path.times + ways.onset(epsilon), plateaus=(), message=MESSAGE)
    index = moving_times(path, n_times)
    times, limit = path.times[index], path.states[index]
    scale = float(np.linalg.norm(limit - saddle, axis=1).max())
    nearer = ways.states(epsilon / 2 * escape.direction, times - ways.onset(epsilon / 2))
    manifold_error = WARY * distance(nearer, limit) / scale
    runs = ways.runs(direction, alphas, times)
    alphas = np.array(alphas[: len(runs)], dtype=float)
    errors = np.array([distance(each, limit) / scale for each in runs])
    whole, away = _extrapolated(runs, alphas, orders)
    direct_error, agreement = away / scale, distance(whole, limit) / scale
    late *= float(alphas[-1]) ** -power * float(path.gradient_norms.max()) / scale
    allowed = min(2.0 * direct_error + manifold_error + late, agreement_tol)
    settled = agreement <= allowed
    relation = "agree" if settled else f"(the direct one converges as alpha^{orders[0]:.2g}) do not agree"
    reason = f"the two routes {relation}: they differ by {agreement:.2g} of the path's size, allowed {allowed:.2g}; "
    return EscapeLimit(
        verdict=EscapeVerdict.EXISTS if settled else EscapeVerdict.UNDECIDED,
        reason=f"{reason}times are shifted by s* alpha^-{power}, s* = {escape.time:.8g}",
        directions=directions,
        path=path,
        times=times,
        alphas=alphas,
        errors=errors,
        predicted_order=orders[0],
        fitted_order=settled_slope(alphas, errors, np.full(len(alphas), 10.0 * manifold_error)),
        direct_error=direct_error,
        manifold_error=manifold_error,
        agreement=agreement,
        escape=escape,
    )
