"""What the ``gflow`` command prints: one JSON object or plain tables on standard output, progress on standard error."""

from __future__ import annotations

import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gflow.statements.claims import Claim

PLAIN_WIDTH = 132
"""Columns of the output where it does not go to a terminal, and COLUMNS does not say how many."""
LARGEST_SHOWN = (24, 10)
"""Rows and columns up to which a matrix is printed."""
LISTED = 20
"""Singular values, and indices of a long list, that are printed."""
MISSING = "-"
ROUNDED_ENTRY = 1e-9
"""Entries of a matrix up to this fraction of the largest are rounding: people see 0."""
COLORS = {"holds": "green", "contradicted": "bold red", "hypothesis-not-met": "yellow", "undecided": "blue"}
NEWS = "bold magenta"
"""Colours of the verdicts on a terminal, and of a premise or a conjecture that fails on the data."""
LINES = "rows and columns counted from 1, in --json from 0"
"""What is said wherever lines of a matrix are numbered."""


class Refused(Exception):
    """The command cannot be carried out; the message is one line for the user."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a command found: the object for ``--json``, what else it prints, and the exit code."""

    payload: Mapping[str, Any]
    parts: Callable[[], Iterable[Any]]
    code: int = 0

    def json(self) -> str:
        """Return one JSON object, with null for numbers that are not finite."""
        return json.dumps(_finite(self.payload), allow_nan=False) + "\n"

    def text(self) -> str:
        """Return tables and lines, styled for a terminal; plain and in COLUMNS, or 132, columns for anything else."""
        return _rendered(self.parts())


@contextmanager
def refusing(name: str | None = None) -> Iterator[None]:
    """Turn the errors of a caller's mistake into ``Refused``, with ``name`` before a message that lacks it."""
    try:
        yield
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else name
        raise Refused(f"{where}: {error.strerror}" if where and error.strerror else one_line(error)) from error
    except (TypeError, ValueError) as error:
        message = one_line(error)
        raise Refused(message if name is None or message.startswith(name) else f"{name}: {message}") from error


@contextmanager
def recorded_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Collect warnings, to be shown in one line each after the results."""
    with warnings.catch_warnings(record=True) as found:
        yield found


@contextmanager
def progress(text: str) -> Iterator[Callable[[str], None]]:
    """Name what runs inside for whoever follows the progress; yield what tells a detail of it."""
    from gflow import watch

    with watch.stage(text):
        yield watch.tick


def write(text: str) -> None:
    """Write to standard output; a reader that has gone away is no error.

    Raises ``Refused`` if standard output is closed or cannot be written.
    """
    if sys.stdout is None:
        raise Refused("standard output is closed")
    encoding = _encoding()
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
    except OSError as error:
        raise Refused(f"standard output: {error.strerror or error}") from error


def silence_stdout() -> None:
    """Send what is left in the buffer of standard output nowhere if it cannot be written."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def one_line(message: object) -> str:
    """Return a message, or the name of an exception without one, in one line."""
    return " ".join(str(message).split()) or type(message).__name__


def number(value: Any, digits: int = 8) -> str:
    """Return a number, a range of two that differ when printed, yes or no, or a dash for None."""
    if value is None:
        return MISSING
    if isinstance(value, (list, tuple)):
        return " to ".join(dict.fromkeys(number(item, 6) for item in value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def indices(values: Sequence[int]) -> str:
    """Return integers separated by commas."""
    return ", ".join(map(str, values)) or "none"


def few(labels: Sequence[str]) -> str:
    """Return labels of rows or columns separated by commas, of more than 100 the first 20 and their number."""
    if len(labels) <= 100:
        return ", ".join(labels) or "none"
    return f"{', '.join(labels[:LISTED])}, ... ({len(labels)} in all)"


def facts(pairs: Iterable[tuple[str, str]]) -> Any:
    """Return lines of names and values."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    for name, value in pairs:
        grid.add_row(name, value)
    return grid


def verdict(claim: Claim) -> Any:
    """Return the verdict of a claim in words and in its colour."""
    from rich.text import Text

    return Text(claim.label, style=NEWS if claim.news else COLORS[claim.verdict])


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
    """Return a table under its title; columns whose name ends in a space hold text: they begin at the left and fold."""
    from rich.text import Text

    from gflow.cli.columns import Columns

    cells = [[cell if isinstance(cell, (str, Text)) else number(cell) for cell in row] for row in rows]
    return Columns(title, columns, cells)


def matrix(title: str, W: Any, std: Any = None, problem: Any = None, zero: float = ROUNDED_ENTRY) -> Any:
    """Return a matrix as a table, or a line where it is too large.

    Rows and columns have the names that ``problem`` gives them, or are counted from 1. Where the standard deviations
    ``std`` are not zero they follow the entries, as in 0 ± 1.29. Entries up to ``zero`` times the largest are shown as
    0, unless other numbers are observed there.
    """
    d1, d2 = W.shape
    if d1 > LARGEST_SHOWN[0] or d2 > LARGEST_SHOWN[1]:
        return f"{title}: {d1} x {d2}, see --json"
    given = False if problem is None else problem.observed & (problem.values != 0)
    W = W * (given | (abs(W) > zero * abs(W).max())) + 0.0
    spread = [[0.0] * d2] * d1 if std is None else std.tolist()
    from gflow.report.labels import column_label, row_label

    between = _plus_minus()
    rows = (
        [
            row_label(problem, i),
            *(f"{x:.6g}{between}{s:.3g}" if s else f"{x:.6g}" for x, s in zip(row, deviations, strict=True)),
        ]
        for i, (row, deviations) in enumerate(zip(W.tolist(), spread, strict=True))
    )
    return table(title, ["", *(column_label(problem, j) for j in range(d2))], rows)


def _rendered(parts: Iterable[Any]) -> str:
    import io

    from rich.console import Console

    stream = io.StringIO()
    settings: dict[str, Any] = {"file": stream, "markup": False, "highlight": False, "emoji": False}
    if sys.stdout is not None and sys.stdout.isatty():
        settings |= {"width": Console().width, "force_terminal": True}
    else:
        asked = os.environ.get("COLUMNS", "")
        width = int(asked) if asked.isdecimal() and int(asked) else PLAIN_WIDTH
        settings |= {"width": width, "force_terminal": False, "color_system": None, "_environ": {}}
    console = Console(**settings)
    for k, part in enumerate(parts):
        if k:
            console.print()
        console.print(part)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def _plus_minus() -> str:
    """Return the sign between a mean and a standard deviation, in ASCII where the output knows nothing else."""
    try:
        " ± ".encode(_encoding())
    except UnicodeEncodeError:
        return " +- "
    return " ± "


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def _finite(value: Any) -> Any:
    """Return a value made of what JSON knows: arrays become lists, numbers that are not finite None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, str) else value
