"""Discrete methods: gradient descent with a fixed step or an exact line search, and projected gradient descent.

Along a line the loss of a factorised model is a polynomial of degree four, so an exact line search is the solution of
a cubic equation. The iterates are reported as a ``Trajectory`` whose times are the sums of the steps, so that they
compare with the gradient flow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gflow.flow import Status, Trajectory
from gflow.flow.monitor import along, norm, plateaus
from gflow.flow.saddles import EPS, saddle_at

if TYPE_CHECKING:
    from gflow.objective import Objective
    from gflow.problems import MatrixSensing

Callback = Callable[[float, np.ndarray, float], object]
Ending = tuple[Status, str]

EXACT = "exact"
CURVATURE_GROWTH = 1e6
"""The curvature along the iterates is taken to stay below this many times the one at the start."""
QUARTIC_TOL = 1e-6
"""A function counts as quartic along a line if a fifth value agrees with the polynomial within this fraction."""
FARTHEST = 1e100


@dataclass(frozen=True, slots=True)
class Quartic:
    """The polynomial c1 s + c2 s^2 + c3 s^3 + c4 s^4."""

    c1: float
    c2: float
    c3: float
    c4: float

    def __call__(self, s: float) -> float:
        """Return the value at s."""
        return s * (self.c1 + s * (self.c2 + s * (self.c3 + s * self.c4)))

    def minimiser(self, longest: float) -> float:
        """Return the s in (0, longest] of least value: a root of the cubic derivative, or the end."""
        scaled = np.array([4 * self.c4 * longest**3, 3 * self.c3 * longest**2, 2 * self.c2 * longest, self.c1])
        kept = np.flatnonzero(np.abs(scaled) > EPS * np.abs(scaled).max())
        roots = np.roots(scaled[kept[0] :])
        real = roots.real[(np.abs(roots.imag) <= 1e-6 * np.abs(roots)) & (roots.real > 0) & (roots.real < 1)]
        return min((longest * float(s) for s in (*real, 1.0)), key=self)


def quartic_along(objective: Objective, theta: np.ndarray, direction: np.ndarray, reach: float) -> Quartic:
    """Return f(theta + s direction) - f(theta) as a polynomial in s, for an objective of degree four.

    Parameters
    ----------
    objective : Objective
    theta, direction : (dim,) arrays
    reach : float
        The values at s = reach and s = -reach give c3 and c4, in the deviation form and so without cancellation;
        c1 and c2 come from the gradient and from a Hessian-vector product. The errors of all terms are rounding
        errors of the largest at s = reach.
    """
    slope = float(objective.gradient(theta) @ direction)
    bend = float(direction @ objective.hvp(theta, direction)) / 2
    local = objective.around(theta)
    forth, back = (local.value(s * direction) for s in (reach, -reach))
    even = (forth + back) / 2 - bend * reach**2
    return Quartic(slope, bend, (forth - back) / 2 / reach**3, even / reach**4)


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
        by power iteration. At 2, the default, no step is longer than a fixed step could be; numpy.inf does not clip.
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

    Raises
    ------
    ValueError
        If the start has another shape or is not finite, a number is out of range, or an exact line search is asked
        for and the objective is not quartic.

    ``n_hessians`` counts Hessian-vector products. Steps scale as 1 / s and states as sqrt(s) for a factorisation
    when M is multiplied by s. Gunasekar et al. 2017, section 3.
    """
    theta = np.array(start, dtype=float)
    if theta.shape != (objective.dim,) or not np.isfinite(theta).all():
        raise ValueError(f"start must be finite numbers of shape ({objective.dim},); got shape {theta.shape}")
    if step != EXACT and (isinstance(step, str) or not 0 < step < np.inf):
        raise ValueError(f"step must be 'exact' or a positive finite number; got {step!r}")
    if not clip > 0:
        raise ValueError(f"clip must be positive; got {clip!r}")
    limits = _checked(loss_tol, gradient_tol, norm_limit, t_end, max_evaluations, max_states)
    return _Descent(objective, theta, step, clip, limits, callback).trajectory()


