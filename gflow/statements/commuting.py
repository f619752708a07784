"""Commuting measurements: the limit has the minimum nuclear norm (Gunasekar et al. 2017, Theorem 1 and Corollary 2).

The corollary asks that the dilations [[0, A_i], [A_i^T, 0]] of the measurement matrices commute; for observed entries,
that no two of them share a row or a column. It starts from a multiple of the identity, the limit here from the study's
start. Where the matrices do not commute the reason says whether the minimum is reached all the same.
"""

from __future__ import annotations

import gflow
from gflow import operators
from gflow.statements.claims import Claim, Verdict
from gflow.statements.evidence import Evidence
from gflow.statements.hypotheses import INTERPOLATES, LEAST_NORM, LIMIT_EXISTS, norms
from gflow.statements.statement import Answer, Hypothesis, Statement
from gflow.statements.thm4 import minimal_norm

ID = "commuting"
TITLE = "if the measurement matrices commute, the limit has the minimum nuclear norm"


def claim(given: Evidence) -> Claim:
    """Return the claim, measured by the nuclear norm of the limit."""
    measured = given.nuclear_norm, f"{norms(given)}{_reached(given)}"
    return STATEMENT.judged(given, measured, lambda text: minimal_norm(ID, TITLE, given, text))


def _commute(given: Evidence) -> Answer:
    commute = operators.commuting_mask(given.problem, form="dilated")
    return commute, "no two observed entries share a row or a column" if commute else shared_line(given.problem)


def shared_line(problem: gflow.MatrixCompletion) -> str:
    """Return two observed entries whose matrices do not commute, as text."""
    for name, lines in (("row", problem.rows), ("column", problem.columns)):
        seen: dict[int, int] = {}
        for index, line in enumerate(lines.tolist()):
            if line in seen:
                first, second = (f"({problem.rows[i] + 1}, {problem.columns[i] + 1})" for i in (seen[line], index))
                return f"those of the entries {first} and {second}, in one {name}, do not"
            seen[line] = index
    return ""


def _reached(given: Evidence) -> str:
    verdict = minimal_norm(ID, TITLE, given, TITLE).verdict
    if verdict is Verdict.UNDECIDED or given.nuclear is None:
        return ""
    return ", which is reached" if verdict is Verdict.HOLDS else ", which is not reached"


COMMUTE = Hypothesis(
    "measurement matrices commute", "the dilations [[0, A_i], [A_i^T, 0]] of the measurements commute", _commute
)
STATEMENT = Statement(
    ID,
    TITLE,
    claim,
    "Gunasekar et al. 2017, Theorem 1 and Corollary 2",
    "theorem",
    LEAST_NORM,
    (COMMUTE, LIMIT_EXISTS, INTERPOLATES),
)
