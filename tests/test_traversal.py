"""Tests of the alpha -> 0 limit: closed forms, published cases, invariances, direct integration, and planted bugs."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from functools import cache, partial
from itertools import count
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures.stage_drifts import random_problem
from gflow_studies.limit_study import LimitOutcome, LimitStudy, limit_case, limit_study
from hypothesis import example, given, settings, strategies as st
from scipy import stats

from gflow.critical import NotConverged, classify
from gflow.escape import residual_escape
from gflow.files import write_arrays
from gflow.flow import Status, Trajectory, gradient_flow
from gflow.flow.rosenbrock import phi_functions
from gflow.graded import graded_flow
from gflow.graded.run import GradedRun
from gflow.limit import (
    Chain,
    Saddle,
    Traversal,
    TraversalStatus,
    chain as chain_module,
    greedy_low_rank,
    saddle_to_saddle,
)
from gflow.limit.law import crossing as crossing_module, frames as frames_module
from gflow.limit.law.frames import FrameFailure, frame_of
from gflow.limit.orbit import settling as settling_module, stages as stages_module, watching as watching_module
from gflow.limit.orbit.curvature import Curvature, Linearised
from gflow.limit.orbit.drift import drift
from gflow.limit.orbit.orbits import Ending
from gflow.limit.orbit.polish import completed, krylov_polish, smallest_off_gauge
from gflow.limit.orbit.rosenbrock import rosenbrock_flow
from gflow.limit.orbit.settling import EndSearch, Sighting
from gflow.limit.orbit.uniqueness import flat_directions, locally_unique
from gflow.limit.orbit.watching import Watch
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion, MatrixSensing

GAP = np.nan
FIGURE_3 = [[4, 0.6, 1.8, 0.8], [6, 0.9, 2.7, GAP], [8, 2.2, 2.6, 1.6], [8, 2.7, 5.1, 3.6]]
TURNING = [[-0.794, -1.261, GAP], [0.851, 1.285, -0.993], [0.607, 1.201, -0.901]]
FIGURE_4 = [[1, GAP, 3], [GAP, 5, GAP], [3, GAP, 9]]
M1 = [[1, 2, GAP], [3, GAP, GAP], [GAP, GAP, 5]]
M2 = [[1, 2, GAP], [3, 4, GAP], [GAP, GAP, 5]]
M3 = [[1, 2, GAP], [3, 4, GAP], [6, GAP, 5]]
C1 = [
    [0.07265231, 0.31207229, 0.71418959, -0.45141992],
    [GAP, 0.05424476, -0.36774122, 2.89388825],
    [GAP, GAP, 1.37316486, 0.40952623],
    [1.37816776, -1.21704834, -0.21809073, GAP],
]
C4 = [
    [0.68086194, -0.58321895, 2.23886185, -0.63350618],
    [0.20908808, -0.02706282, -0.34626125, 0.03536481],
    [GAP, -0.91340837, 3.15498544, -1.07581288],
    [-1.6357994, 0.30917693, 2.13095941, -0.13556047],
]
BLOCKS = [
    [1.3, -0.4, 0.8, GAP, GAP, GAP],
    [-0.7, GAP, 0.5, GAP, GAP, GAP],
    [0.2, 1.1, -0.9, GAP, GAP, GAP],
    [GAP, GAP, GAP, 2.0, 0.3, -1.0],
    [GAP, GAP, GAP, -0.6, 1.4, GAP],
]
"""Two components, learned at ranks 2 and 2, with entries between them."""
LOOSE = [[2.0, 1.0, GAP, -0.5], [1.0, GAP, 0.7, GAP], [GAP, 1.1, 2.0, 0.3], [0.4, GAP, -1.2, GAP]]
"""Ten observations, which a continuum of rank-2 matrices fits."""
CONVERGED = TraversalStatus.CONVERGED
SEEDS = st.integers(0, 2**32 - 1)


@cache
def limit(name: str) -> Traversal:
    """Return the traversal of a published case."""
    return saddle_to_saddle(MatrixCompletion(globals()[name]))


def random_completion(seed: int, d1: int = 4, d2: int = 4, k: int = 2, least: int = 12) -> MatrixCompletion:
    """Return a random problem with data of rank k and at least ``least`` observations."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(d1 * d2, dtype=bool)
    mask[rng.permutation(d1 * d2)[: rng.integers(least, d1 * d2 + 1)]] = True
    return MatrixCompletion(rng.standard_normal((d1, k)) @ rng.standard_normal((k, d2)), mask.reshape(d1, d2))


def growth(path: Trajectory) -> float:
    """Return the power of time with which |theta| grew in the last decade of an orbit."""
    return stages_module.growth(path.times, path.states)


def between(result: Traversal) -> np.ndarray:
    """Return which entries lie between components."""
    return result.std > 0


# closed forms


@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (1, 3), (3, 1), (4, 4)])
def test_saddles_of_a_complete_matrix_are_its_truncated_singular_value_decompositions(shape: tuple[int, int]) -> None:
    M = np.random.default_rng(3).standard_normal(shape)
    U, sigma, Vt = np.linalg.svd(M, full_matrices=False)
    found = saddle_to_saddle(MatrixCompletion(M))
    assert found.status == CONVERGED and len(found.saddles) == len(sigma) + 1
    assert found.matrix == pytest.approx(M, abs=1e-13) and found.order is None and found.log10_alpha(0.1) is None
    for k, saddle in enumerate(found.saddles[:-1]):
        assert saddle.rank == k and saddle.index == (len(sigma) - k) ** 2
        assert saddle.matrix == pytest.approx((U[:, :k] * sigma[:k]) @ Vt[:k], abs=1e-12)
        assert saddle.loss == pytest.approx(np.sum(sigma[k:] ** 2) / M.size, rel=1e-12)
        assert saddle.residual_singular_values[: len(sigma) - k] == pytest.approx(sigma[k:], abs=1e-12)
        assert saddle.escape_rate == pytest.approx(2 * sigma[k] / M.size, rel=1e-12)
        assert saddle.gap == pytest.approx(2 * (sigma[k] - np.append(sigma, 0)[k + 1]) / M.size, rel=1e-9)
        assert saddle.assumption_1 is True and saddle.assumption_2 is True


def test_exponents_and_plateau_times_of_a_complete_matrix_are_those_of_decoupled_modes() -> None:
    M = np.random.default_rng(4).standard_normal((4, 5))
    sigma = np.linalg.svd(M, compute_uv=False)
    found = saddle_to_saddle(MatrixCompletion(M))
    before = 0.0
    for k, saddle in enumerate(found.saddles[:-1]):
        p = 1.0 - sigma[k:] / sigma[k - 1] if k else np.ones(4)
        assert saddle.exponents == pytest.approx(p, abs=1e-9)
        assert saddle.plateau_time == pytest.approx(M.size / 2 * (1 / sigma[k] - before), rel=1e-9)
        before = 1 / sigma[k]
    assert found.saddles[-1].exponents == () and found.saddles[-1].plateau_time is None


