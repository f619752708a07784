"""The figures of a verification: the observation graph and one trajectory, in the units of the matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow import diagnostics
from gflow.plots import Drawing, draw_gradient_norm, draw_loss, draw_observation_graph, draw_singular_values
from gflow.report import Figure, FigureSet
from gflow.report.figures import LeftOut, drawn_figures
from gflow.statements import Evidence
from gflow.statements.saddles import singular_values

MOST_POINTS = 1500
"""Figures show at most this many states of a trajectory."""
MOST_EDGES = 2000
"""Observation graphs with more edges are not drawn: nobody could follow one of them."""
MOST_LINES = 50
"""Singular values that are drawn beside each other; the data of the figure hold all."""
BEFORE = 0.1
"""The first rest is shown from this part of its end on."""
SMALLEST_DRAWN = 1e-12
"""Singular values below this part of the largest are not shown beside the loss."""
MOST_WORK = 1e10
"""Up to this many multiplications, states times d1 d2 min(d1, d2), the singular values of W are computed and drawn."""


def trajectory_figures(given: Evidence) -> FigureSet:
    """Return the observation graph, and loss, gradient norm and singular values along the trajectory."""
    return drawn_figures(given, FIGURES)


def _graph_figure(given: Evidence) -> Figure:
    problem = given.problem
    if problem.n_observed > MOST_EDGES:
        raise LeftOut(f"not drawn with {problem.n_observed} edges, which exceed {MOST_EDGES}")
    entries = np.stack([problem.rows, problem.columns], axis=1)
    zero = problem.targets == 0
    parts = [(part.rows, part.columns) for part in given.connectivity.components]
    drawing = Drawing.of(
        lambda ax: draw_observation_graph(
            entries[~zero].tolist(), ax, shape=problem.shape, zeros=entries[zero].tolist(), components=parts
        ),
        alt=f"Bipartite graph of the observed entries: {given.connectivity.kind}, {len(parts)} components.",
    )
    caption = "Observation graph: an edge for every observed non-zero entry; observed zeros are dashed."
    data = {"row": problem.rows + 1, "column": problem.columns + 1, "value": problem.targets}
    return Figure.drawn("observation-graph", caption, drawing, data)


def _moments(given: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the states that figures show, and their times."""
    number = len(given.trajectory.times)
    shown = np.unique(np.linspace(0, number - 1, min(number, MOST_POINTS)).astype(int))
    return shown, given.trajectory.times[shown] / given.unit


def _loss_figure(given: Evidence) -> Figure:
    shown, times = _moments(given)
    losses = given.matrix_loss(given.trajectory.losses[shown])
    left, right = _window(given, times)
    marks = [
        (max(start, left), end, given.matrix_loss(saddle.point.value), f"rank {saddle.rank}")
        for (start, end), saddle in zip(_stays(given, times), given.saddles, strict=True)
        if start < end
    ]

    def draw(ax: Any) -> None:
        draw_loss(times, losses, ax, plateaus=marks, time_scale="log")
        if left < right:
            ax.set_xlim(left, right)
        ax.margins(y=0.12)

    drawing = Drawing.of(draw, alt="Loss against the logarithm of time: it rests at each saddle, then falls.")
    caption = (
        "Loss along the trajectory, against the logarithm of time. Discs and shading: where it rests, at the loss of "
        "the saddle nearby, polished by Newton's method, with the rank of W there."
    )
    return Figure.drawn("loss", caption, drawing, {"time": times, "loss": losses})


def _sizes(given: Evidence) -> np.ndarray:
    """Return the singular values of W at the moments shown; raises ``LeftOut`` where they take too long."""
    shown, (d1, d2) = _moments(given)[0], given.problem.shape
    if len(shown) * d1 * d2 * min(d1, d2) > MOST_WORK:
        raise LeftOut(f"not drawn: those of {len(shown)} states of {d1} x {d2} take too long")
    return given.unit * np.array([singular_values(given.model, theta) for theta in given.trajectory.states[shown]])


