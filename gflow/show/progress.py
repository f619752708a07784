"""Progress on a terminal and in notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gflow.watch import Progress, Report


@contextmanager
def bar() -> Iterator[Report]:
    """Yield what shows progress on standard error, or below the cell of a notebook, until it is done."""
    from rich.console import Console

    with Console(stderr=True).status("gflow") as status:
        yield lambda progress: status.update(line(progress))


def line(progress: Progress) -> str:
    """Return how far a call is, in one line of plain text."""
    parts = [progress.stage or "gflow"]
    if progress.done is not None:
        parts.append(f"{progress.done:.4g}" + ("" if progress.total is None else f" of {progress.total:.4g}"))
    return f"{', '.join(parts)} ({progress.elapsed:.0f} s)"
