"""Descent of higher order at a critical point whose Hessian has no negative eigenvalue."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from gflow import watch
from gflow.policy import EPS, HESSIAN_ROUNDING

if TYPE_CHECKING:
    from gflow.critical.spectra import Spectrum
    from gflow.objective import Objective

SPHERE_STARTS, TRIED = 12, 4
"""Random directions of the kernel from which the lowest value on a small sphere is searched, axes both ways; of what
falls the first ones are followed inwards."""
LARGEST, INNER, SHORTER, SPHERES = 0.4, 2.0**-6, 0.5, 12
"""Radius of the largest sphere, relative to max(|theta|, theta_unit), the factor to a second one to start from, and the
factor from each sphere to the next."""
IN_A_ROW = 4
"""A fall is believed if it shows on so many spheres in a row, as a power of the radius."""
LEAST_ORDER, POWER_TOL = 2.5, 0.5
"""The least order of a fall, and how much it may change from one sphere to the next."""
CLEAR_FALL = 1e3
"""A fall must exceed the rounding of the value by this factor."""
SEARCH_STEPS = 300
NEWTON_REACH = 1e-2
"""Longest Newton step, relative to max(|theta|, theta_unit), after which eigenvalues are compared."""
SOFT = 1e-3
"""Modes up to this fraction of the Hessian's norm may owe their curvature to a critical point that is not quite met."""


@dataclass(frozen=True, slots=True)
class Descent:
    """A fall of the value, at the distance ``radius`` along the kernel, that shrinks as radius^``order``."""

    radius: float
    fall: float
    order: float


def beyond_second_order(
    objective: Objective, theta: np.ndarray, gradient: np.ndarray, spectrum: Spectrum, gauge: int
) -> tuple[bool, str]:
    """Return whether the value falls at a higher order, and what is known of the flat directions, in words.

    Parameters
    ----------
    objective : Objective, in its own unit
    theta : (dim,) array
        A critical point without a negative eigenvalue.
    gradient : (dim,) array
        What is left of it there.
    spectrum : Spectrum
    gauge : int
        Dimension of the symmetry orbit, along which nothing falls.
    """
    if not spectrum.complete:
        return False, "undecided: only the lowest eigenvalues are known, and none of them is negative"
    flat = _flat(objective, theta, gradient, spectrum)
    count = int(flat.sum())
    if count <= gauge:
        along = f", but for {_modes(count)} along the symmetry orbit" if count else ""
        return False, f"a local minimum: the Hessian is positive{along}"
    rest = spectrum.vectors[:, ~flat] / np.sqrt(spectrum.values[~flat])
    found = higher_descent(objective, theta, spectrum.vectors[:, flat], rest, spectrum.norm)
    if found is None:
        beyond = f" beyond the {gauge} of the symmetry orbit" if gauge else ""
        why = watch.over() or "no descent of higher order was found from there"
        return False, f"undecided: {_modes(count - gauge)}{beyond}, and {why}"
    size = max(float(np.linalg.norm(theta)), objective.theta_unit)
    return True, (
        f"the value falls along the kernel of the Hessian like the distance to the power {found.order:.3g}, at "
        f"{found.radius / size:.2g} of the size by {found.fall / objective.unit**2:.2g} unit^2"
    )


def _modes(count: int) -> str:
    return f"{count} zero mode{'s' * (count != 1)}"


def _flat(objective: Objective, theta: np.ndarray, gradient: np.ndarray, spectrum: Spectrum) -> np.ndarray:
    """Return which modes may be zero modes of the critical point nearby.

    Those whose curvature rounding or the gradient explains, all that bend down, and those along which the curvature
    changes by half on the way of four Newton steps: there the next order is as large as the second.
    """
    size = max(float(np.linalg.norm(theta)), objective.theta_unit)
    slopes, values = spectrum.vectors.T @ gradient, spectrum.values
    flat = values <= HESSIAN_ROUNDING * spectrum.norm + float(np.linalg.norm(gradient)) / size
    soft = ~flat & (values <= SOFT * spectrum.norm) & (np.abs(slopes) > EPS * values * size)
    for mode in np.flatnonzero(soft):
        v = spectrum.vectors[:, mode]
        moved = theta - 4.0 * (slopes[mode] / values[mode]) * v
        flat[mode] = abs(float(v @ objective.hvp(moved, v)) - values[mode]) > values[mode] / 2
    return flat


