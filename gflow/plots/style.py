"""The look of every figure: colours that read on light and on dark paper, fonts, lines."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

INK = "#010203"
"""Colour of text, axes and guides. ``figure_svg`` turns it into ``currentColor``: the colour of the text around it."""

PALETTE = ("#1f77c4", "#d55e00", "#00926a", "#c061a0", "#a6761d", "#808080")
"""Colours of data, told apart by colour-blind readers; contrast at least 3 with white and with a dark page."""

DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")


class EntryStatus(StrEnum):
    """What is known of an entry of the learned matrix."""

    OBSERVED = "observed"
    DETERMINED = "determined"
    SEED_DEPENDENT = "seed-dependent"
    UNDECIDED = "undecided"


STATUS_COLORS = {
    EntryStatus.OBSERVED: PALETTE[5],
    EntryStatus.DETERMINED: PALETTE[0],
    EntryStatus.SEED_DEPENDENT: PALETTE[1],
    EntryStatus.UNDECIDED: PALETTE[3],
}

STATUS_HATCHES = {
    EntryStatus.OBSERVED: "",
    EntryStatus.DETERMINED: "",
    EntryStatus.SEED_DEPENDENT: "//",
    EntryStatus.UNDECIDED: "xx",
}

RC: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.formatter.use_mathtext": True,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlesize": 9.5,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.alpha": 0.14,
    "grid.color": INK,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "legend.title_fontsize": 8,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "savefig.facecolor": "none",
    "svg.fonttype": "path",
    "svg.hashsalt": "gflow",
    "text.color": INK,
    "text.usetex": False,
    "xtick.color": INK,
    "xtick.labelsize": 8,
    "ytick.color": INK,
    "ytick.labelsize": 8,
}
"""matplotlib settings over its own defaults; the user's ``matplotlibrc`` has no say: equal input gives equal bytes."""
