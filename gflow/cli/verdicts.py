"""What ``verify`` prints: the answer, one line for each statement, and the details of what is in doubt or asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gflow.cli.output import LINES, table, verdict

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from gflow.report import Report
    from gflow.report.groups import TheoremGroup
    from gflow.statements.claims import Claim

FOLD_WIDTH = 80
"""Everything here has at most so many characters a line: the same in a wide terminal, a narrow one and a pipe."""
VERDICT = 19
"""The longest verdict in words: fails on these data."""


def report_parts(report: Report, page: Any, *, details: bool = False) -> Iterator[Any]:
    """Yield the answer, the statements by theorem, the claims that belong to none, and the details."""
    from gflow.statements.claims import Verdict, tally

    doubtful = [claim for claim in report.claims if claim.verdict in (Verdict.CONTRADICTED, Verdict.UNDECIDED)]
    yield report.title if report.answer is None else report.answer.answer()
    if report.answer is None and report.groups and report.lead:
        yield Narrow(report.lead)
    if report.groups:
        yield _statements(report.groups)
    if report.loose:
        yield _claims(report.loose)
    told = report.claims if details else doubtful
    if told:
        yield _details(told)
    yield _closing(report, page, tally(report.claims), asked=details or len(told) == len(report.claims))


def _statements(groups: Iterable[TheoremGroup]) -> Any:
    """Return one line for each statement: its verdict, and what it says in a few words."""
    from rich.console import Group as Lines
    from rich.text import Text

    lines: list[Any] = []
    for group in groups:
        by = f" ({group.source})" if group.source else ""
        lines += [Text(group.heading + by, style="bold"), grid([verdict(e.whole), e.short] for e in group.entries)]
    return Lines(*lines)


def _claims(claims: Iterable[Claim]) -> Any:
    from gflow.report import format_interval
    from gflow.report.numbers import format_measured

    rows = [
        [verdict(c), c.statement, c.id, format_measured(c.measured, c.allowed), format_interval(c.allowed, c.measured)]
        for c in claims
    ]
    return table("claims", ["verdict", "statement ", "claim ", "found", "allowed"], rows)


def _details(claims: Iterable[Claim]) -> Any:
    """Return the claims one below the other, each with its number, what it asks for, and its evidence."""
    from rich.console import Group as Lines
    from rich.padding import Padding
    from rich.text import Text

    from gflow.report.words import evidence, measure

    lines: list[Any] = []
    for claim in claims:
        numbers = "; ".join(f"{name} {value}" for name, value in measure(claim))
        asked = [f"asks for {finding}" for finding in claim.hypotheses]
        lines += [Text.assemble((claim.id, "bold"), "  ", verdict(claim))]
        told = filter(None, (claim.statement, numbers, *asked, evidence(claim)))
        lines += [Padding(Text(text), (0, 0, 0, 4)) for text in told]
    return Narrow(Lines(*lines))


def _closing(report: Report, page: Any, tally: str, asked: bool) -> Any:
    from rich.console import Group as Lines
    from rich.text import Text

    said = [tally]
    said += [] if asked else ["numbers and evidence of every claim: --details"]
    said += [] if report.answer is None else [f"{LINES}"]
    said += [] if page is None else [f"report: {page}"]
    return Lines(*map(Text, said))


def grid(rows: Iterable[list[Any]]) -> Any:
    """Return rows of a verdict and a sentence, which folds at the width of everything here."""
    from rich.table import Table

    found = Table.grid(padding=(0, 2, 0, 0))
    found.add_column(min_width=VERDICT + 2, no_wrap=True)
    found.add_column(overflow="fold")
    for mark, text in rows:
        found.add_row(_indented(mark), text)
    return Narrow(found)


def _indented(text: Any) -> Any:
    from rich.text import Text

    return Text.assemble("  ", text)


@dataclass(frozen=True, slots=True, eq=False)
class Narrow:
    """Something that folds at the width of everything here."""

    inside: Any

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self.inside, options.update(max_width=min(FOLD_WIDTH, options.max_width)))
