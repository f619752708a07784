"""Finding and classifying a single critical point."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gflow.critical.spectra import DENSE_LIMIT, Spectrum, _point, hessian_spectrum

if TYPE_CHECKING:
    from gflow.objective import Objective

ROUNDING = 64 * float(np.finfo(float).eps)
"""Relative size of an eigenvalue or gradient that rounding alone explains, per unit of the Hessian's norm."""


class Kind(StrEnum):
    """What a point is, by its gradient, value and Hessian."""

    GLOBAL_MINIMUM = "global-minimum"
    STRICT_SADDLE = "strict-saddle"
    SECOND_ORDER = "second-order"
    NOT_CRITICAL = "not-critical"


class NotConverged(RuntimeError):
    """The search for a critical point stalled; carries ``gradient_norm``, ``steps`` and the last ``theta``."""

    def __init__(self, gradient_norm: float, allowed: float, steps: int, theta: np.ndarray) -> None:
        super().__init__(
            f"no critical point reached: gradient norm {gradient_norm:.3g} after {steps} steps, allowed {allowed:.3g}; "
            "try a guess nearer to the critical point (a plateau of a trajectory) or a larger gradient_tol"
        )
        self.gradient_norm, self.allowed, self.steps, self.theta = gradient_norm, allowed, steps, theta


@dataclass(frozen=True, eq=False)
class CriticalPoint:
    """A point with its value, gradient norm, Hessian spectrum and classification.

    Attributes
    ----------
    theta : (dim,) array, read-only
    value : float
        Scales as s^2 for a matrix problem when M is multiplied by s.
    gradient_norm : float
    spectrum : Spectrum
    kind : Kind
    zero_cut : float
        Eigenvalues of size at most this count as zero: ``zero_tol`` times the spectrum's norm plus the eigenvalue
        that the remaining gradient can cause along a symmetry orbit, |g| / |theta|.
    gauge_dimension : int or None
        Dimension of the symmetry orbit, a lower bound on ``n_zero`` at a critical point.
    """

    theta: np.ndarray
    value: float
    gradient_norm: float
    spectrum: Spectrum
    kind: Kind
    zero_cut: float
    gauge_dimension: int | None = None

    @property
    def index(self) -> int:
        """Return the number of negative eigenvalues (a lower bound unless the spectrum is complete)."""
        return int(np.sum(self.spectrum.values < -self.zero_cut))

    @property
    def n_zero(self) -> int:
        """Return the number of zero modes among the known eigenvalues."""
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
        return {
            "kind": str(self.kind),
            "value": self.value,
            "gradient_norm": self.gradient_norm,
            "index": self.index,
            "n_zero": self.n_zero,
            "gauge_dimension": self.gauge_dimension,
            "escape_rate": self.escape_rate,
            "multiplicity": self.multiplicity,
            "spectrum": self.spectrum.to_dict(),
        }

    def __repr__(self) -> str:
        return f"CriticalPoint({self.kind}, value={self.value:.8g}, index={self.index}, zeros={self.n_zero})"


def classify(
    objective: Objective,
    theta: np.ndarray,
    *,
    gradient_tol: float = 1e-9,
    zero_tol: float = 1e-9,
    value_tol: float = 1e-18,
    k: int | None = None,
) -> CriticalPoint:
    """Return the point ``theta``, unmoved, as a ``CriticalPoint`` with its kind.

    Parameters
    ----------
    objective : Objective
    theta : (dim,) array
    gradient_tol : float
        Critical means |g| <= gradient_tol * norm(H) * max(|theta|, theta_unit).
    zero_tol : float
        Eigenvalues up to zero_tol * norm(H) + |g| / |theta| in size are zero modes.
    value_tol : float
        Global minimum means value - lower_bound <= value_tol * unit^2.
    k : int, optional
        Number of eigenvalues, as in ``hessian_spectrum``.

    Raises ``ValueError`` for a theta of another shape or not finite.
    """
    theta = np.array(_point(objective, theta))
    theta.setflags(write=False)
    spectrum = hessian_spectrum(objective, theta, k)
    value, slope = objective.value(theta), float(np.linalg.norm(objective.gradient(theta)))
    size = max(float(np.linalg.norm(theta)), objective.theta_unit)
    zero_cut = zero_tol * spectrum.norm + slope / size
    floor = objective.lower_bound
    if floor is not None and value - floor <= value_tol * objective.unit**2:
        kind = Kind.GLOBAL_MINIMUM
    elif slope > gradient_tol * spectrum.norm * size:
        kind = Kind.NOT_CRITICAL
    elif spectrum.values[0] < -zero_cut:
        kind = Kind.STRICT_SADDLE
    else:
        kind = Kind.SECOND_ORDER
    gauge = None if objective.gauge_dimension is None else objective.gauge_dimension(theta)
    return CriticalPoint(theta, value, slope, spectrum, kind, zero_cut, gauge)


