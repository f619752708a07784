"""Pictures: the observation graph, a matrix with the status of its entries, directions in polar coordinates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.plots.style import INK, PALETTE, STATUS_COLORS, STATUS_HATCHES, EntryStatus

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Pairs = Iterable[tuple[int, int]]
ISOLATED = PALETTE[5]
LARGEST_NUMBERED = 14
"""Matrices and graphs with more rows or columns are drawn without numbers."""
CENTRE = 0.1
"""Points nearer to the centre than this fraction of the largest radius leave room for labels."""


def draw_observation_graph(
    edges: Pairs,
    ax: Axes,
    *,
    shape: tuple[int, int],
    zeros: Pairs = (),
    components: Iterable[tuple[Sequence[int], Sequence[int]]] = (),
    **line_style: Any,
) -> Axes:
    """Return ``ax`` with the bipartite graph of rows (left) and columns (right), numbered from 1.

    Parameters
    ----------
    edges : sequence of (row, column)
        Observed non-zero entries, counted from 0.
    shape : (d1, d2)
    zeros : sequence of (row, column)
        Observed zeros, drawn dashed: they couple but are no edges of the graph.
    components : sequence of (rows, columns)
        Each gets a colour of its own; a vertex in none of them is grey.
    """
    members = list(components)
    color_of_row = {i: PALETTE[c % 5] for c, (rows, _) in enumerate(members) for i in rows}
    color_of_column = {j: PALETTE[c % 5] for c, (_, columns) in enumerate(members) for j in columns}
    tallest = max(shape)
    left, right = (np.arange(d) + (tallest - d) / 2 for d in shape)
    for i, j in zeros:
        ax.plot((0, 1), (left[i], right[j]), color=INK, alpha=0.55, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    for i, j in edges:
        style = {"color": color_of_row.get(i, ISOLATED), "linewidth": 1.6, "zorder": 2}
        ax.plot((0, 1), (left[i], right[j]), **{**style, **line_style})
    size = 17 if tallest <= LARGEST_NUMBERED else max(2.0, 230 / tallest)
    for x, heights, colors in ((0, left, color_of_row), (1, right, color_of_column)):
        for k, y in enumerate(heights):
            ax.plot(x, y, "o" if x == 0 else "s", color=colors.get(k, ISOLATED), markersize=size, zorder=3)
            if tallest <= LARGEST_NUMBERED:
                ax.annotate(f"{k + 1}", (x, y), ha="center", va="center_baseline", color="white", size=9, zorder=4)
    for x, name in ((0, "rows"), (1, "columns")):
        ax.annotate(name, (x, -0.75), ha="center", va="center", size=9)
    ax.set(xlim=(-0.35, 1.35), ylim=(tallest - 0.4, -1.1))
    ax.set_axis_off()
    return ax


def draw_matrix(values: Any, statuses: Any, ax: Axes, *, number: str = "{:.4g}", **patch_style: Any) -> Axes:
    """Return ``ax`` with a matrix whose cells show the number and, by colour and hatching, the status of each entry.

    Parameters
    ----------
    values : (d1, d2) array
        NaN is drawn as a star.
    statuses : (d1, d2) array of ``EntryStatus`` or their values
    number : str
        Format of a number; matrices wider than 14 are drawn without numbers.
    """
    from matplotlib.patches import Patch, Rectangle

    matrix, kinds = np.asarray(values, dtype=float), np.asarray(statuses)
    if matrix.shape != kinds.shape or matrix.ndim != 2:
        raise ValueError(f"statuses must have the shape of values; got {kinds.shape} and {matrix.shape}")
    for (i, j), value in np.ndenumerate(matrix):
        status = EntryStatus(str(kinds[i, j]))
        for style in _cell_styles(status):
            ax.add_patch(Rectangle((j, i), 1, 1, **{**style, **patch_style}))
        if max(matrix.shape) <= LARGEST_NUMBERED:
            text = "*" if np.isnan(value) else number.format(value).replace("-", "\N{MINUS SIGN}")
            weight = "bold" if status is EntryStatus.OBSERVED else "normal"
            ax.annotate(text, (j + 0.5, i + 0.5), ha="center", va="center", size=8.5, weight=weight)
    ax.set(xlim=(0, matrix.shape[1]), ylim=(matrix.shape[0], 0), aspect="equal")
    ax.set_axis_off()
    present = [status for status in EntryStatus if status in kinds]
    ax.legend(
        handles=[tuple(Patch(**style) for style in _cell_styles(status, density=3)) for status in present],
        labels=[str(status) for status in present],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.01),
        ncols=len(present),
        handlelength=1.6,
        handleheight=0.9,
        columnspacing=1.2,
    )
    return ax


def draw_polar(rows: Any, columns: Any, ax: Axes, *, title: str = "", legend: bool = True, **line_style: Any) -> Axes:
    """Return polar ``ax`` with the paths of the rows of A (solid) and the columns of B (dashed), for width r = 2.

    Parameters
    ----------
    rows : (T, d1, 2) array
        The rows of A over time.
    columns : (T, 2, d2) array
        The columns of B over time.
    title : str
    legend : bool
        Whether a legend stands beside the axes.

    A disc marks the start of a path and an arrow-like triangle its end. The radius is the norm.
    """
    from matplotlib.ticker import MaxNLocator

    A, B = np.asarray(rows, dtype=float), np.swapaxes(np.asarray(columns, dtype=float), -1, -2)
    if A.ndim != 3 or A.shape[-1] != 2 or B.ndim != 3 or B.shape[-1] != 2:
        shapes = f"{np.shape(rows)} and {np.shape(columns)}"
        raise ValueError(f"rows must be (T, d1, 2) and columns (T, 2, d2); got {shapes}")
    for paths, color, dash, name in ((A, PALETTE[0], "-", "rows of A"), (B, PALETTE[1], "--", "columns of B")):
        for k in range(paths.shape[1]):
            x, y = paths[:, k, 0], paths[:, k, 1]
            angle, radius = np.unwrap(np.arctan2(y, x)), np.hypot(x, y)
            style = {"color": color, "linestyle": dash, "label": name if k == 0 else "_", **line_style}
            ax.plot(angle, radius, **style)
            ax.plot(angle[:1], radius[:1], "o", color=color, markersize=3)
            ax.plot(angle[-1:], radius[-1:], "^", color=color, markersize=5)
    ax.yaxis.set_major_locator(MaxNLocator(4, prune="lower"))
    ax.set_rlabel_position(_emptiest_angle(np.concatenate([A.reshape(-1, 2), B.reshape(-1, 2)])))  # type: ignore[attr-defined]
    if legend:
        ax.legend(loc="upper left", bbox_to_anchor=(1.05, 1.0))
    if title:
        ax.set_title(title)
    return ax


def _emptiest_angle(points: np.ndarray) -> float:
    """Return the angle in degrees, half-way between two labelled ones, that is furthest from points off the centre."""
    radius = np.hypot(points[:, 0], points[:, 1])
    far = points[radius > CENTRE * radius.max(initial=0.0)]
    candidates = np.radians(np.arange(22.5, 360.0, 45.0))
    apart = np.angle(np.exp(1j * (candidates[:, None] - np.arctan2(far[:, 1], far[:, 0]))))
    return float(np.degrees(candidates[np.argmax(np.abs(apart).min(axis=1, initial=np.inf))]))


def _cell_styles(status: EntryStatus, density: int = 1) -> list[dict[str, Any]]:
    """Return the looks of the patches that make up a cell: its tint, and its hatching, which must not be as faint."""
    from matplotlib.colors import to_rgba

    color, hatch = STATUS_COLORS[status], STATUS_HATCHES[status]
    tint = {"facecolor": to_rgba(color, 0.2), "edgecolor": color, "linewidth": 0.8}
    lines = {"facecolor": "none", "edgecolor": to_rgba(color, 0.55), "hatch": density * hatch, "linewidth": 0}
    return [tint, lines] if hatch else [tint]
