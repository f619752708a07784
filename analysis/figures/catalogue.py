"""The studies by name. To add one: a module in this folder, and one line here."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from analysis.figures.study import FigureStudy

CATALOGUE = {
    "bai2024-fig2": "Bai et al. 2024, Figure 2: matrices and their observation graphs",
}
"""Name and title of every study; module ``bai2024_fig2`` is the study ``bai2024-fig2``."""


def study_named(name: str) -> FigureStudy:
    """Return the study of that name, imported now; raises ``ValueError`` with the known names for another one."""
    if name not in CATALOGUE:
        raise ValueError(f"unknown study {name!r}; known are {', '.join(CATALOGUE)}")
    return cast(FigureStudy, import_module(f"analysis.figures.{name.replace('-', '_')}"))
