"""What installed packages add to gflow, found by their entry points: studies, sweeps and statements alike.

A package names what it offers under ``[options.entry_points]`` of its ``setup.cfg``, in one of the groups
``gflow.studies`` (a module, see ``FigureStudy``), ``gflow.sweeps`` (a ``Sweep``) and ``gflow.statements`` (a
``Statement``). A broken entry point is told in one sentence, and the others go on.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any

OWN = "gflow-toolkit"
"""The distribution that this package is part of: what it offers keeps its name."""


def offered(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name, in alphabetical order; nothing is loaded.

    Where two packages offer one name it is gflow's, or that of the first package.
    """
    return _by_name(_points(group))


def loaded(group: str, name: str) -> Any:
    """Return what a name of a group stands for, imported now.

    Raises ``ValueError`` with the known names for another one, or with the name of the package for one that cannot be
    loaded.
    """
    known = offered(group)
    if name not in known:
        raise ValueError(f"unknown {_word(group)} {name!r}; known are {', '.join(known) or 'none'}")
    return _load(known[name])


def all_loaded(group: str) -> Iterator[tuple[str, Any]]:
    """Yield name and object of all entry points of a group that can be loaded; warn of each that cannot."""
    points = _points(group)
    known = _by_name(points)
    for point in points:
        try:
            if point != known[point.name]:
                raise ValueError(f"{_called(point)} is left out: {_called(known[point.name])} has its name")
            yield point.name, _load(point)
        except ValueError as error:
            warnings.warn(str(error), stacklevel=2)


def told(error: Exception) -> str:
    """Return an exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _points(group: str) -> list[EntryPoint]:
    return sorted(entry_points(group=group), key=lambda point: (point.name, _package(point) != OWN, _package(point)))


def _by_name(points: list[EntryPoint]) -> dict[str, EntryPoint]:
    """Return the first entry point of each name, in their order."""
    found: dict[str, EntryPoint] = {}
    for point in points:
        found.setdefault(point.name, point)
    return found


def _load(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        raise ValueError(f"{_called(point)} cannot be loaded: {told(error)}") from error


def _word(group: str) -> str:
    plural = group.rpartition(".")[2]
    return "study" if plural == "studies" else plural.removesuffix("s")


def _package(point: EntryPoint) -> str:
    return "" if point.dist is None else str(point.dist.name)


def _called(point: EntryPoint) -> str:
    return f"the {_word(point.group)} '{point.name}' of the package {_package(point) or 'without a name'}"
