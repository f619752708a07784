"""Records as JSON knows them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from gflow.plain import plain


class Word(StrEnum):
    YES = "yes"


@dataclass
class Inner:
    number: float

    def to_dict(self) -> dict[str, Any]:
        return plain(self, "number")


@dataclass
class Outer:
    word: Word
    array: np.ndarray
    pair: tuple[Any, ...]
    inner: Inner
    missing: None = None
    hidden: object = object()

    @property
    def size(self) -> int:
        return self.array.size


def test_attributes_are_named_in_order_and_made_plain() -> None:
    record = Outer(Word.YES, np.eye(2), (1, (2.5, np.arange(2)), Inner(3.0)), Inner(4.0))
    found = plain(record, "size word array pair inner missing")
    assert json.dumps(found) == (
        '{"size": 4, "word": "yes", "array": [[1.0, 0.0], [0.0, 1.0]], "pair": [1, [2.5, [0, 1]], {"number": 3.0}], '
        '"inner": {"number": 4.0}, "missing": null}'
    )
    assert type(found["word"]) is str
