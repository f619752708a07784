"""The gallery of premise violations: what runs to infinity, how, and that each claim about it can fail."""

from dataclasses import replace

import numpy as np
import pytest
from gflow_studies.figures import premise_gallery
from gflow_studies.figures.premise_gallery import QUICK, Config, Result, claims, data, run, tables
from gflow_studies.figures.stage_drifts import Drift, Fate, drift, random_problem, violation

import gflow
from gflow.data import example
from gflow.statements.claims import Claim, Verdict
from gflow.studies import study_report


@pytest.fixture(scope="module")
def quick() -> Result:
    return run(QUICK)


def verdicts(result: Result) -> dict[str, Verdict]:
    return {claim.id: claim.verdict for claim in claims(result)}


def spoiled(result: Result, **changes: object) -> dict[str, Verdict]:
    """Return the verdicts with every drift changed."""
    cases = [
        each if each.drift is None else replace(each, drift=replace(each.drift, **changes)) for each in result.cases
    ]
    return verdicts(replace(result, cases=cases))


def test_every_claim_of_the_quick_study_holds(quick: Result) -> None:
    assert set(verdicts(quick).values()) == {Verdict.HOLDS}, claims(quick)
    assert [each.name for each in quick.cases[:2]] == ["c1", "fig4"]
    assert {each.reason for each in quick.cases} >= {"local minimum inside Omega_k", "saddle of a sub-Omega_k"}


def test_c1_grows_like_the_root_of_time_to_the_known_sizes_and_loss(quick: Result) -> None:
    found = quick.cases[0].drift
    assert found is not None and found.fate is Fate.INFINITY
    assert np.interp(1e6, found.times, found.sizes) == pytest.approx(622, rel=0.1)
    assert np.interp(1e8, found.times, found.sizes) == pytest.approx(6045, rel=0.1)
    assert found.floor == pytest.approx(0.0027, abs=1e-4)
    assert found.growth == pytest.approx(0.5, abs=0.005) and found.norm_growth == pytest.approx(0.25, abs=0.005)


def test_figure_4_is_beaten_at_rank_1_by_a_matrix_of_loss_0(quick: Result) -> None:
    ((rank, loss, best),) = quick.cases[1].fits
    assert rank == 1 and loss == pytest.approx(5) and best < 1e-20
    assert [saddle[2] for saddle in quick.cases[1].saddles] == pytest.approx([20, 0, 5, 0], abs=1e-12)


def test_figure_3_keeps_the_premise() -> None:
    assert violation(example("fig3")) == ""


def test_a_problem_of_the_search_depends_on_its_number_alone() -> None:
    one, again = (random_problem(0, 13, 4, (1, 2, 3)) for _ in range(2))
    other = random_problem(0, 14, 4, (1, 2, 3))
    assert np.array_equal(one.values, again.values) and not np.array_equal(one.values, other.values)
    assert gflow.connectivity(one).kind is gflow.Kind.CONNECTED
    assert one.observed.any(axis=0).all() and one.observed.any(axis=1).all()


def test_a_drift_scales_with_its_matrix() -> None:
    plain, large = (gflow.MatrixCompletion(s * example("c1").with_gaps()) for s in (1.0, 16.0))
    one, other = (drift(p, gflow.saddle_to_saddle(p).chains[0], 1e4) for p in (plain, large))
    assert other.times * 16 == pytest.approx(one.times) and other.sizes / 16 == pytest.approx(one.sizes)
    assert other.losses / 256 == pytest.approx(one.losses) and other.norms / 4 == pytest.approx(one.norms)


def test_a_drift_that_comes_to_rest_far_away_is_told_from_one_that_does_not() -> None:
    def found(growth: float, bending: float, status: str = "horizon") -> Fate:
        empty = np.ones(1)
        return Drift(empty, empty, empty, empty, status, growth, growth / 2, bending, 1.0, None).fate

    assert found(0.5, 0.0) is found(1 / 3, 0.0) is Fate.INFINITY
    assert found(0.02, -0.05) is found(0.5, 0.0, "converged") is Fate.REST
    assert found(0.3, -0.2) is found(0.5, 0.0, "budget") is Fate.UNDECIDED


def test_another_power_of_growth_is_contradicted(quick: Result) -> None:
    assert spoiled(quick, growth=1 / 3)["growth"] is Verdict.CONTRADICTED
    assert spoiled(quick, norm_growth=1 / 6)["norm"] is Verdict.CONTRADICTED


def test_a_loss_that_tends_to_zero_or_below_the_best_fit_is_contradicted(quick: Result) -> None:
    assert spoiled(quick, floor=0.0)["positive"] is Verdict.CONTRADICTED
    level = [replace(each, fits=[(k, loss, loss) for k, loss, _ in each.fits]) for each in quick.cases]
    found = verdicts(replace(quick, cases=level))
    assert found["better"] is found["premise"] is Verdict.CONTRADICTED


def test_drifts_that_rest_are_lost_or_disagree_are_counted(quick: Result) -> None:
    assert spoiled(quick, status="converged")["diverging"] is Verdict.CONTRADICTED
    assert spoiled(quick, status="budget")["followed"] is Verdict.UNDECIDED
    assert spoiled(quick, agreement=0.1)["methods"] is Verdict.CONTRADICTED


def test_a_premise_that_holds_or_fails_for_another_reason_is_seen(quick: Result) -> None:
    kept = Claim.bounded("thm3_premise", "x", 0, 0, 0, reason="local minimum inside Omega_k: x")
    found = verdicts(replace(quick, cases=[replace(each, premise=kept) for each in quick.cases]))
    assert found["premise"] is found["published"] is Verdict.CONTRADICTED
    found = verdicts(replace(quick, looks=["undecided"]))
    assert found["decided"] is Verdict.UNDECIDED
    assert verdicts(replace(quick, looks=["", ""]))["search"] is Verdict.CONTRADICTED


def test_all_panels_are_drawn_with_their_data(quick: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(premise_gallery, "run", lambda config, jobs: quick)
    report = study_report(premise_gallery, "premise-gallery", QUICK)
    assert [figure.name.rpartition("-")[2] for figure in report.figures] == list(premise_gallery.PANELS)
    assert len(data(quick)["size"]["time"]) == sum(len(found.times) for _, found in quick.drifts)
    assert len(tables(quick)[0].rows) == len(quick.cases)


def test_the_result_does_not_depend_on_the_number_of_processes() -> None:
    config = Config(search=2, horizon=1e3)
    one, two = (run(config, jobs=jobs) for jobs in (1, 2))
    assert one.looks == two.looks and len(one.cases) == len(two.cases)
    for panel, columns in data(one).items():
        for name, column in columns.items():
            assert np.array_equal(column, data(two)[panel][name]), (panel, name)
