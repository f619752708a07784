"""Waiting times at the saddles: multiples of log(1/alpha) from the exponents of the traversal, against integration."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from gflow.plots import Drawing, draw_plateau_times
from gflow.report.figures import Figure, LeftOut
from gflow.report.limit_figures.runs import SCALE_LABEL, LimitRun, limit_runs
from gflow.statements import Evidence

LARGEST_SCALE = 0.1
"""Starts above this, relative to the square root of the unit, wait at no saddle."""
SAME_LOSS = 1e-9
"""Saddles whose losses differ by less than this fraction have no crossing between them."""
LOGARITHMIC_FROM = 15.0
"""Waiting times that differ by more than this factor are drawn on a logarithmic scale."""
MOST_SADDLES = 10
CAPTION = (
    "Time between one crossing and the next, a crossing being where the loss is half-way between two saddles. "
    "Points: integrated trajectories. Dashed: the predicted multiple of log(1/alpha), which leaves out a constant "
    "that does not depend on alpha: points and line are parallel. The legend gives the multiple between the two "
    "smallest alphas and, in brackets, the predicted one."
)
GUIDE_POINTS = 40


def plateau_figure(given: Evidence) -> Figure:
    """Return waiting times against alpha, predicted and integrated.

    Raises ``LeftOut`` if no saddle is waited at, or no trajectory shows it.
    """
    ranks, multiples, levels = predicted_waits(given)
    shown = [run for run in given.once(limit_runs) if run.log_alpha < np.log(LARGEST_SCALE)]
    if not shown or not len(ranks):
        raise LeftOut("no trajectory from a small start waits at a saddle")
    logs = np.array([-run.log_alpha for run in shown])
    measured = np.diff([crossings(run, levels) for run in shown], axis=1, prepend=0.0)
    predicted = logs[:, None] * multiples
    slopes = [_slope(logs, waits) for waits in measured.T]
    labels = [
        f"rank {rank}: {'no fit' if slope is None else f'{slope:.5g}'} ({multiple:.5g})"
        for rank, slope, multiple in zip(ranks, slopes, multiples, strict=True)
    ]
    alphas = np.exp(-logs + 0.5 * np.log(given.unit))
    scale = "log" if multiples.max() > LOGARITHMIC_FROM * multiples.min() and np.nanmin(measured) > 0 else "linear"
    guide = np.linspace(logs[0], logs[-1], GUIDE_POINTS)
    guide_alphas, lines = np.exp(-guide + 0.5 * np.log(given.unit)), guide[:, None] * multiples
    options: dict[str, Any] = {"labels": labels, "value_scale": scale, "fillstyle": "none"}

    def draw(ax: Any) -> None:
        draw_plateau_times(alphas, measured, lines, ax, guide_alphas=guide_alphas, xlabel=SCALE_LABEL, **options)
        ax.get_legend().set(title="multiples: fitted (predicted)", alignment="left")

    drawing = Drawing.of(
        draw,
        alt="Waiting time at every saddle against alpha: points integrated, dashed lines predicted.",
        figsize=(5.4, 3.4),
    )
    data = {
        "alpha": alphas,
        "source": np.array([run.source for run in shown]),
        "log_1_over_alpha": logs,
        "measured": measured,
        "predicted": predicted,
        "guide_alpha": guide_alphas,
        "guide": lines,
        "rank": np.array(ranks),
        "multiple_predicted": multiples,
        "multiple_measured": np.array([np.nan if slope is None else slope for slope in slopes]),
    }
    return Figure.drawn("plateau-times", CAPTION, drawing, data)


def predicted_waits(given: Evidence) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Return ranks of the saddles waited at, their waits in units of log(1/alpha), and the loss that ends each."""
    visits = given.visits
    steps = [
        (visit.rank, later.arrival - visit.arrival, 0.5 * visit.loss + 0.5 * later.loss)
        for visit, later in pairwise(visits)
        if visit.loss - later.loss > SAME_LOSS * visit.loss
    ][:MOST_SADDLES]
    ranks, waits, levels = zip(*steps, strict=True) if steps else ((), (), ())
    return list(ranks), np.array(waits), np.array(levels)


def crossings(run: LimitRun, levels: np.ndarray) -> np.ndarray:
    """Return when the loss falls below each of the falling ``levels``; NaN where it does not."""
    falling = np.minimum.accumulate(run.losses)
    times = np.interp(-levels, -falling, run.times)
    return np.where((levels < falling[0]) & (levels >= falling[-1]), times, np.nan)


def _slope(logs: np.ndarray, waits: np.ndarray) -> float | None:
    """Return the rise of the waiting time per unit of log(1/alpha) between the two smallest alphas that differ."""
    known = np.flatnonzero(np.isfinite(waits))
    known = known[np.unique(logs[known], return_index=True)[1]]
    if len(known) < 2:
        return None
    first, last = known[-2], known[-1]
    return float((waits[last] - waits[first]) / (logs[last] - logs[first]))
