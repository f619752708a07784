"""Names of rows and columns: what data frames and files call them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the rows and of the columns of a matrix; None where they have none, or one of them has none."""

    rows: tuple[str | None, ...] | None = None
    columns: tuple[str | None, ...] | None = None

    @classmethod
    def of(
        cls, values: Any, rows: Iterable[Any] | None, columns: Iterable[Any] | None, shape: tuple[int, int]
    ) -> Names:
        """Return the given names, or else those of a data frame whose labels are not 0, 1, 2, ...

        Raises ``ValueError`` if there are not as many as rows or columns, or if two are the same.
        """
        if hasattr(values, "columns") and hasattr(values, "dtypes"):
            rows = _labels(getattr(values, "index", None)) if rows is None else rows
            columns = _labels(values.columns) if columns is None else columns
        return cls(_checked(rows, shape[0], "row"), _checked(columns, shape[1], "column"))

    @property
    def transpose(self) -> Names:
        """Return the names of the transpose."""
        return Names(self.columns, self.rows)

    def restricted(self, rows: np.ndarray, columns: np.ndarray) -> Names:
        """Return the names of the given rows and columns."""
        return Names(_chosen(self.rows, rows), _chosen(self.columns, columns))


def _labels(index: Any) -> list[Any] | None:
    """Return the labels of an axis of a data frame, None where they only count."""
    labels = None if index is None or callable(index) else list(index)
    return None if labels is None or labels == list(range(len(labels))) else labels


def _checked(names: Iterable[Any] | None, count: int, role: str) -> tuple[str | None, ...] | None:
    if names is None:
        return None
    if isinstance(names, (str, bytes)):
        raise TypeError(f"{role}_names must be a sequence with a name for each {role}; got {names!r}")
    found = tuple(None if name is None else _printable(str(name)) or None for name in names)
    if len(found) != count:
        raise ValueError(f"{role}_names must hold {count} names, one for each {role}; got {len(found)}")
    places: dict[str | None, int] = {}
    for k, name in enumerate(found):
        if places.setdefault(name, k) != k and name is not None:
            raise ValueError(f"{role}s {places[name] + 1} and {k + 1} are both named {name!r}: rename one of them")
    return found


def _printable(name: str) -> str:
    """Return a name in one line, without what a terminal would obey."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())


def _chosen(names: tuple[str | None, ...] | None, places: np.ndarray) -> tuple[str | None, ...] | None:
    return None if names is None else tuple(np.array(names, dtype=object)[places].tolist())
