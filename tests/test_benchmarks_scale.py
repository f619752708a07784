"""Tests of the benchmark at size: fixed problems, exponents from given costs, and sides that agree."""

import json

import numpy as np
import pytest
from gflow_studies.benchmarks.growth import CostGrowth, growth, growth_table
from gflow_studies.benchmarks.scale import SCALE_CASES, low_rank
from gflow_studies.benchmarks.timing import measure


def test_problems_are_low_rank_sparse_and_the_same_each_time() -> None:
    problem = low_rank(40, 2, 0.3)
    assert problem == low_rank(40, 2, 0.3) and problem.n_observed == 480
    whole = low_rank(12, 2, 1.0)
    assert np.linalg.matrix_rank(whole.values) == 2


def test_an_exponent_is_the_slope_of_the_logarithms() -> None:
    row = CostGrowth("gradient seconds", "n", (10, 20, 40), (3.0, 12.0, 48.0), 1.0)
    assert row.exponent == pytest.approx(2.0)
    assert "2.00" in growth_table([row]) and json.loads(json.dumps(row.to_dict()))["expected"] == 1.0


def test_growth_gives_time_and_memory_of_gradient_and_product() -> None:
    rows = growth((("k", ((60, 400, 2), (60, 400, 4))),), repeats=1)
    assert [row.quantity for row in rows] == [f"{a} {b}" for a in ("gradient", "hvp") for b in ("seconds", "bytes")]
    assert rows[0].expected == pytest.approx(1.0) and 0 < rows[1].expected < 1
    assert all(row.size == "k" and row.sizes == (2, 4) and min(row.costs) >= 0 for row in rows)


def test_closed_form_and_autograd_agree_on_the_spectrum() -> None:
    (case,) = (case for case in SCALE_CASES if case.name == "P6a")
    assert measure(case, repeats=1)[0].error < 1e-10
