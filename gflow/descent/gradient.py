"""Gradient descent on an objective, with a fixed step or with an exact line search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.blas import dnrm2 as norm

from gflow import watch
from gflow.checks import require_positive
from gflow.descent.quartic import quartic_along
from gflow.descent.record import LARGEST_ITERATE, ObjectiveSteps, checked_limits, checked_start
from gflow.flow import Status, Trajectory
from gflow.flow.driver import Callback
from gflow.flow.endings import EXACTLY_ZERO, passed, small_loss, steepest
from gflow.flow.trajectory import Ending
from gflow.policy import EPS

if TYPE_CHECKING:
    from gflow.objective import Objective

EXACT = "exact"
QUARTIC_TOL = 1e-6
"""A function counts as quartic along a line if one more value agrees with the polynomial within this fraction."""
NORM_TOL = 1e-2
MOST_PRODUCTS = 20
"""The power iteration for |H| stops when a product raises it by less than NORM_TOL, at the latest after so many."""
FARTHEST = 1e100


@watch.watched
def gradient_descent(
    objective: Objective,
    start: np.ndarray,
    *,
    step: float | str = EXACT,
    clip: float = 2.0,
    t_end: float | None = None,
    loss_tol: float = 1e-20,
    gradient_tol: float = 1e-12,
    norm_limit: float = 1e4,
    max_evaluations: int = 100_000,
    max_states: int = 1000,
    callback: Callback | None = None,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> Trajectory:
    """Return the iterates theta - step * grad f(theta) from ``start``; their times are the sums of the steps.

    Parameters
    ----------
    objective : Objective
    start : (dim,) array
    step : float or 'exact'
        A fixed step, or the minimiser of the loss along -grad f: of a quartic polynomial, so the objective must be of
        degree four along lines, as for every factorised model.
    clip : float
        An exact line search is clipped for stability: step <= clip / |H(theta)|, with |H| the norm of the Hessian
        by power iteration, from below and to some per cent. At 2, the default, no step is longer than a fixed step
        could be; numpy.inf does not clip.
    t_end : float, optional
        Stop once the steps add up to it.
    loss_tol : float
        Converged when f - lower_bound <= loss_tol * unit^2.
    gradient_tol : float
        Converged when |grad f| <= gradient_tol times its largest value so far and the Hessian has no negative
        eigenvalue up to rounding.
    norm_limit : float
        Diverging when |theta| > norm_limit * max(theta_unit, |start|): a fixed step that is too long ends there.
    max_evaluations : int
        Budget of gradient evaluations.
    max_states : int
        At most this many states are kept, evenly spread; gauges and plateaus refer to them.
    callback : (t, theta, loss) -> object, optional
        Called after every step; a true answer stops the descent (status ``horizon``).
    progress, timeout : see ``gflow.watch.watching``

    Raises
    ------
    ValueError
        If the start has another shape or is not finite, a number is out of range, or an exact line search is asked
        for and the objective is not quartic.

    ``n_hessians`` counts Hessian-vector products. Steps scale as 1 / s and states as sqrt(s) for a factorisation
    when M is multiplied by s. Gunasekar et al. 2017, section 3.
    """
    theta = checked_start(objective, start)
    if step != EXACT and (isinstance(step, str) or not 0 < step < np.inf):
        raise ValueError(f"step must be 'exact' or a positive finite number; got {step!r}")
    require_positive(clip=clip)
    counts = {"max_evaluations": max_evaluations, "max_states": max_states}
    limits = checked_limits(counts, loss_tol=loss_tol, gradient_tol=gradient_tol, norm_limit=norm_limit, t_end=t_end)
    return _Descent(objective, theta, step, clip, limits, callback).trajectory()


class _Descent(ObjectiveSteps):
    """One descent in the objective's own unit."""

    def __init__(
        self,
        objective: Objective,
        start: np.ndarray,
        step: float | str,
        clip: float,
        limits: dict[str, float],
        callback: Callback | None,
    ) -> None:
        super().__init__(objective, start, objective.time_unit, limits, callback)
        self.step = None if isinstance(step, str) else step / self.units[1]
        self.clip, self.idle = clip, False
        self.mode = self.slope_vector / self.slope if self.slope > 0 else np.ones_like(self.theta)
        self.curvature = self.stiffness()

    def stiffness(self) -> float:
        """Return the norm of the Hessian at the state by power iteration from the last mode and the gradient."""
        if self.slope > 0:
            self.mode = self.mode + self.slope_vector / self.slope
        self.mode = self.mode / (norm(self.mode) or 1.0)
        largest = 0.0
        for _ in range(MOST_PRODUCTS):
            image = self.objective.hvp(self.theta, self.mode)
            self.n_hessians += 1
            before, largest = largest, norm(image)
            if not 0 < largest < np.inf:
                break
            self.mode = image / largest
            if largest - before <= NORM_TOL * largest:
                break
        return largest

    def length(self) -> float:
        """Return the length of the next step."""
        if self.step is not None:
            return self.step
        if not self.n_steps:
            self.require_quartic()
        stiffness = self.stiffness() or 1.0
        longest = min(self.clip / stiffness, FARTHEST)
        reach = min(2.0 / stiffness, longest)
        while True:
            line = quartic_along(self.objective, self.theta, -self.slope_vector, reach, -(self.slope**2))
            self.n_gradients, self.n_hessians = self.n_gradients + 1, self.n_hessians + 1
            wanted = line.minimiser(min(16 * reach, longest))
            if wanted <= 2 * reach or reach >= longest:
                return wanted
            reach = min(wanted, longest)

    def require_quartic(self) -> None:
        """Raise unless the loss is a quartic along -grad f over a length as large as the state, or as its unit.

        There the loss changes by much more than its rounding, however small it is at the state.
        """
        reach = (1.0 + norm(self.theta)) / self.slope
        line = quartic_along(self.objective, self.theta, -self.slope_vector, reach, -(self.slope**2))
        here, there = (self.objective.value(self.theta - s * self.slope_vector) for s in (0.0, reach / 2))
        size = sum(abs(c) * reach**k for k, c in enumerate((line.c1, line.c2, line.c3, line.c4), start=1))
        size += 10 * EPS / QUARTIC_TOL * abs(here)
        if abs(there - here - line(reach / 2)) > QUARTIC_TOL * size:
            raise ValueError("step 'exact' needs an objective of degree four along lines; give a fixed step instead")

    def advance(self) -> Ending | None:
        length = self.length()
        before, self.theta = self.theta, self.theta - length * self.slope_vector
        small = bool((np.abs(self.theta) <= LARGEST_ITERATE).all())
        if not small:
            self.theta = before
            return self.diverging()
        self.n_steps += 1
        self.t += length
        if norm(self.theta) > self.bound:
            return self.diverging()
        self.slope_vector = self.objective.gradient(self.theta)
        self.n_gradients += 1
        self.slope = norm(self.slope_vector)
        self.highest = max(self.highest, self.slope)
        self.kept.offer(self.t, self.theta)
        self.idle = np.array_equal(before, self.theta)
        return None

    def diverging(self) -> Ending:
        status, message = passed(self.bound * self.units[0])
        return status, f"{message}: the step is too long"

    def verdict(self) -> Ending | None:
        curvature, loss_tol = max(self.curvature, 1.0), self.limits["loss_tol"]
        could_end = self.slope <= steepest(self.objective, curvature, loss_tol)
        if could_end and (ending := small_loss(self.objective, self.theta, loss_tol, self.units[2])):
            return ending
        if self.slope <= self.limits["gradient_tol"] * self.highest and (ending := self.at_rest()):
            return ending
        if self.slope == 0.0:
            return EXACTLY_ZERO
        if self.t * self.units[1] >= self.limits["t_end"] * (1.0 - 1e-12):
            return Status.HORIZON, "the steps add up to t_end"
        return self.exhausted() or (self.stalled("the step is below rounding") if self.idle else None)

    def name(self) -> str:
        if self.step is None:
            return f"gradient descent, exact line search, step <= {self.clip:.6g} / |H|"
        return f"gradient descent, step {self.step * self.units[1]:.6g}"
