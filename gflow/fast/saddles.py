"""What rounding errors can do at the saddles that a compiled integration passes; the reasoning is ``gflow.flow``'s."""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow.fast.field import Entries, hessian, norm, velocity
from gflow.fast.steps import Work
from gflow.flow.saddles import FLATNESS, PassedSaddle, SaddleClock
from gflow.policy import EPS

CERTAIN = 1e-4
"""An escape is followed if rounding errors stay below this fraction of what decides it."""


def unstable(entries: Entries, Z: np.ndarray, slope: float, memory: Work) -> np.ndarray:
    """Return the growth rates of the unstable modes at Z, falling.

    Negative eigenvalues that a gradient of norm ``slope`` can cause along a symmetry orbit do not count.
    """
    hessian(entries, Z, 1.0, memory.factor)
    values = np.linalg.eigvalsh(memory.factor, "U")
    cut = FLATNESS * max(-values[0], values[-1]) + 2.0 * slope / max(1.0, norm(Z))
    rates: np.ndarray = -values[values < -cut]
    return rates


def noise(entries: Entries, Z: np.ndarray, memory: Work) -> float:
    """Return the size of the rounding errors of the gradient at Z, from neighbouring numbers."""
    parts = memory.slopes[:5]
    for k in range(5):
        velocity(entries, (1.0 + (k - 2) * EPS) * Z, parts[k])
    return float(np.linalg.norm(parts - parts.mean(axis=0), axis=1).max())


def certain(entries: Entries, here: Any, clock: SaddleClock, memory: Work) -> bool:
    """Return whether the escape that ends a stay was decided by the flow, not by rounding errors.

    What these put into the slower modes goes on growing: it is kept for the next saddle.
    """
    low, arrived = here["low"], here["arrived"]
    rates = unstable(entries, memory.bottom, low, memory)
    here["hessians"] += 1
    if not rates.size:
        return True
    errors = np.full(rates.size, noise(entries, memory.bottom, memory))
    here["evaluations"] += 5
    saddle = PassedSaddle(memory.bottom, low, rates, np.empty((memory.bottom.size, 0)), errors)
    if not clock.moved(saddle, arrived, here["t"])[0] < CERTAIN * here["slope"] / rates[0]:
        return False
    clock.leave(saddle, arrived)
    return True
