"""What rounding errors can do at the saddles that a compiled integration passes; the reasoning is ``gflow.flow``'s."""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow.fast.abreast import WEIGHT, Bank, curvature, velocity
from gflow.fast.jit import in_time
from gflow.fast.rounding import BOTTOM, MASK, TARGETS
from gflow.flow.saddles import FLATNESS, PassedSaddle, SaddleClock
from gflow.policy import EPS

CERTAIN = 1e-4
"""An escape is followed if rounding errors stay below this fraction of what decides it."""


def laid(bank: Bank, lines: np.ndarray, data: np.ndarray, weight: float, states: np.ndarray) -> None:
    """Write states of one flow, shape (k, N), k <= LANES, into the first lanes, in place of the present states."""
    k = len(states)
    lines[: bank.targets, :k], lines[bank.targets : bank.Z, :k] = data[MASK][:, None], data[TARGETS][:, None]
    lines[bank.Z : bank.velocity, :k] = states.T
    lines[bank.single + WEIGHT, :k] = -weight


def unstable(bank: Bank, lines: np.ndarray, data: np.ndarray, weight: float, Z: np.ndarray, slope: float) -> np.ndarray:
    """Return the growth rates of the unstable modes at Z, falling.

    Negative eigenvalues that a gradient of norm ``slope`` can cause along a symmetry orbit do not count.
    """
    laid(bank, lines, data, weight, Z[None])
    in_time(curvature, bank, lines, bank.Z, 1.0)
    values = np.linalg.eigvalsh(lines[bank.hessian : bank.factor, 0].reshape(Z.size, Z.size), "U")
    cut = FLATNESS * max(-values[0], values[-1]) + 2.0 * slope / max(1.0, float(np.linalg.norm(Z)))
    rates: np.ndarray = -values[values < -cut]
    return rates


def noise(bank: Bank, lines: np.ndarray, data: np.ndarray, weight: float, Z: np.ndarray) -> float:
    """Return the size of the rounding errors of the gradient at Z, from neighbouring numbers."""
    laid(bank, lines, data, weight, (1.0 + EPS * np.arange(-2, 3))[:, None] * Z)
    in_time(velocity, bank, lines, bank.Z, bank.state)
    parts = lines[bank.state : bank.state + bank.size, :5].T
    return float(np.linalg.norm(parts - parts.mean(axis=0), axis=1).max())


def certain(bank: Bank, lines: np.ndarray, rows: np.ndarray, data: np.ndarray, here: Any, clock: SaddleClock) -> bool:
    """Return whether the escape that ends a stay was decided by the flow, not by rounding errors.

    What these put into the slower modes goes on growing: it is kept for the next saddle.
    """
    low, arrived, weight, bottom = here["low"], here["arrived"], here["weight"], rows[BOTTOM].copy()
    rates = unstable(bank, lines, data, weight, bottom, low)
    here["hessians"] += 1
    if not rates.size:
        return True
    errors = np.full(rates.size, noise(bank, lines, data, weight, bottom))
    here["evaluations"] += 5
    saddle = PassedSaddle(bottom, low, rates, np.empty((bottom.size, 0)), errors)
    if not clock.moved(saddle, arrived, here["t"])[0] < CERTAIN * here["slope"] / rates[0]:
        return False
    clock.leave(saddle, arrived)
    return True
