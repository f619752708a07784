"""Tests of how small a start must be at depth three and more: against flows on both sides of the size that is said."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gflow
from gflow.limit.law.deep_ways import Way, beside

GAP = np.nan
# symmetric but for 1e-9: its exact neighbour leaves a saddle on a side that the start decides, this one does not
NEARLY = [
    [0.083, -0.148 + 1e-9, 0.169, -1.0],
    [-0.148, GAP, -0.435, GAP],
    [0.169, -0.435, 0.516, GAP],
    [-1.0, GAP, GAP, -0.658],
]
PLAIN = [[1.0, 2.0, GAP], [-1.0, GAP, 0.5], [GAP, 3.0, 1.5]]


def deep(M: object, scale: float = 1.0, depth: int = 3) -> gflow.DeepTraversal:
    found = gflow.saddle_to_saddle(gflow.MatrixCompletion(scale * np.array(M, dtype=float)), depth=depth)
    assert isinstance(found, gflow.DeepTraversal)
    return found


def end(M: object, start: np.ndarray, log10_alpha: float) -> np.ndarray:
    problem = gflow.MatrixCompletion(M)
    path = gflow.deep_flow(problem, start, log10_alpha, depth=3)
    assert path.status == gflow.Status.CONVERGED
    return gflow.Factorization(problem.shape, depth=3).output(path.final)


@pytest.mark.slow
def test_a_side_that_the_data_hardly_prefer_is_taken_by_starts_as_small_as_is_said() -> None:
    found = deep(NEARLY)
    needed = found.log10_alpha(0.01)
    assert found.matrix is not None and needed is not None and -35.0 < needed < -29.0
    start = gflow.Factorization((4, 4), depth=3).random(2)
    assert np.abs(end(NEARLY, start, needed) - found.matrix).max() < 0.01
    other = end(NEARLY, start, needed + 6.0)  # near the transposed end, as the data are near their transposes
    assert np.abs(other - found.matrix).max() > 1.0 and np.abs(other.T - found.matrix).max() < 1e-6


def test_the_sides_of_symmetric_data_are_nobodys() -> None:
    M = np.array(NEARLY)
    found = deep(np.where(np.isnan(M), GAP, (M + M.T) / 2))
    assert found.status == gflow.TraversalStatus.DEGENERATE and "two ends" in found.reason
    assert found.log10_alpha(0.01) is None and found.log10_alpha_bound(0.01) < -30.0


@pytest.mark.parametrize("depth", [3, 4])
def test_a_start_of_the_size_that_is_said_ends_at_the_limit(depth: int) -> None:
    found, problem = deep(PLAIN, depth=depth), gflow.MatrixCompletion(PLAIN)
    needed = found.log10_alpha(0.01)
    assert found.matrix is not None and needed is not None and -5.0 < needed < -1.0
    model = gflow.Factorization((3, 3), depth=depth)
    scale = 10.0**needed * problem.size ** (1.0 / depth)
    path = gflow.gradient_flow(gflow.Objective.of(problem, model), scale * model.random(0))
    apart = min(np.abs(model.output(path.final) - each).max() for each in found.ends)
    assert path.status == gflow.Status.CONVERGED and apart < 0.01 * problem.size


def test_the_size_is_one_for_all_units_and_smaller_for_a_finer_answer() -> None:
    found = deep(PLAIN)
    sizes = [found.log10_alpha(accuracy) for accuracy in (0.1, 0.01, 1e-9)]
    assert None not in sizes and sizes == sorted(sizes, reverse=True) and sizes[0] > sizes[2]
    assert deep(np.array(PLAIN).T, 3e-9).log10_alpha(0.01) == pytest.approx(sizes[1], abs=0.1)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["saddles"][0]["way"] is None and told["saddles"][1]["way"]["share"] > 0.0
    with pytest.raises(ValueError, match="accuracy must lie between 0 and 1"):
        found.log10_alpha(1.0)


def test_a_matrix_that_is_observed_whole_is_reached_on_every_way() -> None:
    M = np.diag([3.0, 3.0 - 1e-4, 1.0])  # channels that open together, all but for 1e-4
    found = deep(M)
    assert found.order == 3.0 and found.log10_alpha(0.01) == pytest.approx(-2.0 / 3.0)
    problem, model = gflow.MatrixCompletion(M), gflow.Factorization((3, 3), depth=3)
    path = gflow.gradient_flow(gflow.Objective.of(problem, model), 0.2 * model.random(0))
    assert path.status == gflow.Status.CONVERGED and np.abs(model.output(path.final) - M).max() < 1e-6


def test_a_run_to_infinity_says_which_starts_follow_it() -> None:
    # persymmetric. Flows from 1e-2 to 1e-4 break the symmetry on their way to rank 1, and complete the matrix
    M = [[0.216, 0.07, GAP, -0.503], [GAP, 0.464, 1.0, GAP], [GAP, 0.556, 0.464, 0.07], [GAP, GAP, GAP, 0.216]]
    found = deep(M)
    assert found.status == gflow.TraversalStatus.DIVERGING and found.log10_alpha(0.01) is None
    assert found.log10_alpha_bound(0.01) < -15.0


def test_a_channel_that_opens_early_asks_for_a_smaller_start() -> None:
    slow = Way(share=1.0, growth=-3.0, left=-9.0, opened=1e5)
    assert slow.log_scale(0.01, 3, kept=False, last=True) == pytest.approx(-3.0 - np.log(0.1))
    assert slow.log_scale(0.01, 3, kept=False, last=False) == pytest.approx(np.log(1e6))
    assert slow.log_scale(0.01, 4, kept=False, last=False) == pytest.approx(np.log(2e6) / 2)
    assert Way(0.0, 0.0, 0.0, 0.0).log_scale(0.01, 3, kept=True, last=False) == np.inf


def test_what_is_beside_an_orbit_grows_as_the_linear_flow_says() -> None:
    # x' = x, y' = 2 y from (1, 0): what is beside the orbit grows as e^(2 t), the orbit as e^t
    H = np.diag([-1.0, -2.0])
    objective: Any = SimpleNamespace(dim=2, gradient=lambda x: H @ x, hessian=lambda x: H)
    times = np.linspace(0.0, 3.0, 31)
    states = np.exp(times)[:, None] * [1.0, 0.0]
    path: Any = SimpleNamespace(times=times, states=states)
    grown = beside(objective, path, np.exp(times))
    assert grown[1:] == pytest.approx(times[1:], abs=1e-9)
    assert grown[0] == pytest.approx(np.log(2.0))  # an error along it shifts the time, in which y grows twice as fast
