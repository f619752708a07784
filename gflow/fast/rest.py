"""How far W still moves from where a compiled flow has converged; the reasoning is that of ``gflow.flow.rest``."""

from __future__ import annotations

import numpy as np

from gflow.fast.field import Entries, cholesky, copy, hessian, most, norm, solve, velocity
from gflow.fast.jit import part
from gflow.fast.steps import Work
from gflow.flow.rest import NEAR, ROUNDING
from gflow.policy import EPS

NEWTON_STEPS = 6
"""Steps of Gauss and Newton that reach the minimum which a converged flow is near."""
DAMPING = 1e-10
"""Their damping, relative to the curvature: what settles no faster may wait, and rounding stays out of the rest."""


@part
def rest(entries: Entries, Z: np.ndarray, memory: Work) -> float:
    """Return the largest change of an entry of W from Z to the minimum nearby, or -1 where there may be more to say.

    At that minimum (2/n) |E|_F, which bounds every growth rate, is below what rounding leaves of the Hessian: nothing
    waits to grow, and slopes along modes that settle are rounding too.
    """
    X, slope, size = memory.spare[0], memory.velocity, norm(Z)
    copy(Z, X)
    for _ in range(NEWTON_STEPS):
        drive, top = velocity(entries, X, slope), 0.0
        hessian(entries, X, memory.hessian)
        for k in range(X.size):
            top = most(top, memory.hessian[k, k])
        if drive <= ROUNDING * EPS * top:
            return apart(entries, Z, X)
        straighten(entries, X, memory.hessian)
        if not cholesky(memory.hessian, DAMPING * top, memory.factor):
            return -1.0
        solve(memory.factor, slope)
        if not norm(slope) <= NEAR * size:
            return -1.0
        for k in range(X.size):
            X[k] += slope[k]
    return -1.0


@part
def straighten(entries: Entries, X: np.ndarray, matrix: np.ndarray) -> None:
    """Write the Hessian without the part of E, which would turn the steps into directions that the flow avoids."""
    rank = entries.rank
    for e in range(entries.targets.size):
        i, j = entries.rows[e] * rank, entries.columns[e] * rank
        error = -entries.targets[e]
        for p in range(rank):
            error += X[i + p] * X[j + p]
        for p in range(rank):
            matrix[i + p, j + p] -= 2.0 / entries.targets.size * error


@part
def apart(entries: Entries, Z: np.ndarray, X: np.ndarray) -> float:
    """Return the largest difference of an entry of W at X from the one at Z."""
    rank, largest = entries.rank, 0.0
    for i in range(entries.cut):
        for j in range(entries.cut, entries.size):
            change = 0.0
            for p in range(rank):
                change += X[i * rank + p] * X[j * rank + p] - Z[i * rank + p] * Z[j * rank + p]
            largest = most(largest, abs(change))
    return largest
