"""Limits of two factors with weights, against the multiprecision referee, the graded flow and the data themselves."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from referee import Referee, start

import gflow
from gflow.problems import WeightedCompletion

GAP = np.nan
SIGNS = [[-4, 2, GAP], [2, GAP, 2], [GAP, 2, -3]]
SHIFTED = [[GAP, -3, -1, GAP], [GAP, GAP, -3, -1], [-1, GAP, GAP, -3], [-3, -1, GAP, GAP]]
Case = tuple[np.ndarray, np.ndarray]
SEEN = {8: [2.7853419947, 0.7288450948, 7.0537896154]}
"""What the referee sees in the gaps of a case from 1e-49, which takes it longer than all others."""


def drawn(seed: int, *, blocks: bool = False) -> Case:
    """Return a random matrix and counts of its entries: connected, or in two blocks."""
    rng = np.random.default_rng([99, seed])
    d = (3, 4) if seed % 2 else (3, 3)
    M, counts = 2.0 * rng.standard_normal(d), rng.integers(1, 7, d)
    seen = rng.random(d) < 0.75
    if blocks:
        seen = np.zeros(d, dtype=bool)
        seen[:2, :2] = seen[2:, 2:] = True
    return np.where(seen, M, GAP), counts


def limit(values: Any, counts: Any, seed: int | None = None, **options: Any) -> gflow.Traversal:
    problem = WeightedCompletion(values, counts)
    theta = None
    if seed is not None:
        theta = gflow.Factorization(problem.shape).theta(*start(problem.shape, seed))
    return gflow.saddle_to_saddle(problem, theta, **options)


def judged(values: Any, counts: Any, seed: int, exponent: int) -> np.ndarray:
    M = np.asarray(values, dtype=float)
    seen = ~np.isnan(M)
    found = Referee(np.where(seen, M, 0.0) / 4.0, np.where(seen, counts, 0), *start(M.shape, seed), exponent).end(4000)
    assert found.ending == "the data are met"
    return 4.0 * found.W


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "blocks", "others"),
    [
        (0, False, True),
        (1, True, True),
        (2, True, True),
        (4, False, False),  # the completion of this rank is unique
        (4, True, True),
        (5, False, True),
        (6, True, True),
        (8, False, True),
        (10, False, True),
    ],
)
def test_the_referee_comes_to_the_limit_from_the_alpha_that_the_limit_asks_for(
    seed: int, blocks: bool, others: bool
) -> None:
    M, counts = drawn(seed, blocks=blocks)
    found = limit(M, counts, seed)
    exponent = found.log10_alpha(1e-5)
    assert found.status == "converged" and found.matrix is not None and exponent is not None and exponent > -50.0
    size = max(float(np.nanmax(np.abs(M))), float(np.abs(found.matrix).max()))
    gaps = np.isnan(M)
    seen = SEEN.get(seed) or judged(M, counts, seed, int(np.floor(exponent)) - 1)[gaps]
    missed = np.abs(np.where(gaps, 0.0, M - found.matrix)).max()
    missed = max(missed, np.abs(seen - found.matrix[gaps]).max())
    plain = gflow.saddle_to_saddle(gflow.MatrixCompletion(M), gflow.Factorization(M.shape).theta(*start(M.shape, seed)))
    assert missed < 3e-5 * size and plain.matrix is not None
    assert (np.abs(plain.matrix - found.matrix).max() > 10.0 * missed) == others


def test_weights_count_how_often_an_entry_was_seen() -> None:
    """The gradient flow on every single observation, none of them averaged, comes to the limit of their means."""
    rows, columns = np.array([0, 0, 1, 1, 1, 2, 2, 2, 2]), np.array([0, 1, 0, 2, 2, 1, 1, 1, 2])
    values = np.array([3.0, -1.5, 1.0, 2.0, 1.5, 3.5, 3.0, 3.5, -4.0])
    problem = WeightedCompletion.repeated(rows, columns, values)
    found, plain = gflow.saddle_to_saddle(problem), gflow.saddle_to_saddle(problem.means)
    matrices = np.zeros((9, 3, 3))
    matrices[np.arange(9), rows, columns] = 1.0
    model = gflow.Factorization((3, 3))
    single, theta = gflow.Objective.of(gflow.MatrixSensing(matrices, values), model), model.random(0)
    W = {scale: model.output(gflow.gradient_flow(single, scale * theta).final) for scale in (1e-10, 1e-14)}
    assert found.order is not None and found.matrix is not None and plain.matrix is not None
    errors = [float(np.abs(each - found.matrix).max()) for each in W.values()]
    assert errors[1] < 0.01 < 0.1 < np.abs(plain.matrix - found.matrix).max()
    assert np.log10(errors[0] / errors[1]) / 4.0 == pytest.approx(found.order, rel=0.03)


@pytest.mark.parametrize("rank", [1, 2])
def test_a_reduced_width_ends_where_the_flow_does(rank: int) -> None:
    rng = np.random.default_rng([5, rank])
    M, counts = rng.standard_normal((4, 4)), rng.integers(1, 9, (4, 4))
    problem, model = WeightedCompletion(M, counts), gflow.Factorization((4, 4), rank)
    theta = model.random(rng)
    found = gflow.saddle_to_saddle(problem, theta, rank=rank)
    path = gflow.graded_flow(problem, theta, rank=rank, log_scale=-80.0)
    assert found.status == "converged" and found.matrix is not None and found.saddles[-1].loss > 1e-3
    np.testing.assert_allclose(model.output(path.final), found.matrix, atol=1e-6)
    assert problem.risk(found.matrix) == pytest.approx(found.saddles[-1].loss, rel=1e-12)
    U, sizes, Vt = np.linalg.svd(M)
    nearest = (U[:, :rank] * sizes[:rank]) @ Vt[:rank]
    assert np.abs(nearest - found.matrix).max() > 1e-2 and problem.risk(nearest) > problem.risk(found.matrix)


def test_escape_rates_and_residuals_are_those_of_the_weighted_loss() -> None:
    M, counts = drawn(0)
    weights = 0.3 * counts
    problem = WeightedCompletion(M, weights)
    model = gflow.Factorization(problem.shape)
    objective = gflow.Objective.of(problem, model)
    for saddle in gflow.saddle_to_saddle(problem).saddles[:-1]:
        E = problem.residual(saddle.matrix)
        sizes = np.linalg.svd(E, compute_uv=False)
        np.testing.assert_allclose(saddle.residual_singular_values, sizes, atol=1e-7 * sizes[0])
        lowest = np.linalg.eigvalsh(objective.hessian(saddle.theta))[0]
        assert saddle.escape_rate == pytest.approx(-lowest, rel=1e-6)
        assert saddle.loss == pytest.approx(problem.risk(saddle.matrix), rel=1e-10)


def test_orders_and_plateau_times_are_those_of_the_flow_in_graded_columns() -> None:
    values, counts = [[1, 2, GAP], [3, 4, GAP], [6, GAP, 5]], [[1, 2, 1], [3, 1, 1], [1, 1, 2]]
    problem, model = WeightedCompletion(values, counts), gflow.Factorization((3, 3))
    theta = model.random(0)
    found = gflow.saddle_to_saddle(problem, theta)
    assert found.matrix is not None and found.order is not None
    levels = [0.5 * (one.loss + other.loss) for one, other in pairwise(found.saddles)]
    decades = np.array([10.0, 15.0])
    paths = [gflow.graded_flow(problem, theta, log_scale=-decade * np.log(10.0)) for decade in decades]
    errors = [np.abs(model.output(path.final) - found.matrix).max() for path in paths]
    assert np.log10(errors[0] / errors[1]) / 5.0 == pytest.approx(found.order, rel=2e-3)
    times = [[np.interp(-np.log(level), -np.log(path.losses), path.times) for level in levels] for path in paths]
    slopes = np.subtract(times[1], times[0]) / (5.0 * np.log(10.0))
    stays = [saddle.plateau_time for saddle in found.saddles[:-1]]
    np.testing.assert_allclose(slopes, np.cumsum(np.array(stays, dtype=float)), rtol=2e-3)


def test_components_share_the_sum_of_all_weights() -> None:
    M, counts = drawn(1, blocks=True)
    problem, seen = WeightedCompletion(M, counts), ~np.isnan(M)
    for saddle in gflow.saddle_to_saddle(problem).saddles:
        place = np.ix_(saddle.rows, saddle.columns)
        left = np.where(seen, M, 0.0)[place] - saddle.matrix
        total, own = counts[seen].sum(), np.where(seen, counts, 0)[place]
        assert saddle.loss == pytest.approx(np.sum(own * left**2) / total, rel=1e-9, abs=1e-15)
        rate = 2.0 / total * np.linalg.norm(own * left, 2)
        assert saddle.escape_rate == pytest.approx(rate, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    "changed",
    [
        lambda M, w, A, B: (M, 1e-200 * w, A, B, lambda W: W),
        lambda M, w, A, B: (-M, w, A, -B, lambda W: -W),
        lambda M, w, A, B: (M.T, w.T, B.T, A.T, lambda W: W.T),
        lambda M, w, A, B: (M[::-1], w[::-1], A[::-1], B, lambda W: W[::-1]),
        lambda M, w, A, B: (1e-120 * M, w, A, B, lambda W: 1e120 * W),
    ],
    ids=["weights", "negation", "transposition", "permutation", "unit"],
)
def test_a_limit_with_weights_goes_along_with_its_data(changed: Callable[..., Any]) -> None:
    M, counts = drawn(7)
    found = limit(M, counts, 7)
    A, B = start(M.shape, 7)
    values, weights, left, right, back = changed(M, counts.astype(float), A, B)
    model = gflow.Factorization(values.shape)
    other = gflow.saddle_to_saddle(WeightedCompletion(values, weights), model.theta(left, right))
    assert found.matrix is not None and other.matrix is not None and found.error is not None
    assert other.order == pytest.approx(found.order, rel=1e-9)
    np.testing.assert_allclose(back(other.matrix), found.matrix, atol=max(1e-9, found.error))


def test_weights_that_are_equal_are_none() -> None:
    M, _ = drawn(3)
    plain, found = gflow.saddle_to_saddle(gflow.MatrixCompletion(M)), limit(M, np.full(M.shape, 0.1))
    assert found.matrix is not None and plain.matrix is not None and plain.order == found.order
    assert np.array_equal(plain.matrix, found.matrix)
    assert [each.escape_rate for each in found.saddles] == pytest.approx([each.escape_rate for each in plain.saddles])


@pytest.mark.slow
def test_symmetric_weights_keep_modes_of_symmetric_data_apart_and_others_do_not() -> None:
    symmetric, skew = np.array([[1, 2, 1], [2, 1, 3], [1, 3, 2]]), np.array([[1, 2, 1], [1, 1, 3], [1, 1, 2]])
    for counts, apart, exponent in ((symmetric, True, -40), (skew, False, -90)):
        found = limit(SIGNS, counts)
        assert found.matrix is not None and found.chains[0].apart is apart
        assert (np.abs(found.matrix - found.matrix.T).max() < 1e-9) == apart
        assert np.abs(judged(SIGNS, counts, 0, exponent) - found.matrix).max() < 1e-2
    near = symmetric * np.where(np.arange(9).reshape(3, 3) == 3, 1.0 + 1e-14, 1.0)
    doubtful = limit(SIGNS, near)
    assert doubtful.status == "undecided" and "weights that differ by" in doubtful.reason


def test_modes_of_equal_rates_escape_together_where_the_weights_allow_it() -> None:
    counts = np.where(np.isnan(SHIFTED), 1, np.where(np.equal(SHIFTED, -3), 2, 1))
    assert limit(SHIFTED, counts).status == "degenerate"
    found = limit(SHIFTED, counts, 0)
    assert found.matrix is not None and found.rank == 3
    assert np.abs(judged(SHIFTED, counts, 0, -60) - found.matrix).max() < 1e-4
    counts[0, 1] += 1
    assert limit(SHIFTED, counts).status == "converged"


def test_entries_that_hardly_count_are_met_all_the_same() -> None:
    """Over ten orders of weights the loss says little of the lightest entries, and the limit still meets them."""
    M, weights = np.array([[3.0, 1.0, -1.0], [0.5, 2.0, 1.5], [-2.0, 1.0, 1.0]]), 10.0 ** np.arange(9.0).reshape(3, 3)
    found = limit(M, 1e-3 * weights**1.25)
    assert found.matrix is not None and found.saddles[-1].loss == 0.0
    np.testing.assert_allclose(found.matrix, M, atol=1e-9)
    light = limit(M, np.where(np.eye(3, dtype=bool), 1e-30, 1.0))
    assert light.matrix is None or np.abs(light.matrix - M).max() < 1e-9


@pytest.mark.parametrize("light", [1e-6, 1e-10, 1e-15, 1e-22, 1e-40])
def test_an_entry_too_light_for_the_loss_is_not_taken_for_met(light: float) -> None:
    """Without its last entry this matrix has rank one; with it, however little it counts, it has not."""
    M = np.array([[1.0, 2.0], [3.0, 5.0]])
    found = limit(M, np.array([[1.0, 1.0], [1.0, light]]))
    assert found.status in ("converged", "undecided") and (len(found.saddles) < 2 or found.saddles[1].loss > 0.0)
    if found.matrix is not None:
        np.testing.assert_allclose(found.matrix, M, atol=1e-6)
    assert (found.matrix is not None) >= (light >= 1e-10)


def test_a_symmetric_start_stays_symmetric_only_where_the_weights_are() -> None:
    values = np.array([[2.0, 1.0], [1.0, 3.0]])
    model = gflow.Factorization((2, 2))
    theta = model.theta(np.array([[0.3, 0.1], [0.2, 0.4]]), np.array([[0.3, 0.2], [0.1, 0.4]]))
    for weights, kept in (([[1.0, 2.0], [2.0, 1.0]], True), ([[1.0, 2.0], [5.0, 1.0]], False)):
        objective = gflow.Objective.of(WeightedCompletion(values, weights), model)
        assert (objective.mirror is not None) is kept
        W = model.output(gflow.gradient_flow(objective, theta, t_end=0.5).final)
        assert (abs(W[0, 1] - W[1, 0]) < 1e-12) == kept


def test_large_components_with_weights_are_refused() -> None:
    weights = np.ones((150, 150))
    weights[0, 0] = 2.0
    with pytest.raises(ValueError, match="with weights components have up to 20000 entries"):
        limit(np.ones((150, 150)), weights)
