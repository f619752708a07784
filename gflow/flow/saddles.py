"""The saddles that an integration passes, and what rounding errors can do there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gflow.critical import Spectrum, hessian_spectrum, stationary_point
from gflow.critical.spectra import curvature_at
from gflow.policy import DENSE_LIMIT, EPS, RESTARTS

if TYPE_CHECKING:
    from gflow.objective import Objective

FLATNESS = 1e-8
"""Negative eigenvalues of the Hessian up to this fraction of its norm count as zero."""
LANCZOS_TOL = 1e-5
"""The same above dimension 1000, and the accuracy of eigenvalues there: the many zeros are slow to find."""
NEIGHBOURHOOD = 1e-2
"""A critical point is looked for within this distance, relative to the state."""
POLISHES = 2
"""Newton steps along the unstable modes of a critical point that was found."""
DRIFT = 16.0
"""Rounding units, relative to the state, that the steps on the way to a saddle may add up to."""
DOUBT = 2.0
"""Rounding errors of the gradient are taken to be this many times what a few samples of them show."""
ATTAINED = 0.9
"""A Ritz value this close to the bound of the negative curvature, as a fraction of it, is its largest one."""
PASSIVE = 0.999
"""Modes that grow at less than this fraction of the fastest rate do not decide an escape."""
LARGEST_EXPONENT = 600.0
TURN = 10.0
"""A stay begins where the gradient norm has fallen by this factor, and ends where it has risen by it."""


@dataclass(frozen=True, slots=True, eq=False)
class PassedSaddle:
    """A critical point, or a state near one, with its unstable modes.

    Attributes
    ----------
    center : (dim,) array
    residual : float
        Norm of the gradient there.
    rates : (m,) array
        Growth rates of the unstable modes, falling; none at a minimum.
    modes : (dim, m) array
    noise : (m,) array
        Rounding errors of the gradient along the unstable modes, sampled.
    """

    center: np.ndarray
    residual: float
    rates: np.ndarray
    modes: np.ndarray
    noise: np.ndarray

    @property
    def size(self) -> float:
        """Return |center|, or the natural unit 1 if that is larger."""
        return max(1.0, float(np.linalg.norm(self.center)))


def saddle_near(objective: Objective, theta: np.ndarray) -> PassedSaddle:
    """Return the critical point near ``theta``; raise ``NotConverged`` if there is none within 1 % of its norm.

    Above dimension 1000 it is ``theta`` itself.
    """
    if objective.dim > DENSE_LIMIT:
        return saddle_at(objective, theta)
    radius = NEIGHBOURHOOD * max(1.0, float(np.linalg.norm(theta)))
    point = stationary_point(objective, theta, gradient_tol=1e-17, radius=radius, max_steps=12)
    spectrum = hessian_spectrum(objective, point)
    return _saddle(objective, _polished(objective, point, spectrum), spectrum, critical=True)


def _polished(objective: Objective, point: np.ndarray, spectrum: Spectrum) -> np.ndarray:
    """Return a critical point after Newton steps along its unstable modes alone.

    What is left of the gradient there acts on what escapes like a displacement, and deviations may be far smaller than
    the gradient norm at which a search is content.
    """
    for _ in range(POLISHES):
        slope = objective.gradient(point)
        rates, modes = unstable(spectrum, float(np.linalg.norm(slope)), point)
        point = point + modes @ (modes.T @ slope / rates)
    return point


def saddle_at(objective: Objective, theta: np.ndarray) -> PassedSaddle:
    """Return ``theta``, where the gradient is small, as the critical point nearby."""
    spectrum = _candidates(objective, theta)
    if spectrum is None:
        spectrum = hessian_spectrum(objective, theta, tol=LANCZOS_TOL, max_restarts=RESTARTS)
    return _saddle(objective, theta, spectrum, critical=False)


def _candidates(objective: Objective, theta: np.ndarray) -> Spectrum | None:
    """Return the lowest Ritz values of the Hessian on the objective's own candidates for unstable modes.

    None up to dimension 1000, and where they show no negative curvature and its bound, if they do not attain it,
    leaves room for some.
    """
    if objective.dim <= DENSE_LIMIT or objective.escape_modes is None:
        return None
    bound, modes = objective.escape_modes(theta)
    products = np.array([objective.hvp(theta, mode) for mode in modes.T]).reshape(modes.shape[::-1])
    H = products @ modes
    values, rotation = np.linalg.eigh((H + H.T) / 2)
    spectrum = Spectrum(values, modes @ rotation, False, max(curvature_at(objective, theta), bound))
    slope = float(np.linalg.norm(objective.gradient(theta)))
    excluded = bound <= _zero_cut(spectrum, slope, theta) or (-values[:1] >= ATTAINED * bound).any()
    return spectrum if excluded or unstable(spectrum, slope, theta)[0].size else None


def _saddle(objective: Objective, theta: np.ndarray, spectrum: Spectrum, critical: bool) -> PassedSaddle:
    residual = float(np.linalg.norm(objective.gradient(theta)))
    rates, modes = unstable(spectrum, residual, theta)
    if not rates.size:
        return PassedSaddle(theta, residual, rates, modes, rates)
    # between neighbouring numbers the gradient along these modes differs by its rounding errors and by nothing else
    parts = np.array([modes.T @ objective.gradient((1.0 + k * EPS) * theta) for k in range(-2, 3)])
    noise = np.abs(parts if critical else parts - parts.mean(axis=0)).max(axis=0)
    return PassedSaddle(theta, residual, rates, modes, noise)


def unstable(spectrum: Spectrum, slope: float, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the growth rates and directions (in columns) of the unstable modes at a state of this gradient norm.

    Negative eigenvalues that the gradient can cause along a symmetry orbit, slope / |theta|, do not count.
    """
    grows = spectrum.values < -_zero_cut(spectrum, slope, theta)
    return -spectrum.values[grows], spectrum.vectors[:, grows]


