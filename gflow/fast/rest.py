"""How far W still moves from where a compiled flow has converged; the reasoning is that of ``gflow.flow.rest``."""

from __future__ import annotations

import numpy as np

from gflow.fast.field import Entries, cholesky, hessian, norm, solve, velocity
from gflow.fast.steps import Work
from gflow.flow.rest import NEAR, ROUNDING
from gflow.policy import EPS

NEWTON_STEPS = 6
"""Steps of Gauss and Newton that reach the minimum which a converged flow is near."""
DAMPING = 1e-10
"""Their damping, relative to the curvature: what settles no faster may wait, and rounding stays out of the rest."""


def rest(entries: Entries, memory: Work) -> float | None:
    """Return the largest change of an entry of W from here to the minimum nearby; None where there may be more to say.

    At that minimum (2/n) |E|_F, which bounds every growth rate, is below what rounding leaves of the Hessian: nothing
    waits to grow, and slopes along modes that settle are rounding too.
    """
    X, slope, size = memory.Z.copy(), memory.velocity, norm(memory.Z)
    for _ in range(NEWTON_STEPS):
        drive = velocity(entries, X, slope)
        hessian(entries, X, 0.0, memory.hessian)  # E would turn the steps into directions that the flow avoids
        top = float(memory.hessian.diagonal().max())
        if drive <= ROUNDING * EPS * top:
            return float(np.abs(output(entries, X) - output(entries, memory.Z)).max())
        if not cholesky(memory.hessian, DAMPING * top, memory.factor):
            return None
        solve(memory.factor, slope)
        if not norm(slope) <= NEAR * size:
            return None
        X += slope
    return None


def output(entries: Entries, Z: np.ndarray) -> np.ndarray:
    """Return W."""
    rows = Z.reshape(-1, entries.rank)
    W: np.ndarray = rows[: entries.cut] @ rows[entries.cut :].T
    return W
