"""Independent tasks on processes of this machine, each on one thread of BLAS."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

RESTARTED = "A worker stopped while some jobs were given to the executor"
"""How loky begins to say that it starts a worker again, after one that was idle or had grown has left."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep BLAS to one thread in this process."""
    import scipy.linalg  # noqa: F401 - loads the BLAS that is then limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


def processes() -> AbstractContextManager[Any]:
    """Return the context in which joblib runs its calls on processes of this machine.

    loky warns from the thread that hands out its tasks. Where warnings are errors that would end the thread, and the
    calls would wait for ever: this one warning is ignored, whatever the filters.
    """
    from joblib import parallel_config

    warnings.filterwarnings("ignore", message=RESTARTED, category=UserWarning)
    return parallel_config(backend="loky", inner_max_num_threads=1)


def mapped(function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], jobs: int) -> list[Any]:
    """Return ``[function(*task) for task in tasks]``, on ``jobs`` processes; with one, in this process."""
    if jobs == 1:
        with one_thread():
            return [function(*task) for task in tasks]
    from joblib import Parallel, delayed

    with processes():
        return list(Parallel(n_jobs=jobs, batch_size=1)(delayed(function)(*task) for task in tasks))
