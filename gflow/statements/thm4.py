"""Theorem 4 (minimum nuclear norm): the limit has the least nuclear norm of all completions.

It assumes disconnected data with complete bipartite components (Definitions 2 and 3, where observed zeros are no
edges), a full-rank W_0, and that the limit alpha -> 0 exists and interpolates. As literally stated it covers observed
zeros between the components; these couple the flow, and where Assumption 1 fails as well the conclusion can fail.

Source: Bai et al. 2024, Theorem 4.
"""

from __future__ import annotations

import gflow
from gflow.statements import mixing
from gflow.statements.claims import Claim, Verdict
from gflow.statements.evidence import Evidence
from gflow.statements.hypotheses import FULL_RANK_START, INTERPOLATES, LEAST_NORM, LIMIT_EXISTS, norms
from gflow.statements.statement import Answer, Hypothesis, Statement

ID = "thm4"
TITLE = "the limit has the minimum nuclear norm of all completions"
NORM_TOL = 1e-7
"""Relative difference of two nuclear norms that counts as equal, besides the certified gap and the limit's error."""
COARSE_LIMIT = 1e-3
"""An error of the limit that changes its nuclear norm by more than this fraction leaves the comparison open."""


def claim(given: Evidence) -> Claim:
    """Return the claim, measured by the nuclear norm of the limit."""
    measured, beside = (given.nuclear_norm, norms(given)), (mixing.GENERIC.of(given),)
    return STATEMENT.judged(given, measured, lambda text: _conclusion(given, text), beside)


def _complete_bipartite(given: Evidence) -> Answer:
    kind = given.connectivity.kind
    return kind is gflow.Kind.COMPLETE_BIPARTITE, str(kind)


def minimal_norm(id: str, statement: str, given: Evidence, reason: str) -> Claim:
    """Return the claim that the nuclear norm of the limit lies between the certified bounds of the minimum."""
    if given.nuclear is None or given.nuclear_norm is None:
        return Claim.undecided(id, statement, reason, given.nuclear_norm)
    if not given.norm_error <= COARSE_LIMIT * given.nuclear.upper:
        reason = f"the limit is known within {given.error:.2g} an entry alone: too coarse to compare norms; {reason}"
        return Claim.undecided(id, statement, reason, given.nuclear_norm)
    slack = NORM_TOL * given.nuclear.upper + given.norm_error
    low, high = given.nuclear.lower - slack, given.nuclear.upper + slack
    return Claim.bounded(id, statement, given.nuclear_norm, low, high, reason=reason)


def _conclusion(given: Evidence, text: str) -> Claim:
    claim = minimal_norm(ID, TITLE, given, text)
    if claim.verdict is not Verdict.CONTRADICTED:
        return claim
    graphs, chains = given.connectivity, given.traversal.chains
    causes = []
    if graphs.n_coupling_components < graphs.n_components:
        causes.append("an observed zero couples the components")
    if any(chain.saddles[0].assumption_1 is False for chain in chains):
        causes.append("Assumption 1 fails at the origin")
    if mixing.GENERIC.of(given).met is False:
        causes.append("the perturbation that arrives at a saddle is not generic")
    return minimal_norm(ID, TITLE, given, "; ".join(filter(None, [" and ".join(causes), text])))


COMPLETE = Hypothesis(
    "disconnected with complete bipartite components",
    "the observation graph has several components, each complete bipartite (Definitions 2 and 3)",
    _complete_bipartite,
)
STATEMENT = Statement(
    ID,
    TITLE,
    claim,
    "Bai et al. 2024, Theorem 4",
    "theorem",
    LEAST_NORM,
    (COMPLETE, FULL_RANK_START, LIMIT_EXISTS, INTERPOLATES),
)
