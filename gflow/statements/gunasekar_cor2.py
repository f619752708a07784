"""Gunasekar et al. 2017, Corollary 2: W = A B where the dilated measurements commute, from a multiple of the identity.

The start is [A_0; B_0^T] = sqrt(alpha) I of width d1 + d2. The flow itself is integrated; where that is too large, W is
the block of the closed path of the dilation.
"""

from __future__ import annotations

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence, evidence
from gflow.statements.gunasekar_thm1 import closed_limit, commuting, half
from gflow.statements.hypotheses import Hypothesis, judged
from gflow.statements.study import DENSE_LIMIT, IntegrationFailed, Study

ID = "gunasekar_cor2"
STATEMENT = "commuting dilations: W = A B from the identity tends to a completion of minimum nuclear norm"
ALPHA = 1e-8
NORM_TOL = 1e-6
"""Relative difference of the nuclear norms; the flow from ALPHA is of this order away from the limit, or less."""


def claims(study: Study) -> tuple[Claim, ...]:
    """Return the claim, measured by the nuclear norm of the end of the flow."""
    return (claim(evidence(study)),)


def claim(given: Evidence) -> Claim:
    """Return the claim that follows from the evidence."""
    commute = commuting(given)
    W, found = _end(given) if commute.met else (None, "the flow from the identity was not followed")
    misfit = None if W is None else float(np.abs(given.problem.residual(W)).max(initial=0.0))
    size = given.problem.size or 1.0
    met = None if misfit is None else misfit <= NORM_TOL * size
    reached = Hypothesis("limit exists and interpolates", met, "" if misfit is None else f"misfit {misfit:.1e}")
    norm = None if W is None else float(np.linalg.svd(W, compute_uv=False).sum())
    return judged(ID, STATEMENT, (commute, reached), (norm, found), lambda text: _least(given, norm, text))


def _end(given: Evidence) -> tuple[np.ndarray | None, str]:
    """Return the end of the flow from the identity, and where it comes from."""
    problem = given.problem
    d1, d2 = problem.shape
    model = gflow.Factorization(problem.shape, d1 + d2)
    if model.dim > DENSE_LIMIT or not problem.targets.any():
        X = closed_limit(problem)
        return (None, "too large for a closed path") if X is None else (half(X, given), "from the closed path")
    eye = np.eye(d1 + d2)
    start = np.sqrt(ALPHA * problem.unit) * model.theta(eye[:d1], eye[:, d1:])
    try:
        flow = gflow.gradient_flow(given.study.make(problem, model), start)
    except IntegrationFailed as failure:
        return None, f"the flow from the identity failed: {failure}"
    if flow.status is not gflow.Status.CONVERGED:
        return None, f"the flow from the identity ended {flow.status}"
    return model.output(flow.final), f"the end of the flow from alpha = {ALPHA:g} unit"


def _least(given: Evidence, norm: float | None, text: str) -> Claim:
    if given.nuclear is None:
        return Claim.undecided(ID, STATEMENT, f"the minimum was not certified; {text}", norm)
    slack = NORM_TOL * given.nuclear.upper
    low, high = given.nuclear.lower - slack, given.nuclear.upper + slack
    return Claim.bounded(ID, STATEMENT, norm, low, high, reason=text)
