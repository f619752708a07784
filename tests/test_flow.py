"""Tests of the gradient flow: closed forms, multiprecision escape times, endings, plateaus, gauges, invariances."""

import dataclasses
import re
from pathlib import Path

import autograd.numpy as anp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from oracles import linear_model, logistic, quartic_saddle, rotation
from referee import Referee

from gflow import DirectMatrix, Factorization, MatrixCompletion, Objective, Status, Trajectory, gradient_flow
from gflow.critical import SpectrumNotConverged, find_critical_point
from gflow.files import read_arrays, write_arrays
from gflow.flow import IntegrationFailed, monitor, record
from gflow.flow.centred import Centred
from gflow.flow.integration import METHODS
from gflow.flow.saddles import SaddleClock, saddle_at
from gflow.flow.watch import SaddleWatch

GAP = np.nan
FIG_3 = np.array([[4, 0.6, 1.8, 0.8], [6, 0.9, 2.7, GAP], [8, 2.2, 2.6, 1.6], [8, 2.7, 5.1, 3.6]])
FIG_4 = np.array([[1, GAP, 3], [GAP, 5, GAP], [3, GAP, 9]])
M_2 = np.array([[1, 2, GAP], [3, 4, GAP], [GAP, GAP, 5]])
M_3 = np.array([[1, 2, GAP], [3, 4, GAP], [6, GAP, 5]])
ROTATED = rotation(0.4) @ np.diag([2.0, 1.0]) @ rotation(1.1)
HALFWAY = (0.75, 0.125)
"""Losses halfway between the plateaus 5/4, 1/4 and 0 of ``ROTATED``."""


def setting(M: np.ndarray, alpha: float, seed: int = 0) -> tuple[Factorization, Objective, np.ndarray]:
    """Return model, objective and Gaussian start of a partially observed matrix."""
    model = Factorization((M.shape[0], M.shape[1]))
    return model, Objective.of(MatrixCompletion(M), model), model.random(np.random.default_rng(seed), alpha)


def run(M: np.ndarray, alpha: float, **options: object) -> Trajectory:
    _, objective, start = setting(M, alpha)
    return gradient_flow(objective, start, **options)


def crossings(path: Trajectory, levels: tuple[float, ...]) -> np.ndarray:
    """Return when the loss falls through each level, by interpolation of its logarithm between steps."""
    return np.interp(-np.log(levels), -np.log(path.losses), path.times)


