"""Lines, cells and numbers of text files."""

from __future__ import annotations

import math
import re

from gflow.problems import MatrixCompletion

NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
NOT_OBSERVED = frozenset({"", "*", "?", "-", "na", "n/a", "#n/a", "<na>", "nan", "null", "none"})
LARGEST_TEXT = 5 * 10**7
"""Largest number of cells of a text file."""
_INFINITY = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:[.,' ]\d{3})+(?:[.,]\d+)?", re.ASCII)
_COMPLEX = re.compile(r"(?=.*\d)\(?[-+.\de]*[ij]\)?", re.ASCII | re.IGNORECASE)
_COMMA_IN_QUOTES = re.compile(r'"[+-]?\d+,\d+"', re.ASCII)
_LIKE_NUMBER = re.compile(r"[-+(]*[$€£]?[-+(]*[.,]?\d")
_QUOTED = re.compile(r'"(?:[^"]|"")*+"')
_SEPARATORS = ("\t", ";", ",")
_PARTS: dict[str | None, re.Pattern[str]] = {
    None: re.compile(r'"(?:[^"]|"")*+"(?=\s|$)|\S+'),
    **{mark: re.compile(rf'[^\S\t]*("(?:[^"]|"")*+")[^\S\t]*(?={mark}|$)|[^{mark}]*') for mark in _SEPARATORS},
}


def lines(data: bytes, name: str, comment: str) -> list[tuple[int, str]]:
    """Return the lines that are not comments, each with its number counted from 1."""
    try:
        decoded = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{name} is not UTF-8 text: save it as UTF-8") from None
    numbered = enumerate(re.split(r"\r\n|\n|\r", decoded), 1)
    return [(where, line) for where, line in numbered if not line.lstrip().startswith(comment)]


def separator_of(numbered: list[tuple[int, str]], decimal: str | None, name: str) -> str | None:
    """Return the first of tab, semicolon and comma that occurs outside quotes, or None for blanks.

    A comma that marks decimals is no separator, unless numbers stand in quotes. ``ValueError`` above 5e7 cells.
    """
    plain = decimal == "," and not any(_COMMA_IN_QUOTES.search(line) for _, line in numbered)
    marks = [mark for mark in _SEPARATORS if not (plain and mark == ",")]
    found = next((m for m in marks if any(m in bare(line) for _, line in numbered if line.strip())), None)
    cells = sum(line.count(found) + 1 if found else len(line) // 2 for _, line in numbered if line.strip())
    if cells > LARGEST_TEXT:
        raise ValueError(f"{name} holds {cells} cells, and at most {LARGEST_TEXT} are read: write triplets or .mtx")
    return found


def bare(line: str) -> str:
    """Return a line without what stands in quotes."""
    return _QUOTED.sub('""', line) if '"' in line else line


def split(line: str, separator: str | None) -> list[str]:
    """Return the cells of a line, without the blanks around them; quoted ones keep their quotes."""
    if '"' not in line or separator == "::":
        return [cell.strip() for cell in line.split(separator)]
    part = _PARTS[separator]
    if separator is None:
        return part.findall(line)
    cells, at = [], 0
    while at <= len(line):
        match = part.match(line, at)
        assert match is not None
        cells.append((match[1] or match[0]).strip())
        at = match.end() + 1
    return cells


def quoted(cell: str) -> bool:
    """Return whether a cell stands in quotes."""
    return len(cell) > 1 and cell[0] == '"' == cell[-1]


def unquoted(cell: str) -> str:
    """Return what a cell holds, without quotes."""
    return cell[1:-1].replace('""', '"').strip() if quoted(cell) else cell


def is_gap(cell: str) -> bool:
    """Return whether a cell says "not observed"."""
    return unquoted(cell).lower() in NOT_OBSERVED


def is_number(cell: str) -> bool:
    """Return whether a cell is written as a number, with a decimal point or comma."""
    return NUMBER.fullmatch(unquoted(cell).replace(",", ".", 1)) is not None


def is_name(cell: str) -> bool:
    """Return whether a cell can only be a name: it is no gap and does not begin as a number does."""
    text = unquoted(cell)
    return not (is_gap(cell) or _LIKE_NUMBER.match(text) or _INFINITY.fullmatch(text))


def number(cell: str, comma: bool = False) -> float:
    """Return the finite real number written in ``cell``, or raise ``ValueError`` that says what the cell holds.

    With ``comma`` a comma marks decimals. A number that is not zero is never read as zero, which would be another
    observation.
    """
    written = cell.replace(",", ".", 1) if comma else cell
    if NUMBER.fullmatch(written):
        value = float(written)
        if math.isfinite(value) and not vanished(cell, value):
            return value
        fault = "too large for a double: choose other units"
        if value == 0.0:
            fault = "too small for a double: choose other units, or write 0 where an observed zero is meant"
    elif _INFINITY.fullmatch(cell):
        fault = "infinite"
    elif _GROUPED.fullmatch(cell):
        fault = "a number with marks of thousands: leave them out"
    else:
        fault = "complex, not real" if _COMPLEX.fullmatch(cell) else "not a number"
    raise ValueError(f"holds {short(cell)}, which is {fault}")


def vanished(cell: str, value: float) -> bool:
    """Return whether the number written in ``cell`` is not zero while the double nearest to it is."""
    return value == 0.0 and any(digit in "123456789" for digit in cell.lower().partition("e")[0])


def short(text: str) -> str:
    """Return the repr of at most 40 characters of ``text``."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def content(problem: MatrixCompletion, separator: str) -> str:
    """Return the text of M with the shortest exact decimals, ``*`` where nothing is observed, and names in quotes."""
    rows = zip(problem.values.tolist(), problem.observed.tolist(), strict=True)
    written = [[repr(x) if seen else "*" for x, seen in zip(*row, strict=True)] for row in rows]
    if problem.row_names is not None:
        written = [[_quote(name), *cells] for name, cells in zip(problem.row_names, written, strict=True)]
    if problem.column_names is not None:
        corner = [] if problem.row_names is None else ['""']
        written.insert(0, [*corner, *map(_quote, problem.column_names)])
    return "".join(f"{separator.join(cells)}\n" for cells in written)


def _quote(name: str | None) -> str:
    return '"{}"'.format((name or "").replace('"', '""'))
