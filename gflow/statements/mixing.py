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
from gflow.statements.hypotheses import Hypothesis
from gflow.statements.study import Study

ID = "mixing"
STATEMENT = "along the way the perturbation that arrives is generic: the top singular pair escapes at every saddle"


def claims(study: Study) -> tuple[Claim, ...]:
    """Return the claim, measured by the number of saddles where another pair escapes."""
    return (claim(evidence(study).traversal),)


def claim(found: gflow.Traversal) -> Claim:
    """Return the claim that follows from a limit; where it fails that is news about the data."""
    generic = genericity(found)
    if generic.met is None:
        return Claim.undecided(ID, STATEMENT, generic.found)
    return Claim.hypothesis(ID, STATEMENT, float(len(_others(found))), 0.0, 0.0, reason=generic.found)


def genericity(found: gflow.Traversal) -> Hypothesis:
    """Return whether the perturbation that arrives at every saddle of a limit is generic.

    No theorem but Theorem 2 asks for it: the others say it beside their hypotheses.
    """
    name, others = "generic along the way", _others(found)
    if others:
        at = "; ".join(
            f"at the saddle of rank {saddle.rank} a pair of rate {saddle.escape_rate:.6g} escapes before the top one"
            for saddle in others
        )
        return Hypothesis(name, False, at)
    if found.status != gflow.TraversalStatus.CONVERGED:
        return Hypothesis(name, None, found.reason)
    if any(saddle.since is None and saddle.mixing for saddle in found.saddles):
        return Hypothesis(name, None, "the component is too large for its modes to be followed")
    return Hypothesis(name, True, "the top pair escapes at every saddle")


def _others(found: gflow.Traversal) -> list[gflow.Saddle]:
    """Return the saddles where another pair than the top one escapes."""
    return [saddle for saddle in found.saddles if saddle.mixing is False]
