"""What a state of vanishing gradient is, and the sentences that end an integration there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gflow.critical import SpectrumNotConverged, hessian_spectrum
from gflow.critical.degenerate import higher_descent
from gflow.flow.endings import MINIMUM, passed_in_vain
from gflow.flow.saddles import FLATNESS, PassedSaddle, saddle_at
from gflow.flow.trajectory import Ending, Status
from gflow.policy import DENSE_LIMIT, EPS

if TYPE_CHECKING:
    from gflow.critical import Spectrum
    from gflow.objective import Objective

LOST = 4.0
"""Rounding errors along an eigenvector of H, in units of eps |theta| (lambda |H|)^(1/2), of lambda in those of |H|."""
FLAT = 1e-6
"""Curvatures up to this fraction of the largest may be zero."""
WAY, FALL, LITTLE = 1e-2, 1e-3, 1e-18
"""At a minimum the Newton step is shorter than the first, relative to the state, and promises a loss that is smaller by
less than the second, relative to the loss, or than the third, in the unit of the objective."""


def at_rest(
    objective: Objective, theta: np.ndarray, loss_tol: float, norm_limit: float, theta_unit: float
) -> Ending | None:
    """Return how a flow ends whose gradient has vanished at ``theta``, or None where the loss is going to fall further.

    All numbers are in the objective's own unit. Above dimension 1000 only negative eigenvalues are looked for.
    """
    flat = f"no eigenvalue of the Hessian is below -{FLATNESS:.0e} |H|"
    try:
        point = saddle_at(objective, theta)
    except SpectrumNotConverged:
        return None
    if point.rates.size or objective.dim > DENSE_LIMIT:
        return None if point.rates.size else MINIMUM
    spectrum, size = hessian_spectrum(objective, theta), float(np.linalg.norm(theta))
    if not is_least(objective, theta, spectrum, loss_tol):
        return None
    if objective.columns is None and (why := falls_further(objective, theta, spectrum)):
        return Status.ROUNDOFF, f"the gradient vanished at a degenerate saddle that only rounding could leave: {why}"
    if size**2 > norm_limit and point.residual <= LOST * EPS * spectrum.norm * size:
        return passed_in_vain(size * theta_unit)
    bends_down = spectrum.values[0] < -LOST * EPS * spectrum.norm - 2.0 * point.residual / max(1.0, size)
    return (Status.CONVERGED, f"the gradient vanished where {flat}") if bends_down else MINIMUM


def falls_further(objective: Objective, theta: np.ndarray, spectrum: Spectrum) -> str:
    """Return how the value falls at a higher order from a state without negative eigenvalue, "" where it does not.

    A model of two factors never does; products of more factors, and networks, have such saddles (Kawaguchi 2016).
    """
    floor = objective.lower_bound
    if floor is not None and objective.value(theta) - floor <= LITTLE:
        return ""
    flat = np.abs(spectrum.values) <= FLAT * spectrum.norm
    gauge = 0 if objective.gauge_dimension is None else objective.gauge_dimension(theta)
    if int(flat.sum()) <= gauge:
        return ""
    rest = spectrum.vectors[:, ~flat] / np.sqrt(spectrum.values[~flat])
    found = higher_descent(objective, theta, spectrum.vectors[:, flat], rest, spectrum.norm)
    return "" if found is None else f"the loss falls along flat directions like their length to the {found.order:.2g}"


def is_least(objective: Objective, theta: np.ndarray, spectrum: Spectrum, loss_tol: float) -> bool:
    """Return whether the quadratic model at ``theta`` promises neither a much smaller loss nor a long way to it.

    Along a tail that falls to infinity like a power of |theta| it promises both, however small the gradient is.
    """
    size = max(1.0, float(np.linalg.norm(theta)))
    gradient, least = objective.gradient(theta), np.inf
    if objective.lower_bound is not None:
        above = objective.value(theta) - objective.lower_bound
        if above <= LITTLE:
            return True
        least = max(loss_tol, LITTLE, FALL * above)
    along_orbits = 2.0 * float(np.linalg.norm(gradient)) / size  # an eigenvalue that the gradient can cause there
    curvatures = np.maximum(spectrum.values, max(LOST * EPS * spectrum.norm, along_orbits, np.finfo(float).tiny))
    lost = LOST * EPS * size * np.sqrt(curvatures * spectrum.norm)
    slopes = np.maximum(np.abs(spectrum.vectors.T @ gradient) - lost, 0.0)
    steps = slopes / curvatures
    return float(np.linalg.norm(steps)) <= WAY * size and 0.5 * float(slopes @ steps) <= least


def undecided(
    saddle: PassedSaddle, objective: Objective, amplitude: float, moved: float, units: tuple[float, float, float]
) -> Ending:
    """Return that rounding errors, which can have grown to ``moved``, may decide how a saddle is left."""
    theta_unit, _, unit = units
    return Status.ROUNDOFF, (
        f"at the saddle of loss {objective.value(saddle.center) * unit**2:.8g} the unstable part of the state, "
        f"{amplitude * theta_unit:.2g}, is not above what rounding errors can have grown to, {moved * theta_unit:.2g}"
    )
