"""Theorem 3 (minimum rank): the limit has the least rank of all completions.

It assumes that the flow is optimal within every Omega_k that it visits (the premise, tested by ``thm3_premise``), a
full-rank W_0, and that the limit alpha -> 0 exists and interpolates. Contradicted only if all of that holds and a
completion of smaller rank is certified. Its proof goes from one Omega_k to the next by Theorem 2, for a generic
perturbation and a simple largest rate: where the one that arrives is not generic (``mixing``), or two components leave
at once, the optimum of the next Omega_k may be missed, which is news about the premise and no counterexample.

Source: Bai et al. 2024, Theorem 3.
"""

from __future__ import annotations

from gflow.statements import mixing, thm3_premise
from gflow.statements.claims import Claim, Verdict
from gflow.statements.evidence import Evidence
from gflow.statements.hypotheses import FULL_RANK_START, INTERPOLATES, LEAST_RANK, LIMIT_EXISTS, TOO_FEW, ranks
from gflow.statements.statement import Answer, Hypothesis, Statement

ID = "thm3"
TITLE = "the limit has the minimum rank of all completions"
_MET = {Verdict.HOLDS: True, Verdict.HYPOTHESIS_NOT_MET: False}


def claim(given: Evidence) -> Claim:
    """Return the claim, measured by the rank of the limit."""
    generic = mixing.GENERIC.of(given)
    measured = (given.rank, ranks(given))
    found = STATEMENT.judged(given, measured, lambda text: _conclusion(given, text), beside=(generic,))
    crowded = next((visit for visit in given.visits if visit.together > 1), None)
    if found.verdict is Verdict.CONTRADICTED and crowded is not None:
        said = f"of {crowded.together} components that leave at once none is first: the largest rate is not simple"
        return Claim.unmet(ID, TITLE, f"Theorem 2, by which the proof passes on, is not met: {said}", found.measured)
    if found.verdict is Verdict.CONTRADICTED and not generic.met:
        reason = f"Theorem 2, by which the proof passes on, asks for more than is known; {found.reason}"
        build = Claim.unmet if generic.met is False else Claim.undecided
        return build(ID, TITLE, reason, found.measured)
    return found


def _optimal(given: Evidence) -> Answer:
    (premise,) = thm3_premise.STATEMENT.claims(given)
    met = _MET.get(premise.verdict)
    return met, "no better fit is found" if met else premise.reason


def _conclusion(given: Evidence, text: str) -> Claim:
    rank, ends = given.rank, given.bracket
    if ends is None:
        return Claim.undecided(ID, TITLE, text, rank)
    reason = f"{text}; lower end: {ends.lower_reason}; upper end: {ends.upper_reason}"
    if rank is not None and rank > ends.lower and not (ends.closed or (ends.certified and rank > ends.upper)):
        return Claim.undecided(ID, TITLE, f"the bracket of the minimum rank is open; {reason}", rank)
    if rank is not None and rank < ends.lower:
        return Claim.undecided(ID, TITLE, f"{TOO_FEW}; {reason}", rank)
    if rank is not None and rank > ends.lower and given.faint:
        return Claim.undecided(ID, TITLE, f"singular values up to 1e-6 of the largest are counted; {reason}", rank)
    return Claim.bounded(ID, TITLE, rank, ends.lower, ends.upper if ends.closed else ends.lower, reason=reason)


OPTIMAL = Hypothesis(
    "optimal within every Omega_k visited", "the limit passes the best point of every Omega_k that it visits", _optimal
)
STATEMENT = Statement(
    ID,
    TITLE,
    claim,
    "Bai et al. 2024, Theorem 3",
    "theorem",
    LEAST_RANK,
    (OPTIMAL, FULL_RANK_START, LIMIT_EXISTS, INTERPOLATES),
)
