"""Mixing: the perturbation that arrives at every saddle is generic, so that the top singular pair escapes there.

Theorem 2 says where a generic perturbation of a saddle leads. Exact symmetries of data and mask keep modes apart along
the orbits; what arrives then lacks some of them, or has them in another order of size, and the pair that escapes need
not be the top one. It is a hypothesis about the data: where it fails no theorem is contradicted, but the chain is not
the greedy one.
"""

from __future__ import annotations

import gflow
from gflow.statements.claims import Claim
from gflow.statements.evidence import evidence
from gflow.statements.study import Study

ID = "mixing"
STATEMENT = "along the way the perturbation that arrives is generic: the top singular pair escapes at every saddle"


def claims(study: Study) -> tuple[Claim, ...]:
    """Return the claim, measured by the number of saddles where another pair escapes."""
    return (claim(evidence(study).traversal),)


def claim(found: gflow.Traversal) -> Claim:
    """Return the claim that follows from a limit."""
    others = [saddle for saddle in found.saddles if saddle.mixing is False]
    if others:
        first = others[0]
        reason = f"at the saddle of rank {first.rank} a pair of rate {first.escape_rate:.6g} escapes before the top one"
        return Claim.unmet(ID, STATEMENT, reason, float(len(others)))
    if found.status != gflow.TraversalStatus.CONVERGED:
        return Claim.undecided(ID, STATEMENT, found.reason)
    unknown = [saddle for saddle in found.saddles[:-1] if saddle.since is None and saddle.mixing]
    if unknown:
        return Claim.undecided(ID, STATEMENT, "the component is too large for its modes to be followed")
    return Claim.bounded(ID, STATEMENT, 0.0, None, 0.0, reason="saddles where another pair escapes")
