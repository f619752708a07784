"""The theorem ledger: every statement of the seeds with its verdict for one matrix, under identifiers that stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import gflow
from gflow.statements import (
    Statement,
    Study,
    assumption1,
    assumption2,
    balanced,
    commuting,
    completions,
    conservation,
    decoupling,
    gunasekar_conjecture,
    gunasekar_cor2,
    gunasekar_thm1,
    mixing,
    prop1,
    prop2,
    rip,
    rip_thm3,
    thm1,
    thm2,
    thm3,
    thm3_premise,
    thm4,
)
from gflow.statements.claims import Claim, Verdict, exit_code

ENTRIES: Mapping[str, tuple[str, Statement]] = MappingProxyType(
    {
        "prop1": ("Omega_k is invariant, intrinsic, and one in an increasing chain", prop1.claims),
        "prop2": ("disconnected data: the sub-Omega_k are invariant, and strictly smaller", prop2.claims),
        "thm1": (thm1.STATEMENT, thm1.claims),
        "assumption1": (assumption1.STATEMENT, assumption1.claims),
        "assumption2": (assumption2.STATEMENT, assumption2.claims),
        "mixing": (mixing.STATEMENT, mixing.claims),
        "thm2": ("the escape from every saddle passed has a limit, which lies on an Omega_(k+1)", thm2.claims),
        "thm3_premise": (thm3_premise.STATEMENT, thm3_premise.claims),
        "thm3": (thm3.STATEMENT, thm3.claims),
        "thm4": (thm4.STATEMENT, thm4.claims),
        "commuting": (commuting.STATEMENT, commuting.claims),
        "rip": (rip.STATEMENT, rip.claims),
        "gunasekar_thm1": (gunasekar_thm1.STATEMENT, gunasekar_thm1.claims),
        "gunasekar_cor2": (gunasekar_cor2.STATEMENT, gunasekar_cor2.claims),
        "gunasekar_conjecture": (gunasekar_conjecture.STATEMENT, gunasekar_conjecture.claims),
        "rip_thm3": (rip_thm3.STATEMENT, rip_thm3.claims),
        "decoupling": ("the flow splits exactly along the coupling components", decoupling.claims),
        "conservation": ("A^T A - B B^T is constant along the flow, and the loss never rises", conservation.claims),
        "balanced": (balanced.STATEMENT, balanced.claims),
    }
)
"""Identifier, statement and claims of every entry, in the order of the ledger."""
WORST_FIRST = (Verdict.CONTRADICTED, Verdict.UNDECIDED, Verdict.HYPOTHESIS_NOT_MET, Verdict.HOLDS)


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """The verdicts on all statements for one matrix.

    Attributes
    ----------
    claims : mapping of str to Claim
        One for each identifier of ``ENTRIES``, in that order.
    completions : dict
        Name, caption, columns and rows of the side-by-side table.
    seed : int
    """

    claims: Mapping[str, Claim]
    completions: Mapping[str, Any]
    seed: int

    @property
    def exit_code(self) -> int:
        """Return 1 if a claim is contradicted, else 0."""
        return exit_code(self.claims.values())

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return verdict, measured value, allowed interval and reason of every statement, JSON-ready."""
        keys = ("verdict", "measured", "allowed", "reason")
        described = {id: claim.to_dict() for id, claim in self.claims.items()}
        return {id: {key: found[key] for key in keys} for id, found in described.items()}

    def __repr__(self) -> str:
        return f"Ledger({', '.join(f'{id}: {claim.verdict}' for id, claim in self.claims.items())})"


def ledger(problem: gflow.MatrixCompletion, *, seed: int = 0, **settings: Any) -> Ledger:
    """Return the verdict on every statement for ``problem``.

    Parameters
    ----------
    problem : MatrixCompletion
    seed : int
        Of the start theta_0, of which the limit is taken.
    settings
        Further keywords of ``Study.of``: scale, start, rank, method, rtol, t_end, max_evaluations.

    Raises
    ------
    ValueError
        For bad settings.
    IntegrationFailed
        If the solver gives up on the trajectory.

    Equal arguments give equal ledgers. Norms and losses scale with M; verdicts do not change.
    """
    return study_ledger(Study.of(problem, seed=seed, **settings))


def study_ledger(study: Study) -> Ledger:
    """Return the ledger of a study that has been made."""
    claims = {id: aggregated(id, text, statement(study)) for id, (text, statement) in ENTRIES.items()}
    return Ledger(MappingProxyType(claims), MappingProxyType(completions(study)), study.seed)


def aggregated(id: str, statement: str, parts: Sequence[Claim]) -> Claim:
    """Return one claim for the parts of a statement: the worst verdict, with the numbers of the part that decides.

    Where several parts have that verdict the one nearest to an end of its interval decides.
    """
    worst = min((part.verdict for part in parts), key=WORST_FIRST.index)
    part = min((part for part in parts if part.verdict is worst), key=_margin)
    reason = part.reason if len(parts) == 1 else f"{part.id}: {part.statement}; {part.reason}"
    return Claim(id, statement, worst, part.measured, part.allowed, reason)


def _margin(claim: Claim) -> float:
    """Return how far the measured value is from the nearest end of its interval, in units of that end."""
    if claim.measured is None or claim.allowed is None:
        return 0.0
    ends = [end for end in claim.allowed if end is not None and (end != 0.0 or claim.allowed == (0.0, 0.0))]
    return min((abs(end - claim.measured) / (abs(end) or 1.0) for end in ends), default=float("inf"))
