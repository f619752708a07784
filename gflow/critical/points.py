"""Finding and classifying a single critical point."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from gflow import watch
from gflow.critical.degenerate import beyond_second_order, zero_below
from gflow.critical.spectra import Spectrum, _in_own_unit, _point, hessian_spectrum, unknown_spectrum
from gflow.plain import plain
from gflow.policy import DENSE_LIMIT, EPS, HESSIAN_ROUNDING
from gflow.showing import Drawn, Tabular

if TYPE_CHECKING:
    from gflow.objective import Objective


class PointKind(StrEnum):
    """What a point is, by its gradient, value and Hessian.

    ``degenerate-saddle``: no negative eigenvalue, but the value falls at a higher order along the kernel.
    ``second-order``: neither was found.
    """

    GLOBAL_MINIMUM = "global-minimum"
    STRICT_SADDLE = "strict-saddle"
    DEGENERATE_SADDLE = "degenerate-saddle"
    SECOND_ORDER = "second-order"
    NOT_CRITICAL = "not-critical"


class NotConverged(RuntimeError):
    """The search for a critical point stalled; carries ``gradient_norm``, ``steps`` and the last ``theta``."""

    def __init__(self, gradient_norm: float, allowed: float, steps: int, theta: np.ndarray, why: str = "") -> None:
        advice = "try a guess nearer to the critical point (a plateau of a trajectory) or a larger gradient_tol"
        super().__init__(
            f"no critical point reached: gradient norm {gradient_norm:.3g} after {steps} steps, allowed {allowed:.3g}; "
            f"{why or advice}"
        )
        self.gradient_norm, self.allowed, self.steps, self.theta = gradient_norm, allowed, steps, theta


@dataclass(frozen=True, eq=False)
class CriticalPoint(Drawn, Tabular):
    """A point with its value, gradient norm, Hessian spectrum and classification.

    Attributes
    ----------
    theta : (dim,) array, read-only
    value : float
        Scales as s^2 for a matrix problem when M is multiplied by s.
    gradient_norm : float
    spectrum : Spectrum
    kind : PointKind
    zero_cut : float
        Eigenvalues of size at most this count as zero: ``zero_tol`` (or rounding) times the spectrum's norm plus the
        eigenvalue that the remaining gradient can cause along a symmetry orbit, |g| / max(|theta|, theta_unit).
    gauge_dimension : int or None
        Dimension of the symmetry orbit, a lower bound on ``n_zero`` at a critical point. A theta shorter than
        ``zero_tol * theta_unit`` is taken for the origin, whose orbit is a point.
    reason : str
        Without a negative eigenvalue, what is known of the flat directions; "" where the kind says it all.
    """

    theta: np.ndarray
    value: float
    gradient_norm: float
    spectrum: Spectrum
    kind: PointKind
    zero_cut: float
    gauge_dimension: int | None = None
    reason: str = ""

    @property
    def index(self) -> int:
        """Return the number of negative eigenvalues (a lower bound unless the spectrum is complete).

        A global minimum whose spectrum was not computed has none.
        """
        return int(np.sum(self.spectrum.values < -self.zero_cut))

    @property
    def n_zero(self) -> int | None:
        """Return the number of zero modes among the known eigenvalues, None where none was computed."""
        if not self.spectrum.values.size:
            return None
        return int(np.sum(np.abs(self.spectrum.values) <= self.zero_cut))

    @property
    def escape_rate(self) -> float:
        """Return the largest eigenvalue of -Hessian, or 0.0 where none is positive."""
        return float(max(-self.spectrum.values[0], 0.0)) if self.index else 0.0

    @cached_property
    def multiplicity(self) -> int:
        """Return the multiplicity of the escape rate, 0 without one (a lower bound unless complete)."""
        return self.spectrum.multiplicity() if self.index else 0

    def to_dict(self) -> dict[str, object]:
        """Return the numbers (not theta) for JSON."""
        return plain(
            self, "kind reason value gradient_norm index n_zero gauge_dimension escape_rate multiplicity spectrum"
        )

    def __repr__(self) -> str:
        zeros = "not computed" if self.n_zero is None else self.n_zero
        return f"CriticalPoint({self.kind}, value={self.value:.8g}, index={self.index}, zeros={zeros})"


@partial(watch.watched, whole=True)
def classify(
    objective: Objective,
    theta: np.ndarray,
    *,
    gradient_tol: float = 1e-9,
    zero_tol: float = 1e-9,
    value_tol: float = 1e-18,
    k: int | None = None,
    max_restarts: int | None = None,
    higher_orders: bool = True,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> CriticalPoint:
    """Return the point ``theta``, unmoved, as a ``CriticalPoint`` with its kind.

    Parameters
    ----------
    objective : Objective
    theta : (dim,) array
    gradient_tol : float
        Critical means |g| <= gradient_tol * norm(H) * max(|theta|, theta_unit).
    zero_tol : float
        Eigenvalues up to zero_tol * norm(H) + |g| / max(|theta|, theta_unit) in size are zero modes, unless the value
        is seen to fall along the lowest one as it says, and it exceeds rounding: 64 machine epsilons for ``zero_tol``.
    value_tol : float
        Global minimum means value - lower_bound <= value_tol * unit^2, or, at a critical point without a negative
        eigenvalue, at most twice what a Newton step would still take off (soft modes: the point is one to the
        accuracy of its gradient).
    k : int, optional
        Number of eigenvalues, as in ``hessian_spectrum``; none are computed by default at a global minimum above
        dimension 1000 that its loss gives away, where most are zero and Lanczos is slow.
    max_restarts : int, optional
        As in ``hessian_spectrum``, which raises ``SpectrumNotConverged`` beyond it.
    higher_orders : bool
        Whether descent beyond the second order is looked for where no eigenvalue is negative.
    progress, timeout : see ``gflow.watch.watching``; ``TimeIsUp`` when the time is over

    Raises ``ValueError`` for a theta of another shape or not finite.
    """
    theta = np.array(_point(objective, theta))
    theta.setflags(write=False)
    inner, root = _in_own_unit(objective)
    point = theta / root
    value, gradient = inner.value(point), inner.gradient(point)
    excess = np.inf if inner.lower_bound is None else value - inner.lower_bound
    attained = excess <= value_tol * inner.unit**2
    known = attained and k is None and inner.dim > DENSE_LIMIT
    spectrum = unknown_spectrum(inner, point) if known else hessian_spectrum(inner, point, k, max_restarts=max_restarts)
    slope = float(np.linalg.norm(gradient))
    length = float(np.linalg.norm(point))
    size = max(length, inner.theta_unit)
    zero_cut = zero_below(inner, point, spectrum, slope / size, zero_tol)
    if attained:
        kind = PointKind.GLOBAL_MINIMUM
    elif slope > gradient_tol * spectrum.norm * size:
        kind = PointKind.NOT_CRITICAL
    elif spectrum.values[0] < -zero_cut:
        kind = PointKind.STRICT_SADDLE
    elif excess <= 2.0 * _newton_decrement(spectrum, gradient):
        kind = PointKind.GLOBAL_MINIMUM
    else:
        kind = PointKind.SECOND_ORDER
    gauge, reason = None, ""
    if inner.gauge_dimension is not None:
        gauge = inner.gauge_dimension(point if length > zero_tol * inner.theta_unit else np.zeros_like(point))
    if kind is PointKind.SECOND_ORDER and not higher_orders:
        reason = "undecided: higher orders were not looked at"
    elif kind is PointKind.SECOND_ORDER:
        falls, reason = beyond_second_order(inner, point, gradient, spectrum, gauge or 0)
        kind = PointKind.DEGENERATE_SADDLE if falls else kind
    unit, bend = objective.unit / inner.unit, inner.time_unit / objective.time_unit
    known_there = spectrum.scaled(bend), kind, bend * zero_cut, gauge, reason
    return CriticalPoint(theta, objective.value(theta), unit * (unit / root) * slope, *known_there)


def _newton_decrement(spectrum: Spectrum, gradient: np.ndarray) -> float:
    """Return the fall of the quadratic model over the known modes of positive curvature."""
    curved = spectrum.values > HESSIAN_ROUNDING * spectrum.norm
    return float(np.sum((spectrum.vectors[:, curved].T @ gradient) ** 2 / spectrum.values[curved])) / 2


@watch.watched
def find_critical_point(
    objective: Objective,
    guess: np.ndarray,
    *,
    gradient_tol: float = 1e-13,
    radius: float | None = None,
    max_steps: int = 100,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> CriticalPoint:
    """Return the critical point to which a guarded Newton iteration on the gradient converges from ``guess``.

    Each step is damped in the modes whose curvature does not exceed what the present gradient can cause (so it does
    not slide along symmetry orbits), is cut to a trust radius, and is kept only if the gradient norm falls: a plateau
    leads to its own saddle, not across the landscape.

    Parameters
    ----------
    objective : Objective
        Its dimension may not exceed 1000: the Newton step needs the dense Hessian.
    guess : (dim,) array
    gradient_tol : float
        Converged when |g| <= gradient_tol * norm(H) * max(|theta|, theta_unit) and no step halves it any more; values
        below 64 machine epsilons, where g is rounding, count as that.
    radius : float, optional
        Largest distance from ``guess``. Default: max(|guess|, theta_unit) / 4. Infinity lets the search wander.
    max_steps : int
    progress, timeout : see ``gflow.watch.watching``; ``NotConverged``, with its theta, when the time is over

    Raises
    ------
    NotConverged
        If the gradient stalls above the tolerance or the iteration leaves ``radius``.
    ValueError
        For a guess of another shape, not finite, a dimension above 1000, or ``max_steps`` below 1.
    """
    return classify(objective, stationary_point(objective, guess, gradient_tol, radius, max_steps))


def stationary_point(
    objective: Objective,
    guess: np.ndarray,
    gradient_tol: float = 1e-13,
    radius: float | None = None,
    max_steps: int = 100,
) -> np.ndarray:
    """Return the theta of ``find_critical_point``, shape (dim,), whatever its kind."""
    if objective.dim > DENSE_LIMIT:
        raise ValueError(f"find_critical_point needs a dense Hessian: dimension {objective.dim} exceeds {DENSE_LIMIT}")
    if max_steps < 1:
        raise ValueError(f"max_steps must be a positive integer; got {max_steps!r}")
    inner, root = _in_own_unit(objective)
    start = _point(objective, guess) / root
    reach = max(float(np.linalg.norm(start)), inner.theta_unit) / 4 if radius is None else radius / root
    return root * _newton(inner, start, gradient_tol, reach, max_steps)


def _newton(objective: Objective, start: np.ndarray, gradient_tol: float, radius: float, max_steps: int) -> np.ndarray:
    theta, g = start, objective.gradient(start)
    slope = float(np.linalg.norm(g))
    trust, steps, allowed, late = np.inf, 0, 0.0, None
    while steps < max_steps and not (late := watch.spent("Newton step", steps, max_steps)):
        steps += 1
        size = max(float(np.linalg.norm(theta)), objective.theta_unit)
        move, norm = _newton_move(objective.hessian(theta), g, size)
        allowed = max(gradient_tol, HESSIAN_ROUNDING) * norm * size
        length = float(np.linalg.norm(move))
        if length == 0.0:
            break
        trust = min(trust, size / 4)
        candidate = theta + move * min(1.0, trust / length)
        g_new = objective.gradient(candidate)
        slope_new = float(np.linalg.norm(g_new))
        outside = float(np.linalg.norm(candidate - start)) > radius
        if slope <= allowed and (slope_new > slope / 2 or outside):
            return theta
        if slope_new < slope and not outside:
            theta, g, slope, trust = candidate, g_new, slope_new, 2.0 * trust
        elif min(trust, length) <= HESSIAN_ROUNDING * size or outside:
            break
        else:
            trust = min(trust, length) / 4
    if slope <= allowed:
        return theta
    raise NotConverged(slope, allowed, steps, theta, late or "")


def _newton_move(H: np.ndarray, g: np.ndarray, size: float) -> tuple[np.ndarray, float]:
    """Return the damped Newton step and the norm of H.

    Modes whose curvature the present gradient can cause along a symmetry orbit are damped, and modes in which the
    gradient is nothing but rounding are left alone: so the step stays in every invariant subspace that holds theta.
    """
    values, vectors = np.linalg.eigh(H)
    norm = float(np.abs(values).max())
    slopes = vectors.T @ g
    chased = (np.abs(values) > HESSIAN_ROUNDING * norm) & (np.abs(slopes) > EPS * norm * size)
    slopes, values = slopes[chased], values[chased]
    damping = 2.0 * float(np.linalg.norm(g)) / size
    return -(vectors[:, chased] @ (slopes * (values / (values**2 + damping**2)))), norm
