"""Tests of the benchmark cases of the limit: what is compared, how it is judged, and what is extrapolated."""

import dataclasses
import json

import numpy as np
import pytest
from gflow_studies.benchmarks import CASES, large_limits, limits, measure
from gflow_studies.benchmarks.large_limits import growth
from gflow_studies.benchmarks.limits import (
    LIMIT_CASES,
    Comparison,
    compared,
    comparison,
    descent_steps,
    quantiles,
    random_problems,
)
from gflow_studies.figures.expectations import accuracy
from gflow_studies.powers import exponent

import gflow
from gflow.data import example

GAP = np.nan


@pytest.fixture(autouse=True)
def single(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here hangs on a time, so that each is taken once."""
    monkeypatch.setattr(limits, "REPEATS", 1)


def test_random_problems_repeat_and_are_connected() -> None:
    first, again = random_problems(4), random_problems(4)
    assert first == again
    assert {gflow.connectivity(problem).kind for problem in first} == {"connected"}


def test_the_predicted_distance_is_the_accuracy_whose_alpha_is_that_of_the_flow() -> None:
    limit = gflow.saddle_to_saddle(gflow.MatrixCompletion([[1, 2], [3, GAP]]))
    predicted = accuracy(limit, 1e-8)
    assert limit.log10_alpha(predicted) == pytest.approx(-8.0, abs=0.01)
    complete = gflow.MatrixCompletion([[1.0, 0.2], [0.3, 2.0]])
    assert accuracy(gflow.saddle_to_saddle(complete), 1e-8) == 1.0 and compared(complete).predicted is None


def test_a_flow_that_ends_at_the_limit_agrees_and_one_that_ends_elsewhere_is_wrong() -> None:
    case = compared(gflow.MatrixCompletion([[1, 2], [3, GAP]]))
    assert case.verdict == "agree" and case.ratio > 0
    assert dataclasses.replace(case, distance=0.5).verdict == "wrong"
    assert dataclasses.replace(case, predicted=0.9, distance=0.5).verdict == "out of reach"
    assert dataclasses.replace(case, distance=None).verdict == "no limit"


def test_a_problem_without_a_limit_has_no_distance() -> None:
    case = compared(example("c1"))
    assert (case.limit_status, case.verdict, case.distance) == ("diverging", "no limit", None)


def test_the_comparison_prints_quantiles_of_times_and_of_ratios_problem_by_problem() -> None:
    text, numbers = comparison(2)
    assert "limit / flow, same problem" in text and "median" in text and "worst" in text
    assert sum(numbers["verdict"].values()) == sum(numbers["limit_status"].values()) == 2
    json.dumps(numbers, allow_nan=False)
    assert quantiles([1.0, 2.0, 9.0]) == (2.0, pytest.approx(7.6), 9.0)
    assert Comparison(3.0, 1.5, "converged", "converged", None, None, 1e-9).ratio == 2.0


def test_gradient_descent_needs_tens_of_millions_of_steps_on_the_slow_case() -> None:
    steps = descent_steps(trial=2000)
    assert steps["by_time"] > 1e7 and steps["by_rate"] > 1e4 and 0.01 < steps["distance"] < 10


def test_the_cases_are_in_the_table_and_the_slow_one_has_its_completed_entry() -> None:
    assert {case.name for case in LIMIT_CASES} <= {case.name for case in CASES}
    (slow,) = (case for case in LIMIT_CASES if case.name == "P7")
    answer, _ = slow.sides()[0].run()
    assert float(answer) == pytest.approx(0.44930, abs=1e-5)
    assert measure(slow, repeats=1)[0].error == 0.0


@pytest.mark.slow
def test_the_growth_of_large_limits_is_measured_in_processes_of_their_own_and_checked() -> None:
    text, numbers = growth(((16, 0.8), (24, 0.8)))
    assert "peak MiB" in text and "CPU time grows as observed^" in text
    assert [len(case["losses"]) for case in numbers["cases"]] == [6, 6]
    assert all(case["error"] < 1e-6 and case["megabytes"] > 10 for case in numbers["cases"])
    assert exponent([1.0, 10.0, 100.0], [2.0, 20.0, 200.0]) == pytest.approx(1.0)


def test_a_wrong_answer_of_a_large_limit_has_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"d": 4, "observed": 9, "status": "converged", "rank": 5, "losses": [1.0, 0.0], "error": 1e-3}
    monkeypatch.setattr(large_limits, "in_own_process", lambda d, fraction: wrong)
    with pytest.raises(ValueError, match="wrong answer at d = 4"):
        growth(((4, 0.5),))


def test_differences_of_products_are_taken_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_limits, "BLOCK", 3)
    rng = np.random.default_rng(0)
    A, B, C = rng.standard_normal((8, 2)), rng.standard_normal((2, 5)), rng.standard_normal((8, 2))
    found = large_limits.largest_difference((A, B), (C, B))
    assert found == pytest.approx(float(np.abs(A @ B - C @ B).max()))
