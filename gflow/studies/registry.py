"""Where studies and sweeps are found: the entry points of the packages that are installed, ours like anyone's.

A package joins ``gflow figure`` by an entry point of the group ``gflow.studies`` that names a module (see
``FigureStudy``), and ``gflow sweep`` by one of the group ``gflow.sweeps`` that names a ``Sweep``.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from gflow.studies.study import FigureStudy
    from gflow.studies.sweep import Sweep

STUDIES, SWEEPS = "gflow.studies", "gflow.sweeps"
"""The groups of entry points."""


def study_names() -> tuple[str, ...]:
    """Return the names of all studies, in alphabetical order."""
    return tuple(_found(STUDIES))


def study_named(name: str) -> FigureStudy:
    """Return the study of that name, imported now; raises ``ValueError`` with the known names for another one."""
    return cast("FigureStudy", _loaded(STUDIES, "study", name))


def sweep_names() -> tuple[str, ...]:
    """Return the names of all sweeps, in alphabetical order."""
    return tuple(_found(SWEEPS))


def sweep_named(name: str) -> Sweep:
    """Return the sweep of that name; raises ``ValueError`` with the known names for another one."""
    return cast("Sweep", _loaded(SWEEPS, "sweep", name))


def _found(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in sorted(entry_points(group=group), key=lambda point: point.name)}


def _loaded(group: str, word: str, name: str) -> Any:
    found = _found(group)
    if name not in found:
        raise ValueError(f"unknown {word} {name!r}; known are {', '.join(found) or 'none'}")
    return found[name].load()
