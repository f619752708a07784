"""Steps of the exponential Rosenbrock method for the flow of W = A B around a critical point, in compiled code.

The mathematics is that of ``gflow.flow.rosenbrock``; states are deviations D from the critical point C in the
layout of ``gflow.fast.field``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gflow.fast.deep import deep_gradient, deep_hessian, inner_product
from gflow.fast.field import Entries, copy, entries_of, hessian, norm
from gflow.fast.jit import compiled, in_time
from gflow.flow.rosenbrock import E_FOLDINGS, NOISE, SERIES, SMALL

NOW = np.dtype(
    [(name, float) for name in ("length", "distance", "noise", "speed")]
    + [(name, np.int64) for name in ("moving", "gradients")]
)
"""Where an orbit is: the next step, |D|, what counts as rounding, |gradient|; how many modes move; gradients taken."""


class Around(NamedTuple):
    """A critical point C of N numbers, the slopes (2/n) E of the observed entries there, and memory for one orbit.

    Attributes
    ----------
    center : (N,) array
    errors : (n,) array
    delta, rates, velocity, moving : (N,) arrays
        D; eigenvalues of the Hessian at C + D; the velocity in its eigenbasis, and what of it is not rounding.
    basis, hessian : (N, N) arrays
        The eigenvectors, in rows; the Hessian.
    state, slope : (N,) arrays
    moves : (4, N) array
        Of a trial step: a move, two bends, the error; in the eigenbasis.
    """

    center: np.ndarray
    errors: np.ndarray
    delta: np.ndarray
    rates: np.ndarray
    velocity: np.ndarray
    moving: np.ndarray
    basis: np.ndarray
    hessian: np.ndarray
    state: np.ndarray
    slope: np.ndarray
    moves: np.ndarray


def start(
    problem: Any, rank: int, center: np.ndarray, delta: np.ndarray, hidden: int | None = None
) -> tuple[Entries, Around, Any]:
    """Return the entries, the memory and the record of an orbit that is at ``center`` + ``delta``."""
    entries = entries_of(problem, rank, hidden)
    Z, size = center[: entries.size * rank].reshape(-1, rank), center.size
    X = Z if hidden is None else Z @ inner_product(entries, center)
    errors = 2.0 / entries.targets.size * ((X[entries.rows] * Z[entries.columns]).sum(axis=1) - entries.targets)
    square, lines = np.zeros((2, size, size)), np.zeros((9, size))
    local = delta.copy(), lines[0], lines[1], lines[2], square[0], square[1]
    memory = Around(center, errors, *local, lines[3], lines[4], lines[5:])
    now = np.zeros(1, NOW).view(np.recarray)[0]
    now.length = np.inf
    in_time(expand, entries, memory, now)
    return entries, memory, now


@compiled
def gradient(entries: Entries, at: Around, D: np.ndarray, result: np.ndarray) -> None:
    """Write the gradient at C + D less the one at C into ``result``, without cancellation."""
    rank, factor, C = entries.rank, 2.0 / entries.targets.size, at.center
    result[:] = 0.0
    for e in range(entries.targets.size):
        i, j = entries.rows[e] * rank, entries.columns[e] * rank
        change = 0.0
        for p in range(rank):
            change += D[i + p] * (C[j + p] + D[j + p]) + C[i + p] * D[j + p]
        change *= factor
        error = at.errors[e] + change
        for p in range(rank):
            result[i + p] += change * C[j + p] + error * D[j + p]
            result[j + p] += change * C[i + p] + error * D[i + p]


@compiled
def moved(at: Around, move: np.ndarray) -> None:
    """Write D + move, the latter given in the eigenbasis, into ``at.state``."""
    copy(at.delta, at.state)
    for k in range(move.size):
        part = move[k]
        if part != 0.0:
            for i in range(move.size):
                at.state[i] += part * at.basis[k, i]


@compiled
def turned(at: Around, k: int) -> float:
    """Return minus the component of ``at.slope`` along eigenvector k."""
    total = 0.0
    for i in range(at.slope.size):
        total -= at.basis[k, i] * at.slope[i]
    return total


@compiled
def slope(hidden: int | None, entries: Entries, at: Around, D: np.ndarray, result: np.ndarray) -> None:
    """Write the gradient at C + D less the one at C; of the two branches one is compiled, by the type of ``hidden``."""
    if hidden is None:
        gradient(entries, at, D, result)
    else:
        deep_gradient(entries, at.center, at.errors, D, result)


@compiled
def curvature(hidden: int | None, entries: Entries, Z: np.ndarray, result: np.ndarray) -> None:
    """Write the upper triangle of the Hessian at Z, by one branch likewise."""
    if hidden is None:
        hessian(entries, Z, 1.0, result)
    else:
        deep_hessian(entries, Z, result)


@compiled
def expand(entries: Entries, at: Around, now: Any) -> None:
    """Keep the flow linearised at the present state: eigenbasis and velocity."""
    for i in range(at.delta.size):
        at.state[i] = at.center[i] + at.delta[i]
    curvature(entries.hidden, entries, at.state, at.hessian)
    values, vectors = np.linalg.eigh(at.hessian.T)  # which reads the lower triangle
    at.rates[:] = values
    at.basis[:] = vectors.T
    now.distance = norm(at.delta)
    now.noise = NOISE * max(abs(values[0]), abs(values[-1])) * now.distance
    slope(entries.hidden, entries, at, at.delta, at.slope)
    now.gradients += 1
    now.moving = 0
    for k in range(values.size):
        part = turned(at, k)
        moves = abs(part) > now.noise
        at.velocity[k] = part
        at.moving[k] = part if moves else 0.0
        now.moving += moves
    now.speed = norm(at.velocity)


@compiled
def bend(entries: Entries, at: Around, now: Any, move: np.ndarray, result: np.ndarray) -> None:
    """Write the nonlinear part of the velocity after ``move`` into ``result``, both in the eigenbasis."""
    moved(at, move)
    slope(entries.hidden, entries, at, at.state, at.slope)
    now.gradients += 1
    for k in range(move.size):
        part = turned(at, k) - at.velocity[k] + at.rates[k] * move[k]
        result[k] = part if abs(part) > now.noise else 0.0


@compiled
def phi_functions(z: float) -> tuple[float, float, float]:
    """Return phi_1, phi_3 and phi_4 of z: phi_0 = exp, phi_(k+1)(z) = (phi_k(z) - 1/k!) / z."""
    if abs(z) < SMALL:
        four = SERIES[-1]
        for k in range(SERIES.size - 2, -1, -1):
            four = four * z + SERIES[k]
        three = four * z + 1.0 / 6.0
        return (three * z + 0.5) * z + 1.0, three, four
    one = np.expm1(z) / z
    three = ((one - 1.0) / z - 0.5) / z
    return one, three, (three - 1.0 / 6.0) / z


@compiled
def attempt(entries: Entries, at: Around, now: Any, h: float) -> float:
    """Return the norm of the error estimate of a step of length h; its move is left in ``at.moves[0]``."""
    move, first, second, error = at.moves[0], at.moves[1], at.moves[2], at.moves[3]
    for k in range(move.size):
        move[k] = 0.5 * h * phi_functions(-0.5 * h * at.rates[k])[0] * at.moving[k]
    bend(entries, at, now, move, first)
    for k in range(move.size):
        linear, late, _ = phi_functions(-0.9 * h * at.rates[k])
        early = phi_functions(-0.5 * h * at.rates[k])[1]
        move[k] = 0.9 * h * linear * at.moving[k] + h * (27 / 25 * early + 729 / 125 * late) * first[k]
    bend(entries, at, now, move, second)
    for k in range(move.size):
        linear, three, four = phi_functions(-h * at.rates[k])
        curve = three * (18.0 * first[k] - 250 / 81 * second[k]) + four * (-60.0 * first[k] + 500 / 27 * second[k])
        move[k] = h * linear * at.moving[k] + h * curve
        error[k] = h * (curve - 8.0 * three * first[k])
    return norm(error)


@compiled
def step(entries: Entries, at: Around, now: Any, tol: float) -> float:
    """Return the length of a step of acceptable error, relative to ``tol``; it is taken and the next one prepared."""
    h, move = min(now.length, E_FOLDINGS / max(-at.rates[0], 1e-300)), at.moves[0]
    while True:
        error = attempt(entries, at, now, h)
        ratio = error / (tol * max(now.distance, norm(move)))
        if ratio <= 1.0:
            break
        h *= max(0.2, 0.9 * ratio**-0.25) if np.isfinite(ratio) else 0.2
    moved(at, move)
    copy(at.state, at.delta)
    now.length = h * min(5.0, 0.9 * max(ratio, 1e-10) ** -0.25)
    expand(entries, at, now)
    return h
