"""Claims: the verdict follows from the numbers and cannot disagree with them."""

import json
import math

import pytest
from hypothesis import given, strategies as st

from gflow.statements.claims import Claim, Verdict, exit_code, summary, tally

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ENDS = st.none() | FINITE


def test_a_number_inside_its_interval_holds_and_the_ends_belong_to_it() -> None:
    for measured in (0.0, 0.5, 1.0):
        claim = Claim.bounded("unit", "x lies in [0, 1].", measured, 0, 1)
        assert claim.verdict is Verdict.HOLDS
        assert claim.allowed == (0.0, 1.0)


def test_a_number_outside_its_interval_is_contradicted_and_the_reason_says_by_how_much() -> None:
    above = Claim.bounded("unit", "x lies in [0, 1].", 1.5, 0, 1)
    below = Claim.bounded("unit", "x is at least 2.", 1.5, low=2)
    assert above.verdict is below.verdict is Verdict.CONTRADICTED
    assert above.reason == "the measured value exceeds the largest allowed one by 0.5"
    assert below.reason == "the measured value falls short of the smallest allowed one by 0.5"


@pytest.mark.parametrize("measured", [math.nan, math.inf, -math.inf, None])
def test_what_is_no_finite_number_is_undecided_with_a_reason(measured: float | None) -> None:
    claim = Claim.bounded("gap", "The gap is small.", measured, high=1e-6, reason="the solver stopped")
    assert claim.verdict is Verdict.UNDECIDED
    assert claim.measured is None
    assert claim.reason.endswith("; the solver stopped")


@given(measured=FINITE, low=ENDS, high=ENDS)
def test_the_verdict_is_the_membership_of_the_number_in_the_interval(
    measured: float, low: float | None, high: float | None
) -> None:
    if low is None and high is None:
        with pytest.raises(ValueError, match="an unbounded interval cannot fail"):
            Claim.bounded("id", "statement", measured)
        return
    if low is not None and high is not None and low > high:
        with pytest.raises(ValueError, match="is empty"):
            Claim.bounded("id", "statement", measured, low, high)
        return
    inside = (-math.inf if low is None else low) <= measured <= (math.inf if high is None else high)
    claim = Claim.bounded("id", "statement", measured, low, high)
    assert claim.verdict == ("holds" if inside else "contradicted")
    assert exit_code([claim]) == (0 if inside else 1)
    json.dumps(claim.to_dict(), allow_nan=False)


@given(measured=FINITE, high=FINITE)
def test_a_verdict_that_disagrees_with_the_numbers_cannot_be_constructed(measured: float, high: float) -> None:
    wrong = Verdict.CONTRADICTED if measured <= high else Verdict.HOLDS
    with pytest.raises(ValueError, match=r"lies (inside|outside)"):
        Claim("id", "statement", wrong, measured, (None, high))


def test_a_verdict_without_its_evidence_cannot_be_constructed() -> None:
    with pytest.raises(ValueError, match="without a measured value"):
        Claim("id", "statement", Verdict.HOLDS, None, (0, 1))
    with pytest.raises(ValueError, match="without a measured value"):
        Claim("id", "statement", Verdict.CONTRADICTED, 2.0)
    with pytest.raises(ValueError, match="must give a reason"):
        Claim.unmet("id", "statement", " ")
    with pytest.raises(ValueError, match="must give a reason"):
        Claim.undecided("id", "statement", "")


@pytest.mark.parametrize("low, high", [(2, 1), (math.nan, 1), (0, math.nan), (math.inf, None), (None, -math.inf)])
def test_an_empty_or_undefined_interval_is_refused(low: float | None, high: float | None) -> None:
    with pytest.raises(ValueError, match="interval of claim 'id'"):
        Claim.bounded("id", "statement", 0.0, low, high)


def test_names_verdicts_and_numbers_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="id of a claim must be a non-empty string"):
        Claim.bounded("", "statement", 0.0, 0)
    with pytest.raises(ValueError, match="not a valid Verdict"):
        Claim("id", "statement", "true")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be a number; got '1'"):
        Claim.bounded("id", "statement", "1", 0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be a number; got complex"):
        Claim.bounded("id", "statement", 1j, 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be finite"):
        Claim.undecided("id", "statement", "reason", math.nan)


def test_the_dictionary_has_the_published_keys_and_null_for_open_ends() -> None:
    assert Claim.bounded("drift", "It is conserved.", 1e-12, high=1e-8).to_dict() == {
        "id": "drift",
        "statement": "It is conserved.",
        "verdict": "holds",
        "measured": 1e-12,
        "allowed": [None, 1e-8],
        "reason": "",
    }
    assert Claim.unmet("t", "s.", "not connected").to_dict()["allowed"] is None


def test_only_a_contradiction_fails_and_every_verdict_is_counted() -> None:
    quiet = [Claim.bounded("a", "s", 0, 0, 0), Claim.unmet("b", "s", "r"), Claim.undecided("c", "s", "r", 1.0)]
    loud = Claim.bounded("d", "s", 1, 0, 0)
    assert exit_code([]) == exit_code(quiet) == 0
    assert exit_code([*quiet, loud]) == 1
    assert summary([*quiet, loud, loud]) == {
        "holds": 1,
        "contradicted": 2,
        "hypothesis-not-met": 1,
        "undecided": 1,
    }
    assert list(summary([])) == [str(verdict) for verdict in Verdict]


def test_a_claim_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Claim.bounded("a", "s", 0, 0).verdict = Verdict.UNDECIDED  # type: ignore[misc]


def test_a_premise_that_fails_on_the_data_is_news_and_no_failure() -> None:
    premise = Claim.hypothesis("thm3_premise", "a premise", 1.0, 0.0, 0.0, reason="a better fit")
    theorem, plain = Claim.bounded("thm3", "a theorem", 1.0, 0.0, 0.0), Claim.unmet("thm4", "a theorem", "connected")
    assert premise.verdict is Verdict.HYPOTHESIS_NOT_MET and premise.news and not plain.news and not theorem.news
    assert (premise.label, plain.label) == ("fails on these data", "hypothesis not met")
    assert premise.to_dict()["measured"] == 1.0 and premise.to_dict()["allowed"] == [0.0, 0.0]
    assert tally([premise, plain]).endswith(", 0 undecided (fails on these data: thm3_premise)")
    assert tally([plain]) == "0 holds, 0 contradicted, 1 hypothesis-not-met, 0 undecided"
    assert (exit_code([premise, plain]), exit_code([premise, theorem])) == (0, 1)


def test_a_hypothesis_that_is_met_or_was_not_measured_is_a_claim_like_any_other() -> None:
    met, unknown = Claim.hypothesis("a", "s", 0.5, 0.0, 1.0), Claim.hypothesis("a", "s", None, 0.0, 1.0)
    assert met.verdict is Verdict.HOLDS and unknown.verdict is Verdict.UNDECIDED
    assert not met.news and not unknown.news
    with pytest.raises(ValueError, match="lies inside"):
        Claim("a", "s", Verdict.HYPOTHESIS_NOT_MET, 0.5, (0.0, 1.0), "no reason to fail")
