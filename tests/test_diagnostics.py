"""Tests of the numbers read off a trajectory, against closed forms."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gflow.diagnostics import (
    escape_times,
    factor_singular_values,
    matrices,
    nuclear_norm,
    numerical_rank,
    singular_values,
)
from gflow.flow import Trajectory, gradient_flow
from gflow.models import DirectMatrix, Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

SEEDS = st.integers(0, 2**32 - 1)
GAP = np.nan


def short_path(model: Factorization | DirectMatrix, seed: int = 0) -> Trajectory:
    """Return a short trajectory on random, fully observed data."""
    rng = np.random.default_rng(seed)
    objective = Objective.of(MatrixCompletion(rng.standard_normal(model.shape)), model)
    return gradient_flow(objective, model.random(rng), t_end=0.5)


def rotation(angle: float) -> np.ndarray:
    """Return the 2 x 2 rotation."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def aligned_path(s: list[float], alpha: float, **options: float) -> Trajectory:
    """Return the flow for U diag(s) V^T, fully observed, from A = alpha U, B = alpha V^T: the modes do not interact.

    Mode j has W_j' = -(4/n) (W_j - s_j) W_j, so W_j = s_j / (1 + (s_j / alpha^2 - 1) exp(-4 s_j t / n)).
    """
    U, V = rotation(0.7), rotation(-0.4)
    model = Factorization((2, 2))
    objective = Objective.of(MatrixCompletion(U * s @ V.T), model)
    return gradient_flow(objective, model.theta(alpha * U, alpha * V.T), **options)


def mode(s: float, alpha: float, t: np.ndarray) -> np.ndarray:
    """Return the singular value of one aligned mode with n = 4 observations."""
    return s / (1 + (s / alpha**2 - 1) * np.exp(-s * t))


def half_time(s: float, alpha: float) -> float:
    """Return when the loss of one mode, (W - s)^2 / n, has halved."""
    return float(np.log((s / alpha**2 - 1) * (np.sqrt(2) - 1)) / s)


def test_the_singular_values_of_aligned_modes_follow_the_logistic_law() -> None:
    path = aligned_path([2.0, 1.0], 1e-3, rtol=1e-11)
    s = singular_values(Factorization((2, 2)), path)
    assert s.shape == (len(path.times), 2)
    assert s == pytest.approx(np.column_stack([mode(x, 1e-3, path.times) for x in (2.0, 1.0)]), abs=1e-8)
    half = factor_singular_values(Factorization((2, 2)), path, "A")
    assert half**2 == pytest.approx(s, abs=1e-9)


@pytest.mark.parametrize("alpha", [1e-6, 1e-8, 1e-16])
def test_escapes_happen_when_the_logistic_law_says(alpha: float) -> None:
    path = aligned_path([2.0, 1.0], alpha)
    assert len(path.plateaus) == 3
    assert escape_times(path) == pytest.approx([half_time(2.0, alpha), half_time(1.0, alpha)], rel=1e-3)


def test_escape_times_converge_with_fourth_order_in_the_spacing_of_the_states() -> None:
    full, found = aligned_path([2.0, 1.0], 1e-6), []
    for spacing in (1.0, 0.5, 0.25, 0.125, 1 / 128):
        times = np.arange(0.1, 60.0, spacing)
        W = np.column_stack([mode(x, 1e-6, times) for x in (2.0, 1.0)])
        losses, slopes = np.sum((W - [2, 1]) ** 2, axis=1) / 4, np.sqrt(np.sum((W - [2, 1]) ** 2 * W, axis=1) / 2)
        states = np.zeros((len(times), 8))
        found.append(escape_times(replace(full, times=times, states=states, losses=losses, gradient_norms=slopes)))
    errors = np.abs(np.subtract(found[:-1], found[-1]))
    assert errors[0].max() < 0.05
    assert errors[-1].max() < 1e-4
    assert (np.log2(errors[0] / errors[-1]) / 3 > 3.5).all()


def test_a_trajectory_with_one_plateau_has_no_escape() -> None:
    model = Factorization((2, 2))
    path = gradient_flow(Objective.of(MatrixCompletion(np.eye(2)), model), np.zeros(8))
    assert escape_times(path).shape == (0,)


