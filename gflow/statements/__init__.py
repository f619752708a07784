"""Propositions and theorems as claims: one module per statement, each with ``claims(study)``.

A statement joins every verification by one line in ``STATEMENTS``.
"""

from __future__ import annotations

from collections.abc import Callable

from gflow.statements import (
    assumption1,
    assumption2,
    balanced,
    commuting,
    conservation,
    decoupling,
    derivatives,
    identities,
    mixing,
    prop1,
    prop2,
    rip,
    spectrum,
    thm1,
    thm2,
    thm3,
    thm3_premise,
    thm4,
)
from gflow.statements.claims import Claim
from gflow.statements.comparison import completions
from gflow.statements.study import Saddle, Study

__all__ = [
    "LIMIT_STATEMENTS",
    "STATEMENTS",
    "TRAJECTORY_STATEMENTS",
    "Saddle",
    "Statement",
    "Study",
    "completions",
]

Statement = Callable[[Study], tuple[Claim, ...]]

LIMIT_STATEMENTS: tuple[Statement, ...] = (
    mixing.claims,
    thm2.claims,
    thm3_premise.claims,
    thm3.claims,
    thm4.claims,
    commuting.claims,
    rip.claims,
)
"""Statements about the limit of vanishing initialisation."""

TRAJECTORY_STATEMENTS: tuple[Statement, ...] = (
    prop1.claims,
    prop2.claims,
    thm1.claims,
    assumption1.claims,
    assumption2.claims,
    conservation.claims,
    balanced.claims,
    decoupling.claims,
    spectrum.claims,
    derivatives.claims,
    identities.claims,
)
"""Statements about the loss, its flow, and one trajectory from a small start."""

STATEMENTS: tuple[Statement, ...] = (
    *TRAJECTORY_STATEMENTS[:5],
    *LIMIT_STATEMENTS,
    *TRAJECTORY_STATEMENTS[5:],
)
"""All statements, in the order of the report."""