def escape_times(M: np.ndarray, start: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    A, B = Factorization((M.shape[0], M.shape[1])).factors(start)
    return np.array(Referee(M, ~np.isnan(M), A, B).crossings(list(levels)))


def saddle_function(x: np.ndarray) -> float:
    return -(x[0] ** 2) / 2 + x[0] ** 4 / 4 + x[1] ** 2 / 2


# Closed forms


def test_the_multiprecision_reference_solves_the_scalar_case_of_mpmath() -> None:
    a, b, m = 0.01, 0.003, 2.0
    reference = Referee(np.array([[m]]), np.array([[True]]), np.array([[a]]), np.array([[b]])).crossings([1.0])[0]
    with mpmath.workdps(20):
        solution = mpmath.odefun(lambda t, y: [-2 * (y[0] * y[1] - m) * y[1], -2 * (y[0] * y[1] - m) * y[0]], 0, [a, b])
        at_crossing = solution(reference)
    assert abs(float((at_crossing[0] * at_crossing[1] - m) ** 2) - 1.0) < 1e-10


@pytest.mark.parametrize("method", ["auto", *METHODS])
def test_a_balanced_scalar_follows_the_logistic_curve(method: str) -> None:
    objective = Objective.of(MatrixCompletion([[3.0]]), Factorization((1, 1)))
    times = np.linspace(0.0, 4.0, 41)
    path = gradient_flow(objective, np.full(2, 1e-3), t_eval=times, method=method, loss_tol=1e-300, gradient_tol=1e-300)
    assert np.array_equal(path.times, times)
    assert np.allclose(path.states.prod(axis=1), logistic(times, 1e-6, 3.0, 4.0), rtol=3e-6)


def test_singular_values_of_an_aligned_start_follow_logistic_curves() -> None:
    U, sigma, V = rotation(0.4), np.array([2.0, 1.0]), rotation(1.1)
    start = np.array([1e-6, 1e-7])
    model, objective, _ = setting(ROTATED, 1.0)
    times = np.linspace(0.5, 16.0, 32)
    path = gradient_flow(objective, model.theta(U * np.sqrt(start), np.sqrt(start)[:, None] * V), t_eval=times)
    modes = np.diagonal(U.T @ model.output(path.states[1:]) @ V.T, axis1=1, axis2=2)
    assert np.allclose(
        modes, np.column_stack([logistic(times, w, s, 1.0) for w, s in zip(start, sigma, strict=True)]), rtol=1e-5
    )


def test_the_linear_model_decays_exponentially_and_leaves_the_rest_alone() -> None:
    problem, model = MatrixCompletion(FIG_3), DirectMatrix((4, 4))
    start = model.random(np.random.default_rng(1))
    times = np.linspace(0.0, 60.0, 13)
    path = gradient_flow(Objective.of(problem, model), start, t_eval=times)
    exact = linear_model(times, start.reshape(4, 4), problem.values, problem.observed)
    assert np.allclose(model.output(path.states), exact, rtol=0, atol=1e-6)
    assert (path.states[:, 7] == start[7]).all()


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_a_textbook_saddle_is_left_when_the_closed_form_says(tilt: float) -> None:
    Q = rotation(tilt)
    objective = Objective.autodiff(lambda theta: saddle_function(anp.dot(Q.T, theta)), 2, lower_bound=-0.25)
    times = np.linspace(0.0, 24.0, 49)
    path = gradient_flow(objective, Q @ [1e-6, 1.0], t_eval=times, loss_tol=1e-300, gradient_tol=1e-300)
    assert np.allclose(path.states @ Q, quartic_saddle(times, 1e-6, 1.0), rtol=0, atol=2e-6)
    whole = gradient_flow(objective, Q @ [1e-6, 1.0])
    assert whole.status == Status.CONVERGED
    assert np.allclose([plateau.loss for plateau in whole.plateaus], [0.0, -0.25], rtol=0, atol=1e-6)


# Escapes


@pytest.mark.parametrize("alpha", [1e-4, 1e-8, 1e-16])
def test_both_escape_times_agree_with_multiprecision(alpha: float) -> None:
    _, objective, start = setting(ROTATED, alpha)
    path = gradient_flow(objective, start)
    assert path.status == Status.CONVERGED
    assert np.allclose(crossings(path, HALFWAY), escape_times(ROTATED, start, HALFWAY), rtol=1e-3)


def test_escape_times_of_partly_observed_data_agree_with_multiprecision() -> None:
    _, objective, start = setting(M_3, 1e-8)
    levels = (7.0, 0.011)
    assert np.allclose(crossings(gradient_flow(objective, start), levels), escape_times(M_3, start, levels), rtol=1e-3)


@pytest.mark.parametrize("seed", [0, 1])
def test_roundoff_is_named_from_where_it_would_decide_the_escape(seed: int) -> None:
    for alpha in (1e-24, 1e-28):
        _, objective, start = setting(ROTATED, alpha, seed)
        path = gradient_flow(objective, start)
        assert path.status == Status.CONVERGED
        assert np.allclose(crossings(path, HALFWAY), escape_times(ROTATED, start, HALFWAY), rtol=2e-3)
    for alpha in (1e-32, 1e-40, 1e-100):
        path = gradient_flow(*setting(ROTATED, alpha, seed)[1:])
        assert path.status == Status.ROUNDOFF and "rounding" in path.message
        assert np.isclose(path.final_loss, 0.25, rtol=1e-6) and len(path.plateaus) == 2


def test_roundoff_inherited_from_an_earlier_saddle_is_named() -> None:
    ends = {alpha: run(FIG_3, alpha).plateaus[2].end for alpha in (1e-8, 1e-10, 1e-12)}
    per_decade = (ends[1e-12] - ends[1e-8]) / 4
    assert np.isclose(ends[1e-10], ends[1e-8] + 2 * per_decade, rtol=5e-3)
    late = run(FIG_3, 1e-16)
    assert late.status == Status.ROUNDOFF and np.isclose(late.plateaus[-1].loss, 0.05227755, rtol=1e-3)


def test_unchecked_rounding_would_leave_a_later_saddle_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    early, late = (run(FIG_3, alpha).plateaus[2].end for alpha in (1e-10, 1e-12))
    monkeypatch.setattr(SaddleClock, "moved", lambda self, saddle, arrived, t: np.zeros(len(saddle.rates)))
    wrong = run(
        FIG_3, 1e-30, error_tol=None
    )  # rounding is 14 decades above what the start left, whatever its digits are
    assert wrong.status == Status.CONVERGED and wrong.plateaus[2].end < 10 * late - 9 * early - 100.0


def test_a_tiny_deviation_from_a_given_center_escapes_logarithmically_late() -> None:
    model, objective, start = setting(ROTATED, 1.0)
    U, V = rotation(0.4), rotation(1.1)
    saddle = find_critical_point(objective, model.theta(U * [2**0.5, 0.0], np.array([2**0.5, 0.0])[:, None] * V))
    assert np.isclose(saddle.value, 0.25) and np.isclose(saddle.escape_rate, 0.5)
    leave = [
        crossings(gradient_flow(objective, alpha * start, center=saddle.theta), (0.125,))[0]
        for alpha in (1e-20, 1e-60, 1e-100)
    ]
    assert np.allclose(np.diff(leave), 40 * np.log(10) / saddle.escape_rate, rtol=1e-4)


def test_without_the_restart_around_saddles_escape_times_go_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    _, objective, start = setting(M_2, 1e-12)
    levels = (5.0, 0.013)
    reference = crossings(gradient_flow(objective, start, rtol=1e-11), levels)
    with_restart = crossings(gradient_flow(objective, start, rtol=1e-6), levels)
    assert np.allclose(with_restart, reference, rtol=1e-3)
    monkeypatch.setattr(SaddleWatch, "unresolved", lambda self: False)
    without = crossings(gradient_flow(objective, start, rtol=1e-6, t_end=3 * reference[1]), levels)
    assert np.isclose(without[0], reference[0], rtol=1e-3) and not np.isclose(without[1], reference[1], rtol=0.05)


def test_errors_fall_in_proportion_to_the_tolerance() -> None:
    _, objective, start = setting(M_3, 1e-3)
    options = {"t_end": 12.0, "error_tol": None}  # no integration is repeated more finely
    exact = gradient_flow(objective, start, rtol=1e-12, method="DOP853", **options).final
    tolerances = np.array([1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9])
    for method in ("DOP853", "RK45", "Radau"):
        errors = [
            np.linalg.norm(gradient_flow(objective, start, rtol=rtol, method=method, **options).final - exact)
            for rtol in tolerances
        ]
        order = np.polyfit(np.log(tolerances), np.log(errors), 1)[0]
        assert 0.65 < order < 1.2, (method, order)


# Methods and cost


def test_all_methods_agree_and_are_named() -> None:
    paths = {method: run(M_3, 1e-4, method=method) for method in METHODS}
    assert [path.method for path in paths.values()] == list(METHODS)
    finals = [Factorization((3, 3)).output(path.final) for path in paths.values()]
    assert all(np.allclose(W, finals[0], atol=1e-5) for W in finals)
    assert {path.status for path in paths.values()} == {Status.CONVERGED}
    assert {len(path.plateaus) for path in paths.values()} == {2}


def test_auto_names_lsoda_below_dimension_1000_and_a_matrix_free_method_above() -> None:
    assert run(M_3, 1e-3, t_end=1.0).method == "LSODA"
    model = Factorization((20, 20), rank=26)
    problem = MatrixCompletion(np.random.default_rng(0).standard_normal((20, 20)))
    start = model.random(np.random.default_rng(1), 0.1)
    path = gradient_flow(Objective.of(problem, model), start, t_end=20.0)
    assert path.method == "DOP853" and path.status == Status.HORIZON
    assert path.monotonicity_defect == 0.0 and path.conservation_drift < 1e-8


def test_an_explicit_method_starts_and_restarts_with_a_step_of_the_right_length() -> None:
    rng = np.random.default_rng(0)
    M = rng.standard_normal((20, 3)) @ rng.standard_normal((3, 20))
    problem, model = MatrixCompletion(M), Factorization((20, 20), rank=26)
    for start in (model.random(np.random.default_rng(1), 1e-6), model.random(np.random.default_rng(2), 1e-8)):
        path = gradient_flow(Objective.of(problem, model), start, method="DOP853")
        steps = np.diff(path.times)
        fastest = 2 * np.linalg.norm(M, 2) / M.size  # the escape rate at the origin
        assert path.status == Status.CONVERGED and 0.1 < fastest * steps[0] < 1.0
        assert (steps[1:] / steps[:-1]).min() > 0.1


def test_a_point_whose_modes_are_not_found_is_passed_with_tolerances_relative_to_its_distance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stalled(*_: object, **__: object) -> None:
        raise SpectrumNotConverged(0, 6, 1e-5)

    rng = np.random.default_rng(0)
    M = rng.standard_normal((24, 2)) @ rng.standard_normal((2, 24))
    model = Factorization((24, 24))
    start = model.random(rng, 1e-9)
    objective = Objective.of(MatrixCompletion(M), model)
    plain = gradient_flow(objective, start, method="DOP853", loss_tol=1e-16)
    entered: list[float] = []
    sound = Centred.enter

    def enter(flow: Centred, t: float, delta: np.ndarray, grows: float) -> None:
        entered.append(grows)
        sound(flow, t, delta, grows)

    monkeypatch.setattr(Centred, "enter", enter)
    monkeypatch.setattr("gflow.flow.saddles._candidates", lambda *_: None)
    monkeypatch.setattr("gflow.flow.saddles.hessian_spectrum", stalled)
    path = gradient_flow(objective, start, method="DOP853", loss_tol=1e-16)
    assert path.status == plain.status == Status.CONVERGED
    assert len(entered) > 1 and min(entered[1:]) < 0.1 * max(entered[1:])
    assert np.allclose([p.loss for p in path.plateaus[:-1]], [p.loss for p in plain.plateaus[:-1]], rtol=1e-6)


def test_stabilised_steps_reach_the_rounding_floor_of_the_loss() -> None:
    M = np.random.default_rng(0).standard_normal((24, 24))
    M[np.abs(M) > 1.0] = np.nan
    model = Factorization((24, 24))
    start = model.random(np.random.default_rng(1), 0.3)
    path = gradient_flow(Objective.of(MatrixCompletion(M), model), start, loss_tol=1e-26)
    assert path.status == Status.CONVERGED and path.method == "DOP853, RKC" and path.n_gradients < 850
    assert path.final_loss < 1e-23 and path.conservation_drift is not None and path.conservation_drift < 1e-8


def test_a_large_problem_converges_through_its_saddles_without_a_matrix() -> None:
    rng = np.random.default_rng(0)
    M = rng.standard_normal((20, 3)) @ rng.standard_normal((3, 20))
    model = Factorization((20, 20), rank=26)
    start = model.random(np.random.default_rng(1), 1e-6)
    path = gradient_flow(Objective.of(MatrixCompletion(M), model), start)
    sigma = np.linalg.svd(M, compute_uv=False)
    assert path.status == Status.CONVERGED and path.method == "Krylov, DOP853" and path.n_gradients < 900
    assert np.isclose(path.plateaus[0].loss, (sigma**2).sum() / 400, rtol=1e-6)
    assert np.allclose(model.output(path.final), M, atol=1e-8)


def test_figure_3_takes_few_gradients() -> None:
    assert run(FIG_3, 1e-8).n_gradients <= 4000


# Endings


def test_each_ending_has_its_status() -> None:
    assert run(M_3, 1e-3).status == Status.CONVERGED
    short = run(M_3, 1e-3, t_end=2.5)
    assert short.status == Status.HORIZON and short.times[-1] == 2.5
    spent = run(M_3, 1e-3, max_evaluations=100)
    assert spent.status == Status.BUDGET and 100 <= spent.n_gradients < 150


def test_a_callback_sees_every_step_and_can_stop() -> None:
    seen: list[tuple[float, float]] = []

    def watch(t: float, theta: np.ndarray, loss: float) -> bool:
        seen.append((t, loss))
        return loss < 1.0

    path = run(FIG_3, 1e-3, callback=watch)
    assert path.status == Status.HORIZON and "callback" in path.message
    assert [t for t, _ in seen] == path.times[1:].tolist()
    assert np.allclose([loss for _, loss in seen], path.losses[1:], rtol=1e-12)


def test_a_function_without_minimum_diverges() -> None:
    objective = Objective.autodiff(lambda x: -anp.dot(x, x) / 2, 2)
    path = gradient_flow(objective, np.array([0.3, 0.4]))
    assert path.status == Status.DIVERGING and np.isclose(path.times[-1], np.log(1e4 / 0.5), rtol=0.1)
    assert gradient_flow(objective, np.array([0.3, 0.4]), norm_limit=10.0).times[-1] < np.log(100)


def test_a_solver_that_gives_up_says_so() -> None:
    _, objective, start = setting(M_3, 0.1)
    broken = dataclasses.replace(
        objective.normalized,
        gradient=lambda theta: np.full(18, np.nan) if theta @ theta > 1.0 else -theta,
        broadcasts=False,
    )
    said = r"LSODA gave up at t = \S+ after \d+ steps .*; try another method"
    path = gradient_flow(broken, start)
    assert path.status == Status.BUDGET and re.match(said, path.message) and np.isfinite(path.states).all()
    never = dataclasses.replace(broken, gradient=lambda theta: np.full(18, np.nan))
    with pytest.raises(IntegrationFailed, match=said):
        gradient_flow(never, start)


def test_a_start_at_a_minimum_has_converged() -> None:
    model, objective, _ = setting(ROTATED, 1.0)
    path = gradient_flow(objective, model.theta(ROTATED, np.eye(2)))
    assert path.status == Status.CONVERGED and path.n_steps == 0 and path.times.tolist() == [0.0]


@pytest.mark.parametrize("method", METHODS)
def test_a_start_at_a_saddle_is_roundoff_not_convergence(method: str) -> None:
    model, objective, _ = setting(ROTATED, 1.0)
    path = gradient_flow(objective, np.zeros(model.dim), method=method)
    assert path.status == Status.ROUNDOFF and path.n_steps == 0
    assert gradient_flow(Objective.autodiff(saddle_function, 2), np.zeros(2), method=method).status == Status.ROUNDOFF


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-170])
def test_a_start_of_rank_one_ends_at_the_saddle_without_claiming_a_minimum(scale: float) -> None:
    model, objective, _ = setting(ROTATED, 1.0)
    A, B = scale * np.array([[1.0, 0.0], [0.5, 0.0]]), scale * np.array([[0.3, -1.0], [0.0, 0.0]])
    path = gradient_flow(objective, model.theta(A, B))
    assert path.status == Status.ROUNDOFF and np.isclose(path.final_loss, 0.25)
    assert path.plateaus[-1].end is None
    assert (path.states[:, 1:4:2] == 0.0).all() and (path.states[:, 6:] == 0.0).all()


