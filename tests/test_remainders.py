"""What an end leaves over, in the data, in the start or on the way, is said: nothing of it is taken for rounding."""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np
import pytest

import gflow

GAP = np.nan
ASIDE = [[3, 1, GAP], [1, 2, 0.5], [GAP, 0.5, 1]]
SYMMETRIC = [[-4, 2, GAP], [2, GAP, 2], [GAP, 2, -3]]


def joined(block: list[list[float]], size: float) -> np.ndarray:
    """Return 1 and a small block of data, joined by observed zeros."""
    part = size * np.array(block, dtype=float)
    M = np.zeros((1 + len(part), 1 + part.shape[1]))
    M[0, 0], M[1:, 1:] = 1.0, part
    return M


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize(
    "values",
    [
        np.diag([1, 1e-9]).tolist(),
        joined([[1, 20], [30, GAP]], 1e-11).tolist(),
        joined([[0, 0, 1], [-2, 1, 2], [-1, 0, GAP]], 1e-10).tolist(),
    ],
    ids=["second-value", "completion-far-away", "diverging"],
)
def test_a_residual_above_rounding_errors_is_not_a_completion(values: list[list[float]], depth: int) -> None:
    """At two factors the blocks of the last two, alone, have an entry 30 times the data, and none at all."""
    found = gflow.saddle_to_saddle(values, depth=depth)
    assert found.status == "undecided" and found.error is None and "of max|M| is left" in found.reason


def test_a_small_block_is_completed_where_it_can_be_seen() -> None:
    found = gflow.saddle_to_saddle(joined([[1, 20], [30, GAP]], 1e-6))
    assert found.status == "converged" and abs(found.matrix[2, 2] / 600e-6 - 1.0) < 1e-3
    full = gflow.saddle_to_saddle(np.diag([1, 1e-9]), rank=1)
    assert full.status == "converged" and full.rank == 1
    unfinished = gflow.saddle_to_saddle(joined([[1, 20], [30, GAP]], 1e-8), rank=2)
    assert unfinished.status == "undecided"


@pytest.mark.parametrize("scale", [-1.0, 1e-140, 1e140])
def test_equivalent_data_leave_the_same_over(scale: float) -> None:
    for values in (np.diag([1, 1e-9]), joined([[1, 20], [30, GAP]], 1e-10), np.array([[1e-7, 1], [2, GAP]])):
        for M in (values, values.T, values[::-1, ::-1]):
            assert gflow.saddle_to_saddle(scale * M).status == "undecided"


@pytest.mark.parametrize("small", [1e-9, 1e-15])
def test_a_rank_below_the_certified_minimum_contradicts_no_theorem(small: float) -> None:
    claims = gflow.ledger(np.diag([1.0, small])).claims
    assert {claims[name].verdict.value for name in ("thm3", "rip")} == {"undecided"}


def test_a_limit_from_a_start_is_that_of_the_modes_which_the_start_reaches() -> None:
    model, draw = gflow.Factorization((3, 3)), np.random.default_rng(0).standard_normal((3, 3))
    ones, zeros = np.ones((3, 3)), np.zeros((3, 3))
    for theta in (model.theta(ones, ones), model.theta(ones + 1e-9 * draw, ones), np.zeros(18)):
        found = gflow.saddle_to_saddle(ASIDE, theta)
        assert found.status == "undecided" and "reached by the start" in found.reason
    for theta in (model.theta(draw, zeros), model.theta(np.eye(3), np.eye(3))):
        assert gflow.saddle_to_saddle(ASIDE, theta).status == "converged"


def test_a_symmetric_start_has_the_limit_of_symmetric_factors() -> None:
    """Modes of the other sign are not in it: the flow runs to infinity, which generic starts do not."""
    model, draw = gflow.Factorization((3, 3)), np.random.default_rng(0).standard_normal((3, 3))
    assert gflow.saddle_to_saddle(SYMMETRIC).status == "converged"
    found = gflow.saddle_to_saddle(SYMMETRIC, model.theta(draw, draw.T))
    other = gflow.symmetric_traversal(gflow.MatrixCompletion(SYMMETRIC))
    assert found.status == other.status == "diverging"


