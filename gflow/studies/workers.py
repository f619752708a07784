"""Running one function on many configurations: in this process, in processes of this machine, or on a cluster."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import numpy as np

import gflow
from gflow.studies.sweep import OWN_COLUMNS, Plain, Sweep, SweepRow, plain
from gflow.watch import TimeIsUp
from gflow.workers import one_thread, processes

CONNECT_SECONDS = 10
"""Time a scheduler has to answer, and its first worker to appear."""
DASK_PORT = 8786
"""Where a dask scheduler listens if its address does not say."""
WATCH_SECONDS = 0.5
"""How often a worker process looks whether the process that started it still lives."""
WORKER_DIED = "the worker process died while it ran this configuration alone"


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One configuration to run, with its seed."""

    index: int
    configuration: dict[str, Plain]
    seed: np.random.SeedSequence


def rows_of(sweep: Sweep, tasks: Sequence[Task], *, jobs: int, scheduler: str | None) -> Iterator[SweepRow]:
    """Return an iterator over the rows of the tasks, in the order in which they arrive.

    A worker that dies loses no row: what it ran is run again, first the tasks it may have died of, each alone; one that
    ends its worker again is a row with that error.

    Raises
    ------
    ValueError
        If there is a scheduler but the package ``distributed`` is not installed, or its workers have another gflow.
    ConnectionError
        If the scheduler does not answer, has no workers, or is lost.
    """
    with ExitStack() as stack:
        if scheduler is not None:
            pool = _Pool(client=stack.enter_context(_connected(scheduler)))
        elif jobs == 1:
            stack.enter_context(one_thread())
            pool = _Pool()
        else:
            pool = _Pool(jobs)
        yield from _redone(pool, sweep, {task.index: task for task in tasks})


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """Where tasks run: ``client`` is the cluster, else ``jobs`` processes of this machine, 1 being this one."""

    jobs: int = 1
    client: Any = None

    @property
    def apart(self) -> bool:
        """Return whether tasks run outside this process."""
        return self.client is not None or self.jobs > 1

    def rows(self, sweep: Sweep, tasks: Sequence[Task]) -> Iterator[SweepRow]:
        """Return an iterator over the rows of the tasks; raises ``WorkerDied`` when a worker is lost for good."""
        from joblib import Parallel, delayed, parallel_config

        parent = os.getpid() if self.client is None and self.jobs > 1 else None
        calls = (delayed(_row)(sweep.run, task, self.apart, parent) for task in tasks)
        if self.client is not None:
            there = parallel_config(backend=_cluster_backend(self.client))
        else:
            there = processes() if self.jobs > 1 else parallel_config(backend="sequential")
        try:
            with there:
                jobs = -1 if self.client is not None else self.jobs
                found = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(calls)
            yield from found
        except BrokenProcessPool as error:
            raise WorkerDied from error
        except (OSError, asyncio.CancelledError, CancelledError) as error:
            if self.client is None:
                raise
            raise ConnectionError("the connection to the dask scheduler was lost") from error
        except Exception as error:
            if self.client is None or type(error).__name__ != "KilledWorker":
                raise
            raise WorkerDied from error

    @property
    def in_flight(self) -> int:
        """Return how many tasks can be running or waiting in a worker's queue."""
        return 2 * (self.jobs if self.client is None else max(sum(self.client.ncores().values()), 1))


class WorkerDied(RuntimeError):
    """A worker died, and what it ran was not run again elsewhere."""


def _redone(pool: _Pool, sweep: Sweep, pending: dict[int, Task]) -> Iterator[SweepRow]:
    while pending:
        try:
            for row in pool.rows(sweep, list(pending.values())):
                del pending[row.index]
                yield row
        except WorkerDied:
            for task in list(islice(pending.values(), pool.in_flight)):
                del pending[task.index]
                yield _alone(pool, sweep, task)


def _alone(pool: _Pool, sweep: Sweep, task: Task) -> SweepRow:
    try:
        return next(iter(list(pool.rows(sweep, [task]))))
    except WorkerDied:
        return SweepRow(task.index, task.configuration, {}, WORKER_DIED)


def _row(run: Any, task: Task, in_worker: bool, parent: int | None) -> SweepRow:
    """Return the row of a task, with the error in one line where it fails."""
    if in_worker:
        _prepare_worker(parent)
    taken = {*OWN_COLUMNS, *task.configuration}
    try:
        result = plain(run(dict(task.configuration), task.seed), "result", taken)
    except TimeIsUp:  # no fault of the task, which is run when the sweep goes on
        raise
    except Exception as error:
        message = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
        return SweepRow(task.index, task.configuration, {}, message)
    return SweepRow(task.index, task.configuration, result)


@cache
def _prepare_worker(parent: int | None) -> None:
    """Limit this process to one BLAS thread; below ``parent`` also leave Ctrl-C to it, and end when it has ended."""
    import scipy.linalg  # noqa: F401 - loads the BLAS that is then limited
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)
    if parent is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Connect to a scheduler whose workers have this version of gflow."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError("a scheduler needs the package distributed: pip install 'gflow-toolkit[cluster]'") from error
    with ExitStack() as stack:
        stack.enter_context(_quiet("distributed"))
        try:
            _check_port(address)
            client = stack.enter_context(Client(address, timeout=CONNECT_SECONDS, set_as_default=False))
        except (OSError, ValueError) as error:
            raise ConnectionError(f"no dask scheduler answers at {address}") from error
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError as error:
            raise ConnectionError(f"the dask scheduler at {address} has no workers") from error
        _check_workers(client)
        yield client


def _cluster_backend(client: Any) -> Any:
    """Return joblib's backend for a cluster; joblib would run everything in this process if it had only one core."""
    from joblib._dask import DaskDistributedBackend

    class Cluster(DaskDistributedBackend):
        def effective_n_jobs(self, n_jobs: int) -> int:
            return max(super().effective_n_jobs(n_jobs), 2)

    return Cluster(client=client)


@contextmanager
def _quiet(package: str) -> Iterator[None]:
    """Keep the loggers of a package silent: what matters to the user is raised."""
    names = (name for name in logging.root.manager.loggerDict if name.split(".")[0] == package)
    levels = {logger: logger.level for logger in map(logging.getLogger, names)}
    for logger in levels:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def _check_port(address: str) -> None:
    """Raise ``OSError`` or ``ValueError`` unless something listens there; a client that fails to connect lingers."""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme in ("tcp", "tls"):
        socket.create_connection((parts.hostname, parts.port or DASK_PORT), timeout=CONNECT_SECONDS).close()


def _check_workers(client: Any) -> None:
    for worker, found in client.run(_installed, on_error="return").items():
        if found != gflow.__version__:
            what = "cannot import gflow.studies" if isinstance(found, Exception) else f"has gflow {found}"
            raise ValueError(f"the worker {worker} {what}; install gflow {gflow.__version__} there")


def _installed() -> str:
    return gflow.__version__
