"""The panels that the studies of Figures 3 and 4 share, with their data and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gflow.plain import plain
from gflow.plots import INK, PALETTE, draw_gradient_norm, draw_singular_values
from gflow.studies.study import Columns, Table
from gflow_studies.figures.masks import MaskRun
from gflow_studies.figures.passages import Journey
from gflow_studies.figures.variances import Learned

FLOOR = 4e-16
"""Singular values below this fraction of the largest are rounding and not drawn."""
ROUNDING = 1e-15
"""Along a flow, singular values below this fraction of the largest at the same time are rounding."""
FACTORS = {"W": "$W$", "A": "$A$", "B": "$B$", "stacked": r"$[A;\,B^\top]$"}
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))


def variance_data(learned: Learned) -> Columns:
    """Return variance, number and status of every run with its singular values."""
    v, m = learned.statuses.shape
    return {
        "variance": np.repeat(learned.variances, m),
        "run": np.tile(np.arange(1, m + 1), v),
        "status": learned.statuses.ravel(),
        "sigma": learned.singular_values.reshape(v * m, -1),
    }


def draw_variances(
    learned: Learned, ax: Any, *, rank_tol: float, limits: np.ndarray, order: float | None, rank: int
) -> None:
    """Draw the singular values of every run, their medians, and the power ``order`` of alpha.

    ``limits`` holds the first ``rank`` singular values of one or more limits, drawn as triangles at the edge.
    """
    values, variances = learned.singular_values, learned.variances
    top = float(values.max())
    values = np.where(values > FLOOR * top, values, np.nan)
    for j in range(values.shape[2]):
        color = PALETTE[j % len(PALETTE)]
        ax.plot(variances, values[:, :, j], ".", color=color, markersize=3.5, alpha=0.45)
        ax.plot(variances, _medians(values[:, :, j]), color=color, linewidth=1.3, label=rf"$\sigma_{{{j + 1}}}$")
        edge = limits[:, j] if j < min(rank, limits.shape[1]) else limits[:0, 0]
        ax.plot(np.ones(len(edge)), edge, "<", color=color, transform=ax.get_yaxis_transform(), clip_on=False)
    ax.axhline(rank_tol * top, color=INK, linestyle="--", linewidth=0.9, alpha=0.6, label="rank threshold")
    passive = _medians(values[:, :, rank]) if rank < values.shape[2] else np.array([np.nan])
    if order is not None and np.isfinite(passive[-1]):
        known = np.isfinite(passive)
        power = passive[known][-1] * (variances[known] / variances[known][-1]) ** (order / 2)
        shown = power <= top
        ax.plot(variances[known][shown], power[shown], color=INK, linewidth=4, alpha=0.18, zorder=0, label="prediction")
    ax.set(xscale="log", yscale="log", xlabel=r"variance of the start, $\alpha^2$", ylabel="singular values of $W$")
    ax.invert_xaxis()
    ax.legend(loc="lower left", ncols=1 if values.shape[2] > 4 else 2)


def _medians(values: np.ndarray) -> np.ndarray:
    return np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in values])


def gradient_data(journey: Journey) -> Columns:
    """Return gradient norm and loss along the flow."""
    return {"time": journey.times, "gradient_norm": journey.gradient_norms, "loss": journey.losses}


def draw_gradient(journey: Journey, ax: Any) -> None:
    """Draw the gradient norm; every saddle is marked with its rank and its distance to the best fit of that rank."""
    times, rests = journey.times, journey.passages[:-1]
    moving = times > 0
    draw_gradient_norm(times[moving], journey.gradient_norms[moving], ax, time_scale="log")
    for passage in rests[1:]:
        ax.plot(passage.time, passage.gradient_norm, "o", color=PALETTE[1], zorder=3)
        text = f"rank {passage.visit.rank}\n{_number(passage.fit_distance)}"
        place: Any = {"textcoords": "offset points", "xytext": (0, -7), "ha": "center", "va": "top", "size": 8}
        ax.annotate(text, (passage.time, passage.gradient_norm), **place)
    early = rests[1].time if len(rests) > 1 else float(times[-1])
    ax.set_xlim(left=1e-2 * early)
    lowest = min((passage.gradient_norm for passage in rests), default=1e-8)
    ax.set_ylim(bottom=1e-3 * lowest)


def _number(value: float) -> str:
    if value >= 0.01:
        return f"{value:.3g}"
    digits, exponent = f"{value:.1e}".split("e")
    return rf"${digits}\cdot 10^{{{int(exponent)}}}$"


def factor_data(journey: Journey) -> Columns:
    """Return the singular values of W, A, B and [A; B^T] along the flow."""
    return {"time": journey.times} | {f"sigma_{key}": values for key, values in journey.values.items()}


def draw_factors(journey: Journey, axes: Any) -> None:
    """Draw the singular values of W, A, B and [A; B^T] on four axes; dotted lines stand at the saddles."""
    moving = journey.times > 0
    rests = journey.passages[1:-1]
    early = rests[0].time if rests else float(journey.times[-1])
    for number, (ax, (key, label)) in enumerate(zip(np.ravel(axes), FACTORS.items(), strict=True)):
        values = journey.values[key][moving]
        values = np.where(values > ROUNDING * values[:, :1], values, np.nan)
        draw_singular_values(journey.times[moving], values, ax, label=label, time_scale="log", legend=number == 1)
        for passage in rests:
            ax.axvline(passage.time, color=INK, alpha=0.5, linestyle=":", linewidth=1)
        ax.set_xlim(left=1e-2 * early)


def mask_data(runs: Sequence[MaskRun], names: Sequence[str]) -> Columns:
    """Return the losses of all masks, one below the other."""
    return {
        "mask": np.repeat(np.array(names), [len(run.times) for run in runs]),
        "time": np.concatenate([run.times for run in runs]),
        "loss": np.concatenate([run.losses for run in runs]),
    }


def draw_masks(runs: Sequence[MaskRun], groups: Sequence[str], ax: Any) -> None:
    """Draw the loss of every mask; masks of one group share a colour and an entry of the legend."""
    named = list(dict.fromkeys(groups))
    for run, group in zip(runs, groups, strict=True):
        number, moving = named.index(group), run.times > 0
        repeated = sum(1 for line in ax.lines if line.get_gid() == group)
        style = {"color": PALETTE[number % len(PALETTE)], "linestyle": DASHES[repeated % len(DASHES)], "linewidth": 1.2}
        ax.plot(run.times[moving], run.losses[moving], gid=group, label="_" if repeated else group, **style)
    stays = [saddle.loss for run in runs for saddle in run.limit.saddles if saddle.loss > 0]
    lowest = 1e-4 * min(stays, default=1.0)
    last = max(float(run.times[run.losses > lowest].max(initial=1.0)) for run in runs)
    first = min(float(run.times[run.losses < 0.9 * run.losses[0]].min(initial=last)) for run in runs)
    ax.set(xscale="log", yscale="log", xlabel="time $t$", ylabel="loss $R$", xlim=(0.2 * first, 1.5 * last))
    ax.set_ylim(bottom=lowest)
    ax.legend(loc="lower left")


def passage_table(journey: Journey) -> Table:
    """Return what the flow is at every saddle and at its end."""
    names = "time loss gradient_norm predicted distance ranks outside fit_loss fit_distance"
    rows = [[each.visit.rank, each.visit.loss, *plain(each, names).values()] for each in journey.passages]
    columns = (
        *("k", "loss of the saddle", "time", "loss of the flow", "gradient norm"),
        *("predicted distance", "distance to the saddle"),
        *("ranks of W, A, B, [A; B^T]", "distance to Omega_k", "least loss of rank k", "distance to that fit"),
    )
    caption = (
        "The flow where it rests near each saddle, and at its end. Distances to the saddle are relative to max|M|, to "
        "Omega_k relative to its root; the distance to the best fit is the Frobenius norm."
    )
    return Table("saddles", caption, columns, rows)


def mask_table(runs: Sequence[MaskRun], names: Sequence[str]) -> Table:
    """Return what every mask learns beside the certified references."""
    rows = [
        [
            name,
            str(run.kind),
            [saddle.loss for saddle in run.limit.saddles if saddle.loss > 0],
            run.limit.rank,
            [run.least_rank.lower, run.least_rank.upper],
            None if run.limit.matrix is None else float(np.linalg.svd(run.limit.matrix, compute_uv=False).sum()),
            run.least_norm,
            run.limit.order,
            run.status,
        ]
        for name, run in zip(names, runs, strict=True)
    ]
    columns = (
        *("mask", "kind", "losses of the saddles", "rank of the limit", "minimum rank", "nuclear norm of the limit"),
        *("minimum nuclear norm", "order q", "flow"),
    )
    return Table("mask-references", "The masks: limits of vanishing starts and certified references.", columns, rows)
