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
EXPLICIT = np.zeros((STAGES + 1, STAGES + 1))
"""How slopes make stages of DOP853, and the last stage, which is the new state."""
EXPLICIT[:STAGES, :STAGES], EXPLICIT[STAGES, :STAGES] = DOP853.A, DOP853.B
ERRORS = np.array([DOP853.E3, DOP853.E5])
GAMMA = 0.21193756319429014
LAST = (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946)
MOVES = np.zeros((9, 8))
"""How moves make stages of Rodas5P, and the last stage, which is the new state."""
MOVES[1, :1] = 3.0
MOVES[2, :2] = 2.849394379747939, 0.45842242204463923
MOVES[3, :3] = -6.954028509809101, 2.489845061869568, -10.358996098473584
MOVES[4, :4] = 2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641
MOVES[5:, :5], MOVES[6:, 5], MOVES[7:, 6], MOVES[8, 7] = LAST, 1.0, 1.0, 1.0
COUPLING = np.zeros((8, 7))
"""What earlier moves, over h, add to the slope of a stage."""
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
    """Memory of one integration of N numbers, all of it rows of one array.

    Attributes
    ----------
    slopes : (13, N) array
        Slopes of the stages, or moves of a Rosenbrock step.
    Z, state, velocity : (N,) arrays
        The present state and the next one; the slope at the present one.
    spare : (3, N) array
    bottom : (N,) array
        The state of least gradient norm.
    squares, sample, origin : (N,) arrays
        Of rounding errors: sums of squares of the numbers held since the last look, a sample; the first state.
    hessian, factor : (N, N) arrays
    """

    slopes: np.ndarray
    Z: np.ndarray
    state: np.ndarray
    velocity: np.ndarray
    spare: np.ndarray
    bottom: np.ndarray
    squares: np.ndarray
    sample: np.ndarray
    origin: np.ndarray
    hessian: np.ndarray
    factor: np.ndarray


def work(lines: np.ndarray) -> Work:
    """Return the memory that the rows of an array give, as many as ``room`` makes."""
    half = 23 + lines.shape[1]
    single = lines[13], lines[14], lines[15], lines[16:19], lines[19], lines[20], lines[21], lines[22]
    return Work(lines[:13], *single, lines[23:half], lines[half:])


rows = part(work)


def room(size: int) -> np.ndarray:
    """Return the memory for states of ``size`` numbers."""
    return np.zeros((23 + 2 * size, size))


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


@part
def step(entries: Entries, Z: np.ndarray, h: float, implicit: int, memory: Work) -> tuple[float, float, float]:
    """Return the error estimate of a step from Z, (2/n) |E|_F after it, and h times the stiffness met.

    Explicit steps are those of DOP853, implicit ones those of Rodas5P: for them ``memory.hessian`` must be known, no
    stiffness is met, and the first two are infinite where h is too long. ``memory.velocity`` holds the slope at Z; the
    new state is left in ``memory.state``, its slope in ``memory.slopes[12]``.
    """
    slopes, state = memory.slopes, memory.state
    table, scale, last = (MOVES, 1.0, 8) if implicit else (EXPLICIT, h, STAGES)
    if implicit and not cholesky(memory.hessian, 1.0 / (GAMMA * h), memory.factor):
        return np.inf, np.inf, 0.0
    copy(memory.velocity, slopes[0])
    drive = 0.0
    for s in range(last + 1):
        fill(state, 0.0)
        combined(table, s, s, scale, slopes, state)
        for k in range(state.size):
            state[k] += Z[k]
        if s > 0:
            drive = velocity(entries, state, slopes[STAGES if s == last else s])
        if s == STAGES - 1:
            copy(state, memory.spare[0])
        if implicit and s < last:
            combined(COUPLING, s, s, 1.0 / h, slopes, slopes[s])
            solve(memory.factor, slopes[s])
    if implicit:
        return norm(slopes[last - 1]), drive, 0.0
    error, stiffness = judged(memory, h)
    return error, drive, stiffness


@part
def judged(memory: Work, h: float) -> tuple[float, float]:
    """Return the error estimate of an explicit step, and h times the stiffness that its last stages met."""
    third, fifth, slopes = memory.spare[1], memory.spare[2], memory.slopes
    for k in range(2):
        fill(memory.spare[k + 1], 0.0)
        combined(ERRORS, k, STAGES + 1, h, slopes, memory.spare[k + 1])
    large, small = norm(fifth), 0.1 * norm(third)
    bottom = np.sqrt(large * large + small * small)
    for k in range(third.size):
        third[k] = slopes[STAGES, k] - slopes[STAGES - 1, k]
        fifth[k] = memory.state[k] - memory.spare[0, k]
    change = norm(fifth)
    stiffness = h * norm(third) / change if change > 0.0 else 0.0
    return (large * (large / bottom) if bottom > 0.0 else 0.0), stiffness
