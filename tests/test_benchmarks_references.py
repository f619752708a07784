"""Tests of the benchmark of the minimum nuclear norm and of the study below P5: no time without a certified answer."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from gflow_studies.benchmarks import CASES, STUDIES, Case, full_width, measure, references, scale
from gflow_studies.benchmarks.references import PROBLEMS, certified_gap, hilbert, triangular
from gflow_studies.benchmarks.scale import low_rank

import gflow
from gflow.data import example


def test_the_gap_is_that_of_the_matrix_and_its_dual_alone() -> None:
    figure_4 = example("fig4")  # complete bipartite components: the minimum is 15, by pinching
    completion = gflow.minimum_nuclear_norm(figure_4)
    assert completion.value == pytest.approx(15.0, rel=1e-12) and abs(certified_gap(figure_4, completion)) < 1e-14
    halved = dataclasses.replace(completion, dual=completion.dual / 2)
    assert certified_gap(figure_4, halved) == pytest.approx(0.5)
    doubled = dataclasses.replace(completion, dual=2 * completion.dual)  # not feasible: it is scaled back
    assert abs(certified_gap(figure_4, doubled)) < 1e-14


@pytest.mark.parametrize("part", ["matrix", "dual"])
def test_a_completion_that_breaks_a_constraint_has_no_gap(part: str) -> None:
    figure_4 = example("fig4")
    completion = gflow.minimum_nuclear_norm(figure_4)
    with pytest.raises(ValueError, match="misses an observed entry, or its dual has one outside the mask"):
        certified_gap(figure_4, dataclasses.replace(completion, **{part: getattr(completion, part) + 1e-3}))


def small(hard: bool = False) -> Case:
    return Case(
        "T", "a test", "gflow minimum_nuclear_norm", lambda: references._sides(low_rank, (8, 2, 0.6), hard), 1e-6
    )


def test_conic_solvers_of_the_primal_find_the_certified_value() -> None:
    rows = measure(small(), repeats=1)
    assert [row.side for row in rows] == [
        "gflow minimum_nuclear_norm",
        "cvxpy + SCS at 1e-9",
        "cvxpy + Clarabel at 1e-9",
    ]
    assert all(row.error <= 1e-6 for row in rows)


def test_an_answer_with_too_wide_a_gap_has_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    references.reference.cache_clear()

    def loose(problem: gflow.MatrixCompletion, **_: float) -> gflow.Completion:
        found = minimum(problem)
        return dataclasses.replace(found, dual=found.dual * (1 - 1e-7))

    minimum = gflow.minimum_nuclear_norm
    sides = small().sides()
    monkeypatch.setattr(gflow, "minimum_nuclear_norm", loose)
    with pytest.raises(ValueError, match="certified gap of 1e-07; 1e-08 is asked for"):
        sides[0].run()
    references.reference.cache_clear()
    with pytest.raises(ValueError, match="certified gap of 1e-07; 1e-08 is asked for"):
        small().sides()


def test_a_hard_problem_shows_scs_with_its_error_and_clarabel_only_where_it_fits() -> None:
    sides = {side.name: side for side in references._sides(hilbert, (30,), True)}
    assert set(sides) == {"gflow minimum_nuclear_norm", "cvxpy + SCS at 1e-9"}
    assert not sides["cvxpy + SCS at 1e-9"].trusted


def test_the_hard_problems_are_what_their_titles_say() -> None:
    cauchy, lower = hilbert(80), triangular(80)
    assert cauchy.values[0, 0] == pytest.approx(2 / 3) and 0.97 < cauchy.density < 0.99
    assert np.linalg.cond(np.where(cauchy.observed, cauchy.values, 0.0)) > 1e3
    assert lower.n_observed == 80 * 81 // 2 and not np.triu(lower.observed, 1).any()


def test_the_certificates_are_printed_with_the_memory_of_the_solver_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "PROBLEMS", (("P10x", "d = 8", low_rank, (8, 2, 0.6), False),))
    text, numbers = references.certificates()
    assert "P10x" in text and "3.0 GiB at d = 100" in text
    assert json.loads(json.dumps(numbers, allow_nan=False))["P10x"]["gap"] <= 1e-8


def test_the_new_cases_and_studies_are_in_the_tables() -> None:
    assert {name for name, *_ in PROBLEMS} <= {case.name for case in CASES}
    assert {"P5", "P10"} <= set(STUDIES)


def test_the_largest_stable_step_follows_from_the_curvature() -> None:
    objective = gflow.Objective.of(gflow.MatrixCompletion([[2.0]]), gflow.Factorization((1, 1)))
    minimum = np.array([np.sqrt(2.0), np.sqrt(2.0)])  # loss (ab - 2)^2: the largest eigenvalue is 2 (a^2 + b^2) = 8
    assert scale.largest_stable_step(objective, minimum) == pytest.approx(1.9 / 8, rel=1e-12)
    theta, steps, loss = scale.descent_end(objective, np.array([0.1, 0.1]), 0.1)
    assert loss <= 1e-12 and steps < scale.DESCENT_STEPS and theta[0] * theta[1] == pytest.approx(2.0, abs=1e-5)


def test_the_study_below_p5_prints_both_times_and_every_distance() -> None:
    text, numbers = full_width.full_width(30, 2, 0.5, repeats=1)
    assert numbers["rank"] == 2 and 0 < numbers["flow_to_limit"] < 1e-3
    assert numbers["ratio"] == pytest.approx(numbers["flow_seconds"] / numbers["limit_seconds"])
    assert "times as long" in text and "gradient descent, step" in text
    json.dumps(numbers, allow_nan=False)


def test_a_flow_that_does_not_converge_has_no_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    follow = gflow.gradient_flow
    monkeypatch.setattr(gflow, "gradient_flow", lambda *given, **kept: follow(*given, **(kept | {"t_end": 1.0})))
    with pytest.raises(ValueError, match="the limit ended converged and the flow horizon"):
        full_width.full_width(12, 1, 0.8, repeats=1)
