"""Gunasekar et al. 2017, Corollary 2: W = A B where the dilated measurements commute, from a multiple of the identity.

The start is [A_0; B_0^T] = sqrt(alpha) I of width d1 + d2. The flow itself is integrated; where that is too large, W is
the block of the closed path of the dilation.
"""

from __future__ import annotations

import numpy as np

import gflow
from gflow.policy import DENSE_LIMIT
from gflow.statements.claims import Claim
from gflow.statements.commuting import COMMUTE
from gflow.statements.evidence import Evidence
from gflow.statements.gunasekar_thm1 import closed_limit, half
from gflow.statements.statement import Answer, Hypothesis, Page, Statement

ID = "gunasekar_cor2"
TITLE = "commuting dilations: W = A B from the identity tends to a completion of minimum nuclear norm"
ALPHA = 1e-8
NORM_TOL = 1e-6
"""Relative difference of the nuclear norms; the flow from ALPHA is of this order away from the limit, or less."""


def claim(given: Evidence) -> Claim:
    """Return the claim, measured by the nuclear norm of the end of the flow."""
    W, found = given.once(_end)
    norm = None if W is None else float(np.linalg.svd(W, compute_uv=False).sum())
    return STATEMENT.judged(given, (norm, found), lambda text: _least(given, norm, text))


def _reached(given: Evidence) -> Answer:
    W, _ = given.once(_end)
    if W is None:
        return None
    misfit = float(np.abs(given.problem.residual(W)).max(initial=0.0))
    return misfit <= NORM_TOL * (given.problem.size or 1.0), f"misfit {misfit:.1e}"


def _end(given: Evidence) -> tuple[np.ndarray | None, str]:
    """Return the end of the flow from the identity, and where it comes from."""
    if not COMMUTE.of(given).met:
        return None, "the flow from the identity was not followed"
    problem = given.problem
    d1, d2 = problem.shape
    model = gflow.Factorization(problem.shape, d1 + d2)
    if model.dim > DENSE_LIMIT or not problem.targets.any():
        X = closed_limit(problem)
        return (None, "too large for a closed path") if X is None else (half(X, given), "from the closed path")
    eye = np.eye(d1 + d2)
    start = np.sqrt(ALPHA * problem.unit) * model.theta(eye[:d1], eye[:, d1:])
    try:
        flow = gflow.gradient_flow(given.make(problem, model), start)
    except gflow.IntegrationFailed as failure:
        return None, f"the flow from the identity failed: {failure}"
    if flow.status is not gflow.Status.CONVERGED:
        return None, f"the flow from the identity ended {flow.status}"
    return model.output(flow.final), f"the end of the flow from alpha = {ALPHA:g} unit"


def _least(given: Evidence, norm: float | None, text: str) -> Claim:
    if given.nuclear is None:
        return Claim.undecided(ID, TITLE, f"the minimum was not certified; {text}", norm)
    slack = NORM_TOL * given.nuclear.upper
    low, high = given.nuclear.lower - slack, given.nuclear.upper + slack
    return Claim.bounded(ID, TITLE, norm, low, high, reason=text)


REACHED = Hypothesis("limit exists and interpolates", "the limit exists and meets the data", _reached)
FORMULA = r"[A_0; B_0^T] = \sqrt{\alpha} I \Rightarrow \|W_\infty\|_* \to \min_{P \circ (W - M) = 0} \|W\|_*"
STATEMENT = Statement(
    ID, TITLE, claim, "Gunasekar et al. 2017, Corollary 2", "theorem", FORMULA, (COMMUTE, REACHED), pages=[Page.LEDGER]
)
