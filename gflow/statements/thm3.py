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
from gflow.statements.evidence import Evidence, evidence
from gflow.statements.hypotheses import Hypothesis, full_rank_start, interpolates, judged, limit_exists, ranks
from gflow.statements.study import Study

ID = "thm3"
STATEMENT = "the limit has the minimum rank of all completions"
_MET = {Verdict.HOLDS: True, Verdict.HYPOTHESIS_NOT_MET: False}


def claims(study: Study) -> tuple[Claim, ...]:
    """Return the claim, measured by the rank of the limit."""
    return (claim(evidence(study), thm3_premise.studied(study)),)


def claim(given: Evidence, premise: Claim) -> Claim:
    """Return the claim that follows from the evidence and from the verdict on the premise."""
    met = _MET.get(premise.verdict)
    optimal = Hypothesis(
        "optimal within every Omega_k visited", met, "no better fit is found" if met else premise.reason
    )
    hypotheses = (optimal, full_rank_start(given), limit_exists(given), interpolates(given))
    generic = mixing.genericity(given.traversal)
    measured = (given.rank, ranks(given))
    found = judged(ID, STATEMENT, hypotheses, measured, lambda text: _conclusion(given, text), beside=(generic,))
    crowded = next((visit for visit in given.visits if visit.together > 1), None)
    if found.verdict is Verdict.CONTRADICTED and crowded is not None:
        said = f"of {crowded.together} components that leave at once none is first: the largest rate is not simple"
        return Claim.unmet(
            ID, STATEMENT, f"Theorem 2, by which the proof passes on, is not met: {said}", found.measured
        )
    if found.verdict is Verdict.CONTRADICTED and not generic.met:
        reason = f"Theorem 2, by which the proof passes on, asks for more than is known; {found.reason}"
        build = Claim.unmet if generic.met is False else Claim.undecided
        return build(ID, STATEMENT, reason, found.measured)
    return found


def _conclusion(given: Evidence, text: str) -> Claim:
    rank, ends = given.rank, given.bracket
    if ends is None:
        return Claim.undecided(ID, STATEMENT, text, rank)
    reason = f"{text}; lower end: {ends.lower_reason}; upper end: {ends.upper_reason}"
    if rank is not None and rank > ends.lower and not (ends.closed or (ends.certified and rank > ends.upper)):
        return Claim.undecided(ID, STATEMENT, f"the bracket of the minimum rank is open; {reason}", rank)
    if rank is not None and rank > ends.lower and given.faint:
        return Claim.undecided(ID, STATEMENT, f"singular values up to 1e-6 of the largest are counted; {reason}", rank)
    return Claim.bounded(ID, STATEMENT, rank, ends.lower, ends.upper if ends.closed else ends.lower, reason=reason)
