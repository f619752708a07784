"""Matrix Market files: stored entries are the observed ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from gflow.files.arrays import LARGEST_SIDE
from gflow.files.content import Content
from gflow.files.text import NUMBER, lines, number, short, vanished
from gflow.problems import MatrixCompletion

LARGEST_ARRAY = 10**8
"""Largest admissible d1 d2 of the format ``array``: the size line alone decides how much memory is taken."""

_INTEGER = re.compile(r"\d{1,18}", re.ASCII)
_WORDS = {
    "format": ("coordinate", "array"),
    "field": ("real", "integer", "unsigned-integer", "pattern"),
    "symmetry": ("general", "symmetric", "skew-symmetric"),
}
_Lines: TypeAlias = list[tuple[int, list[str]]]
_Entries: TypeAlias = Iterator[tuple[int, int, int, str]]


def matrix(data: bytes, name: str) -> Content:
    """Return the matrix of a Matrix Market file: a sparse array of what is stored, dense for the format ``array``."""
    layout, field, symmetry = _kind(data, name)
    body = [(where, line.split()) for where, line in lines(data, name, comment="%") if line.strip()]
    if field == "pattern":
        body[1:] = [(where, [*fields, "1"]) for where, fields in body[1:]]
    shape, stored = _size(body, layout, symmetry, name)
    if len(body) - 1 != stored:
        raise ValueError(f"{name}: the size in line {body[0][0]} asks for {stored} entries; {len(body) - 1} follow")
    entries = _columnwise if layout == "array" else _coordinates
    plain = _plain(body[1:], shape) if layout == "coordinate" and symmetry != "skew-symmetric" else None
    places, values = plain or _checked(entries(body[1:], shape, symmetry, name), stored, name)
    if symmetry != "general":
        mirrored = places[1] != places[2]
        places = np.hstack([places, places[[0, 2, 1]][:, mirrored]])
        values = np.append(values, values[mirrored] if symmetry == "symmetric" else -values[mirrored])
    _require_distinct(places, name)
    if layout == "coordinate":
        from scipy import sparse

        return Content(sparse.coo_array((values, (places[1], places[2])), shape=shape))
    dense = np.zeros(shape)
    dense[places[1], places[2]] = values
    return Content(dense)


def _plain(body: _Lines, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return line, row and column, shape (3, n), and values of lines that all follow the rules; otherwise None."""
    if not body or any(len(fields) != 3 for _, fields in body):
        return None
    rows, columns, cells = zip(*(fields for _, fields in body), strict=True)
    if not all(map(_INTEGER.fullmatch, rows)) or not all(map(_INTEGER.fullmatch, columns)):
        return None
    if not all(map(NUMBER.fullmatch, cells)):
        return None
    places = np.array([[where for where, _ in body], list(map(int, rows)), list(map(int, columns))], dtype=np.int64)
    places[1:] -= 1
    values = np.array(list(map(float, cells)))
    inside = (places[1:] >= 0) & (places[1:] < np.array(shape)[:, None])
    kept = np.isfinite(values).all() and not any(vanished(cells[k], 0.0) for k in np.flatnonzero(values == 0.0))
    return (places, values) if inside.all() and kept else None


def _checked(entries: _Entries, stored: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return line, row and column, shape (3, n), and values; ``ValueError`` with its place for what is no number."""
    places, values = np.empty((3, stored), dtype=np.int64), np.empty(stored)
    for position, (where, i, j, cell) in enumerate(entries):
        try:
            values[position] = number(cell)
        except ValueError as error:
            raise ValueError(f"{name}: row {i + 1}, column {j + 1} (line {where}) {error}") from None
        places[:, position] = where, i, j
    return places, values


def _require_distinct(places: np.ndarray, name: str) -> None:
    """Raise ``ValueError`` for the first line, in the order of the file, that stores an entry again."""
    order = np.lexsort((places[0], places[2], places[1]))
    lines_, at = places[0, order], places[1:, order]
    again = np.nonzero((at[:, 1:] == at[:, :-1]).all(axis=0))[0] + 1
    if again.size:
        here = int(again[np.argmin(lines_[again])])
        i, j = (int(index) + 1 for index in at[:, here])
        raise ValueError(f"{name}: line {lines_[here]} repeats the entry ({i}, {j}) of line {lines_[here - 1]}")


def content(problem: MatrixCompletion) -> str:
    """Return the text of a real general coordinate file with the shortest exact decimals."""
    head = "%%MatrixMarket matrix coordinate real general"
    entries = zip(problem.rows.tolist(), problem.columns.tolist(), problem.targets.tolist(), strict=True)
    size = f"{problem.shape[0]} {problem.shape[1]} {problem.n_observed}"
    return "".join(f"{line}\n" for line in (head, size, *(f"{i + 1} {j + 1} {x!r}" for i, j, x in entries)))


def _kind(data: bytes, name: str) -> tuple[str, str, str]:
    """Return the format, the field and the symmetry that the first line names."""
    header = data.split(b"\n", 1)[0].decode("latin-1").lower().split()
    if header[:2] != ["%%matrixmarket", "matrix"] or len(header) != 5:
        raise ValueError(f"{name}: line 1 must read '%%MatrixMarket matrix FORMAT FIELD SYMMETRY'")
    for (role, allowed), word in zip(_WORDS.items(), header[2:], strict=True):
        if word not in allowed:
            raise ValueError(f"{name}: line 1: the {role} must be one of {', '.join(allowed)}; got {short(word)}")
    layout, field, symmetry = header[2:]
    if field == "pattern" and (layout == "array" or symmetry == "skew-symmetric"):
        raise ValueError(f"{name}: line 1: a pattern holds no values: it cannot be {layout} {symmetry}")
    return layout, field, symmetry


def _size(body: _Lines, layout: str, symmetry: str, name: str) -> tuple[tuple[int, int], int]:
    """Return (d1, d2) and the number of stored entries."""
    where, fields = body[0] if body else (2, [])
    if len(fields) != (3 if layout == "coordinate" else 2) or not all(map(_INTEGER.fullmatch, fields)):
        raise ValueError(f"{name}: line {where} must give the size as integers; got {short(' '.join(fields))}")
    d1, d2 = int(fields[0]), int(fields[1])
    if symmetry != "general" and d1 != d2:
        raise ValueError(f"{name}: line {where}: a {symmetry} matrix must be square; got {d1} x {d2}")
    if layout == "coordinate" and max(d1, d2) > LARGEST_SIDE:
        raise ValueError(f"{name}: line {where}: at most {LARGEST_SIDE} rows or columns are allowed; got {d1} x {d2}")
    if layout == "array" and d1 * d2 > LARGEST_ARRAY:
        raise ValueError(f"{name}: line {where}: at most {LARGEST_ARRAY} cells are allowed; got {d1} x {d2}")
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
