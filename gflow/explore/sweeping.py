"""One observed value runs over an interval: an entry of the limit against it, and where the limit jumps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import gflow
from gflow import watch
from gflow.explore.state import State, Swept, with_value

COARSE = 25
"""Values at which the limit is found first."""
HALVINGS = 10
"""A jump is enclosed by so many halvings: to a thousandth of a step."""
SECONDS = 1.0
"""The limit at one value may take so long; then it is said that it is slow, and the sweep goes on."""
MOST_JUMPS = 8
"""Jumps that are enclosed; further ones are told to a step."""
STEEP_STEP = 0.05
"""A change between neighbours of more than this part of the largest entry is looked at."""
KEPT = 0.5
"""It is a jump if after ``LOOKED`` halvings more than this part of it is left."""
LOOKED = 4
STATUS = {
    "converged": "is known",
    "diverging": "runs away",
    "degenerate": "depends on more of the start",
    "undecided": "is undecided",
    "slow": "takes too long",
}
"""What is said of a limit by its status."""


@dataclass(frozen=True, slots=True, eq=False)
class SweptPoint:
    """The limit at one value: the entry that is watched, its deviation, and what may change in a jump."""

    x: float
    y: float | None
    std: float | None
    kind: str
    chain: tuple[int, ...]
    status: str
    matrix: np.ndarray | None

    @property
    def signature(self) -> tuple[Any, ...]:
        """Return what is the same on both sides where nothing jumps."""
        return self.kind, self.chain, self.status


def sweep(state: State, emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Return the sweep of a state for JSON, and give what is known to ``emit`` on the way.

    ``points`` by rising value; ``jumps`` with the two values between which they lie, and what changes.
    """
    assert state.sweep is not None
    points: list[SweptPoint] = []
    for point in coarse(state, state.sweep):
        points.append(point)
        points.sort(key=lambda each: each.x)
        watch.tick("sweeping", len(points), COARSE)
        emit(told(points, [], state.sweep, done=False))
    jumps: list[dict[str, Any]] = []
    found: list[SweptPoint] = []
    for a, b in pairwise(list(points)):
        between, jump = enclosed(state, state.sweep, a, b, HALVINGS if len(jumps) < MOST_JUMPS else 0)
        found += between
        if jump is not None:
            join(jumps, jump)
        emit(told(sorted([*points, *found], key=lambda each: each.x), jumps, state.sweep, done=False))
    return told(sorted([*points, *found], key=lambda each: each.x), jumps, state.sweep, done=True)


def coarse(state: State, what: Swept) -> Iterator[SweptPoint]:
    """Yield points over the interval, zero among them where it lies inside: there an edge of the graph vanishes."""
    values = np.linspace(what.low, what.high, COARSE)
    values[np.abs(values) < 1e-9 * (what.high - what.low)] = 0.0
    if what.low < 0.0 < what.high:
        values = np.union1d(values, [0.0])
    middle = state.values[what.row][what.column]
    for x in sorted(values.tolist(), key=lambda x: abs(x - (middle or 0.0))):
        yield at(state, what, x)


def at(state: State, what: Swept, x: float) -> SweptPoint:
    """Return the limit where the swept entry is x."""
    moved = with_value(state, what.row, what.column, x)
    problem = moved.problem()
    kind = str(gflow.connectivity(problem).kind)
    try:
        found = gflow.saddle_to_saddle(problem, depth=state.depth, timeout=SECONDS)
    except watch.TimeIsUp:
        if watch.over():
            raise
        return SweptPoint(x, None, None, kind, (), "slow", None)
    place = what.watched_row, what.watched_column
    W = found.matrix
    std = float(found.std[place])
    return SweptPoint(
        x,
        None if W is None else float(W[place]),
        std if np.isfinite(std) else None,
        kind,
        tuple(saddle.rank for saddle in found.saddles),
        str(found.status),
        None if W is None else np.asarray(W),
    )


def enclosed(
    state: State, what: Swept, a: SweptPoint, b: SweptPoint, halvings: int
) -> tuple[list[SweptPoint], dict[str, Any] | None]:
    """Return the points between two neighbours that were needed, and the jump there, or None."""
    first, found = change(a, b), []
    if a.signature == b.signature and first <= STEEP_STEP:
        return [], None
    if "slow" in (a.status, b.status):
        return [], None
    for count in range(halvings):
        watch.tick("enclosing a jump", count, halvings)
        middle = at(state, what, (a.x + b.x) / 2.0)
        found.append(middle)
        left, right = (a.signature != middle.signature, middle.signature != b.signature)
        if left == right:
            left = change(a, middle) >= change(middle, b)
        a, b = (a, middle) if left else (middle, b)
        if a.signature == b.signature and count + 1 >= LOOKED and change(a, b) <= KEPT * first:
            return found, None
    return found, {"low": a.x, "high": b.x, "size": jump_size(a, b), "says": says(a, b), "alone": False}


def join(jumps: list[dict[str, Any]], jump: dict[str, Any]) -> None:
    """Add a jump; where the one before ends at the very value at which it begins, the two are one at this value."""
    if jumps and jumps[-1]["high"] == jump["low"]:
        before = jumps.pop()
        says = f"at {jump['low']:.6g} alone, {before['says']}"
        jump = {"low": before["low"], "high": jump["high"], "size": None, "says": says, "alone": True}
    jumps.append(jump)


def change(a: SweptPoint, b: SweptPoint) -> float:
    """Return the largest change of an entry, relative to the largest entry; infinite where one limit is missing."""
    if a.matrix is None or b.matrix is None:
        return 0.0 if a.matrix is b.matrix else np.inf
    largest = max(float(np.abs(a.matrix).max()), float(np.abs(b.matrix).max()))
    return float(np.abs(a.matrix - b.matrix).max()) / largest if largest else 0.0


def jump_size(a: SweptPoint, b: SweptPoint) -> float | None:
    """Return by how much the watched entry jumps; None where it is missing on one side."""
    return None if a.y is None or b.y is None else b.y - a.y


def says(a: SweptPoint, b: SweptPoint) -> str:
    """Return what changes from one side to the other, in a few words."""
    if a.kind != b.kind:
        return f"the class changes: {a.kind} to {b.kind}"
    if a.status != b.status:
        return f"before it the limit {STATUS[a.status]}, after it {STATUS[b.status]}"
    if a.chain != b.chain:
        return f"the chain changes: ranks {_ranks(a)} to {_ranks(b)}"
    return "the same ranks, another way: the limit jumps"


def _ranks(point: SweptPoint) -> str:
    return "-".join(map(str, point.chain))


def told(points: list[SweptPoint], jumps: list[dict[str, Any]], what: Swept, *, done: bool) -> dict[str, Any]:
    """Return points and jumps for JSON."""
    listed = [{name: getattr(p, name) for name in ("x", "y", "std", "kind", "status")} for p in points]
    for point, p in zip(listed, points, strict=True):
        point["chain"] = list(p.chain)
    place = {name: getattr(what, name) for name in Swept.__slots__}
    return {**place, "points": listed, "jumps": jumps, "done": done}
