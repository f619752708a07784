"""The subcommand about many runs: ``sweep``, its progress, and what an interruption leaves."""

from __future__ import annotations

import os
import shlex
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gflow.cli.inputs import check_writable_file
from gflow.cli.output import Outcome, Refused, facts, one_line, refusing, table
from gflow.watch import TimeIsUp, tick

if TYPE_CHECKING:
    from gflow.studies import Sweep, SweepProgress, SweepTable

LOG_SECONDS = 10.0
"""Seconds between two lines of progress where standard error is no terminal."""
MOST_FAILURES = 10
"""Failed configurations that the text shows."""


def sweep(arguments: Namespace) -> Outcome:
    """Return the table of a sweep, computed in parallel and kept in a store; or the list of sweeps."""
    from gflow.studies import run_sweep, sweep_named

    if arguments.list:
        return _list()
    if arguments.name is None:
        raise Refused("argument NAME: name a sweep, or --list them (see gflow sweep --help)")
    with refusing("argument NAME"):
        chosen = sweep_named(arguments.name)
    if arguments.store is None:
        raise Refused("argument --store: name the file that keeps the results (see gflow sweep --help)")
    if arguments.scheduler is not None and arguments.jobs is not None:
        raise Refused("--scheduler runs everything on its own workers: leave out --jobs")
    if arguments.csv is not None and os.path.realpath(arguments.csv) == os.path.realpath(arguments.store):
        raise Refused(f"--csv would replace the store {arguments.store}: give it another name")
    check_writable_file(arguments.csv)
    with _kept(arguments) as seen, _shown(chosen.name) as show:

        def told(progress: SweepProgress) -> None:
            seen.append(progress)
            del seen[:-1]
            show(progress)
            tick()

        found = run_sweep(
            chosen,
            arguments.store,
            seed=arguments.seed,
            jobs=arguments.jobs or 1,
            scheduler=arguments.scheduler,
            resume=arguments.resume,
            on_progress=told,
        )
    if arguments.csv is not None:
        with refusing(arguments.csv):
            found.write_csv(arguments.csv)
    payload = {"store": arguments.store, "csv": arguments.csv} | found.to_dict()
    return Outcome(payload, lambda: _parts(found, payload))


def _list() -> Outcome:
    from gflow.studies import sweeps

    rows = [_described(sweep) for sweep in sweeps().values()]
    head = ["name ", "version", "configurations", "description "]
    return Outcome({"sweeps": rows}, lambda: [table("sweeps", head, [list(row.values()) for row in rows])])


def _described(each: Sweep) -> dict[str, Any]:
    return {
        "name": each.name,
        "version": each.version,
        "configurations": len(each.configurations()),
        "description": each.description,
    }


def _parts(found: SweepTable, payload: dict[str, Any]) -> Iterator[Any]:
    yield facts(
        [
            ("sweep", f"{found.sweep.name}: {found.sweep.description}"),
            ("seed", str(found.seed)),
            ("configurations", f"{len(found.rows)}, {found.computed} of them computed by this run"),
            ("failed", str(len(found.failed))),
            *((name, payload[name]) for name in ("store", "csv") if payload[name] is not None),
        ]
    )
    if found.failed:
        rows = [
            [row.index, ", ".join(f"{key}={value}" for key, value in row.configuration.items()), row.error]
            for row in found.failed[:MOST_FAILURES]
        ]
        shown = f", the first {len(rows)} of {len(found.failed)}" if len(rows) < len(found.failed) else ""
        yield table(f"failed{shown}", ["index", "configuration ", "error "], rows)


@contextmanager
def _kept(arguments: Namespace) -> Iterator[list[SweepProgress]]:
    """Turn what stops a sweep into one line that says what is kept and how to go on; yield where progress is noted."""
    seen: list[SweepProgress] = []
    try:
        with refusing():
            yield seen
    except TimeIsUp as up:
        raise Refused(f"{up}; {_left(arguments, seen[-1])}" if seen and seen[-1].done else str(up)) from up
    except Refused as error:
        raise Refused(f"{error}; {_left(arguments, seen[-1])}" if seen and seen[-1].done else str(error)) from error
    except KeyboardInterrupt:
        if seen:
            print(f"gflow: {one_line(_left(arguments, seen[-1]))}", file=sys.stderr)
        raise


def _left(arguments: Namespace, progress: SweepProgress) -> str:
    """Return how many results are kept, and the command that goes on."""
    settings = {name: getattr(arguments, name) for name in ("store", "jobs", "scheduler", "csv")}
    words = [f"--{name} {shlex.quote(str(value))}" for name, value in settings.items() if value is not None]
    command = " ".join(["gflow sweep", arguments.name, *words, "--resume", *(["--json"] if arguments.json else [])])
    return f"{progress.done} of {progress.total} results are kept; to go on: {command}"


@contextmanager
def _shown(name: str) -> Iterator[Callable[[SweepProgress], None]]:
    """Show progress on standard error: a bar with rate and remaining time on a terminal, else a line now and then."""
    if sys.stderr is None:
        yield lambda progress: None
    elif sys.stderr.isatty():
        with _bar(name) as show:
            yield show
    else:
        yield _lines(name)


@contextmanager
def _bar(name: str) -> Iterator[Callable[[SweepProgress], None]]:
    from rich import progress as bars
    from rich.console import Console

    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.TextColumn("{task.fields[state]}"))
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(name, total=None, state="")
        yield lambda progress: shown.update(task, total=progress.total, completed=progress.done, state=_state(progress))


def _lines(name: str) -> Callable[[SweepProgress], None]:
    last = time.monotonic()

    def show(progress: SweepProgress) -> None:
        nonlocal last
        if time.monotonic() - last >= LOG_SECONDS:
            last = time.monotonic()
            with suppress(OSError):  # a log that has gone away stops no sweep
                print(f"gflow: {name}: {_state(progress)}", file=sys.stderr, flush=True)

    return show


def _state(progress: SweepProgress) -> str:
    """Return how far a sweep is, with its rate and the remaining time once they are known."""
    failed = f", {progress.failed} failed" if progress.failed else ""
    known = f"{progress.done} of {progress.total}{failed}"
    if progress.rate is None or progress.remaining is None:
        return known
    return f"{known}, {progress.rate:.3g} per second, {_duration(progress.remaining)} left"


def _duration(seconds: float) -> str:
    """Return a time as hours:minutes:seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
