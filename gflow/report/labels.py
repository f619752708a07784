"""What people call a row or a column: its name where the data have names, else its number counted from 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def row_label(problem: Any, i: int) -> str:
    """Return the name of row ``i``, counted from 0, or its number counted from 1 where it has none."""
    return _label(getattr(problem, "row_names", None), i)


def column_label(problem: Any, j: int) -> str:
    """Return the name of column ``j``, counted from 0, or its number counted from 1 where it has none."""
    return _label(getattr(problem, "column_names", None), j)


def lines_of(problem: Any, part: Any) -> tuple[list[str], list[str]]:
    """Return the labels of the rows and of the columns of a component."""
    return [row_label(problem, i) for i in part.rows], [column_label(problem, j) for j in part.columns]


def line_labels(problem: Any) -> dict[str, tuple[str, ...]]:
    """Return the labels of all rows and of all columns, by the names under which tables list indices of lines."""
    d1, d2 = problem.shape
    rows, columns = (row_label(problem, i) for i in range(d1)), (column_label(problem, j) for j in range(d2))
    return {"rows": tuple(rows), "columns": tuple(columns)}


def clipped(labels: Sequence[str], longest: int) -> list[str]:
    """Return labels of at most ``longest`` characters that differ as the labels do: cut in the middle, or numbered."""

    def cut(label: str, room: int) -> str:
        return (
            label if len(label) <= room else f"{label[: room // 2 - 1]}...{label[len(label) - (room - 1) // 2 + 1 :]}"
        )

    short = [cut(label, longest) for label in labels]
    if len(set(short)) == len(set(labels)):
        return short
    return [f"{k + 1} {cut(label, longest - len(str(k + 1)) - 1)}" for k, label in enumerate(labels)]


def _label(names: Any, k: int) -> str:
    name = None if names is None else names[k]
    return str(k + 1) if name is None else str(name)
