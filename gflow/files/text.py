"""Matrices as text: one row per line, cells between separators or blanks."""

from __future__ import annotations

import math
import re

import numpy as np

from gflow.problems import MatrixCompletion

NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_INFINITY = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_COMPLEX = re.compile(r"(?=.*\d)\(?[-+.\de]*[ij]\)?", re.ASCII | re.IGNORECASE)
_NOT_OBSERVED = frozenset({"", "*", "?", "na", "nan"})


def matrix(data: bytes, name: str) -> tuple[np.ndarray, None]:
    """Return the matrix of a text file with NaN where nothing is observed; its mask is left to its NaNs."""
    numbered = lines(data, name, comment="#")
    separator = next((mark for mark in "\t;," if any(mark in line for _, line in numbered if line.strip())), None)
    blank = " " if separator == "\t" else None
    rows = [(where, line.split(separator)) for where, line in numbered if line.strip(blank)]
    if not rows:
        raise ValueError(f"{name} is empty: every line is blank or a comment")
    width = len(rows[0][1])
    values = np.empty((len(rows), width))
    for i, (where, cells) in enumerate(rows):
        if len(cells) != width:
            raise ValueError(
                f"{name}: row {i + 1} (line {where}) has {len(cells)} cells; expected {width}, as in row 1"
            )
        for j, cell in enumerate(cells):
            try:
                values[i, j] = math.nan if cell.strip().lower() in _NOT_OBSERVED else number(cell.strip())
            except ValueError as error:
                raise ValueError(f"{name}: row {i + 1}, column {j + 1} (line {where}) {error}") from None
    return values, None


def content(problem: MatrixCompletion, separator: str) -> str:
    """Return the text of M with the shortest exact decimals, and ``*`` where nothing is observed."""
    rows = zip(problem.values.tolist(), problem.observed.tolist(), strict=True)
    written = (separator.join(repr(x) if seen else "*" for x, seen in zip(*row, strict=True)) for row in rows)
    return "".join(f"{line}\n" for line in written)


def lines(data: bytes, name: str, comment: str) -> list[tuple[int, str]]:
    """Return the lines that are not comments, each with its number counted from 1."""
    try:
        decoded = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{name} is not UTF-8 text") from None
    numbered = enumerate(re.split(r"\r\n|\n|\r", decoded), 1)
    return [(where, line) for where, line in numbered if not line.lstrip().startswith(comment)]


def number(cell: str) -> float:
    """Return the finite real number written in ``cell``, or raise ``ValueError`` that says what the cell holds.

    A number that is not zero is never read as zero, which would be another observation.
    """
    if NUMBER.fullmatch(cell):
        value = float(cell)
        if math.isfinite(value) and not vanished(cell, value):
            return value
        fault = "too large for a double: choose other units"
        if value == 0.0:
            fault = "too small for a double: choose other units, or write 0 where an observed zero is meant"
    elif _INFINITY.fullmatch(cell):
        fault = "infinite"
    else:
        fault = "complex, not real" if _COMPLEX.fullmatch(cell) else "not a number"
    raise ValueError(f"holds {short(cell)}, which is {fault}")


def vanished(cell: str, value: float) -> bool:
    """Return whether the number written in ``cell`` is not zero while the double nearest to it is."""
    return value == 0.0 and any(digit in "123456789" for digit in cell.lower().partition("e")[0])


def short(text: str) -> str:
    """Return the repr of at most 40 characters of ``text``."""
    return repr(text if len(text) <= 40 else text[:37] + "...")
