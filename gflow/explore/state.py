"""What a visitor has set: the matrix with what is hidden of it, depth, start, and what is swept. Pure data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np

import gflow
from gflow.explore import cells

EXPLORED_SIDE = 12
"""Rows and columns up to which a matrix is explored; larger ones are shown with their summary."""
DEPTHS = (2, 3, 4)
LEAST_EXPONENT, LARGEST_EXPONENT = -16.0, -1.0
"""Decimal logarithms of alpha between which it is chosen."""
LARGEST_SEED = 10**9
MOST_DRAWS = 50
KEYS = ("m", "depth", "alpha", "seed", "draws", "sweep")
"""What a link holds."""


class BadState(ValueError):
    """A state that cannot be: what is wrong as a whole, or cell by cell.

    Attributes
    ----------
    cells : tuple of (int, int, str)
        Row and column, counted from 0, and what is wrong there.
    """

    def __init__(self, message: str, faults: Iterable[tuple[int, int, str]] = ()) -> None:
        super().__init__(message)
        self.cells = tuple(faults)


@dataclass(frozen=True, slots=True)
class Swept:
    """One observed entry that runs from ``low`` to ``high`` while another entry of the limit is watched."""

    row: int
    column: int
    watched_row: int
    watched_column: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class State:
    """What a visitor has set; a hidden entry keeps its value, so that it can be shown again.

    Attributes
    ----------
    values : tuple of tuples of float or None
        None where there has never been a value.
    seen : tuple of tuples of bool
        What is observed.
    depth : int
    exponent : float
        Decimal logarithm of alpha.
    seed : int
        Of theta_0.
    draws : int
        How many starts are drawn, from the seed on.
    sweep : Swept or None
    name : str
        What the matrix is called.
    """

    values: tuple[tuple[float | None, ...], ...]
    seen: tuple[tuple[bool, ...], ...]
    depth: int = 2
    exponent: float = -8.0
    seed: int = 0
    draws: int = 0
    sweep: Swept | None = None
    name: str = "the matrix"

    def __post_init__(self) -> None:
        d1, d2 = self.shape
        if not (1 <= d1 <= EXPLORED_SIDE and 1 <= d2 <= EXPLORED_SIDE):
            raise BadState(f"a matrix is explored up to {EXPLORED_SIDE} x {EXPLORED_SIDE}; this one is {d1} x {d2}")
        if self.depth not in DEPTHS:
            raise BadState(f"depth must be 2, 3 or 4; got {self.depth!r}")
        if not LEAST_EXPONENT <= self.exponent <= LARGEST_EXPONENT:
            raise BadState(f"alpha must lie between 1e-16 and 1e-1; got 10^{self.exponent!r}")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise BadState(f"seed must lie between 0 and {LARGEST_SEED}; got {self.seed!r}")
        if not 0 <= self.draws <= MOST_DRAWS:
            raise BadState(f"at most {MOST_DRAWS} starts are drawn; got {self.draws!r}")
        if not any(map(any, self.seen)):
            raise BadState("nothing is observed: show at least one entry")
        self._require_sweep()

    def _require_sweep(self) -> None:
        """Raise ``BadState`` unless what is swept is observed and runs upwards."""
        if self.sweep is None:
            return
        (d1, d2), s = self.shape, self.sweep
        if not (0 <= min(s.row, s.watched_row) and max(s.row, s.watched_row) < d1):
            raise BadState(f"a sweep names rows from 1 to {d1}")
        if not (0 <= min(s.column, s.watched_column) and max(s.column, s.watched_column) < d2):
            raise BadState(f"a sweep names columns from 1 to {d2}")
        if not self.seen[s.row][s.column]:
            raise BadState(f"only an observed entry is swept; row {s.row + 1}, column {s.column + 1} is hidden")
        if not (np.isfinite([s.low, s.high]).all() and s.low < s.high and s.high - s.low < np.inf):
            raise BadState(f"a sweep runs from a lower to a higher number; got {s.low:g} to {s.high:g}")

    @property
    def shape(self) -> tuple[int, int]:
        """Return (d1, d2)."""
        return len(self.values), len(self.values[0]) if self.values else 0

    @property
    def alpha(self) -> float:
        """Return the scale of the start."""
        return float(10.0**self.exponent)

    @property
    def matrix(self) -> np.ndarray:
        """Return M with NaN where it is hidden, shape (d1, d2)."""
        pairs = zip(self.values, self.seen, strict=True)
        return np.array(
            [[x if shown and x is not None else np.nan for x, shown in zip(*pair, strict=True)] for pair in pairs]
        )

    def problem(self) -> gflow.MatrixCompletion:
        """Return the problem; ``BadState`` where the matrix breaks one of its rules."""
        try:
            return gflow.MatrixCompletion(self.matrix)
        except ValueError as error:
            raise BadState(str(error)) from None

    def link(self) -> str:
        """Return the state as the part of an address after the #: ``of_link`` reads it back exactly."""
        rows = zip(self.values, self.seen, strict=True)
        parts = ["m=" + ";".join(",".join(map(_written, *row)) for row in rows)]
        defaults = {"depth": 2, "alpha": -8.0, "seed": 0, "draws": 0}
        held = {"depth": self.depth, "alpha": self.exponent, "seed": self.seed, "draws": self.draws}
        parts += [f"{key}={_short(value)}" for key, value in held.items() if value != defaults[key]]
        if self.sweep is not None:
            s = self.sweep
            places = (s.row + 1, s.column + 1, s.watched_row + 1, s.watched_column + 1)
            parts.append("sweep=" + ",".join([*map(str, places), _short(s.low), _short(s.high)]))
        return "&".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the state for JSON; rows and columns are counted from 0."""
        sweep = self.sweep and {name: getattr(self.sweep, name) for name in Swept.__slots__}
        return {
            "values": [list(row) for row in self.values],
            "seen": [list(row) for row in self.seen],
            **{name: getattr(self, name) for name in ("depth", "exponent", "seed", "draws", "name")},
            "sweep": sweep,
        }


def of_problem(problem: gflow.MatrixCompletion, name: str) -> State:
    """Return the state in which a problem is first shown; ``BadState`` for one that is too large."""
    d1, d2 = problem.shape
    if max(d1, d2) > EXPLORED_SIDE:
        raise BadState(f"a matrix is explored up to {EXPLORED_SIDE} x {EXPLORED_SIDE}; this one is {d1} x {d2}")
    seen = problem.observed.tolist()
    pairs = zip(problem.values.tolist(), seen, strict=True)
    values = tuple(tuple(x if shown else None for x, shown in zip(*pair, strict=True)) for pair in pairs)
    return State(values, tuple(map(tuple, seen)), name=name)


def of_page(asked: Any) -> State:
    """Return the state that a page asks for, its cells as they are typed; ``BadState`` says what is wrong and where."""
    if not isinstance(asked, Mapping):
        raise BadState("a state has cells, and what is hidden of them")
    texts, seen = asked.get("values", []), asked.get("seen", [])
    if not (_is_table(texts, (str, int, float, type(None))) and _is_table(seen, (bool,))):
        raise BadState("a state has cells, and what is hidden of them, row by row")
    if list(map(len, texts)) != list(map(len, seen)) or len(set(map(len, texts))) > 1:
        raise BadState("all rows of a matrix have the same number of cells")
    values, shown = _numbers(texts, seen)
    numbers = {key: _number(asked.get(key, default)) for key, default in (("exponent", -8.0), ("seed", 0))}
    return State(
        values,
        shown,
        int(_number(asked.get("depth", 2))),
        numbers["exponent"],
        int(numbers["seed"]),
        int(_number(asked.get("draws", 0))),
        _sweep(asked.get("sweep")),
        str(asked.get("name", "the matrix"))[: cells.LONGEST_CELL],
    )


def of_link(text: str) -> State:
    """Return the state of a link, a whole address or what follows its #; ``BadState`` says what is wrong."""
    part = urlsplit(text.strip()).fragment or text.strip().lstrip("#")
    if len(part) > cells.LONGEST_TEXT:
        raise BadState("the link is too long")
    held = dict(parse_qsl(part, keep_blank_values=True))
    if "m" not in held or set(held) - set(KEYS):
        raise BadState("this is no link of an explorer: after the # it says m=, the rows separated by semicolons")
    rows = [row.split(",") for row in held["m"].split(";")]
    if len(set(map(len, rows))) > 1:
        raise BadState("all rows of a matrix have the same number of cells")
    seen = [[not cell.startswith(("~", "*")) for cell in row] for row in rows]
    values, shown = _numbers([[cell.removeprefix("~") for cell in row] for row in rows], seen)
    sweep = held.get("sweep")
    return State(
        values,
        shown,
        int(_number(held.get("depth", 2))),
        _number(held.get("alpha", -8.0)),
        int(_number(held.get("seed", 0))),
        int(_number(held.get("draws", 0))),
        None if sweep is None else _sweep([_number(x) - (k < 4) for k, x in enumerate(sweep.split(","))]),
    )