@settings(deadline=None, max_examples=15)
@given(shape=st.tuples(st.integers(1, 4), st.integers(1, 4)), r=st.integers(1, 4), seed=SEEDS)
def test_every_state_gives_its_own_singular_values(shape: tuple[int, int], r: int, seed: int) -> None:
    model = Factorization(shape, r)
    path = short_path(model, seed)
    W, s = matrices(model, path), singular_values(model, path)
    assert W.shape == (len(path.times), *shape) and s.shape == (len(path.times), min(shape))
    for index, theta in enumerate(path.states):
        A, B = model.factors(theta)
        assert W[index] == pytest.approx(A @ B)
        assert s[index] == pytest.approx(np.linalg.svd(A @ B, compute_uv=False), abs=1e-14)
        for which, factor in (("A", A), ("B", B), ("stacked", np.vstack([A, B.T]))):
            expected = np.linalg.svd(factor, compute_uv=False)
            assert factor_singular_values(model, path, which)[index] == pytest.approx(expected)
    assert nuclear_norm(W) == pytest.approx(s.sum(axis=1))
    assert (np.diff(s, axis=1) <= 0).all()


def test_the_direct_model_has_singular_values_too() -> None:
    model = DirectMatrix((2, 3))
    path = short_path(model)
    assert singular_values(model, path)[-1] == pytest.approx(np.linalg.svd(model.output(path.final))[1])


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS, rank=st.integers(0, 3), exponent=st.integers(-100, 100))
def test_the_numerical_rank_ignores_small_singular_values_at_every_scale(seed: int, rank: int, exponent: int) -> None:
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((d, d)))[0] for d in (4, 5))
    s = np.r_[rng.uniform(0.5, 1, rank), rng.uniform(0, 1e-6, 4 - rank) if rank else np.zeros(4)]
    W = 10.0**exponent * (U * s @ V[:, :4].T)
    assert numerical_rank(W) == rank
    assert numerical_rank(np.stack([W, np.zeros((4, 5))])).tolist() == [rank, 0]


def test_rank_and_nuclear_norm_of_a_diagonal_matrix() -> None:
    W = np.diag([3.0, -2.0, 1e-5])
    assert nuclear_norm(W) == pytest.approx(5.00001)
    assert numerical_rank(W) == 2
    assert numerical_rank(W, rank_tol=1e-6) == 3
    assert numerical_rank(W, rank_tol=0.7) == 1
    assert numerical_rank(W, rank_tol=0) == 3


def test_the_limit_of_figure_3_has_rank_3() -> None:
    problem = MatrixCompletion([[4, 0.6, 1.8, 0.8], [6, 0.9, 2.7, GAP], [8, 2.2, 2.6, 1.6], [8, 2.7, 5.1, 3.6]])
    model = Factorization(problem.shape)
    objective = Objective.of(problem, model)
    path = gradient_flow(objective, model.random(np.random.default_rng(0), scale=1e-8))
    W = matrices(model, path)
    assert numerical_rank(W[-1]) == 3
    assert W[-1][1, 3] == pytest.approx(1.2, abs=1e-6)
    assert singular_values(model, path)[-1][:3] == pytest.approx([15.7792471, 2.0950802, 0.9088445], rel=1e-6)
    assert len(escape_times(path)) == 3 and (np.diff(escape_times(path)) > 0).all()


@pytest.mark.parametrize("rank_tol", [-1e-3, 1.0, GAP])
def test_an_impossible_rank_tolerance_is_refused(rank_tol: float) -> None:
    with pytest.raises(ValueError, match=r"rank_tol must lie in \[0, 1\); got"):
        numerical_rank(np.eye(2), rank_tol=rank_tol)


def test_an_unknown_factor_is_refused() -> None:
    model = Factorization((2, 2))
    with pytest.raises(ValueError, match="which must be one of A, B, stacked; got 'W'"):
        factor_singular_values(model, short_path(model), "W")


def test_losses_interpolated_with_the_wrong_slope_would_miss_the_escape() -> None:
    path = aligned_path([2.0, 1.0], 1e-6)
    sparse = slice(None, None, 12)
    arrays = {name: getattr(path, name)[sparse].copy() for name in ("times", "states", "losses", "gradient_norms")}
    right, wrong = replace(path, **arrays), replace(path, **arrays | {"gradient_norms": 2 * arrays["gradient_norms"]})
    exact = half_time(1.0, 1e-6)
    assert abs(escape_times(wrong)[1] - exact) > 3 * abs(escape_times(right)[1] - exact)
