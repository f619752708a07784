"""How the records of gflow look: as HTML in notebooks, on matplotlib axes, and as data frames.

Records are found by the names of their classes, so that nothing is loaded for those that are not shown. To show a new
kind of record: derive it from ``gflow.showing`` and add its name to ``RENDERERS``, ``DRAWINGS`` or ``TABLES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib import import_module
from typing import Any

RENDERERS = {
    "MatrixCompletion": "matrices.problem",
    "MatrixSensing": "matrices.sensing",
    "Completion": "matrices.completion",
    "RankBracket": "matrices.bracket",
    "Connectivity": "matrices.connectivity",
    "Traversal": "limits.limit",
    "DeepTraversal": "limits.deep_limit",
    "SymmetricTraversal": "limits.symmetric_limit",
    "Trajectory": "points.trajectory",
    "CriticalPoint": "points.critical_point",
    "Spectrum": "points.spectrum",
    "Landscape": "landscapes.landscape",
    "Node": "landscapes.node",
    "Claim": "verdicts.claim",
    "Explanation": "limits.explanation",
    "Report": "verdicts.report",
    "Ledger": "verdicts.ledger",
}
"""What renders a record as HTML, by the name of its class."""
DRAWINGS = {
    "MatrixCompletion": "drawings.problem",
    "Completion": "drawings.completion",
    "RankBracket": "drawings.bracket",
    "Connectivity": "drawings.connectivity",
    "Traversal": "drawings.limit",
    "DeepTraversal": "drawings.chain",
    "SymmetricTraversal": "drawings.chain",
    "Explanation": "drawings.explanation",
    "Trajectory": "drawings.trajectory",
    "CriticalPoint": "drawings.critical_point",
    "Claim": "drawings.claim",
    "Report": "drawings.report",
    "Ledger": "drawings.report",
    "Spectrum": "drawings.spectrum",
    "Landscape": "landscapes.drawn",
}
"""What draws a record on axes."""
TABLES = {
    "MatrixCompletion": "frames.problem",
    "Completion": "frames.completion",
    "RankBracket": "frames.bracket",
    "Connectivity": "frames.connectivity",
    "Traversal": "frames.limit",
    "DeepTraversal": "frames.deep_limit",
    "SymmetricTraversal": "frames.symmetric_limit",
    "Explanation": "frames.explanation",
    "Trajectory": "frames.trajectory",
    "CriticalPoint": "frames.critical_point",
    "Claim": "frames.claim",
    "Spectrum": "frames.spectrum",
    "Landscape": "landscapes.columns",
    "Report": "frames.claims",
    "Ledger": "frames.ledger",
}
"""What returns the columns of a record as a table."""


def html(record: Any) -> str:
    """Return a record as HTML without scripts, styles of its own, or anything to load."""
    render = _found(record, RENDERERS)
    return f"<pre>{escape(repr(record))}</pre>" if render is None else render(record)


def plot(record: Any, ax: Any = None, **style: Any) -> Any:
    """Return the axes, ``ax`` or those of a new figure, with the picture of a record."""
    draw = _found(record, DRAWINGS)
    if draw is None:
        raise TypeError(f"there is no picture of a {type(record).__name__}")
    from gflow.show.drawings import new_axes

    return draw(record, new_axes() if ax is None else ax, **style)


def frame(record: Any) -> Any:
    """Return the table of a record as a pandas data frame; ``ImportError`` where pandas is not installed."""
    table = _found(record, TABLES)
    if table is None:
        raise TypeError(f"a {type(record).__name__} is no table")
    from gflow.show.frames import data_frame

    return data_frame(*table(record))


def _found(record: Any, table: Mapping[str, str]) -> Any:
    """Return the function for a record, or for a class that it derives from; None where there is none."""
    for kind in type(record).__mro__:
        if kind.__name__ in table:
            room, name = table[kind.__name__].split(".")
            return getattr(import_module(f"gflow.show.{room}"), name)
    return None
