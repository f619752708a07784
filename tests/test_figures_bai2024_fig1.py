"""Tests of Figure 1: random masks of a kind, repeated completions, and the claims about them."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import bai2024_fig1 as study, repeats
from gflow_studies.figures.mask_orbits import mask_orbits, random_mask
from gflow_studies.figures.repeats_drawing import FAINTEST, opacity

import gflow
from gflow import fast
from gflow.connectivity import Kind
from gflow.data import example
from gflow.statements.claims import Verdict
from gflow.studies import study_report

TINY = study.Config(ranks=(1,), count=1)
COUNTS = {4: (620, 624, 576), 5: (1968, 384, 2016), 7: (9664, 96, 1680), 9: (11296, 0, 144), 10: (7992, 16, 0)}


@pytest.fixture(scope="module")
def result() -> study.Result:
    return study.run(study.QUICK)


@pytest.fixture(scope="module")
def tiny() -> study.Result:
    return study.run(TINY)


def verdicts(result: study.Result) -> dict[str, Verdict]:
    return {claim.id: claim.verdict for claim in study.claims(result)}


def test_verdicts_and_statuses_are_the_same_without_numba(tiny: study.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fast.installed():
        pytest.skip("numba is not installed")
    asked: list[bool] = []
    monkeypatch.setattr(fast, "installed", lambda: bool(asked.append(True)))
    plain = study.run(TINY)
    assert len(asked) >= len(plain.cases) and verdicts(plain) == verdicts(tiny)
    for one, other in zip(plain.cases, tiny.cases, strict=True):
        assert [run.status for run in one.runs] == [run.status for run in other.runs]
        assert np.abs(one.runs[0].singular_values - other.runs[0].singular_values).max() <= 1e-5 * one.problem.size


def test_the_orbits_hold_every_mask_once_and_count_every_kind() -> None:
    found: Counter[tuple[int, Kind]] = Counter()
    for orbit in mask_orbits(4, 4):
        found[orbit.n_observed, orbit.kind] += orbit.size
    assert sum(found.values()) == 2**16 - 1
    for n, counts in COUNTS.items():
        assert tuple(found[n, kind] for kind in (Kind.CONNECTED, Kind.COMPLETE_BIPARTITE, Kind.DISCONNECTED)) == counts
    assert max(n for n, kind in found if kind is Kind.DISCONNECTED) == 9 < repeats.threshold(2)


def test_random_masks_are_of_the_kind_and_size_and_reach_every_mask() -> None:
    rng = np.random.default_rng(0)
    masks = [random_mask(rng, (4, 4), Kind.COMPLETE_BIPARTITE, 10) for _ in range(300)]
    kinds = {gflow.connectivity(gflow.MatrixCompletion(np.ones((4, 4)), mask)).kind for mask in masks}
    assert kinds == {Kind.COMPLETE_BIPARTITE} and {int(mask.sum()) for mask in masks} == {10}
    assert len({mask.tobytes() for mask in masks}) == 16


def test_a_kind_that_does_not_occur_is_refused() -> None:
    with pytest.raises(ValueError, match="no 4 x 4 mask with n = 12 observed entries is disconnected"):
        random_mask(np.random.default_rng(0), (4, 4), Kind.DISCONNECTED, 12)


def test_a_run_on_the_matrix_of_figure_4_ends_at_rank_2_and_nuclear_norm_15() -> None:
    problem = example("fig4")
    start = gflow.Factorization(problem.shape).random(np.random.default_rng(1))
    limit = gflow.saddle_to_saddle(problem, start).matrix
    direct, graded = (repeats.run(problem, alpha, start, limit) for alpha in (1e-8, 1e-16))
    for run in (direct, graded):
        assert run.converged and run.rank == 2
        assert run.nuclear_norm == pytest.approx(15, rel=1e-6)
        assert run.distance is not None and run.distance < 1e-5


def test_the_quick_study_contradicts_nothing_and_decides_what_it_covers(result: study.Result) -> None:
    found = verdicts(result)
    assert found.pop("excluded") is Verdict.HYPOTHESIS_NOT_MET
    assert set(found.values()) == {Verdict.HOLDS}, found


def test_runs_whose_alpha_is_too_large_are_left_out_and_listed_with_that_reason(result: study.Result) -> None:
    reasons = [study.exclusion(case, 1e-8) for case in result.cases]
    assert any("alpha is not small enough" in reason for reason in reasons) and reasons.count("") > len(reasons) / 2
    listed = next(table for table in study.tables(result) if table.name == "excluded")
    assert len(listed.rows) == sum(map(bool, reasons))


def test_every_fully_observed_matrix_is_learned_as_it_is(result: study.Result) -> None:
    whole = [case for case in result.cases if case.problem.observed.all()]
    assert whole
    for case in whole:
        assert case.runs[0].nuclear_norm == pytest.approx(case.truth_norm, rel=1e-8)


def test_a_flow_that_starts_too_large_turns_the_claims_red(monkeypatch: pytest.MonkeyPatch) -> None:
    right = repeats.flow_end
    monkeypatch.setattr(repeats, "flow_end", lambda problem, theta, graded: right(problem, 1e8 * theta, False))
    found = verdicts(study.run(TINY))
    assert found["connected-rank"] is found["connected-truth"] is found["complete-norm"] is Verdict.CONTRADICTED


def test_a_run_that_does_not_end_is_counted_as_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(problem: gflow.MatrixCompletion, theta: np.ndarray, graded: bool) -> tuple[np.ndarray, str, float]:
        (end,) = gflow.gradient_flows(problem, theta, max_evaluations=3)
        return end.theta, str(end.status), float(end.loss or 0.0)

    monkeypatch.setattr(repeats, "flow_end", cut)
    found = {claim.id: claim for claim in study.claims(study.run(TINY))}
    assert found["connected-rank"].verdict is Verdict.UNDECIDED
    assert "the run ended budget" in found["excluded"].reason


def test_the_result_does_not_depend_on_the_number_of_processes(tiny: study.Result) -> None:
    one, two = study.data(tiny), study.data(study.run(TINY, jobs=2))
    for panel, columns in one.items():
        for name, column in columns.items():
            np.testing.assert_array_equal(column, two[panel][name])


def test_every_panel_is_drawn_and_darker_means_more_samples(
    result: study.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "run", lambda config, jobs=1: result)
    module: Any = study
    report = study_report(module, "bai2024-fig1", study.QUICK)
    assert [figure.name.removeprefix("bai2024-fig1-") for figure in report.figures] == list(study.PANELS)
    assert [table.name for table in report.tables] == ["bai2024-fig1-counts", "bai2024-fig1-excluded"]
    shades = opacity(np.array([5, 7, 9]))
    assert shades[0] == FAINTEST and shades[2] == 1.0 and np.all(np.diff(shades) > 0)
