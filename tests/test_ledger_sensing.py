"""The ledger's lines on matrix sensing: through the dilation they hold, do not apply, or are refuted with numbers."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

import gflow
from gflow.statements import Evidence, gunasekar_conjecture, gunasekar_cor2, gunasekar_thm1, rip_thm3
from gflow.statements.claims import Claim, exit_code

GAP = np.nan
HOLDS, CONTRADICTED, UNMET = "holds", "contradicted", "hypothesis-not-met"
STATEMENTS = (gunasekar_thm1, gunasekar_cor2, gunasekar_conjecture, rip_thm3)
MATCHING = ((GAP, 3.0, GAP), (GAP, GAP, -2.0))
CONNECTED = ((1.0, 2.0), (2.0, GAP))


@cache
def evidence_of(values: Any) -> Evidence:
    """Return the evidence of a matrix."""
    return Evidence.of(gflow.MatrixCompletion(np.array(values, dtype=float)))


def lines(given: Evidence) -> dict[str, Claim]:
    """Return the four claims by id."""
    return {module.ID: module.claim(given) for module in STATEMENTS}


def verdicts(given: Evidence) -> list[str]:
    """Return the four verdicts."""
    return [str(claim.verdict) for claim in lines(given).values()]


def test_a_partial_matching_commutes_and_ends_at_the_sum_of_its_entries() -> None:
    found = lines(evidence_of(MATCHING))
    assert verdicts(evidence_of(MATCHING)) == [HOLDS, HOLDS, HOLDS, UNMET]
    assert found["gunasekar_thm1"].measured == pytest.approx(10.0, abs=1e-8)
    assert found["gunasekar_cor2"].measured == pytest.approx(5.0, abs=1e-6)


def test_the_conjecture_fails_on_its_counterexample_with_numbers_on_both_sides() -> None:
    found = lines(evidence_of(CONNECTED))
    assert verdicts(evidence_of(CONNECTED)) == [UNMET, UNMET, UNMET, UNMET]
    claim = found["gunasekar_conjecture"]
    assert claim.news and not found["gunasekar_thm1"].news and "not reached for these data" in claim.reason
    assert claim.measured == pytest.approx(5.0, abs=1e-6) and claim.allowed == pytest.approx((4.0, 4.0), abs=1e-5)
    assert "the least trace is 8, and that of the limit of the flow 10" in claim.reason
    assert "those of the entries (1, 1) and (1, 2), in one row, do not" in found["gunasekar_thm1"].reason
    assert exit_code(found.values()) == 0


@pytest.mark.parametrize("ratio", [1.25, 2.0, 5.0])
def test_the_refutation_has_the_excess_of_the_closed_form(ratio: float) -> None:
    found = gunasekar_conjecture.Refutation(ratio)
    assert found.lower == pytest.approx(4 * ratio) and found.upper == pytest.approx(4 * ratio)
    assert found.excess == pytest.approx((1 + ratio**2) / (2 * ratio) - 1, rel=1e-6)


def test_the_dilation_of_a_completion_is_never_a_restricted_isometry() -> None:
    claim = lines(evidence_of(((1.0, 2.0), (3.0, 4.0))))["rip_thm3"]
    assert claim.verdict == UNMET and "e_1 e_1^T" in claim.reason and "on symmetric matrices of rank 1" in claim.reason


def test_symmetric_gaussian_measurements_are_judged_on_symmetric_matrices() -> None:
    rng = np.random.default_rng(0)
    A = gflow.gaussian_measurements((3, 3), 400, rng)
    X = np.ones((3, 3))
    symmetric = rip_thm3.isometry(gflow.MatrixSensing(A + A.mT, np.tensordot(A + A.mT, X, 2)), 2)
    plain = rip_thm3.isometry(gflow.MatrixSensing(A, np.tensordot(A, X, 2)), 2)
    assert symmetric.met is True and "symmetric matrices" in symmetric.found
    assert plain.met is True and "symmetric" not in plain.found
    # seen on all matrices, symmetric measurements have every skew matrix in their kernel
    assert gflow.restricted_isometry(A + A.mT, 2).holds is False


EDGES = {
    "all observed": ((1.0, 2.0), (3.0, 4.0)),
    "one entry": ((2.0,),),
    "zeros": ((0.0, GAP), (GAP, 0.0)),
    "observed zeros": ((0.0, 1.0), (2.0, GAP)),
    "tiny": ((1e-140, GAP), (GAP, 2e-140)),
    "idle row": ((1.0, GAP), (GAP, GAP)),
}


@pytest.mark.parametrize("case", EDGES)
def test_an_edge_case_has_four_verdicts(case: str) -> None:
    found = verdicts(evidence_of(EDGES[case]))
    commutes = case in ("one entry", "zeros", "tiny", "idle row")
    assert found[:2] == ([HOLDS, HOLDS] if commutes else [UNMET, UNMET])
    assert found[2] == HOLDS and found[3] == UNMET


def test_a_wrong_minimum_contradicts_the_lines_it_belongs_to() -> None:
    given = evidence_of(MATCHING)
    assert given.nuclear is not None
    wrong = replace(given.nuclear, lower=4.0, upper=4.0)
    assert verdicts(given.altered(nuclear=wrong)) == [CONTRADICTED, CONTRADICTED, UNMET, UNMET]
    assert lines(given.altered(nuclear=wrong))["gunasekar_conjecture"].news


def test_a_doubled_adjoint_in_the_dilation_contradicts_theorem_1(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = gflow.symmetric_dilation

    def doubled(problem: Any) -> gflow.MatrixSensing:
        whole = plain(problem)
        return gflow.MatrixSensing(2 * whole.measurements, whole.targets)

    monkeypatch.setattr(gflow, "symmetric_dilation", doubled)
    claim = gunasekar_thm1.claim(evidence_of(MATCHING).altered())
    assert claim.verdict == UNMET and "not met: limit exists and interpolates" in claim.reason


def test_an_uncertified_minimum_is_undecided() -> None:
    given = evidence_of(MATCHING).altered(nuclear=None)
    assert verdicts(given) == ["undecided"] * 3 + [UNMET]
