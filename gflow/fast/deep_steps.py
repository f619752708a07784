"""Steps of the flow of W = W1 ... WL, L > 2, in compiled code: Rodas5P, as in ``gflow.fast.steps``.

The Jacobian is exact, so that layers outside the channels, too small for the tolerance, grow as they should.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gflow.fast.deep import deep_gradient, deep_hessian
from gflow.fast.field import Entries, cholesky, copy, norm, solve
from gflow.fast.jit import compiled, lean
from gflow.fast.steps import COUPLING, GAMMA, MOVES
from gflow.policy import EPS

DEEP_NOW = np.dtype([(name, float) for name in ("t", "h", "before")] + [("gradients", np.int64)])
"""Time, length of the next step, the last error over its tolerance; gradients taken."""
ROUNDED = 2.0
"""Rounding units of the state below which the error of a step is not held."""


class Work(NamedTuple):
    """Memory of one integration of N numbers.

    Attributes
    ----------
    slopes : (8, N) array
        Moves of a step.
    state, velocity : (N,) arrays
        The next state; the slope at the present one.
    hessian, factor : (N, N) arrays
    """

    slopes: np.ndarray
    state: np.ndarray
    velocity: np.ndarray
    hessian: np.ndarray
    factor: np.ndarray


def room(size: int) -> Work:
    """Return the memory for states of ``size`` numbers."""
    lines = np.zeros((10 + 2 * size, size))
    return Work(lines[:8], lines[8], lines[9], lines[10 : 10 + size], lines[10 + size :])


@lean
def combined(table: np.ndarray, row: int, count: int, scale: float, slopes: np.ndarray, result: np.ndarray) -> None:
    """Add ``scale`` times the sum of table[row, s] slopes_s, s < count, to ``result``, four of them in one pass."""
    s = 0
    while s + 4 <= count:
        a, b, c, d = table[row, s], table[row, s + 1], table[row, s + 2], table[row, s + 3]
        a, b, c, d = scale * a, scale * b, scale * c, scale * d
        for k in range(result.size):
            result[k] += a * slopes[s, k] + b * slopes[s + 1, k] + (c * slopes[s + 2, k] + d * slopes[s + 3, k])
        s += 4
    while s < count:
        a = scale * table[row, s]
        for k in range(result.size):
            result[k] += a * slopes[s, k]
        s += 1


@compiled
def velocity(entries: Entries, errors: np.ndarray, origin: np.ndarray, Z: np.ndarray, result: np.ndarray) -> None:
    """Write -grad R at Z into ``result``; ``origin`` are zeros, ``errors`` those of W = 0."""
    deep_gradient(entries, origin, errors, Z, result)
    for k in range(result.size):
        result[k] = -result[k]


@compiled
def attempt(entries: Entries, errors: np.ndarray, origin: np.ndarray, Z: np.ndarray, h: float, memory: Work) -> float:
    """Return the error estimate of a step of length h from Z, infinite if it is too long; the end is in ``memory``."""
    slopes, state = memory.slopes, memory.state
    if not cholesky(memory.hessian, 1.0 / (GAMMA * h), memory.factor):
        return np.inf
    for s in range(9):
        copy(Z, state)
        combined(MOVES, s, s, 1.0, slopes, state)
        if s < 8:
            velocity(entries, errors, origin, state, slopes[s])
            combined(COUPLING, s, s, 1.0 / h, slopes, slopes[s])
            solve(memory.factor, slopes[s])
    return norm(slopes[7]) if np.isfinite(norm(state)) else np.inf


@compiled
def deep_step(
    entries: Entries, errors: np.ndarray, origin: np.ndarray, Z: np.ndarray, tol: float, longest: float, at: Any
) -> float:
    """Return the length of a step from Z whose error is below ``tol``, which is taken; 0 where there is none."""
    now, memory = at
    deep_hessian(entries, Z, memory.hessian)
    h = min(now.h, longest)
    while True:
        ratio = attempt(entries, errors, origin, Z, h, memory) / tol
        now.gradients += 8
        if ratio <= 1.0:
            break
        h *= max(0.2, 0.9 * ratio**-0.2) if np.isfinite(ratio) else 0.2
        if not h > 1e-300:
            return 0.0
    ratio = max(ratio, 1e-10)
    now.h = h * min(5.0, max(0.2, 0.9 * ratio**-0.14 * now.before**0.08))
    now.before = max(ratio, 1e-4)
    copy(memory.state, Z)
    velocity(entries, errors, origin, Z, memory.velocity)
    now.gradients += 1
    return h


@compiled
def deep_steps(
    entries: Entries,
    errors: np.ndarray,
    origin: np.ndarray,
    Z: np.ndarray,
    tol: float,
    horizon: float,
    at: Any,
    times: np.ndarray,
    states: np.ndarray,
    slopes: np.ndarray,
) -> int:
    """Return how many steps from Z at ``now.t`` were taken, up to the horizon: they are written into the last three.

    ``tol`` is relative to |Z|; ``errors`` are (2/n) E where W = 0, and ``origin`` as many zeros as Z has numbers.
    """
    now, memory = at
    for m in range(times.size):
        if now.t >= horizon:
            return m
        allowed = max(tol, ROUNDED * EPS) * norm(Z)
        length = deep_step(entries, errors, origin, Z, allowed, horizon - now.t, at)
        if not now.t + length > now.t:
            return m
        now.t += length
        copy(Z, states[m])
        times[m], slopes[m] = now.t, norm(memory.velocity)
    return times.size