def test_large_components_and_deep_products_ask_their_start_too() -> None:
    rng = np.random.default_rng(0)
    M = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 40))
    M[rng.random(M.shape) < 0.3] = GAP
    wide = gflow.Factorization(M.shape, 3)
    assert gflow.saddle_to_saddle(M, wide.random(0), rank=3).status == "converged"
    for theta in (np.zeros(wide.dim), np.ones(wide.dim)):
        assert gflow.saddle_to_saddle(M, theta, rank=3).status == "undecided"
    deep = gflow.Factorization((3, 3), depth=3)
    for theta in (np.zeros(deep.dim), np.ones(deep.dim)):
        assert gflow.saddle_to_saddle(ASIDE, theta, depth=3).status == "undecided"
    assert gflow.saddle_to_saddle(ASIDE, deep.random(0), depth=3).status == "converged"


@pytest.mark.parametrize("entry", [1e-7, 1e-9])
def test_a_run_to_infinity_cannot_tell_a_small_entry_from_zero(entry: float) -> None:
    """The completion of rank one with 2 / entry is finite."""
    assert gflow.saddle_to_saddle([[entry, 1], [2, GAP]]).status == "undecided"
    small = gflow.symmetric_traversal(gflow.MatrixCompletion([[1e4 * entry, 1], [1, GAP]]))
    zero = gflow.symmetric_traversal(gflow.MatrixCompletion([[0, 1], [1, GAP]]))
    assert (small.status, zero.status) == ("undecided", "diverging")


def test_a_slow_mode_is_no_minimum_of_symmetric_factors() -> None:
    M = np.diag([1.0, -1.0, 0.0, 0.0])
    M[2:, 2:] = 4e-7 * np.array([[1e-6, 1], [1, GAP]])
    found = gflow.symmetric_traversal(gflow.MatrixCompletion(M))
    assert found.status == "undecided" and found.matrix is None and "a mode grows" in found.reason


@pytest.mark.parametrize(("weight", "answered"), [(1e4, True), (1e5, False), (1e6, False)])
def test_what_an_orbit_makes_of_a_saddle_that_is_not_known_well_is_not_bounded(weight: float, answered: bool) -> None:
    """W_22 comes to 2.5996587 as 1 / weight: 2.59968 at 1e4; what is found at 1e6 would be wrong by 6e-3."""
    weights = np.ones((3, 3))
    weights[0, 0] = weight
    found = gflow.saddle_to_saddle(gflow.WeightedCompletion([[1, 2, GAP], [3, GAP, 1], [GAP, 1, 2]], weights))
    assert (found.status == "converged") == answered
    if answered:
        assert abs(found.matrix[1, 1] - 2.59968114) < 2.0 * found.error


@pytest.mark.parametrize(
    ("function", "start", "end"),
    [
        (lambda x: x[0] ** 6, [1.0], [0.0]),
        (lambda x: x[0] ** 20, [1.0], [0.0]),
        (lambda x: (x[0] - 1.0) ** 2 + 1e-14 * (x[1] - 1.0) ** 2, [0.1, 0.1], [1.0, 1.0]),
        (lambda x: anp.exp(-x[0]) + anp.exp(x[0] - 60.0), [0.1], [30.0]),
    ],
    ids=["sixth-power", "twentieth-power", "soft", "far"],
)
def test_the_error_of_a_flow_holds_what_is_left_to_go(function: object, start: list[float], end: list[float]) -> None:
    path = gflow.gradient_flow(gflow.Objective.autodiff(function, len(start)), np.array(start))
    left = float(np.abs(path.final - end).max())
    assert path.status == "converged" and path.error is not None
    assert 3e-3 < left < 1.01 * path.error < 20.0 * left


def test_a_flow_without_an_end_has_not_converged() -> None:
    path = gflow.gradient_flow(gflow.Objective.autodiff(lambda x: anp.exp(-x[0]), 1), np.array([0.1]))
    assert path.status == "roundoff" and path.error is None and "there need be no end" in path.message


def test_a_flow_begins_at_zero_where_the_objective_has_a_slope_there() -> None:
    path = gflow.gradient_flow(gflow.Objective.autodiff(lambda x: (x[0] - 1.0) ** 2 / 2.0, 1), np.zeros(1))
    assert path.status == "converged" and abs(path.final[0] - 1.0) < 1e-8
    np.testing.assert_allclose(path.states[:, 0], 1.0 - np.exp(-path.times), atol=1e-6)


def test_values_that_are_nearly_equal_are_no_fault_of_a_landscape() -> None:
    assert gflow.landscape([[1, 0], [0, 1 + 1e-9]]).faults == ()
