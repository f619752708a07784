"""Numbers as people type and paste them into cells."""

from __future__ import annotations

import math
import re

LONGEST_CELL = 40
"""Characters of a cell that are read."""
LONGEST_TEXT = 20_000
"""Characters of a text that is pasted: far more than 144 numbers need."""
GAPS = frozenset({"", "*", "?", "-", "na", "n/a", "nan", "null", "none"})
"""What says "not observed"."""
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_FRACTION = re.compile(r"([+-]?\d{1,15})/(\d{1,15})", re.ASCII)


def number(text: str) -> float | None:
    """Return the number that is written in a cell, None where it says "not observed".

    A decimal comma and a fraction such as 1/3 are numbers. ``ValueError`` in one sentence for anything else.
    """
    cell = text.strip().replace("\N{MINUS SIGN}", "-")
    if cell.lower() in GAPS:
        return None
    if len(cell) > LONGEST_CELL:
        raise ValueError(f"a number has at most {LONGEST_CELL} characters; these are {len(cell)}")
    if parts := _FRACTION.fullmatch(cell):
        if int(parts[2]) == 0:
            raise ValueError(f"'{cell}' divides by zero")
        return int(parts[1]) / int(parts[2])
    if not _NUMBER.fullmatch(cell):
        raise ValueError(f"'{cell}' is not a number; * stands for what is not observed")
    value = float(cell.replace(",", "."))
    if not math.isfinite(value):
        raise ValueError(f"'{cell}' is too large for a double")
    if value == 0.0 and any(digit in "123456789" for digit in cell.lower().partition("e")[0]):
        raise ValueError(f"'{cell}' is too small for a double: write 0 where a zero is meant")
    return value


def table(text: str) -> list[list[str]]:
    """Return the cells of a text, one row a line, separated by tabs, semicolons, commas or blanks.

    Brackets as Python and JSON write them are left out. ``ValueError`` for a text without cells, or too long a one.
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"the text has {len(text)} characters, and at most {LONGEST_TEXT} are read")
    plain = re.sub(r"\][\s,]*\[", "\n", text.strip())
    lines = [line.strip(" ,") for line in re.sub(r"[\[\]]", "", plain).splitlines() if line.strip(" ,")]
    mark = next((mark for mark in ("\t", ";", ",") if any(mark in line for line in lines)), None)
    rows = [[cell.strip() for cell in line.split(mark)] for line in lines]
    if not rows:
        raise ValueError("there is no number in the text")
    if len({len(row) for row in rows}) > 1:
        raise ValueError(
            f"the rows have {min(map(len, rows))} to {max(map(len, rows))} cells; all need the same number"
        )
    return rows
