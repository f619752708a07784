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


def offered(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name, in alphabetical order; nothing is loaded."""
    return {point.name: point for point in sorted(entry_points(group=group), key=lambda point: point.name)}


def loaded(group: str, name: str) -> Any:
    """Return what a name of a group stands for, imported now.

    Raises ``ValueError`` with the known names for another one, or with the name of the package for one that cannot be
    loaded.
    """
    known = offered(group)
    word = group.rpartition(".")[2]
    word = "study" if word == "studies" else word.removesuffix("s")
    if name not in known:
        raise ValueError(f"unknown {word} {name!r}; known are {', '.join(known) or 'none'}")
    try:
        return known[name].load()
    except Exception as error:
        raise ValueError(f"the {word} '{name}'{_origin(known[name])} cannot be loaded: {told(error)}") from error


def all_loaded(group: str) -> Iterator[tuple[str, Any]]:
    """Yield name and object of all entry points of a group that can be loaded; warn of each that cannot."""
    for name in offered(group):
        try:
            yield name, loaded(group, name)
        except ValueError as error:
            warnings.warn(str(error), stacklevel=2)


def told(error: Exception) -> str:
    """Return an exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _origin(point: EntryPoint) -> str:
    return "" if point.dist is None else f" of the package {point.dist.name}"