def test_a_matrix_of_zeros_pulls_everything_to_zero() -> None:
    path = run(np.zeros((3, 3)), 1.0)
    assert path.status == Status.CONVERGED and path.final_loss <= 1e-20
    assert run(np.zeros((3, 3)), 1e-12).n_steps == 0


@pytest.mark.parametrize("M", [np.array([[1.0, 2.0, GAP, 4.0]]), np.array([[1.0], [GAP], [3.0]])])
def test_one_row_or_one_column_is_fitted(M: np.ndarray) -> None:
    model, objective, start = setting(M, 1e-10)
    path = gradient_flow(objective, start)
    W = model.output(path.final)
    assert path.status == Status.CONVERGED and len(path.plateaus) == 2
    assert np.allclose(W[~np.isnan(M)], M[~np.isnan(M)]) and np.abs(W[np.isnan(M)]).max() < 1e-8


def test_an_unobserved_row_stays_where_it_was() -> None:
    M = M_3.copy()
    M[1] = GAP
    model, objective, start = setting(M, 1e-3)
    A = model.factors(gradient_flow(objective, start).states)[0]
    assert (A[:, 1] == A[0, 1]).all() and (A[-1, 0] != A[0, 0]).any()


@pytest.mark.parametrize("method", METHODS)
def test_a_large_start_does_not_overflow(method: str) -> None:
    path = run(M_3, 300.0, method=method, max_evaluations=6000 if method == "RKC" else 3000)  # of order two
    assert path.status in (Status.CONVERGED, Status.BUDGET) and path.losses[-1] < 1e-3 * path.losses[0]


