"""Tests of Figure 1 in the exact limit: what the limit has, and what it says of finite runs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import bai2024_fig1, limit_fig1 as study, repeats

import gflow
from gflow.connectivity import Kind
from gflow.statements.claims import Claim, Verdict
from gflow.studies import study_report

TINY = study.Config(ranks=(1,), count=1, alphas=(1e-2, 1e-6))


@pytest.fixture(scope="module")
def result() -> study.Result:
    return study.run(study.QUICK)


def verdicts(result: study.Result) -> dict[str, Verdict]:
    return {claim.id: claim.verdict for claim in study.claims(result)}


def with_cases(result: study.Result, **changes: Any) -> study.Result:
    return replace(result, cases=tuple(replace(case, **changes) for case in result.cases))


def test_a_rank_1_path_of_three_entries_is_in_reach_where_its_square_of_alpha_is() -> None:
    case = repeats.case(Kind.CONNECTED, 1, 5, 0, (), 0)
    assert case.limit.rank == 1 and case.least_rank.lower == 1 and case.premise is None
    assert case.rank_scale() <= np.log10(repeats.RANK_TOL) / 2, "a passive mode of amplitude alpha leaves alpha^2"


def test_every_claim_of_the_quick_study_holds(result: study.Result) -> None:
    assert set(verdicts(result).values()) == {Verdict.HOLDS}


def test_the_cases_are_those_of_figure_1(result: study.Result) -> None:
    other = repeats.case(result.cases[3].kind, result.cases[3].rank, result.cases[3].n, 0, (1e-8,), 0)
    assert bai2024_fig1.QUICK.seed == study.QUICK.seed
    np.testing.assert_array_equal(other.problem.with_gaps(), result.cases[3].problem.with_gaps())
    assert other.runs[0].singular_values.tolist() == result.cases[3].runs[-1].singular_values.tolist()


def test_the_share_of_runs_at_the_limit_rises_as_alpha_falls(result: study.Result) -> None:
    columns = study.data(result)["shares"]
    shares = [columns["arrived"][columns["alpha"] == alpha].mean() for alpha in study.QUICK.alphas]
    assert shares == sorted(shares) and shares[0] < shares[-1]


def test_greedy_low_rank_learning_in_place_of_the_limit_turns_the_prediction_red(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """GLRL ends with zeros between components: the distances to its matrix do not fall with alpha."""
    right = repeats.run

    def beside_greedy(
        problem: gflow.MatrixCompletion, alpha: float, start: np.ndarray, limit: Any
    ) -> repeats.RepeatRun:
        return right(problem, alpha, start, gflow.greedy_low_rank(problem).end.matrix)

    monkeypatch.setattr(repeats, "run", beside_greedy)
    found = verdicts(study.run(TINY))
    assert found["distance-prediction"] is Verdict.CONTRADICTED


def test_a_wrong_rank_or_norm_of_the_limit_turns_its_claims_red(result: study.Result) -> None:
    spoilt = with_cases(result, parts_rank=4)
    assert verdicts(spoilt)["disconnected-rank"] is Verdict.CONTRADICTED
    shrunk = replace(result.cases[0].least_norm, upper=0.1, lower=0.1)
    assert verdicts(with_cases(result, least_norm=shrunk))["complete-norm"] is Verdict.CONTRADICTED


def test_a_premise_that_fails_takes_its_matrix_out_of_the_claim_and_is_named(result: study.Result) -> None:
    fails = with_cases(
        result, premise=Claim.hypothesis("thm3_premise", "x", 1, 0, 0, reason="critical value at infinity")
    )
    found = {claim.id: claim for claim in study.claims(fails)}
    assert found["connected-rank"].verdict is Verdict.UNDECIDED
    assert found["excluded"].verdict is Verdict.HYPOTHESIS_NOT_MET
    assert "critical value at infinity" in found["excluded"].reason


def test_the_result_does_not_depend_on_the_number_of_processes() -> None:
    one, two = (study.data(study.run(TINY, jobs=jobs)) for jobs in (1, 2))
    for panel, columns in one.items():
        for name, column in columns.items():
            np.testing.assert_array_equal(column, two[panel][name])


def test_every_panel_is_drawn(result: study.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "run", lambda config, jobs=1: result)
    module: Any = study
    report = study_report(module, "limit-fig1", study.QUICK)
    assert [figure.name.removeprefix("limit-fig1-") for figure in report.figures] == list(study.PANELS)
