"""One driver for all optimizers: one step after another from a start, with one record of what was passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg.blas import dnrm2 as norm

from gflow import watch
from gflow.critical.spectra import curvature_at
from gflow.descent.optimizers import LinearOptimizer, Optimizer, State, optimizer_of
from gflow.descent.record import LARGEST_ITERATE, ObjectiveSteps, checked_limits, checked_start
from gflow.flow import Status, Trajectory
from gflow.flow.driver import Callback
from gflow.flow.endings import passed
from gflow.flow.trajectory import Ending
from gflow.objective import StochasticLoss

if TYPE_CHECKING:
    from gflow.objective import Objective

PATIENCE = 100
"""Steps in a row that change nothing before a descent without noise is taken to be at rest."""


@watch.watched
def descent(
    objective: Objective | StochasticLoss,
    start: np.ndarray,
    optimizer: str | Optimizer = "gradient",
    *,
    step: float | None = None,
    max_steps: int = 100_000,
    loss_tol: float = 1e-20,
    gradient_tol: float = 1e-12,
    move_tol: float = 1e-9,
    norm_limit: float = 1e4,
    max_states: int = 1000,
    callback: Callback | None = None,
    rng: np.random.Generator | int | None = None,
    progress: watch.Wish = None,
    timeout: float | None = None,
    **parameters: Any,
) -> Trajectory:
    """Return the iterates of an optimizer from ``start``; their times are the numbers of the steps, 0, 1, 2, ...

    Parameters
    ----------
    objective : Objective or StochasticLoss
        Of a stochastic loss every step takes a gradient drawn at random; losses, gradient norms and endings are those
        of the loss itself.
    start : (dim,) array
    optimizer : str or (state, gradient) -> state
        ``gradient``, ``heavy-ball`` and ``nesterov`` (``momentum``, default 0.9), ``weight-decay`` (``decay``),
        ``normalized``, ``sign``, ``adagrad`` (``epsilon``) or ``adam`` (``beta1``, ``beta2``, ``epsilon``); or an
        object of their classes, or any rule for tuples of arrays whose first is theta. The first state is ``(theta,)``.
    step : float
        For an optimizer by name. It scales like a time, (theta_unit / unit)^2, for the first four, so that the number
        of a step times ``step`` compares with the time of the gradient flow; like theta for the others.
    max_steps : int
        Budget. A step that is too long for the curvature met is not refused: it ends as ``diverging`` or ``budget``.
    loss_tol : float
        Converged when f - lower_bound <= loss_tol * unit^2,
    gradient_tol : float
        or |grad f| <= gradient_tol times its largest value so far and the Hessian has no negative eigenvalue up to
        rounding;
    move_tol : float
        and in both cases the last step was no longer than move_tol * max(theta_unit, |theta|): what has momentum, or
        steps of fixed length, may only pass by.
    norm_limit : float
        Diverging when |theta| > norm_limit * max(theta_unit, |start|).
    max_states : int
        At most this many states are kept, evenly spread; gauges and plateaus refer to them.
    callback : (step number, theta, loss) -> object, optional
        Called after every step; a true answer stops the descent (status ``horizon``).
    rng : Generator or int
        For a stochastic loss, and for no other.
    progress, timeout : see ``gflow.watch.watching``
    **parameters
        Of the optimizer named.

    Raises
    ------
    TypeError, ValueError
        If the start has another shape or is not finite, a number is out of range, the optimizer or one of its
        parameters is unknown, or ``rng`` is missing or superfluous; in one sentence.
    """
    rule = optimizer_of(optimizer, step, parameters)
    noisy = isinstance(objective, StochasticLoss)
    loss = objective.objective if isinstance(objective, StochasticLoss) else objective
    theta = checked_start(loss, start)
    if noisy != (rng is not None):
        raise ValueError(
            "a stochastic loss needs rng, a Generator or a seed" if noisy else "rng is for a StochasticLoss"
        )
    limits = checked_limits(
        {"max_steps": max_steps, "max_states": max_states},
        loss_tol=loss_tol,
        gradient_tol=gradient_tol,
        move_tol=move_tol,
        norm_limit=norm_limit,
    )
    source = objective if isinstance(objective, StochasticLoss) else None
    return _Iteration(loss, theta, rule, limits, callback, source, np.random.default_rng(rng)).trajectory()


class _Iteration(ObjectiveSteps):
    """One run of an optimizer. ``state`` is in the units of the caller, ``theta`` in the objective's own."""

    def __init__(
        self,
        objective: Objective,
        start: np.ndarray,
        rule: Optimizer,
        limits: dict[str, float],
        callback: Callback | None,
        source: StochasticLoss | None,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(objective, start, 1.0, limits, callback)
        self.state: State = (start,)
        self.rule, self.source, self.rng = rule, source, rng
        self.begin = self.theta
        self.moved, self.idle = 0.0, 0

    def gradient(self) -> np.ndarray:
        """Return the gradient for the next step, in the units of the caller."""
        theta_unit, _, unit = self.units
        if self.source is not None:
            return self.source.draw(self.state[0], self.rng)
        return self.slope_vector * (unit * (unit / theta_unit))

    def advance(self) -> Ending | None:
        with np.errstate(over="ignore", invalid="ignore"):
            state = self.rule(self.state, self.gradient())
        self.require(state)
        before, theta = self.theta, state[0] / self.units[0]
        if not (np.abs(theta) <= LARGEST_ITERATE).all():  # NaN included
            return self.diverging(bool(np.isfinite(theta).all()))
        self.state, self.theta = state, theta
        self.n_steps += 1
        self.t = float(self.n_steps)
        self.moved = norm(theta - before)
        self.idle = 0 if self.moved else self.idle + 1
        if norm(theta) > self.bound:
            return self.diverging()
        self.slope_vector = self.objective.gradient(theta)
        self.n_gradients += 1 if self.source is None else 2
        self.slope = norm(self.slope_vector)
        self.highest = max(self.highest, self.slope)
        self.kept.offer(self.t, theta)
        return None

    def require(self, state: Any) -> None:
        """Raise unless a rule returned a state."""
        first = state[0] if isinstance(state, tuple) and state else None
        if not isinstance(first, np.ndarray) or first.shape != self.theta.shape:
            shape = f"a tuple of arrays whose first has shape {self.theta.shape}"
            raise TypeError(f"an optimizer must return {shape}; {self.rule!r} returned {state!r}")

    def verdict(self) -> Ending | None:
        if self.moved <= self.limits["move_tol"] * max(1.0, norm(self.theta)):
            if ending := self.reached():
                return ending
            if self.slope <= self.limits["gradient_tol"] * self.highest and (ending := self.at_rest()):
                return ending
        if self.idle >= PATIENCE and self.source is None:
            return self.stalled(f"{PATIENCE} steps changed nothing")
        return self.spent() if self.n_steps >= self.limits["max_steps"] else None

    def diverging(self, finite: bool = True) -> Ending:
        message = passed(self.bound * self.units[0])[1]
        if not finite:
            message = f"step {self.n_steps + 1} led to numbers that are not finite"
        if not isinstance(self.rule, LinearOptimizer):
            return Status.DIVERGING, message
        return Status.DIVERGING, f"{message}; {self.stability(self.begin, 'at the start')}"

    def spent(self) -> Ending:
        """Return that all steps were made, and what the last ones were like."""
        message = f"{self.n_steps} steps were made; the last moved theta by {self.moved * self.units[0]:.3g}"
        if not isinstance(self.rule, LinearOptimizer):
            return Status.BUDGET, message
        return Status.BUDGET, f"{message}; {self.stability(self.theta, 'at the end')}"

    def stability(self, theta: np.ndarray, where: str) -> str:
        """Return the sentence on the largest stable curvature and the one that was met at ``theta``."""
        assert isinstance(self.rule, LinearOptimizer)
        most, met = self.rule.stable_curvature, curvature_at(self.objective, theta) / self.units[1]
        told = "the step is too long there" if met > most else "the step is short enough there"
        return f"minima are stable up to curvature {most:.6g}, it was {met:.6g} {where}: {told}"

    def name(self) -> str:
        return repr(self.rule) if self.source is None else f"{self.rule!r} on {self.source!r}"