# Invariances


@pytest.mark.parametrize("power", [-248, -3, 2, 248])
def test_a_factor_that_is_a_power_of_four_changes_no_bit(power: int) -> None:
    factor, root = 4.0**power, 2.0**power
    M = M_3 / 4
    plain, scaled = run(M, 1e-6), run(M * factor, 1e-6 * root)
    assert np.array_equal(scaled.states, plain.states * root)
    assert np.array_equal(scaled.times, plain.times / factor)
    assert (scaled.status, scaled.n_gradients) == (plain.status, plain.n_gradients)
    assert scaled.conservation_drift == plain.conservation_drift


@pytest.mark.parametrize("size", [1e-150, 1e-6, 1e6, 1e150])
def test_rescaling_the_matrix_rescales_states_and_times(size: float) -> None:
    M = M_3 / 6
    plain, scaled = run(M, 1e-4), run(M * size, 1e-4 * np.sqrt(size))
    model = Factorization((3, 3))
    assert scaled.status == plain.status == Status.CONVERGED
    assert np.allclose(model.output(scaled.final) / size, model.output(plain.final), atol=1e-6)
    assert np.allclose([p.end * size for p in scaled.plateaus[:-1]], [p.end for p in plain.plateaus[:-1]], rtol=2e-2)
    assert all(value is None or np.isfinite(value) for value in scaled.to_dict().values() if isinstance(value, float))