@pytest.mark.parametrize(
    ("values", "entry", "learned"),
    [
        ([[0, 1], [2, GAP]], (1, 1), 0.0),
        ([[1, 2], [GAP, 3]], (1, 0), 1.5),
        ([[1, 2], [3, GAP]], (1, 1), 6.0),
        ([[1, 2], [10, GAP]], (1, 1), 20.0),
    ],
)
def test_two_by_two_completions_are_those_of_the_slides(
    values: list[list[float]], entry: tuple[int, int], learned: float
) -> None:
    problem = MatrixCompletion(values)
    found = saddle_to_saddle(problem)
    sigma = np.linalg.svd(problem.values, compute_uv=False)
    assert found.matrix is not None and found.matrix[entry] == pytest.approx(learned, abs=1e-12)
    # locally unique rank-1 completions forget all but the second mode, squared; the first case has rank 2
    order = 2.0 * (1 - sigma[1] / sigma[0]) if learned else 1 - 1 / np.sqrt(2)
    assert found.order == pytest.approx(order, rel=1e-12)


def test_an_arrow_matrix_is_completed_at_rank_one() -> None:
    found = saddle_to_saddle(MatrixCompletion([[1, 2, 3], [GAP, 4, GAP], [GAP, GAP, 9]]))
    assert found.matrix == pytest.approx(np.array([[1, 2, 3], [2, 4, 6], [3, 6, 9]]), abs=1e-12)
    assert found.rank == 1 and found.nuclear_norm == pytest.approx(14, rel=1e-12)


# published cases


def test_figure_3_has_its_published_saddles_and_completed_entry() -> None:
    found = limit("FIGURE_3")
    assert [saddle.loss for saddle in found.saddles] == pytest.approx([16.850667, 0.32652694, 0.05227755, 0], abs=6e-7)
    assert found.singular_values == pytest.approx([15.7792471, 2.0950802, 0.9088445, 0], abs=6e-8)
    assert found.matrix is not None and abs(found.matrix[1, 3] - 1.2) < 1e-9
    assert found.rank == 3 and found.order == pytest.approx(1.63133, abs=5e-5) and found.determined.all()
    assert found.error is not None and abs(found.matrix[1, 3] - 1.2) <= found.error < 1e-11
    assert [saddle.index for saddle in found.saddles] == [16, 9, 4, 0]


@pytest.mark.parametrize(("values", "least"), [(FIGURE_3, 0.8), (TURNING, 0.98)])
def test_the_last_column_of_square_data_arrives_turned_where_the_orientation_changes(
    values: list[list[float]], least: float
) -> None:
    # q = 1.549 of Figure 3 is 2 p without the turn; graded columns show the other exponent
    problem = MatrixCompletion(values)
    model, end, logs = Factorization(problem.shape), saddle_to_saddle(problem).saddles[-1], []
    for power in (-60.0, -100.0):
        limits = {"loss_tol": 1e-26, "gradient_tol": 1e-12, "norm_limit": 1e4}
        start, log_scale = model.random(np.random.default_rng(0)), power * float(np.log(10.0))
        run = GradedRun(problem, model, start, log_scale, 1e-9, np.inf, 200_000, limits)
        assert run.trajectory().status is Status.CONVERGED
        logs.append(run.flow.columns.logs.min() / np.log(10.0))
    assert (logs[0] - logs[1]) / 40.0 == pytest.approx(end.exponents[0], rel=2e-3)
    assert end.exponents[0] > least


def test_without_the_turn_that_exponent_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossing_module, "orientations", lambda *_: None)
    assert saddle_to_saddle(MatrixCompletion(FIGURE_3)).order == pytest.approx(1.549, abs=1e-3)


@pytest.mark.parametrize(("number", "status"), [(140, "undecided"), (272, "converged")])
def test_orbits_that_come_to_rest_far_away_do_not_diverge(number: int, status: str) -> None:
    # |theta| grows by t^(1/6) over ten decades of time before these orbits rest; C1 grows by t^(1/4) for ever
    found = saddle_to_saddle(random_problem(0, number, 4, (1, 2, 3)))
    assert str(found.status) == status
    # whether the last slope is seen to vanish or sinks into rounding, the size is that of the rest
    assert number == 272 or " 48.5" in found.reason


def test_a_step_without_a_unique_solution_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [[GAP, 0, GAP, 1, 10, 6], [-2, 0, -2, GAP, -4, 0], [GAP, GAP, -5, GAP, GAP, GAP]]
    rows += [[-3, GAP, 3, 18, 3, GAP], [GAP, GAP, GAP, 11, -1, GAP], [GAP, -2, GAP, GAP, GAP, 4]]
    assert saddle_to_saddle(MatrixCompletion(rows), rank=2).status in TraversalStatus
    solved, calls = Linearised.solved, count()

    def singular(self: Linearised, *arguments: Any) -> np.ndarray:
        if next(calls) % 5 == 2:
            raise np.linalg.LinAlgError
        return solved(self, *arguments)

    monkeypatch.setattr(Linearised, "solved", singular)
    path, exact = drifting(1e-5)
    assert next(calls) > 50 and np.linalg.norm(path.final - exact) < 1e-3


@pytest.mark.parametrize(
    ("values", "order"),
    [
        ([[2, 0.5, GAP], [0.5, 1, GAP], [GAP, GAP, 1.5]], 2 * (1 - (3 - np.sqrt(2)) / (3 + np.sqrt(2)))),
        ([[3, 0, GAP], [0, 1, GAP], [GAP, GAP, 1.5]], 4 / 3),
        ([[3, 1, 0, GAP], [1, 2, 0, GAP], [GAP, GAP, GAP, 1.5]], 1.0),
    ],
)
def test_entries_between_whole_components_converge_with_the_order_of_their_frames(
    values: list[list[float]], order: float
) -> None:
    # square components of full rank leave no mode to further columns; a kernel keeps one at alpha
    problem = MatrixCompletion(values)
    model = Factorization(problem.shape)
    start = model.random(np.random.default_rng(1))
    limit = saddle_to_saddle(problem, start)
    distances = []
    for power in (-5.0, -6.5):
        path = graded_flow(problem, start, log_scale=power * float(np.log(10.0)), loss_tol=1e-28, rtol=1e-11)
        distances.append(float(np.abs(model.output(path.final) - limit.matrix).max()))
    assert limit.order == pytest.approx(order, rel=1e-9)
    assert np.log10(distances[0] / distances[1]) / 1.5 == pytest.approx(order, rel=0.03)


def test_figure_4_has_its_published_law() -> None:
    found = limit("FIGURE_4")
    assert [(saddle.component, saddle.loss) for saddle in found.saddles] == [(0, 20), (0, 0), (1, 5), (1, 0)]
    assert found.std[0, 1] == pytest.approx(np.sqrt(5 / 3), rel=1e-12) == found.std[1, 0]
    assert found.std[found.determined].max() == 0 and found.determined.sum() == 5
    assert found.rank == 2 and found.nuclear_norm == pytest.approx(15, rel=1e-12)
    matrix = found.to_dict()["matrix"]
    assert matrix[0][1] is None and matrix[1][0] is None and matrix[1][1] == pytest.approx(5)


