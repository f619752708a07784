"""Progress of a command on standard error, and its limit of time."""

from __future__ import annotations

import sys
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from gflow import watch

LINE_SECONDS = 10.0
"""Seconds between two lines where standard error is no terminal."""


@contextmanager
def watching(arguments: Namespace) -> Iterator[None]:
    """Yield while progress is shown and the limit of time holds: a study is finished or not, all else ends early."""
    studies = hasattr(arguments, "quick") or hasattr(arguments, "store")
    own = hasattr(arguments, "store") or hasattr(arguments, "link")  # a sweep shows its own, an explorer on its page
    quiet = arguments.quiet or sys.stderr is None or own
    shown: Any = nullcontext(None) if quiet else _status() if sys.stderr.isatty() else _lines()
    with shown as report, watch.watching(report, arguments.timeout, strict=studies):
        yield


@contextmanager
def _status() -> Iterator[watch.Report]:
    from gflow.show.progress import bar

    with bar() as report:
        yield report


@contextmanager
def _lines() -> Iterator[watch.Report]:
    """Yield what keeps the progress; a line says how far it is every ten seconds, also where nothing is reported."""
    from gflow.show.progress import line

    latest = [watch.Progress("running", None, None, 0.0)]
    done = threading.Event()

    def told() -> None:
        seconds = 0.0
        while not done.wait(LINE_SECONDS):
            seconds += LINE_SECONDS
            with suppress(OSError, ValueError):  # a log that has gone away stops no command
                print(f"gflow: {line(latest[0]._replace(elapsed=seconds))}", file=sys.stderr, flush=True)

    teller = threading.Thread(target=told, daemon=True)
    teller.start()
    try:
        yield lambda progress: latest.__setitem__(0, progress)
    finally:
        done.set()
        teller.join()
