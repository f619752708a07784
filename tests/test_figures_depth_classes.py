"""Tests of the study of depth and kinds of data: its draws, and claims that turn red."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import depth_classes as study

import gflow
from gflow.statements.claims import Verdict
from gflow.studies import study_report

COMPLETE = "disconnected-complete-bipartite"


@pytest.fixture(scope="module")
def result() -> study.Result:
    return study.run(study.Config(count=1, alphas=()))


def verdicts(result: study.Result) -> dict[str, Verdict]:
    return {claim.id: claim.verdict for claim in study.claims(result)}


@pytest.mark.parametrize("kind", study.KINDS)
def test_every_draw_has_its_kind_and_no_empty_line(kind: str) -> None:
    for seed in range(5):
        problem = study.drawn(kind, np.random.default_rng(seed))
        assert str(gflow.connectivity(problem).kind) == kind
        assert problem.observed.any(axis=0).all() and problem.observed.any(axis=1).all()


def test_the_study_meets_its_expectations_and_is_drawn(result: study.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(verdicts(result).values()) == {Verdict.HOLDS}, study.claims(result)
    assert result.count(COMPLETE, 2, "rank", study.Standing.LEAST) < result.config.count
    columns = study.data(result)["rank"]
    assert sum(columns[each.replace(" ", "_")] for each in study.Standing) == pytest.approx(1)
    monkeypatch.setattr(study, "run", lambda config, jobs=1: result)
    module: Any = study
    assert len(study_report(module, "depth-classes", study.QUICK).figures) == 2


@pytest.mark.parametrize(
    ("depth", "quantity", "id"), [(3, "rank", "rank-3"), (2, "norm", "norm-2"), (4, "norm", "norm-4")]
)
def test_one_limit_above_its_minimum_turns_its_claim_red(
    result: study.Result, depth: int, quantity: str, id: str
) -> None:
    cases = list(result.cases)
    place = next(i for i, each in enumerate(cases) if (each.kind, each.depth) == (COMPLETE, depth))
    cases[place] = replace(cases[place], **{quantity: study.Standing.ABOVE})
    assert verdicts(replace(result, cases=cases))[id] is Verdict.CONTRADICTED


def test_flows_beside_the_limits_have_their_rank(result: study.Result) -> None:
    problem = gflow.MatrixCompletion([[1, 2, np.nan], [np.nan, np.nan, 3.0]])
    least = gflow.minimum_rank(problem)
    assert study.flowed(problem, 3, 1e-2, 0, least) is study.Standing.LEAST
    assert study.flowed(problem, 2, 1e-6, 0, least) is study.Standing.ABOVE
    flows = [replace(case, finite=study.Standing.ABOVE) for case in result.cases]
    beside = replace(result, cases=flows, config=study.Config(count=1))
    assert {verdicts(beside)[id] for id in ("flow-3", "flow-4")} == {Verdict.CONTRADICTED}
