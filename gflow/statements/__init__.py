"""Propositions and theorems as claims: one module per statement, one registry of them all.

A module ends in its ``STATEMENT``: what is said, by whom, under which hypotheses, and the function from ``Evidence`` to
claims that checks it. ``registry`` lists gflow's own and takes those of users.
"""

from gflow.renamed import old_names
from gflow.statements.claims import Claim, Finding, Verdict
from gflow.statements.comparison import completions
from gflow.statements.evidence import Evidence
from gflow.statements.registry import checked, register_statement, statement_named, statements
from gflow.statements.saddles import VisitedSaddle
from gflow.statements.statement import Hypothesis, Page, Statement, StatementKind

__all__ = [
    "Claim",
    "Evidence",
    "Finding",
    "Hypothesis",
    "Page",
    "Statement",
    "StatementKind",
    "Verdict",
    "VisitedSaddle",
    "checked",
    "completions",
    "register_statement",
    "statement_named",
    "statements",
]

__getattr__ = old_names(__name__, {"Saddle": "VisitedSaddle"})
