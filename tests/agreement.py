"""Whether two reports on the same matrix agree: verdicts and words exactly, numbers to the errors that they state."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

VALUE_TOL = 1e-6
"""Values of one kind agree within this fraction of the largest of them: by default flows have rtol = 1e-8."""
FIT_TOL = 1e-3
"""What a claim measures without stating both ends of what is allowed agrees within this fraction."""
TIME_TOL = 1e-2
"""Times agree within this fraction: when a saddle is left depends on logarithms of amplitudes and on the steps."""
BOUND_TOL = 0.5
"""Bounds that grow with the number of steps, which is a cost, agree within this fraction of the larger."""
NUMBER = re.compile(r"[-−+]?\d[\d.]*(e[-+]?\d+)?(\s*×\s*10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?")
TIMES, ERRORS, PROSE = {"from", "to"}, {"radius"}, {"note", "reason"}
DISTANCE = "distance to "


def disagreements(one: Json, other: Json) -> list[str]:
    """Return what two JSON reports say differently beyond the errors that they state, each with its place.

    Versions, figures, counts of steps and gauges of one run may differ. What a claim measures may move within what it
    allows; where that has one end or none, within ``FIT_TOL``. Entries of the matrix and columns of tables agree within
    ``VALUE_TOL`` of their largest number, distances of that of the whole table, times within ``TIME_TOL``.
    """
    return list(_differences(one, other))


def _differences(one: Json, other: Json) -> Iterator[str]:
    yield from _same("summary", one["summary"], other["summary"])
    yield from _same("lead", _words(one["lead"]), _words(other["lead"]))
    for key in ("status", "solver"):
        places = (report["configuration"].get("trajectory", {}).get(key) for report in (one, other))
        yield from _same(f"trajectory {key}", *places)
    yield from _same("claims", *([claim["id"] for claim in report["claims"]] for report in (one, other)))
    for a, b in zip(one["claims"], other["claims"], strict=False):
        yield from _claim(a, b)
    if (one["matrix"] is None) == (other["matrix"] is None) and one["matrix"] is not None:
        yield from _close("matrix", one["matrix"]["values"], other["matrix"]["values"], VALUE_TOL)
        yield from _same("matrix statuses", one["matrix"]["statuses"], other["matrix"]["statuses"])
    yield from _same("tables", *([table["name"] for table in report["tables"]] for report in (one, other)))
    for a, b in zip(one["tables"], other["tables"], strict=False):
        yield from _table(a, b)


def _claim(one: Json, other: Json) -> Iterator[str]:
    place = f"claim {one['id']}"
    for key in ("statement", "verdict"):
        yield from _same(f"{place}, {key}", one[key], other[key])
    yield from _same(f"{place}, reason", _words(one["reason"]), _words(other["reason"]))
    yield from _close(f"{place}, allowed", one["allowed"], other["allowed"], BOUND_TOL)
    ends = [end for claim in (one, other) for end in claim["allowed"] or ()]
    width = max(ends) - min(ends) if ends and None not in ends else 0.0
    measured = one["measured"], other["measured"]
    if None in measured or abs(measured[0] - measured[1]) > width:
        yield from _close(f"{place}, measured", *measured, FIT_TOL)


def _table(one: Json, other: Json) -> Iterator[str]:
    place = f"table {one['name']}"
    yield from _same(f"{place}, columns", one["columns"], other["columns"])
    yield from _same(f"{place}, rows", len(one["rows"]), len(other["rows"]))
    whole = _largest([one["rows"], other["rows"]])
    for index, name in enumerate(one["columns"]):
        if name not in ERRORS:
            columns = [[row[index] for row in table["rows"]] for table in (one, other)]
            if name in PROSE:
                columns = [[_words(text) for text in column] for column in columns]
            scale = whole if name.startswith(DISTANCE) else 0.0
            yield from _close(f"{place}, {name}", *columns, TIME_TOL if name in TIMES else VALUE_TOL, scale)


def _same(place: str, one: Any, other: Any) -> Iterator[str]:
    if one != other:
        yield f"{place}: {one!r} and {other!r}"


def _close(place: str, one: Any, other: Any, tol: float, scale: float = 0.0) -> Iterator[str]:
    """Yield the places where nested lists differ: numbers by more than ``tol`` of the largest, all else at all."""
    scale = max(scale, _largest([one, other]))
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (a, b) in enumerate(zip(one, other, strict=True), start=1):
            yield from _close(f"{place} {number}", a, b, tol, scale)
    elif isinstance(one, float) and isinstance(other, float):
        if not abs(one - other) <= tol * scale:
            yield f"{place}: {one!r} and {other!r}"
    else:
        yield from _same(place, one, other)


def _largest(value: Any) -> float:
    """Return the largest modulus of the floats in nested lists; 0 if there is none."""
    if isinstance(value, list):
        return max(map(_largest, value), default=0.0)
    return abs(value) if isinstance(value, float) else 0.0


def _words(text: str) -> str:
    """Return a text with a mark in place of every number."""
    return NUMBER.sub("#", text)