def test_figure_4_is_symmetric_of_rank_two_and_nuclear_norm_15_for_every_seed() -> None:
    problem, seen = MatrixCompletion(FIGURE_4), set()
    for seed in range(8):
        found = saddle_to_saddle(problem, rng=np.random.default_rng(seed))
        W = found.matrix
        assert W is not None and found.rank == 2 and found.nuclear_norm == pytest.approx(15, rel=1e-10)
        assert W == pytest.approx(W.T, abs=1e-9) and abs(W[0, 1]) <= np.sqrt(5)
        assert W[1] == pytest.approx([W[0, 1], 5, 3 * W[0, 1]], abs=1e-9)
        seen.add(round(float(W[0, 1]), 6))
    assert len(seen) == 8


def test_greedy_low_rank_learning_differs_from_the_flow_on_disconnected_data_only() -> None:
    greedy = greedy_low_rank(MatrixCompletion(FIGURE_4))
    assert greedy.status == CONVERGED and greedy.end.rank == 2
    assert greedy.end.matrix == pytest.approx(np.array([[1, 0, 3], [0, 5, 0], [3, 0, 9]]), abs=1e-9)
    for name in ("FIGURE_3", "M3"):
        connected = greedy_low_rank(MatrixCompletion(globals()[name]))
        assert connected.end.matrix == pytest.approx(limit(name).matrix, abs=1e-8)


def test_m1_and_m2_leave_the_entries_between_components_to_the_start() -> None:
    assert (limit("M1").std > 0).sum() == (limit("M2").std > 0).sum() == 4
    assert limit("M1").matrix[1, 1] == pytest.approx(6) and limit("M1").rank == 2
    assert limit("M2").rank == 3


def test_m3_is_learned_at_rank_two_with_its_published_order() -> None:
    found = limit("M3")
    assert found.rank == 2 and found.order == pytest.approx(0.452, abs=5e-4)
    assert found.chains[0].unique is False and found.error is not None and found.error < 1e-6


def test_c1_runs_to_infinity_at_rank_two() -> None:
    found = limit("C1")
    assert found.status == TraversalStatus.DIVERGING and found.matrix is None and found.rank is None
    assert "|theta| grows as t^0.25" in found.reason and found.to_dict()["matrix"] is None
    last = found.chains[0].orbits[-1]
    assert last.final_loss * found.chains[0].saddles[0].loss > 0
    assert not found.determined.any() and found.error is None and found.order is None
    with pytest.raises(ValueError, match="no limit to sample"):
        found.sample(np.random.default_rng(0), 1)


def test_c4_is_slow_and_converges_at_rank_three() -> None:
    found = limit("C4")
    assert [saddle.loss for saddle in found.saddles[1:]] == pytest.approx([0.238642071, 2.58270183e-4, 0], rel=2e-9)
    assert found.rank == 3 and found.matrix is not None
    assert found.chains[0].orbits[-1].times[-1] > 1e7
    exact = 0.44930341868937023591  # where the determinant vanishes
    assert found.error is not None and abs(found.matrix[2, 0] - exact) < found.error < 1e-10


def test_the_error_of_a_best_fit_of_reduced_width_is_not_its_misfit() -> None:
    a, b = np.array([1.0, 2.0, 1.5]), np.array([1.0, 0.5, 2.0])
    W = np.outer(a, b)  # the residual below is orthogonal to all that moves a b^T: it is the best fit, gaps included
    left = np.array([[GAP, 0.1, -0.1], [-0.1, GAP, 0.1], [0.1, -0.1, GAP]]) / W
    found = saddle_to_saddle(MatrixCompletion(W + left), rank=1)
    assert found.status == TraversalStatus.CONVERGED and found.matrix is not None and found.error is not None
    assert np.abs(found.matrix - W).max() <= found.error < 1e-12 < found.saddles[-1].loss


def test_equal_top_singular_values_are_degenerate() -> None:
    found = saddle_to_saddle(MatrixCompletion([[0, 1], [1, GAP]]))
    assert found.status == TraversalStatus.DEGENERATE and "repeated" in found.reason
    assert found.saddles[0].assumption_1 is False and found.matrix is None


# invariances

PERMUTED = st.permutations(range(4))


@settings(max_examples=6)
@given(PERMUTED, PERMUTED, st.integers(0, 30), st.sampled_from([-1.0, 1.0]))
def test_the_limit_moves_along_with_permutations_and_signs(
    rows: list[int], columns: list[int], seed: int, sign: float
) -> None:
    problem = random_completion(seed)
    M = problem.with_gaps()
    plain, moved = saddle_to_saddle(problem), saddle_to_saddle(MatrixCompletion(sign * M[np.ix_(rows, columns)]))
    assert plain.status == moved.status
    if plain.matrix is not None and plain.error is not None:
        expected = sign * plain.matrix[np.ix_(rows, columns)]
        assert moved.matrix == pytest.approx(expected, abs=1e-8 + 10 * plain.error)


@settings(max_examples=6)
@given(st.integers(0, 30))
@example(14)
def test_the_limit_of_the_transpose_is_the_transpose(seed: int) -> None:
    problem = random_completion(seed, 3, 5, least=9)
    plain, turned = saddle_to_saddle(problem), saddle_to_saddle(problem.transpose)
    assert plain.status == turned.status
    if plain.matrix is not None and turned.matrix is not None:
        assert turned.matrix.T == pytest.approx(plain.matrix, abs=1e-8 + 10 * (plain.error or 0.0))
        assert (turned.order is None) == (plain.order is None)
        assert plain.order is None or turned.order == pytest.approx(plain.order, rel=1e-6)


@pytest.mark.parametrize("name", ["FIGURE_3", "FIGURE_4", "M3", "C1", "C4"])
@pytest.mark.parametrize("factor", [1e-150, 1e-6, 1e6, 1e149])
def test_the_limit_scales_with_the_data(name: str, factor: float) -> None:
    plain, scaled = limit(name), saddle_to_saddle(MatrixCompletion(globals()[name]).rescaled(factor))
    assert scaled.status == plain.status
    if plain.matrix is None:
        return
    assert scaled.matrix is not None and plain.error is not None and scaled.error is not None
    assert scaled.matrix / factor == pytest.approx(plain.matrix, abs=1e-8)
    assert scaled.order == pytest.approx(plain.order, rel=1e-6)
    assert [s.escape_rate / factor for s in scaled.saddles] == pytest.approx([s.escape_rate for s in plain.saddles])
    assert [s.loss / factor / factor for s in scaled.saddles] == pytest.approx(
        [s.loss for s in plain.saddles], rel=1e-8
    )
    json.dumps(scaled.to_dict(), allow_nan=False)


# saddles against the dense spectrum of the whole model


