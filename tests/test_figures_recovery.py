"""Tests of the studies of model rank and of recovery against sample size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import model_rank, recovery

from gflow.statements.claims import Verdict
from gflow.studies import study_report

SMALL = recovery.Config((6, 7, 11, 12, 14, 15), 6, (2, 3), 1, (0.0, 0.3, 1.0), 4)


def verdicts(study: Any, result: Any) -> dict[str, Verdict]:
    return {claim.id: claim.verdict for claim in study.claims(result)}


@pytest.fixture(scope="module")
def result() -> recovery.Result:
    return recovery.run(SMALL)


def test_every_model_rank_of_the_study_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    found = model_rank.run(model_rank.QUICK)
    assert set(verdicts(model_rank, found).values()) == {Verdict.HOLDS}
    points = [replace(found.points[0], expected=4), *found.points[1:]]
    assert verdicts(model_rank, replace(found, points=points))["ranks-tanh"] is Verdict.CONTRADICTED
    monkeypatch.setattr(model_rank, "run", lambda config, jobs=1: found)
    module: Any = model_rank
    assert len(study_report(module, "model-rank", model_rank.QUICK).figures) == 1


def test_recovery_begins_where_it_is_predicted(result: recovery.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(verdicts(recovery, result).values()) == {Verdict.HOLDS}, recovery.claims(result)
    monkeypatch.setattr(recovery, "run", lambda config, jobs=1: result)
    module: Any = recovery
    assert len(study_report(module, "recovery", SMALL).figures) == 2


def test_claims_on_recovery_turn_red(result: recovery.Result) -> None:
    early, wrong = result.errors.copy(), result.neuron.copy()
    early[0, 0], wrong[1, 0, 1] = 0.0, 0.0
    lost = [replace(each, stable=True, status="converged", error=1.0) for each in result.masks]
    assert verdicts(recovery, replace(result, errors=early))["matrix-1"] is Verdict.CONTRADICTED
    assert verdicts(recovery, replace(result, neuron=wrong))["neuron-3"] is Verdict.CONTRADICTED
    assert verdicts(recovery, replace(result, masks=lost))["stable"] is Verdict.HYPOTHESIS_NOT_MET
    toys = dict(result.toys) | {("product", "x2", 2): 1.0}
    assert verdicts(recovery, replace(result, toys=toys))["toy-x2"] is Verdict.CONTRADICTED


def test_sequences_that_are_recovered_elsewhere_turn_red(result: recovery.Result) -> None:
    for k, fault in enumerate([(True, True, 0.5, 0.0), (False, False, 0.5, 0.0), (False, True, 0.0, 0.0)]):
        sequences = [*result.sequences[:k], fault, *result.sequences[k + 1 :]]
        assert verdicts(recovery, replace(result, sequences=sequences))[f"sequence-{k + 1}"] is Verdict.CONTRADICTED
    last = replace(result, sequences=[*result.sequences[:5], (False, True, 0.5, 1e-3)])
    assert verdicts(recovery, last)["sequence-6"] is Verdict.CONTRADICTED


def test_targets_are_held_exactly_by_their_factors() -> None:
    for rho in recovery.SIZES:
        M, A, B = recovery.target(rho)
        assert np.linalg.matrix_rank(M) == rho and np.array_equal(M[0], recovery.ROWS[0])
        assert np.linalg.matrix_rank(A) == np.linalg.matrix_rank(B) == rho