PARTIAL = (
    st.integers(0, 10_000)
    .map(
        lambda seed: np.where(
            np.random.default_rng(seed).random((3, 4)) < 0.7,
            np.random.default_rng(seed + 1).standard_normal((3, 4)),
            GAP,
        )
    )
    .filter(lambda M: not np.isnan(M).all())
)


@settings(max_examples=8)
@given(PARTIAL, st.permutations(range(3)), st.permutations(range(4)))
def test_permuting_and_transposing_commute_with_the_flow(M: np.ndarray, rows: list[int], columns: list[int]) -> None:
    model, objective, start = setting(M, 1e-2)
    A, B = model.factors(start)
    W = model.output(gradient_flow(objective, start, t_end=40.0).final)
    shuffled, mirrored = setting(M[np.ix_(rows, columns)], 1.0), setting(M.T, 1.0)
    moved = gradient_flow(shuffled[1], model.theta(A[rows], B[:, columns]), t_end=40.0)
    turned = gradient_flow(mirrored[1], mirrored[0].theta(B.T, A.T), t_end=40.0)
    assert np.allclose(model.output(moved.final), W[np.ix_(rows, columns)], atol=1e-5)
    assert np.allclose(mirrored[0].output(turned.final).T, W, atol=1e-5)
    assert moved.monotonicity_defect < 1e-12 and turned.conservation_drift < 1e-6


# States at wanted times, plateaus, memory


