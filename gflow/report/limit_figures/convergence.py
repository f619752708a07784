"""How fast escapes from saddles, and whole completions, approach their limits as the start shrinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.plots import Drawing, draw_convergence, power_law
from gflow.report.figures import Figure, LeftOut
from gflow.report.limit_figures.runs import FAR_POWERS, SCALE_LABEL, completion_powers, left_over, limit_runs
from gflow.statements import Evidence, thm2

MOST_SERIES = 6
SETTLED_SLOPE = 0.01
"""A slope has settled if the last two differ by at most this fraction."""
ORDER_APART = 0.03
"""A fitted order that differs from the predicted one by more than this fraction is named in the caption."""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Errors at falling alphas, in the units of the figure, with both orders (None: not known, or not settled)."""

    panel: str
    label: str
    alphas: np.ndarray
    errors: np.ndarray
    predicted: float | None
    fitted: float | None

    def line(self, order: float | None) -> np.ndarray:
        """Return the drawn power law of this order at the alphas; NaN where there is none."""
        return np.full(len(self.alphas), np.nan) if order is None else power_law(self.alphas, self.errors, order)


def convergence_figure(given: Evidence) -> Figure:
    """Return errors against alpha: of the escape from every saddle, and of the completion.

    Raises ``LeftOut`` if there is nothing to show.
    """
    escapes, failures = escape_series(given)
    whole, note = completion_series(given)
    if not escapes and whole is None:
        raise LeftOut(f"no escape limit was found ({failures or 'no saddle is left'}), and {note}")
    panels = [(escapes, r"$\alpha$: distance from the saddle", "distance from the limit, relative")] if escapes else []
    if whole is not None:
        panels.append(([whole], SCALE_LABEL, r"largest entry of $|W - W_{limit}|$"))

    def draw(axes: Any) -> None:
        for ax, (series, xlabel, ylabel) in zip(np.atleast_1d(axes).flat, panels, strict=True):
            points = [(s.label, s.alphas, s.errors, s.fitted) for s in series]
            draw_convergence(points, ax, predicted=[s.predicted for s in series], xlabel=xlabel, ylabel=ylabel)
            ax.get_legend().set(title="orders: fitted (predicted)", alignment="left")

    alt = "Errors against alpha on logarithmic scales, with the fitted and the predicted powers of alpha."
    drawing = Drawing.of(draw, alt=alt, figsize=(4.8 * len(panels), 3.4), panels=(1, len(panels)))
    series = [*escapes, *([] if whole is None else [whole])]
    return Figure.drawn("limit-convergence", _caption(escapes, failures, whole, note), drawing, _data(series))


def escape_series(given: Evidence) -> tuple[list[Series], str]:
    """Return Theorem 2's errors at every saddle with an escape limit, and why others have none."""
    met = given.once(thm2.escapes)
    found = []
    for escape in met:
        limit = escape.limit
        if escape.exists and limit is not None and limit.alphas is not None and limit.errors is not None:
            shown = limit.errors > 0
            alphas = limit.alphas[shown] * np.sqrt(given.unit)
            label = f"from rank {escape.visit.rank}"
            orders = limit.predicted_order, limit.fitted_order
            found.append(Series("escape", label, alphas, limit.errors[shown], *orders))
    return found[:MOST_SERIES], "; ".join(f"at {escape}" for escape in met if not escape.exists)


def completion_series(given: Evidence) -> tuple[Series | None, str]:
    """Return the errors of the completions at several scales, or None, and what there is to say about them."""
    traversal, limit = given.traversal, given.matrix
    q = traversal.order
    if limit is None or q is None:
        return None, "the order q of the completion is not defined: nothing is unobserved, or it is undecided"
    ends = [(run.log_alpha, run.matrix) for run in given.once(limit_runs) if run.completion and run.matrix is not None]
    pairs = [(log, float(np.abs(W - limit).max())) for log, W in ends]
    logs, errors = np.array([pair for pair in pairs if pair[1] > given.once(left_over)]).reshape(-1, 2).T
    if len(logs) < 2:
        return None, "the completions differ from the limit by no more than the errors of the integration"
    slopes = np.diff(np.log(errors)) / np.diff(logs)
    settled = len(slopes) > 1 and abs(slopes[-1] - slopes[-2]) <= SETTLED_SLOPE * abs(slopes[-1])
    lawful = completion_powers(traversal) != FAR_POWERS
    fitted = float(slopes[-1]) if settled else None
    alphas = np.exp(logs + 0.5 * np.log(given.unit))
    return Series("completion", "W", alphas, errors, q if lawful else None, fitted), slope_note(
        slopes, q, fitted, lawful
    )


def slope_note(slopes: np.ndarray, q: float, fitted: float | None, lawful: bool) -> str:
    """Return what there is to say where the slope of the completion is not the predicted one."""
    listed = ", ".join(f"{slope:.4g}" for slope in slopes)
    if not lawful:
        return f"Slopes of the completion: {listed}; no start shown is so small that the predicted {q:.4g} holds."
    if fitted is None:
        return f"The slope of the completion has not settled: from point to point it is {listed}, predicted {q:.4g}."
    if abs(fitted - q) > ORDER_APART * q:
        side = "below" if fitted < q else "above"
        return f"Slopes of the completion, from point to point: {listed}; at these scales {side} the predicted {q:.4g}."
    return ""


def _caption(escapes: list[Series], failures: str, whole: Series | None, note: str) -> str:
    shown = []
    if escapes:
        shown.append(
            "distance of trajectories that start at alpha from a saddle to their limit (Theorem 2), relative to the "
            "size of the orbit."
        )
    if whole is not None:
        shown.append("largest difference between an entry of W at the end of a trajectory and in the limit.")
    sides = ("Left: ", "Right: ") if len(shown) == 2 else ("Shown: ",)
    said = [side + text for side, text in zip(sides, shown, strict=True)]
    said.append(
        "Dashed: the fitted power of alpha; broad and pale: the predicted one, which is a lower bound where terms of "
        "the expansion vanish. The legend gives the fitted order and, in brackets, the predicted one."
    )
    said += [f"No escape limit {failures}."] if failures else []
    said += [note if whole is not None else f"The completion is not shown: {note}."] if note else []
    return " ".join(said)


def _data(series: Sequence[Series]) -> dict[str, np.ndarray]:
    """Return one row for every point, with the values of both lines there."""

    def column(values: Any) -> np.ndarray:
        return np.concatenate([np.broadcast_to(values(s), len(s.alphas)) for s in series])

    def order(value: float | None) -> float:
        return np.nan if value is None else value

    return {
        "panel": column(lambda s: s.panel),
        "series": column(lambda s: s.label),
        "alpha": column(lambda s: s.alphas),
        "error": column(lambda s: s.errors),
        "fitted_order": column(lambda s: order(s.fitted)),
        "predicted_order": column(lambda s: order(s.predicted)),
        "fitted_line": column(lambda s: s.line(s.fitted)),
        "predicted_line": column(lambda s: s.line(s.predicted)),
    }
