"""Mixing: the perturbation that arrives at every saddle is generic, so that the top singular pair escapes there.

Theorem 2 says where a generic perturbation of a saddle leads. Exact symmetries of data and mask keep modes apart along
the orbits; what arrives then lacks some of them, or has them in another order of size, and the pair that escapes need
not be the top one. It is a hypothesis about the data: where it fails no theorem is contradicted, but the chain is not
the greedy one.
"""

from __future__ import annotations

import gflow
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.statement import Answer, Hypothesis, Statement

ID = "mixing"
TITLE = "along the way the perturbation that arrives is generic: the top singular pair escapes at every saddle"


def claim(given: Evidence) -> Claim:
    """Return the claim, measured by the number of saddles where another pair escapes: news about the data."""
    generic = GENERIC.of(given)
    if generic.met is None:
        return Claim.undecided(ID, TITLE, generic.found)
    return Claim.hypothesis(ID, TITLE, float(len(_others(given.traversal))), 0.0, 0.0, reason=generic.found)


def genericity(found: gflow.Traversal) -> Answer:
    """Return whether the perturbation that arrives at every saddle of a limit is generic, and what was found."""
    others = _others(found)
    if others:
        at = "; ".join(
            f"at the saddle of rank {saddle.rank} a pair of rate {saddle.escape_rate:.6g} escapes before the top one"
            for saddle in others
        )
        return False, at
    if found.status != gflow.TraversalStatus.CONVERGED:
        return None, found.reason
    if any(saddle.since is None and saddle.mixing for saddle in found.saddles):
        return None, "the component is too large for its modes to be followed"
    return True, "the top pair escapes at every saddle"


def _others(found: gflow.Traversal) -> list[gflow.Saddle]:
    """Return the saddles where another pair than the top one escapes."""
    return [saddle for saddle in found.saddles if saddle.mixing is False]


def _generic(given: Evidence) -> Answer:
    return genericity(given.traversal)


GENERIC = Hypothesis("generic along the way", "the perturbation that arrives at every saddle is generic", _generic)
"""No theorem but Theorem 2 asks for it: the others say it beside their hypotheses."""


FORMULA = r"\text{at every saddle } (u, v) \text{ of } \sigma_1(E) \text{ escapes first}"
STATEMENT = Statement(
    ID, TITLE, claim, "what Theorem 2 of Bai et al. 2024 asks of the perturbation theta_0", "premise", FORMULA
)
