"""The landscape of a problem as a graph: orbits by rank and loss, the flow between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gflow.plots.style import INK, PALETTE
from gflow.plots.svg import HOVER

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOOKS = {
    "global-minimum": (PALETTE[2], "o", "global minimum"),
    "second-order": (PALETTE[4], "o", "minimum of positive loss"),
    "degenerate-saddle": (PALETTE[3], "o", "degenerate saddle"),
    "strict-saddle": (PALETTE[0], "o", "saddle"),
    "infinity": (PALETTE[5], "^", "run to infinity"),
}
"""Colour, marker and name of each kind of node."""
PATH = PALETTE[1]
DASHED: Any = (0, (3, 2))


class GraphNode(NamedTuple):
    """A node: place, name and kind, whether it lies on a continuum and on the path, and what pointing at it tells."""

    x: float
    y: float
    name: str
    kind: str
    wide: bool
    on_path: bool
    title: str


def draw_landscape(
    nodes: Sequence[GraphNode],
    arrows: Iterable[tuple[int, int, float, bool, bool, str]],
    ax: Axes,
    *,
    floor: float | None = None,
    label: str = "rank of W",
) -> Axes:
    """Return ``ax`` with nodes by rank (across) and loss (up, logarithmic), and the connections between them.

    Parameters
    ----------
    nodes : sequence of GraphNode
        All y positive; squares stand for continua.
    arrows : (source, target, strength, outside, on the path, title)
        Strengths between 0 and 1 are widths; those inside a rank are dashed, those of the path in colour.
    floor : float, optional
        The y at which nodes of loss zero stand.
    label : str
        Of the horizontal axis.
    """
    from matplotlib.ticker import MultipleLocator

    ax.set_yscale("log")
    for source, target, strength, outside, on_path, title in arrows:
        _draw_arrow(nodes[source], nodes[target], ax, strength, outside, on_path, title)
    for node in nodes:
        color, marker, _ = LOOKS[node.kind]
        edge = {"markeredgecolor": PATH, "markeredgewidth": 1.8} if node.on_path else {"markeredgewidth": 0.0}
        shape = "s" if node.wide else marker
        (drawn,) = ax.plot(node.x, node.y, shape, color=color, markersize=9, zorder=4, **edge)
        drawn.set_gid(HOVER + node.title)
        ax.annotate(node.name, (node.x, node.y), color="white", size=5.5, ha="center", va="center_baseline", zorder=5)
    if floor is not None:
        ax.axhline(floor, color=INK, alpha=0.25, linewidth=0.8, linestyle=":", zorder=1)
        ax.annotate("loss 0", (0.0, floor), (2, 3), ax.get_yaxis_transform(), "offset points", size=8)
    ax.legend(handles=_handles(nodes), loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8)
    ax.set(xlabel=label, ylabel="loss")
    ax.xaxis.set_major_locator(MultipleLocator(1))
    ax.margins(0.08)
    return ax


def _draw_arrow(
    source: GraphNode, target: GraphNode, ax: Axes, strength: float, outside: bool, on_path: bool, title: str
) -> None:
    from matplotlib.patches import FancyArrowPatch

    patch = FancyArrowPatch(
        (source.x, source.y),
        (target.x, target.y),
        arrowstyle="-|>",
        mutation_scale=9 if on_path else 6,
        connectionstyle="arc3,rad=0.12",
        shrinkA=4,
        shrinkB=4,
        color=PATH if on_path else INK,
        alpha=1.0 if on_path else 0.12 + 0.28 * strength,
        linewidth=2.2 if on_path else 0.4 + 1.2 * strength,
        linestyle="-" if outside else DASHED,
        zorder=3 if on_path else 2,
    )
    patch.set_gid(HOVER + title)
    ax.add_patch(patch)


def _handles(nodes: Sequence[GraphNode]) -> list[Any]:
    """Return the entries of the legend."""
    from matplotlib.lines import Line2D

    kinds = [look for kind, look in LOOKS.items() if any(node.kind == kind for node in nodes)]
    handles = [Line2D([], [], color=color, marker=marker, linestyle="", label=name) for color, marker, name in kinds]
    if any(node.wide for node in nodes):
        handles.append(Line2D([], [], color=PALETTE[5], marker="s", linestyle="", label="continuum"))
    if any(node.on_path for node in nodes):
        handles.append(Line2D([], [], color=PATH, linewidth=2.2, label="path of small starts"))
    handles.append(Line2D([], [], color=INK, alpha=0.5, linewidth=1, label="raises the rank"))
    handles.append(Line2D([], [], color=INK, alpha=0.5, linewidth=1, linestyle=DASHED, label="within the rank"))
    return handles
