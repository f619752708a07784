"""Whatever takes a problem takes a matrix as people have it, and says in one sentence what it expected otherwise."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import gflow

GAP = np.nan
ROWS = [[2.0, 1.0], [1.0, GAP]]
PROBLEM = gflow.MatrixCompletion(ROWS)


class Frame:
    """What a data frame offers to numpy."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array([[2, 1], [1, None]], dtype=object)


class NAType:
    """The missing value of a data frame, whose comparisons have no truth value."""

    def __ne__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


MATRICES: dict[str, Any] = {
    "lists": ROWS,
    "array": np.array(ROWS),
    "integers with None": [[2, 1], [1, None]],
    "missing values of a frame": [[2, 1], [1, NAType()]],
    "frame": Frame(),
    "masked": np.ma.masked_array([[2.0, 1.0], [1.0, 7.0]], [[False, False], [False, True]]),
    "sparse": sparse.coo_array(([2.0, 1.0, 1.0], ([0, 0, 1], [0, 1, 0])), shape=(2, 2)),
}
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "connectivity": lambda M: str(gflow.connectivity(M).kind),
    "coupling_graph": lambda M: len(gflow.coupling_graph(M)),
    "observation_graph": lambda M: len(gflow.observation_graph(M)),
    "saddle_to_saddle": lambda M: gflow.saddle_to_saddle(M).rank,
    "deep saddle_to_saddle": lambda M: np.round(gflow.saddle_to_saddle(M, depth=3, rank=1).end, 6).tolist(),
    "greedy_low_rank": lambda M: gflow.greedy_low_rank(M).end.rank,
    "symmetric_traversal": lambda M: gflow.symmetric_traversal(M).rank,
    "graded_flow": lambda M: str(gflow.graded_flow(M, np.full(8, 1e-3)).status),
    "minimum_nuclear_norm": lambda M: round(gflow.minimum_nuclear_norm(M).nuclear_norm, 6),
    "minimum_rank": lambda M: gflow.minimum_rank(M).upper,
    "minimum_trace": lambda M: round(float(np.trace(gflow.minimum_trace(M).matrix)), 6),
    "nearest_interpolant": lambda M: gflow.nearest_interpolant(M).matrix.tolist(),
    "rank_fit": lambda M: round(gflow.rank_fit(M, 1).loss, 9),
    "gradient_flow": lambda M: gflow.gradient_flow(M, np.full(4, 0.1), rank=1).status,
    "gradient_flows": lambda M: [end.status for end in gflow.gradient_flows(M, np.full(4, 0.1), rank=1)],
    "Objective.of": lambda M: gflow.Objective.of(M, gflow.Factorization((2, 2))).value(np.ones(8)),
}


@cache
def of_problem(function: str) -> Any:
    return FUNCTIONS[function](PROBLEM)


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_matrices_are_taken_as_problems(function: str, kind: str) -> None:
    assert FUNCTIONS[function](MATRICES[kind]) == of_problem(function)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("wrong", "name"), [(3, "int"), (None, "NoneType"), ("fig3.csv", "str: gflow.read_matrix")])
def test_what_is_no_matrix_is_named_in_one_sentence(function: str, wrong: Any, name: str) -> None:
    with pytest.raises(TypeError, match=f"^problem must be a MatrixCompletion, an array with NaN.*; got {name}"):
        FUNCTIONS[function](wrong)


def test_an_entry_that_is_no_number_is_named() -> None:
    with pytest.raises(TypeError, match="values must be real numbers; row 2, column 1 holds 'x'"):
        gflow.MatrixCompletion([[1.0, None], ["x", 2.0]])


@pytest.mark.parametrize(
    "model", [gflow.Factorization((2, 2)), gflow.DirectMatrix((2, 2)), gflow.SymmetricFactorization(2)]
)
def test_a_seed_stands_for_its_generator(model: Any) -> None:
    assert np.array_equal(model.random(7, 0.5), model.random(np.random.default_rng(7), 0.5))
    for wrong in (None, 0.5, True):
        with pytest.raises(TypeError, match="rng must be a numpy Generator or an integer seed"):
            model.random(wrong)


def test_one_flow_and_many_take_the_same_first_arguments() -> None:
    start = np.full(4, 0.1)
    objective = gflow.Objective.of(PROBLEM, gflow.Factorization((2, 2), 1))
    paths = [gflow.gradient_flow(ROWS, start, rank=1), gflow.gradient_flow(objective, start)]
    assert np.array_equal(paths[0].final, paths[1].final)
    ends = gflow.gradient_flows([PROBLEM, np.array(ROWS), objective.normalized or objective], start, compiled=False)
    assert len(ends) == 3
    with pytest.raises(ValueError, match="rank belongs to problems"):
        gflow.gradient_flow(objective, start, rank=1)
