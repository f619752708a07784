"""Curves: loss, gradient norm and singular values against time, orders of convergence, plateau times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.plots.style import DASHES, INK, MARKERS, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLATEAU = PALETTE[5]
WIDE = 1e2
"""A logarithmic axis over more than this factor does without minor ticks."""
BELOW, ABOVE = 1e-3, 10.0
"""The axis of a chain of losses ends so far below its last positive saddle, and above its first, as a factor."""


def draw_loss(
    times: Any,
    losses: Any,
    ax: Axes,
    *,
    plateaus: Iterable[Sequence[Any]] = (),
    time_scale: str = "auto",
    **line_style: Any,
) -> Axes:
    """Return ``ax`` with the loss against time on a logarithmic scale.

    Parameters
    ----------
    times, losses : (T,) arrays
    plateaus : sequence of (start, end), (start, end, loss) or (start, end, loss, label)
        Shaded; the loss, where given, is written at the foot of its plateau, or marked by a disc with its label.
    time_scale : {'auto', 'linear', 'log', 'symlog'}
        'auto' is 'log' if half of the times lie in the first twentieth of the whole, else 'linear'.
    """
    ax.plot(times, losses, **{"color": PALETTE[0], **line_style})
    _logarithmic_values(ax, losses)
    _time_axis(ax, times, time_scale)
    for start, end, *told in plateaus:
        ax.axvspan(start, end, color=PLATEAU, alpha=0.16, linewidth=0, zorder=0)
        if len(told) == 2:
            middle = _middle(ax, start, end)
            ax.plot([middle], [told[0]], "o", color=INK, markersize=5, zorder=4)
            ax.annotate(told[1], (middle, told[0]), textcoords="offset points", xytext=(0, 7), ha="center", size=8)
        elif told:
            place: Any = {
                "xycoords": ax.get_xaxis_transform(),
                "rotation": 90,
                "ha": "center",
                "va": "bottom",
                "size": 7.5,
            }
            ax.annotate(f"{told[0]:.4g}", (_middle(ax, start, end), 0.03), **place)
    ax.set_ylabel("loss $R$")
    return ax


def draw_gradient_norm(
    times: Any, norms: Any, ax: Axes, *, marks: Iterable[float] = (), time_scale: str = "auto", **line_style: Any
) -> Axes:
    """Return ``ax`` with the norm of the gradient against time on a logarithmic scale.

    Parameters
    ----------
    times, norms : (T,) arrays
    marks : sequence of float
        Times, of saddles for instance, that get a dotted vertical line.
    time_scale : as in ``draw_loss``
    """
    ax.plot(times, norms, **{"color": PALETTE[0], **line_style})
    _logarithmic_values(ax, norms)
    _time_axis(ax, times, time_scale)
    for mark in marks:
        ax.axvline(mark, color=INK, alpha=0.5, linestyle=":", linewidth=1)
    ax.set_ylabel(r"$\|\nabla R\|$")
    return ax


def draw_singular_values(
    times: Any,
    values: Any,
    ax: Axes,
    *,
    label: str = "W",
    time_scale: str = "auto",
    value_scale: str = "log",
    legend: bool = True,
    plateaus: Iterable[Sequence[float]] = (),
    **line_style: Any,
) -> Axes:
    """Return ``ax`` with the singular values of one matrix against time.

    Parameters
    ----------
    times : (T,) array
    values : (T, k) array
        One column per singular value, the largest first.
    label : str
        Name of the matrix; mathtext is understood.
    time_scale : as in ``draw_loss``
    value_scale : {'log', 'linear'}
    legend : bool
        Whether a legend stands beside the axes (for 2 to 10 singular values).
    plateaus : sequence of (start, end)
        Shaded.
    """
    columns = np.asarray(values).T
    for j, column in enumerate(columns):
        style = {"color": PALETTE[j % len(PALETTE)], "linestyle": DASHES[j // len(PALETTE) % len(DASHES)]}
        ax.plot(times, column, **{**style, "label": rf"$\sigma_{{{j + 1}}}$", **line_style})
    if value_scale == "log":
        _logarithmic_values(ax, values)
    _time_axis(ax, times, time_scale)
    for start, end in plateaus:
        ax.axvspan(start, end, color=PLATEAU, alpha=0.16, linewidth=0, zorder=0)
    ax.set_ylabel(f"singular values of {label}")
    if legend and 1 < len(columns) <= 10:
        _legend_beside(ax)
    return ax


def power_law(alphas: Any, errors: Any, order: float) -> np.ndarray:
    """Return the power alpha^order through the middle of the points, on logarithmic scales, at the same alphas."""
    log_x, log_y = np.log(np.asarray(alphas, dtype=float)), np.log(np.asarray(errors, dtype=float))
    return np.exp(log_y.mean() + order * (log_x - log_x.mean()))


def draw_convergence(
    series: Iterable[tuple[str, Any, Any, float | None]],
    ax: Axes,
    *,
    predicted: Sequence[float | None] = (),
    xlabel: str = r"$\alpha$",
    ylabel: str = "error",
    **line_style: Any,
) -> Axes:
    """Return ``ax`` with errors against the scale alpha, both logarithmic, and the fitted powers as dashed guides.

    Parameters
    ----------
    series : sequence of (label, alphas, errors, slope)
        Positive arrays of shape (m,). The guide is alpha^slope through the middle of the points; None draws none.
    predicted : sequence of float or None
        One predicted order for each series, drawn as a broad pale line through the middle of the points.
    """
    ax.set(xscale="log", yscale="log")
    given = list(series)
    expected = list(predicted) or [None] * len(given)
    for k, ((label, alphas, errors, slope), order) in enumerate(zip(given, expected, strict=True)):
        x, y = np.asarray(alphas, dtype=float), np.asarray(errors, dtype=float)
        style = {"color": PALETTE[k % len(PALETTE)], "marker": MARKERS[k % len(MARKERS)], "linestyle": "none"}
        ax.plot(x, y, **{**style, "label": label + _orders(slope, order), **line_style})
        if slope is not None and len(x):
            ax.plot(x, power_law(x, y, slope), color=style["color"], linestyle="--", linewidth=1, zorder=1)
        if order is not None and len(x):
            ax.plot(x, power_law(x, y, order), color=style["color"], alpha=0.3, linewidth=4, zorder=0)
    for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        if high > WIDE * low:
            axis.minorticks_off()
        else:
            _few_ticks(axis)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if ax.lines:
        ax.legend()
    return ax


def _few_ticks(axis: Any) -> None:
    """Label a short logarithmic axis at 1, 2 and 5 times the powers of ten alone, where labels have room."""
    from matplotlib.ticker import LogFormatterSciNotation, LogLocator

    axis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    axis.set_minor_formatter(LogFormatterSciNotation(minor_thresholds=(np.inf, np.inf)))


def _orders(fitted: float | None, predicted: float | None) -> str:
    """Return what the legend says of the orders."""
    if predicted is None:
        return "" if fitted is None else f": order {fitted:.4g}"
    return f": {'no fit' if fitted is None else f'{fitted:.4g}'} ({predicted:.4g})"


def draw_plateau_times(
    alphas: Any,
    measured: Any,
    predicted: Any,
    ax: Axes,
    *,
    guide_alphas: Any = None,
    labels: Sequence[str] | None = None,
    value_scale: str = "linear",
    xlabel: str = r"$\alpha$",
    **line_style: Any,
) -> Axes:
    """Return ``ax`` with the waiting time at every plateau against alpha, measured and predicted.

    Parameters
    ----------
    alphas : (m,) array of positive numbers
    measured, predicted : (m, k) arrays
        One column per plateau; NaN where there is none.
    guide_alphas : (g,) array, optional
        Where ``predicted``, then of shape (g, k), is given instead.
    labels : k names of the plateaus, by default numbered from 0
    value_scale : {'linear', 'log'}
    """
    ax.set_xscale("log")
    ax.invert_xaxis()
    ax.set_yscale(value_scale)
    guide = alphas if guide_alphas is None else guide_alphas
    for k, (seen, expected) in enumerate(zip(np.asarray(measured).T, np.asarray(predicted).T, strict=True)):
        color = PALETTE[k % len(PALETTE)]
        ax.plot(guide, expected, color=color, linestyle="--", linewidth=1)
        style = {"color": color, "marker": MARKERS[k % len(MARKERS)], "linestyle": "none"}
        name = f"plateau {k}" if labels is None else labels[k]
        ax.plot(alphas, seen, **{**style, "label": name, **line_style})
    ax.set(xlabel=xlabel, ylabel="waiting time (dashed: predicted)")
    ax.legend()
    return ax


def draw_chain(
    orbits: Iterable[tuple[Any, Any]],
    saddles: Sequence[tuple[float, float, str]],
    ax: Axes,
    *,
    xlabel: str = "arc length of $W$",
    **line_style: Any,
) -> Axes:
    """Return ``ax`` with the losses along a chain of orbits, end to end, and the saddles between them.

    Parameters
    ----------
    orbits : sequence of (positions, losses)
        Arrays of shape (m,); the losses are drawn on a logarithmic scale that ends a little below the last saddle.
    saddles : sequence of (position, loss, label)
        Discs; a saddle of loss 0 is a triangle at the foot of the axes.
    """
    ends = [loss for _, loss, _ in saddles if loss > 0]
    ax.set_yscale("log", nonpositive="mask")
    for k, (positions, losses) in enumerate(orbits):
        style = {"color": PALETTE[k % len(PALETTE)], "marker": ".", "markersize": 3.5, "linewidth": 1.2}
        ax.plot(positions, losses, **{**style, **line_style})
    if ends:
        ax.set_ylim(BELOW * min(ends), ABOVE * max(ends))
    for position, loss, label in saddles:
        at_foot: Any = {} if loss > 0 else {"transform": ax.get_xaxis_transform(), "clip_on": False}
        height = loss if loss > 0 else 0.0
        ax.plot([position], [height], "o" if loss > 0 else "v", color=INK, markersize=5.5, zorder=4, **at_foot)
        place: Any = {"textcoords": "offset points", "xytext": (5, 5), "size": 8}
        place["xycoords"] = "data" if loss > 0 else ax.get_xaxis_transform()
        ax.annotate(label, (position, height), **place)
    ax.minorticks_off()
    ax.margins(x=0.09)
    ax.set(xlabel=xlabel, ylabel="loss $R$")
    return ax


def _logarithmic_values(ax: Axes, values: Any) -> None:
    """Make the value axis logarithmic if anything positive is on it: the loss of M = 0 is zero throughout."""
    array = np.asarray(values, dtype=float)
    if np.any(array[np.isfinite(array)] > 0):
        ax.set_yscale("log", nonpositive="mask")


def _time_axis(ax: Axes, times: Any, scale: str) -> None:
    if scale not in ("auto", "linear", "log", "symlog"):
        raise ValueError(f"time_scale must be 'auto', 'linear', 'log' or 'symlog'; got {scale!r}")
    moments = np.asarray(times, dtype=float)
    positive = moments[moments > 0]
    if scale == "auto":
        scale = "log" if len(positive) and np.median(moments) < 0.05 * moments.max() else "linear"
    if scale == "log" and len(positive):
        ax.set_xscale("log", nonpositive="mask")
    elif scale == "symlog" and len(positive):
        ax.set_xscale("symlog", linthresh=float(positive[0]))
    ax.set_xlabel("time $t$")


def _middle(ax: Axes, start: float, end: float) -> float:
    """Return the time half-way between two others as the eye sees it."""
    axis = ax.get_xaxis().get_transform()
    return float(axis.inverted().transform(axis.transform([start, end]).mean(keepdims=True))[0])


def _legend_beside(ax: Axes) -> None:
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), borderaxespad=0, handlelength=1.4)
