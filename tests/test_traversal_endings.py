"""Where orbits end: rests of vanishing curvature, infinity, saddles inside, and equivalent data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import gflow
from gflow import MatrixCompletion, TraversalStatus, saddle_to_saddle, symmetric_traversal
from gflow.limit.orbit import (
    curvature as curvature_module,
    drift as drift_module,
    settling as settling_module,
    sizes as sizes_module,
    stages as stages_module,
)
from gflow.limit.orbit.curvature import BlockLinearised, Curvature, Linearised
from gflow.limit.orbit.uniqueness import locally_unique
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.statements import thm3_premise

GAP = np.nan
CONVERGED, DIVERGING, UNDECIDED = TraversalStatus.CONVERGED, TraversalStatus.DIVERGING, TraversalStatus.UNDECIDED


def integers(seed: int) -> np.ndarray:
    """Return a small integer matrix with gaps and many coincidences."""
    rng = np.random.default_rng(seed)
    M = rng.integers(-3, 4, [(3, 3), (3, 4), (4, 4)][rng.integers(3)]).astype(float)
    M[rng.random(M.shape) < 0.3] = GAP
    M[0, 0] = 2.0
    return M


# small singular values


@pytest.mark.parametrize("scale", [1.0, 1e-100])
@pytest.mark.parametrize(
    ("M", "rank"),
    [
        ([[1, 1], [1, 1 + 1e-7]], 2),
        ([[1, 0], [0, 1e-8]], 2),
        ([[1, 1e-7], [1e-7, 1e-14]], 1),
        ([[1, 2, GAP], [2, GAP, 6], [GAP, 6, 9]], 1),
    ],
)
def test_singular_values_above_the_error_of_the_limit_count(M: Any, rank: int, scale: float) -> None:
    assert saddle_to_saddle(MatrixCompletion(scale * np.array(M, dtype=float))).rank == rank


# rests of vanishing curvature


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ([[0, GAP, 1], [1, -1, 0], [0, GAP, 0]], [[0, 0, 1], [1, -1, 0], [0, 0, 0]]),
        ([[-1, 2, -2], [GAP, -2, -2]], [[-1, 2, -2], [0, -2, -2]]),
    ],
)
def test_a_rest_where_curvature_vanishes_is_no_infinity(values: list[list[float]], limit: list[list[float]]) -> None:
    # at rank 1 the curvature of one mode vanishes by cancellation; the orbit comes there exponentially and is left
    found = saddle_to_saddle(MatrixCompletion(values))
    assert found.status == CONVERGED and found.saddles[1].mu is None and found.saddles[1].index is None
    assert found.matrix == pytest.approx(np.array(limit), abs=1e-9)


def test_a_launch_is_no_growth() -> None:
    found = saddle_to_saddle(MatrixCompletion([[2, 0, 0], [0, -1, -2], [GAP, -1, 2]]))
    assert found.status is not DIVERGING and len(found.saddles) == 3


# infinity


@pytest.mark.parametrize("size", [4e4, 1e6])
def test_a_finite_completion_beyond_the_norm_limit_is_reached(size: float) -> None:
    found = saddle_to_saddle(MatrixCompletion([[1, size], [size, GAP]]))
    assert found.status == CONVERGED and found.matrix is not None and found.error is not None
    assert abs(found.matrix[1, 1] - size**2) <= found.error < 1e-3 * size**2


@pytest.mark.parametrize(
    "values",
    [
        [[0, -2, 0], [0, -2, 1], [-1, 2, GAP]],  # det = 2 whatever W_33 is
        [[-2, -1, GAP], [-3, 0, -3], [2, 0, -2]],  # det = 12
        [[-2, 2, GAP, 2], [2, 2, 1, 2], [2, 2, -1, 2], [2, -2, -2, 0]],
    ],
)
def test_a_rank_without_completions_is_left_to_infinity(values: list[list[float]]) -> None:
    problem = MatrixCompletion(values)
    found = saddle_to_saddle(problem)
    assert found.status == DIVERGING and "|theta| grows as t^0.17" in found.reason
    assert gflow.minimum_rank(problem).lower > found.saddles[-1].rank + 1


def test_the_infimum_of_the_symmetric_model_at_infinity_is_no_minimum() -> None:
    # X_33 = 0 at best, and X_11 X_22 >= 1 with X_11 -> 0
    found = symmetric_traversal(MatrixCompletion([[0, 1, GAP], [1, GAP, GAP], [GAP, GAP, -1]]))
    assert found.status == DIVERGING and found.matrix is None and "no minimum is found ahead" in found.reason
    attained = symmetric_traversal(MatrixCompletion([[2, 1, GAP], [1, GAP, GAP], [GAP, GAP, -1]]))
    assert attained.status == CONVERGED and attained.matrix is not None
    assert attained.matrix[1, 1] == pytest.approx(0.5) and attained.loss == pytest.approx(0.25)


def test_no_symmetric_model_is_said_to_diverge_while_other_modes_grow() -> None:
    problem = MatrixCompletion([[-5, -5, 4], [-5, -4, 2], [4, 2, GAP]])
    found = symmetric_traversal(problem)
    assert found.status == UNDECIDED and "other modes grow on the way" in found.reason
    assert symmetric_traversal(problem, width=1).status == DIVERGING


@pytest.mark.parametrize("seed", [4, 7])
def test_a_tall_table_of_unequal_columns_has_one_limit_with_and_without_elimination(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    table = rng.standard_normal((30, 2)) @ rng.standard_normal((2, 4)) + 0.3 * rng.standard_normal((30, 4))
    table = np.round(table * [30.0, 90.0, 3.5, 9.0] + [42.0, 185.0, 10.0, 78.0], 1)
    table[rng.random(30) < 0.25, 0] = GAP
    table[rng.random(30) < 0.1, 1] = GAP
    plain = saddle_to_saddle(MatrixCompletion(table))
    for module in (curvature_module, settling_module, stages_module):
        monkeypatch.setattr(module, "DENSE_SYSTEM" if module is curvature_module else "DENSE_POLISH", 60)
    monkeypatch.setattr(stages_module, "EIGEN_DIM", 60)
    monkeypatch.setattr(stages_module, "EXPLICIT_BUDGET", 1000)
    found = saddle_to_saddle(MatrixCompletion(table))
    assert found.status == plain.status == CONVERGED and found.rank == plain.rank == 4
    assert plain.error is not None and found.error is not None and max(plain.error, found.error) < 0.1
    assert np.abs(found.matrix - plain.matrix).max() <= plain.error + found.error
    assert any(path.method.endswith("implicit steps") for path in found.chains[0].orbits)


# saddles


def test_a_width_used_up_at_an_unstable_point_is_no_end() -> None:
    problem = MatrixCompletion([[-1, 0, GAP], [GAP, -2, GAP], [GAP, -2, 0]])
    narrow = saddle_to_saddle(problem, rank=1)
    assert narrow.status == UNDECIDED and "with growth at rate 0.127 inside" in narrow.reason
    assert saddle_to_saddle(problem).status == CONVERGED
    flat = saddle_to_saddle(MatrixCompletion([[0, GAP, 1], [1, -1, 0], [0, GAP, 0]]), rank=1)
    assert flat.status == UNDECIDED and "vanishing curvature" in flat.reason


def test_growing_directions_are_counted_beside_vanishing_curvature() -> None:
    found = saddle_to_saddle(MatrixCompletion([[GAP, -1, 0], [1, 0, 1], [2, GAP, -2]]))
    saddle = found.saddles[2]
    model = Factorization((3, 3))
    problem = MatrixCompletion([[GAP, -1, 0], [1, 0, 1], [2, GAP, -2]])
    values = np.linalg.eigvalsh(Objective.of(problem, model).hessian(saddle.embed(model)))
    assert saddle.index == int(np.sum(values < -1e-8)) == 2
    assert saddle.inside_rate == pytest.approx(0.2273, abs=1e-4) and saddle.assumption_2 is False


@pytest.mark.parametrize("narrow", range(6))
def test_no_limit_of_reduced_width_is_unstable_inside(narrow: int) -> None:
    for seed in range(15):
        found = saddle_to_saddle(MatrixCompletion(integers(100 * narrow + seed)), rank=1 + narrow % 2)
        if found.status == CONVERGED:
            assert all(chain.end.inside_rate <= 1e-9 * max(chain.end.curvature, 1e-300) for chain in found.chains)


@pytest.mark.parametrize(
    ("values", "copies"),
    [
        ([[1, 1, GAP], [GAP, 0.8, 0.8]], (5000, 1, 5000)),
        ([[0.34, GAP], [-0.7, GAP], [GAP, 0.8], [0.34, 0.5]], (1, 5098)),
        ([[3, -3, 2], [GAP, GAP, 0], [2, -2, GAP], [2, GAP, 2]], (1498, 2251, 1451)),
    ],
)
def test_repeated_columns_have_the_limit_of_one_column_of_their_weight(
    values: list[list[float]], copies: tuple[int, ...]
) -> None:
    M, n = np.array(values, dtype=float), np.array(copies)
    large, small = (
        saddle_to_saddle(MatrixCompletion(np.repeat(M, n, axis=1))),
        saddle_to_saddle(MatrixCompletion(M * np.sqrt(n))),
    )
    assert large.status == small.status == CONVERGED and large.rank == small.rank
    assert large.factors is not None and small.matrix is not None and large.error is not None
    first = np.cumsum(n) - n
    W = large.factors[0] @ large.factors[1][:, first]
    assert np.abs(W - small.matrix / np.sqrt(n)).max() <= large.error + 1e-9


def test_a_large_component_on_its_way_to_infinity_is_at_no_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    # the slope sinks into rounding errors while |theta| grows like t^(1/4) for ever, as in the weighted columns
    M = np.array(
        [
            [GAP, GAP, GAP, 0.319, 0.109],
            [-0.693, -1.256, -0.09, GAP, 0.338],
            [GAP, GAP, 0.017, -0.59, 0.132],
            [0.879, -0.027, 0.254, -0.435, -2.067],
        ]
    )
    n = np.array([1, 332, 8, 5, 10])
    monkeypatch.setattr(sizes_module, "LARGE_CELLS", 100)  # of 1424
    small, large = (
        saddle_to_saddle(MatrixCompletion(M * np.sqrt(n))),
        saddle_to_saddle(MatrixCompletion(np.repeat(M, n, axis=1))),
    )
    assert small.status in (DIVERGING, UNDECIDED) and large.status in (DIVERGING, UNDECIDED)
    assert all("Chebyshev" in path.method for path in large.chains[0].orbits)
    assert len(small.saddles) == len(large.saddles) == 2 and small.chains[0].infinite == 1


# errors


def test_small_observations_that_decide_large_entries_are_in_the_error() -> None:
    answered = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        u, v = (rng.uniform(0.5, 2.0, 7) * 10.0 ** rng.choice([0, -2, -4, -8], 7) for _ in range(2))
        M = np.outer(u, v)
        found = saddle_to_saddle(MatrixCompletion(np.where(rng.random((7, 7)) < 0.6, M, GAP)))
        if found.matrix is None or found.error is None:
            continue
        answered += 1
        for chain in found.chains:
            part = np.ix_(chain.rows, chain.columns)
            if chain.unique:
                assert np.abs(found.matrix - M)[part].max() <= found.error + 1e-14 * M.max()
    assert answered >= 20


def test_uniqueness_does_not_depend_on_the_units_of_rows_and_columns() -> None:
    problem = MatrixCompletion([[1e-5, 1], [1, GAP]])
    assert locally_unique(problem, np.array([[1e-5], [1.0]]), np.array([[1.0, 1e5]])) is True
    noise = np.array([[1e-17], [1.0]])  # a row of zeros does not determine the column that meets it alone
    assert locally_unique(MatrixCompletion([[0, 0], [1, GAP]]), noise, np.array([[1.0, 1e-17]])) is not True


def test_fits_within_the_rounding_of_the_data_are_equal() -> None:
    rng = np.random.default_rng(0)
    M = rng.standard_normal((6, 2)) @ rng.standard_normal((2, 6))
    rounded = np.array([[float(f"{x:.6g}") for x in row] for row in M])
    explained = thm3_premise.rounding_loss(MatrixCompletion(rounded))
    assert np.mean((rounded - M) ** 2) < explained < 1e-9
    assert thm3_premise.rounding_loss(MatrixCompletion(M)) == 0.0
    assert thm3_premise.rounding_loss(MatrixCompletion([[1, 2], [3, GAP]])) < 1e-6
    decimals = np.round(M, 5)
    assert np.mean((decimals - M) ** 2) < thm3_premise.rounding_loss(MatrixCompletion(decimals)) < 1e-10
    given: Any = {"rank": 2, "best": 0.9 * explained, "fit": None, "searched": True, "saddle": None}
    assert not thm3_premise.Compared(loss=explained, rounding=explained, **given).beaten
    assert thm3_premise.Compared(loss=2 * explained, rounding=explained, **given).beaten


# linear algebra of implicit steps


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_eliminating_the_longer_factor_solves_the_same_system(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    M = np.where(rng.random(shape) < 0.7, rng.standard_normal(shape), GAP)
    problem = MatrixCompletion(M).normalized
    model = Factorization(shape, 2)
    curvature, theta, b = Curvature(problem, model), model.random(rng), model.random(rng)
    dense, blocks = Linearised(curvature, theta), BlockLinearised(curvature, theta)
    for one, other in ((dense.gradient, blocks.gradient), (dense.change(b), blocks.change(b))):
        assert other == pytest.approx(one, abs=1e-13)
    assert blocks.trace == pytest.approx(dense.trace)
    r = 1.1 * dense.residual
    assert blocks.solved(r, 0.7, b) == pytest.approx(dense.solved(r, 0.7, b), abs=1e-9)


def test_implicit_steps_leak_no_warnings() -> None:
    assert drift_module.TOL == 1e-4
    for scale in (1e-140, 1e140):
        found = saddle_to_saddle(MatrixCompletion(scale * np.array([[0, -2, 0], [0, -2, 1], [-1, 2, GAP]])))
        assert found.status == DIVERGING


# equivalent data


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), factor=st.sampled_from([2.0**-7, 2.0**9, 1e-140, 1e140]), narrow=st.booleans())
def test_equivalent_data_have_equal_limits(seed: int, factor: float, narrow: bool) -> None:
    M, rng, rank = integers(seed), np.random.default_rng(seed), 2 if narrow else None
    rows, columns = rng.permutation(M.shape[0]), rng.permutation(M.shape[1])
    signs = rng.choice([-1.0, 1.0], M.shape[0])[:, None] * rng.choice([-1.0, 1.0], M.shape[1])
    plain = saddle_to_saddle(MatrixCompletion(M), rank=rank)
    others = [
        (saddle_to_saddle(MatrixCompletion(factor * M), rank=rank), lambda W: W / factor, factor),
        (saddle_to_saddle(MatrixCompletion(M.T), rank=rank), lambda W: W.T, 1.0),
        (saddle_to_saddle(MatrixCompletion(signs * M), rank=rank), lambda W: signs * W, 1.0),
    ]
    shuffled = saddle_to_saddle(MatrixCompletion(M[np.ix_(rows, columns)]), rank=rank)
    others.append((shuffled, lambda W: W[np.ix_(np.argsort(rows), np.argsort(columns))], 1.0))
    for other, back, scale in others:
        assert other.status == plain.status
        if plain.matrix is not None and plain.determined.all():
            assert plain.error is not None and other.error is not None and other.matrix is not None
            bound = plain.error + other.error / scale + 1e-9
            assert np.abs(back(other.matrix) - plain.matrix).max() <= bound
            losses = [sum(chain.end.loss for chain in each.chains) for each in (plain, other)]
            assert losses[1] / scale / scale == pytest.approx(losses[0], rel=1e-6, abs=1e-12)