def of_text(text: str) -> State:
    """Return the state of a pasted matrix; ``BadState`` says what is wrong and where."""
    try:
        rows = cells.table(text)
    except ValueError as error:
        raise BadState(str(error)) from None
    values, seen = _numbers(rows, [[True] * len(row) for row in rows])
    return State(values, seen)


def with_value(state: State, row: int, column: int, value: float) -> State:
    """Return the same state with another value at one observed entry, and nothing swept."""
    rows = [list(each) for each in state.values]
    rows[row][column] = value
    return replace(state, values=tuple(map(tuple, rows)), sweep=None)


def _numbers(texts: Sequence[Sequence[Any]], seen: Sequence[Sequence[bool]]) -> tuple[Any, Any]:
    """Return values and mask; a cell without a number is hidden. ``BadState`` names the cells that are wrong."""
    values: list[list[float | None]] = []
    faults: list[tuple[int, int, str]] = []
    for i, row in enumerate(texts):
        values.append([])
        for j, text in enumerate(row):
            try:
                values[-1].append(cells.number("" if text is None else str(text)))
            except ValueError as error:
                values[-1].append(None)
                faults.append((i, j, str(error)))
    if faults:
        i, j, says = faults[0]
        raise BadState(f"row {i + 1}, column {j + 1}: {says}", faults)
    mask = [[bool(s) and x is not None for s, x in zip(*pair, strict=True)] for pair in zip(seen, values, strict=True)]
    return tuple(map(tuple, values)), tuple(map(tuple, mask))


