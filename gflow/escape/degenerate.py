"""The escape from a degenerate saddle: a homogeneous flow that blows up in a finite rescaled time.

Where the loss falls from a critical point like -h(delta), with h homogeneous of an order p >= 3, the flow from
alpha delta_0 is that of delta' = grad h(delta) until it leaves: with s = alpha^(p - 2) t it reaches any size at the
blow-up time s*, so that it leaves at t = s* alpha^-(p - 2), where a strict saddle is left at log(1/alpha) / lambda.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow import watch
from gflow.checks import require_positive
from gflow.escape.growth import LONGEST, STAGE, NoBlowUp, Slope, blown_up

if TYPE_CHECKING:
    from gflow.objective import Objective

HIGHER_ORDER = 1e-12
"""Distance from the critical point at which h is evaluated: what is of higher order is that small beside it."""
RTOL = 1e-12
"""Tolerance of the flow on the sphere."""
ON_RAY = 1e-13
"""The direction has come to its limit when it moves by less than this per unit of the rate."""
ON_SPHERE_REST = 1e-6
"""The flow on the sphere has come to rest, with nothing to leave along, at this fraction of its largest speed."""
TAIL_STRETCH, SLOWEST_PIECE = 50.0, 1e2
"""The flow on the sphere is followed in pieces of this length over its speed, up to ``LONGEST`` of it together; below
1 / ``SLOWEST_PIECE`` of its largest speed over that, for the steps do not grow."""
TAIL_FROM = 1e4
"""Size to which the second route integrates before the tail is added."""
HESSIAN_KERNEL_TOL = 1e-8
"""Eigenvalues of the Hessian up to this fraction of its norm are those of its kernel."""
TAIL_ORDERS = range(3, 9)
INTEGER_TOL = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class DegenerateEscape:
    """How the flow from alpha delta_0 leaves a critical point along which the loss falls at an order above the second.

    Attributes
    ----------
    order : int
        p, of the homogeneous part h.
    direction : (dim,) array, read-only
        The unit vector along which it leaves.
    rate : float
        lambda = p h(direction): near the blow-up |delta|^-(p - 2) falls by (p - 2) lambda for each unit of s.
    time : float
        s*; scales as s^(2 - 2 / p) inversely with M for a model of degree p.
    other_time : float
        The same by a second route, the flow itself instead of that on the sphere.
    """

    order: int
    direction: np.ndarray
    rate: float
    time: float
    other_time: float

    @property
    def error(self) -> float:
        """Return the difference of the two routes."""
        return abs(self.time - self.other_time)

    def plateau_time(self, alpha: float) -> float:
        """Return s* alpha^-(p - 2), when the flow from alpha delta_0 leaves; ``ValueError`` unless alpha > 0."""
        require_positive(alpha=alpha)
        return self.time * alpha ** -(self.order - 2)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        names = ("order", "rate", "time", "other_time", "error")
        return {name: getattr(self, name) for name in names} | {"direction": self.direction.tolist()}

    def __repr__(self) -> str:
        return f"DegenerateEscape(order={self.order}, time={self.time:.8g}, rate={self.rate:.6g})"


@partial(watch.watched, whole=True)
def degenerate_escape(
    objective: Objective,
    start: np.ndarray,
    center: np.ndarray | None = None,
    *,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> DegenerateEscape:
    """Return how the flow from center + alpha start leaves a degenerate critical point as alpha -> 0.

    Parameters
    ----------
    objective : Objective
        With a ``deviation``, or a center at which rounding of the value does not matter.
    start : (dim,) array
        delta_0.
    center : (dim,) array, optional
        A critical point whose Hessian vanishes along ``start``. Default: the origin.
    progress, timeout : see ``gflow.watch.watching``
        ``TimeIsUp`` when the time is over: a part of this has no meaning.

    Raises
    ------
    ValueError
        If start or center has another shape, start is zero, or the loss has a second-order part at the center or none
        of an order up to 8.
    NoBlowUp
        If the flow of the homogeneous part returns to the center, or stops at a direction where it is at rest.

    For W = W1 ... WL at the origin the order is L and the direction that of the top singular pair (Jacot et al. 2021).
    """
    start = np.asarray(start, dtype=float)
    origin = np.zeros(objective.dim) if center is None else np.asarray(center, dtype=float)
    for name, point in (("start", start), ("center", origin)):
        if point.shape != (objective.dim,) or not np.isfinite(point).all():
            raise ValueError(f"{name} must be finite and of shape ({objective.dim},); got shape {point.shape}")
    length = float(np.linalg.norm(start))
    if length == 0.0:
        raise ValueError("start must not be zero: an escape needs a direction")
    inner, root = (objective.normalized or objective), objective.theta_unit
    local = inner.around(origin / root)
    order = _order(local, start / length)
    local = _in_kernel(local, start / length, order)
    return blow_up(_Slope(local, order), order, start, root, objective.time_unit)


def blow_up(slope: Slope, order: int, start: np.ndarray, root: float, unit: float) -> DegenerateEscape:
    """Return how the flow of a homogeneous function leaves the origin from alpha start.

    Parameters
    ----------
    slope : delta -> grad h(delta), in the problem's own unit
    order : int
        h is homogeneous of this order, at least 3.
    start : (dim,) array
    root, unit : float
        Units of theta and of time in those of the caller.

    Raises ``NoBlowUp`` as ``degenerate_escape``.
    """
    length = float(np.linalg.norm(start))
    x, rate, time = _on_sphere(slope, order, start / length, length / root)
    other = blown_up(slope, order, start / root, rate, TAIL_FROM)[0]
    x.setflags(write=False)
    return DegenerateEscape(order, x, rate / unit / root ** (order - 2), time * unit, other * unit)


def _in_kernel(local: Objective, direction: np.ndarray, order: int) -> Objective:
    """Return the loss restricted to the kernel of its Hessian at the critical point, where that has a rank.

    What the other directions do follows, by an implicit function of the second order: it enters h from the fourth order
    on, unless the force on them begins later.
    """
    H = local.hessian(np.zeros(local.dim))
    values, vectors = np.linalg.eigh(H)
    norm = float(np.abs(values).max())
    stiff = vectors[:, np.abs(values) > HESSIAN_KERNEL_TOL * norm] if norm > 0.0 else vectors[:, :0]
    if not stiff.shape[1]:
        return local
    along = float(np.linalg.norm(stiff.T @ direction))
    near = 1e-3
    force = float(np.linalg.norm(stiff.T @ local.gradient(near * (direction - stiff @ (stiff.T @ direction)))))
    if along > HESSIAN_KERNEL_TOL or (order > 3 and force > near ** (order - 1) * norm):
        raise ValueError("start does not lie in the kernel of the Hessian, or what is outside answers at second order")

    def kept(x: np.ndarray) -> np.ndarray:
        return x - stiff @ (stiff.T @ x)

    return replace(local, gradient=lambda x: kept(local.gradient(kept(x))))


class _Slope:
    """grad h at points of order one: the slope of the loss where higher orders are below rounding."""

    def __init__(self, local: Objective, order: int) -> None:
        self.local, self.order = local, order

    def __call__(self, x: np.ndarray) -> np.ndarray:
        size = float(np.linalg.norm(x))
        scale = HIGHER_ORDER / size
        return -self.local.gradient(scale * x) / scale ** (self.order - 1)


def _order(local: Objective, direction: np.ndarray) -> int:
    """Return the order at which the loss begins around the critical point, from its slope on two small spheres."""
    near = 1e-3
    sizes = [float(np.linalg.norm(local.gradient(near * factor * direction))) for factor in (1.0, 0.5, 0.25)]
    if min(sizes) == 0.0:
        raise ValueError("the slope vanishes along start: the order of the escape cannot be seen")
    found = np.log2(sizes[1] / sizes[2]) + 1.0
    order = round(float(found))
    if order == 2:
        raise ValueError("the Hessian does not vanish along start: a strict saddle is left in log(1/alpha) / lambda")
    if order not in TAIL_ORDERS or abs(found - order) > 0.05:
        raise ValueError(
            f"the loss has no homogeneous part of an order between 3 and 8 here; it begins like {found:.3g}"
        )
    return order


def _on_sphere(slope: Slope, p: int, x: np.ndarray, size: float) -> tuple[np.ndarray, float, float]:
    """Return limit direction, rate and blow-up time, by x' = grad h - (x . grad h) x with log|delta| and s beside."""
    from scipy.integrate import solve_ivp

    n = len(x)

    def field(_: float, y: np.ndarray) -> np.ndarray:
        watch.tick(STAGE)
        at = y[:n] / np.linalg.norm(y[:n])
        g = slope(at)
        along = float(at @ g)
        return np.concatenate([g - along * at, [along, np.exp(-(p - 2) * y[n])]])

    y, passed, fastest = np.concatenate([x, [np.log(size), 0.0]]), 0.0, 0.0
    while True:
        at = y[:n] / np.linalg.norm(y[:n])
        g = slope(at)
        rate, speed = float(at @ g), float(np.linalg.norm(g))
        still, fastest = float(np.linalg.norm(g - rate * at)), max(fastest, speed)
        tail = np.exp(-(p - 2) * y[n]) / ((p - 2) * rate) if rate > 0.0 else np.inf
        if rate > 0.0 and (still <= ON_RAY * rate or tail <= RTOL * y[n + 1]):
            return at, rate, float(y[n + 1] + tail)
        if (rate <= 0.0 and (speed <= ON_SPHERE_REST * fastest or still <= ON_RAY * speed)) or passed > LONGEST:
            raise NoBlowUp("the flow of the homogeneous part does not leave: it comes to rest or back to the center")
        span = TAIL_STRETCH / max(speed, fastest / SLOWEST_PIECE) / max(1.0, p - 2)
        with np.errstate(over="ignore", invalid="ignore"):  # trial steps that are rejected
            found = solve_ivp(field, (0.0, span), y, method="DOP853", rtol=RTOL, atol=RTOL)
        y, passed = found.y[:, -1], passed + TAIL_STRETCH
