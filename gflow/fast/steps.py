"""Single steps: an explicit pair of order 8 for the motion, a Rosenbrock method of order 5 for the stiff rest.

Coefficients: DOP853 as in Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, section II.10 (from
scipy); Rodas5P of Steinebach, BIT Numer. Math. 63, 27 (2023), in the form without products with the Jacobian.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import DOP853

from gflow.fast.abreast import (
    BEND,
    CHANGE,
    LARGE,
    ONE,
    PER_STEP,
    RADIUS,
    SLOPE,
    SMALL,
    STAGES,
    STEP,
    TAKEN,
    UNIT,
    Bank,
    factorise,
    solved,
    velocity,
)
from gflow.fast.jit import lean, part
from gflow.fast.lanes import chosen, every, load, store

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


@lean
def stage(table: np.ndarray, row: int, bank: Bank, lines: np.ndarray, scale: int, base: int, result: int) -> None:
    """Write what stands at ``base`` plus the row at ``scale`` times the sum of table[row, s] slopes_s, 0 <= s < row.

    Four rows are taken together, which hides how long a sum takes.
    """
    size, first, factor, k = bank.size, 1, load(lines, scale), 0
    while first < row and table[row, first] == 0.0:
        first += 1
    while k + 4 <= size:
        at, weight = bank.slopes + k, every(table[row, 0])
        x, y = weight * load(lines, at), weight * load(lines, at + 1)
        z, w = weight * load(lines, at + 2), weight * load(lines, at + 3)
        for s in range(first, row):
            at, weight = bank.slopes + s * size + k, every(table[row, s])
            x, y = x + weight * load(lines, at), y + weight * load(lines, at + 1)
            z, w = z + weight * load(lines, at + 2), w + weight * load(lines, at + 3)
        store(lines, result + k, load(lines, base + k) + factor * x)
        store(lines, result + k + 1, load(lines, base + k + 1) + factor * y)
        store(lines, result + k + 2, load(lines, base + k + 2) + factor * z)
        store(lines, result + k + 3, load(lines, base + k + 3) + factor * w)
        k += 4
    while k < size:
        x = every(0.0)
        for s in range(row):
            x = x + every(table[row, s]) * load(lines, bank.slopes + s * size + k)
        store(lines, result + k, load(lines, base + k) + factor * x)
        k += 1


@part
def explicit(bank: Bank, lines: np.ndarray) -> None:
    """Write the states and slopes after a step of DOP853 in every lane, and the sums of squares that judge it."""
    size, last = bank.size, bank.slopes + STAGES * bank.size
    for k in range(size):
        store(lines, bank.slopes + k, load(lines, bank.velocity + k))
    for s in range(1, STAGES + 1):
        to = bank.spare if s == STAGES - 1 else bank.state
        stage(EXPLICIT, s, bank, lines, bank.single + STEP, bank.Z, to)
        velocity(bank, lines, to, bank.slopes + s * size)
    unit, large, small, bend, change = load(lines, bank.single + UNIT), every(0.0), every(0.0), every(0.0), every(0.0)
    step = load(lines, bank.single + STEP) * unit
    for k in range(size):
        fifth, third = every(0.0), every(0.0)
        for s in range(STAGES):
            if ERRORS[0, s] != 0.0:
                slope = load(lines, bank.slopes + s * size + k)
                third, fifth = third + every(ERRORS[0, s]) * slope, fifth + every(ERRORS[1, s]) * slope
        fifth, third = fifth * step, third * step
        large, small = large + fifth * fifth, small + third * third
        turn = (load(lines, last + k) - load(lines, last - size + k)) * step
        move = (load(lines, bank.state + k) - load(lines, bank.spare + k)) * unit
        bend, change = bend + turn * turn, change + move * move
    store(lines, bank.single + LARGE, large)
    store(lines, bank.single + SMALL, small)
    store(lines, bank.single + BEND, bend)
    store(lines, bank.single + CHANGE, change)


@part
def rosenbrock(bank: Bank, lines: np.ndarray) -> None:
    """Write what ``explicit`` does, by Rodas5P; the rows of the Hessian and of its shift 1 / (gamma h) are known.

    The sum of squares of the error is infinite or no number where h is too long.
    """
    size, to = bank.size, bank.slopes
    for k in range(size):
        store(lines, to + k, load(lines, bank.velocity + k))
    factorise(bank, lines)
    solved(bank, lines, to)
    for s in range(1, 9):
        to = bank.slopes + (STAGES if s == 8 else s) * size
        stage(MOVES, s, bank, lines, bank.single + ONE, bank.Z, bank.state)
        velocity(bank, lines, bank.state, to)
        if s < 8:
            stage(COUPLING, s, bank, lines, bank.single + PER_STEP, to, to)
            solved(bank, lines, to)
    unit, large = load(lines, bank.single + UNIT), every(0.0)
    for k in range(size):
        error = load(lines, bank.slopes + 7 * size + k) * unit
        large = large + error * error
    store(lines, bank.single + LARGE, large)


@part
def sized(bank: Bank, lines: np.ndarray) -> None:
    """Write the sums of squares of the new states and slopes."""
    unit, radius, slope = load(lines, bank.single + UNIT), every(0.0), every(0.0)
    for k in range(bank.size):
        x = load(lines, bank.state + k) * unit
        y = load(lines, bank.slopes + STAGES * bank.size + k) * unit
        radius, slope = radius + x * x, slope + y * y
    store(lines, bank.single + RADIUS, radius)
    store(lines, bank.single + SLOPE, slope)


@part
def taken(bank: Bank, lines: np.ndarray) -> None:
    """Write the new states and slopes over the present ones where the step is taken."""
    mask = load(lines, bank.single + TAKEN)
    for k in range(bank.size):
        x, y = load(lines, bank.state + k), load(lines, bank.slopes + STAGES * bank.size + k)
        square = load(lines, bank.squares + k)
        store(lines, bank.Z + k, chosen(mask, x, load(lines, bank.Z + k)))
        store(lines, bank.velocity + k, chosen(mask, y, load(lines, bank.velocity + k)))
        store(lines, bank.squares + k, chosen(mask, square + x * x, square))
