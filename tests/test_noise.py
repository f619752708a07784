"""Noisy and over-determined data: repeated contradictory observations are weights, and add a constant to the risk."""

from __future__ import annotations

import numpy as np
import pytest

import gflow

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
