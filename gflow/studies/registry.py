"""The studies and sweeps of the packages that are installed, ours like anyone's; see ``gflow.plugins``."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gflow import plugins

if TYPE_CHECKING:
    from gflow.studies.study import FigureStudy
    from gflow.studies.sweep import Sweep

STUDIES, SWEEPS = "gflow.studies", "gflow.sweeps"
"""The groups of entry points."""


def study_names() -> tuple[str, ...]:
    """Return the names of all studies, in alphabetical order."""
    return tuple(plugins.offered(STUDIES))


def study_named(name: str) -> FigureStudy:
    """Return the study of that name, imported now; raises ``ValueError`` for one unknown or broken."""
    return cast("FigureStudy", plugins.loaded(STUDIES, name))


def studies() -> dict[str, FigureStudy]:
    """Return all studies by name; warn of those that cannot be loaded."""
    return dict(plugins.all_loaded(STUDIES))


def sweep_names() -> tuple[str, ...]:
    """Return the names of all sweeps, in alphabetical order."""
    return tuple(plugins.offered(SWEEPS))


def sweep_named(name: str) -> Sweep:
    """Return the sweep of that name; raises ``ValueError`` for one unknown or broken."""
    return cast("Sweep", plugins.loaded(SWEEPS, name))


def sweeps() -> dict[str, Sweep]:
    """Return all sweeps by name; warn of those that cannot be loaded."""
    return dict(plugins.all_loaded(SWEEPS))
