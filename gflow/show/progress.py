"""Progress on a terminal and in notebooks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from html import escape

from gflow.watch import Progress, Report


def bar() -> AbstractContextManager[Report]:
    """Return the context of what shows progress on standard error, or below the cell of a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return _below_the_cell() if hasattr(shell, "kernel") else _on_the_terminal()


@contextmanager
def _on_the_terminal() -> Iterator[Report]:
    from rich.console import Console

    with Console(stderr=True).status("gflow") as status:
        yield lambda progress: status.update(line(progress))


@contextmanager
def _below_the_cell() -> Iterator[Report]:
    """Yield what needs no widgets: one line that is written over, and gone in the end."""
    from IPython.display import HTML, display

    place = display(HTML(""), display_id=True)
    try:
        yield lambda progress: place.update(HTML(f"<code>{escape(line(progress))}</code>"))
    finally:
        place.update(HTML(""))


def line(progress: Progress) -> str:
    """Return how far a call is, in one line of plain text."""
    parts = [progress.stage or "gflow"]
    if progress.done is not None:
        parts.append(f"{progress.done:.4g}" + ("" if progress.total is None else f" of {progress.total:.4g}"))
    return f"{', '.join(parts)} ({progress.elapsed:.0f} s)"