@pytest.mark.parametrize("name", ["FIGURE_3", "FIGURE_4", "M1", "M3", "C4"])
def test_every_embedded_saddle_is_a_critical_point_with_its_index_and_multiplicity(name: str) -> None:
    problem = MatrixCompletion(globals()[name])
    model = Factorization(problem.shape)
    objective = Objective.of(problem, model)
    found = limit(name)
    for saddle in found.saddles:
        theta = saddle.embed(model)
        assert np.linalg.norm(objective.gradient(theta)) <= 1e-11 or len(found.chains) > 1
        if len(found.chains) > 1:
            continue
        point = classify(objective, theta)
        assert point.index == saddle.index and point.value == pytest.approx(saddle.loss, rel=1e-9, abs=1e-17)
        if saddle.escape_rate:
            assert point.escape_rate == pytest.approx(saddle.escape_rate, rel=1e-9)
            known = residual_escape(problem, model, theta)
            assert point.multiplicity == known.multiplicity == model.rank - saddle.rank


def test_the_index_of_a_component_is_that_of_its_own_full_width_model() -> None:
    found = saddle_to_saddle(MatrixCompletion(BLOCKS))
    for saddle in found.saddles:
        part = MatrixCompletion(BLOCKS).restricted(saddle.rows, saddle.columns)
        model = Factorization(part.shape, found.width)
        A, B = np.zeros((part.shape[0], found.width)), np.zeros((found.width, part.shape[1]))
        A[:, : saddle.rank], B[: saddle.rank] = saddle.A, saddle.B
        point = classify(Objective.of(part, model), model.theta(A, B))
        assert point.index == saddle.index and point.gradient_norm <= 1e-12


@pytest.mark.parametrize("name", ["FIGURE_3", "M3", "C4"])
def test_mu_is_the_eigenvalue_above_the_gauge_zeros(name: str) -> None:
    problem = MatrixCompletion(globals()[name])
    for saddle in limit(name).saddles[1:-1]:
        model = Factorization(problem.shape, saddle.rank)
        values = np.linalg.eigvalsh(Objective.of(problem, model).hessian(model.theta(saddle.A, saddle.B)))
        assert saddle.flat == 0 and saddle.mu == pytest.approx(values[saddle.rank**2], rel=1e-6)
        assert saddle.curvature == pytest.approx(values[-1], rel=1e-9)
        assert abs(values[saddle.rank**2 - 1]) < 1e-3 * saddle.mu


def test_a_soft_mu_is_found_by_count_and_not_by_a_relative_cut() -> None:
    soft = [saddle for saddle in limit("C4").saddles if saddle.mu is not None and saddle.mu < 1e-3 * saddle.curvature]
    assert soft and all(saddle.flat == 0 for saddle in soft)


def test_factors_of_every_saddle_are_balanced() -> None:
    for saddle in limit("M3").saddles + limit("C4").saddles:
        assert saddle.A.T @ saddle.A == pytest.approx(saddle.B @ saddle.B.T, abs=1e-12)


# edge cases


def test_zero_data_give_the_zero_matrix() -> None:
    found = saddle_to_saddle(MatrixCompletion([[0.0, 0.0], [0.0, GAP]]))
    assert found.status == CONVERGED and found.rank == 0 and found.nuclear_norm == 0
    assert (found.matrix == 0).all() and found.determined.all() and len(found.saddles) == 1
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_rows_and_columns_without_observations_tend_to_zero_and_are_reported() -> None:
    inner = np.array([[2, 1, GAP], [1, 3, 5.0]])
    values = np.full((3, 4), GAP)
    values[np.ix_([0, 2], [0, 1, 3])] = inner
    found = saddle_to_saddle(MatrixCompletion(values), rng=np.random.default_rng(1))
    plain = saddle_to_saddle(MatrixCompletion(inner))
    assert found.warnings == (
        "row 2 has no observation: its entries tend to 0",
        "column 3 has no observation: its entries tend to 0",
    )
    assert found.matrix is not None and (found.matrix[1] == 0).all() and (found.matrix[:, 2] == 0).all()
    assert found.matrix[np.ix_([0, 2], [0, 1, 3])] == pytest.approx(plain.matrix, abs=1e-8)


def test_a_narrow_model_ends_at_positive_loss_and_says_so() -> None:
    narrow = saddle_to_saddle(MatrixCompletion(FIGURE_3), rank=2)
    assert narrow.status == CONVERGED and narrow.rank == 2
    assert narrow.saddles[-1].loss == pytest.approx(limit("FIGURE_3").saddles[2].loss, rel=1e-9)
    assert any("its data are not interpolated" in line for line in narrow.warnings)


def test_a_wide_model_has_the_same_limit_with_more_negative_directions() -> None:
    wide = saddle_to_saddle(MatrixCompletion(FIGURE_3), rank=6)
    assert wide.matrix == pytest.approx(limit("FIGURE_3").matrix, abs=1e-9)
    assert [saddle.index for saddle in wide.saddles] == [24, 15, 8, 0]


def test_width_shrinks_the_law_between_components() -> None:
    wide = saddle_to_saddle(MatrixCompletion(FIGURE_4), rank=12)
    assert wide.std[0, 1] == pytest.approx(np.sqrt(5 / 12), rel=1e-12)


def test_a_repeated_singular_value_below_the_first_is_degenerate_at_its_own_saddle() -> None:
    found = saddle_to_saddle(MatrixCompletion(np.diag([3.0, 1.0, 1.0])))
    assert found.status == TraversalStatus.DEGENERATE and "at rank 1" in found.reason
    assert found.saddles[1].assumption_1 is False and found.saddles[0].assumption_1 is True


def test_rank_deficient_complete_data_end_at_their_rank() -> None:
    M = np.outer([1.0, 2.0, -1.0], [3.0, 1.0, 0.5, 1.0])
    found = saddle_to_saddle(MatrixCompletion(M))
    assert found.rank == 1 and len(found.saddles) == 2 and found.matrix == pytest.approx(M, abs=1e-13)


def test_observed_zeros_that_leave_the_escape_inside_the_active_span_are_undecided() -> None:
    found = saddle_to_saddle(MatrixCompletion([[3, 1, 0], [1, 2, GAP], [GAP, GAP, 1]]))
    assert found.status == TraversalStatus.UNDECIDED and "multiplicity 2 instead of 1" in found.reason


@pytest.mark.parametrize("small", [1e-3, 1e-4])
def test_a_large_completion_is_reached_and_is_not_called_infinity(small: float) -> None:
    found = saddle_to_saddle(MatrixCompletion([[small, 1], [1, GAP]]))
    assert found.status == CONVERGED and found.matrix is not None
    assert found.matrix[1, 1] == pytest.approx(1 / small, rel=1e-6)
    assert any("approached only as alpha^" in line for line in found.warnings)


def test_infinity_is_told_by_the_power_of_time_with_which_factors_grow() -> None:
    path = limit("C1").chains[0].orbits[-1]
    assert path.status == Status.DIVERGING and growth(path) == pytest.approx(0.25, abs=0.02)
    falling = saddle_to_saddle(MatrixCompletion([[0, -2, 0], [0, -2, 1], [-1, 2, GAP]]))  # det = 2, whatever W_33 is
    assert falling.status == TraversalStatus.DIVERGING
    assert growth(falling.chains[0].orbits[-1]) == pytest.approx(1 / 6, abs=0.01)
    assert growth(limit("C4").chains[0].orbits[-1]) < 0.05
    times = np.geomspace(1.0, 1e4, 200)
    assert not stages_module.grows(times, (times**0.1)[:, None])
    assert stages_module.grows(times, (times**0.25)[:, None])
    late = np.where(times < 1e3, 1.0, (times / 1e3) ** 0.25)
    assert not stages_module.grows(times, late[:, None])


