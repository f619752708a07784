"""Drawings of orders: cumulative shares, marks by number, and distances that fall along predicted powers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gflow.plots import INK, PALETTE
from gflow.plots.style import DASHES, MARKERS
from gflow.studies.study import Columns


def draw_distribution(groups: Sequence[str], which: np.ndarray, values: np.ndarray, ax: Any, xlabel: str) -> Any:
    """Return ``ax`` with the share of values up to the one on the axis, for each group, on a logarithmic axis."""
    for k, name in enumerate(groups):
        x = np.sort(values[which == k])
        if len(x):
            shares = np.arange(len(x) + 1) / len(x)
            line = np.concatenate([x[:1], x])
            style = {"color": PALETTE[k], "linestyle": DASHES[k], "label": f"{name} ({len(x)})"}
            ax.plot(line, shares, drawstyle="steps-post", **style)
    ax.set(xscale="log", ylim=(0, 1.02), xlabel=xlabel, ylabel="share of problems")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2, handlelength=2.2)
    return ax


def draw_spread(numbers: np.ndarray, columns: Columns, ax: Any, xlabel: str) -> Any:
    """Return ``ax`` with the order of every problem against a whole number, and its median for every number."""
    across = (columns["problem"] * 0.6180339887 % 1.0 - 0.5) * 0.6
    for k in range(len(MARKERS)):
        here = columns["group"] == k
        style = {"color": PALETTE[k], "marker": MARKERS[k], "linestyle": "none"}
        ax.plot((numbers + across)[here], columns["order"][here], **style, markersize=2.4, alpha=0.6, markeredgewidth=0)
    for number in np.unique(numbers):
        median = float(np.median(columns["order"][numbers == number]))
        ax.plot([number - 0.4, number + 0.4], [median, median], color=INK, linewidth=1.4)
    ax.set(yscale="log", xlabel=xlabel, ylabel="order $q$")
    return ax


def draw_falls(columns: Columns, ax: Any) -> Any:
    """Return ``ax`` with the distances of flows from their limits, and the predicted powers through the last ones."""
    for k in range(len(columns["problem"])):
        color, marker = (look[columns["group"][k]] for look in (PALETTE, MARKERS))
        exponents, distances = -columns["log10_alpha"][k], np.maximum(columns["distance"][k], 1e-12)
        ax.plot(exponents, distances, marker, color=color, markersize=3.5)
        seen = np.flatnonzero(distances > columns["floor"][k])
        if len(seen):
            last = seen[-1]
            powers = distances[last] * 10.0 ** (columns["predicted"][k] * (exponents[last] - exponents))
            ax.plot(exponents, powers, color=color, linewidth=0.9, alpha=0.8)
    ax.set(xscale="log", yscale="log", xlabel=r"$-\log_{10}\,\alpha$", ylabel="distance from the limit")
    return ax


def draw_fits(columns: Columns, ax: Any) -> Any:
    """Return ``ax`` with fitted against predicted orders."""
    for k in range(len(columns["problem"])):
        color, marker = (look[columns["group"][k]] for look in (PALETTE, MARKERS))
        ax.plot(columns["predicted"][k], columns["fitted"][k], marker, color=color, markersize=4)
    ends = [0.7 * float(columns["predicted"].min()), 1.4 * float(columns["predicted"].max())]
    ax.plot(ends, ends, color=INK, linewidth=0.7, alpha=0.5, zorder=0)
    ax.set(xscale="log", yscale="log", xlabel="predicted order $q$", ylabel="fitted order")
    return ax
