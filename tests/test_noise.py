"""Noisy and over-determined data: repeated contradictory observations are weights, and add a constant to the risk."""

from __future__ import annotations

import numpy as np
import pytest

import gflow
from gflow.testing import check_problem

POSITIONS = [(0, 0), (0, 0), (0, 0), (0, 1), (1, 0), (1, 0), (1, 1)]
VALUES = np.array([1.0, 1.3, 0.9, 2.0, 3.1, 2.7, 6.2])


def repeated() -> gflow.MatrixSensing:
    """Return every single observation as a measurement of its own."""
    matrices = np.zeros((len(POSITIONS), 2, 2))
    for matrix, place in zip(matrices, POSITIONS, strict=True):
        matrix[place] = 1.0
    return gflow.MatrixSensing(matrices, VALUES)


def weighted() -> tuple[np.ndarray, np.ndarray, float]:
    """Return weights, weighted means and the constant, by hand."""
    weights = np.array([[3.0, 1.0], [2.0, 1.0]])
    means = np.array([[3.2 / 3.0, 2.0], [2.9, 6.2]])
    rest = sum((value - means[place]) ** 2 for place, value in zip(POSITIONS, VALUES, strict=True))
    return weights, means, float(rest) / len(VALUES)


def test_repeated_observations_are_weights_and_a_constant() -> None:
    problem, (weights, means, constant) = repeated(), weighted()
    for seed in range(5):
        W = np.random.default_rng(seed).standard_normal((2, 2))
        risk = float(np.sum(weights * (W - means) ** 2)) / 7.0 + constant
        assert abs(problem.risk(W) - risk) < 1e-14 * risk
        np.testing.assert_allclose(problem.gradient(W), 2.0 / 7.0 * weights * (W - means), atol=1e-14)


@pytest.mark.parametrize("depth", [2, 3])
def test_full_width_ends_at_the_means_with_the_constant_as_its_loss(depth: int) -> None:
    problem, (_, means, constant) = repeated(), weighted()
    model = gflow.Factorization((2, 2), depth=depth)
    path = gflow.gradient_flow(gflow.Objective.of(problem, model), model.random(3, 0.1))
    assert path.status == "converged" and abs(path.losses[-1] - constant) < 1e-12
    np.testing.assert_allclose(model.output(path.final), means, atol=1e-6)


@pytest.mark.parametrize("depth", [2, 3])
def test_a_reduced_width_ends_at_a_critical_point_of_the_weighted_problem(depth: int) -> None:
    problem, (weights, means, constant) = repeated(), weighted()
    model = gflow.Factorization((2, 2), 1, depth)
    path = gflow.gradient_flow(gflow.Objective.of(problem, model), model.random(3, 0.1))
    W = model.output(path.final)
    U, sizes, Vt = np.linalg.svd(W)
    E = weights * (W - means)
    assert sizes[1] < 1e-12 and path.losses[-1] > constant + 1e-4
    assert max(np.abs(U[:, 0] @ E).max(), np.abs(E @ Vt[0]).max()) < 1e-6
    plain = np.linalg.svd(means)[0][:, 0] @ (W - means)
    assert np.abs(plain).max() > 1e-3


def counted() -> gflow.WeightedCompletion:
    """Return the same observations as means with weights."""
    return gflow.WeightedCompletion.repeated(*np.transpose(POSITIONS), VALUES)


def test_means_with_weights_are_the_single_observations() -> None:
    problem, single, (weights, means, constant) = counted(), repeated(), weighted()
    assert "curvature" in check_problem(problem)
    np.testing.assert_allclose(problem.means.values, means, rtol=1e-15)
    assert np.array_equal(problem.weight_matrix, weights) and abs(problem.spread - constant) < 1e-15
    for seed in range(3):
        W = np.random.default_rng(seed).standard_normal((2, 2))
        assert abs(problem.risk(W) + problem.spread - single.risk(W)) < 1e-14
        np.testing.assert_allclose(problem.gradient(W), single.gradient(W), atol=1e-14)


