"""The study of the grid of small problems: its quick claims, a refutation in it, and planted faults."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import gunasekar2017_fig4 as study

import gflow
from gflow.studies import study_report

TINY = study.Config(orders=(3,), ranks=(1,), shares=(0.5,), repeats=1)


@pytest.fixture(scope="module")
def quick() -> Any:
    """Return the result of the quick configuration."""
    return study.run(study.QUICK)


def contradicted(result: Any) -> set[str]:
    """Return the ids of the contradicted claims."""
    return {claim.id for claim in study.claims(result) if claim.verdict == "contradicted"}


def test_no_claim_of_the_quick_grid_is_contradicted(quick: Any) -> None:
    assert {str(claim.verdict) for claim in study.claims(quick)} == {"holds"}


def test_entries_are_pairs_and_gaussian_measurements_are_symmetric() -> None:
    for kind in ("entries", "gaussian"):
        problem = study.measured(kind, 4, 2, 0.5, np.random.default_rng(0))
        A = problem.measurements
        assert np.array_equal(A, A.mT) and problem.n_observed == 5
        assert kind == "gaussian" or np.allclose(A.sum(axis=(1, 2)), 1.0)


def test_the_counterexample_has_its_excess_in_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    known = gflow.nuclear_norm_counterexample(2.0).problem
    monkeypatch.setattr(study, "measured", lambda *place: known)
    case = study._case("entries", 4, 1, 0.5, np.random.SeedSequence(0))
    assert case.excesses["limit"] == pytest.approx(0.25, abs=1e-6) and case.minimum == pytest.approx(8.0)
    assert case.excesses["small"] == pytest.approx(0.25, abs=0.05)


def test_a_minimum_that_is_not_one_turns_the_claim_red(quick: Any) -> None:
    first = quick.cases[0]
    lowered = {name: -0.01 for name in first.excesses}
    assert contradicted(replace(quick, cases=(replace(first, excesses=lowered), *quick.cases[1:]))) >= {"below"}


def test_a_limit_that_is_not_the_flows_turns_the_claim_red(quick: Any) -> None:
    cases = tuple(replace(case, excesses={**case.excesses, "limit": 3.0}) for case in quick.cases)
    assert contradicted(replace(quick, cases=cases)) == {"limit-near"}


def brief(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with a smaller budget."""
    return lambda *given, **options: function(*given, **options | {"max_evaluations": 2000})


def test_a_doubled_measurement_matrix_in_the_flow_turns_claims_red(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = gflow.MatrixSensing.misfit
    monkeypatch.setattr(gflow.MatrixSensing, "misfit", lambda self, W: plain(self, 2.0 * W))
    for name in ("gradient_flow", "symmetric_traversal"):  # neither comes to rest, as its Hessian is that of the truth
        monkeypatch.setattr(gflow, name, brief(getattr(gflow, name)))
    assert "below" in contradicted(study.run(TINY))


def test_cases_do_not_depend_on_the_number_of_processes() -> None:
    one, two = (study.run(TINY, jobs=jobs) for jobs in (1, 2))
    assert [case.excesses for case in one.cases] == [case.excesses for case in two.cases]


def test_unknown_excesses_are_counted_and_drawn_around(quick: Any) -> None:
    cases = (replace(quick.cases[0], excesses=dict.fromkeys(study.NAMES)), *quick.cases[1:])
    reason = next(claim.reason for claim in study.claims(replace(quick, cases=cases)) if claim.id == "below")
    assert f"limit {len(cases) - 1} of {len(cases)}" in reason
    assert np.isnan(study.data(replace(quick, cases=cases))["histograms"]["limit"][0])


def test_the_report_draws_the_histograms() -> None:
    report = study_report(study, "gunasekar2017-fig4", TINY)
    assert [figure.name for figure in report.figures] == ["gunasekar2017-fig4-histograms"]
