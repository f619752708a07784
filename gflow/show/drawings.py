"""Pictures of records: each function draws on the axes it is given and returns them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import gflow
from gflow.plots import INK, PALETTE, draw_loss
from gflow.plots.style import RC
from gflow.policy import ROUNDED_LOSS
from gflow.report.labels import clipped
from gflow.statements.claims import Verdict, summary
from gflow.statements.ledger import Ledger

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VERDICT_COLORS = {
    Verdict.HOLDS: PALETTE[2],
    Verdict.CONTRADICTED: PALETTE[1],
    Verdict.HYPOTHESIS_NOT_MET: PALETTE[4],
    Verdict.UNDECIDED: PALETTE[0],
}
MOST_NUMBERED = 14
"""Matrices with more rows or columns are drawn without numbers and names."""


def new_axes() -> Axes:
    """Return the axes of a new figure of pyplot, in the look of gflow; settings of the user stay as they are."""
    import matplotlib
    from matplotlib import pyplot

    look = {
        key: value for key, value in RC.items() if not key.startswith(("svg", "savefig")) and "facecolor" not in key
    }
    with matplotlib.rc_context(look):
        return pyplot.subplots(figsize=(4.8, 3.2), layout="constrained")[1]


def problem(record: gflow.MatrixCompletion, ax: Axes, **style: Any) -> Axes:
    """Return ``ax`` with the observed entries by colour; what is not observed is left blank."""
    return _image(record.with_gaps(), ax, (record.row_names, record.column_names), **style)


def completion(record: gflow.Completion, ax: Axes, **style: Any) -> Axes:
    """Return ``ax`` with the matrix by colour."""
    return _image(record.matrix, ax, (None, None), **style)


def bracket(record: gflow.RankBracket, ax: Axes, **style: Any) -> Axes:
    """Return ``ax`` with the completion by colour."""
    return _image(record.completion, ax, (None, None), **style)


def connectivity(record: gflow.Connectivity, ax: Axes, **style: Any) -> Axes:
    """Return ``ax`` with the blocks of rows and columns that the coupling components join."""
    from matplotlib.colors import ListedColormap

    blocks = np.full(record.shape, np.nan)
    for k, part in enumerate(record.coupling_components):
        blocks[np.ix_(part.rows, part.columns)] = k % 5
    colors = ListedColormap(PALETTE[:5])
    ax.imshow(blocks, **{"cmap": colors, "vmin": 0, "vmax": 4, "alpha": 0.6, "aspect": "auto", **style})
    return _cells(ax, record.shape, (None, None))


def trajectory(record: gflow.Trajectory, ax: Axes, **style: Any) -> Axes:
    """Return ``ax`` with the loss against time and the plateaus shaded."""
    last = float(record.times[-1])
    stays = [(plateau.start, last if plateau.end is None else plateau.end) for plateau in record.plateaus]
    return draw_loss(record.times, record.losses, ax, plateaus=[stay for stay in stays if stay[1] < last], **style)


def spectrum(record: gflow.Spectrum, ax: Axes, **style: Any) -> Axes:
    """Return ``ax`` with the eigenvalues in ascending order: negative, zero (to rounding) and positive by colour."""
    places, values = np.arange(1, len(record.values) + 1), record.values
    zero = np.abs(values) <= 1e-9 * record.norm
    for chosen, color, label in (
        (~zero & (values < 0), PALETTE[1], "negative"),
        (zero, PALETTE[5], "zero"),
        (~zero & (values > 0), PALETTE[0], "positive"),
    ):
        if chosen.any():
            ax.plot(places[chosen], values[chosen], "o", **{"color": color, "label": label, **style})
    ax.axhline(0.0, color=INK, alpha=0.4, linewidth=0.8)
    ax.set(xlabel="number", ylabel="eigenvalue of the Hessian")
    if len(values):
        ax.legend()
    return ax


def critical_point(record: gflow.CriticalPoint, ax: Axes, **style: Any) -> Axes:
    """Return ``ax`` with the eigenvalues of the Hessian."""
    return spectrum(record.spectrum, ax, **style)


def claim(record: gflow.Claim, ax: Axes, **style: Any) -> Axes:
    """Return ``ax`` with what was measured, in the colour of the verdict, and what is allowed, shaded."""
    low, high = record.allowed or (None, None)
    known = [float(x) for x in (record.measured, low, high) if x is not None] or [0.0]
    room = 0.2 * (max(known) - min(known)) or 0.2 * abs(known[0]) or 1.0
    ends = min(known) - room, max(known) + room
    if record.allowed is not None:
        inside = ends[0] if low is None else low, ends[1] if high is None else high
        ax.axvspan(*inside, color=PALETTE[5], alpha=0.25, label="allowed")
    look = {"color": VERDICT_COLORS[record.verdict], "marker": "o", "linestyle": "none", "label": str(record.verdict)}
    ax.plot(
        [] if record.measured is None else [record.measured], [] if record.measured is None else [0], **look | style
    )
    ax.set(xlim=ends, yticks=[], xlabel=f"measured: {record.id}")
    if known != [0.0] or record.measured is not None:
        ax.legend()
    return ax


def report(record: Any, ax: Axes, **style: Any) -> Axes:
    """Return ``ax`` with the number of claims of a report or a ledger by verdict."""
    claims = record.claims.values() if isinstance(record, Ledger) else record.claims
    counts = summary(claims)
    colors = [VERDICT_COLORS[Verdict(verdict)] for verdict in counts]
    bars = ax.barh(
        [verdict.replace("-", " ") for verdict in counts], list(counts.values()), **{"color": colors, **style}
    )
    ax.bar_label(bars, padding=2)
    ax.invert_yaxis()
    ax.set_xlabel("claims")
    return ax


def explanation(record: gflow.Explanation, ax: Axes, **style: Any) -> Axes:
    """Return ``ax`` with the way of the limit from saddle to saddle."""
    if isinstance(record.limit, gflow.Traversal):
        return limit(record.limit, ax, **style)
    return chain(record.limit, ax, **style)


def limit(record: gflow.Traversal, ax: Axes, **style: Any) -> Axes:
    """Return ``ax`` with the loss against time in units of log(1/alpha), as it steps from saddle to saddle."""
    steps = staircase(record)
    if steps is None:
        return chain(record, ax, **style)
    times, losses = steps
    _steps(ax, [*times, 1.15 * times[-1] or 1.0], [*losses, losses[-1]], **style)
    ax.set_xlabel(r"$t\,/\,\log(1/\alpha)$")
    return ax


def staircase(record: gflow.Traversal) -> tuple[list[float], list[float]] | None:
    """Return when the loss of the limit falls, in units of log(1/alpha), and to what; None where it is not known."""
    falls = []
    for each in record.chains:
        waits = [saddle.plateau_time for saddle in each.saddles[:-1]]
        if any(wait is None for wait in waits):
            return None
        steps = np.diff([saddle.loss for saddle in each.saddles])
        falls += list(zip(np.cumsum(np.array(waits, dtype=float)).tolist(), steps.tolist(), strict=True))
    first = sum(each.saddles[0].loss for each in record.chains)
    times, losses = [0.0], [first]
    for time, step in sorted(falls):
        times.append(time)
        losses.append(losses[-1] + step)
    small = ROUNDED_LOSS * first
    return times, [loss if loss > small else 0.0 for loss in losses]


def chain(record: Any, ax: Axes, **style: Any) -> Axes:
    """Return ``ax`` with the losses of the saddles in the order of the visit."""
    losses = [saddle.loss for saddle in record.saddles]
    _steps(ax, list(range(len(losses) + 1)), [*losses, losses[-1]], **style)
    ax.set_xticks(range(len(losses) + 1))
    ax.set_xlabel("saddles passed")
    return ax


def _steps(ax: Axes, times: list[float], losses: list[float], **style: Any) -> None:
    """Draw a falling staircase on a logarithmic scale; a loss of zero lies on its floor."""
    largest = max(losses)
    kept = [loss for loss in losses if loss > 1e-12 * largest] or [1.0]
    floor = min(kept) / 30.0
    heights = [loss if loss > 1e-12 * largest else floor for loss in losses]
    ax.plot(times, heights, **{"drawstyle": "steps-post", "color": PALETTE[0], **style})
    ax.set(yscale="log", ylim=(floor, 3.0 * max(kept)))
    ax.minorticks_off()
    ax.set_ylabel("loss $R$")


def _image(values: np.ndarray, ax: Axes, names: tuple[Any, Any], **style: Any) -> Axes:
    shown = ax.imshow(values, **{"cmap": "viridis", "aspect": "auto", **style})
    if max(values.shape) <= MOST_NUMBERED:
        for (i, j), value in np.ndenumerate(values):
            if not np.isnan(value):
                light = float(np.asarray(shown.norm(np.array([value])), dtype=float)[0]) > 0.6
                ax.annotate(
                    f"{value:.4g}", (j, i), ha="center", va="center", size=8, color="black" if light else "white"
                )
    return _cells(ax, values.shape, names)


def _cells(ax: Axes, shape: tuple[int, ...], names: tuple[Any, Any]) -> Axes:
    """Return ``ax`` with rows and columns named, or counted from 1."""
    rows, columns = (
        [name or str(k + 1) for k, name in enumerate(given or [None] * size)]
        for given, size in zip(names, shape, strict=True)
    )
    ax.grid(False)
    if max(shape) <= MOST_NUMBERED:
        ax.set_yticks(range(shape[0]), clipped(rows, 16))
        ax.set_xticks(range(shape[1]), clipped(columns, 16))
    ax.xaxis.tick_top()
    return ax
