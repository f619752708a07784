"""Drawings of shares: stacked bars by outcome, and lines by rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gflow.plots import INK, PALETTE
from gflow.plots.style import DASHES, MARKERS

HATCHES = ("", "//", "..", "xx", "--", "\\\\")


def draw_bars(shares: np.ndarray, ax: Any, parts: Sequence[str], names: Sequence[str] | None) -> Any:
    """Return ``ax`` with one stacked bar for every row of ``shares``, the first on top.

    ``names`` label the bars; the axes that have them also put the legend above the whole figure.
    """
    places = -np.arange(len(shares))
    left = np.zeros(len(shares))
    for k, part in enumerate(parts):
        style = {"color": PALETTE[k], "hatch": HATCHES[k], "edgecolor": INK, "linewidth": 0.3, "label": part}
        ax.barh(places, shares[:, k], left=left, height=0.7, **style)
        left = left + shares[:, k]
    ax.set_xlim(0, 1)
    ax.set_yticks(places, ["" for _ in places] if names is None else list(names))
    ax.grid(False, axis="y")
    if names is not None:
        ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=3, handlelength=1.4)
    return ax


def draw_lines(ranks: np.ndarray, numbers: np.ndarray, shares: np.ndarray, ax: Any, ylabel: str) -> Any:
    """Return ``ax`` with shares against the number of observed entries, one line for every rank."""
    for k, rank in enumerate(np.unique(ranks)):
        here = ranks == rank
        style = {"color": PALETTE[k], "marker": MARKERS[k], "linestyle": DASHES[k], "linewidth": 1.1}
        ax.plot(numbers[here], shares[here], **style, label=f"rank {rank}")
    ax.set(ylim=(-0.04, 1.04), xlabel="observed entries $n$", ylabel=ylabel)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2, ncols=3, handlelength=1.8)
    return ax
