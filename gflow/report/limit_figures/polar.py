"""Rows of A and columns of B on their way from a saddle, in polar coordinates of a plane that holds the escape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.plots import Drawing, draw_polar
from gflow.report.figures import Figure, LeftOut
from gflow.statements import Evidence, thm2

MOST_PANELS = 3
MOST_POINTS = 200
IN_PLANE = 1e-6
"""An escape direction within this of the saddle's own leads out of no plane."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Paths in the plane of the saddle's first factor direction (angle 0) and of the escape; matrix units.

    ``rows`` is (T, d1, 2), ``columns`` (T, 2, d2); ``outside`` the largest part of a row or column that the plane does
    not show, relative to the largest row or column.
    """

    rank: int
    rows: np.ndarray
    columns: np.ndarray
    outside: float


def polar_figure(given: Evidence) -> Figure:
    """Return the escapes from the saddles of rank 1 and more, one panel each (Bai et al. 2024, Figure 5).

    Raises ``LeftOut`` if there is no such saddle with an escape limit.
    """
    views = escape_views(given)[:MOST_PANELS]
    if not views:
        raise LeftOut("the limit passes no saddle of rank 1 or more from which an escape limit is known")

    def draw(axes: Any) -> None:
        flat = np.atleast_1d(axes).flat
        for ax, view in zip(flat, views, strict=True):
            title = f"from rank {view.rank}" if len(views) > 1 else ""
            draw_polar(view.rows, view.columns, ax, title=title, legend=view is views[-1], linewidth=1.2)

    drawing = Drawing.of(
        draw,
        alt="Paths of the rows of A and the columns of B in polar coordinates, as they leave a saddle.",
        figsize=(3.3 * len(views) + 1.5, 3.5),
        panels=(1, len(views)),
        projection="polar",
    )
    return Figure.drawn(
        "polar-view", _caption(views, len(given.connectivity.coupling_components)), drawing, _data(views)
    )


def escape_views(given: Evidence) -> list[View]:
    """Return the views of all escapes with a limit from saddles of rank 1 and more, by rank."""
    found = []
    for escape in given.once(thm2.escapes):
        if not escape.exists or escape.limit is None or escape.limit.path is None or not escape.visit.rank:
            continue
        plane = _plane(given.model, escape.theta, escape.limit.path)
        if plane is not None:
            states = np.concatenate([escape.theta[None], escape.limit.path.states])
            found.append(_view(given, escape.visit.rank, plane, states))
    return found


def _plane(model: gflow.Factorization, saddle: np.ndarray, path: gflow.Trajectory) -> np.ndarray | None:
    """Return an orthonormal basis (r, 2): the saddle's first direction, then that of the escape as far as it is new."""
    first = np.linalg.svd(model.stacked(saddle), full_matrices=False)[2][0]
    left = model.stacked(path.states[0] - saddle)
    escape = np.linalg.svd(left / np.abs(left).max(), full_matrices=False)[2][0]
    new = escape - (escape @ first) * first
    size = float(np.linalg.norm(new))
    return None if size <= IN_PLANE else np.column_stack([first, new / size])


def _view(given: Evidence, rank: int, plane: np.ndarray, states: np.ndarray) -> View:
    model, root = given.model, np.sqrt(given.unit)
    moved = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(states, axis=0), axis=1)))
    shown = np.unique(np.searchsorted(moved, np.linspace(0.0, moved[-1], MOST_POINTS)))
    stacked = model.stacked(states[shown])
    seen = stacked @ plane
    for axis in range(2):
        heaviest = seen[0 if axis == 0 else -1, :, axis]
        seen[..., axis] *= -1.0 if heaviest[np.argmax(np.abs(heaviest))] < 0 else 1.0
    outside = float(np.linalg.norm(stacked - (stacked @ plane) @ plane.T, axis=-1).max())
    size = float(np.linalg.norm(stacked, axis=-1).max())
    rows, columns = seen[:, : model.shape[0]], np.swapaxes(seen[:, model.shape[0] :], 1, 2)
    return View(rank, root * rows, root * columns, outside / size)


def _caption(views: list[View], n_components: int) -> str:
    caption = (
        "Rows of A and columns of B on the limit orbit from each saddle of rank 1 or more, as vectors of the inner "
        "space: the radius is the length, a disc the saddle, a triangle the end. Angle 0 (or 180 degrees) is the "
        "saddle's leading factor direction, the upright direction the part of the escape direction orthogonal to it."
    )
    hidden = [view for view in views if view.outside > IN_PLANE]
    exact = [view for view in views if view.outside <= IN_PLANE]
    if exact:
        caption += f" From rank {', '.join(str(view.rank) for view in exact)} the plane holds the whole orbit."
    for view in hidden:
        caption += (
            f" From rank {view.rank} it is a projection: vectors have parts outside the plane of up to "
            f"{view.outside:.2g} of the longest."
        )
    if n_components > 1:
        caption += (
            " Each component of the saddle stands in a random frame: the angles between components are those of that "
            "frame, not of the limit for this start."
        )
    return caption


def _data(views: list[View]) -> dict[str, np.ndarray]:
    """Return for every panel the coordinates along the saddle's direction and along the escape."""
    data = {}
    for view in views:
        data[f"A_along_rank{view.rank}"] = view.rows[..., 0]
        data[f"A_across_rank{view.rank}"] = view.rows[..., 1]
        data[f"B_along_rank{view.rank}"] = view.columns[:, 0]
        data[f"B_across_rank{view.rank}"] = view.columns[:, 1]
    return data
