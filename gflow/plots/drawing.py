"""A drawing that is made when it is asked for: as SVG, PDF or PNG, as wide as a paper needs it, alone or lettered."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from gflow.plots.style import PALETTE, RC

FORMATS = ("svg", "pdf", "png")
DPI = 300
SMALLEST_TEXT = 0.75
"""Text shrinks with the width of a figure down to this part of its size, 9 points."""
WIDE, LARGE_INCHES = 1.9, 6.0
"""Drawings wider than the first times their height, or than the second in inches, have a row for themselves."""
ROW = 2.6
"""Sum of width / height of the drawings in a row of a composite; rows with less leave room at the right."""
COMPOSITE_WIDTH = 9.6
_UNSIGNED: dict[str, dict[str, None]] = {
    "svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
    "pdf": dict.fromkeys(("Creator", "Producer", "CreationDate")),
    "png": {"Software": None},
}
"""Nothing that changes from one run to the next is written into a file."""
_BACKENDS = {"pdf": "pdf", "png": "agg"}
"""Those of matplotlib, which measure texts as they draw them."""


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
    placed : bool
        Whether ``paint`` says where the axes lie; else they are laid out such that nothing overlaps.
    """

    paint: Callable[[Any], Sequence[Any]]
    alt: str
    figsize: tuple[float, float]
    placed: bool = False

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
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        from gflow.plots.canvas import VectorCanvas
        from gflow.plots.powers import write_plainly

        scale, stream = 1.0 if width is None else width / self.figsize[0], io.BytesIO()
        dpi = DPI if kind == "png" else 72
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_scaled(min(1.0, max(SMALLEST_TEXT, scale))))
            matplotlib.rcParams["axes.prop_cycle"] = cycler(color=PALETTE)
            figure = Figure(figsize=(scale * self.figsize[0], scale * self.figsize[1]), dpi=dpi)
            if kind == "svg":
                VectorCanvas(figure, _UNSIGNED[kind])
            else:
                import_module(f"matplotlib.backends.backend_{_BACKENDS[kind]}").FigureCanvas(figure)
            self.paint(figure)
            write_plainly(figure.axes)
            if not self.placed:  # a figure with an engine of its own would be drawn twice
                ConstrainedLayoutEngine().execute(figure)
            paper: dict[str, Any] = {"transparent": True} if kind == "svg" else {"facecolor": "white"}
            figure.savefig(stream, format=kind, dpi=dpi, metadata=_UNSIGNED[kind], **paper)
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
        full = sum(_aspect(parts[each]) for each in row) > 1.2 * ROW
        if rows[-1] and (full or _alone(part) or _alone(parts[rows[-1][-1]])):
            rows.append([name])
        else:
            rows[-1] = row
    aspects = [[_aspect(parts[name]) for name in row] for row in rows]
    least = [0.0 if _alone(parts[row[0]]) else ROW for row in rows]
    heights = [COMPOSITE_WIDTH / max(sum(row), width) for row, width in zip(aspects, least, strict=True)]

    def paint(figure: Any) -> Sequence[Any]:
        width, height = figure.get_size_inches()
        found: list[Any] = []
        bottom = 1.0
        for row, widths, share in zip(rows, aspects, heights, strict=True):
            bottom, left, tall = bottom - share / sum(heights), 0.0, share / sum(heights)
            for name, aspect in zip(row, widths, strict=True):
                wide = aspect * tall * height / width
                spots = _spots(parts[name], name, (wide * width, tall * height))
                axes = parts[name].paint(figure)
                _letter(axes, name)
                for ax, (x, y, w, h) in zip(axes, spots, strict=True):
                    ax.set_position((left + wide * x, bottom + tall * y, wide * w, tall * h))
                found, left = [*found, *axes], left + wide
        return found

    return Drawing(paint, alt, (COMPOSITE_WIDTH, float(sum(heights))), placed=True)


def _spots(part: Drawing, letters: str, size: tuple[float, float]) -> list[tuple[float, float, float, float]]:
    """Return where the axes of a drawing lie when it has a figure of this size to itself, as parts of it."""
    from matplotlib.figure import Figure

    alone = Figure(figsize=size, layout="constrained")
    axes = part.paint(alone)
    _letter(axes, letters)
    alone.draw_without_rendering()
    return [ax.get_position().bounds for ax in axes]


def _aspect(drawing: Drawing) -> float:
    return drawing.figsize[0] / drawing.figsize[1]


def _alone(drawing: Drawing) -> bool:
    return _aspect(drawing) > WIDE or drawing.figsize[0] > LARGE_INCHES


def _letter(axes: Sequence[Any], letters: str) -> None:
    """Write its letter over each of the axes, or one for all of them over the first."""
    first, _, last = letters.partition("-")
    named = [chr(code) for code in range(ord(first), ord(last) + 1)] if last else [first]
    for ax, letter in zip(axes, named if len(named) == len(axes) else [letters], strict=False):
        ax.set_title(f"({letter})", loc="left", fontweight="bold")


def _scaled(factor: float) -> Any:
    """Return the settings of every figure with sizes of text and lines multiplied by a factor."""
    sizes = {key: factor * value for key, value in RC.items() if key.endswith(("size", "linewidth"))}
    return RC | sizes | {"pdf.fonttype": 42}
