"""How far W still moves from where compiled flows have converged; the reasoning is that of ``gflow.flow.rest``."""

from __future__ import annotations

import numpy as np

from gflow.fast.abreast import SHIFT, SQUARE, WEIGHT, Bank, curvature, factorise, solved, velocity
from gflow.fast.follow import Side
from gflow.fast.jit import in_time
from gflow.fast.lanes import LANES
from gflow.fast.rounding import MASK, STATE, TARGETS
from gflow.flow.rest import NEAR, ROUNDING
from gflow.policy import EPS

NEWTON_STEPS = 6
"""Steps of Gauss and Newton that reach the minimum which a converged flow is near."""
DAMPING = 1e-10
"""Their damping, relative to the curvature: what settles no faster may wait, and rounding stays out of the rest."""


def rest(side: Side, places: np.ndarray) -> np.ndarray:
    """Return the largest change of an entry of W from flows, at most ``LANES``, to the minima nearby, one for each.

    NaN where there may be more to say. At those minima (2/n) |E|_F, which bounds every growth rate, is below what
    rounding leaves of the Hessian: nothing waits to grow, and slopes along modes that settle are rounding too.
    """
    bank, lines, count = side.bank, side.lines, len(places)
    lines[: bank.state] = 0.0
    lines[: bank.targets, :count], lines[bank.targets : bank.Z, :count] = (side.data[places, k].T for k in (MASK, TARGETS))
    Z, step = lines[bank.Z : bank.velocity], lines[bank.state : bank.spare]
    Z[:, :count] = side.flows[places, STATE].T
    lines[bank.single + WEIGHT, :count] = -side.records["weight"][places]
    begin, size, going, ways = Z.copy(), np.linalg.norm(Z, axis=0), np.arange(LANES) < count, np.full(LANES, np.nan)
    for _ in range(NEWTON_STEPS):
        in_time(velocity, bank, lines, bank.Z, bank.state)
        in_time(curvature, bank, lines, bank.Z, 0.0)  # E would turn the steps into directions that the flow avoids
        top = lines[bank.hessian : bank.factor : bank.size + 1].max(axis=0)
        drive = -lines[bank.single + WEIGHT] * np.sqrt(lines[bank.single + SQUARE])
        there = going & (drive <= ROUNDING * EPS * top)
        if there.any():
            ways[there] = np.abs(outputs(bank, Z) - outputs(bank, begin)).max(axis=(1, 2))[there]
        lines[bank.single + SHIFT] = np.where(going, DAMPING * top, 1.0)
        in_time(factorise, bank, lines)
        in_time(solved, bank, lines, bank.state)
        going &= ~there & (np.linalg.norm(step, axis=0) <= NEAR * size)  # no number is no step
        if not going.any():
            break
        Z += np.where(going, step, 0.0)
    return ways[:count]


def outputs(bank: Bank, Z: np.ndarray) -> np.ndarray:
    """Return W of each lane, shape (LANES, d1, d2)."""
    rows = Z.T.reshape(LANES, -1, bank.rank)
    W: np.ndarray = rows[:, : bank.cut] @ rows[:, bank.cut :].mT
    return W