def _value_figure(given: Evidence) -> Figure:
    values, times = given.once(_sizes), _moments(given)[1]
    stays = [(start, end) for start, end in _stays(given, times) if start < end]
    seen = values[:, values.max(axis=0) > SMALLEST_DRAWN * values.max()]

    def draw(ax: Any) -> None:
        draw_singular_values(times, seen, ax, label="$W$", time_scale="log", plateaus=stays, legend=False)
        left, right = _window(given, times)
        if left < right:
            ax.set_xlim(left, right)
        if values.max(initial=0.0) > 0:
            ax.set_ylim(SMALLEST_DRAWN * values.max(), 20.0 * values.max())
        if 1 < seen.shape[1] <= 10:
            ax.legend(loc="lower right")

    drawing = Drawing.of(draw, alt="Singular values of W against the logarithm of time: they rise one by one.")
    caption = (
        "Singular values of W along the same trajectory: each rest is left when one more of them has grown. Those "
        "below 1e-12 of the largest are not shown."
    )
    return Figure.drawn("learned-values", caption, drawing, {"time": times, "sigma": values})


def _stays(given: Evidence, times: np.ndarray) -> list[tuple[float, float]]:
    """Return from when to when the trajectory rests at each saddle, after its first step."""
    first = float(times[1]) if len(times) > 1 else 0.0
    return [(max(saddle.plateau.start / given.unit, first), _until(given, saddle.plateau)) for saddle in given.saddles]


def _window(given: Evidence, times: np.ndarray) -> tuple[float, float]:
    """Return the times shown: from a part of the first rest, before which nothing happens, to the end."""
    last = float(times[-1]) or 1.0
    ends = [end for start, end in _stays(given, times) if start < end]
    positive = times[times > 0]
    first = float(positive[0]) if len(positive) else last / 10.0
    return max(first, BEFORE * ends[0]) if ends else first, last


def _until(given: Evidence, plateau: Any) -> float:
    return float(given.trajectory.times[-1] if plateau.end is None else plateau.end) / given.unit


def _gradient_figure(given: Evidence) -> Figure:
    shown, times = _moments(given)
    norms = given.trajectory.gradient_norms[shown] * given.unit * np.sqrt(given.unit)
    lows = [int(np.argmin(np.abs(given.trajectory.losses - saddle.plateau.loss))) for saddle in given.saddles]
    marks = (given.trajectory.times[lows] / given.unit).tolist() if lows else []
    marks = [mark for mark in marks if mark > 0]
    drawing = Drawing.of(
        lambda ax: draw_gradient_norm(times, norms, ax, marks=marks), alt="Norm of the gradient against time."
    )
    caption = "Norm of the gradient along the trajectory; dotted where it is nearest to a saddle."
    return Figure.drawn("gradient-norm", caption, drawing, {"time": times, "gradient_norm": norms})


def _factor_figure(given: Evidence) -> Figure:
    panels = {"W": ("W", given.once(_sizes))}
    shown, times = _moments(given)
    for key, label in (("A", "A"), ("B", "B"), ("stacked", r"[A; B$^T$]")):
        sizes = diagnostics.factor_singular_values(given.model, given.trajectory, key)
        panels[key] = label, np.sqrt(given.unit) * sizes[shown]

    def draw(axes: Any) -> None:
        for ax, (label, values) in zip(axes.flat, panels.values(), strict=True):
            draw_singular_values(times, values[:, :MOST_LINES], ax, label=label)

    drawing = Drawing.of(
        draw, alt="Singular values of W, A, B and the stacked factors against time.", figsize=(9.6, 6.0), panels=(2, 2)
    )
    which = f"The {MOST_LINES} largest singular values" if given.model.rank > MOST_LINES else "Singular values"
    caption = f"{which} along the trajectory. On some Omega_k, A, B and [A; B^T] have the same rank."
    data = {"time": times} | {f"sigma_{key}": values for key, (_, values) in panels.items()}
    return Figure.drawn("singular-values", caption, drawing, data)


FIGURES = {
    "observation-graph": _graph_figure,
    "loss": _loss_figure,
    "learned-values": _value_figure,
    "gradient-norm": _gradient_figure,
    "singular-values": _factor_figure,
}
