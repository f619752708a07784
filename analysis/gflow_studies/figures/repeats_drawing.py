"""Drawings of repeated completions: learned against ground truth, and shares of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gflow.plots import INK, PALETTE
from gflow.plots.style import DASHES, MARKERS
from gflow_studies.figures.repeats import KIND_NAMES, KINDS

FAINTEST = 0.22
"""Opacity of the marks with the fewest samples."""
FLOOR = 1e-12
"""Distances are drawn no smaller."""
SPREAD = 0.36
"""Marks of one rank lie within this distance of it."""


def draw_ranks(samples: np.ndarray, truth: np.ndarray, learned: np.ndarray, ax: Any, **style: Any) -> Any:
    """Return ``ax`` with learned against ground-truth ranks, one mark per run, darker with more samples.

    Marks of one rank stand side by side by their number of samples, and those of one number one above the other.
    """
    levels, place = np.unique(samples, return_inverse=True)
    across = np.linspace(-SPREAD, SPREAD, len(levels))[place] if len(levels) > 1 else np.zeros(len(samples))
    along = np.zeros(len(samples))
    for key in {*zip(samples.tolist(), truth.tolist(), strict=True)}:
        group = np.flatnonzero((samples == key[0]) & (truth == key[1]))
        along[group] = np.linspace(-SPREAD, SPREAD, len(group)) if len(group) > 1 else 0.0
    _marks(truth + across, learned + along, samples, ax, **style)
    top = int(max(truth.max(), learned.max())) + 1
    ax.plot([0.5, top - 0.5], [0.5, top - 0.5], color=INK, linewidth=0.7, alpha=0.5, zorder=0)
    ax.set_xticks(range(1, int(truth.max()) + 1))
    ax.set_yticks(range(1, top))
    ax.set(xlim=(0.4, top - 0.4), ylim=(0.4, top - 0.4), ylabel="learned rank")
    _sample_legend(samples, ax, style)
    return ax


def draw_norms(samples: np.ndarray, truth: np.ndarray, learned: np.ndarray, ax: Any, **style: Any) -> Any:
    """Return ``ax`` with learned against ground-truth nuclear norms, darker with more samples."""
    _marks(truth, learned, samples, ax, **style)
    ends = [0.8 * min(truth.min(), learned.min()), 1.25 * max(truth.max(), learned.max())]
    ax.plot(ends, ends, color=INK, linewidth=0.7, alpha=0.5, zorder=0)
    ax.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    _plain_ticks(ax, ends)
    ax.set_ylabel("learned nuclear norm")
    _sample_legend(samples, ax, style)
    return ax


def draw_shares(groups: Mapping[str, tuple[np.ndarray, np.ndarray]], ax: Any, xlabel: str, ylabel: str) -> Any:
    """Return ``ax`` with a share against a number for each group: the mean of the 0-1 values at equal numbers."""
    for k, (name, (numbers, reached)) in enumerate(groups.items()):
        levels = np.unique(numbers)
        shares = [float(np.mean(reached[numbers == level])) for level in levels]
        ax.plot(levels, shares, color=PALETTE[k], marker=MARKERS[k], linestyle=DASHES[k], linewidth=1.1, label=name)
    ax.set(ylim=(-0.04, 1.04), xlabel=xlabel, ylabel=ylabel)
    return ax


def draw_cumulative(groups: Mapping[str, np.ndarray], ax: Any, xlabel: str, floor: float) -> Any:
    """Return ``ax`` with the share of values up to the one on the axis for each group; none is drawn below floor."""
    highest = max(10 * floor, *(float(values.max(initial=floor)) for values in groups.values()))
    for k, (name, values) in enumerate(groups.items()):
        x = np.maximum(np.sort(values), floor)
        shares = np.arange(1, len(x) + 1) / max(len(x), 1)
        line = np.concatenate([[floor / 2], x, [2 * highest]]), np.concatenate([[0.0], shares, [1.0]])
        ax.plot(*line, drawstyle="steps-post", color=PALETTE[k], linestyle=DASHES[k], label=name)
    ax.set(xscale="log", xlim=(floor / 2, 2 * highest), ylim=(-0.04, 1.04), xlabel=xlabel, ylabel="share of runs")
    return ax


def draw_scales(columns: Mapping[str, np.ndarray], name: str, ax: Any, ylabel: str, promised: str = "") -> Any:
    """Return ``ax`` with the share of runs that ``name`` marks by 1 against alpha, one line for each kind.

    Open marks show the share that ``promised`` marks.
    """
    alphas = np.unique(columns["alpha"])
    for k, kind in enumerate(KINDS):
        here = [(columns["kind"] == k) & (columns["alpha"] == alpha) for alpha in alphas]
        style = {"color": PALETTE[k], "marker": MARKERS[k]}
        shares = [float(columns[name][one].mean()) if one.any() else np.nan for one in here]
        ax.plot(alphas, shares, **style, linestyle=DASHES[k], linewidth=1.1, label=KIND_NAMES[kind])
        if promised:
            said = [float(columns[promised][one].mean()) if one.any() else np.nan for one in here]
            ax.plot(alphas, said, **style, linestyle="none", fillstyle="none", markersize=8)
    ax.set(ylim=(-0.04, 1.04), ylabel=ylabel)
    _falling_scale(ax)
    ax.set_xlabel(r"$\alpha$")
    return ax


def draw_paths(columns: Mapping[str, np.ndarray], ax: Any, *, color: str) -> Any:
    """Return ``ax`` with the distance to the limit against alpha, one line per matrix."""
    scales = len(np.unique(columns["alpha"])) or 1
    alphas, distances = columns["alpha"].reshape(-1, scales), columns["distance"].reshape(-1, scales)
    for x, y in zip(alphas, distances, strict=True):
        ax.plot(x, np.maximum(y, FLOOR), color=color, linewidth=0.8, alpha=0.5, marker=".", markersize=3)
    ax.set(yscale="log", ylim=(FLOOR / 2, None), ylabel="distance to the limit")
    _falling_scale(ax)
    return ax


def opacity(samples: np.ndarray) -> np.ndarray:
    """Return the opacity of marks by their number of samples."""
    span = max(float(np.ptp(samples)), 1.0)
    return np.asarray(FAINTEST + (1.0 - FAINTEST) * (samples - samples.min()) / span)


def _marks(x: np.ndarray, y: np.ndarray, samples: np.ndarray, ax: Any, *, color: str, marker: str) -> None:
    for n in np.unique(samples):
        here = samples == n
        alpha = float(opacity(samples)[here][0])
        ax.plot(x[here], y[here], marker, color=color, alpha=alpha, markersize=4, markeredgewidth=0)


def _sample_legend(samples: np.ndarray, ax: Any, style: Mapping[str, Any]) -> None:
    """Say which shade means how many samples."""
    fewest, most = int(samples.min()), int(samples.max())
    for n in dict.fromkeys((fewest, most)):
        shade = FAINTEST if n == fewest != most else 1.0
        ax.plot([], [], style["marker"], color=style["color"], alpha=shade, markeredgewidth=0, label=f"n = {n}")
    ax.legend(
        loc="upper left", handletextpad=0.1, borderaxespad=0.1, ncols=2, columnspacing=0.6, bbox_to_anchor=(0, 1.14)
    )


def _falling_scale(ax: Any) -> None:
    ax.set_xscale("log")
    ax.invert_xaxis()


def _plain_ticks(ax: Any, ends: Sequence[float]) -> None:
    """Write 0.5, 1, 2, 5, 10 on both axes, which seldom hold two powers of ten."""
    powers = 10.0 ** np.arange(np.floor(np.log10(ends[0])), np.ceil(np.log10(ends[1])))
    ticks = [tick for tick in np.outer(powers, [1, 2, 5]).ravel().tolist() if ends[0] <= tick <= ends[1]]
    ax.minorticks_off()
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])


def legend_above(ax: Any, columns: int = 1) -> None:
    """Put the legend above the axes, where it covers nothing."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2, ncols=columns, handlelength=1.8)
