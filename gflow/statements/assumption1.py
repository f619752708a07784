"""Assumption 1: at a saddle of the trajectory the largest singular value of the residual E = P o (W - M) is simple.

It makes the escape direction unique up to the choice of w. It is a hypothesis about the data: where it fails, later
theorems do not apply, and nothing is contradicted. Source: Bai et al. 2024, Assumption 1.
"""

from __future__ import annotations

from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.saddles import VisitedSaddle
from gflow.statements.statement import Statement

TITLE = "at every saddle of the trajectory the largest singular value of the residual is simple"
SIMPLE_TOL = 1e-7
"""sigma_1 is simple when (sigma_1 - sigma_2) / sigma_1 exceeds this."""
REPEATED_TOL = 1e-12
"""It is repeated up to this, the accuracy to which saddles are polished; between both it cannot be told."""


def claim(given: Evidence) -> Claim:
    """Return the claim, measured by the least relative gap (sigma_1 - sigma_2) / sigma_1."""
    left = [saddle for saddle in given.saddles if saddle.escape.assumption_1 is not None]
    if not left:
        return _without_saddles(given)
    worst = min(left, key=relative_gap)
    gap = relative_gap(worst)
    reason = f"least relative gap, at the saddle of loss {worst.point.value * given.unit * given.unit:.6g}"
    if gap <= REPEATED_TOL:
        reason += f": the largest singular value {worst.escape.singular_values[0] * given.unit:.6g} is repeated"
    elif gap <= SIMPLE_TOL:
        return Claim.undecided("assumption1", TITLE, f"{reason}: too small to tell from none", gap)
    elif given.doubt:
        return Claim.undecided("assumption1", TITLE, given.doubt, gap)
    return Claim.hypothesis("assumption1", TITLE, gap, SIMPLE_TOL, None, reason=reason)


def relative_gap(saddle: VisitedSaddle) -> float:
    """Return (sigma_1 - sigma_2) / sigma_1 of the residual; 1 where there is no second singular value."""
    first, *others = saddle.escape.singular_values.tolist()
    return (first - others[0]) / first if others else 1.0


def _without_saddles(given: Evidence) -> Claim:
    if given.doubt:
        return Claim.undecided("assumption1", TITLE, given.doubt)
    return Claim.unmet("assumption1", TITLE, "the trajectory passes no saddle")


FORMULA = r"\sigma_1(E) > \sigma_2(E) \text{ at every saddle}, \quad E = P \circ (W - M)"
STATEMENT = Statement("assumption1", TITLE, claim, "Bai et al. 2024, Assumption 1", "premise", FORMULA)
