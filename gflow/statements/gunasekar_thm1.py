"""Gunasekar et al. 2017, Theorem 1: commuting measurements, X = U U^T from alpha I, the minimum nuclear norm.

A completion problem is judged through its symmetric dilation: measurements [[0, E_ij], [E_ji, 0]] / 2 of X of order
d1 + d2, whose least trace is twice the least nuclear norm of W. They commute where no two observed entries share a row
or a column. The path is then known in closed form, and so is its limit.
"""

from __future__ import annotations

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow.statements.commuting import COMMUTE
from gflow.statements.evidence import Evidence
from gflow.statements.statement import Answer, Hypothesis, Page, Statement

ID = "gunasekar_thm1"
TITLE = "commuting measurements: X = U U^T from alpha I tends to an X >= 0 of minimum nuclear norm (dilated data)"
ALPHA = 1e-12
"""Scale of the start, in the problem's unit; the excess of the norm is of its order."""
NORM_TOL = 1e-9
LARGEST_ORDER = 200


def claim(given: Evidence) -> Claim:
    """Return the claim, measured by the trace of the limit over the certified minimum."""
    limit = given.once(closed)
    if limit is None:
        return STATEMENT.judged(given, (None, "no closed path"))
    trace = float(np.trace(limit))
    found = f"the limit from alpha = {ALPHA:g} unit in closed form has trace {trace:.10g}"
    return STATEMENT.judged(given, (trace, found), lambda text: _least(given, trace, text))


def closed(given: Evidence) -> np.ndarray | None:
    """Return the limit of X in closed form where the measurements commute and it is not too large, else None."""
    return closed_limit(given.problem) if COMMUTE.of(given).met else None


def _reached(given: Evidence) -> Answer:
    limit = given.once(closed)
    if limit is None:
        return None, "it has no closed form here"
    misfit = float(np.abs(given.problem.residual(half(limit, given))).max(initial=0.0)) / (given.problem.size or 1.0)
    return misfit <= NORM_TOL, f"misfit {misfit:.1e} max|M|"


def closed_limit(problem: gflow.MatrixCompletion) -> np.ndarray | None:
    """Return the limit of X in closed form, shape (d1 + d2, d1 + d2); None where it is too large to form."""
    order = sum(problem.shape)
    if order > LARGEST_ORDER:
        return None
    if not problem.targets.any():
        return ALPHA * problem.unit * np.eye(order)
    dilated = gflow.symmetric_dilation(problem)
    return gflow.commuting_path(dilated, ALPHA * dilated.unit).final


def half(X: np.ndarray, given: Evidence) -> np.ndarray:
    """Return the block W of X."""
    d1, _ = given.problem.shape
    return X[:d1, d1:]


def _least(given: Evidence, trace: float, text: str) -> Claim:
    if given.nuclear is None:
        return Claim.undecided(ID, TITLE, f"the minimum was not certified; {text}", trace)
    order, unit = sum(given.problem.shape), given.problem.unit
    slack = NORM_TOL * given.nuclear.upper + 2 * order * ALPHA * unit
    low, high = 2 * given.nuclear.lower - slack, 2 * given.nuclear.upper + slack
    return Claim.bounded(ID, TITLE, trace, low, high, reason=text)


REACHED = Hypothesis("limit exists and interpolates", "the limit exists and meets the data", _reached)
FORMULA = (
    r"\lim_{\alpha \to 0} X_\infty(\alpha I) \in \operatorname{argmin}_{A(X) = y, X \succeq 0} \operatorname{tr} X"
)
STATEMENT = Statement(
    ID, TITLE, claim, "Gunasekar et al. 2017, Theorem 1", "theorem", FORMULA, (COMMUTE, REACHED), pages=[Page.LEDGER]
)
