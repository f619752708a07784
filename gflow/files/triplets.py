"""One entry a line: row, column and value, as ratings are kept."""

from __future__ import annotations

import math
import re

import numpy as np

from gflow.files.content import Content, Layout
from gflow.files.tables import Lines, decimal_commas
from gflow.files.text import is_gap, is_name, number, unquoted

_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
_VALUES = frozenset("value rating score count weight".split())


def matrix(data: bytes, name: str, layout: Layout) -> Content:
    """Return the sparse matrix of a text file that holds row, column and value on each line.

    Rows and columns are those that occur: by rising number where all are integers, else in the order of the file.
    """
    from scipy import sparse

    table = Lines.of(data, name, layout)
    first, notes = _first(table, layout)
    body, where = table.rows[first:], np.array(table.where[first:])
    for line, cells in zip(where, body, strict=True):
        if len(cells) != len(body[0]) or len(cells) < 3:
            raise ValueError(f"{name}: line {line} must hold row, column and value; it has {len(cells)} cells")
    names, places = zip(*(_placed([unquoted(cells[k]) for cells in body]) for k in (0, 1)), strict=True)
    comma = decimal_commas([cells[2:3] for cells in body], where, layout, name)
    notes += ("commas read as decimal points",) if comma else ()
    values = np.array([_value(unquoted(cells[2]), comma, name, line) for line, cells in zip(where, body, strict=True)])
    _require_distinct(names, places, where, name)
    seen = ~np.isnan(values)
    held = (values[seen], (places[0][seen], places[1][seen]))
    return Content(sparse.coo_array(held, shape=(len(names[0]), len(names[1]))), None, names[0], names[1], notes)


def _first(table: Lines, layout: Layout) -> tuple[int, tuple[str, ...]]:
    """Return the number of the first line with an entry, and what is told about the others and the other columns."""
    head = [unquoted(cell).lower() for cell in table.rows[0]]
    header = layout.header
    if header is None:
        header = len(head) > 2 and is_name(table.rows[0][2])
    notes = ["first line read as a header"] if header and layout.header is None else []
    if header:
        if len(table.rows) == 1:
            raise ValueError(f"{table.name} holds a header and no entry")
        elsewhere = [k for k, word in enumerate(head) if word in _VALUES and k != 2]
        if elsewhere or head[0] == "":
            raise ValueError(f"{table.name}: the columns are {', '.join(head)}: write them as row, column, value")
    if len(head) > 3:
        more = f" ({', '.join(head[3:])})" if header else ""
        notes.append(f"columns after the third{more} left out")
    return int(header), tuple(notes)


def _placed(keys: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the distinct keys and the place of each key among them."""
    distinct = list(dict.fromkeys(keys))
    if all(map(_INTEGER.fullmatch, distinct)):
        distinct.sort(key=int)
    place = {key: k for k, key in enumerate(distinct)}
    return tuple(distinct), np.array([place[key] for key in keys])


def _value(cell: str, comma: bool, name: str, line: int) -> float:
    if is_gap(cell):
        return math.nan
    try:
        return number(cell, comma)
    except ValueError as error:
        raise ValueError(f"{name}: line {line}: the value {error}") from None


def _require_distinct(names: tuple, places: tuple, where: np.ndarray, name: str) -> None:
    """Raise ``ValueError`` for the first line that holds an entry again."""
    cells = places[0] * len(names[1]) + places[1]
    order = np.argsort(cells, kind="stable")
    again = order[1:][cells[order][1:] == cells[order][:-1]]
    if again.size:
        k = int(again.min())
        before = int(np.flatnonzero(cells == cells[k])[0])
        entry = f"({names[0][places[0][k]]}, {names[1][places[1][k]]})"
        raise ValueError(
            f"{name}: line {where[k]} repeats the entry {entry} of line {where[before]}; values that were seen several "
            "times are a WeightedCompletion.repeated(rows, columns, values)"
        )
