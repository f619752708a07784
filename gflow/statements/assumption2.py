"""Assumption 2: a saddle of the trajectory is second-order stationary within the manifold on which it lives.

The manifold is the product of the sub-Omega_k of the coupling components. It is a hypothesis about the data: where it
fails, later theorems do not apply, and nothing is contradicted. Source: Bai et al. 2024, Assumption 2.
"""

from __future__ import annotations

from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.statement import Statement

TITLE = "every saddle of the trajectory is second-order stationary within its invariant manifold"


def claim(given: Evidence) -> Claim:
    """Return the claim, measured by the number of saddles with negative curvature inside."""
    answers = [(saddle, saddle.escape.assumption_2) for saddle in given.saddles if saddle.point.index]
    failing = [saddle for saddle, answer in answers if answer is False]
    unclear = [saddle for saddle, answer in answers if answer is None]
    if failing:
        losses = ", ".join(f"{saddle.point.value * given.unit * given.unit:.6g}" for saddle in failing)
        reason = f"negative curvature inside the manifold at the saddles of loss {losses}"
        return Claim.hypothesis("assumption2", TITLE, len(failing), 0.0, 0.0, reason=reason)
    if given.doubt or unclear:
        reason = given.doubt or f"rounding hides the sign of the least curvature at {len(unclear)} saddles"
        return Claim.undecided("assumption2", TITLE, reason)
    if not answers:
        return Claim.unmet("assumption2", TITLE, "the trajectory passes no saddle")
    reason = f"number of saddles with negative curvature inside, of {len(answers)}"
    return Claim.bounded("assumption2", TITLE, 0.0, 0.0, 0.0, reason=reason)


FORMULA = r"\nabla^2 R(\theta)|_{T\,\omega_{k_1} \times \dots \times \omega_{k_m}} \succeq 0 \text{ at every saddle}"
STATEMENT = Statement("assumption2", TITLE, claim, "Bai et al. 2024, Assumption 2", "premise", FORMULA)
