"""The studies by name. To add one: a module in this folder, and one line here."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from analysis.figures.study import FigureStudy

CATALOGUE = {
    "bai2024-fig1": "Bai et al. 2024, Figure 1: learned against ground-truth rank and nuclear norm",
    "bai2024-fig2": "Bai et al. 2024, Figure 2: matrices and their observation graphs",
    "bai2024-fig3": "Bai et al. 2024, Figure 3: connected data, from saddle to saddle at increasing rank",
    "bai2024-fig4": "Bai et al. 2024, Figure 4: disconnected data, a smaller manifold and entries left to the start",
    "bai2024-fig5": "Bai et al. 2024, Figure 5: two sub-manifolds of rank 1, and the directions of escape",
    "gunasekar2017-fig1": "Gunasekar et al. 2017, Figure 1: reconstruction error against the factor width",
    "gunasekar2017-fig2": "Gunasekar et al. 2017, Figure 2: nuclear norm against the factor width",
    "gunasekar2017-fig3": "Gunasekar et al. 2017, Figure 3: completion of entries sampled uniformly and by a power law",
    "gunasekar2017-fig4": "Gunasekar et al. 2017, Figure 4: excess of the nuclear norm over a grid of small problems",
    "gunasekar2017-commuting": "Gunasekar et al. 2017, Theorem 1: commuting measurements and the minimum nuclear norm",
    "jin2023-sensing": "Jin et al. 2023: incremental learning under restricted isometry",
    "limit-fig1": "Figure 1 of Bai et al. 2024 in the exact limit alpha -> 0: what finite alpha misses",
    "premise-gallery": "Where the premise of Theorem 3 fails: a gallery, with the trajectories that run to infinity",
    "limit-order": "The order of the limit alpha -> 0 over random problems: how small is small enough?",
    "limit-masks": "The 4 x 4 masks by class, rank and outcome: what the limit alpha -> 0 learns",
}
"""Name and title of every study; module ``bai2024_fig2`` is the study ``bai2024-fig2``."""


def study_named(name: str) -> FigureStudy:
    """Return the study of that name, imported now; raises ``ValueError`` with the known names for another one."""
    if name not in CATALOGUE:
        raise ValueError(f"unknown study {name!r}; known are {', '.join(CATALOGUE)}")
    return cast(FigureStudy, import_module(f"analysis.figures.{name.replace('-', '_')}"))
