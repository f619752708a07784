"""The theorem ledger: every statement in one line with its verdict for one matrix, under identifiers that stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import gflow
from gflow import watch
from gflow.showing import Drawn, Tabular
from gflow.statements.claims import Claim, Verdict, exit_code
from gflow.statements.comparison import completions
from gflow.statements.evidence import Evidence
from gflow.statements.registry import checked, statements
from gflow.statements.statement import Page

WORST_FIRST = (Verdict.CONTRADICTED, Verdict.UNDECIDED, Verdict.HYPOTHESIS_NOT_MET, Verdict.HOLDS)


@dataclass(frozen=True, slots=True, eq=False)
class Ledger(Drawn, Tabular):
    """The verdicts on all statements for one matrix.

    Attributes
    ----------
    claims : mapping of str to Claim
        One for each statement of the registry that is shown there and applies, by its id.
    completions : dict
        Name, caption, columns and rows of the side-by-side table; empty for other problems and models.
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


@watch.watched
def ledger(
    problem: gflow.MatrixCompletion,
    *,
    seed: int = 0,
    progress: watch.Wish = None,
    timeout: float | None = None,
    **settings: Any,
) -> Ledger:
    """Return the verdict on every statement for ``problem``.

    Parameters
    ----------
    problem : MatrixCompletion
        Or another problem, with the keyword ``model``.
    seed : int
        Of the start theta_0, of which the limit is taken.
    progress, timeout : see ``gflow.watch.watching``
    settings
        Further keywords of ``Evidence.of``: model, scale, start, rank, method, rtol, t_end, max_evaluations.

    Raises
    ------
    ValueError
        For bad settings.
    IntegrationFailed
        If the solver gives up on the trajectory.

    Equal arguments give equal ledgers. Norms and losses scale with M; verdicts do not change.
    """
    return evidence_ledger(Evidence.of(problem, seed=seed, **settings))


def evidence_ledger(given: Evidence) -> Ledger:
    """Return the ledger on evidence that is at hand."""
    found = checked(given, statements(Page.LEDGER))
    claims = {statement.id: aggregated(statement.id, statement.title, parts) for statement, parts in found.items()}
    known = given.n_factors == 2 and watch.over() is None
    table = given.once(completions) if known else {}
    return Ledger(MappingProxyType(claims), MappingProxyType(table), given.seed)


def aggregated(id: str, statement: str, parts: Sequence[Claim]) -> Claim:
    """Return one claim for the parts of a statement: the worst verdict, with the numbers of the part that decides.

    Where several parts have that verdict the one nearest to an end of its interval decides.
    """
    worst = min((part.verdict for part in parts), key=WORST_FIRST.index)
    part = min((part for part in parts if part.verdict is worst), key=_margin)
    reason = part.reason if len(parts) == 1 else f"{part.id}: {part.statement}; {part.reason}"
    return Claim(id, statement, worst, part.measured, part.allowed, reason, part.hypotheses)


def _margin(claim: Claim) -> float:
    """Return how far the measured value is from the nearest end of its interval, in units of that end."""
    if claim.measured is None or claim.allowed is None:
        return 0.0
    ends = [end for end in claim.allowed if end is not None and (end != 0.0 or claim.allowed == (0.0, 0.0))]
    return min((abs(end - claim.measured) / (abs(end) or 1.0) for end in ends), default=float("inf"))
