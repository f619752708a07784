"""Tests of the study of Figure 3 of Bai et al.: connected data, saddle after saddle."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import bai2024_fig3 as study, passages
from gflow_studies.figures.one_hole import chosen_holes, with_hole
from gflow_studies.figures.variances import learned, random_starts

import gflow
from gflow import fast
from gflow.cli import main
from gflow.data import example
from gflow.statements.claims import Claim, Verdict
from gflow.studies import study_report

TINY = replace(study.QUICK, variances=(1.0, 1e-8, 1e-12), repeats=2, holes=2, fits=4)


@pytest.fixture(scope="module")
def result() -> study.Result:
    return study.run(study.QUICK)


def verdicts(found: Any) -> dict[str, Claim]:
    return {claim.id: claim for claim in study.claims(found)}


def test_every_claim_about_the_published_matrix_holds(result: study.Result) -> None:
    found = verdicts(result)
    assert {name: claim.reason for name, claim in found.items() if claim.verdict is not Verdict.HOLDS} == {}
    assert {"rank-4", "rank-3", "order", "ranks", "best-losses", "masks-rank", "masks-recovery"} <= found.keys()


def test_the_sweep_over_variances_learns_the_same_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    if not fast.installed():
        pytest.skip("numba is not installed")
    problem, variances = example("fig3"), (1.0, 1e-4, 1e-16)
    starts = random_starts(gflow.Factorization(problem.shape), (0,), 3)
    every = np.broadcast_to(starts, (len(variances), *starts.shape))
    compiled = learned(problem, variances, every, rtol=1e-10)
    monkeypatch.setattr(fast, "installed", lambda: False)
    plain = learned(problem, variances, every, rtol=1e-10)
    assert (plain.statuses == compiled.statuses).all() and not np.array_equal(plain.matrices, compiled.matrices)
    np.testing.assert_allclose(plain.matrices, compiled.matrices, atol=1e-7 * problem.size)


def test_the_loss_at_the_origin_is_the_mean_square_of_the_data(result: study.Result) -> None:
    problem = example("fig3")
    assert verdicts(result)["loss-0"].measured == pytest.approx(np.mean(problem.targets**2), rel=1e-14)


def test_the_gap_completes_a_row_to_a_multiple_of_the_first(result: study.Result) -> None:
    assert result.completed is not None
    assert np.abs(result.completed[1] - 1.5 * result.completed[0]).max() < 1e-12


def test_the_best_approximation_of_rank_1_is_a_saddle_of_the_flow(result: study.Result) -> None:
    rest = result.journey.passages[1]
    gradient = example("fig3").gradient(rest.fit)
    U, sigma, Vt = np.linalg.svd(rest.fit)
    assert sigma[1] < 1e-8 * sigma[0]
    assert max(np.abs(U[:, 0] @ gradient).max(), np.abs(gradient @ Vt[0]).max()) < 1e-8
    assert rest.fit_loss == pytest.approx(0.32652694, abs=5e-9)


def test_the_flow_comes_about_as_near_to_each_saddle_as_its_rates_predict(result: study.Result) -> None:
    for rest in result.journey.passages[1:-1]:
        assert 1e-3 * rest.predicted < rest.distance < rest.predicted


def test_a_flow_on_other_data_turns_the_claims_about_saddles_red(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = passages.flow
    monkeypatch.setattr(passages, "flow", lambda problem, *rest: flow(problem.rescaled(1.05), *rest))
    found = verdicts(study.run(TINY))
    red = {name for name, claim in found.items() if claim.verdict is Verdict.CONTRADICTED}
    assert {"saddle-losses", "saddle-distances", "best-distances"} <= red


def test_a_fourth_singular_value_that_stays_turns_the_rank_red(result: study.Result) -> None:
    ends = result.learned
    wrong = replace(ends, matrices=ends.matrices + 0.5 * np.eye(4) + 0.01)
    found = verdicts(replace(result, learned=wrong))
    assert found["rank-3"].verdict is found["rank"].verdict is found["gap-flow"].verdict is Verdict.CONTRADICTED


def test_an_unfinished_run_is_counted(result: study.Result) -> None:
    statuses = result.learned.statuses.astype("U12")
    statuses[0, 0] = "budget"
    found = verdicts(replace(result, learned=replace(result.learned, statuses=statuses)))
    assert found["converged"].verdict is Verdict.CONTRADICTED and found["converged"].measured == 1


def test_a_hole_filled_with_another_entry_turns_the_recovery_red(result: study.Result) -> None:
    assert result.completed is not None
    other = result.completed.copy()
    other[0, 0] += 1e-4
    assert verdicts(replace(result, completed=other))["masks-recovery"].verdict is Verdict.CONTRADICTED


def test_factors_of_different_rank_turn_the_ranks_red(result: study.Result) -> None:
    first, second, *others = result.journey.passages
    wrong = replace(result.journey, passages=(first, replace(second, ranks=(1, 1, 2, 2)), *others))
    assert verdicts(replace(result, journey=wrong))["ranks"].measured == 2


def test_the_result_does_not_depend_on_the_number_of_processes() -> None:
    one, two = study.run(TINY), study.run(TINY, jobs=2)
    assert np.array_equal(one.learned.matrices, two.learned.matrices)
    assert [run.losses.tolist() for run in one.masks] == [run.losses.tolist() for run in two.masks]
    assert one.holes == two.holes


def test_disconnected_data_meet_no_published_number_and_their_hypotheses_are_named() -> None:
    found = verdicts(study.run(replace(TINY, problem=example("m2"))))
    assert "loss-0" not in found and "rank-4" not in found
    assert found["best-losses"].verdict is Verdict.HYPOTHESIS_NOT_MET
    assert "too far to be told" in found["ranks"].reason, "two components escape almost at once"
    assert found["limits"].verdict is Verdict.HOLDS


@pytest.mark.usefixtures("painted")
def test_without_a_limit_the_claims_are_undecided_and_the_other_panels_are_drawn() -> None:
    report = study_report(study, "mine", replace(TINY, problem=example("c1")))
    named = {claim.id: claim.verdict for claim in report.claims}
    assert named["mine/rank"] is named["mine/ranks"] is named["mine/masks-rank"] is Verdict.UNDECIDED
    assert [figure.name for figure in report.figures] == ["mine-variances", "mine-gradient", "mine-factors"]


@pytest.mark.parametrize("rows", [[[7.0]], [[1.0, 2.0, np.nan]], [[0.0, np.nan], [0.0, 0.0]]])
def test_small_and_degenerate_matrices_are_reported_on(rows: list[list[float]]) -> None:
    result = study.run(replace(TINY, problem=gflow.MatrixCompletion(rows)))
    assert not any(claim.verdict is Verdict.CONTRADICTED for claim in study.claims(result))
    assert {"variances", "gradient", "factors"} <= study.data(result).keys()


def test_the_report_has_every_panel_with_its_data(monkeypatch: pytest.MonkeyPatch, result: study.Result) -> None:
    monkeypatch.setattr(study, "run", lambda config, jobs: result)
    report = study_report(study, "fig3", study.QUICK)
    assert [figure.name for figure in report.figures] == [f"fig3-{panel}" for panel in study.PANELS]
    assert len(report.figures[0].data["variance"]) == result.learned.statuses.size
    assert len(set(report.figures[1].data["mask"].tolist())) == 16


def test_holes_are_distinct_entries_and_a_hole_hides_one_entry() -> None:
    assert len(set(chosen_holes((4, 4), 16, 0))) == 16
    assert len(set(chosen_holes((5, 7), 16, 0))) == 16
    assert chosen_holes((1, 1), 16, 0) == ()
    assert with_hole(np.ones((2, 2)), (0, 1)).observed.tolist() == [[True, False], [True, True]]


@pytest.mark.parametrize("setting", ["variances=-1", "variances=0", "variance=-1"])
def test_a_variance_that_is_not_positive_is_one_sentence(setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figure", "bai2024-fig3", "--quick", "--set", setting]) == 2
    assert "--set: variances must be positive and finite; got" in capsys.readouterr().err
