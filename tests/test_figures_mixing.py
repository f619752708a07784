"""Tests of the study of the order of escapes: its families, and claims that turn red."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import mixing as study

import gflow
from gflow.statements.claims import Verdict
from gflow.studies import study_report

SMALL = study.Config(count=3)


@pytest.fixture(scope="module")
def result() -> study.Result:
    return study.run(SMALL)


def verdicts(result: study.Result) -> dict[str, Verdict]:
    return {claim.id: claim.verdict for claim in study.claims(result)}


def changed(result: study.Result, family: study.MixingFamily, order: study.Order) -> study.Result:
    cases = [replace(each, order=order) if each.family is family else each for each in result.cases]
    return replace(result, cases=cases)


@pytest.mark.parametrize("family", study.MixingFamily)
def test_every_matrix_is_connected_and_has_the_symmetry_of_its_family(family: study.MixingFamily) -> None:
    for seed in range(5):
        problem = study.connected_problem(family, np.random.default_rng(seed), 4)
        M = problem.with_gaps()
        assert gflow.connectivity(problem).n_components == 1
        if family is study.MixingFamily.CIRCULANT:
            np.testing.assert_array_equal(np.roll(M, (1, 1), (0, 1)), M)
        elif family is study.MixingFamily.PERSYMMETRIC:
            np.testing.assert_array_equal(M[::-1, ::-1].T, M)
        elif family is not study.MixingFamily.RANDOM:
            np.testing.assert_array_equal(M.T, M)


def test_a_small_study_meets_its_expectations(result: study.Result) -> None:
    assert set(verdicts(result).values()) == {Verdict.HOLDS}, study.claims(result)


def test_another_order_on_random_data_turns_its_claim_red(result: study.Result) -> None:
    assert verdicts(changed(result, study.MixingFamily.RANDOM, study.Order.OTHER))["random"] is Verdict.CONTRADICTED


def test_a_sample_without_an_example_decides_nothing(result: study.Result) -> None:
    assert verdicts(changed(result, study.MixingFamily.CIRCULANT, study.Order.GREEDY))["circulant"] is Verdict.UNDECIDED


def test_shares_add_up_to_one_and_the_panel_is_drawn(result: study.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = study.data(result)["orders"]
    assert sum(columns[order.replace(" ", "_")] for order in study.Order) == pytest.approx(1)
    monkeypatch.setattr(study, "run", lambda config, jobs=1: result)
    module: Any = study
    assert len(study_report(module, "mixing", SMALL).figures) == 1
