"""What a sweep is made of, and the table that it ends in."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np

import gflow

Plain: TypeAlias = str | int | float | bool | None
"""What configurations and results hold."""
OWN_COLUMNS = ("index", "status", "error")
"""Columns of every table; no configuration or result may use these names."""


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """One function and the configurations it is run on.

    Attributes
    ----------
    name, description : str
    configurations : function
        Returns the configurations, each a dictionary of plain values; always the same ones in the same order.
    run : function of a configuration and a numpy.random.SeedSequence
        Returns a dictionary of plain values: finite numbers, text, bool or None. It lives at the top of a module, so
        that workers find it, and depends on nothing but its two arguments.
    version : int
        Changes when ``run`` or the configurations change, so that no store mixes results of both.
    """

    name: str
    description: str
    configurations: Callable[[], tuple[dict[str, Plain], ...]]
    run: Callable[[dict[str, Plain], np.random.SeedSequence], dict[str, Plain]]
    version: int = 1

    def __repr__(self) -> str:
        return f"Sweep({self.name!r}, version {self.version}: {self.description})"


class RowStatus(StrEnum):
    """Whether a configuration has a result, or an error in its place."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, eq=False)
class SweepRow:
    """A configuration and what came of it: ``result``, or ``error`` where it failed."""

    index: int
    configuration: Mapping[str, Plain]
    result: Mapping[str, Plain]
    error: str = ""

    @property
    def status(self) -> RowStatus:
        """Return whether there is a result."""
        return RowStatus.FAILED if self.error else RowStatus.DONE

    def to_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        own = {"index": self.index, "status": str(self.status), "error": self.error or None}
        return own | {"configuration": dict(self.configuration), "result": dict(self.result)}

    def __repr__(self) -> str:
        return f"SweepRow({self.index}, {dict(self.configuration)}: {self.error or dict(self.result)})"


@dataclass(frozen=True, slots=True, eq=False)
class SweepTable:
    """All rows of a sweep, sorted by index.

    Attributes
    ----------
    sweep : Sweep
    seed : int
        Row i was run with ``numpy.random.SeedSequence(seed).spawn(i + 1)[i]``.
    rows : tuple of SweepRow
    computed : int
        Rows computed by the call that returned the table; the others were in the store before.
    """

    sweep: Sweep
    seed: int
    rows: tuple[SweepRow, ...]
    computed: int

    @property
    def failed(self) -> tuple[SweepRow, ...]:
        """Return the rows of configurations that failed."""
        return tuple(row for row in self.rows if row.status is RowStatus.FAILED)

    def csv(self) -> str:
        """Return the table as comma-separated values: floats in full, true and false, empty cells for None."""
        inputs = _names(row.configuration for row in self.rows)
        outputs = _names(row.result for row in self.rows)
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["index", *inputs, "status", *outputs, "error"])
        for row in self.rows:
            given = [_cell(row.configuration.get(name)) for name in inputs]
            found = [_cell(row.result.get(name)) for name in outputs]
            writer.writerow([row.index, *given, row.status, *found, row.error])
        return stream.getvalue()

    def write_csv(self, path: str) -> None:
        """Write the table to a CSV file, whole or not at all; raises ``OSError`` where that fails."""
        gflow.atomic_write(path, self.csv())

    def to_dict(self) -> dict[str, Any]:
        """Return the table for JSON."""
        return {
            "sweep": self.sweep.name,
            "version": self.sweep.version,
            "gflow": gflow.__version__,
            "seed": self.seed,
            "configurations": len(self.rows),
            "failed": len(self.failed),
            "computed": self.computed,
            "rows": [row.to_dict() for row in self.rows],
        }

    def __repr__(self) -> str:
        return f"Table({self.sweep.name}, seed {self.seed}: {len(self.rows)} rows, {len(self.failed)} failed)"


@dataclass(frozen=True, slots=True, eq=False)
class SweepProgress:
    """How far a sweep is: rows known of all, how many of them failed, and the rows of this call in so many seconds."""

    done: int
    total: int
    failed: int
    computed: int
    seconds: float

    @property
    def rate(self) -> float | None:
        """Return rows per second; None before the first one."""
        return self.computed / self.seconds if self.computed and self.seconds > 0 else None

    @property
    def remaining(self) -> float | None:
        """Return the seconds left at this rate; None before the first row."""
        return None if self.rate is None else (self.total - self.done) / self.rate

    def __repr__(self) -> str:
        return f"SweepProgress({self.done} of {self.total}, {self.failed} failed, {self.seconds:.3g} s)"


def plain(values: Mapping[str, Any], name: str, taken: Iterable[str] = OWN_COLUMNS) -> dict[str, Plain]:
    """Return a dictionary of plain values, numpy's numbers as Python's.

    Raises
    ------
    TypeError
        If it is no dictionary with text for keys, or a value is not a number, text, bool or None.
    ValueError
        If a number is not finite, or a key is one of ``taken``.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"{name} must be a dictionary; got {values!r}")
    return {_key(key, name, set(taken)): _plain(value, f"{name} {key!r}") for key, value in values.items()}


def canonical(value: Any) -> str:
    """Return JSON text that is the same for equal values; raises ``ValueError`` for numbers that are not finite."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def digest(value: Any) -> str:
    """Return 16 hexadecimal digits that tell values apart."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def _key(key: Any, name: str, taken: set[str]) -> str:
    if not isinstance(key, str):
        raise TypeError(f"the keys of {name} must be text; got {key!r}")
    if key in taken:
        raise ValueError(f"{name} must not use the name {key!r}: another column has it")
    return key


def _plain(value: Any, name: str) -> Plain:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return str(value)
    if value is not None and not isinstance(value, (bool, int, float)):
        raise TypeError(f"{name} must be a number, text, bool or None; got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} must be finite; got {value!r}")
    return value


def _names(rows: Iterable[Mapping[str, Plain]]) -> list[str]:
    """Return the keys in the order in which they first appear."""
    return list(dict.fromkeys(key for row in rows for key in row))


def _cell(value: Plain) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