def test_states_at_wanted_times_agree_with_a_tight_run_and_leave_the_plateaus_alone() -> None:
    model, objective, start = setting(FIG_3, 1e-4)
    times = np.linspace(1.0, 80.0, 80)
    sampled, tight = (gradient_flow(objective, start, t_eval=times, rtol=rtol) for rtol in (1e-8, 1e-12))
    assert np.array_equal(sampled.times, [0.0, *times]) and sampled.status == Status.HORIZON
    difference = np.abs(model.output(sampled.states) - model.output(tight.states))
    assert difference.max() < 1e-3 and np.median(difference) < 1e-6
    whole = gradient_flow(objective, start, t_end=80.0)
    assert [p.to_dict() for p in whole.plateaus] == [p.to_dict() for p in sampled.plateaus]
    assert np.allclose(sampled.final, whole.final, rtol=0, atol=1e-12)


def test_wanted_times_after_the_end_are_dropped_and_zero_is_allowed() -> None:
    path = run(M_3, 1e-2, t_eval=[0.0, 5.0, 1e9])
    assert path.status == Status.CONVERGED and path.times[:2].tolist() == [0.0, 5.0] and path.times[2] < 1e9


@pytest.mark.parametrize("wanted", [[], [1.0, 1.0], [2.0, 1.0], [-1.0, 1.0], [1.0, np.inf], [[1.0]]])
def test_wanted_times_that_do_not_increase_are_refused(wanted: list[float]) -> None:
    with pytest.raises(ValueError, match="t_eval must be an increasing list"):
        run(M_3, 1e-2, t_eval=wanted)


def test_the_plateaus_of_figures_3_and_4_are_the_published_ones() -> None:
    three = [plateau.loss for plateau in run(FIG_3, 1e-8).plateaus]
    assert (
        np.allclose(three[:3], [16.850667, 0.32652694, 0.05227755], rtol=1e-3) and three[3] < 1e-15 and len(three) == 4
    )
    four = [plateau.loss for plateau in run(FIG_4, 1e-8).plateaus]
    assert np.allclose(four[:2], [25.0, 5.0], rtol=1e-6) and four[2] < 1e-15 and len(four) == 3


def test_a_start_of_size_one_has_no_plateau_at_the_start() -> None:
    (only,) = run(FIG_3, 1.0).plateaus
    assert only.loss < 1e-15 and only.start > 0 and only.end is None


@pytest.mark.parametrize("rtol", [1e-5, 1e-6, 1e-7])
@pytest.mark.parametrize(("M", "alpha", "count"), [(ROTATED, 1e-24, 3), (np.eye(3), 1e-8, 2), (M_3, 1e-8, 3)])
def test_noise_of_a_loose_tolerance_is_no_plateau(M: np.ndarray, alpha: float, count: int, rtol: float) -> None:
    path = run(M, alpha, rtol=rtol)
    assert path.status == Status.CONVERGED and len(path.plateaus) == count


def test_a_plateau_needs_a_prominent_minimum_and_a_fall_of_the_loss() -> None:
    slopes = np.array([1.0, 1e-3, 1.0, 1e-4, 1.0, 1e-9])
    times, states = np.arange(6.0), np.zeros((6, 1))
    found = monitor.plateaus(times, states, np.array([3.0, 2.0, 1.9, 1.0, 0.9, 0.0]), slopes, 1e-3, True)
    assert [plateau.loss for plateau in found] == [2.0, 1.0, 0.0]
    noisy = monitor.plateaus(times, states, np.array([3.0, 2.0, 2.0, 2.0, 2.0, 0.0]), slopes, 1e-3, True)
    assert [plateau.loss for plateau in noisy] == [2.0, 0.0]
    # from where the loss, a straight line between states, has come within 1 % of the one there
    assert [plateau.start for plateau in noisy] == pytest.approx([0.98, 5.0])
    assert [plateau.end for plateau in noisy] == [pytest.approx(4.01), None]
    assert monitor.plateaus(times, states, np.linspace(1, 0, 6), np.linspace(1, 0.5, 6), 0.0, False) == ()


def test_errors_of_steps_at_a_loss_that_is_rounding_are_no_stays() -> None:
    # a slow mode settles; along a fast one, steps leave slopes that no fall of the loss answers to
    times = np.linspace(0.0, 25.0, 101)
    losses, states = np.exp(-2.0 * times), np.zeros((101, 2))
    slopes = np.sqrt(2.0 * losses)
    slopes[[70, 78, 86]] = 1e-4
    (end,) = monitor.plateaus(times, states, losses, slopes, 1e-30, True)
    assert end.loss == losses[-1]
    slopes[20] *= 100.0  # a loss that can be seen: two stays, with a burst between them
    assert len(monitor.plateaus(times, states, losses, slopes, 1e-30, True)) == 2


def test_when_memory_is_short_states_are_thinned_and_the_ends_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(FIG_3, 1e-4)
    monkeypatch.setattr(record, "STATE_MEMORY", 32 * 200)
    thin = run(FIG_3, 1e-4)
    assert 100 <= len(thin.times) <= 201 < len(whole.times) and thin.n_steps == whole.n_steps
    assert np.array_equal(thin.final, whole.final) and thin.times[0] == 0.0
    assert set(thin.times) <= set(whole.times) and len(thin.plateaus) == len(whole.plateaus)
    wanted = np.linspace(0.1, 20.0, 700)
    assert np.array_equal(run(FIG_3, 1e-4, t_eval=wanted).times, [0.0, *wanted])


