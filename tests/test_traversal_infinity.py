"""What follows a stage that runs to infinity while another mode grows: the flow may come back, and ends are finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from referee import Referee

import gflow
from gflow import MatrixCompletion, TraversalStatus, greedy_low_rank, saddle_to_saddle
from gflow.limit import infinity
from gflow.statements import thm3_premise
from gflow.statements.claims import Verdict
from gflow.statements.evidence import Evidence
from gflow.statements.visits import visits

GAP = np.nan
CONVERGED, DIVERGING, UNDECIDED = TraversalStatus.CONVERGED, TraversalStatus.DIVERGING, TraversalStatus.UNDECIDED
PERSYMMETRIC = [[5, 3, -3, -2], [2, 2, -3, -3], [-5, -4, 2, 3], [GAP, -5, 2, 5]]
AT_ONCE = [[3, -4, 0, -2], [3, GAP, -5, 2], [-2, -5, -3, -2], [-4, -5, -1, -1]]
"""Already the rank-1 stage runs to infinity."""
AWAY = [[3, -1, GAP, 4], [-5, -4, 4, -1], [3, 4, 1, 5], [1, 2, -1, 4]]


def singular_value(M: Any) -> float:
    """Return the entry in the only gap of a square matrix that makes it singular: the determinant is linear in it."""
    zero, one = (np.where(np.isnan(M), x, M) for x in (0.0, 1.0))
    return float(np.linalg.det(zero) / (np.linalg.det(zero) - np.linalg.det(one)))


@pytest.mark.parametrize(("values", "rank"), [(PERSYMMETRIC, 1), (AT_ONCE, 0)])
def test_a_flow_that_comes_back_from_far_away_ends_at_the_completion_of_rank_3(
    values: list[list[float]], rank: int
) -> None:
    M = np.array(values, dtype=float)
    found = saddle_to_saddle(MatrixCompletion(M))
    assert found.status == CONVERGED and found.rank == 3 and found.matrix is not None and found.error is not None
    assert abs(found.matrix[np.isnan(M)] - singular_value(M)).max() <= found.error + 1e-12 < 1e-6
    assert found.order is None and found.log10_alpha(1e-2) is None
    assert f"from rank {rank} a stage runs to infinity" in " ".join(found.warnings)
    chain = found.chains[0]
    assert chain.infinite == rank and chain.saddles[rank].rank == rank and chain.end.rank == 3
    assert len(visits(found)) == rank + 1


@pytest.mark.parametrize("exponent", [-20, -60])
def test_the_referee_comes_back_as_well(exponent: int) -> None:
    M = np.array(PERSYMMETRIC, dtype=float)
    A, B = gflow.Factorization(M.shape).factors(gflow.Factorization(M.shape).random(np.random.default_rng(0)))
    seen = Referee(np.where(np.isnan(M), 0.0, M) / 5.0, ~np.isnan(M), A, B, exponent).end()
    assert 5.0 * seen.W[3, 0] == pytest.approx(singular_value(M), abs=1e-4)


def test_ends_at_a_finite_alpha_are_those_of_the_referee(monkeypatch: pytest.MonkeyPatch) -> None:
    M, ends = np.array(AWAY, dtype=float), []
    monkeypatch.setattr(infinity, "NEAR", (40.0 * np.log(10.0), 80.0 * np.log(10.0)))
    judged = infinity.judged

    def kept(problem: MatrixCompletion, said: str, found: list[Any]) -> infinity.Beyond:
        ends.extend(found)
        return judged(problem, said, found)

    monkeypatch.setattr(infinity, "judged", kept)
    found = saddle_to_saddle(MatrixCompletion(M))
    assert found.status == DIVERGING and found.chains[0].infinite == 2 and found.warnings == ()
    unit = MatrixCompletion(M).unit
    near = [unit * float((A @ B)[0, 2]) for A, B in (each.factors for each in ends[:2])]
    # the referee, from the start of seed [77, 18]: 35.193221 at 1e-40, 51.856168 at 1e-80
    assert near == pytest.approx([35.193, 51.856], rel=0.08)
    far = [float(np.abs(A @ B).max()) for A, B in (each.factors for each in ends[2:])]
    assert np.diff(np.log(far)) == pytest.approx(0.5 * np.log(10.0), rel=0.03)  # |W| grows like log(1/alpha)^(1/2)


def test_a_run_to_infinity_that_no_start_shows_is_undecided() -> None:
    # the referee ends at 2.27597686 from 1e-80 to 1e-300; followed at far smaller alpha, ends run to infinity
    found = saddle_to_saddle(MatrixCompletion([[4, GAP, -4, -2], [3, 4, 3, 2], [-1, 0, 0, -4], [3, 2, GAP, 0]]))
    assert found.status == UNDECIDED and found.chains[0].infinite == 0
    assert "where other modes that grow on the way lead depends on alpha" in found.reason


def test_a_mode_of_tiny_overlap_does_not_escape_before_a_slower_one_within_reach() -> None:
    M = [[GAP, -1.2956141787796172, -0.57], [-1.295604178779617, 0.4375738, -0.1865], [-0.57, -0.1865, -1.259]]
    # symmetric but for 1e-5. The referee, at 1e-15 to 1e-100: W_11 = 2.2 (of the data above); at 1e-150: -25
    found = saddle_to_saddle(MatrixCompletion(M))
    assert found.status == UNDECIDED and "another mode, of larger overlap" in found.reason


def test_a_stage_that_is_all_there_is_runs_to_infinity() -> None:
    problem = MatrixCompletion(AT_ONCE)
    for chain in (greedy_low_rank(problem), saddle_to_saddle(problem, rank=1).chains[0]):
        assert chain.status == DIVERGING and chain.infinite == 0 and "the ends" not in chain.reason


def test_what_is_not_followed_is_not_said() -> None:
    M = np.full((5, 5), GAP)
    M[:4, :4], M[4, 4] = AT_ONCE, 1.0
    problem = MatrixCompletion(M)
    assert saddle_to_saddle(problem, rank=3).status == CONVERGED
    given = saddle_to_saddle(problem, rank=3, rng=np.random.default_rng(0))
    assert given.status == UNDECIDED and "its inner directions are not followed" in given.reason


def test_the_premise_looks_at_what_a_stage_tends_to_at_infinity(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Evidence.of(MatrixCompletion(PERSYMMETRIC))
    assert given.matrix is not None and given.matrix[3, 0] == pytest.approx(-49 / 11)
    claim = thm3_premise.claim(given)
    assert claim.verdict is Verdict.HYPOTHESIS_NOT_MET
    assert claim.reason.startswith("critical value at infinity: rank 2: loss 0.2029")
    monkeypatch.setattr(thm3_premise, "best_fit", lambda problem, k: None)
    assert thm3_premise.claim(given).verdict is Verdict.UNDECIDED
