"""The escape limit of a degenerate saddle, by two routes: the analogue of Theorem 2 where the Hessian says nothing.

phi(t) = lim phi(saddle + alpha direction, t + s* alpha^-(p - 2)) as alpha -> 0: the blow-up time s* of the homogeneous
flow takes the place of log(1/alpha) / lambda_1. One route starts on the ray along which that flow blows up, the other
from ever smaller multiples of the direction; where these are not small enough, from multiples far smaller.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.escape.bursts import NotFollowed, moving_times
from gflow.escape.channels import channel_starts, outside_channels
from gflow.escape.degenerate import DegenerateEscape, blow_up, degenerate_escape
from gflow.escape.directions import EscapeDirections
from gflow.escape.far import FarStarts, far_alphas
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
LEAST_POWER = 0.05
"""Smallest order in alpha with which the direct route is extrapolated."""
MOST_GRADIENTS = 20_000
"""Gradients of one trajectory: long after its end a solver may be lost in rounding."""
MESSAGE, FINEST = "the limit along the ray of the homogeneous escape", 1e-11
WARY = 4.0
"""Errors of the ray are the difference to a start half as far out, times this."""
AHEAD = 10.0
"""A trajectory that is known is started again when it has grown by this, as those from far smaller starts are."""


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
    far = None
    try:
        if problem is not None and model is not None and model.depth > 2:
            direction = outside_channels(model, saddle, direction)
            far = channel_starts(objective, problem, model, saddle)
            escape = blow_up(far.slope, far.order, direction, far.root, far.time_unit)
        else:
            escape = degenerate_escape(objective, direction, saddle)
    except (NoBlowUp, ValueError):
        return None
    size = max(float(np.linalg.norm(saddle)), objective.theta_unit)
    starts = _starts(escape, direction, size) if alphas is None else alphas
    orders = _orders(problem, model, saddle) if problem is not None and model is not None else (1.0, 2.0)
    try:
        ways = _Ways(objective, saddle, escape, max(rtol, FINEST), size)
        ray = ways.ray(n_times)
        runs = ways.runs(direction, starts, ray.times)
        clock = max(escape.error, CLOCK_ERROR * escape.time) * float(starts[len(runs) - 1]) ** -(escape.order - 2)
        found = _compared(ray, escape, directions, runs, starts, orders, (clock * ray.speed, 0.0), agreement_tol)
        if far is None or alphas is not None or found.verdict == EscapeVerdict.EXISTS:
            return found
        known = float(starts[len(runs) - 1]) * direction, runs[-1]
        multiples = far_alphas(orders[0]) * size / float(np.linalg.norm(direction))
        runs, late, missed = ways.far_runs(far, direction, multiples, ray, known)
        return _compared(ray, escape, directions, runs, multiples, orders, (late, missed), agreement_tol)
    except (NotFollowed, NoBlowUp, IntegrationFailed) as failure:
        return EscapeLimit(EscapeVerdict.UNDECIDED, f"a trajectory was not followed: {failure}", directions)


def _starts(escape: DegenerateEscape, direction: np.ndarray, size: float) -> np.ndarray:
    """Return the multiples of the direction from which trajectories are followed."""
    power, length = escape.order - 2, float(np.linalg.norm(direction))
    moved = max(escape.error, LEAST_ERROR * escape.time) * escape.rate * length**power
    least = min(max(SMALLEST_START, (moved / SHIFT_TOL) ** (1.0 / power)), FARTHEST_LAUNCH ** (1.0 / power))
    return SPREAD * least * size / length


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
class _Ray:
    """The path on the ray, and its states at the times at which the routes are compared, in deviations.

    ``scale`` is the size of the largest of them, ``speed`` the largest velocity of the path over it.
    """

    path: Trajectory
    times: np.ndarray
    limit: np.ndarray
    scale: float
    speed: float
    error: float

    def apart(self, one: np.ndarray, other: np.ndarray) -> float:
        """Return the largest distance of states, relative to the scale."""
        return distance(one, other) / self.scale


@dataclass(frozen=True, slots=True, eq=False)
class _Ways:
    """A degenerate saddle of some size, how it is left, and the trajectories from there."""

    objective: Objective
    saddle: np.ndarray
    escape: DegenerateEscape
    rtol: float
    size: float

    @property
    def epsilon(self) -> float:
        """Return how far out on the ray the limit starts."""
        return float(HOMOGENEOUS_LAUNCH ** (1.0 / self.escape.order)) * self.size

    def ray(self, n_times: int) -> _Ray:
        """Return the path on the ray, in times of the limit."""
        epsilon, direction = self.epsilon, self.escape.direction
        path = self.flow(epsilon * direction)
        path = replace(path, times=path.times + self.onset(epsilon), plateaus=(), message=MESSAGE)
        index = moving_times(path, n_times)
        times, limit = path.times[index], path.states[index]
        scale = float(np.linalg.norm(limit - self.saddle, axis=1).max())
        nearer = self.states(epsilon / 2 * direction, times - self.onset(epsilon / 2))
        speed = float(path.gradient_norms.max()) / scale
        return _Ray(path, times, limit, scale, speed, WARY * distance(nearer, limit) / scale)

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

    def far_runs(
        self, far: FarStarts, direction: np.ndarray, alphas: np.ndarray, ray: _Ray, known: tuple[np.ndarray, np.ndarray]
    ) -> tuple[list[np.ndarray], float, float]:
        """Return the states from far smaller multiples of the direction, the error of joining them, and what they miss.

        The first error is seen by joining the last one twice as near; what they miss, of the states that are ``known``
        from a start.
        """

        def joined(start: np.ndarray, size: float, alpha: float = 1.0) -> np.ndarray:
            delta, ahead = far.near(start, size, float(np.log(alpha)))
            return self.states(delta, ray.times + ahead)

        runs = [joined(direction, self.epsilon, alpha) for alpha in map(float, alphas)]
        nearer = joined(direction, self.epsilon / 2, float(alphas[-1]))
        clock = CLOCK_ERROR / (self.escape.rate * self.epsilon ** (self.escape.order - 2))
        start, states = known
        missed = ray.apart(joined(start, AHEAD * float(np.linalg.norm(start))), states)
        return runs, WARY * ray.apart(nearer, runs[-1]) + clock * ray.speed, missed


def _compared(
    ray: _Ray,
    escape: DegenerateEscape,
    directions: EscapeDirections,
    runs: list[np.ndarray],
    alphas: np.ndarray,
    orders: tuple[float, float],
    errors: tuple[float, float],
    agreement_tol: float,
) -> EscapeLimit:
    """Return the record with both routes: the ray, and runs from falling multiples of the direction.

    ``errors`` are that of the times of these runs, and what others like them miss of a trajectory that is known.
    """
    alphas = np.array(alphas[: len(runs)], dtype=float)
    apart = np.array([ray.apart(each, ray.limit) for each in runs])
    whole, away = _extrapolated(runs, alphas, orders)
    late, missed = errors
    direct_error, agreement = away / ray.scale + missed, ray.apart(whole, ray.limit)
    allowed = min(2.0 * direct_error + ray.error + late, agreement_tol)
    settled = agreement <= allowed and missed <= agreement_tol
    relation = "agree" if settled else f"(the direct one converges as alpha^{orders[0]:.2g}) do not agree"
    reason = f"the two routes {relation}: they differ by {agreement:.2g} of the path's size, allowed {allowed:.2g}; "
    return EscapeLimit(
        verdict=EscapeVerdict.EXISTS if settled else EscapeVerdict.UNDECIDED,
        reason=f"{reason}times are shifted by s* alpha^-{escape.order - 2}, s* = {escape.time:.8g}",
        directions=directions,
        path=ray.path,
        times=ray.times,
        alphas=alphas,
        errors=apart,
        predicted_order=orders[0],
        fitted_order=settled_slope(alphas, apart, np.full(len(alphas), 10.0 * ray.error)),
        direct_error=direct_error,
        manifold_error=ray.error,
        agreement=agreement,
        escape=escape,
    )
