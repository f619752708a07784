"""Tests of the study of samples for tanh networks: single cells, and claims that turn red."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import network_samples as study

from gflow.statements.claims import Verdict
from gflow.studies import study_report

SETTINGS = study.SETTINGS


def verdicts(result: study.Result) -> dict[str, Verdict]:
    return {claim.id: claim.verdict for claim in study.claims(result)}


def result(**changed: Any) -> study.Result:
    """Return errors as the study finds them: none recovers below R, few there, and the wide network last."""
    first = {"one neuron": 1.25, "two neurons": 1.25, "convolution, width 3": 1.1, "convolution, width 9": 1.5}
    errors = {}
    for name, setting in SETTINGS.items():
        good = np.array(setting.samples) >= changed.get(name, first[name]) * setting.rank
        errors[name] = np.where(good, 1e-9, 1.0)[:, None].repeat(2, axis=1)
    line = {width: 10.0 ** -np.arange(9.0)[:, None] for width in (2, 20)}
    return study.Result(study.Config(trials=2), errors, changed.get("line", line))


def test_few_samples_recover_nothing_and_many_do() -> None:
    two = SETTINGS["two neurons"]
    assert [study.model_rank_of(setting) for setting in SETTINGS.values()] == [4, 8, 21, 21]
    assert min(study.error(two, 6, 7, 0, trial) for trial in range(2)) > two.allowed
    assert max(study.error(two, 6, 16, 0, trial) for trial in range(2)) < two.allowed
    assert study.error(study.LINE, 2, 1, 0, 0) > 1e-3 > 1e-8 > study.error(study.LINE, 2, 8, 0, 0)


def test_claims_on_samples_turn_red(monkeypatch: pytest.MonkeyPatch) -> None:
    good = result()
    assert set(verdicts(good).values()) == {Verdict.HOLDS}, study.claims(good)
    monkeypatch.setattr(study, "run", lambda config, jobs=1: good)
    module: Any = study
    assert len(study_report(module, "network-samples", good.config).figures) == 2
    early = verdicts(result(**{"one neuron": 0.5, "two neurons": 1.0, "convolution, width 9": 1.1}))
    assert early["few-one-neuron"] is early["late-two-neurons"] is early["width"] is Verdict.CONTRADICTED
    assert verdicts(result(**{"two neurons": 9.0}))["many"] is Verdict.CONTRADICTED
    sharp = {width: np.r_[np.ones((2, 1)), np.full((7, 1), 1e-9)] for width in (2, 20)}
    assert verdicts(result(line=sharp))["line-2"] is Verdict.CONTRADICTED
