"""Tests of the integration in graded columns.

Closed forms at any scale, the ordinary flow where that is valid, the laws of convergence in alpha, and the failures of
cruder ways of keeping the columns apart.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from referee import Ending, Referee

from gflow.critical import find_critical_point
from gflow.flow import Status, gradient_flow
from gflow.graded import columns as graded_columns, graded_flow
from gflow.graded.columns import GradedColumns, orthogonalized, tournament
from gflow.graded.field import Field
from gflow.limit import saddle_to_saddle
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion, MatrixSensing

GAP = np.nan
FIG3 = MatrixCompletion([[4, 0.6, 1.8, 0.8], [6, 0.9, 2.7, GAP], [8, 2.2, 2.6, 1.6], [8, 2.7, 5.1, 3.6]])
FIG4 = MatrixCompletion([[1, GAP, 3], [GAP, 5, GAP], [3, GAP, 9]])
M3 = MatrixCompletion([[1, 2, GAP], [3, 4, GAP], [6, GAP, 5]])
SLIDES = MatrixCompletion([[1, 2], [3, GAP]])
BLOCKS = MatrixCompletion([[3, 1, 0], [1, 2, GAP], [GAP, GAP, 1]])
HIDDEN = MatrixCompletion([[2, 0, GAP], [GAP, 1, 1]])
WIDE = MatrixCompletion([[2, GAP, -1, 3, GAP], [1, 4, GAP, GAP, 2], [GAP, -3, 2, GAP, 1]])
C1 = MatrixCompletion(
    [
        [0.07265231, 0.31207229, 0.71418959, -0.45141992],
        [GAP, 0.05424476, -0.36774122, 2.89388825],
        [GAP, GAP, 1.37316486, 0.40952623],
        [1.37816776, -1.21704834, -0.21809073, GAP],
    ]
)
SEEDS = st.integers(0, 2**32 - 1)


def start_of(problem: MatrixCompletion, alpha: float, seed: int = 0, rank: int | None = None) -> np.ndarray:
    """Return alpha * theta_0 with a Gaussian theta_0."""
    model = Factorization(problem.shape, rank)
    return alpha * model.random(np.random.default_rng(seed))


def learned(problem: MatrixCompletion, alpha: float, seed: int = 0, **options: float) -> np.ndarray:
    """Return W where the flow from alpha * theta_0 ends."""
    path = graded_flow(problem, start_of(problem, alpha, seed), **{"loss_tol": 1e-26, **options})
    assert path.status is Status.CONVERGED
    return Factorization(problem.shape).output(path.final)


def orthogonal(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


def order_in_alpha(problem: MatrixCompletion, exponents: list[float], **options: float) -> float:
    """Return the slope of log |W(alpha_i) - W(alpha_(i+1))| against log alpha_i for alpha_i = 10^-exponent.

    The exponents are equally spaced, so the differences scale as the distance to the limit does.
    """
    ends = [learned(problem, 10.0**-e, **options) for e in exponents]
    steps = [np.abs(a - b).max() for a, b in pairwise(ends)]
    return float(-np.polyfit(exponents[:-1], np.log10(steps), 1)[0])


# closed forms


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [2, 12, 120, 240, 1000])
def test_a_complete_matrix_is_learned_mode_by_mode_along_logistic_curves(exponent: int) -> None:
    # A = U diag(a), B = diag(a) V^T: every mode has w' = (4/n) w (sigma - w), whatever the others do
    log_alpha = -exponent * float(np.log(10.0))
    rng = np.random.default_rng(3)
    U, V, Q = orthogonal(rng, 4)[:, :3], orthogonal(rng, 3), orthogonal(rng, 3)
    sigma, n = np.array([3.0, 2.0, 0.9]), 12
    problem, model = MatrixCompletion(U @ np.diag(sigma) @ V.T), Factorization((4, 3))
    start = model.theta(U @ Q, Q.T @ V.T)
    t = float(n / (4 * sigma[2]) * (np.log(sigma[2]) - 2 * log_alpha))  # the last mode is half grown
    path = graded_flow(problem, start, log_scale=log_alpha, t_end=t, loss_tol=1e-28, rtol=1e-10)
    assert path.status is Status.HORIZON and path.times[-1] == t
    lag = np.log(sigma) - 2 * log_alpha + np.log1p(-np.exp(2 * log_alpha) / sigma)
    w = sigma / (1 + np.exp(np.minimum(lag - np.outer(path.times, 4 * sigma / n), 700.0)))
    assert ((w > 0.1 * sigma) & (w < 0.9 * sigma)).any(axis=0).all()  # seen on the way up as well as before and after
    np.testing.assert_allclose(U.T @ model.output(path.states) @ V, w[:, None] * np.eye(3), rtol=0, atol=1e-7)


@pytest.mark.parametrize("log_scale", [-3.0, -300.0])
def test_a_scale_apart_from_the_start_is_the_same_as_one_within_it(log_scale: float) -> None:
    start = start_of(M3, 1.0)
    apart = graded_flow(M3, start, log_scale=log_scale)
    within = graded_flow(M3, np.exp(log_scale) * start)
    assert apart.status is within.status is Status.CONVERGED
    np.testing.assert_allclose(apart.states[0], within.states[0], rtol=1e-12)
    np.testing.assert_allclose(apart.final, within.final, rtol=0, atol=1e-8)


@pytest.mark.slow
def test_a_limit_that_every_double_is_far_from_is_reached_at_scales_below_all_doubles() -> None:
    problem = MatrixCompletion([[-2, -8, GAP, GAP], [GAP, 2, 4, 6], [2, -2, -4, -6], [2, GAP, 11, 9]])
    start = start_of(problem, 1.0)
    limit = saddle_to_saddle(problem, start)
    assert limit.matrix is not None and limit.order is not None and limit.order < 0.1
    ends = {
        exponent: graded_flow(problem, start, log_scale=-exponent * float(np.log(10.0)), loss_tol=1e-28)
        for exponent in (20, 400)
    }
    far, near = (np.abs(Factorization((4, 4)).output(path.final) - limit.matrix).max() for path in ends.values())
    assert far > 1e-2
    assert limit.error is not None and near <= limit.error < 1e-6


def test_the_flow_agrees_with_a_taylor_series_in_exact_arithmetic() -> None:
    start = start_of(SLIDES, 1e-20, seed=3)
    A, B = Factorization((2, 2)).factors(start)
    for t in (12, 26):
        (reference,) = Referee(SLIDES.values, SLIDES.observed, A, B).until([float(t)])
        path = graded_flow(SLIDES, start, t_end=float(t), rtol=1e-12, loss_tol=1e-28)
        W = Factorization((2, 2)).output(path.final)
        assert np.abs(W - reference).max() <= 1e-9 * np.abs(reference).max()


def test_the_jacobian_is_the_derivative_of_the_velocity() -> None:
    # the velocity is a cubic: the five-point difference is exact, and exact in integers
    rng = np.random.default_rng(0)
    problem = MatrixCompletion(rng.integers(-4, 5, (3, 4)), rng.random((3, 4)) < 0.7)
    field = Field(problem, np.tile([[4.0, 3.0]], (7, 1)))
    z = rng.integers(-3, 4, (7, 2)).astype(float)

    def velocity(y: np.ndarray) -> np.ndarray:
        return field.velocity(y, field.residual(y)).ravel()

    for index, column in enumerate(field.jacobian(z).T):
        e = np.zeros(14)
        e[index] = 1.0
        e = e.reshape(7, 2)
        difference = (8 * (velocity(z + e) - velocity(z - e)) - (velocity(z + 2 * e) - velocity(z - 2 * e))) / 12
        np.testing.assert_allclose(column, difference, rtol=1e-12, atol=1e-12)


# agreement with the ordinary flow


@pytest.mark.parametrize(
    ("problem", "rank"), [(FIG3, None), (FIG3, 2), (FIG4, None), (M3, 4), (WIDE, None), (WIDE, 7), (BLOCKS, None)]
)
@pytest.mark.parametrize("alpha", [1e-1, 1e-4, 1e-8])
def test_it_agrees_with_the_ordinary_flow_at_moderate_scales(
    problem: MatrixCompletion, rank: int | None, alpha: float
) -> None:
    model = Factorization(problem.shape, rank)
    start = start_of(problem, alpha, seed=1, rank=rank)
    whole = graded_flow(problem, start, rank=rank, rtol=1e-10)
    moving = np.nonzero((whole.losses > 1e-9 * whole.losses[0]) & (whole.times > 0))[0]
    chosen = moving[np.linspace(0, len(moving) - 1, 25).astype(int)]
    plain = gradient_flow(Objective.of(problem, model), start, rtol=1e-10, t_eval=np.unique(whole.times[chosen]))
    np.testing.assert_allclose(whole.states[np.unique(chosen)], plain.states[1:], rtol=0, atol=2e-5)


# laws in alpha


def test_the_order_of_convergence_of_m3_is_0_452() -> None:
    assert order_in_alpha(M3, [10, 14, 18, 22]) == pytest.approx(0.452, rel=0.01)


def test_the_order_of_convergence_is_twice_the_smallest_exponent_where_the_completion_is_unique() -> None:
    sigma = np.linalg.svd(SLIDES.values, compute_uv=False)
    exponent = 1 - sigma[1] / sigma[0]
    assert order_in_alpha(SLIDES, [7, 8, 9, 10], rtol=1e-10) == pytest.approx(2 * exponent, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "exponents"),
    [
        ([[-11, GAP, -7, -9, -8], [GAP, 6, GAP, -6, -4], [GAP, GAP, -6, -6, GAP]], [28.0, 50, 72, 94]),
        ([[-2, GAP, 1, GAP, 10], [GAP, GAP, GAP, -7, 8], [10, -4, GAP, 4, -2]], [21.0, 37, 53, 69]),
        ([[-2, -8, GAP, GAP], [GAP, 2, 4, 6], [2, -2, -4, -6], [2, GAP, 11, 9]], [30.0, 54, 78, 102]),
    ],
)
def test_the_order_of_convergence_is_that_of_gap_or_curvature_at_the_last_saddle(
    values: list[list[float]], exponents: list[float]
) -> None:
    problem = MatrixCompletion(values)
    narrow = Factorization(problem.shape, 1)
    u, sigma, vt = np.linalg.svd(problem.values)
    guess = graded_flow(problem, narrow.theta(u[:, :1], vt[:1]), rank=1)
    saddle = find_critical_point(Objective.of(problem, narrow), guess.final)
    rates = np.linalg.svd(problem.gradient(narrow.output(saddle.theta)), compute_uv=False)
    inside = np.delete(saddle.spectrum.values, np.abs(saddle.spectrum.values).argmin())[0]
    exponent = 1 - sigma[1] / sigma[0]
    q = min(exponent * (1 - rates[1] / rates[0]), exponent * inside / rates[0])
    assert order_in_alpha(problem, exponents) == pytest.approx(q, rel=0.02)


def plateau_delay(problem: MatrixCompletion) -> tuple[float, float]:
    """Return how much longer the second plateau lasts at 1e-120 than at 1e-60: measured, and by the exponents."""
    ends = []
    for alpha in (1e-60, 1e-120):
        path = graded_flow(problem, start_of(problem, alpha), rtol=1e-8)
        ends.append(path.plateaus[1].end - path.plateaus[0].end)
    sigma = np.linalg.svd(problem.values, compute_uv=False)
    model = Factorization(problem.shape)
    E = problem.gradient(model.output(path.plateaus[1].theta))
    exponent = 1 - sigma[1] / sigma[0]
    return ends[1] - ends[0], float(60 * np.log(10) * exponent / np.linalg.norm(E, 2))


@pytest.mark.parametrize("problem", [FIG3, M3])
def test_plateaus_last_as_long_as_the_exponents_say(problem: MatrixCompletion) -> None:
    measured, predicted = plateau_delay(problem)
    assert measured == pytest.approx(predicted, rel=2e-3)


def by_ordinary_svd(
    z: np.ndarray, logs: np.ndarray, frame: np.ndarray, carried: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return orthogonal columns from a singular value decomposition: accurate relative to the largest column only."""
    V = np.linalg.svd(z * np.exp(logs), full_matrices=False)[2].T
    Z = (z * np.exp(logs)) @ V
    norms = np.maximum(np.linalg.norm(Z, axis=0), 1e-300)
    carried[:] = 0.0
    return Z / norms, np.log(norms), frame @ V