# Gauges


def test_gauges_are_small_on_a_correct_field() -> None:
    path = run(FIG_3, 1e-8)
    assert path.conservation_drift < 1e-8 and path.monotonicity_defect < 1e-14
    A, B = Factorization((4, 4)).factors(path.states)
    drift = A.mT @ A - B @ B.mT
    scale = (path.states**2).sum(axis=1).max()
    assert np.isclose(path.conservation_drift, np.linalg.norm(drift - drift[0], axis=(1, 2)).max() / scale, rtol=1e-6)


def test_a_wrong_sign_in_one_block_turns_the_drift_red() -> None:
    _, objective, start = setting(M_3 / 4, 0.3)
    signs = np.repeat([1.0, -1.0], 9)
    wrong = dataclasses.replace(objective, gradient=lambda theta: signs * objective.gradient(theta))
    right = gradient_flow(objective, start, t_end=5.0, method="DOP853")
    path = gradient_flow(wrong, start, t_end=5.0, method="DOP853")
    assert right.conservation_drift < 1e-8 and path.conservation_drift > 0.1 and path.monotonicity_defect > 0.01


def test_a_mask_that_leaks_turns_the_monotonicity_red() -> None:
    M = M_3 / 4
    _, objective, start = setting(M, 1e-3)
    leaking = Objective.of(MatrixCompletion(np.nan_to_num(M)), Factorization((3, 3)))
    wrong = dataclasses.replace(objective, gradient=leaking.gradient)
    late = 0.9 * gradient_flow(objective, start).final
    right, path = (gradient_flow(field, late, t_end=100.0, method="DOP853") for field in (objective, wrong))
    assert right.monotonicity_defect < 1e-12 and path.monotonicity_defect > 1e-3


# Records and errors


@pytest.mark.parametrize("path", [run(M_3, 1e-6), run(ROTATED, 1e-40), run(M_3, 1.0, t_end=0.5)])
def test_a_saved_trajectory_is_read_back_bit_for_bit(path: Trajectory, tmp_path: Path) -> None:
    path.save(tmp_path / "path.npz")
    again = Trajectory.load(tmp_path / "path.npz")
    for name in ("times", "states", "losses", "gradient_norms"):
        assert np.array_equal(getattr(again, name), getattr(path, name))
        assert not getattr(again, name).flags.writeable
    assert again.to_dict() == path.to_dict() and repr(again) == repr(path)
    assert isinstance(again.status, Status)
    for old, new in zip(path.plateaus, again.plateaus, strict=True):
        assert np.array_equal(old.theta, new.theta) and repr(old) == repr(new)
    again.save(tmp_path / "again.npz")
    assert (tmp_path / "path.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_a_trajectory_without_conserved_quantity_is_read_back(tmp_path: Path) -> None:
    path = gradient_flow(Objective.autodiff(saddle_function, 2), np.array([0.1, 0.2]))
    path.save(tmp_path / "path.npz")
    assert path.conservation_drift is None and Trajectory.load(tmp_path / "path.npz").to_dict() == path.to_dict()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"states": None}, "no array 'states'"),
        ({"status": np.asarray("lost")}, "'lost' is not a valid Status"),
        ({"losses": np.zeros(3)}, "must have the same length"),
        ({"states": np.zeros(3)}, "expected 2"),
        ({"plateau_states": np.zeros((1, 1))}, "plateau_states must have one row of 18 numbers"),
        ({"n_steps": np.asarray("many")}, "invalid literal"),
    ],
)
def test_a_foreign_file_is_refused(change: dict[str, np.ndarray | None], sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "path.npz"
    run(M_3, 1e-3).save(path)
    arrays = read_arrays(path) | change
    write_arrays(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(
        ValueError, match=f"^{re.escape(str(path))} holds no trajectory: .*{re.escape(sentence)}"
    ) as caught:
        Trajectory.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": "Euler"}, "method must be 'auto' or one of LSODA"),
        ({"rtol": 1e-14}, "rtol must lie between 1e-13 and 1e-2; got 1e-14"),
        ({"rtol": np.nan}, "rtol must lie between"),
        ({"t_end": 0.0}, "t_end must be positive; got 0.0"),
        ({"loss_tol": -1.0}, "loss_tol must be positive"),
        ({"gradient_tol": 0.0}, "gradient_tol must be positive"),
        ({"norm_limit": np.nan}, "norm_limit must be positive"),
        ({"max_evaluations": 0}, "max_evaluations must be a positive integer; got 0"),
        ({"max_evaluations": 10.5}, "max_evaluations must be a positive integer; got 10.5"),
        ({"start": np.zeros(3)}, re.escape("start must have shape (18,); got (3,)")),
        ({"start": np.full(18, np.inf)}, "start must be finite"),
    ],
)
def test_wrong_arguments_are_named(options: dict[str, object], sentence: str) -> None:
    _, objective, start = setting(M_3, 1.0)
    with pytest.raises(ValueError, match=sentence):
        gradient_flow(objective, **({"start": start} | options))


