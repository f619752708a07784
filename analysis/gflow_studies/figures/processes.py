"""Independent tasks of a study, spread over processes that use one thread each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def mapped(function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], jobs: int) -> list[Any]:
    """Return ``[function(*task) for task in tasks]``, on ``jobs`` processes; with one, in this process."""
    if jobs == 1:
        return [_on_one_thread(function, task) for task in tasks]
    from joblib import Parallel, delayed

    return list(Parallel(n_jobs=jobs, batch_size=1)(delayed(_on_one_thread)(function, task) for task in tasks))


def _on_one_thread(function: Callable[..., Any], task: tuple[Any, ...]) -> Any:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        return function(*task)
