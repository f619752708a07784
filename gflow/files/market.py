"""Matrix Market files: stored entries are the observed ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from gflow.files.text import lines, number, short
from gflow.problems import MatrixCompletion

LARGEST_MATRIX = 10**8
"""Largest admissible d1 d2: the size line alone decides how much memory is taken."""

_INTEGER = re.compile(r"\d{1,18}", re.ASCII)
_WORDS = {
    "format": ("coordinate", "array"),
    "field": ("real", "integer", "unsigned-integer"),
    "symmetry": ("general", "symmetric", "skew-symmetric"),
}
_Lines: TypeAlias = list[tuple[int, list[str]]]
_Entries: TypeAlias = Iterator[tuple[int, int, int, str]]


def matrix(data: bytes, name: str) -> tuple[np.ndarray, None]:
    """Return the matrix of a Matrix Market file with NaN where nothing is stored; its mask is left to its NaNs."""
    layout, symmetry = _kind(data, name)
    body = [(where, line.split()) for where, line in lines(data, name, comment="%") if line.strip()]
    shape, stored = _size(body, layout, symmetry, name)
    if len(body) - 1 != stored:
        raise ValueError(f"{name}: the size in line {body[0][0]} asks for {stored} entries; {len(body) - 1} follow")
    values, written = np.full(shape, np.nan), np.zeros(shape, dtype=int)
    entries = _columnwise if layout == "array" else _coordinates
    for where, i, j, cell in entries(body[1:], shape, symmetry, name):
        if written[i, j]:
            raise ValueError(f"{name}: line {where} repeats the entry ({i + 1}, {j + 1}) of line {written[i, j]}")
        try:
            values[i, j], written[i, j] = number(cell), where
        except ValueError as error:
            raise ValueError(f"{name}: row {i + 1}, column {j + 1} (line {where}) {error}") from None
        if symmetry != "general" and i != j:
            values[j, i], written[j, i] = values[i, j] if symmetry == "symmetric" else -values[i, j], where
    return values if layout == "coordinate" else np.nan_to_num(values), None


def content(problem: MatrixCompletion) -> str:
    """Return the text of a real general coordinate file with the shortest exact decimals."""
    head = "%%MatrixMarket matrix coordinate real general"
    entries = zip(problem.rows.tolist(), problem.columns.tolist(), problem.targets.tolist(), strict=True)
    size = f"{problem.shape[0]} {problem.shape[1]} {problem.n_observed}"
    return "".join(f"{line}\n" for line in (head, size, *(f"{i + 1} {j + 1} {x!r}" for i, j, x in entries)))


def _kind(data: bytes, name: str) -> tuple[str, str]:
    """Return the format and the symmetry that the first line names."""
    header = data.split(b"\n", 1)[0].decode("latin-1").lower().split()
    if header[:2] != ["%%matrixmarket", "matrix"] or len(header) != 5:
        raise ValueError(f"{name}: line 1 must read '%%MatrixMarket matrix FORMAT FIELD SYMMETRY'")
    for (role, allowed), word in zip(_WORDS.items(), header[2:], strict=True):
        if word not in allowed:
            raise ValueError(f"{name}: line 1: the {role} must be one of {', '.join(allowed)}; got {short(word)}")
    return header[2], header[4]


def _size(body: _Lines, layout: str, symmetry: str, name: str) -> tuple[tuple[int, int], int]:
    """Return (d1, d2) and the number of stored entries."""
    where, fields = body[0] if body else (2, [])
    if len(fields) != (3 if layout == "coordinate" else 2) or not all(map(_INTEGER.fullmatch, fields)):
        raise ValueError(f"{name}: line {where} must give the size as integers; got {short(' '.join(fields))}")
    d1, d2 = int(fields[0]), int(fields[1])
    if symmetry != "general" and d1 != d2:
        raise ValueError(f"{name}: line {where}: a {symmetry} matrix must be square; got {d1} x {d2}")
    if d1 * d2 > LARGEST_MATRIX:
        raise ValueError(f"{name}: line {where}: at most {LARGEST_MATRIX} cells are allowed; got {d1} x {d2}")
    if layout == "coordinate":
        return (d1, d2), int(fields[2])
    halves = {"general": d1 * d2, "symmetric": d1 * (d1 + 1) // 2, "skew-symmetric": d1 * (d1 - 1) // 2}
    return (d1, d2), halves[symmetry]


def _columnwise(body: _Lines, shape: tuple[int, int], symmetry: str, name: str) -> _Entries:
    """Yield (line, i, j, cell) for one value per line, column by column, below the diagonal unless general."""
    step = {"general": (0, 0), "symmetric": (1, 0), "skew-symmetric": (1, 1)}[symmetry]
    places = ((i, j) for j in range(shape[1]) for i in range(step[0] * j + step[1], shape[0]))
    for (where, fields), (i, j) in zip(body, places, strict=True):
        if len(fields) != 1:
            raise ValueError(f"{name}: line {where} must hold one value; got {short(' '.join(fields))}")
        yield where, i, j, fields[0]


def _coordinates(body: _Lines, shape: tuple[int, int], symmetry: str, name: str) -> _Entries:
    """Yield (line, i, j, cell) for one entry per line."""
    for where, fields in body:
        if len(fields) != 3:
            raise ValueError(f"{name}: line {where} must hold row, column and value; got {short(' '.join(fields))}")
        for role, text, size in zip(("row", "column"), fields, shape, strict=False):
            if not (_INTEGER.fullmatch(text) and 1 <= int(text) <= size):
                raise ValueError(f"{name}: line {where}: the {role} must lie in 1..{size}; got {short(text)}")
        i, j = int(fields[0]), int(fields[1])
        if symmetry == "skew-symmetric" and i == j:
            raise ValueError(f"{name}: line {where} stores ({i}, {j}), which is zero in a skew-symmetric matrix")
        yield where, i - 1, j - 1, fields[2]
