"""Tests of the 4 x 4 masks: their kinds, weights and outcomes."""

from dataclasses import replace
from math import comb
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import limit_masks as study
from gflow_studies.figures.mask_orbits import mask_orbits
from gflow_studies.figures.mask_outcomes import MaskOutcome, Sort, outcome, sort_of
from gflow_studies.mask_study import MaskCase

from gflow.statements.claims import Verdict
from gflow.studies import study_report

SMALL = study.Config(count=1, classes=3)
TINY = study.Config(ranks=(1,), count=1, classes=1)


@pytest.fixture(scope="module")
def result() -> study.Result:
    return study.run(SMALL)


def verdicts(result: study.Result) -> dict[str, Verdict]:
    return {claim.id: claim.verdict for claim in study.claims(result)}


def changed(result: study.Result, sort: Sort, **changes: Any) -> study.Result:
    cases = [(o, k, replace(case, **changes) if sort_of(o) is sort else case) for o, k, case in result.cases]
    return replace(result, cases=tuple(cases))


def a_case(result: study.Result) -> MaskCase:
    return result.cases[0][2]


def spanning(m: int, n: int) -> int:
    """Return the number of connected spanning subgraphs of K_(m,n), by the component of the first row."""
    smaller = (
        comb(m - 1, i - 1) * comb(n, j) * spanning(i, j) * 2 ** ((m - i) * (n - j))
        for i in range(1, m + 1)
        for j in range(n + 1)
        if (i, j) != (m, n)
    )
    return 2 ** (m * n) - sum(smaller)


def test_masks_of_every_kind_add_up_to_all_masks() -> None:
    masks = {sort: sum(orbit.size for orbit in mask_orbits(4, 4) if sort_of(orbit) is sort) for sort in Sort}
    assert sum(masks.values()) == 2**16 - 1
    assert masks[Sort.COMPLETE] == 72 + 384 + 624 + 384 + 232 + 96 + 66 + 16
    assert masks[Sort.DISCONNECTED] == 576 + 2016 + 2736 + 1680 + 576 + 144
    assert masks[Sort.CONNECTED] == spanning(4, 4)


def test_an_outcome_says_which_minima_are_reached(result: study.Result) -> None:
    case = replace(a_case(result), learned_rank=2, least_rank=(2, 2), norm=3.0, least_norm=3.0)
    assert outcome(case) is MaskOutcome.BOTH
    assert outcome(replace(case, norm=3.1)) is MaskOutcome.RANK
    assert outcome(replace(case, learned_rank=3)) is MaskOutcome.NORM
    assert outcome(replace(case, learned_rank=3, norm=3.1)) is MaskOutcome.NEITHER
    assert outcome(replace(case, learned_rank=3, least_rank=(2, 3))) is MaskOutcome.OPEN
    assert outcome(replace(case, learned_rank=None, norm=None)) is MaskOutcome.NONE


def test_a_small_study_contradicts_nothing(result: study.Result) -> None:
    found = verdicts(result)
    assert found.pop("premise", Verdict.HYPOTHESIS_NOT_MET) is Verdict.HYPOTHESIS_NOT_MET
    assert set(found.values()) == {Verdict.HOLDS}, found


def test_shares_of_a_kind_add_up_to_one_and_weigh_by_the_number_of_masks(result: study.Result) -> None:
    for sort in Sort:
        found = study.shares(result, sort, 1)
        assert sum(found.values()) == pytest.approx(1)
        heavy = [
            orbit.size for orbit, _, case in result.where(sort) if case.rank == 1 and outcome(case) is MaskOutcome.BOTH
        ]
        total = sum(orbit.size for orbit, _, case in result.where(sort) if case.rank == 1)
        assert found[MaskOutcome.BOTH] == pytest.approx(sum(heavy) / total)


def test_a_rank_above_the_minimum_turns_the_connected_claim_red_unless_the_premise_fails(result: study.Result) -> None:
    wrong = changed(result, Sort.CONNECTED, learned_rank=4, least_rank=(1, 1), reason="premise holds: no better fit")
    assert verdicts(wrong)["connected-rank"] is Verdict.CONTRADICTED
    excused = changed(wrong, Sort.CONNECTED, reason="premise fails on these data: critical value at infinity: rank 2")
    found = {claim.id: claim for claim in study.claims(excused)}
    assert found["connected-rank"].verdict is Verdict.HOLDS
    assert found["premise"].verdict is Verdict.HYPOTHESIS_NOT_MET
    assert "critical value at infinity" in found["premise"].reason


def test_a_norm_above_the_minimum_turns_the_complete_claim_red(result: study.Result) -> None:
    assert verdicts(changed(result, Sort.COMPLETE, norm=1e6))["complete-norm"] is Verdict.CONTRADICTED
    assert verdicts(changed(result, Sort.COMPLETE, norm=None))["complete-norm"] is Verdict.UNDECIDED


def test_minimum_rank_on_disconnected_masks_turns_its_claim_red(result: study.Result) -> None:
    low = changed(result, Sort.DISCONNECTED, learned_rank=1, least_rank=(1, 1))
    assert verdicts(low)["disconnected-rank"] is Verdict.CONTRADICTED


def test_an_open_case_leaves_the_study_undecided_and_is_listed(result: study.Result) -> None:
    unknown = changed(result, Sort.DISCONNECTED, learned_rank=None, norm=None, reason="premise undecided: slow")
    assert verdicts(unknown)["decided"] is Verdict.UNDECIDED
    listed = next(table for table in study.tables(unknown) if table.name == "exceptions")
    assert len(listed.rows) >= len(unknown.where(Sort.DISCONNECTED))


def test_the_full_study_takes_every_class_once() -> None:
    assert study._drawn(study.Config(), mask_orbits(4, 4)) == list(range(316))


def test_the_result_does_not_depend_on_the_number_of_processes() -> None:
    one, two = (study.run(TINY, jobs=jobs) for jobs in (1, 2))
    assert [case.to_dict() for _, _, case in one.cases] == [case.to_dict() for _, _, case in two.cases]


def test_every_panel_is_drawn(result: study.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "run", lambda config, jobs=1: result)
    module: Any = study
    report = study_report(module, "limit-masks", SMALL)
    assert [figure.name.removeprefix("limit-masks-") for figure in report.figures] == list(study.PANELS)
    assert np.all(study.data(result)["samples"]["n"] <= 16)
