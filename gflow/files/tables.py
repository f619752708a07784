"""Tables as text: one row per line, with or without names of rows and columns."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gflow.files.content import Content, Layout
from gflow.files.labels import Labels, labels_of
from gflow.files.text import (
    NOT_OBSERVED,
    NUMBER,
    is_number,
    lines,
    number,
    quoted,
    separator_of,
    short,
    split,
    unquoted,
)

_COMMA = re.compile(r"[+-]?\d*,\d+(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_TOLD_BY_EXCEL = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_TRIPLET_HEADS = (
    frozenset("row rows i user userid user_id".split()),
    frozenset("column columns col j item itemid item_id movie movieid movie_id".split()),
)


@dataclass(frozen=True, slots=True)
class Lines:
    """The cells of a text file, line by line, with the number of each line."""

    name: str
    where: tuple[int, ...]
    rows: list[list[str]]
    separator: str | None

    @classmethod
    def of(cls, data: bytes, name: str, layout: Layout) -> Lines:
        """Return the lines that are neither blank nor comments; ``ValueError`` if there is none or a quote is open."""
        numbered = lines(data, name, comment="#")
        told = _TOLD_BY_EXCEL.fullmatch(numbered[0][1]) if numbered else None
        numbered = numbered[1:] if told else numbered
        if layout.triplets and any("::" in line for _, line in numbered[:2]):
            separator: str | None = "::"
        else:
            separator = told[1] if told and told[1] in "\t;," else separator_of(numbered, layout.decimal, name)
        blank = " " if separator == "\t" else None
        kept = [(where, split(line, separator)) for where, line in numbered if line.strip(blank)]
        if not kept:
            raise ValueError(f"{name} is empty: every line is blank or a comment")
        for where, cells in kept:
            if any(cell[:1] == '"' and not quoted(cell) for cell in cells):
                raise ValueError(f"{name}: line {where} has a quote that does not end in its cell")
        return cls(name, tuple(where for where, _ in kept), [cells for _, cells in kept], separator)


def matrix(data: bytes, name: str, layout: Layout) -> Content:
    """Return the matrix of a text file with NaN where nothing is observed, its names, and what was decided."""
    table = Lines.of(data, name, layout)
    _refuse_triplets(table, layout)
    labels = labels_of(table.rows, layout, name)
    rows, where = labels.data(table.rows), table.where[labels.header :]
    width = len(rows[0])
    for i, cells in enumerate(rows):
        if len(cells) != width:
            first = labels.index + width
            raise ValueError(
                f"{name}: row {i + 1} (line {where[i]}) has {labels.index + len(cells)} cells; expected {first}, "
                "as in row 1"
            )
    comma = decimal_commas(rows, where, layout, name)
    values = np.array([[_value(cell, comma) for cell in cells] for cells in rows])
    if np.isinf(values).any():
        _refuse(rows, where, labels, comma, name)
    notes = (*labels.notes, *(["commas read as decimal points"] if comma else []))
    return Content(values, None, labels.rows, labels.columns, notes)


def _value(cell: str, comma: bool) -> float:
    """Return what a cell holds, infinity where it is neither a number nor a gap."""
    text = unquoted(cell)
    if text.lower() in NOT_OBSERVED:
        return math.nan
    try:
        return number(text, comma)
    except ValueError:
        return math.inf


def _refuse(rows: list[list[str]], where: tuple[int, ...], labels: Labels, comma: bool, name: str) -> None:
    """Raise ``ValueError`` for the first cell that holds no number, with what may help."""
    for i, cells in enumerate(rows):
        for j, cell in enumerate(cells):
            if not math.isinf(_value(cell, comma)):
                continue
            text = unquoted(cell)
            try:
                number(text, comma)
            except ValueError as error:
                help_ = "" if "thousands" in str(error) else labels.remedy(i, j, len(rows))
                help_ = ": say --triplets for lines of row::column::value" if "::" in text else help_
                raise ValueError(f"{name}: row {i + 1}, column {j + 1} (line {where[i]}) {error}{help_}") from None


def decimal_commas(rows: list[list[str]], where: Sequence[int] | np.ndarray, layout: Layout, name: str) -> bool:
    """Return whether commas are the marks of decimals; ``ValueError`` where they may be something else."""
    if layout.decimal is not None:
        return layout.decimal == ","
    found = [(i, unquoted(cell)) for i, cells in enumerate(rows) for cell in cells if "," in cell]
    commas = [(i, text) for i, text in found if _COMMA.fullmatch(text)]
    if not commas:
        return False
    i, first = commas[0]
    point = next((unquoted(c) for cells in rows for c in cells if "." in c and NUMBER.fullmatch(unquoted(c))), None)
    if point is not None:
        raise ValueError(
            f"{name}: line {where[i]} holds {short(first)}, and another cell {short(point)}: "
            "write all decimals with a point, or all with a comma"
        )
    if all(_THOUSANDS.fullmatch(text) for _, text in commas):
        raise ValueError(
            f"{name}: line {where[i]} holds {short(first)}, whose comma may mark decimals or thousands: "
            "say --decimal comma (read_matrix: decimal=','), or leave out marks of thousands"
        )
    return True


def _refuse_triplets(table: Lines, layout: Layout) -> None:
    """Raise ``ValueError`` for a header that promises one entry a line, unless the caller says what the header is."""
    first = [unquoted(cell).lower() for cell in table.rows[0]]
    if layout.header is None and len(first) in (3, 4) and len(table.rows) > 1:
        if all(cell in heads for cell, heads in zip(first, _TRIPLET_HEADS, strict=False)):
            if all(is_number(cell) for cell in table.rows[1][2:3]):
                raise ValueError(
                    f"{table.name}: the first line, {', '.join(first)}, promises one entry a line: say --triplets "
                    "(read_matrix: triplets=True), or --header yes for a matrix with these columns"
                )
