"""Tests of the studies of depth and of discrete steps: their small versions meet their claims, which turn red."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import arora2019, optimizer_manifolds, plasticity, plateau_times, sign_law, step_sizes

import gflow
from gflow.statements.claims import Verdict
from gflow.studies import study_report

SMALL = {"plasticity": plasticity.Config(count=2), "sign-law": replace(sign_law.QUICK, starts=8)}
STUDIES: dict[str, Any] = {
    "arora2019": arora2019,
    "optimizer-manifolds": optimizer_manifolds,
    "plasticity": plasticity,
    "plateau-times": plateau_times,
    "sign-law": sign_law,
    "step-sizes": step_sizes,
}


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return {name: study.run(SMALL.get(name, study.QUICK)) for name, study in STUDIES.items()}


def red(study: Any, result: Any) -> set[str]:
    return {claim.id for claim in study.claims(result) if claim.verdict is Verdict.CONTRADICTED}


@pytest.mark.parametrize("name", STUDIES)
def test_the_small_version_meets_its_claims_and_is_drawn(
    results: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, result = STUDIES[name], results[name]
    assert {claim.verdict for claim in study.claims(result)} == {Verdict.HOLDS}, study.claims(result)
    monkeypatch.setattr(study, "run", lambda config, jobs=1: result)
    report = study_report(study, name, SMALL.get(name, study.QUICK))
    assert len(report.figures) == len(study.PANELS) and len(report.claims) == len(study.claims(result))


def test_a_plateau_that_ends_elsewhere_is_seen(results: dict[str, Any]) -> None:
    result = results["plateau-times"]
    runs = [replace(each, measured=1.01 * each.measured) for each in result.runs]
    assert red(plateau_times, replace(result, runs=runs)) == {"agreement"}
    runs = [replace(each, measured=each.measured * 10.0 ** (0.05 * each.log10_alpha)) for each in result.runs]
    assert "slower" in red(plateau_times, replace(result, runs=runs))


def test_loaded_coins_and_ends_elsewhere_are_seen(results: dict[str, Any]) -> None:
    result = results["sign-law"]
    loaded = [replace(each, signs="+ +") for each in result.cases]
    assert red(sign_law, replace(result, cases=loaded)) == {"fair-3"}
    lost = [replace(each, signs="") for each in result.cases]
    assert "forms" in red(sign_law, replace(result, cases=lost))
    forms = sign_law.ends(3)
    observed = ~np.isnan(sign_law.BLOCKS)
    assert all(np.abs(W - sign_law.BLOCKS)[observed].max() < 1e-7 for W in forms.values())


def test_an_optimizer_on_the_wrong_side_is_seen(results: dict[str, Any]) -> None:
    result = results["optimizer-manifolds"]
    swapped = [replace(each, outside=1.0 if each.optimizer == "nesterov" else each.outside) for each in result.cases]
    assert red(optimizer_manifolds, replace(result, cases=swapped)) == {"keep"}
    kept = [replace(each, outside=0.0) for each in result.cases]
    assert red(optimizer_manifolds, replace(result, cases=kept)) == {"leave"}
    ends = {"gradient": 5.0, "adam": 6.0}
    assert red(optimizer_manifolds, replace(result, completions=ends)) == {"rank-one", "adam"}


def test_steps_that_change_nothing_or_ends_too_sharp_are_seen(results: dict[str, Any]) -> None:
    result = results["step-sizes"]
    flat = [replace(each, distance=0.01) for each in result.cases]
    assert "linear" in red(step_sizes, replace(result, cases=flat))
    sharp = [replace(each, own=each.step) for each in result.cases]
    assert red(step_sizes, replace(result, cases=sharp)) == {"flatter"}
    problem = step_sizes.drawn(np.random.default_rng(1))
    assert str(gflow.connectivity(problem).kind) == "connected"


def test_plasticity_that_is_kept_by_two_factors_is_seen(results: dict[str, Any]) -> None:
    result = results["plasticity"]
    same = [replace(each, warm=each.cold) for each in result.cases]
    assert red(plasticity, replace(result, cases=same)) == {"warm-2"}
    turned = [replace(each, depth=5 - each.depth) for each in result.cases]
    assert red(plasticity, replace(result, cases=turned)) == {"first-2", "warm-2", "first-3", "warm-3"}


def test_depth_that_does_not_help_is_seen(results: dict[str, Any]) -> None:
    result = results["arora2019"]
    turned = [replace(each, depth=5 - each.depth) for each in result.cases]
    assert red(arora2019, replace(result, cases=turned)) == {"few", "rank"}
    assert np.linalg.norm(arora2019.matrix(arora2019.QUICK)) == pytest.approx(16)
