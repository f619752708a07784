"""Drawings of runs on disconnected data: the plane of two norms, rays in polar coordinates, cosines of directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import gflow
from gflow.plots import INK, PALETTE, draw_polar
from gflow_studies.figures.plane_runs import PlaneCrossing, PlanePart


def draw_plane(runs: Sequence[tuple[float, np.ndarray]], sizes: Sequence[np.ndarray], ax: Any) -> Any:
    """Return ``ax`` with the paths of (exponent, norms) and the saddles that the norms of both components make up."""
    exponents = sorted({exponent for exponent, _ in runs})
    named: set[float] = set()
    for exponent, norms in sorted(runs, key=lambda run: run[0]):
        share = exponents.index(exponent) / max(len(exponents) - 1, 1)
        power = "" if exponent == 1 else f"^{{{exponent:.4g}}}"
        label = "_" if exponent in named else rf"faster one from $\alpha{power}$"
        named.add(exponent)
        ax.plot(norms[:, 0], norms[:, 1], color=_between(share), linewidth=1.2, clip_on=False, label=label)
    ends = [part[-1] for part in sizes]
    for x in sizes[0]:
        for y in sizes[1]:
            last = x == ends[0] and y == ends[1]
            ax.plot(x, y, "*" if last else "o", color=INK, markersize=11 if last else 6, zorder=4, clip_on=False)
    ax.set(xlim=(0, 1.06 * ends[0]), ylim=(0, 1.08 * ends[1]))
    ax.set_xlabel(r"$\|\theta\|$ on the faster component")
    ax.set_ylabel(r"$\|\theta\|$ on the slower component")
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0, handlelength=1.4)
    return ax


def _between(share: float) -> tuple[float, ...]:
    """Return the colour at this share of the way from blue over grey to orange, as red, green and blue."""
    stops = [[int(color[k : k + 2], 16) / 255.0 for k in (1, 3, 5)] for color in (PALETTE[0], PALETTE[5], PALETTE[1])]
    return tuple(float(np.interp(share, [0.0, 0.5, 1.0], channel)) for channel in zip(*stops, strict=True))


def draw_rays(
    model: gflow.Factorization,
    parts: Sequence[PlanePart],
    states: np.ndarray,
    crossings: Sequence[PlaneCrossing | None],
    alpha: float,
    axes: Any,
) -> Any:
    """Return ``axes`` with rows and columns in the plane of both directions: decades above alpha, then norms."""
    left, right = np.ravel(axes)
    w = [part.direction(model, states[-1]) if c is None else c.w for part, c in zip(parts, crossings, strict=True)]
    rest = w[1] - (w[0] @ w[1]) * w[0]
    basis = np.stack([w[0], rest / np.linalg.norm(rest)], axis=1)
    A, B = model.factors(states)
    rows = np.concatenate([A[:, list(part.rows)] @ basis for part in parts], axis=1)
    columns = np.concatenate([B[..., list(part.columns)].mT @ basis for part in parts], axis=1)
    low = np.log10(alpha) - 1.0
    draw_polar(_decades(rows, low), _decades(columns, low).mT, left, legend=False, linewidth=1.1)
    draw_polar(rows, columns.mT, right, legend=True, linewidth=1.1)
    top = float(np.log10(max(np.abs(rows).max(), np.abs(columns).max()))) - low
    decades = np.arange(0, int(top) + 1, 2)
    left.set_rticks(decades[1:], [f"$10^{{{round(low + d)}}}$" for d in decades[1:]])
    for ax in (left, right):
        ax.set_rlabel_position(250)
        ax.tick_params(axis="x", labelsize=7, pad=-2)
        ax.tick_params(axis="y", labelsize=7)
    return axes


def _decades(paths: np.ndarray, low: float) -> np.ndarray:
    """Return the same directions with log10 of the norm, above ``low``, for the norm."""
    norms = np.linalg.norm(paths, axis=-1, keepdims=True)
    tiny = np.finfo(float).tiny
    return paths / np.maximum(norms, tiny) * np.maximum(np.log10(np.maximum(norms, tiny)) - low, 0.0)


def draw_directions(cosines: np.ndarray, law: Callable[[np.ndarray], np.ndarray], ax: Any) -> Any:
    """Return ``ax`` with the distribution of the cosines and the law it should follow."""
    grid = np.linspace(-1, 1, 201)
    if len(cosines):
        ax.ecdf(cosines, color=PALETTE[0], label=f"{len(cosines)} runs")
    ax.plot(grid, law(grid), color=INK, linestyle="--", linewidth=1, label="uniform directions")
    ax.set(xlim=(-1, 1), ylim=(0, 1), xlabel=r"$\langle w_1, w_2 \rangle$", ylabel="share of runs below")
    ax.legend(loc="upper left")
    return ax
