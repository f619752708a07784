"""The study of incremental learning under restricted isometry: quick claims and planted faults."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import jin2023_sensing as study

import gflow
from gflow.studies import study_report


@pytest.fixture(scope="module")
def quick() -> Any:
    """Return the result of the quick configuration."""
    return study.run(study.QUICK)


def contradicted(result: Any) -> set[str]:
    """Return the ids of the contradicted claims."""
    return {claim.id for claim in study.claims(result) if claim.verdict == "contradicted"}


def test_many_measurements_are_learned_rank_by_rank(quick: Any) -> None:
    assert {str(claim.verdict) for claim in study.claims(quick)} == {"holds"}
    assert quick.cases[0].delta_lower == 1.0 and quick.cases[0].limit_error > 0.1


def test_the_constant_is_said_to_be_empirical(quick: Any) -> None:
    claim = next(claim for claim in study.claims(quick) if claim.id == "isometry")
    assert "empirical lower bound" in claim.reason and "empirically" in study.SETTING


def test_the_energy_of_a_matrix_is_kept_on_average() -> None:
    problem, X = study.measured(study.QUICK, 400.0, np.random.default_rng(0))
    assert np.array_equal(problem.measurements, problem.measurements.mT)
    assert np.sum(problem.targets**2) == pytest.approx(np.sum(X**2), rel=0.1)


def test_the_order_of_jobs_does_not_matter() -> None:
    tiny = replace(study.QUICK, factors=(0.5, 4.0))
    one, two = (study.run(tiny, jobs=jobs) for jobs in (1, 2))
    for a, b in zip(one.cases, two.cases, strict=True):
        assert (a.delta_lower, a.flow_error, a.passes) == (b.delta_lower, b.flow_error, b.passes)


def test_a_large_start_passes_no_saddle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "SMALLEST", 1.0)
    verdicts = {c.id: str(c.verdict) for c in study.claims(study.run(replace(study.QUICK, factors=(0.5, 16.0))))}
    assert verdicts["increments"] != "holds"


def test_too_few_measurements_turn_claims_red() -> None:
    assert {"isometry", "limit"} <= contradicted(study.run(replace(study.QUICK, factors=(0.4, 0.5))))


def test_a_factor_two_in_the_measurements_of_the_limit_turns_claims_red(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = gflow.symmetric_traversal

    def doubled(problem: gflow.MatrixSensing, **options: Any) -> gflow.SymmetricTraversal:
        return plain(gflow.MatrixSensing(2 * problem.measurements, problem.targets, normalization="sum"), **options)

    monkeypatch.setattr(gflow, "symmetric_traversal", doubled)
    assert "limit" in contradicted(study.run(replace(study.QUICK, factors=(0.5, 16.0))))


def test_the_report_draws_every_panel() -> None:
    report = study_report(study, "jin2023-sensing", study.QUICK)
    assert [figure.name.split("-")[-1] for figure in report.figures] == list(study.PANELS)