def test_the_limit_of_contradictory_data_is_that_of_the_flow_on_single_observations() -> None:
    rows, columns = np.array([0, 0, 1, 1, 2, 2, 2, 2]), np.array([0, 1, 0, 2, 1, 1, 1, 2])
    values = np.array([4.0, 1.0, 2.0, 3.0, 5.0, 4.0, 6.0, 1.0])
    problem = gflow.WeightedCompletion.repeated(rows, columns, values)
    matrices = np.zeros((8, 3, 3))
    matrices[np.arange(8), rows, columns] = 1.0
    model = gflow.Factorization((3, 3), depth=3)
    found, unweighted = (gflow.saddle_to_saddle(each, depth=3) for each in (problem, problem.means))
    single = gflow.Objective.of(gflow.MatrixSensing(matrices, values), model)
    path = gflow.gradient_flow(single, model.random(0, 1e-3))
    assert found.status == path.status == "converged" and abs(path.losses[-1] - problem.spread) < 1e-12
    np.testing.assert_allclose(model.output(path.final), found.end, atol=2e-3)
    assert np.abs(unweighted.end - found.end).max() > 8e-3


def test_a_reduced_width_ends_the_limit_at_a_weighted_minimum() -> None:
    problem, (weights, means, _) = counted(), weighted()
    found = gflow.saddle_to_saddle(problem, rank=1, depth=3)
    U, _, Vt = np.linalg.svd(found.end)
    E = weights * (found.end - means)
    assert found.rank == 1 and max(np.abs(U[:, 0] @ E).max(), np.abs(E @ Vt[0]).max()) < 1e-9
    model = gflow.Factorization((2, 2), 1, 3)
    path = gflow.gradient_flow(gflow.Objective.of(repeated(), model), model.random(3, 1e-1))
    np.testing.assert_allclose(model.output(path.final), found.end, atol=1e-6)


def test_weights_that_break_a_reflection_of_the_data_are_seen() -> None:
    """Components of one entry each keep their reflections; modes of a block of unequal weights have none."""
    values = np.array([[3.0, 1.0, np.nan], [1.0, 2.0, np.nan], [np.nan, np.nan, 1.5]])
    plain = gflow.saddle_to_saddle(gflow.MatrixCompletion(values), depth=3)
    weights = np.where(np.isnan(values), 1.0, [[1.0, 2.0, 1.0], [1.0, 3.0, 1.0], [1.0, 1.0, 1.0]])
    found = gflow.saddle_to_saddle(gflow.WeightedCompletion(values, weights), depth=3)
    assert found.status == "converged" and len(found.reflections) == len(plain.reflections) == 1
    np.testing.assert_allclose(found.end[:2, :2], values[:2, :2], atol=1e-9)
    assert found.order is None and plain.order == 1.0
    drawn = found.sample(np.random.default_rng(0), 20)
    assert np.abs(np.where(np.isnan(values), 0.0, drawn - values)).max() < 1e-8


def test_wrong_weights_are_told() -> None:
    with pytest.raises(ValueError, match=r"weights must have the shape of values, \(2, 2\); got \(2,\)"):
        gflow.WeightedCompletion([[1, 2], [3, 4]], [1, 2])
    with pytest.raises(ValueError, match="weights must be positive and finite; row 2, column 1 has 0"):
        gflow.WeightedCompletion([[1, 2], [3, 4]], [[1, 2], [0, 1]])
    with pytest.raises(ValueError, match="value 2 is nan"):
        gflow.WeightedCompletion.repeated([0, 1], [0, 0], [1.0, np.nan])
    with pytest.raises(ValueError, match="those of a 2 x 2 matrix"):
        gflow.WeightedCompletion.repeated([0, 2], [0, 0], [1.0, 2.0], (2, 2))
    with pytest.raises(ValueError, match="lists of equal length"):
        gflow.WeightedCompletion.repeated([0, 1.5], [0, 0], [1.0, 2.0])


@pytest.mark.parametrize("kind", ["int8", "uint8", "int32", "uint64"])
def test_repeated_entries_have_their_places_whatever_the_type_of_the_numbers(kind: str) -> None:
    far = min(99_999, int(np.iinfo(kind).max))
    rows, columns = np.array([far, 1, far], dtype=kind), np.array([far - 1, 1, far - 1], dtype=kind)
    found = gflow.WeightedCompletion.repeated(rows, columns, np.array([1.0, 2.0, 3.0]))
    assert (found.rows.tolist(), found.columns.tolist()) == ([1, far], [1, far - 1])
    assert found.means.targets.tolist() == [2.0, 2.0] and found.weights.tolist() == [1.0, 2.0]


def test_repeated_entries_that_are_too_large_are_told_as_they_are() -> None:
    with pytest.raises(ValueError, match=r"max\|M\| must lie in \[1e-150, 1e150\]; it is 1.5e\+308"):
        gflow.WeightedCompletion.repeated([0, 0, 0], [0, 0, 1], [1.5e308, 1.5e308, -1e308])