def _checked(
    loss_tol: float,
    gradient_tol: float,
    norm_limit: float,
    t_end: float | None,
    max_evaluations: int,
    max_states: int,
) -> dict[str, float]:
    counts = {"max_evaluations": max_evaluations, "max_states": max_states}
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 2:
            raise ValueError(f"{name} must be an integer of at least 2; got {count!r}")
    limits = {"loss_tol": loss_tol, "gradient_tol": gradient_tol, "norm_limit": norm_limit}
    limits["t_end"] = np.inf if t_end is None else t_end
    for name, limit in limits.items():
        if not limit > 0:
            raise ValueError(f"{name} must be positive; got {limit!r}")
    return limits | counts


@dataclass
class _Kept:
    """States kept along a descent; when there are too many, every other one is dropped."""

    most: int
    times: list[float] = field(default_factory=list)
    states: list[np.ndarray] = field(default_factory=list)
    stride: int = 1

    def offer(self, number: int, t: float, state: np.ndarray, last: bool = False) -> None:
        if (number % self.stride == 0 or last) and (not self.times or t > self.times[-1]):
            if len(self.times) >= self.most:
                del self.times[1::2], self.states[1::2]
                self.stride *= 2
            self.times.append(t)
            self.states.append(state)


class _Descent:
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
        self.units = objective.theta_unit, objective.time_unit, objective.unit
        self.objective = objective.normalized or objective
        self.theta, self.t, self.n_steps, self.n_gradients, self.n_hessians = start / self.units[0], 0.0, 0, 1, 0
        self.step = None if isinstance(step, str) else step / self.units[1]
        self.clip, self.limits, self.callback = clip, limits, callback
        self.bound = limits["norm_limit"] * max(1.0, norm(self.theta))
        self.slope_vector = self.objective.gradient(self.theta)
        self.slope = self.highest = norm(self.slope_vector)
        self.mode = self.slope_vector / self.slope if self.slope > 0 else np.ones_like(self.theta)
        self.curvature = self.stiffness(20)
        self.minimum_below = np.inf
        self.kept = _Kept(int(limits["max_states"]))
        self.kept.offer(0, 0.0, self.theta)

    def stiffness(self, repeats: int) -> float:
        """Return the norm of the Hessian at the state by power iteration, warm from the last one."""
        largest = 0.0
        for _ in range(repeats):
            image = self.objective.hvp(self.theta, self.mode)
            self.n_hessians += 1
            largest = norm(image)
            if not 0 < largest < np.inf:
                break
            self.mode = image / largest
        return largest

    def length(self) -> float:
        """Return the length of the next step."""
        if self.step is not None:
            return self.step
        stiffness = self.stiffness(1 if self.n_steps else 20) or 1.0
        longest = min(self.clip / stiffness, FARTHEST)
        reach = min(2.0 / stiffness, longest)
        while True:
            line = quartic_along(self.objective, self.theta, -self.slope_vector, reach)
            self.n_gradients, self.n_hessians = self.n_gradients + 1, self.n_hessians + 1
            if not self.n_steps:
                self.require_quartic(line, reach)
            wanted = line.minimiser(min(16 * reach, longest))
            if wanted <= 2 * reach or reach >= longest:
                return wanted
            reach = min(wanted, longest)

    def require_quartic(self, line: Quartic, reach: float) -> None:
        change = self.objective.around(self.theta).value(-reach / 2 * self.slope_vector)
        expected = line(reach / 2) - line.c1 * reach / 2
        size = sum(abs(c) * reach**k for k, c in enumerate((line.c2, line.c3, line.c4), start=2))
        size += EPS / QUARTIC_TOL * 10 * abs(self.objective.value(self.theta))
        if abs(change - expected) > QUARTIC_TOL * size:
            raise ValueError("step 'exact' needs an objective of degree four along lines; give a fixed step instead")

    def trajectory(self) -> Trajectory:
        """Step until something ends the descent and return what was kept."""
        ending = self.verdict()
        while ending is None:
            ending = self.advance()
        return self.result(*ending)

    def advance(self) -> Ending | None:
        length = self.length()
        before, self.theta = self.theta, self.theta - length * self.slope_vector
        self.n_steps += 1
        self.t += length
        if not np.isfinite(self.theta).all() or norm(self.theta) > self.bound:
            self.theta = before if not np.isfinite(self.theta).all() else self.theta
            return Status.DIVERGING, f"|theta| passed {self.bound * self.units[0]:.3g}: the step is too long"
        with np.errstate(over="ignore", invalid="ignore"):
            self.slope_vector = self.objective.gradient(self.theta)
        self.n_gradients += 1
        self.slope = norm(self.slope_vector)
        self.highest = max(self.highest, self.slope)
        self.kept.offer(self.n_steps, self.t, self.theta)
        ending = self.verdict()
        if ending is None and np.array_equal(before, self.theta):
            ending = self.resting()
        if ending is None and self.callback is not None:
            loss = self.objective.value(self.theta) * self.units[2] ** 2
            if self.callback(self.t * self.units[1], self.theta * self.units[0], loss):
                ending = Status.HORIZON, "the callback asked to stop"
        return ending

    def verdict(self) -> Ending | None:
        floor, loss_tol = self.objective.lower_bound, self.limits["loss_tol"]
        # f - floor >= |grad f|^2 / (2 L) with L a bound of the curvature: a steep slope excludes a small loss
        if floor is not None and self.slope**2 <= 2 * CURVATURE_GROWTH * max(self.curvature, 1.0) * loss_tol:
            loss = self.objective.value(self.theta)
            if loss - floor <= loss_tol:
                return Status.CONVERGED, f"the loss reached {loss * self.units[2] ** 2:.3g}"
        if self.slope <= self.limits["gradient_tol"] * self.highest and self.is_minimum():
            return Status.CONVERGED, "the gradient vanished where the Hessian has no negative eigenvalue"
        if self.slope == 0.0:
            return Status.ROUNDOFF, "the gradient is exactly zero at a strict saddle: only rounding could leave it"
        if self.t * self.units[1] >= self.limits["t_end"]:
            return Status.HORIZON, "the steps add up to t_end"
        if self.n_gradients >= self.limits["max_evaluations"]:
            return Status.BUDGET, f"{self.n_gradients} gradients were evaluated"
        return None

    def is_minimum(self) -> bool:
        if self.slope > self.minimum_below:
            return False
        self.minimum_below = self.slope / 10
        return not saddle_at(self.objective, self.theta).rates.size

    def resting(self) -> Ending:
        """Return how a descent ends whose steps are lost in rounding."""
        self.minimum_below = np.inf
        if self.is_minimum():
            return Status.CONVERGED, "the step is below rounding where the Hessian has no negative eigenvalue"
        return Status.ROUNDOFF, f"the step is below rounding at a strict saddle, |grad f| = {self.slope:.2g}"

    def result(self, status: Status, message: str) -> Trajectory:
        self.kept.offer(self.n_steps, self.t, self.theta, last=True)
        times, states = np.array(self.kept.times), np.array(self.kept.states)
        losses, slopes, drift = along(self.objective, states)
        rise = float(np.max(np.diff(losses), initial=0.0)) / max(float(np.abs(losses).max()), 1e-300)
        flat = status in (Status.CONVERGED, Status.ROUNDOFF)
        met = plateaus(times, states, losses, slopes, EPS * float(np.abs(losses).max()), flat)
        theta_unit, time_unit, unit = self.units
        fixed = self.step is not None
        name = f"step {self.step * time_unit:.6g}" if fixed else f"exact line search, step <= {self.clip:.6g} / |H|"
        with np.errstate(over="ignore"):
            losses, slopes = losses * unit * unit, slopes * (unit * (unit / theta_unit))
        return Trajectory(
            times=times * time_unit,
            states=states * theta_unit,
            losses=losses,
            gradient_norms=slopes,
            status=status,
            message=message,
            method=f"gradient descent, {name}",
            plateaus=tuple(plateau.scaled(unit * unit, time_unit, theta_unit) for plateau in met),
            conservation_drift=drift,
            monotonicity_defect=rise,
            n_gradients=self.n_gradients,
            n_hessians=self.n_hessians,
            n_steps=self.n_steps,
        )
