"""Records as ``.npz`` files: every array as it is, everything else in one JSON text. Nothing read here can run code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from gflow import files

TEXT = "record"


def write_record(path: str | Path, record: Any) -> None:
    """Write a dataclass, with the dataclasses in it, so that ``read_record`` returns the same bits.

    Fields may hold numbers, text, None, arrays, and tuples and records of these.
    """
    arrays: dict[str, np.ndarray] = {}
    files.write_arrays(path, **{TEXT: np.asarray(json.dumps(_plain(record, arrays)))}, **arrays)


def read_record(path: str | Path, kinds: Sequence[type]) -> Any:
    """Return the record in a file; arrays are read-only.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged or holds a record of another kind.
    """
    arrays = files.read_arrays(path)
    if TEXT not in arrays:
        raise ValueError(f"{path} holds no record: no array {TEXT!r}")
    named = {kind.__name__: kind for kind in kinds}
    try:
        return _built(json.loads(str(arrays[TEXT])), arrays, named)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no {kinds[0].__name__}: {error!r}") from error


def _plain(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return a value as JSON can hold it; arrays go to ``arrays``."""
    if is_dataclass(value):
        return {"kind": type(value).__name__} | {f.name: _plain(getattr(value, f.name), arrays) for f in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item, arrays) for item in value]
    if isinstance(value, np.ndarray):
        name = f"array{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    return value.item() if isinstance(value, np.generic) else value


def _built(value: Any, arrays: dict[str, np.ndarray], kinds: dict[str, type]) -> Any:
    """Return the value that ``_plain`` took apart."""
    if isinstance(value, list):
        return tuple(_built(item, arrays, kinds) for item in value)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        array = arrays[value["array"]].copy()
        array.setflags(write=False)
        return array
    kind = kinds[value["kind"]]
    hints = get_type_hints(kind)
    content = {name: _built(item, arrays, kinds) for name, item in value.items() if name != "kind"}
    for name, item in content.items():
        if isinstance(hints.get(name), type) and issubclass(hints[name], StrEnum):
            content[name] = hints[name](item)
    return kind(**content)
