"""Leaving a deep saddle inside its manifold: which mode grows first, and whether the start tosses a coin."""

from __future__ import annotations

import numpy as np

from gflow.limit.family import Stopped
from gflow.limit.orbit.deep_orbits import SOFT_CURVATURE, TOLD
from gflow.limit.records import TraversalStatus
from gflow.models import Factorization
from gflow.objective import Objective

OVERLAP = 1e-6
"""A mode contains a singular pair that makes up more than this of it."""


def first_mode(model: Factorization, values: np.ndarray, modes: np.ndarray, residual: np.ndarray, where: str) -> int:
    """Return which growing mode leaves first, that of least p / rate; ``residual`` is E at the last new channel.

    The newest channel opened along the top singular pair of the residual before; the other pairs r were left in it
    with amplitudes alpha^p, p = 1 - sigma_r / sigma_1, and a mode starts from the largest that it contains.
    """
    if len(values) == 1:
        return 0
    U, sizes, Vt = np.linalg.svd(-residual)
    waits = []
    for value, mode in zip(values, modes.T, strict=True):
        factors = model.factors(mode)
        parts = np.linalg.norm(U.T @ factors[0], axis=1)[: len(sizes)]
        parts = np.hypot(parts, np.linalg.norm(Vt @ factors[-1].T, axis=1)[: len(sizes)])
        parts[0] = 0.0
        seen = sizes[parts > OVERLAP]
        waits.append((1.0 - float(seen[0] / sizes[0])) / -float(value) if seen.size else np.inf)
    order = np.argsort(waits)
    if not waits[order[0]] < (1.0 - TOLD) * waits[order[1]]:
        raise Stopped(TraversalStatus.DEGENERATE, f"{where} several modes grow and leave at the same time")
    return int(order[0])


def require_any_order(objective: Objective, rank: int, end: np.ndarray, count: int) -> None:
    """Raise unless the modes that did not leave are seen to go on growing at the end of the one that did."""
    values = np.linalg.eigvalsh(objective.hessian(end))
    left = int(np.sum(values < -SOFT_CURVATURE * float(np.abs(values).max())))
    if left != count - 1:
        raise Stopped(
            TraversalStatus.UNDECIDED,
            f"inside rank {rank} {count} modes grow, {left} of them on at the end of one: order may matter",
        )
