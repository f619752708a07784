"""Tests of the study across architectures: predictions hold on a small version, and planted faults show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gflow_studies.figures import architectures, head_flows

import gflow
from gflow.statements.claims import Verdict
from gflow.studies import study_report


def verdicts(result: architectures.Result) -> dict[str, Verdict]:
    return {claim.id: claim.verdict for claim in architectures.claims(result)}


@pytest.fixture(scope="module")
def result() -> architectures.Result:
    return architectures.run(architectures.QUICK)


def test_kernels_and_heads_come_as_predicted(result: architectures.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(verdicts(result).values()) == {Verdict.HOLDS}, architectures.claims(result)
    monkeypatch.setattr(architectures, "run", lambda config, jobs=1: result)
    module: Any = architectures
    assert len(study_report(module, "architectures", architectures.QUICK).figures) == 2


def test_heads_need_not_come_in_the_order_of_their_modes(result: architectures.Result) -> None:
    modes = [mode for _, mode in result.predicted[0]]
    sizes = [head_flows.MODES[mode] for mode in modes]
    assert modes[1] == (0, 1) and sizes != sorted(sizes, reverse=True)
    assert len(set(modes)) == 4 and head_flows.head_levels(result.predicted[0])[-1] == 0.0


def test_the_filter_without_a_real_root_is_none_that_one_kernel_fits() -> None:
    told = architectures.FILTERS["no real root"]()
    assert len(told.levels) == 3 and told.levels[1] == pytest.approx(0.0373055, abs=1e-6)
    assert len(architectures.FILTERS["sum of two"]().levels) == 2
    matrix = architectures.hankel(1.0 + 0.5 * (-1.0) ** np.arange(8), 4)
    assert np.linalg.matrix_rank(matrix) == 2  # although one kernel is enough


def test_claims_on_architectures_turn_red(result: architectures.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    two, heads = result.kernels[1], result.heads[0]
    faults: dict[str, dict[str, Any]] = {
        "two-outputs-slope-2": {"kernels": [replace(two, escapes=[two.escapes[0], 1.1 * two.escapes[1]])]},
        "two-outputs-kernels": {"kernels": [replace(two, used=3)]},
        "two-outputs-stays": {"kernels": [replace(two, stays=two.stays[:1])]},
    }
    for id, fault in faults.items():
        kernels = [result.kernels[0], *fault["kernels"], *result.kernels[2:]]
        assert verdicts(replace(result, kernels=kernels))[id] is Verdict.CONTRADICTED
    late = [replace(heads, escapes=[1.01 * time for time in heads.escapes], stays=heads.stays[1:], used=5)]
    found = verdicts(replace(result, heads=late, idle=50.0))
    assert {found[f"{name}-seed-0-0.01"] for name in ("times", "stays", "heads")} == {Verdict.CONTRADICTED}
    assert found["wide"] is Verdict.CONTRADICTED
    monkeypatch.setattr(gflow.Attention, "scale", 0.9)
    assert verdicts(replace(result, heads=[head_flows.head_flow(0, 1e-2)]))["times-seed-0-0.01"] is Verdict.CONTRADICTED