def higher_descent(
    objective: Objective, theta: np.ndarray, kernel: np.ndarray, rest: np.ndarray, norm: float
) -> Descent | None:
    """Return a descent that begins at ``theta`` at an order above the second, None where the search finds none.

    On spheres of falling radius in the kernel of the Hessian the value is minimised, over the other directions as
    well: valleys may bend, as in (y - x^2) (y - 2 x^2). Not to find one proves nothing.

    Parameters
    ----------
    objective : Objective, in its own unit
    theta : (dim,) array
        A critical point: the slope that is left there is taken out.
    kernel : (dim, m) array
        Orthonormal basis of the kernel.
    rest : (dim, p) array
        Eigenvectors of the positive eigenvalues, each divided by the root of its eigenvalue.
    norm : float
        Of the Hessian, the scale of its rounding errors.
    """
    search, rng = _BallSearch(objective, theta, kernel, rest, norm), np.random.default_rng(0)
    axes, m = np.eye(kernel.shape[1])[:SPHERE_STARTS], kernel.shape[1]
    starts = np.vstack([axes, -axes, rng.standard_normal((SPHERE_STARTS, m))])
    outer = LARGEST * max(float(np.linalg.norm(theta)), objective.theta_unit)
    for radius in (outer, INNER * outer):
        bowls = (search.lowest(radius, w, np.zeros(rest.shape[1])) for w in starts if not watch.spent("higher order"))
        for bowl in islice((bowl for bowl in bowls if search.falls(bowl)), TRIED):
            found = search.followed(bowl)
            if found is not None:
                return found
    return None


@dataclass(frozen=True, slots=True)
class _Bowl:
    """The lowest point found on a sphere: direction in the kernel, coordinates off it, deviation and value there."""

    radius: float
    w: np.ndarray
    y: np.ndarray
    delta: np.ndarray
    value: float


def zero_below(objective: Objective, theta: np.ndarray, spectrum: Spectrum, gradient: float, zero_tol: float) -> float:
    """Return the size up to which eigenvalues count as zero.

    It is ``zero_tol`` times the norm of the Hessian, or its rounding error where a negative eigenvalue above that stays
    after a Newton step and the value is seen to fall along it; and ``gradient``, the eigenvalue that what is left of
    the gradient can cause along a symmetry orbit.
    """
    cut, lost = zero_tol * spectrum.norm + gradient, HESSIAN_ROUNDING * spectrum.norm + gradient
    if not (spectrum.complete and cut >= -spectrum.values[0] > lost):
        return cut
    return lost if _stays(objective, theta, spectrum) and bends_down(objective, theta, spectrum) else cut


def _stays(objective: Objective, theta: np.ndarray, spectrum: Spectrum) -> bool:
    """Return whether the lowest eigenvalue belongs to the critical point nearby: not to what soft modes have left."""
    size = max(float(np.linalg.norm(theta)), objective.theta_unit)
    values, slopes = spectrum.values, spectrum.vectors.T @ objective.gradient(theta)
    noise = HESSIAN_ROUNDING * size * np.sqrt(np.maximum(values, 0.0) * spectrum.norm)
    curved = (values > -values[0]) & (np.abs(slopes) > noise)
    step = spectrum.vectors[:, curved] @ (slopes[curved] / values[curved])
    if not step.any():
        return True
    near = float(np.linalg.norm(step)) <= NEWTON_REACH * size
    return near and bool(np.linalg.eigvalsh(objective.hessian(theta - step))[0] <= 0.5 * values[0])


