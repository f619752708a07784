"""The figures of a verification: the observation graph and one trajectory, in the units of the matrix."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from gflow import diagnostics
from gflow.plots import draw_gradient_norm, draw_loss, draw_observation_graph, draw_singular_values, figure_svg
from gflow.report import Figure, FigureSet
from gflow.statements import Evidence
from gflow.statements.saddles import singular_values

NAMES = ("observation-graph", "loss", "gradient-norm", "singular-values")
MOST_POINTS = 1500
"""Figures show at most this many states of a trajectory."""
MOST_EDGES = 2000
"""Observation graphs with more edges are not drawn: nobody could follow one of them."""
MOST_WORK = 1e10
"""Up to this many multiplications, states times d1 d2 min(d1, d2), the singular values of W are computed and drawn."""


def trajectory_figures(given: Evidence) -> FigureSet:
    """Return the observation graph, and loss, gradient norm and singular values along the trajectory."""
    left_out = _too_large(given)
    makers = (_graph_figure, _loss_figure, _gradient_figure, _singular_value_figure)
    drawn = tuple(make(given) for name, make in zip(NAMES, makers, strict=True) if name not in left_out)
    return FigureSet(drawn, MappingProxyType(left_out))


def _too_large(given: Evidence) -> dict[str, str]:
    """Return why figures are not drawn, by name, for those that are too large."""
    found, (d1, d2), states = {}, given.problem.shape, len(_moments(given)[0])
    if given.problem.n_observed > MOST_EDGES:
        found["observation-graph"] = f"not drawn with {given.problem.n_observed} edges, which exceed {MOST_EDGES}"
    if states * d1 * d2 * min(d1, d2) > MOST_WORK:
        found["singular-values"] = f"not drawn: those of {states} states of {d1} x {d2} take too long"
    return found


def _graph_figure(given: Evidence) -> Figure:
    problem = given.problem
    entries = np.stack([problem.rows, problem.columns], axis=1)
    zero = problem.targets == 0
    parts = [(part.rows, part.columns) for part in given.connectivity.components]
    svg = figure_svg(
        lambda ax: draw_observation_graph(
            entries[~zero].tolist(), ax, shape=problem.shape, zeros=entries[zero].tolist(), components=parts
        ),
        alt=f"Bipartite graph of the observed entries: {given.connectivity.kind}, {len(parts)} components.",
    )
    caption = "Observation graph: an edge for every observed non-zero entry; observed zeros are dashed."
    data = {"row": problem.rows + 1, "column": problem.columns + 1, "value": problem.targets}
    return Figure("observation-graph", caption, svg, data)


def _moments(given: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the states that figures show, and their times."""
    number = len(given.trajectory.times)
    shown = np.unique(np.linspace(0, number - 1, min(number, MOST_POINTS)).astype(int))
    return shown, given.trajectory.times[shown] / given.unit


def _loss_figure(given: Evidence) -> Figure:
    shown, times = _moments(given)
    losses = given.unit * (given.unit * given.trajectory.losses[shown])
    first = times[1] if len(times) > 1 else 0.0
    waits = [
        (
            max(saddle.plateau.start / given.unit, first),
            _until(given, saddle.plateau),
            given.unit * (given.unit * saddle.point.value),
        )
        for saddle in given.saddles
    ]
    waits = [wait for wait in waits if wait[0] < wait[1]]
    svg = figure_svg(
        lambda ax: draw_loss(times, losses, ax, plateaus=waits), alt="Loss against time, with its plateaus shaded."
    )
    caption = "Loss along the trajectory. Shaded: stays near the saddles, with the loss of the polished saddle."
    return Figure("loss", caption, svg, {"time": times, "loss": losses})


def _until(given: Evidence, plateau: Any) -> float:
    return float(given.trajectory.times[-1] if plateau.end is None else plateau.end) / given.unit


def _gradient_figure(given: Evidence) -> Figure:
    shown, times = _moments(given)
    norms = given.trajectory.gradient_norms[shown] * given.unit * np.sqrt(given.unit)
    lows = [int(np.argmin(np.abs(given.trajectory.losses - saddle.plateau.loss))) for saddle in given.saddles]
    marks = (given.trajectory.times[lows] / given.unit).tolist() if lows else []
    marks = [mark for mark in marks if mark > 0]
    svg = figure_svg(
        lambda ax: draw_gradient_norm(times, norms, ax, marks=marks), alt="Norm of the gradient against time."
    )
    caption = "Norm of the gradient along the trajectory; dotted where it is nearest to a saddle."
    return Figure("gradient-norm", caption, svg, {"time": times, "gradient_norm": norms})


def _singular_value_figure(given: Evidence) -> Figure:
    shown, times = _moments(given)
    path, root = given.trajectory, np.sqrt(given.unit)
    sizes = np.array([singular_values(given.model, theta) for theta in path.states[shown]])
    panels = {"W": ("W", given.unit * sizes)}
    for key, label in (("A", "A"), ("B", "B"), ("stacked", r"[A; B$^T$]")):
        panels[key] = label, root * diagnostics.factor_singular_values(given.model, path, key)[shown]

    def draw(axes: Any) -> None:
        for ax, (label, values) in zip(axes.flat, panels.values(), strict=True):
            draw_singular_values(times, values, ax, label=label)

    svg = figure_svg(
        draw, alt="Singular values of W, A, B and the stacked factors against time.", figsize=(9.6, 6.0), panels=(2, 2)
    )
    caption = "Singular values along the trajectory. On some Omega_k, A, B and [A; B^T] have the same rank."
    data = {"time": times} | {f"sigma_{key}": values for key, (_, values) in panels.items()}
    return Figure("singular-values", caption, svg, data)