@pytest.mark.parametrize("tilt", [1e-3, 1e-6])
def test_nearly_equal_singular_values_give_a_tiny_order_a_warning_and_an_honest_error(tilt: float) -> None:
    found = saddle_to_saddle(MatrixCompletion(np.diag([2.0, 2.0 - tilt, 1.0])[:, :2]))
    assert found.status == CONVERGED and found.saddles[0].gap == pytest.approx(tilt * 2 / 6, rel=1e-6)
    assert found.error is not None and found.error >= 1e-16 / tilt
    nearly = saddle_to_saddle(MatrixCompletion([[tilt, 1], [1.0, GAP]]), norm_limit=1e4)
    assert nearly.status != CONVERGED or nearly.order == pytest.approx(2 * tilt, rel=0.1)


def test_simple_tol_sets_what_counts_as_repeated() -> None:
    problem = MatrixCompletion(np.diag([2.0, 1.9]))
    assert saddle_to_saddle(problem, simple_tol=0.06).status == TraversalStatus.DEGENERATE
    assert saddle_to_saddle(problem, simple_tol=0.04).status == CONVERGED


def test_a_continuum_of_saddles_remembers_the_way_to_it() -> None:
    problem = MatrixCompletion([[2.0, 1.0, -1.0, 0.5], [1.0, 3.0, 0.7, GAP], [-0.4, 1.1, 2.0, GAP]])
    found = saddle_to_saddle(problem)
    flat = [saddle for saddle in found.saddles[:-1] if saddle.flat]
    assert found.status == CONVERGED and [saddle.rank for saddle in flat] == [2]
    model = Factorization(problem.shape)
    start = model.random(np.random.default_rng(5))
    path = graded_flow(problem, 1e-100 * start, loss_tol=1e-24)
    assert found.matrix is not None and found.order is not None
    assert np.abs(model.output(path.final) - found.matrix).max() <= 10 ** (-60 * found.order)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": np.zeros(3)}, r"start must be finite and of shape \(18,\)"),
        ({"start": np.full(18, np.inf)}, "start must be finite"),
        ({"start": np.zeros(18), "rng": np.random.default_rng(0)}, "start or rng, not both"),
        ({"rank": 0}, "rank must be a positive integer"),
        ({"rtol": 0.5}, "rtol must lie between 1e-13 and 1e-2"),
        ({"simple_tol": -1.0}, "simple_tol must lie between 0 and 1"),
        ({"norm_limit": 1.0}, "norm_limit must exceed 1"),
        ({"max_evaluations": 0}, "max_evaluations must be a positive integer"),
    ],
)
def test_bad_input_is_refused_with_its_rule(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        saddle_to_saddle(MatrixCompletion(FIGURE_4), **arguments)  # type: ignore[arg-type]


def test_only_completion_problems_are_accepted() -> None:
    with pytest.raises(TypeError, match=r"must be a MatrixCompletion, an array.*; got MatrixSensing"):
        saddle_to_saddle(MatrixSensing.of_completion(MatrixCompletion(np.eye(2))))
    with pytest.raises(ValueError, match="accuracy must lie between 0 and 1"):
        limit("M3").log10_alpha(2.0)


def test_a_spent_budget_is_undecided() -> None:
    found = saddle_to_saddle(MatrixCompletion(C4), max_evaluations=60)
    assert found.status == TraversalStatus.UNDECIDED and found.matrix is None


# entries between components


def test_a_generator_means_the_start_that_it_draws() -> None:
    problem = MatrixCompletion(BLOCKS)
    start = Factorization(problem.shape).random(np.random.default_rng(7))
    drawn, given_start = saddle_to_saddle(problem, rng=np.random.default_rng(7)), saddle_to_saddle(problem, start)
    assert np.array_equal(drawn.matrix, given_start.matrix) and drawn.from_start
    assert np.array_equal(saddle_to_saddle(problem, 1e-30 * start).matrix.round(9), given_start.matrix.round(9))


@pytest.mark.parametrize("seed", range(6))
def test_frames_and_their_signs_are_those_of_direct_integration(seed: int) -> None:
    problem = MatrixCompletion(BLOCKS)
    model = Factorization(problem.shape, 4)
    start = model.random(np.random.default_rng(seed))
    found = saddle_to_saddle(problem, start, rank=4)
    assert found.matrix is not None and [each.end.rank for each in found.chains] == [2, 2]
    assert np.abs(found.matrix[between(found)]).max() > 0.1
    needed = found.log10_alpha(1e-7)
    assert needed is not None and needed > -200
    path = graded_flow(problem, 10**needed * start, rank=4, rtol=1e-11, loss_tol=1e-24)
    assert model.output(path.final) == pytest.approx(found.matrix, abs=1e-6)


def test_frames_agree_with_the_ordinary_gradient_flow() -> None:
    problem = MatrixCompletion(FIGURE_4)
    model = Factorization(problem.shape)
    objective = Objective.of(problem, model)
    for seed in range(3):
        start = model.random(np.random.default_rng(seed))
        found = saddle_to_saddle(problem, start)
        gaps = []
        for alpha in (1e-3, 1e-5):
            path = gradient_flow(objective, alpha * start, rtol=1e-11)
            gaps.append(float(np.abs(model.output(path.final) - found.matrix).max()))
        # an error of first order with a factor log(1/alpha) or a small constant, depending on the start
        assert gaps[1] < 1e-3 and np.log10(gaps[0] / gaps[1]) / 2 > 0.9 * found.order


def test_frames_of_repeated_singular_values_are_degenerate() -> None:
    values = np.full((3, 3), GAP)
    values[:2, :2], values[2, 2] = np.diag([2.0, 2.0]), 1.0
    assert saddle_to_saddle(MatrixCompletion(values)).status == TraversalStatus.DEGENERATE


def test_a_component_whose_data_have_a_rank_below_the_learned_one_has_no_frame_by_these_formulas() -> None:
    problem = MatrixCompletion(BLOCKS)
    model = Factorization(problem.shape)
    start = model.random(np.random.default_rng(0))
    learned = saddle_to_saddle(problem).chains[0]
    poor = MatrixCompletion(np.ones(problem.shape))
    with pytest.raises(FrameFailure, match="a rank below 2") as failure:
        frame_of(poor, model, learned, start, 1e-9)
    assert failure.value.status == TraversalStatus.UNDECIDED


def test_samples_follow_the_uniform_law_of_figure_4() -> None:
    draws = limit("FIGURE_4").sample(np.random.default_rng(0), 2000)
    entries = draws[:, 0, 1]
    assert draws.shape == (2000, 3, 3) and np.abs(entries - draws[:, 1, 0]).max() <= 1e-12
    uniform = stats.uniform(-np.sqrt(5), 2 * np.sqrt(5))
    assert stats.kstest(entries, uniform.cdf).pvalue > 0.01
    assert stats.kstest(entries, stats.uniform(-2, 4).cdf).pvalue < 1e-6


def test_samples_have_the_stated_mean_and_deviation() -> None:
    found = saddle_to_saddle(MatrixCompletion(BLOCKS), rank=4)
    draws = found.sample(np.random.default_rng(1), 4000)
    assert draws.mean(axis=0) == pytest.approx(found.matrix, abs=5 * found.std.max() / np.sqrt(4000))
    assert draws.std(axis=0) == pytest.approx(found.std, rel=0.06, abs=1e-9)


def test_limits_of_gaussian_starts_have_the_sampled_distribution() -> None:
    problem = MatrixCompletion(FIGURE_4)
    seeds = np.random.default_rng(2).spawn(40)
    entries = [saddle_to_saddle(problem, rng=rng).matrix[0, 1] for rng in seeds]  # type: ignore[index]
    assert stats.kstest(entries, stats.uniform(-np.sqrt(5), 2 * np.sqrt(5)).cdf).pvalue > 0.01


# the order of convergence


def fitted_order(problem: MatrixCompletion, found: Traversal, start: np.ndarray, where: np.ndarray) -> float:
    """Return the slope of log error against log alpha of direct runs, at errors from 1e-3 down to about 1e-7."""
    assert found.order is not None and found.matrix is not None
    model = Factorization(problem.shape, found.width)
    decades = np.array([4.0, 7.0]) / found.order
    errors = []
    for decade in decades:
        path = graded_flow(problem, 10**-decade * start, rank=found.width, rtol=1e-12, loss_tol=1e-26)
        errors.append(np.abs(model.output(path.final) - found.matrix)[where].max())
    return float(np.log10(errors[0] / errors[1]) / (decades[1] - decades[0]))


@pytest.mark.parametrize("values", [[[1, 2], [3, GAP]], [[1, 2], [GAP, 3]], M3, [[0, 1], [2, GAP]]])
def test_direct_runs_approach_the_limit_with_the_predicted_order(values: list[list[float]]) -> None:
    problem = MatrixCompletion(values)
    found = saddle_to_saddle(problem, rtol=1e-11)
    start = Factorization(problem.shape).random(np.random.default_rng(2))
    assert fitted_order(problem, found, start, ~problem.observed) == pytest.approx(found.order, rel=0.05)


def test_entries_between_components_converge_with_the_order_of_the_frames() -> None:
    problem = MatrixCompletion(BLOCKS)
    start = Factorization(problem.shape, 4).random(np.random.default_rng(3))
    found = saddle_to_saddle(problem, start, rank=4, rtol=1e-11)
    inside = [each.order for each in found.chains if each.order is not None]
    assert found.order == min(each.frame_order for each in found.chains)  # type: ignore[type-var]
    assert found.order < 0.5 * min(inside)
    assert fitted_order(problem, found, start, between(found)) == pytest.approx(found.order, rel=0.05)


def test_a_wholly_observed_component_has_frames_of_the_order_of_its_singular_value_ratio() -> None:
    sigma = np.array([2.0, 1.6])
    values = np.full((3, 3), GAP)
    values[:2, :2], values[2, 2] = np.array([[0.6, -0.8], [0.8, 0.6]]) * sigma, 1.0
    problem = MatrixCompletion(values)
    start = Factorization(problem.shape).random(np.random.default_rng(0))
    found = saddle_to_saddle(problem, start, rtol=1e-11)
    assert found.order == pytest.approx(2.0 / 1.6 - 1, rel=1e-9)
    assert fitted_order(problem, found, start, between(found)) == pytest.approx(found.order, rel=0.05)


def test_the_alpha_for_an_accuracy_counts_the_growth_of_passive_modes_along_slow_orbits() -> None:
    assert limit("M3").log10_alpha(1e-4) == pytest.approx(-4 / limit("M3").order, rel=1e-9)  # type: ignore[operator]
    slow = limit("C4")
    assert slow.saddles[-1].gain is not None and slow.saddles[-1].gain > 100
    needed = slow.log10_alpha(1e-2)
    assert needed is not None and needed < 10 * np.log10(1e-2) / slow.order  # type: ignore[operator]


# stages, solvers and their guards


def test_phi_functions_are_the_integrals_that_define_them() -> None:
    z = np.array([-40.0, -1.0, -0.100001, -0.0999, -1e-9, 0.0, 0.3, 2.0])
    s, weights = np.polynomial.legendre.leggauss(60)
    s, weights = (s + 1) / 2, weights / 2
    for found, power, factorial in zip(phi_functions(z), (0, 2, 3), (1, 2, 6), strict=True):
        expected = np.exp(np.outer(z, 1 - s)) @ (weights * s**power) / factorial
        assert found == pytest.approx(expected, rel=1e-11)


def test_the_exponential_rosenbrock_method_is_of_order_five() -> None:
    problem = random_completion(0)
    model = Factorization(problem.shape, 2)
    objective = Objective.of(problem.normalized, model)
    start = model.random(np.random.default_rng(0))
    errors, steps = [], []
    for rtol in (1e-6, 1e-9):
        path = rosenbrock_flow(
            objective,
            np.zeros(model.dim),
            start,
            rtol=rtol,
            watch=lambda t, *_: t >= 3.0,
            norm_limit=1e3,
            max_steps=500,
        )
        exact = gradient_flow(objective, start, method="DOP853", rtol=1e-13, t_end=float(path.times[-1])).final
        errors.append(float(np.linalg.norm(path.final - exact)))
        steps.append(path.n_steps / path.times[-1])
    assert 4.3 < np.log(errors[0] / errors[1]) / np.log(steps[1] / steps[0]) < 6.5
    assert errors[1] < 1e-8


def test_the_quick_hessian_is_that_of_the_objective() -> None:
    problem = random_completion(3, 3, 5).normalized
    model = Factorization(problem.shape, 2)
    objective, curvature = Objective.of(problem, model), Curvature(problem, model)
    theta = model.random(np.random.default_rng(0))
    r, J = curvature.residual(theta), curvature.jacobian(theta)
    assert r @ r == pytest.approx(objective.value(theta), rel=1e-13)
    assert 2 * J.T @ r == pytest.approx(objective.gradient(theta), abs=1e-13)
    assert curvature.hessian(theta) == pytest.approx(objective.hessian(theta), abs=1e-13)
    assert curvature.assembled(J, 0 * r) == pytest.approx(2 * J.T @ J, abs=1e-13)


def drifting(tol: float) -> tuple[Trajectory, np.ndarray]:
    """Return a slow rank-1 flow by implicit steps, and the state at its last time by explicit ones."""
    problem = MatrixCompletion([[0.1, 1], [1, GAP]])
    model = Factorization(problem.shape, 1)
    objective, start = Objective.of(problem, model), np.array([0.4, 1.0, 0.9, 0.5])
    first = gradient_flow(objective, start, method="DOP853", rtol=1e-12, t_end=20.0)
    curvature = Curvature(problem, model)
    path = drift(
        objective,
        curvature,
        first,
        watch=lambda t, *_: t >= 200.0,
        escapes=lambda *_: False,
        tol=tol,
        max_steps=3000,
    )
    end = float(path.times[-1])
    return path, gradient_flow(objective, start, method="DOP853", rtol=1e-12, t_end=end).final


def test_implicit_steps_follow_the_flow_to_second_order() -> None:
    errors, steps = [], []
    for tol in (1e-5, 1e-8):
        path, exact = drifting(tol)
        errors.append(float(np.linalg.norm(path.final - exact)))
        steps.append(int((path.times > 20.0).sum()))
    order = np.log(errors[0] / errors[1]) / np.log(steps[1] / steps[0])
    assert 1.7 < order < 2.5 and errors[0] < 1e-3


def test_a_drift_along_a_narrow_valley_takes_few_steps() -> None:
    path = limit("C1").chains[0].orbits[-1]
    assert path.method == "exponential Rosenbrock, then implicit steps"
    assert path.n_steps < 250 and path.monotonicity_defect < 1e-9


def test_a_drift_ends_where_it_is_told_to() -> None:
    problem = MatrixCompletion([[0.1, 1], [1, GAP]])
    model = Factorization(problem.shape, 1)
    objective = Objective.of(problem, model)
    first = gradient_flow(objective, np.array([0.4, 1.0, 0.9, 0.5]), method="DOP853", t_end=20.0)

    def ended(escapes: bool, max_steps: int) -> Status:
        curvature, never = Curvature(problem, model), lambda *_: False
        options = {"escapes": lambda *_: escapes, "max_steps": max_steps}
        return drift(objective, curvature, first, watch=never, **options).status

    assert ended(True, 10) == Status.DIVERGING
    assert ended(False, 3) == Status.BUDGET and ended(False, 3000) == Status.CONVERGED


def test_orbits_descend_and_keep_what_is_conserved() -> None:
    for path in limit("C4").chains[0].orbits + limit("M3").chains[0].orbits:
        assert path.monotonicity_defect <= 1e-6
        assert path.conservation_drift is not None and path.conservation_drift <= 1e-3


def test_a_median_problem_costs_few_gradients() -> None:
    costs = []
    for seed in range(20):
        found = saddle_to_saddle(random_completion(seed, least=10))
        costs.append(sum(path.n_gradients for each in found.chains for path in each.orbits))
    assert np.median(costs) <= 400 and max(costs) <= 6000


def test_a_watch_stops_at_a_minimum_and_not_at_a_saddle_inside() -> None:
    problem = MatrixCompletion([[0.0, 1.0], [2.0, GAP]]).normalized
    model = Factorization(problem.shape, 1)
    objective = Objective.of(problem, model)
    search = EndSearch(problem, model, objective, Curvature(problem, model))
    watch = Watch(search, 1e-7, 1e-9, stop_at_valley=True, compares_factors=False)
    side = np.sqrt(2.0 / MatrixCompletion([[0.0, 1.0], [2.0, GAP]]).unit)
    saddle = model.theta(np.array([[0.0], [side]]), np.array([[side, 0.0]]))
    assert classify(objective, saddle).index == 1
    assert watch.polished(saddle + 1e-5 * np.array([1.0, 0, 0, 1.0]), 0.1) == Sighting.NEAR_SADDLE
    assert 1e-6 < watch.distance < 1e-4


def test_a_stage_that_meets_a_saddle_inside_exactly_says_so() -> None:
    found = saddle_to_saddle(MatrixCompletion([[0, 1], [2, GAP]]))
    assert found.saddles[1].assumption_2 is False and found.saddles[1].index == 2
    assert found.status == CONVERGED and any("Assumption 2 fails at rank 1" in line for line in found.warnings)


def test_the_same_points_are_reached_with_and_without_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = random_completion(1, 6, 6, 2, least=30)
    plain = saddle_to_saddle(problem)
    for module, name in (
        (settling_module, "DENSE_POLISH"),
        (stages_module, "DENSE_POLISH"),
        (stages_module, "EIGEN_DIM"),
    ):
        monkeypatch.setattr(module, name, 0)
    large = saddle_to_saddle(problem)
    assert large.matrix == pytest.approx(plain.matrix, abs=1e-8) and large.status == plain.status == CONVERGED
    assert {path.method for path in large.chains[0].orbits} == {"DOP853"}


def test_the_krylov_polish_finds_the_critical_point_of_the_dense_one() -> None:
    problem = MatrixCompletion(FIGURE_3).normalized
    saddle = limit("FIGURE_3").saddles[2]
    model = Factorization(problem.shape, 2)
    objective = Objective.of(problem, model)
    unit = np.sqrt(MatrixCompletion(FIGURE_3).unit)
    exact = model.theta(saddle.A, saddle.B) / unit
    near = exact + 1e-4 * np.random.default_rng(0).standard_normal(model.dim)
    assert model.output(krylov_polish(objective, model, near, radius=0.1)) == pytest.approx(
        model.output(exact), abs=1e-9
    )
    with pytest.raises(NotConverged):
        krylov_polish(objective, model, 2.0 * near, radius=0.01)
    found = smallest_off_gauge(partial(objective.hvp, exact), objective, model, exact)
    values = np.linalg.eigvalsh(objective.hessian(exact))
    assert found.value == pytest.approx(values[4], rel=1e-6) and found.largest == pytest.approx(values[-1], rel=1e-9)


def test_local_uniqueness_is_the_rank_of_the_jacobian() -> None:
    unique = saddle_to_saddle(MatrixCompletion([[1, 2], [3, GAP]]))
    assert unique.chains[0].unique is True
    loose = MatrixCompletion(M3)
    end = limit("M3").saddles[-1]
    assert locally_unique(loose, end.A, end.B) is False
    assert locally_unique(loose, np.zeros((3, 0)), np.zeros((0, 3))) is True
    model = Factorization(loose.shape, 2)
    theta = model.theta(end.A, end.B)
    assert not flat_directions(loose, model, theta, np.eye(model.dim))
    gauge = model.theta(end.A @ np.diag([1.0, 0.0]), -np.diag([1.0, 0.0]) @ end.B)
    assert flat_directions(loose, model, theta, gauge[:, None] / np.linalg.norm(gauge))


def test_gauss_newton_steps_of_least_length_give_up_where_there_is_no_completion() -> None:
    problem = MatrixCompletion(np.diag([2.0, 1.0]))
    model = Factorization(problem.shape, 1)
    assert completed(problem, model, np.array([1.4, 0.1, 1.4, 0.1])) is None


# files


@pytest.mark.parametrize("name", ["FIGURE_4", "M3", "C1"])
def test_a_traversal_is_read_back_bit_for_bit(name: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = limit(name)
    found.save(tmp_path / "limit.npz")
    again = Traversal.load(tmp_path / "limit.npz")
    again.save(tmp_path / "again.npz")
    assert (tmp_path / "limit.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    assert again.to_dict() == found.to_dict() and isinstance(again.status, TraversalStatus)
    for chain, same in zip(found.chains, again.chains, strict=True):
        for path, back in zip(chain.orbits, same.orbits, strict=True):
            assert np.array_equal(path.states, back.states) and isinstance(back.status, Status)
            assert not back.states.flags.writeable
    assert type(again.chains[0]) is Chain and type(again.saddles[0]) is Saddle
    assert np.array_equal(again.saddles[-1].A, found.saddles[-1].A)


def test_files_that_hold_no_traversal_are_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_arrays(tmp_path / "other.npz", A=np.eye(2))
    with pytest.raises(ValueError, match="holds no record"):
        Traversal.load(tmp_path / "other.npz")
    write_arrays(tmp_path / "saddle.npz", record=np.asarray('{"kind": "Intruder"}'))
    with pytest.raises(ValueError, match="holds no Traversal"):
        Traversal.load(tmp_path / "saddle.npz")
    write_arrays(tmp_path / "empty.npz", record=np.asarray('{"kind": "Traversal"}'))
    with pytest.raises(ValueError, match="holds no Traversal"):
        Traversal.load(tmp_path / "empty.npz")
    write_arrays(tmp_path / "number.npz", record=np.asarray("3"))
    with pytest.raises(ValueError, match="it holds a int"):
        Traversal.load(tmp_path / "number.npz")


def test_json_has_the_promised_keys() -> None:
    for name in ("FIGURE_4", "C1"):
        found = json.loads(json.dumps(limit(name).to_dict(), allow_nan=False))
        assert {"status", "matrix", "determined", "std", "rank", "nuclear_norm", "order", "saddles", "warnings"} <= set(
            found
        )
        promised = {"component", "rank", "loss", "residual_singular_values", "escape_rate", "gap", "assumption_1"}
        assert all(promised <= set(saddle) for saddle in found["saddles"])


def test_representations_are_short() -> None:
    found = limit("FIGURE_3")
    for record in (found, found.saddles[0], found.chains[0]):
        assert len(repr(record)) < 120 and "\n" not in repr(record)
    assert dataclasses.is_dataclass(found)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.status = CONVERGED  # type: ignore[misc]


# the study


def test_the_study_finds_no_silent_disagreement() -> None:
    study = limit_study(8, seed=3)
    assert sum(study.counts.values()) == 8 and study.counts[LimitOutcome.DISAGREE] == 0
    assert study.counts[LimitOutcome.AGREE] >= 5
    assert json.dumps(study.to_dict(), allow_nan=False) and len(repr(study)) < 200
    with pytest.raises(ValueError, match="n must be a positive integer"):
        limit_study(0)


@pytest.mark.study
def test_two_hundred_problems_show_no_silent_disagreement() -> None:
    study = limit_study(200, n_jobs=2)
    assert study.counts[LimitOutcome.DISAGREE] == 0 and study.counts[LimitOutcome.AGREE] > 120


# planted bugs


def disagreement(values: list[list[float]], seed: int = 0) -> LimitStudy:
    """Return the study of one problem alone."""
    problem = MatrixCompletion(values)
    return LimitStudy((limit_case(problem, Factorization(problem.shape).random(np.random.default_rng(seed))),))


@pytest.mark.parametrize("values", [FIGURE_4, M3, BLOCKS])
def test_sound_code_agrees_on_the_cases_of_the_planted_bugs(values: list[list[float]]) -> None:
    assert disagreement(values).counts[LimitOutcome.AGREE] == 1


def test_a_wrong_sign_of_the_new_row_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    sound, learned = stages_module.orbit, limit("M3").matrix
    monkeypatch.setattr(chain_module, "orbit", lambda problem, A, B, u, v, use: sound(problem, A, B, u, -v, use))
    found = saddle_to_saddle(MatrixCompletion(M3))
    assert found.matrix is None or np.abs(found.matrix - learned).max() > 1e-3


def test_a_frame_with_a_wrong_sign_of_a_passive_mode_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = frames_module.passive_signs

    def turned(part: MatrixCompletion, chain: Chain, modes: Any) -> np.ndarray:
        signs = sound(part, chain, modes)
        return np.append(signs[:-1], -signs[-1])

    monkeypatch.setattr(frames_module, "passive_signs", turned)
    assert disagreement(BLOCKS).counts[LimitOutcome.DISAGREE] == 1


@pytest.mark.parametrize("guarded", [True, False])
def test_an_unguarded_newton_step_is_noticed_and_the_guards_hold(
    guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = MatrixCompletion(LOOSE)
    sound = saddle_to_saddle(problem).matrix
    monkeypatch.setattr(watching_module, "FIRST_TRY", 0.9)
    monkeypatch.setattr(watching_module, "REACH", 1.0)
    if not guarded:
        monkeypatch.setattr(Watch, "is_quadratic", lambda self, theta: True)
        monkeypatch.setattr(Watch, "agrees", lambda self, previous: True)
    found = saddle_to_saddle(problem)
    assert sound is not None and found.matrix is not None
    assert bool(np.abs(found.matrix - sound).max() < 1e-6) is guarded


def test_a_wrong_recursion_of_the_exponents_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = crossing_module.Crossing.departed

    def wrong_recursion(*given: object) -> crossing_module.Sector:
        found = sound(*given)  # type: ignore[arg-type]
        return replace(found, exponents=np.ones_like(found.exponents))

    monkeypatch.setattr(crossing_module.Crossing, "departed", wrong_recursion)
    wrong = saddle_to_saddle(MatrixCompletion([[1, 2], [3, GAP]]))
    start = Factorization((2, 2)).random(np.random.default_rng(2))
    fitted = fitted_order(MatrixCompletion([[1, 2], [3, GAP]]), wrong, start, np.array([[False, False], [False, True]]))
    assert fitted != pytest.approx(wrong.order, rel=0.05)


def test_endings_name_where_orbits_lead() -> None:
    assert {ending.name for ending in Ending} == {"MINIMUM", "SADDLE", "DEGENERATE", "DIVERGING", "UNDECIDED"}


@pytest.mark.parametrize("values", [[[1, np.nan], [np.nan, np.nan]], [[0, np.nan], [np.nan, 1]]])
def test_lines_that_never_leave_the_size_of_the_start_meet_active_ones_at_first_order(values: list) -> None:
    problem, model = MatrixCompletion(values), Factorization((2, 2))
    assert saddle_to_saddle(problem).order == 1.0
    start, errors = model.random(np.random.default_rng(0)), []
    for alpha in (1e-6, 1e-8):
        path = gradient_flow(Objective.of(problem, model), alpha * start, loss_tol=1e-26)
        errors.append(np.abs(model.output(path.final) - saddle_to_saddle(problem).matrix).max())
    assert np.log10(errors[0] / errors[1]) / 2 == pytest.approx(1.0, rel=0.01)


def test_data_of_zeros_alone_are_approached_at_second_order() -> None:
    assert saddle_to_saddle(MatrixCompletion(np.diag([0.0, np.nan]))).order == 2.0
