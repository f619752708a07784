"""A drawing that is made when it is asked for: as SVG, PDF or PNG, as wide as a paper needs it, alone or lettered."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.plots.style import PALETTE, RC

FORMATS = ("svg", "pdf", "png")
DPI = 300
SMALLEST_TEXT = 0.75
"""Text shrinks with the width of a figure down to this part of its size, 9 points."""
WIDE = 1.9
"""Drawings wider than this times their height have a row of a composite for themselves."""
ROW = 2.6
"""Sum of width / height of the drawings in a row of a composite; rows with less leave room at the right."""
COMPOSITE_WIDTH = 9.6
_UNSIGNED: dict[str, dict[str, None]] = {
    "svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
    "pdf": dict.fromkeys(("Creator", "Producer", "CreationDate")),
    "png": {"Software": None},
}
"""Nothing that changes from one run to the next is written into a file."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What is drawn, and how large; nothing is drawn before it is asked for.

    Attributes
    ----------
    paint : function of a matplotlib figure
        Draws on it and returns the axes, in reading order.
    alt : str
        What the figure shows, in one sentence, for readers who cannot see it.
    figsize : (width, height)
        In inches.
    """

    paint: Callable[[Any], Sequence[Any]]
    alt: str
    figsize: tuple[float, float]

    @classmethod
    def of(
        cls,
        draw: Callable[[Any], Any],
        *,
        alt: str,
        figsize: tuple[float, float] = (4.8, 3.2),
        panels: tuple[int, int] = (1, 1),
        projection: str | None = None,
    ) -> Drawing:
        """Return the drawing of ``draw``, called with one ``Axes`` for a single panel, else an array of them.

        Raises ``ValueError`` if ``alt`` is empty.
        """
        if not alt.strip():
            raise ValueError("alt must say in words what the figure shows; got an empty text")

        def paint(figure: Any) -> Sequence[Any]:
            axes = figure.subplots(*panels, squeeze=False, subplot_kw={"projection": projection})
            draw(axes[0, 0] if panels == (1, 1) else axes)
            return list(axes.flat)

        return cls(paint, alt, figsize)

    def rendered(self, kind: str, width: float | None = None) -> bytes:
        """Return the file of this kind, one of ``FORMATS``; ``width`` in inches instead of its own.

        Raises ``ValueError`` for another kind or a width that is not positive.
        """
        if kind not in FORMATS:
            raise ValueError(f"format of a figure must be one of {', '.join(FORMATS)}; got {kind!r}")
        if width is not None and not 0 < width < np.inf:
            raise ValueError(f"width of a figure must be positive and finite; got {width!r}")
        import matplotlib
        from cycler import cycler
        from matplotlib.figure import Figure

        scale, stream = 1.0 if width is None else width / self.figsize[0], io.BytesIO()
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_scaled(min(1.0, max(SMALLEST_TEXT, scale))))
            matplotlib.rcParams["axes.prop_cycle"] = cycler(color=PALETTE)
            figure = Figure(figsize=(scale * self.figsize[0], scale * self.figsize[1]), layout="constrained")
            self.paint(figure)
            paper: dict[str, Any] = {"transparent": True} if kind == "svg" else {"facecolor": "white"}
            figure.savefig(stream, format=kind, dpi=72 if kind == "svg" else DPI, metadata=_UNSIGNED[kind], **paper)
        return stream.getvalue()

    def __repr__(self) -> str:
        return f"Drawing({self.alt!r}, {self.figsize[0]:g} x {self.figsize[1]:g} in)"


def composite(parts: Mapping[str, Drawing], alt: str) -> Drawing:
    """Return one drawing of several, in rows, the axes of each with the letters that are its key: 'a' or 'b-e'.

    Raises ``ValueError`` if there are no parts.
    """
    if not parts:
        raise ValueError("a composite needs at least one drawing; got none")
    rows: list[list[str]] = [[]]
    for name, part in parts.items():
        row = [*rows[-1], name]
        if rows[-1] and (sum(_aspect(parts[each]) for each in row) > 1.2 * ROW or _aspect(part) > WIDE):
            rows.append([name])
        else:
            rows[-1] = row
    aspects = [[_aspect(parts[name]) for name in row] for row in rows]
    heights = [COMPOSITE_WIDTH / max(sum(row), ROW if len(row) > 1 or row[0] < WIDE else 0.0) for row in aspects]

    def paint(figure: Any) -> Sequence[Any]:
        found: list[Any] = []
        strips = np.atleast_1d(figure.subfigures(len(rows), 1, height_ratios=heights))
        for strip, row, widths, height in zip(strips, rows, aspects, heights, strict=True):
            left = COMPOSITE_WIDTH / height - sum(widths)
            places = np.atleast_1d(strip.subfigures(1, len(row) + (left > 0.05), width_ratios=_with(widths, left)))
            for place, name in zip(places, row, strict=False):
                axes = parts[name].paint(place)
                _letter(axes, name)
                found += axes
        return found

    return Drawing(paint, alt, (COMPOSITE_WIDTH, float(sum(heights))))


def _with(widths: Sequence[float], left: float) -> list[float]:
    return [*widths, left] if left > 0.05 else list(widths)


def _aspect(drawing: Drawing) -> float:
    return drawing.figsize[0] / drawing.figsize[1]


def _letter(axes: Sequence[Any], letters: str) -> None:
    """Write its letter over each of the axes, or one for all of them over the first."""
    first, _, last = letters.partition("-")
    named = [chr(code) for code in range(ord(first), ord(last) + 1)] if last else [first]
    for ax, letter in zip(axes, named if len(named) == len(axes) else [letters], strict=False):
        ax.set_title(f"({letter})", loc="left", fontweight="bold")


def _scaled(factor: float) -> Any:
    """Return the settings of every figure with sizes of text multiplied by a factor."""
    sizes = {key: factor * value for key, value in RC.items() if key.endswith("size") and key != "lines.markersize"}
    return RC | sizes | {"pdf.fonttype": 42}
