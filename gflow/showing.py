"""How records show themselves: in notebooks, as plots and as data frames.

What draws is loaded when it is asked for, so that a record knows nothing of HTML, matplotlib or pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


class Shown:
    """A record that notebooks show as HTML."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return _room().html(self)


class Drawn(Shown):
    """A record that can be plotted."""

    __slots__ = ()

    def plot(self, ax: Axes | None = None, **style: Any) -> Axes:
        """Return matplotlib axes with the picture of the record.

        Parameters
        ----------
        ax : Axes, optional
            Default: those of a new figure.
        style
            Passed on to what draws the lines, or the image.
        """
        return _room().plot(self, ax, **style)


class Tabular(Shown):
    """A record that is a table."""

    __slots__ = ()

    def to_frame(self) -> DataFrame:
        """Return the table as a pandas data frame; ``ImportError`` where pandas is not installed."""
        return _room().frame(self)


def _room() -> Any:
    return import_module("gflow.show")
