"""Claims that none of many cases is wrong, which name the first that are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from gflow.statements.claims import Claim

Case = TypeVar("Case")
NAMED = 3
"""Counterexamples that a claim names."""


def none_wrong(
    id: str,
    statement: str,
    cases: Sequence[Case],
    wrong: Callable[[Case], bool],
    place: Callable[[Case], str],
    *,
    what: str,
    none: str,
) -> Claim:
    """Return the claim that no case is wrong, measured by how many are; undecided without a case, for ``none``."""
    if not cases:
        return Claim.undecided(id, statement, none)
    bad = [case for case in cases if wrong(case)]
    places = "".join(f"; {place(case)}" for case in bad[:NAMED])
    return Claim.bounded(id, statement, len(bad), 0, 0, reason=f"counterexamples among {len(cases)} {what}{places}")
