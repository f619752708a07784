"""The flow delta' = grad h(delta) of a homogeneous function: until it has grown, or to its blow-up time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gflow import watch

SECOND_RTOL = 1e-13
"""The same of the second route."""
LONGEST = 1e9
"""Flows are followed up to this time over the rate."""
STAGE = "degenerate escape"

Slope = Callable[[np.ndarray], np.ndarray]


class NoBlowUp(RuntimeError):
    """The flow from this start does not leave the critical point in a finite rescaled time; the message says why."""


def blown_up(slope: Slope, order: int, delta: np.ndarray, rate: float, far: float) -> tuple[float, np.ndarray]:
    """Return the blow-up time of delta' = grad h(delta), and delta when it has grown to ``far`` times its size.

    Parameters
    ----------
    slope : delta -> grad h(delta)
    order : int
        h is homogeneous of this order.
    delta : (dim,) array
    rate : float
        order h on the unit vector along which delta blows up.
    far : float

    Raises ``NoBlowUp`` where it does not grow so far.
    """
    from scipy.integrate import solve_ivp

    slope = watch.ticking(slope, STAGE)
    reach = far * max(1.0, float(np.linalg.norm(delta)))

    def passed(_: float, y: np.ndarray) -> float:
        return float(np.linalg.norm(y)) - reach

    passed.terminal = True  # type: ignore[attr-defined]
    limits = {"rtol": SECOND_RTOL, "atol": SECOND_RTOL * float(np.linalg.norm(delta))}
    found = solve_ivp(lambda _, y: slope(y), (0.0, 1e12 / rate), delta, method="DOP853", events=passed, **limits)
    if found.status != 1:
        raise NoBlowUp("the flow of the homogeneous part was not seen to grow without bound")
    end = found.y[:, -1]
    return float(found.t[-1]) + float(np.linalg.norm(end)) ** -(order - 2) / ((order - 2) * rate), end


def grown_to(slope: Slope, order: int, delta: np.ndarray, rate: float, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Return times (T,) and states (T, dim) of delta' = grad h(delta) until |delta| has grown to ``size``.

    Parameters
    ----------
    as for ``blown_up``; ``rate`` is the scale of grad h on unit vectors.

    Raises ``NoBlowUp`` where it does not grow so far. It is followed in units of its own size and time: near a blow-up
    times come ever closer.
    """
    from scipy.integrate import solve_ivp

    slope = watch.ticking(slope, STAGE)
    length = float(np.linalg.norm(delta))
    ratio, clock = size / length, length ** (order - 2)

    def passed(_: float, y: np.ndarray) -> float:
        return float(np.linalg.norm(y)) - ratio

    passed.terminal = True  # type: ignore[attr-defined]
    span, options = (0.0, LONGEST / rate), {"rtol": SECOND_RTOL, "atol": SECOND_RTOL}
    found = solve_ivp(lambda _, y: slope(y), span, delta / length, method="DOP853", events=passed, **options)
    if found.status != 1:
        raise NoBlowUp("the flow of the homogeneous part was not seen to grow so far")
    return found.t / clock, found.y.T * length


def followed(slope: Slope, delta: np.ndarray, s: float) -> np.ndarray:
    """Return delta a time s later along delta' = grad h(delta), shape (dim,)."""
    from scipy.integrate import solve_ivp

    slope = watch.ticking(slope, STAGE)
    found = solve_ivp(
        lambda _, y: slope(y),
        (0.0, s),
        delta,
        method="DOP853",
        rtol=SECOND_RTOL,
        atol=SECOND_RTOL,
    )
    end: np.ndarray = found.y[:, -1]
    return end
