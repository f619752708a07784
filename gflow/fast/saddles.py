"""What rounding errors can do at the saddles that compiled integrations pass; the reasoning is ``gflow.flow``'s."""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow.fast.stacks import Stack
from gflow.flow.saddles import FLATNESS, PassedSaddle, SaddleClock
from gflow.policy import EPS

CERTAIN = 1e-4
"""An escape is followed if rounding errors stay below this fraction of what decides it."""


def unstable(stack: Stack, Z: np.ndarray, slopes: np.ndarray) -> list[np.ndarray]:
    """Return the growth rates of the unstable modes at each of the states, shape (m, d1 + d2, r), falling.

    Negative eigenvalues that a gradient of norm ``slopes`` can cause along a symmetry orbit do not count.
    """
    values = np.linalg.eigvalsh(stack.hessian(Z))
    cuts = FLATNESS * np.maximum(-values[:, 0], values[:, -1])
    cuts += 2.0 * slopes / np.maximum(1.0, np.linalg.norm(Z, axis=(1, 2)))
    return [-found[found < -cut] for found, cut in zip(values, cuts, strict=True)]


def noise(stack: Stack, Z: np.ndarray) -> np.ndarray:
    """Return the sizes of the rounding errors of the gradients at the states, from neighbouring numbers."""
    close = (1.0 + EPS * np.arange(-2, 3))[:, None, None] * Z[:, None]
    parts = Stack(*(part[:, None] for part in stack)).slope(close)
    sizes: np.ndarray = np.linalg.norm(parts - parts.mean(axis=1, keepdims=True), axis=(2, 3)).max(axis=1)
    return sizes


def certain(stack: Stack, bottoms: np.ndarray, records: Any, clocks: list[SaddleClock]) -> list[bool]:
    """Return whether the escapes that end stays were decided by the flows, not by rounding errors.

    What these put into the slower modes goes on growing: it is kept for the next saddle. ``bottoms`` are the states of
    least slope, shape (m, d1 + d2, r), and ``records`` copies.
    """
    found = []
    for Z, here, clock, rates, size in zip(
        bottoms, records, clocks, unstable(stack, bottoms, records["low"]), noise(stack, bottoms), strict=True
    ):
        saddle = PassedSaddle(Z.ravel(), here["low"], rates, np.empty((Z.size, 0)), np.full(rates.size, size))
        sure = not rates.size or bool(
            clock.moved(saddle, here["arrived"], here["t"])[0] < CERTAIN * here["slope"] / rates[0]
        )
        if rates.size and sure:
            clock.leave(saddle, here["arrived"])
        found.append(sure)
    return found
