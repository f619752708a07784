"""Tests of what the flow conserves in graded columns: A^T A - B B^T decides what a column that has shrunk may become.

The oracle is the flow of W = U U^T, which a start with A = B^T follows for ever on symmetric data: integrated in U it
cannot leave what the flow conserves.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.integrate import solve_ivp

from gflow.flow import Status, Trajectory
from gflow.graded import graded_flow
from gflow.graded.balance import Balance, vanishes
from gflow.graded.columns import GradedColumns
from gflow.models import Factorization
from gflow.problems import MatrixCompletion

GAP = np.nan
CORNER = MatrixCompletion([[GAP, 1], [1, 0]])
SEEDS = st.integers(0, 2**32 - 1)


def flow(problem: MatrixCompletion, A: np.ndarray, B: np.ndarray, **options: float) -> tuple[Trajectory, np.ndarray]:
    model = Factorization(problem.shape, A.shape[1])
    path = graded_flow(problem, model.theta(A, B), rank=A.shape[1], **options)
    return path, model.output(path.final)


def symmetric(problem: MatrixCompletion, U: np.ndarray, time: float) -> np.ndarray:
    """Return W = U U^T at a time of the flow from A = U, B = U^T."""
    P, M = problem.observed, np.where(problem.observed, problem.values, 0.0)

    def slope(_: float, u: np.ndarray) -> np.ndarray:
        V = u.reshape(U.shape)
        return -2.0 / problem.n_observed * (np.where(P, V @ V.T - M, 0.0) @ V).ravel()

    found = solve_ivp(slope, (0.0, time), U.ravel(), method="LSODA", rtol=1e-12, atol=1e-13 * np.abs(U).max())
    V = found.y[:, -1].reshape(U.shape)
    return V @ V.T


def orthogonal(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


# exactly balanced starts


@pytest.mark.slow
@pytest.mark.parametrize("time", [370.0, 1376.5, 6818.0])
def test_a_balanced_start_of_positive_determinant_runs_to_infinity(time: float) -> None:
    start = 0.01 * np.eye(2)
    path, W = flow(CORNER, np.eye(2), np.eye(2), log_scale=float(np.log(0.01)), t_end=time)
    expected = symmetric(CORNER, start, time)
    assert path.status is Status.HORIZON and path.error is not None and path.error < 1e-4
    assert np.abs(W - expected).max() <= path.error and expected[0, 0] > 10.0


def test_the_imbalance_of_the_other_sign_runs_to_infinity_as_well() -> None:
    problem = MatrixCompletion([[0, 1], [1, GAP]])
    for sign in (1.0, -1.0):
        path, W = flow(problem, np.eye(2), sign * np.eye(2), log_scale=float(np.log(0.01)), t_end=370.0)
        # a change of the sign of the second row and of the first column turns one into the other
        assert path.status is Status.HORIZON and W[1, 1] == pytest.approx(sign * 10.929, abs=1e-3)


def test_complete_data_of_the_other_determinant_are_never_reached() -> None:
    problem = MatrixCompletion([[1, 2], [3, 4]])
    for sign in (1.0, -1.0):
        path, W = flow(problem, np.eye(2), sign * np.eye(2), log_scale=float(np.log(0.01)))
        assert path.status is Status.ROUNDOFF and path.final_loss > 1e-2
        assert np.linalg.svd(W, compute_uv=False)[1] < 1e-9


@pytest.mark.slow
@settings(max_examples=5)
@given(SEEDS, st.sampled_from([1e-1, 1e-3, 1e-6]))
def test_a_symmetric_start_of_symmetric_data_stays_symmetric(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    d, time = int(rng.integers(2, 5)), 60.0 - 20.0 * np.log10(scale)
    values = rng.integers(-4, 5, (d, d)).astype(float)
    values[0, 0], values[0, 1] = GAP, 3.0
    problem = MatrixCompletion(np.triu(values) + np.triu(values, 1).T)
    A = scale * rng.standard_normal((d, d))
    path, W = flow(problem, A, A.T, t_end=time)
    if path.status in (Status.CONVERGED, Status.HORIZON):
        expected = symmetric(problem, A, path.times[-1])
        assert path.error is not None and np.abs(W - expected).max() <= 10.0 * path.error + 1e-6


def test_an_error_that_grows_inside_a_large_column_is_seen() -> None:
    # the third column rests at 0.04 while rounding that is not symmetric grows in it; W stays semi-definite in truth
    problem = MatrixCompletion([[GAP, 3, -2, -2], [3, -4, -4, -3], [-2, -4, 4, 0], [-2, -3, 0, 1]])
    rng = np.random.default_rng(0)
    rng.integers(2, 5), rng.integers(-4, 5, (4, 4))
    A = 0.1 * rng.standard_normal((4, 4))
    path, W = flow(problem, A, A.T, t_end=15.0)
    assert path.status is Status.HORIZON and path.error is not None
    assert np.abs(W - symmetric(problem, A, 15.0)).max() <= path.error
    assert flow(problem, A, A.T)[0].status is Status.ROUNDOFF


@pytest.mark.parametrize("rtol", [1e-2, 1e-3, 1e-4, 1e-6])
def test_the_error_of_coarse_steps_is_told(rtol: float) -> None:
    path, W = flow(CORNER, np.eye(2), np.eye(2), log_scale=float(np.log(0.01)), t_end=1376.5, rtol=rtol)
    assert path.error is not None and abs(W[0, 0] - 17.3643) <= path.error
    assert (path.status is Status.HORIZON) == (rtol < 1e-5)


# starts that are balanced up to rounding


@pytest.mark.parametrize("scale", [1e-1, 1e-2, 1e-6, 1e-30])
@pytest.mark.parametrize("seed", range(2))
def test_where_rounding_decides_the_sign_of_the_determinant_nothing_has_converged(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    U, V, Q = (orthogonal(rng, 2) for _ in range(3))
    V[:, 1] *= np.sign(np.linalg.det(U) * np.linalg.det(V))  # det W > 0, and the data have -1
    sizes = np.exp(0.5 * rng.standard_normal(2))
    path, _ = flow(CORNER, U * sizes @ Q.T, Q * sizes @ V.T, log_scale=float(np.log(scale)))
    assert path.status is Status.ROUNDOFF


@pytest.mark.parametrize("seed", [0, 2])
def test_what_steps_do_to_a_small_imbalance_is_part_of_the_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    U, V, Q = (orthogonal(rng, 2) for _ in range(3))
    V[:, 1] *= np.sign(np.linalg.det(U) * np.linalg.det(V))
    A, B, scale = U @ Q.T + 1e-9 * rng.standard_normal((2, 2)), Q @ V.T, float(np.log(0.01))
    fine, W = flow(CORNER, A, B, log_scale=scale, rtol=1e-13)
    assert fine.status is Status.CONVERGED and fine.error is not None and fine.error < 1e-3
    for rtol in (1e-5, 1e-7):
        coarse, other = flow(CORNER, A, B, log_scale=scale, rtol=rtol)
        assert coarse.error is not None and np.abs(other - W).max() <= coarse.error


@pytest.mark.slow
def test_an_escape_to_infinity_of_one_column_is_still_recognised() -> None:
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((2, 1)), rng.standard_normal((1, 2))
    path, _ = flow(CORNER, A, B, log_scale=float(np.log(1e-6)))
    assert path.status is Status.DIVERGING


# the parts


def test_balance_is_told_from_rounding() -> None:
    rng, signs = np.random.default_rng(0), np.repeat([[1.0], [-1.0]], 2, axis=0)
    A, Q = rng.standard_normal((2, 2)), orthogonal(rng, 2)
    assert vanishes(np.vstack([A, A]), signs) and vanishes(np.vstack([A, -A]), signs)
    assert vanishes(np.array([[3.0], [4.0], [5.0], [0.0]]), signs)
    assert not vanishes(np.vstack([A, Q @ A]), signs) and not vanishes(np.vstack([A, A * (1 + 1e-15)]), signs)


@settings(max_examples=20)
@given(SEEDS, st.floats(0.0, 30.0))
def test_the_smallest_change_that_explains_an_imbalance_does_and_leaves_larger_columns(
    seed: int, decades: float
) -> None:
    rng = np.random.default_rng(seed)
    problem = MatrixCompletion(rng.standard_normal((3, 3)))
    start = rng.standard_normal((6, 3))
    columns = GradedColumns(problem, start)
    columns.logs -= np.log(10.0) * np.array([0.0, decades, 2 * decades])
    balance, D = Balance(columns, 3, start), rng.standard_normal((3, 3))
    D += D.T
    e = balance.explained(columns.z, 0, np.arange(3), D)
    np.testing.assert_allclose(balance.of(columns.z, e)[0], D, rtol=0, atol=1e-12)
    order = np.argsort(-columns.logs[0])
    apart = columns.logs[0, order[0]] - columns.logs[0, order[1]]
    # off the diagonal the larger of two columns changes by the square of their ratio
    alone = balance.explained(columns.z, 0, np.arange(3), D * (1 - np.eye(3)))
    assert np.linalg.norm(alone[:, order[0]]) <= 4 * np.abs(D).max() * np.exp(-2 * apart) + 1e-12


def test_columns_that_become_parallel_are_seen_before_they_are() -> None:
    rng = np.random.default_rng(0)
    columns = GradedColumns(MatrixCompletion(rng.standard_normal((3, 3))), rng.standard_normal((6, 3)))
    assert columns.apart(columns.z) == pytest.approx(1.0, abs=1e-12)
    first, second = np.argsort(-columns.logs[0])[:2]
    z = columns.z.copy()
    z[:, second] = z[:, first] + 1e-3 * z[:, second]
    assert columns.apart(z) == pytest.approx(1e-3, rel=1e-3)