def test_records_are_frozen_and_say_what_they_hold() -> None:
    path = run(FIG_4, 1e-4)
    assert re.fullmatch(r"Trajectory\(converged, t=[\d.]+, loss=\S+, 3 plateaus, \d+ steps of LSODA\)", repr(path))
    assert re.fullmatch(r"Plateau\(loss=25, from 0 to [\d.]+\)", repr(path.plateaus[0]))
    assert repr(path.plateaus[-1]).endswith("to the end)")
    for array in (path.times, path.states, path.losses, path.gradient_norms, path.plateaus[0].theta):
        assert not array.flags.writeable
    with pytest.raises(dataclasses.FrozenInstanceError):
        path.status = Status.BUDGET  # type: ignore[misc]


# Saddles at large dimensions


def large_setting(sizes: tuple[float, float], rank: int) -> tuple[Factorization, Objective, np.ndarray, np.ndarray]:
    """Return model, objective and orthonormal vectors U, V of a full 600 x 500 matrix of these singular values."""
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.standard_normal((side, len(sizes))))[0] for side in (600, 500))
    problem, model = MatrixCompletion(U * sizes @ V.T), Factorization((600, 500), rank)
    assert problem.unit == 1.0
    return model, Objective.of(problem, model), U, V


def test_where_every_direction_is_active_a_small_residual_proves_a_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    model, objective, U, V = large_setting((32.0, 16.0), 2)
    monkeypatch.setattr("gflow.flow.saddles.hessian_spectrum", lambda *_, **__: pytest.fail("a spectrum was computed"))
    root = np.sqrt([32.0, 16.0])
    assert not saddle_at(objective, model.theta(U * root, (V * root).T)).rates.size


def test_where_every_direction_is_active_a_large_residual_is_still_searched_for_a_way_out() -> None:
    model, objective, U, V = large_setting((32.0, 16.0), 1)
    saddle = saddle_at(objective, model.theta(4.0 * U[:, 1:], 4.0 * V[:, 1:].T))
    assert saddle.rates == pytest.approx([2 * (32.0 - 16.0) / 300_000], rel=1e-3)


# Record


def test_slopes_that_the_steps_have_seen_are_not_evaluated_again() -> None:
    free = Objective.autodiff(lambda theta: anp.sum(theta**4) / 4 + theta[0] * theta[1], 2)
    asked: list[np.ndarray] = []

    def gradient(theta: np.ndarray) -> np.ndarray:
        asked.append(theta)
        return free.gradient(theta)

    path = gradient_flow(dataclasses.replace(free, gradient=gradient), np.array([1.0, 0.3]), t_end=3.0, error_tol=None)
    assert path.n_gradients <= len(asked) <= path.n_gradients + 3 and path.n_steps > 50
    exact = np.array([np.linalg.norm(free.gradient(theta)) for theta in path.states])
    np.testing.assert_allclose(path.gradient_norms, exact, rtol=1e-6)
    assert path.gradient_norms[-1] == pytest.approx(exact[-1], rel=1e-14)


# Drift


def test_a_flow_whose_conserved_quantity_drifts_is_integrated_again_more_finely() -> None:
    model, objective, start = setting(M_3, 1e-4)
    plain = gradient_flow(objective, start, rtol=1e-5)
    drifts = plain.conservation_drift
    assert drifts is not None and drifts > 1e-7
    kept = gradient_flow(objective, start, rtol=1e-5, drift_tol=drifts)
    assert kept.message == plain.message and np.array_equal(kept.states, plain.states)
    finer = gradient_flow(objective, start, rtol=1e-5, drift_tol=1e-9)
    assert finer.conservation_drift is not None and finer.conservation_drift <= 1e-9
    assert finer.status == plain.status and "integrated again with rtol = 1e-0" in finer.message
    assert finer.n_gradients > plain.n_gradients
    assert np.allclose(model.output(finer.final), model.output(plain.final), atol=1e-3)


def test_a_drift_that_no_tolerance_can_meet_is_reported_as_it_is() -> None:
    _, objective, start = setting(M_3, 1e-4)
    path = gradient_flow(objective, start, rtol=1e-12, drift_tol=1e-300)
    assert "rtol = 1e-13" in path.message and path.conservation_drift is not None and path.conservation_drift > 1e-300
    free = Objective.autodiff(lambda theta: anp.sum(theta**2), 2, lower_bound=0.0)
    assert gradient_flow(free, np.ones(2), drift_tol=1e-300).conservation_drift is None
    with pytest.raises(ValueError, match="drift_tol must be positive; got -1"):
        gradient_flow(objective, start, drift_tol=-1.0)
