"""The two routes to the escape limit: trajectories from small starts, and the unstable manifold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gflow.escape.bursts import SLOWED, Burst, NotFollowed, joined
from gflow.escape.directions import EscapeDirections
from gflow.flow import IntegrationFailed, Status, Trajectory, gradient_flow
from gflow.policy import EPS

if TYPE_CHECKING:
    from gflow.objective import Objective

EXACT_LAUNCH, ROUGH_LAUNCH = 1e-10, 1e-7
"""Start on the unstable manifold, relative to the size of the saddle; the second where deviations are rounded."""
PROBE, PROBE_TOL = 1e-13, 1e-6
"""A start this small, relative to the size of the saddle, shows rounding by more than the second if there is any."""
DIVERGED = 1e4
"""The path along the unstable manifold counts as diverging at this distance, relative to the size of the saddle."""
PATH_BUDGET = 5_000
"""Gradients of each path, twice what one that ends takes: one that rests above its rounding, or comes to its end like a
power of time as in the valleys of networks with more neurons than they need, gains no more."""
LINEAR = 1e-3
"""The path along the unstable manifold begins where the linear law fails by this fraction."""
FRESH_DECADES = 4
"""Decades of growth of a deviation after which tolerances relative to it are set afresh."""
ROUNDED_TOL = 1e2 * EPS
"""Error of a rounded deviation, relative to the size of the saddle."""
RUNAWAY = 10.0
"""A path that runs off to infinity is followed to this distance, relative to the size of the saddle."""
STEEP = 1e5
"""It is given up where it doubles within so small a fraction of the time spent: later, rounding of the time counts."""
PARTED = 1e2
"""The path is given up where two starts lead further apart than this many times their distance from the saddle."""
TAIL_RTOL, TAIL_BUDGET = 1e-10, 1_000
"""Tolerance of the path, at least, and its budget, after the burst in which the routes are compared."""


@dataclass(frozen=True, eq=False)
class Routes:
    """A saddle, a direction, and the trajectories from there; states are deviations from the saddle.

    Attributes
    ----------
    objective : Objective
    saddle, direction : (dim,) arrays
    directions : EscapeDirections
    launch : (dim,) array
        Pi direction, the part of the direction in the escape eigenspace.
    rtol : float
        Tolerance of the integrations.
    around : Objective
        The objective as a function of the deviation.
    """

    objective: Objective
    saddle: np.ndarray
    direction: np.ndarray
    directions: EscapeDirections
    launch: np.ndarray
    rtol: float
    around: Objective

    @property
    def size(self) -> float:
        """Return max(|saddle|, theta_unit)."""
        return max(float(np.linalg.norm(self.saddle)), self.objective.theta_unit)

    @cached_property
    def exact(self) -> bool:
        """Return whether deviations from the saddle are evaluated without cancellation.

        Without a deviation form the gradient at a tiny start is compared with the linear law -lambda_1 Pi delta.
        """
        if self.objective.deviation is not None:
            return True
        delta = PROBE * self.size / float(np.linalg.norm(self.launch)) * self.launch
        found = self.directions.project(self.around.gradient(delta)) / self.directions.rate
        return float(np.linalg.norm(found + delta)) <= PROBE_TOL * float(np.linalg.norm(delta))

    @property
    def epsilon(self) -> float:
        """Return the factor of ``launch`` at which the unstable manifold is entered."""
        return (EXACT_LAUNCH if self.exact else ROUGH_LAUNCH) * self.size / float(np.linalg.norm(self.launch))

    def shift(self, small: float) -> float:
        """Return log(1 / small) / lambda_1: the time of the trajectory at time 0 of the limit."""
        return -float(np.log(small)) / self.directions.rate

    def orbit(self) -> tuple[Trajectory, np.ndarray]:
        """Return the limit along the unstable manifold, in times of the limit, and how far rounding moves it.

        The second is the distance to the path from a start four times nearer, relative to the path's size so far,
        shape (T,). Where it passes the tolerance, rounding decides what follows, and the path ends.
        """
        start, elapsed = self._leaving()
        path, precise = self._followed(start)
        path = self._bounded(path)
        times = path.times + (elapsed - self.shift(self.epsilon))
        nearer, _ = self._states(self.epsilon / 4 * self.launch, times[:precise] + self.shift(self.epsilon / 4))
        if len(times) > precise:
            nearer = np.concatenate([nearer, self._at(nearer[-1], times[precise:] - times[precise - 1], TAIL_RTOL)[0]])
        size = np.maximum.accumulate(np.linalg.norm(path.states, axis=1))
        apart = np.linalg.norm(path.states - nearer, axis=1) / size
        lost = apart > PARTED * (EXACT_LAUNCH if self.exact else ROUGH_LAUNCH)
        stop = int(np.argmax(lost)) if lost.any() else len(times)
        if stop < 2:
            raise NotFollowed("two starts on the unstable manifold lead apart at once")
        arrays = {name: getattr(path, name)[:stop].copy() for name in ("states", "losses", "gradient_norms")}
        status = Status.ROUNDOFF if lost.any() else path.status
        return replace(path, times=times[:stop], plateaus=(), status=status, **arrays), apart[:stop]

    def _followed(self, start: np.ndarray) -> tuple[Trajectory, int]:
        """Return the flow from a start to its end, and how many of its states come before the tail.

        The tail begins where the flow has slowed down, and is followed with less accuracy unless it is faster later.
        """
        path = self._flow(start, stop=Burst())
        while path.status is Status.HORIZON:  # it was stopped
            tail = self._flow(path.final, rtol=TAIL_RTOL, budget=TAIL_BUDGET)
            later = float(tail.gradient_norms.max())
            if later <= path.gradient_norms.max():
                return joined(path, tail), len(path.times)
            path = joined(path, self._flow(path.final, stop=Burst(later)))
        return path, len(path.times)

    def _bounded(self, path: Trajectory) -> Trajectory:
        """Return the part of a path near the saddle if it has no end, else all of it."""
        if path.status is not Status.DIVERGING and path.gradient_norms[-1] < SLOWED * path.gradient_norms.max():
            return path
        lengths, spent = np.linalg.norm(path.states, axis=1), path.times + self.shift(self.epsilon)
        far = (lengths > RUNAWAY * self.size) | (path.gradient_norms * spent > STEEP * lengths)
        stop = int(np.argmax(np.append(far, True)))
        if stop < 2:
            raise NotFollowed("the path runs off to infinity at once")
        arrays = {name: getattr(path, name)[:stop].copy() for name in ("times", "states", "losses", "gradient_norms")}
        return replace(path, plateaus=(), **arrays)

    def _leaving(self) -> tuple[np.ndarray, float]:
        """Return the last state on the unstable manifold, decade by decade, that follows the linear law; its time."""
        start, elapsed, decade = self.epsilon * self.launch, 0.0, float(np.log(10.0)) / self.directions.rate
        while True:
            for ahead in self._at(start, decade * np.arange(1, FRESH_DECADES + 1))[0]:
                missed = float(np.linalg.norm(ahead - 10.0 * start)) / float(np.linalg.norm(ahead))
                if missed > LINEAR or float(np.linalg.norm(ahead)) > self.size:
                    return start, elapsed
                start, elapsed = ahead, elapsed + decade

    def placed(self, path: Trajectory) -> Trajectory:
        """Return the path with points instead of deviations, and their losses."""
        losses = path.losses + self.objective.value(self.saddle)
        return replace(
            path, states=path.states + self.saddle, losses=losses, message="the limit along the unstable manifold"
        )

    def direct(self, alpha: float, times: np.ndarray) -> np.ndarray:
        """Return the states at these times of the limit, from the start ``alpha * direction``, shape (m, dim).

        Raises ``NotFollowed`` if the trajectory ends before them, other than at a critical point.
        """
        states, path = self._states(alpha * self.direction, times + self.shift(alpha))
        if path.status not in (Status.CONVERGED, Status.ROUNDOFF, Status.HORIZON):
            raise NotFollowed(path.message)
        return states

    def _states(self, start: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, Trajectory]:
        """Return the states at these times after ``start``; where the trajectory ends before, its last state."""
        first = max(float(times[0]), 0.0)
        begin = self._grown(start, first)
        states, path = self._at(begin, times[1:] - first)
        return np.concatenate([begin[None], states]), path

    def _at(self, start: np.ndarray, times: np.ndarray, rtol: float = 0.0) -> tuple[np.ndarray, Trajectory]:
        """Return the states at these positive times after ``start``, and the trajectory, as ``_states``."""
        path = self._flow(start, t_eval=times, rtol=rtol)
        index = np.minimum(np.searchsorted(path.times, times * (1 - 1e-12)), len(path.times) - 1)
        return path.states[index], path

    def _grown(self, start: np.ndarray, elapsed: float) -> np.ndarray:
        """Return the state at the time ``elapsed``, in legs with tolerances that follow the growing deviation."""
        legs = int(np.ceil(self.directions.rate * elapsed / (FRESH_DECADES * np.log(10.0))))
        for _ in range(legs):
            path = self._flow(start, t_end=elapsed / legs)
            if path.status != Status.HORIZON:
                raise NotFollowed(path.message)
            start = path.final
        return start

    def _flow(
        self,
        start: np.ndarray,
        t_end: float | None = None,
        t_eval: np.ndarray | None = None,
        rtol: float = 0.0,
        stop: Burst | None = None,
        budget: int = PATH_BUDGET,
    ) -> Trajectory:
        """Return the trajectory of deviations; a rounded deviation allows no tolerance below its rounding.

        It is integrated in units in which the start has norm 1, so that all that counts as rounding is relative to it.
        """
        length, unit = float(np.linalg.norm(start)), self.objective.time_unit
        if t_eval is not None and not (np.diff(t_eval, prepend=0.0) > 0.0).all():
            raise NotFollowed("two states lie closer in time than rounding tells apart")
        try:
            with np.errstate(divide="ignore", invalid="ignore"):  # trial steps that are rejected
                path = gradient_flow(
                    _in_units(self.around, length, unit),
                    start / length,
                    rtol=max(self.rtol, rtol, 0.0 if self.exact else min(ROUNDED_TOL * self.size / length, 1e-2)),
                    t_end=None if t_end is None else t_end / unit,
                    t_eval=None if t_eval is None else t_eval / unit,
                    norm_limit=(DIVERGED if t_eval is None else 1e2 * DIVERGED) * max(self.size / length, 1.0),
                    max_evaluations=budget,
                    callback=None if stop is None else (lambda t, y, loss: stop(t * unit, y * length, loss)),
                )
        except IntegrationFailed as failure:
            raise NotFollowed(str(failure)) from failure
        if not (np.isfinite(path.states).all() and np.isfinite(path.losses).all()):
            raise NotFollowed("the objective is not a number on the way")
        return replace(
            path,
            times=path.times * unit,
            states=path.states * length,
            losses=path.losses * length / unit * length,
            gradient_norms=path.gradient_norms * (length / unit),
        )

    def rounding(self, alpha: float) -> float:
        """Return an estimate of the relative error that rounding causes in a trajectory from ``alpha * direction``.

        Rounding of the start's part in the eigenspace, of lambda_1 in the shift, and, without an exact deviation
        form, of the deviation itself.
        """
        strength = float(np.linalg.norm(self.launch))
        start = EPS * float(np.linalg.norm(self.direction)) / strength
        rate = EPS * self.directions.norm / self.directions.rate * abs(float(np.log(alpha * strength / self.size)))
        return start + rate + (0.0 if self.exact else ROUNDED_TOL * self.size / (alpha * strength))


def _in_units(objective: Objective, length: float, time: float) -> Objective:
    """Return the objective with theta in units of ``length`` and the time of its flow in units of ``time``."""
    deviation, bound = objective.deviation, objective.lower_bound
    lengths, times = np.full(objective.dim, length), np.full(objective.dim, time)  # scalars are slower
    return replace(
        objective,
        value=lambda y: objective.value(length * y) / length * time / length,
        gradient=lambda y: objective.gradient(lengths * y) / lengths * times,
        hvp=lambda y, v: objective.hvp(length * y, v) * time,
        hessian=lambda y: objective.hessian(length * y) * time,
        deviation=None if deviation is None else (lambda y: _in_units(deviation(length * y), length, time)),
        lower_bound=None if bound is None else bound / length * time / length,
        conserved=None,
        gauge_dimension=None,
        unit=1.0,
        theta_unit=1.0,
        normalized=None,
        escape_modes=None,
    )


def distance(states: np.ndarray, others: np.ndarray) -> float:
    """Return the largest distance between states at equal times."""
    return float(np.linalg.norm(states - others, axis=1).max())


def settled_slope(alphas: np.ndarray, errors: np.ndarray, floors: np.ndarray) -> float | None:
    """Return the slope of log error against log alpha over the small-alpha half of what exceeds the floors."""
    usable = errors > floors
    a, e = np.log(alphas[usable]), np.log(errors[usable])
    tail = max(3, (len(a) + 1) // 2)
    return float(np.polyfit(a[-tail:], e[-tail:], 1)[0]) if len(a) >= 3 else None
