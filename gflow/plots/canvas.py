"""The canvas of vector graphics: what is measured for the layout is not measured, nor parsed, once more to be drawn."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

from matplotlib.backends.backend_svg import FigureCanvasSVG, RendererSVG
from matplotlib.textpath import text_to_path


class VectorCanvas(FigureCanvasSVG):
    """The canvas of matplotlib, with one renderer for the layout of a figure and for its file.

    That of matplotlib takes a new one whenever the figure is looked at, and each parses all formulas anew. Texts are
    made paths by the one object that matplotlib keeps for everyone, so formulas are parsed once for all figures.

    Parameters
    ----------
    figure : matplotlib figure
        Of 72 dots per inch, and of a size that does not change. It is drawn once.
    metadata : dict
        As for ``Figure.savefig``.
    """

    def __init__(self, figure: Any, metadata: dict[str, Any]) -> None:
        super().__init__(figure)
        (width, height), self.text = figure.get_size_inches(), io.StringIO()
        self.renderer = RendererSVG(72 * width, 72 * height, self.text, metadata=metadata)
        self.renderer._text2path = text_to_path

    def get_renderer(self) -> RendererSVG:
        """Return the one renderer; matplotlib asks for it."""
        return self.renderer

    def print_svg(self, filename: BinaryIO, **_: Any) -> None:
        """Write the figure to an open file; matplotlib calls this."""
        self.figure.draw(self.renderer)
        self.renderer.finalize()
        filename.write(self.text.getvalue().encode())
