"""Tests of the study of the landscapes of the 4 x 4 masks: its cases, and claims that turn red."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import landscape_masks as study
from gflow_studies.figures.mask_orbits import mask_orbits

from gflow.statements.claims import Verdict
from gflow.studies import study_report

MODULE: Any = study


@pytest.fixture(scope="module")
def result() -> study.Result:
    """The fully observed matrix alone."""
    return study.run(study.Config(least_observed=16))


def verdicts(result: study.Result) -> list[Verdict]:
    return [claim.verdict for claim in study.claims(result)]


def test_the_fully_observed_mask_has_sixteen_orbits(result: study.Result) -> None:
    (case,) = result.cases
    assert (case.orbits, case.ranks, case.runs, case.verdict) == (16, (1, 4, 6, 4, 1), 0, "complete")
    assert verdicts(result) == [Verdict.HOLDS] * 4


@pytest.mark.parametrize(
    ("change", "red"),
    [({"orbits": 15}, 0), ({"faults": ("lost",)}, 1), ({"exhausted": False}, 2), ({"greedy": False}, 3)],
)
def test_each_claim_can_fail(result: study.Result, change: dict[str, Any], red: int) -> None:
    planted = replace(result, cases=(replace(result.cases[0], **change),))
    assert verdicts(planted)[red] is Verdict.CONTRADICTED


def test_a_class_does_not_depend_on_the_others(result: study.Result) -> None:
    """The same seed on the whole mask alone gives the same case."""
    (case,) = result.cases
    number = len(mask_orbits(4, 4)) - 1
    assert mask_orbits(4, 4)[number].label == case.mask
    assert study.mask_landscape(np.ones((4, 4), dtype=bool), case.mask, 1, [0, number]) == case


@pytest.mark.study
def test_the_quick_study_makes_its_page() -> None:
    report = study_report(MODULE, "landscape-masks", study.QUICK)
    assert [figure.name.removeprefix("landscape-masks-") for figure in report.figures] == list(study.PANELS)
    assert not any(claim.verdict is Verdict.CONTRADICTED for claim in report.claims)
