"""Worker processes that follow flows, and what becomes of those whose worker dies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from gflow import watch
from gflow.ensemble.record import FlowEnd, FlowRun, followed
from gflow.workers import processes

IN_FLIGHT = 2
"""Runs, for each worker process, that are followed or wait in its queue."""
SHORTEST = 1e-6
"""Seconds that a run has which begins when the time allowed is over: it ends at its start."""
WORKER_DIED = "the worker process died while it followed this run alone"


def apart(runs: list[FlowRun], settings: Any, jobs: int) -> list[FlowEnd]:
    """Return the ends of the runs, followed in worker processes, ``jobs`` at a time.

    Where a worker dies, those that it may have died of are followed again, each alone, and the rest in new workers.
    """
    from joblib import effective_n_jobs

    ends: dict[int, FlowEnd] = {}
    pending = dict(enumerate(runs))
    while pending:
        try:
            for place, end in _arriving(pending, settings, jobs):
                ends[place] = end
                del pending[place]
        except BrokenProcessPool:
            for place in list(pending)[: IN_FLIGHT * effective_n_jobs(jobs)]:
                ends[place] = _alone(pending.pop(place), settings, jobs)
    return [ends[place] for place in range(len(runs))]


def _alone(run: FlowRun, settings: Any, jobs: int) -> FlowEnd:
    try:
        ((_, end),) = _arriving({0: run}, settings, jobs)
    except BrokenProcessPool:
        return FlowEnd(run.start, 0.0, None, WORKER_DIED, settings["method"])
    return end


def _arriving(runs: dict[int, FlowRun], settings: Any, jobs: int) -> Iterator[tuple[int, FlowEnd]]:
    """Return an iterator over the places of the runs and their ends, as they arrive from the workers."""
    from joblib import Parallel, delayed

    left = watch.remaining()
    until = None if left is None else time.time() + left
    calls = [delayed(_placed)(place, run, settings, until) for place, run in runs.items()]
    waiting = f"{IN_FLIGHT} * n_jobs"
    with processes():
        yield from Parallel(jobs, return_as="generator_unordered", batch_size=1, pre_dispatch=waiting)(calls)


def _placed(place: int, run: FlowRun, settings: Any, until: float | None) -> tuple[int, FlowEnd]:
    within = {} if until is None else {"timeout": max(until - time.time(), SHORTEST)}
    return place, followed(run, settings | within)
