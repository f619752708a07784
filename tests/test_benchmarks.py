"""Tests of the benchmark: answers are compared before times, and the table shows what was measured."""

import json

import numpy as np
import pytest
from gflow_studies.benchmarks import CASES, Case, Side, cases, measure, table


def case(answer: float, *, trusted: bool = True) -> Case:
    """Return a case of two sides of which the second gives ``answer`` instead of 1."""
    right, other = np.array([1.0, 0.5]), np.array([answer, 0.5])
    sides = Side("right", lambda: (right, 10)), Side("other", lambda: (other, 20), trusted)
    return Case("T", "a test", "right", lambda: sides, 1e-3, lambda count: 1e-9 * count)


def test_sides_with_the_same_answer_are_timed_against_the_reference() -> None:
    rows = measure(case(1.0 + 1e-6), repeats=3)
    assert [row.side for row in rows] == ["right", "other"]
    assert rows[0].ratio == 1.0 and rows[0].error == 0.0
    assert rows[1].error == pytest.approx(1e-6) and rows[1].evaluations == 20
    assert all(row.floor_ratio is not None and row.floor_ratio > 0 for row in rows)
    json.dumps([row.to_dict() for row in rows], allow_nan=False)


@pytest.mark.parametrize("answer", [1.01, np.nan, np.inf])
def test_a_wrong_answer_of_a_trusted_side_has_no_time(answer: float) -> None:
    with pytest.raises(ValueError, match="T: the answer of other differs from right"):
        measure(case(answer), repeats=1)


def test_an_untrusted_side_is_shown_with_its_error() -> None:
    rows = measure(case(3.0, trusted=False), repeats=1)
    assert rows[1].error == pytest.approx(2.0)
    assert "2.0e+00" in table(rows).splitlines()[2]


def test_the_flow_of_figure_4_agrees_with_bare_solve_ivp_and_default_tolerances_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cases, "peer_sides", lambda *given: ())  # they have tests of their own
    (figure_4,) = (entry for entry in CASES if entry.name == "P2")
    rows = measure(figure_4, repeats=1)
    assert rows[0].error < 1e-6
    assert any("default tolerances" in row.side for row in rows)
