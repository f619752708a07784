"""Records: arrays that nobody writes to, and what JSON knows of them: attributes by name, arrays as lists."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np


class ReadOnly:
    """A dataclass whose arrays nobody can write to."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)


def plain(record: Any, names: str) -> dict[str, Any]:
    """Return the attributes of ``record`` with these names, separated by spaces, each as JSON knows it."""
    return {name: value_of(getattr(record, name)) for name in names.split()}


def value_of(value: Any) -> Any:
    """Return arrays and tuples as lists, members of an enumeration as text, records by their ``to_dict``."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (tuple, list)):
        return [value_of(each) for each in value]
    return value.to_dict() if hasattr(value, "to_dict") else value
