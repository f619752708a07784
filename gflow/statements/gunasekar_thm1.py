"""Gunasekar et al. 2017, Theorem 1: commuting measurements, X = U U^T from alpha I, the minimum nuclear norm.

A completion problem is judged through its symmetric dilation: measurements [[0, E_ij], [E_ji, 0]] / 2 of X of order
d1 + d2, whose least trace is twice the least nuclear norm of W. They commute where no two observed entries share a row
or a column. The path is then known in closed form, and so is its limit.
"""

from __future__ import annotations

import numpy as np

import gflow
from gflow import operators
from gflow.statements.claims import Claim
from gflow.statements.commuting import shared_line
from gflow.statements.evidence import Evidence, evidence
from gflow.statements.hypotheses import Hypothesis, judged
from gflow.statements.study import Study

ID = "gunasekar_thm1"
STATEMENT = "commuting measurements: X = U U^T from alpha I tends to an X >= 0 of minimum nuclear norm (dilated data)"
ALPHA = 1e-12
"""Scale of the start, in the problem's unit; the excess of the norm is of its order."""
NORM_TOL = 1e-9
LARGEST_ORDER = 200


def claims(study: Study) -> tuple[Claim, ...]:
    """Return the claim, measured by the trace of the limit over the certified minimum."""
    return (claim(evidence(study)),)


def claim(given: Evidence) -> Claim:
    """Return the claim that follows from the evidence."""
    commute = commuting(given)
    limit = closed_limit(given.problem) if commute.met else None
    if limit is None:
        reached = Hypothesis("limit exists and interpolates", None, "it has no closed form here")
        return judged(ID, STATEMENT, (commute, reached), (None, "no closed path"), lambda text: _unknown(text))
    misfit = float(np.abs(given.problem.residual(half(limit, given))).max(initial=0.0)) / (given.problem.size or 1.0)
    reached = Hypothesis("limit exists and interpolates", misfit <= NORM_TOL, f"misfit {misfit:.1e} max|M|")
    trace = float(np.trace(limit))
    found = f"the limit from alpha = {ALPHA:g} unit in closed form has trace {trace:.10g}"
    return judged(ID, STATEMENT, (commute, reached), (trace, found), lambda text: _least(given, trace, text))


def commuting(given: Evidence) -> Hypothesis:
    """Return whether the dilated measurement matrices commute, decided exactly from the mask."""
    commute = operators.commuting_mask(given.problem, form="dilated")
    found = "no two observed entries share a row or a column" if commute else shared_line(given.problem)
    return Hypothesis("measurement matrices commute", commute, found)


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


def _unknown(text: str) -> Claim:
    return Claim.undecided(ID, STATEMENT, text)


def _least(given: Evidence, trace: float, text: str) -> Claim:
    if given.nuclear is None:
        return Claim.undecided(ID, STATEMENT, f"the minimum was not certified; {text}", trace)
    order, unit = sum(given.problem.shape), given.problem.unit
    slack = NORM_TOL * given.nuclear.upper + 2 * order * ALPHA * unit
    low, high = 2 * given.nuclear.lower - slack, 2 * given.nuclear.upper + slack
    return Claim.bounded(ID, STATEMENT, trace, low, high, reason=text)
