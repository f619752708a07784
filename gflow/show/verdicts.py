"""Notebooks' view of claims, reports and ledgers."""

from __future__ import annotations

from collections.abc import Iterable

import gflow
from gflow.report import format_interval, format_number
from gflow.show.elements import facts, page, table, verdict
from gflow.statements.claims import tally
from gflow.statements.ledger import Ledger

WORST_FIRST = ("contradicted", "undecided", "hypothesis-not-met", "holds")


def claim(record: gflow.Claim) -> str:
    """Return a claim with its verdict and its numbers."""
    known = [("measured", format_number(record.measured)), ("allowed", format_interval(record.allowed))]
    known += [(finding.name, str(finding).partition(": ")[2]) for finding in record.hypotheses]
    known += [("reason", record.reason)] if record.reason else []
    return page(record.id, record.statement, table(("verdict",), [(verdict(record),)]), facts(known))


def report(record: gflow.Report) -> str:
    """Return the claims of a report, those that need attention first."""
    return page(record.title, tally(record.claims), f"<div>{_escaped(record.lead)}</div>", _claims(record.claims))


def ledger(record: Ledger) -> str:
    """Return the verdict on every statement."""
    return page("Ledger", tally(record.claims.values()), _claims(record.claims.values()))


def _claims(claims: Iterable[gflow.Claim]) -> str:
    """Return a table of claims, the worst verdicts first."""
    ordered = sorted(claims, key=lambda each: WORST_FIRST.index(str(each.verdict)))
    rows = [(each.id, each.statement, verdict(each), each.measured, format_interval(each.allowed)) for each in ordered]
    return table(("claim", "statement", "verdict", "measured", "allowed"), rows)


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)
