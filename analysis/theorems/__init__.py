"""Propositions and theorems as claims: one module per statement, each with ``claims(study)``.

A statement joins every verification by one line in ``STATEMENTS``.
"""

from __future__ import annotations

from collections.abc import Callable

from analysis.claims import Claim
from analysis.theorems import (
    assumption1,
    assumption2,
    conservation,
    decoupling,
    derivatives,
    identities,
    prop1,
    prop2,
    spectrum,
    thm1,
)
from analysis.theorems.study import Saddle, Study

__all__ = ["STATEMENTS", "Saddle", "Statement", "Study"]

Statement = Callable[[Study], tuple[Claim, ...]]

STATEMENTS: tuple[Statement, ...] = (
    prop1.claims,
    prop2.claims,
    thm1.claims,
    assumption1.claims,
    assumption2.claims,
    conservation.claims,
    decoupling.claims,
    spectrum.claims,
    derivatives.claims,
    identities.claims,
)
"""All statements, in the order of the report."""