def find_critical_point(
    objective: Objective,
    guess: np.ndarray,
    *,
    gradient_tol: float = 1e-13,
    radius: float | None = None,
    max_steps: int = 60,
) -> CriticalPoint:
    """Return the critical point to which a guarded Newton iteration on the gradient converges from ``guess``.

    Each step solves for the modes whose curvature exceeds what the present gradient can cause (symmetry orbits are
    left alone), is cut to a trust radius, and is kept only if the gradient norm falls: a plateau leads to its own
    saddle, never across the landscape.

    Parameters
    ----------
    objective : Objective
        Its dimension may not exceed 1000: the Newton step needs the dense Hessian.
    guess : (dim,) array
    gradient_tol : float
        Converged when |g| <= gradient_tol * norm(H) * max(|theta|, theta_unit), or at the rounding level of g.
    radius : float, optional
        Largest distance from ``guess``. Default: unbounded, each step at most max(|theta|, theta_unit) / 4.
    max_steps : int

    Raises
    ------
    NotConverged
        If the gradient stalls above the tolerance or the iteration leaves ``radius``.
    ValueError
        For a guess of another shape, not finite, or a dimension above 1000.
    """
    if objective.dim > DENSE_LIMIT:
        raise ValueError(f"find_critical_point needs a dense Hessian: dimension {objective.dim} exceeds {DENSE_LIMIT}")
    inner, unit = objective.normalized or objective, objective.theta_unit
    start = _point(objective, guess) / unit
    theta = _newton(inner, start, gradient_tol, None if radius is None else radius / unit, max_steps)
    return classify(objective, unit * theta)


def _newton(
    objective: Objective, start: np.ndarray, gradient_tol: float, radius: float | None, max_steps: int
) -> np.ndarray:
    theta, g = start, objective.gradient(start)
    slope = float(np.linalg.norm(g))
    trust = np.inf
    for step in range(max_steps):
        values, vectors = np.linalg.eigh(objective.hessian(theta))
        norm = float(np.abs(values).max())
        size = max(float(np.linalg.norm(theta)), objective.theta_unit)
        allowed = gradient_tol * norm * size
        if slope <= allowed:
            return theta
        cut = max(ROUNDING * norm, 2.0 * slope / size)
        curved = np.abs(values) > cut
        move = -(vectors[:, curved] @ ((vectors[:, curved].T @ g) / values[curved]))
        trust = min(trust, size / 4)
        length = float(np.linalg.norm(move))
        candidate = theta + move * min(1.0, trust / length) if length else theta
        g_new = objective.gradient(candidate)
        slope_new = float(np.linalg.norm(g_new))
        outside = radius is not None and float(np.linalg.norm(candidate - start)) > radius
        if slope_new < slope and not outside:
            theta, g, slope, trust = candidate, g_new, slope_new, 2.0 * trust
        elif slope <= 1e3 * ROUNDING * norm * size:
            return theta
        elif min(trust, length) <= ROUNDING * size or outside:
            raise NotConverged(slope, allowed, step, theta)
        else:
            trust = min(trust, length) / 4
    raise NotConverged(slope, gradient_tol, max_steps, theta)