def bends_down(objective: Objective, theta: np.ndarray, spectrum: Spectrum) -> bool:
    """Return whether the value falls both ways along the lowest eigenvector as its negative eigenvalue says.

    That must show on IN_A_ROW spheres, each half as large as the one before, by more than rounding explains: from the
    size of theta inwards, or from where the fourth order of a product of factors ceases to hide it.

    Parameters
    ----------
    objective : Objective, in its own unit
    theta : (dim,) array
    spectrum : Spectrum
    """
    search = _BallSearch(objective, theta, spectrum.vectors[:, :1], np.zeros((len(theta), 0)), spectrum.norm)
    size = max(float(np.linalg.norm(theta)), objective.theta_unit)
    for outer in (size, size * float(np.sqrt(-spectrum.values[0] / spectrum.norm))):
        row = 0
        for radius in outer * SHORTER ** np.arange(SPHERES):
            ends = [search.bowl(radius, np.array([side]), np.zeros(0)) for side in (1.0, -1.0)]
            fall = -0.5 * (ends[0].value + ends[1].value)
            agrees = bool(abs(fall + 0.5 * spectrum.values[0] * radius**2) <= 0.25 * fall)
            row = row + 1 if agrees and all(search.falls(end) for end in ends) else 0
            if row == IN_A_ROW:
                return True
    return False


class _BallSearch:
    """The value around a point, on spheres in the kernel of its Hessian."""

    def __init__(
        self, objective: Objective, theta: np.ndarray, kernel: np.ndarray, rest: np.ndarray, norm: float
    ) -> None:
        self.around, self.kernel, self.rest = objective.around(theta), kernel, rest
        self.norm, self.theta, self.rng = norm, theta, np.random.default_rng(1)
        self.coarse = 0.0 if objective.deviation is not None else EPS * abs(objective.value(theta))

    def lowest(self, radius: float, w: np.ndarray, y: np.ndarray) -> _Bowl:
        """Return the least value found where the part in the kernel has norm ``radius``."""
        from scipy.optimize import minimize

        m, unit = len(w), radius**2

        def deviation(x: np.ndarray) -> np.ndarray:
            return self.kernel @ (radius * x[:m] / np.linalg.norm(x[:m])) + self.rest @ (unit * x[m:])

        def value(x: np.ndarray) -> tuple[float, np.ndarray]:
            length, delta = float(np.linalg.norm(x[:m])), deviation(x)
            u, g = x[:m] / length, self.around.gradient(delta)
            along = radius * (self.kernel.T @ g)
            slopes = np.concatenate([(along - u * float(u @ along)) / length, unit * (self.rest.T @ g)])
            return self.around.value(delta) / unit**1.5, slopes / unit**1.5

        start = np.concatenate([w / np.linalg.norm(w), y])
        with np.errstate(all="ignore"):
            options = {"maxiter": SEARCH_STEPS, "gtol": 1e-10, "ftol": 0.0}
            x = minimize(value, start, jac=True, method="L-BFGS-B", options=options).x
            delta = deviation(x)
            found = float(self.around.value(delta)) if np.linalg.norm(delta) <= 2.0 * radius else np.inf
        return _Bowl(radius, x[:m] / np.linalg.norm(x[:m]), x[m:], delta, found)

    def bowl(self, radius: float, w: np.ndarray, y: np.ndarray) -> _Bowl:
        """Return a point of a sphere as it is, lowest or not."""
        delta = self.kernel @ (radius * w) + self.rest @ (radius**2 * y)
        return _Bowl(radius, w, y, delta, float(self.around.value(delta)))

    def falls(self, bowl: _Bowl) -> bool:
        """Return whether the value lies below that of the centre by more than rounding explains."""
        if not -np.inf < bowl.value < 0.0:
            return False
        size = EPS * (np.abs(self.theta) + np.abs(bowl.delta))
        near = [bowl.delta + 4.0 * size * self.rng.standard_normal(len(size)) for _ in range(4)]
        rounding = (
            self.coarse + EPS * self.norm * bowl.radius**2 + max(abs(self.around.value(at) - bowl.value) for at in near)
        )
        return -bowl.value > CLEAR_FALL * rounding

    def followed(self, bowl: _Bowl) -> Descent | None:
        """Return the descent whose fall shows on IN_A_ROW spheres, each half as large as the one before."""
        met = [bowl]
        for _ in range(SPHERES):
            bowl = self.lowest(SHORTER * bowl.radius, bowl.w, bowl.y)
            if not self.falls(bowl):
                return None
            met.append(bowl)
            orders = np.diff(np.log([-each.value for each in met[-IN_A_ROW:]])) / np.log(SHORTER)
            if len(met) >= IN_A_ROW and orders.min() >= LEAST_ORDER and np.ptp(orders) <= POWER_TOL:
                return Descent(met[-IN_A_ROW].radius, -met[-IN_A_ROW].value, float(orders[-1]))
        return None
