"""Tests of the study of Figure 4 of Bai et al.: disconnected data and the law of the entries between components."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from gflow_studies.figures import bai2024_fig4 as study
from gflow_studies.figures.cross_entries import CrossEntry, first_cross_entry
from gflow_studies.figures.disconnected import law_claims
from gflow_studies.figures.nine_masks import nine_masks
from gflow_studies.figures.variances import Learned
from scipy import stats

import gflow
from gflow.data import example
from gflow.statements.claims import Claim, Verdict
from gflow.studies import study_report

TINY = replace(study.QUICK, variances=(1.0, 1e-8, 1e-12), repeats=2, runs=2, fits=4)


@pytest.fixture(scope="module")
def result() -> study.Result:
    return study.run(study.QUICK)


def verdicts(found: study.Result) -> dict[str, Claim]:
    return {claim.id: claim for claim in study.claims(found)}


def entry_of(name: str) -> CrossEntry:
    entry = first_cross_entry(gflow.saddle_to_saddle(example(name)))
    assert entry is not None
    return entry


def runs_from(width: int, number: int = 200) -> Learned:
    """Return runs drawn from the limit law of a model of another width, as if they had been integrated."""
    limit = gflow.saddle_to_saddle(example("fig4"), rank=width)
    variances = 10.0 ** -np.arange(4.0, 17.0, 2.0)
    matrices = limit.sample(np.random.default_rng(1), len(variances) * number).reshape(-1, number, 3, 3)
    return Learned(example("fig4"), variances, matrices, np.full((len(variances), number), "converged"))


def test_every_claim_about_the_published_matrix_holds(result: study.Result) -> None:
    found = verdicts(result)
    assert {name: claim.reason for name, claim in found.items() if claim.verdict is not Verdict.HOLDS} == {}
    assert {"law", "law-each", "asymmetry", "not-optimal", "greedy-norm", "masks-saddle"} <= found.keys()


def test_the_law_of_the_published_matrix_is_uniform_up_to_the_root_of_5() -> None:
    entry, root = entry_of("fig4"), 5**0.5
    assert entry.place == (0, 1) and entry.mirrored and entry.name == "W_12"
    grid = np.linspace(-root, root, 11)
    assert np.abs(entry.law.cdf(grid) - stats.uniform(-root, 2 * root).cdf(grid)).max() < 1e-12


@pytest.mark.parametrize("name", ["m1", "m2", "fig4"])
def test_the_law_is_that_of_draws_of_random_frames(name: str) -> None:
    limit, entry = gflow.saddle_to_saddle(example(name)), entry_of(name)
    draws = limit.sample(np.random.default_rng(3), 4000)[:, entry.place[0], entry.place[1]]
    assert stats.kstest(draws, entry.law.cdf).pvalue > 1e-3
    assert entry.law.std() == pytest.approx(limit.std[entry.place])


def test_draws_from_the_right_law_pass_the_test() -> None:
    assert all(claim.verdict is Verdict.HOLDS for claim in law_claims(entry_of("fig4"), runs_from(3)))


@pytest.mark.parametrize("width", [2, 4])
def test_draws_from_the_law_of_another_width_turn_it_red(width: int) -> None:
    assert law_claims(entry_of("fig4"), runs_from(width))[0].verdict is Verdict.CONTRADICTED


def test_a_law_of_another_reach_turns_it_red() -> None:
    narrow = replace(entry_of("fig4"), reach=2.0)
    assert law_claims(narrow, runs_from(3))[0].verdict is Verdict.CONTRADICTED


def test_a_difference_that_stays_turns_the_asymmetry_red(result: study.Result) -> None:
    assert result.independent is not None
    matrices = result.independent.matrices.copy()
    matrices[:, :, 0, 1] += 1e-4
    found = verdicts(replace(result, independent=replace(result.independent, matrices=matrices)))
    assert found["asymmetry"].verdict is Verdict.CONTRADICTED


def test_entries_between_components_turn_greedy_learning_red(result: study.Result) -> None:
    end = result.greedy.end
    wrong = replace(result.greedy, saddles=(*result.greedy.saddles[:-1], replace(end, A=end.A + 0.1)))
    found = verdicts(replace(result, greedy=wrong))
    assert found["greedy"].verdict is found["greedy-norm"].verdict is Verdict.CONTRADICTED


def test_a_run_that_ends_at_the_limit_of_another_start_turns_the_limits_red(result: study.Result) -> None:
    found = verdicts(replace(result, limits=result.limits[::-1]))
    assert found["limits"].verdict is Verdict.CONTRADICTED


def test_a_larger_nuclear_norm_turns_the_norm_red(result: study.Result) -> None:
    wrong = tuple(None if limit is None else limit + 0.1 * np.eye(3) for limit in result.limits)
    assert verdicts(replace(result, limits=wrong))["norm"].verdict is Verdict.CONTRADICTED


def test_the_saddle_fits_one_component_and_leaves_the_other_at_zero(result: study.Result) -> None:
    _, rest, end = result.journey.passages
    assert np.abs(rest.learned - [[1, 0, 3], [0, 0, 0], [3, 0, 9]]).max() < 1e-2
    assert rest.idle < 1e-2 and rest.fit_loss < 1e-20 < rest.visit.loss
    assert end.visit.rank == 2 and end.loss < 1e-15


def test_the_nine_masks_are_all_masks_of_five_entries_with_complete_components() -> None:
    found = set()
    for cells in combinations(range(9), 5):
        observed = np.isin(np.arange(9), cells).reshape(3, 3)
        if (
            gflow.connectivity(gflow.MatrixCompletion(np.ones((3, 3)), observed)).kind
            == "disconnected-complete-bipartite"
        ):
            found.add(cells)
    mine = {tuple(np.flatnonzero(problem.observed).tolist()) for problem in nine_masks()}
    assert mine == found and len(found) == 9


def test_another_truth_turns_the_closed_form_red(result: study.Result) -> None:
    wrong = (result.masks[1], result.masks[0], *result.masks[2:])
    assert verdicts(replace(result, masks=wrong))["masks-saddle"].verdict is Verdict.CONTRADICTED


def test_the_result_does_not_depend_on_the_number_of_processes() -> None:
    one, two = study.run(TINY), study.run(TINY, jobs=2)
    assert one.independent is not None and two.independent is not None
    assert np.array_equal(one.learned.matrices, two.learned.matrices)
    assert np.array_equal(one.independent.matrices, two.independent.matrices)
    assert [run.losses.tolist() for run in one.masks] == [run.losses.tolist() for run in two.masks]


def test_all_starts_of_the_law_are_different(result: study.Result) -> None:
    assert result.entry is not None and result.independent is not None
    values = result.entry.values(result.independent).ravel()
    assert len(set(np.round(values, 9).tolist())) == values.size


def test_the_report_has_every_panel_with_its_data(monkeypatch: pytest.MonkeyPatch, result: study.Result) -> None:
    monkeypatch.setattr(study, "run", lambda config, jobs: result)
    report = study_report(study, "fig4", study.QUICK)
    assert [figure.name for figure in report.figures] == [f"fig4-{panel}" for panel in study.PANELS]
    assert len(set(report.figures[3].data["mask"].tolist())) == 9


@pytest.mark.usefixtures("painted")
def test_a_matrix_without_symmetric_places_gets_its_law_but_no_asymmetry() -> None:
    report = study_report(study, "mine", replace(TINY, problem=example("m1")))
    named = {claim.id: claim for claim in report.claims}
    assert named["mine/law"].verdict is Verdict.HOLDS
    assert named["mine/asymmetry"].verdict is Verdict.HYPOTHESIS_NOT_MET
    assert "mine-entries" in [figure.name for figure in report.figures]


@pytest.mark.parametrize(
    "rows", [[[7.0]], [[1.0, 2.0, np.nan]], [[0.0, np.nan], [0.0, 0.0]], [[1, np.nan], [np.nan, 1]]]
)
def test_small_and_degenerate_matrices_are_reported_on(rows: list[list[float]]) -> None:
    result = study.run(replace(TINY, problem=gflow.MatrixCompletion(rows)))
    assert not any(claim.verdict is Verdict.CONTRADICTED for claim in study.claims(result))
    assert {"variances", "gradient", "factors", "outputs"} <= study.data(result).keys()


def test_connected_data_have_no_law_and_say_so() -> None:
    found = verdicts(study.run(replace(TINY, problem=example("m3"))))
    assert found["law"].verdict is found["norm"].verdict is Verdict.HYPOTHESIS_NOT_MET
