"""Single steps: an explicit pair of order 8 for the motion, a Rosenbrock method of order 5 for the stiff rest.

Coefficients: DOP853 as in Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, section II.10 (from
scipy); Rodas5P of Steinebach, BIT Numer. Math. 63, 27 (2023), in the form without products with the Jacobian.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.integrate import DOP853

from gflow.fast.field import Entries, cholesky, copy, fill, norm, solve, velocity
from gflow.fast.jit import lean, part

STAGES = 12
A, B, E3, E5 = (table.copy() for table in (DOP853.A, DOP853.B, DOP853.E3, DOP853.E5))
GAMMA = 0.21193756319429014
LAST = (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946)
MOVES = np.array(
    [
        [0.0] * 7,
        [3.0, *[0.0] * 6],
        [2.849394379747939, 0.45842242204463923, *[0.0] * 5],
        [-6.954028509809101, 2.489845061869568, -10.358996098473584, *[0.0] * 4],
        [2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641, *[0.0] * 3],
        [*LAST, 0.0, 0.0],
        [*LAST, 1.0, 0.0],
        [*LAST, 1.0, 1.0],
    ]
)
COUPLING = np.zeros((8, 7))
COUPLING[1, :1] = -14.155112264123755
COUPLING[2, :2] = -17.97296035885952, -2.859693295451294
COUPLING[3, :3] = 147.12150275711716, -1.41221402718213, 71.68940251302358
COUPLING[4, :4] = 165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306
COUPLING[5, :5] = 24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125, -0.6610691825249471
COUPLING[6, :6] = (
    *(30.91273214028599, -3.1208243349937974, 77.79954646070892, 34.28646028294783),
    *(-19.097331116725623, -28.087943162872662),
)
COUPLING[7, :7] = (
    *(37.80277123390563, -3.2571969029072276, 112.26918849496327, 66.9347231244047),
    *(-40.06618937091002, -54.66780262877968, -9.48861652309627),
)


class Work(NamedTuple):
    """Memory of one integration of N numbers: slopes of the stages (13, N), a state, a slope, matrices (N, N)
    and spare vectors (3, N)."""

    slopes: np.ndarray
    state: np.ndarray
    velocity: np.ndarray
    hessian: np.ndarray
    factor: np.ndarray
    spare: np.ndarray


def work(size: int) -> Work:
    """Return memory for states of ``size`` numbers."""
    stages, square = np.zeros((STAGES + 1, size)), np.zeros((2, size, size))
    return Work(stages, np.zeros(size), np.zeros(size), square[0], square[1], np.zeros((3, size)))


@lean
def combined(weights: np.ndarray, slopes: np.ndarray, count: int, result: np.ndarray) -> None:
    """Add the sum of weights_s slopes_s over the first ``count`` stages to ``result``, four of them in one pass."""
    s = 0
    while s + 4 <= count:
        a, b, c, d = weights[s], weights[s + 1], weights[s + 2], weights[s + 3]
        for k in range(result.size):
            result[k] += a * slopes[s, k] + b * slopes[s + 1, k] + (c * slopes[s + 2, k] + d * slopes[s + 3, k])
        s += 4
    while s < count:
        a = weights[s]
        for k in range(result.size):
            result[k] += a * slopes[s, k]
        s += 1


@part
def explicit_step(entries: Entries, Z: np.ndarray, h: float, memory: Work) -> tuple[float, float, float]:
    """Return the error estimate of a step of DOP853 from Z, (2/n) |E|_F after it, and h times the stiffness met.

    ``memory.velocity`` holds the slope at Z; the new state is left in ``memory.state``, its slope in
    ``memory.slopes[12]``.
    """
    slopes, state = memory.slopes, memory.state
    copy(memory.velocity, slopes[0])
    for s in range(1, STAGES):
        fill(state, 0.0)
        combined(A[s], slopes, s, state)
        for k in range(state.size):
            state[k] = Z[k] + h * state[k]
        velocity(entries, state, slopes[s])
    before = memory.spare[0]
    copy(state, before)
    fill(state, 0.0)
    combined(B, slopes, STAGES, state)
    for k in range(state.size):
        state[k] = Z[k] + h * state[k]
    drive = velocity(entries, state, slopes[STAGES])
    third, fifth = memory.spare[1], memory.spare[2]
    fill(third, 0.0)
    fill(fifth, 0.0)
    combined(E3, slopes, STAGES + 1, third)
    combined(E5, slopes, STAGES + 1, fifth)
    large, small = norm(fifth), 0.1 * norm(third)
    bottom = np.sqrt(large * large + small * small)
    error = h * large * (large / bottom) if bottom > 0.0 else 0.0
    for k in range(state.size):
        third[k] = slopes[STAGES, k] - slopes[STAGES - 1, k]
        fifth[k] = state[k] - before[k]
    change = norm(fifth)
    return error, drive, h * norm(third) / change if change > 0.0 else 0.0


@part
def rosenbrock_step(entries: Entries, Z: np.ndarray, h: float, memory: Work) -> tuple[float, float]:
    """Return the error estimate of a step of Rodas5P from Z and (2/n) |E|_F after it; both inf if h is too long.

    ``memory`` holds the slope and the Hessian at Z; the new state and its slope are left as by ``explicit_step``.
    """
    slopes, state, coupled = memory.slopes, memory.state, memory.spare[0]
    if not cholesky(memory.hessian, 1.0 / (GAMMA * h), memory.factor):
        return np.inf, np.inf
    for s in range(8):
        copy(Z, state)
        combined(MOVES[s], slopes, s, state)
        move = slopes[s]
        if s == 0:
            copy(memory.velocity, move)
        else:
            velocity(entries, state, move)
        fill(coupled, 0.0)
        combined(COUPLING[s], slopes, s, coupled)
        for k in range(state.size):
            move[k] += coupled[k] / h
        solve(memory.factor, move)
    for k in range(state.size):
        state[k] += slopes[7, k]
    return norm(slopes[7]), velocity(entries, state, slopes[STAGES])
