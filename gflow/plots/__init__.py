"""Plots: ``draw_x(data, ax)`` draws on the axes it is given, labels them and returns them; ``figure_svg`` renders.

The drawing functions compute nothing and save nothing. matplotlib is imported only when ``figure_svg`` is called.
"""

from gflow.plots.curves import (
    draw_chain,
    draw_convergence,
    draw_gradient_norm,
    draw_loss,
    draw_plateau_times,
    draw_singular_values,
    power_law,
)
from gflow.plots.drawing import FORMATS, Drawing, composite
from gflow.plots.graphs import GraphNode, draw_landscape
from gflow.plots.pictures import draw_matrix, draw_observation_graph, draw_polar
from gflow.plots.style import INK, PALETTE, STATUS_COLORS, EntryStatus
from gflow.plots.svg import drawing_svg, figure_svg, scoped_svg, standalone_svg

__all__ = [
    "FORMATS",
    "INK",
    "PALETTE",
    "STATUS_COLORS",
    "Drawing",
    "EntryStatus",
    "GraphNode",
    "composite",
    "draw_chain",
    "draw_convergence",
    "draw_gradient_norm",
    "draw_landscape",
    "draw_loss",
    "draw_matrix",
    "draw_observation_graph",
    "draw_plateau_times",
    "draw_polar",
    "draw_singular_values",
    "drawing_svg",
    "figure_svg",
    "power_law",
    "scoped_svg",
    "standalone_svg",
]
