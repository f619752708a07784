"""Names of rows and columns in a table of text: found where they cannot be numbers, asked about where they may be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gflow.files.content import Layout
from gflow.files.text import is_name, is_number, quoted, short, unquoted

_INTEGER = re.compile(r"\d{1,9}", re.ASCII)
YEARS = range(1800, 2101)
"""Two such numbers in a row are taken for labels where three others would be."""
CERTAIN = 3
_IDENTIFIER = re.compile(r"(.*[ _.])?(id|index|idx|key|nr|no|number|name)|unnamed: 0", re.IGNORECASE)
"""Heads of columns that hold names more often than data."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Which first row and first column hold names: as booleans, as names, and as what is told of them."""

    header: bool
    index: bool
    rows: tuple[str, ...] | None
    columns: tuple[str, ...] | None
    notes: tuple[str, ...]
    asked: Layout

    def data(self, rows: list[list[str]]) -> list[list[str]]:
        """Return the cells without the names."""
        return [cells[self.index :] for cells in rows[self.header :]]

    def remedy(self, i: int, j: int, count: int) -> str:
        """Return what to say where the cell (i, j) of the data is no number, though it may be a name."""
        if i == 0 and not self.header and self.asked.header is None and count > 1:
            return " (if the first row holds names: --header yes)"
        if j == 0 and not self.index and self.asked.index is None:
            return " (if the first column holds names: --index yes)"
        return ""


def labels_of(rows: list[list[str]], layout: Layout, name: str) -> Labels:
    """Return the names that a table holds.

    Raises ``ValueError`` where numbers may be names: the 0, 1, 2, ... that data frames write by themselves, or years.
    """
    first, others = rows[0], rows[1:]
    column = [cells[0] for cells in others]
    named = _is_index(rows, column, layout.index, name)
    header, notes = layout.header, []
    if header is not False and _lacks_corner(first, others) and all(map(is_name, first)):
        if not named:
            _ask(name, [_question("column", column)])
        rows[0] = first = ["", *first]
    if header is None:
        header = bool(others) and _is_header(first[named:], [cells[named:] for cells in others])
        notes += ["first row read as column names"] if header else []
    if header and not others:
        raise ValueError(f"{name} holds a row of column names and no other")
    questions = [] if header or layout.header is False else _header_questions(first, others, named)
    firm = bool(layout.index or header or questions)
    index = named and (firm or is_name(first[0]) or quoted(first[0]))
    if not named and layout.index is None and len(first) > 1:
        questions += _index_questions(first, column, others, bool(header), bool(questions))
    _ask(name, questions)
    if index and layout.index is None:
        notes.append("first column read as row names")
    return Labels(
        bool(header),
        index,
        tuple(unquoted(cells[0]) for cells in rows[header:]) if index else None,
        tuple(unquoted(cell) for cell in first[index:]) if header else None,
        tuple(notes),
        layout,
    )


def _is_index(rows: list[list[str]], column: list[str], said: bool | None, name: str) -> bool:
    """Return whether the first column, of which ``column`` is the part below the first row, can only hold names."""
    wide = all(len(cells) > 1 for cells in rows)
    if said and not wide:
        raise ValueError(f"{name} holds a column of row names and no other")
    if said is not None or not wide or not column:
        return bool(said)
    return all(map(is_name, column)) or _quoted_alone(column, [cells[1:] for cells in rows[1:]])


def _lacks_corner(first: list[str], others: list[list[str]]) -> bool:
    """Return whether every row but the first has one cell more, as R writes tables with row names."""
    return bool(others) and all(len(cells) == len(first) + 1 for cells in others)


def _is_header(body: list[str], others: list[list[str]]) -> bool:
    """Return whether the first row can only hold names: no numbers, or the only cells in quotes."""
    kept = [cell for cell in body if unquoted(cell)]
    if kept and all(map(is_name, kept)):
        return True
    return _quoted_alone(body, others)


def _quoted_alone(cells: Sequence[str], others: list[list[str]]) -> bool:
    """Return whether all these cells stand in quotes and no other does: programs that quote text quote no numbers."""
    return bool(cells) and all(map(quoted, cells)) and not any(quoted(cell) for row in others for cell in row)


def _header_questions(first: list[str], others: list[list[str]], named: bool) -> list[str]:
    """Return the question about a first row of numbers that may be labels."""
    cornered = len(first) > 1 and not unquoted(first[0])
    body = first[1:] if named or cornered else first
    if not others or not all(map(is_number, body)):
        return []
    start = _run(body)
    rows = [cells[len(first) - len(body) :] for cells in others]
    column = [cells[0] for cells in others]
    counted = _rising(body) and _rising(column) and (start == 0 or max(len(body), len(column)) > 1)
    if cornered and (named or counted):
        return [_question("row", body)]
    if _labels(start, len(body)) or (start is not None and len(body) >= CERTAIN and (named or _fractional(rows))):
        return [_question("row", body)]
    if named and all(_INTEGER.fullmatch(unquoted(cell)) for cell in body) and _fractional(rows):
        return [_question("row", body)]
    return []


def _index_questions(
    first: list[str], column: list[str], others: list[list[str]], header: bool, doubtful: bool
) -> list[str]:
    """Return the question about a first column of numbers that may be labels."""
    cornered = not unquoted(first[0])
    headed = cornered or (header and _IDENTIFIER.fullmatch(unquoted(first[0])) and len(set(column)) == len(column))
    if (doubtful and cornered) or (header and headed and all(map(is_number, column))):
        return [_question("column", column)]
    whole = column if header else [first[0], *column]
    start = _run(whole)
    long = start is not None and len(whole) >= CERTAIN and start <= 1
    if _labels(start, len(whole)) or (long and (header or _fractional([cells[1:] for cells in (first, *others)]))):
        return [_question("column", whole)]
    return []


def _labels(start: int | None, count: int) -> bool:
    """Return whether a run of integers from ``start`` looks like the labels of a data frame, or like years."""
    return start is not None and ((count >= CERTAIN and start == 0) or (count > 1 and start in YEARS))


def _run(cells: Sequence[str]) -> int | None:
    """Return the first of consecutive integers, or None for anything else."""
    texts = [unquoted(cell) for cell in cells]
    if not texts or not all(map(_INTEGER.fullmatch, texts)):
        return None
    start = int(texts[0])
    return start if all(int(text) == start + k for k, text in enumerate(texts)) else None


def _rising(cells: Sequence[str]) -> bool:
    """Return whether cells hold integers, each larger than the one before."""
    texts = [unquoted(cell) for cell in cells]
    return all(map(_INTEGER.fullmatch, texts)) and all(int(a) < int(b) for a, b in pairwise(texts))


def _fractional(rows: list[list[str]]) -> bool:
    """Return whether every row holds a number with decimals."""
    return all(any(is_number(c) and not _INTEGER.fullmatch(unquoted(c).lstrip("+-")) for c in cells) for cells in rows)


def _question(line: str, cells: Sequence[str]) -> str:
    shown = ", ".join(short(unquoted(cell))[1:-1] for cell in cells[:4]) + (", ..." if len(cells) > 4 else "")
    names, flag = ("column", "header") if line == "row" else ("row", "index")
    return f"the first {line} ({shown}) may hold {names} names or data: say --{flag} yes or --{flag} no"


def _ask(name: str, questions: list[str]) -> None:
    if questions:
        told = "; ".join(questions)
        keywords = ", ".join(f"{flag}=True or False" for flag in ("header", "index") if f"--{flag}" in told)
        raise ValueError(f"{name}: {told} (read_matrix: {keywords})")