def _zero_cut(spectrum: Spectrum, slope: float, theta: np.ndarray) -> float:
    flat = FLATNESS if spectrum.complete else LANCZOS_TOL
    return flat * spectrum.norm + 2.0 * slope / max(1.0, float(np.linalg.norm(theta)))


def shifted(objective: Objective, origin: np.ndarray) -> Objective:
    """Return delta -> f(origin + delta) for an origin that need not be critical: the field is not changed."""
    return replace(
        objective,
        gradient=lambda delta: objective.gradient(origin + delta),
        hessian=lambda delta: objective.hessian(origin + delta),
        deviation=None,
        normalized=None,
        escape_modes=None,
    )


class Stay:
    """A part of a trajectory in which the gradient norm is low: from where it has fallen to where it rises again.

    Attributes
    ----------
    peak, low : float
        The largest gradient norm since it rose last, and the least one.
    bottom : (dim,) array
        The state of the least one.
    arrived : float
        When it had fallen by ``TURN``, infinite before.
    saddle : PassedSaddle or None
        The critical point that the integration is centred on.
    exact : bool
        Whether the integration began around a critical point that was given.
    """

    def __init__(self, slope: float, theta: np.ndarray, exact: bool = False) -> None:
        self.peak = self.low = slope
        self.bottom, self.arrived, self.exact = theta, np.inf, exact
        self.saddle: PassedSaddle | None = None
        self.retry_below = self.minimum_below = np.inf

    def keep(self, t: float, theta: np.ndarray, slope: float) -> None:
        """Keep what a state at time t adds."""
        if slope > self.peak:
            self.peak = slope
        if slope < self.low:
            self.low, self.bottom = slope, theta
        if t < self.arrived and slope <= self.peak / TURN:
            self.arrived = t


class SaddleClock:
    """How far rounding errors have moved the state along the unstable modes of the saddles it meets.

    An error of the gradient acts on a mode like a displacement by error / rate, which then grows at that rate. What
    rounding put into the modes that do not decide an escape goes on growing, and may decide the next one.
    """

    def __init__(self) -> None:
        self.arrived, self.amplitudes, self.rates = 0.0, np.zeros(0), np.zeros(0)

    def moved(self, saddle: PassedSaddle, arrived: float, t: float) -> np.ndarray:
        """Return the displacements along the modes at time ``t`` of a stay that began at ``arrived``, shape (m,)."""
        inherited = np.max(self.amplitudes * _growth(self.rates * (arrived - self.arrived)), initial=0.0)
        fresh = DRIFT * EPS * saddle.size + DOUBT * saddle.noise / saddle.rates
        return np.maximum(fresh, inherited) * _growth(saddle.rates * (t - arrived))

    def leave(self, saddle: PassedSaddle, arrived: float) -> None:
        """Keep the displacements along the modes slower than the first, which decides the escape."""
        amplitudes, passive = self.moved(saddle, arrived, arrived), saddle.rates < PASSIVE * saddle.rates[0]
        self.arrived, self.amplitudes, self.rates = arrived, amplitudes[passive], saddle.rates[passive]


def _growth(exponent: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(exponent, LARGEST_EXPONENT))
