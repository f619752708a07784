"""Tests of the referee itself: what it says must rest on nothing that the code under test shares."""

import mpmath
import numpy as np
import pytest
from referee import Ending, Referee, start

GAP = np.nan


def referee(rows: list[list[float]], seed: int, log10_alpha: int, **options: int) -> Referee:
    M = np.array(rows)
    A, B = start(M.shape, seed)
    return Referee(M, ~np.isnan(M), A, B, log10_alpha, **options)


def test_it_solves_a_problem_as_mpmath_does() -> None:
    run = referee([[1.0, 2.0], [3.0, GAP]], 0, -2)
    a, b = ([[mpmath.mpf(x) / 100 for x in row] for row in factor] for factor in start((2, 2), 0))
    data, seen = [[1, 2], [3, 0]], [[1, 1], [1, 0]]

    def slope(_: object, y: list[mpmath.mpf]) -> list[mpmath.mpf]:
        A, B = mpmath.matrix(2, 2), mpmath.matrix(2, 2)
        for i in range(4):
            A[i // 2, i % 2], B[i // 2, i % 2] = y[i], y[4 + i]
        W = A * B
        E = mpmath.matrix([[seen[i][j] * (W[i, j] - data[i][j]) for j in range(2)] for i in range(2)])
        dA, dB = -2 * E * B.T / 3, -2 * A.T * E / 3
        return [dA[i // 2, i % 2] for i in range(4)] + [dB[i // 2, i % 2] for i in range(4)]

    with mpmath.workdps(20):
        y = mpmath.odefun(slope, 0, [x for rows in (a, b) for row in rows for x in row])(6)
        W = [[sum(y[2 * i + k] * y[4 + 2 * k + j] for k in range(2)) for j in range(2)] for i in range(2)]
    (found,) = run.until([6.0])
    np.testing.assert_allclose(found, np.array(W, dtype=float), rtol=0, atol=1e-12)


def test_more_digits_and_fewer_rounded_ones_end_in_the_same_matrix() -> None:
    rows = [[-4, 2, GAP], [2, GAP, 2], [GAP, 2, -3]]
    few, many = (referee(rows, 0, -20, bits=bits).end() for bits in (230, 460))
    assert few.ending is many.ending is Ending.MET
    np.testing.assert_allclose(few.W, many.W, rtol=0, atol=1e-9)
    assert many.W[0, 2] == pytest.approx(-3.2763979, abs=1e-6)


def test_a_tail_in_double_precision_is_refused_where_a_small_column_could_still_grow() -> None:
    rows = [[4, 0.6, 1.8, 0.8], [6, 0.9, 2.7, GAP], [8, 2.2, 2.6, 1.6], [8, 2.7, 5.1, 3.6]]
    run = referee(rows, 0, -16)
    run.crossings([0.4])  # close to the plateau of rank 1, where the next column is far below rounding errors
    assert run.tail(16.850667) is None