def _is_table(rows: Any, kinds: tuple[type, ...]) -> bool:
    """Return whether these are rows of cells of these kinds, no more of them than are explored."""
    if not isinstance(rows, list) or not 1 <= len(rows) <= EXPLORED_SIDE:
        return False
    return all(
        isinstance(row, list) and 1 <= len(row) <= EXPLORED_SIDE and all(isinstance(cell, kinds) for cell in row)
        for row in rows
    )


def _number(given: Any) -> float:
    """Return a finite number; ``BadState`` for anything else."""
    try:
        found = cells.number(str(given))
    except ValueError as error:
        raise BadState(str(error)) from None
    if found is None:
        raise BadState(f"a number is missing; got {str(given)[: cells.LONGEST_CELL]!r}")
    return found


def _sweep(given: Any) -> Swept | None:
    if given is None:
        return None
    listed = [given.get(name) for name in Swept.__slots__] if isinstance(given, Mapping) else given
    if not isinstance(listed, list) or len(listed) != len(Swept.__slots__):
        raise BadState("a sweep has a row and a column, those that are watched, and two ends")
    numbers = [_number(each) for each in listed]
    return Swept(*map(int, numbers[:4]), *numbers[4:])


def _written(value: float | None, shown: bool) -> str:
    if value is None:
        return "*"
    return _short(value) if shown else f"~{_short(value)}"


def _short(value: float) -> str:
    """Return the shortest decimals that read back exactly."""
    return repr(float(value)).removesuffix(".0").replace("e+", "e")  # a plus is a blank in addresses