def not_at_all(
    z: np.ndarray, logs: np.ndarray, frame: np.ndarray, carried: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the columns normalised and no more."""
    norms = np.linalg.norm(z, axis=0)
    carried[:] = 0.0
    return z / norms, logs + np.log(norms), frame


@pytest.mark.parametrize("orthogonalisation", [by_ordinary_svd, not_at_all])
def test_cruder_ways_of_keeping_the_columns_apart_shorten_the_plateaus(
    monkeypatch: pytest.MonkeyPatch, orthogonalisation: object
) -> None:
    monkeypatch.setattr(graded_columns, "orthogonalized", orthogonalisation)
    measured, predicted = plateau_delay(M3)
    assert measured < 0.8 * predicted


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cross_entries_of_disconnected_data_follow_the_frames_of_the_start(seed: int) -> None:
    model = Factorization((3, 3))
    A, B = model.factors(start_of(FIG4, 1.0, seed))
    first, second = A[[0, 2]].T @ [1, 3] + B[:, [0, 2]] @ [1, 3], A[1] + B[:, 1]
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    for alpha in (1e-30, 1e-200):
        W = learned(FIG4, alpha, seed, rtol=1e-11)
        assert W[0, 1] == pytest.approx(np.sqrt(5) * cosine, abs=1e-10)
        assert W[1, 0] == pytest.approx(W[0, 1], abs=1e-10)
        assert np.linalg.svd(W, compute_uv=False)[:2].sum() == pytest.approx(15, abs=1e-9)


def test_a_mode_behind_an_observed_zero_keeps_its_own_accuracy() -> None:
    # the (2, 2) entry of [[0, 1], [2, *]] vanishes as alpha^0.29; at 1e-20 it is 1e-6 of the rest and still exact
    problem = MatrixCompletion([[0, 1], [2, GAP]])
    exponents = [8.0, 12, 16, 20]
    ends = [abs(learned(problem, 10.0**-e)[1, 1]) for e in exponents]
    assert -np.polyfit(exponents, np.log10(ends), 1)[0] == pytest.approx(0.29, abs=0.005)


def hidden_escape(alpha: float) -> float | None:
    """Return when the second block of HIDDEN escapes, out of the only column of a rank-1 model; None if never."""
    path = graded_flow(HIDDEN, start_of(HIDDEN, alpha, rank=1), rank=1, t_end=1e4)
    return path.plateaus[1].end if len(path.plateaus) > 1 else None


def test_a_small_block_inside_a_large_column_escapes_when_its_own_rate_says() -> None:
    # 2/n = 1/2: rate 1/sqrt(2) until the first block, with rate 1, has grown; then its zero damps one entry
    later = np.linalg.eigvalsh(0.5 * np.array([[0, 1, 1], [1, -2, 0], [1, 0, 0]]))[-1]
    delay = 40 * np.log(10) * (1 + (1 - np.sqrt(0.5)) / later)
    early, late = hidden_escape(1e-40), hidden_escape(1e-80)
    assert early is not None and late is not None
    assert late - early == pytest.approx(delay, rel=2e-3)


def test_without_a_tolerance_for_every_block_that_escape_is_stepped_over(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = GradedColumns.contents

    def whole_columns(self: GradedColumns) -> tuple[np.ndarray, np.ndarray]:
        own, needed = contents(self)
        return own, np.ones_like(needed)

    monkeypatch.setattr(GradedColumns, "contents", whole_columns)
    assert hidden_escape(1e-80) is None


def test_an_observed_zero_lets_the_limit_depend_on_the_start() -> None:
    limits = [learned(BLOCKS, alpha, seed)[2, 1] for seed in (0, 1) for alpha in (1e-40, 1e-80)]
    assert limits[0] == pytest.approx(limits[1], abs=1e-7) and limits[2] == pytest.approx(limits[3], abs=1e-7)
    assert abs(limits[0] - limits[2]) > 0.1


# properties


@settings(max_examples=4)
@given(
    SEEDS, st.sampled_from([(2, 3), (3, 3), (4, 2)]), st.sampled_from([1e-3, 1e-30, 1e-150]), st.sampled_from([1, -1])
)
def test_permuted_transposed_rotated_and_rescaled_problems_have_the_corresponding_flow(
    seed: int, shape: tuple[int, int], alpha: float, sign: int
) -> None:
    rng = np.random.default_rng(seed)
    model, t = Factorization(shape), 40.0 + 60.0 * abs(np.log10(alpha))
    values = np.where(rng.random(shape) < 0.8, rng.integers(1, 9, shape), GAP)
    values[0, 0] = 3.0
    problem, (A, B) = MatrixCompletion(values), model.factors(alpha * model.random(rng))
    W = model.output(graded_flow(problem, model.theta(A, B), t_end=t, rtol=1e-10).final)
    i, j, Q = rng.permutation(shape[0]), rng.permutation(shape[1]), orthogonal(rng, model.rank)
    permuted, far = MatrixCompletion(values[i][:, j]), 10.0 ** (140 * sign)
    for other, factors, expected, time in (
        (permuted, (A[i], B[:, j]), W[i][:, j], t),
        (problem.transpose, (B.T, A.T), W.T, t),
        (problem, (A @ Q, Q.T @ B), W, t),
        (problem.rescaled(far), (np.sqrt(far) * A, np.sqrt(far) * B), far * W, t / far),
    ):
        model = Factorization(other.shape)
        got = model.output(graded_flow(other, model.theta(*factors), t_end=time, rtol=1e-10).final)
        np.testing.assert_allclose(got / other.size, expected / other.size, rtol=0, atol=1e-5)


@pytest.mark.slow
@settings(max_examples=3)
@given(SEEDS)
def test_every_coupling_component_moves_as_it_would_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.full((5, 4), GAP)
    values[:2, :2], values[2:, 2:] = rng.integers(1, 6, (2, 2)), rng.integers(1, 6, (3, 2))
    problem, model = MatrixCompletion(values), Factorization((5, 4), 3)
    A, B = model.factors(1e-50 * model.random(rng))
    path = graded_flow(problem, model.theta(A, B), rank=3, t_end=600.0, loss_tol=1e-28)
    whole = model.output(path.final)
    for rows, columns in ((range(2), range(2)), (range(2, 5), range(2, 4))):
        alone = problem.restricted(rows, columns)
        part = Factorization(alone.shape, 3)
        index = np.ix_(rows, columns)
        start = part.theta(A[list(rows)], B[:, list(columns)])
        time = path.times[-1] * alone.n_observed / problem.n_observed
        end = graded_flow(alone, start, rank=3, t_end=float(time), loss_tol=1e-28).final
        np.testing.assert_allclose(whole[index], part.output(end), rtol=0, atol=1e-6)


@settings(max_examples=40)
@given(SEEDS, st.integers(2, 6), st.floats(0, 400))
def test_jacobi_rotations_leave_orthogonal_columns_with_relative_accuracy(seed: int, k: int, decades: float) -> None:
    rng = np.random.default_rng(seed)
    z, logs = rng.standard_normal((8, k)), -np.log(10) * decades * rng.random(k)
    turned, scales, frame = orthogonalized(z, logs, np.eye(k))
    cosines = turned.T @ turned - np.eye(k)
    assert np.abs(cosines).max() < 1e-13
    np.testing.assert_allclose(frame.T @ frame, np.eye(k), rtol=0, atol=1e-13)
    # the volume of the first j columns by size is preserved whatever the scales: an identity in logarithms
    for j in range(1, k + 1):
        largest = np.argsort(-logs)[:j] if decades > 300 and np.diff(np.sort(logs)).min() > 40 else np.arange(k)
        before = np.linalg.slogdet(z[:, largest].T @ z[:, largest])[1] / 2 + logs[largest].sum()
        after = np.sort(scales)[::-1][: len(largest)].sum()
        assert after == pytest.approx(before, abs=1e-9)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 7, 8])
def test_in_a_tournament_everyone_meets_everyone_once(k: int) -> None:
    pairs = [tuple(sorted(pair)) for first, second in tournament(k) for pair in zip(first, second, strict=True)]
    assert sorted(pairs) == [(a, b) for a in range(k) for b in range(a + 1, k)]
    assert all(len({*first, *second}) == 2 * len(first) for first, second in tournament(k))


@settings(max_examples=20)
@given(SEEDS, st.integers(1, 9))
def test_graded_columns_hold_the_start(seed: int, rank: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((4, 3)) < 0.4
    mask[np.arange(4), [0, 1, 2, 0]] = True
    problem = MatrixCompletion(rng.integers(-2, 3, (4, 3)), mask)
    Z = rng.standard_normal((7, rank))
    columns = GradedColumns(problem, Z, -600.0)
    np.testing.assert_allclose(columns.stacked(columns.z, 600.0), Z, rtol=0, atol=1e-12)


def test_accuracy_gauges_are_small_and_losses_fall() -> None:
    path = graded_flow(FIG3, start_of(FIG3, 1e-100))
    assert path.status is Status.CONVERGED and path.method == "LSODA in graded columns"
    assert path.conservation_drift < 1e-9 and path.monotonicity_defect < 1e-12
    assert [round(p.loss, 5) for p in path.plateaus] == [16.85067, 0.32653, 0.05228, 0.0]
    assert (np.diff(path.times) > 0).all() and path.gradient_norms[0] < 1e-98
    assert path.n_gradients < 10_000


def test_the_cost_hardly_depends_on_alpha() -> None:
    counts = [graded_flow(M3, start_of(M3, alpha)).n_gradients for alpha in (1e-30, 1e-240)]
    assert counts[1] < 2 * counts[0]


# ways to end


def test_unobserved_rows_and_columns_never_move() -> None:
    problem = MatrixCompletion([[2, 1, GAP, GAP], [GAP, GAP, GAP, GAP], [1, 3, GAP, 5]])
    start, model = start_of(problem, 1e-9), Factorization((3, 4))
    path = graded_flow(problem, start)
    (A0, B0), (A, B) = model.factors(start), model.factors(path.states)
    assert path.status is Status.CONVERGED
    assert (A[:, 1] == A0[1]).all() and (B[:, :, 2] == B0[:, 2]).all()


def test_zero_data_pull_every_factor_down() -> None:
    problem = MatrixCompletion([[0, 0], [0, GAP]])
    path = graded_flow(problem, start_of(problem, 1.0), loss_tol=1e-8)
    assert path.status is Status.CONVERGED and path.final_loss <= 1e-8
    assert graded_flow(problem, start_of(problem, 1e-200)).times.tolist() == [0.0]


def test_a_narrow_model_ends_at_its_own_minimum() -> None:
    path = graded_flow(FIG3, start_of(FIG3, 1e-80, rank=1), rank=1)
    assert path.status is Status.CONVERGED and path.final_loss == pytest.approx(0.32652694, abs=1e-8)


def test_a_start_of_lower_rank_is_held_at_a_saddle() -> None:
    rng, model = np.random.default_rng(0), Factorization((4, 4))
    start = 1e-30 * model.theta(rng.standard_normal((4, 1)) * [1, 2, 0, 1], np.outer([1, 2, 0, 1], rng.random(4)))
    path = graded_flow(FIG3, start)
    assert path.status is Status.ROUNDOFF and path.final_loss == pytest.approx(0.32652694, abs=1e-8)


def test_the_origin_is_a_saddle_that_nothing_leaves() -> None:
    assert graded_flow(FIG3, np.zeros(32)).status is Status.ROUNDOFF
    assert graded_flow(MatrixCompletion([[0.0, 0.0]]), np.zeros(3)).status is Status.CONVERGED


def test_a_start_that_misses_the_first_mode_up_to_rounding_is_reported() -> None:
    # B = -A^T for a symmetric positive definite M: every growing mode has amplitude 0
    problem, model = MatrixCompletion([[2, 1], [1, 3]]), Factorization((2, 2))
    A = np.array([[0.3, -1.1], [0.7, 0.4]])
    assert graded_flow(problem, 1e-30 * model.theta(A, -A.T)).status is Status.ROUNDOFF


@pytest.mark.slow
def test_an_escape_to_infinity_is_recognised() -> None:
    path = graded_flow(C1, start_of(C1, 1e-8, rank=2), rank=2)
    assert path.status is Status.DIVERGING and path.final_loss == pytest.approx(0.00276, abs=1e-5)
    assert path.n_gradients < 50_000


def test_a_limit_of_norm_time_or_cost_ends_the_flow() -> None:
    start = start_of(FIG3, 1e-50)
    assert graded_flow(FIG3, start, t_end=30.0).status is Status.HORIZON
    assert graded_flow(FIG3, start, t_end=30.0).times[-1] == 30.0
    assert graded_flow(FIG3, start, max_evaluations=50).status is Status.BUDGET
    assert graded_flow(FIG3, start, norm_limit=0.5).status is Status.DIVERGING


def test_large_problems_are_integrated_without_a_matrix() -> None:
    rng = np.random.default_rng(0)
    M = np.outer(rng.standard_normal(60), rng.standard_normal(60))
    problem, model = MatrixCompletion(M, rng.random((60, 60)) < 0.4), Factorization((60, 60), 9)
    path = graded_flow(problem, 1e-60 * model.random(rng), rank=9, rtol=1e-6, loss_tol=1e-10)
    assert path.method == "DOP853 in graded columns" and path.status is Status.CONVERGED
    assert path.n_hessians == 0
    np.testing.assert_allclose(model.output(path.final), M, rtol=0, atol=1e-2)


# bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": np.zeros(8)}, r"start must have shape \(18,\); got \(8,\)"),
        ({"start": np.full(18, np.inf)}, "start must be finite"),
        ({"rtol": 1e-16}, "rtol must lie between 1e-13 and 1e-2; got 1e-16"),
        ({"loss_tol": 0.0}, "loss_tol must be positive; got 0.0"),
        ({"gradient_tol": -1.0}, "gradient_tol must be positive"),
        ({"norm_limit": np.nan}, "norm_limit must be positive; got nan"),
        ({"t_end": 0.0}, "t_end must be positive; got 0.0"),
        ({"max_evaluations": 0}, "max_evaluations must be positive; got 0"),
        ({"log_scale": -np.inf}, "log_scale must be finite; got -inf"),
        ({"rank": 0}, "rank must be a positive integer; got 0"),
    ],
)
def test_bad_input_is_named(options: dict, message: str) -> None:
    start = options.pop("start", np.ones(18))
    with pytest.raises(ValueError, match=message):
        graded_flow(FIG4, start, **options)


def test_only_matrix_completion_problems_are_accepted() -> None:
    sensing = MatrixSensing.of_completion(MatrixCompletion(np.eye(2)))
    with pytest.raises(TypeError, match=r"problem must be a MatrixCompletion, an array.*; got MatrixSensing"):
        graded_flow(sensing, np.zeros(8))


def test_steps_are_refined_where_their_errors_could_decide_what_a_tiny_entry_decides() -> None:
    # two blocks joined by 1e-12: errors of steps of 1e-9 in the small part of a column were larger than that part
    M = np.array([[GAP, GAP, 0.0, GAP], [GAP, GAP, -1.0, 1e-12], [0.0, -1.0, -1.0, GAP], [GAP, 0.0, GAP, -4.0]])
    model, start = Factorization((4, 4)), Factorization((4, 4)).random(0)
    path = graded_flow(M, start, log_scale=-30.0 * float(np.log(10.0)) + float(np.log(2.0)))
    truth = Referee(np.nan_to_num(M) / 4.0, ~np.isnan(M), *model.factors(start), -30).end(3000)
    assert truth.ending == Ending.MET and path.status == Status.CONVERGED
    assert "integrated again" in path.message and path.error is not None and path.error < 1e-6
    assert np.abs(model.output(path.final) - 4.0 * truth.W).max() <= 10.0 * path.error
