"""A sweep from its configurations to its table, by way of a store that survives interruptions."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable

import numpy as np

from gflow import watch
from gflow.studies.store import Store
from gflow.studies.sweep import RowStatus, Sweep, SweepProgress, SweepTable, plain
from gflow.studies.workers import Task, rows_of


@watch.watched
def run_sweep(
    sweep: Sweep,
    path: str | os.PathLike[str],
    *,
    seed: int | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    resume: bool = False,
    on_progress: Callable[[SweepProgress], None] | None = None,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> SweepTable:
    """Return the table of a sweep, every row of which is committed to the store as it arrives.

    The table depends on the sweep and the seed alone: not on ``jobs``, the scheduler, or interruptions.

    Parameters
    ----------
    sweep : Sweep
    path : path
        The store, an SQLite file; made if there is none.
    seed : int or None
        Configuration i is run with child i of ``numpy.random.SeedSequence(seed)``. None is the seed of the store, 0 in
        a fresh one.
    jobs : int
        Processes on this machine; each has one BLAS thread. 1 is this process.
    scheduler : str or None
        Address of a dask scheduler whose workers run the configurations in place of processes of this machine.
    resume : bool
        Go on with a store that holds results; failed rows are results and are kept.
    on_progress : function of a SweepProgress, or None
        Called at the start and after every row.
    progress, timeout : see ``gflow.watch.watching``
        When the time is over a warning says how many rows there are; ``resume`` goes on with them.

    Raises
    ------
    ValueError
        If the store holds results and ``resume`` is not set, belongs to another sweep, version or seed, or is no
        store; if ``jobs`` is not positive, or a configuration is not plain.
    OSError
        If another process uses the store or it cannot be written (the rows before are kept); ``ConnectionError``, one
        of its kinds, if the scheduler does not answer, has no workers or is lost.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be a positive integer; got {jobs!r}")
    configurations = [plain(each, "configuration") for each in sweep.configurations()]
    with Store.opened(path, sweep, configurations, seed) as store:
        rows = store.rows()
        if rows and not resume:
            raise ValueError(
                f"{os.fspath(path)} holds {len(rows)} of {len(configurations)} results: resume it or choose another "
                "store"
            )
        seeds = np.random.SeedSequence(store.seed).spawn(len(configurations))
        tasks = [Task(i, configurations[i], seeds[i]) for i in range(len(configurations)) if i not in rows]
        failed = sum(row.status is RowStatus.FAILED for row in rows.values())
        begin, told = time.monotonic(), on_progress or (lambda progress: None)
        told(SweepProgress(len(rows), len(configurations), failed, 0, 0.0))
        try:
            with watch.whole():
                for computed, row in enumerate(
                    rows_of(sweep, tasks, jobs=jobs, scheduler=scheduler) if tasks else (), 1
                ):
                    store.add(row)
                    rows[row.index] = row
                    failed += row.status is RowStatus.FAILED
                    told(SweepProgress(len(rows), len(configurations), failed, computed, time.monotonic() - begin))
                    watch.tick("row", len(rows), len(configurations))
        except watch.TimeIsUp as up:
            if not watch.ends_early():
                raise
            warnings.warn(f"{up}: {len(rows)} of {len(configurations)} rows are there", stacklevel=3)
        return SweepTable(sweep, store.seed, tuple(row for _, row in sorted(store.rows().items())), len(tasks))
