"""What a file of a matrix holds, and how its text is to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np


class Content(NamedTuple):
    """The matrix of a file, its mask where it has one besides its gaps, its names, and what was decided in reading."""

    values: Any
    observed: np.ndarray | None = None
    row_names: tuple[str | None, ...] | None = None
    column_names: tuple[str | None, ...] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """What the caller says about a text file: None where it is to be found out.

    ``header``: the first row holds column names. ``index``: the first column holds row names. ``decimal``: the mark of
    decimals, ``"."`` or ``","``. ``triplets``: lines of row, column and value, one for each observed entry.
    """

    header: bool | None = None
    index: bool | None = None
    decimal: str | None = None
    triplets: bool = False

    def __post_init__(self) -> None:
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"decimal must be '.' or ','; got {self.decimal!r}")
