"""Minimum nuclear norm by splitting: its fixed points, its two ends, and what counts its steps."""

from __future__ import annotations

from typing import Self

import numpy as np
import pytest

from gflow.completions import minimum_nuclear_norm, splitting
from gflow.completions.bounds import Bounds, dual_bound, nuclear_norm
from gflow.completions.semidefinite import interior_point
from gflow.completions.splitting import _Memory, _Split, _Tangent, splitting_solution
from gflow.problems import MatrixCompletion


def planted(seed: int, shape: tuple[int, int], rank: int, share: float) -> MatrixCompletion:
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    return MatrixCompletion(M, rng.random(shape) < share).normalized


def noise(seed: int, shape: tuple[int, int], share: float) -> MatrixCompletion:
    """Return data that no matrix of low rank meets: Newton steps at a fixed rank cannot end there."""
    rng = np.random.default_rng(seed)
    return MatrixCompletion(rng.standard_normal(shape), rng.random(shape) < share).normalized


def gap_of(problem: MatrixCompletion, W: np.ndarray, Y: np.ndarray) -> float:
    assert np.array_equal(W[problem.observed], problem.values[problem.observed])
    assert not Y[~problem.observed].any() and np.linalg.norm(Y, 2) <= 1 + 1e-12
    return 1.0 - dual_bound(problem, Y) / nuclear_norm(W)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the decompositions."""
    counted = [0]

    class Counted(_Split):
        @classmethod
        def at(cls, problem: MatrixCompletion, Z: np.ndarray, gamma: float) -> Self:
            counted[0] += 1
            return super().at(problem, Z, gamma)

    monkeypatch.setattr(splitting, "_Split", Counted)
    return counted


@pytest.mark.parametrize("shape", [(40, 60), (60, 40)])
def test_a_matrix_that_the_data_determine_is_met_to_rounding_in_few_steps(
    steps: list[int], shape: tuple[int, int]
) -> None:
    problem, truth = planted(0, shape, 2, 0.6), planted(0, shape, 2, 2.0)
    W, Y = splitting_solution(problem, 1e-9)
    assert gap_of(problem, W, Y) < 1e-12
    assert np.abs(W - truth.values * (truth.unit / problem.unit)).max() < 1e-10
    assert steps[0] <= 40


def test_data_of_full_rank_end_by_the_iteration_alone_where_the_interior_point_method_ends(steps: list[int]) -> None:
    problem = noise(1, (16, 20), 0.6)
    W, Y = splitting_solution(problem, 1e-9)
    assert gap_of(problem, W, Y) <= 1e-9 and steps[0] <= 400
    other, _ = interior_point(problem, 1e-11)
    assert nuclear_norm(W) == pytest.approx(nuclear_norm(other), rel=2e-9)
    assert np.abs(W - other).max() < 1e-4


def test_extrapolation_takes_fewer_than_half_the_steps(steps: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    problem = noise(2, (20, 20), 0.5)
    W, Y = splitting_solution(problem, 1e-9)
    assert gap_of(problem, W, Y) <= 1e-9
    extrapolated, steps[0] = steps[0], 0
    monkeypatch.setattr(_Memory, "correction", lambda self, R: np.zeros_like(R))
    splitting_solution(problem, 1e-9)
    assert 2 * extrapolated < steps[0]


def test_a_minimiser_and_its_dual_matrix_are_a_fixed_point_and_others_are_not() -> None:
    problem = planted(3, (12, 15), 2, 0.8)
    W, Y = splitting_solution(problem, 1e-11)
    assert _Split.at(problem, W + 0.3 * Y, 0.3).size < 1e-7
    assert _Split.at(problem, W + 0.3 * np.roll(Y, 1, axis=0), 0.3).size > 1e-2


def test_the_tangent_projector_is_one_and_its_systems_are_solved() -> None:
    rng = np.random.default_rng(0)
    problem = planted(4, (14, 17), 2, 0.7)
    U = np.linalg.qr(rng.standard_normal((14, 2)))[0]
    tangent = _Tangent.of(U, rng.standard_normal((14, 17)))
    Z, other = rng.standard_normal((2, 14, 17))
    np.testing.assert_allclose(tangent(tangent(Z)), tangent(Z), atol=1e-13)
    assert np.sum(other * tangent(Z)) == pytest.approx(np.sum(tangent(other) * Z))
    assert np.linalg.matrix_rank(tangent(Z)) == 4
    np.testing.assert_allclose(tangent(tangent.polar), tangent.polar, atol=1e-14)
    x = tangent.solved(problem, tangent(Z), 1e-12)
    np.testing.assert_allclose(tangent(problem.observed * x), tangent(Z), atol=1e-9)


def test_rescaling_permuting_and_transposing_move_the_minimiser_along() -> None:
    problem, rng = noise(5, (15, 18), 0.6), np.random.default_rng(5)
    rows, columns = rng.permutation(15), rng.permutation(18)
    W = minimum_nuclear_norm(problem, solver="Douglas-Rachford").matrix
    moved = problem.restricted(rows, columns).transpose.rescaled(1e6)
    found = minimum_nuclear_norm(moved, solver="Douglas-Rachford")
    assert found.solver == "Douglas-Rachford"
    assert np.abs(found.matrix.T / 1e6 - W[np.ix_(rows, columns)]).max() < 1e-4
    assert found.value == pytest.approx(1e6 * nuclear_norm(W), rel=2e-9)


def test_bounds_keep_the_better_of_each_kind() -> None:
    problem = planted(6, (6, 7), 1, 0.7)
    bounds = Bounds(problem)
    W, Y = interior_point(problem, 1e-10)
    bounds.see(W + 1.0, Y)
    assert bounds.gap > 1e-3
    bounds.see(W, 0.5 * Y)
    assert bounds.gap < 1e-9
    assert gap_of(problem, bounds.W, bounds.Y) == pytest.approx(bounds.gap, abs=1e-14)


def test_an_iteration_cut_short_returns_bounds_that_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "SPLITTING_STEPS", 3)
    problem = noise(7, (15, 15), 0.5)
    W, Y = splitting_solution(problem, 1e-9)
    least = nuclear_norm(interior_point(problem, 1e-10)[0])
    assert dual_bound(problem, Y) <= least <= nuclear_norm(W) and gap_of(problem, W, Y) > 1e-3
