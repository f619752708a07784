"""Gradient flows from many starts or of many problems, in parallel, each with its own status."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextvars import copy_context
from functools import lru_cache
from typing import Any

import numpy as np

from gflow import fast, watch
from gflow.ensemble.compiled import compiled as compiled_end
from gflow.ensemble.record import FlowEnd, FlowRun, followed, unfollowed
from gflow.ensemble.workers import apart
from gflow.flow import gradient_flow
from gflow.models import DirectMatrix, Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion, as_problem
from gflow.workers import one_thread


@watch.watched
def gradient_flows(
    problems: Any,
    starts: Any,
    *,
    rank: int | None = None,
    depth: int = 2,
    jobs: int = 1,
    compiled: bool | None = None,
    method: str = "auto",
    rtol: float = 1e-8,
    t_end: float | None = None,
    loss_tol: float = 1e-20,
    gradient_tol: float = 1e-12,
    norm_limit: float = 1e4,
    drift_tol: float | None = None,
    error_tol: float | None = 1e-3,
    max_evaluations: int = 200_000,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> list[FlowEnd]:
    """Return where the gradient flows of many problems, or from many starts, end: one record for each, in order.

    A run that raises an error is a record that says so; the others are not lost. Nor are they where a worker process
    dies (killed, or out of memory): what it may have died of is followed once more, each run alone, and one that ends
    its worker again is a failed record. The result does not depend on ``jobs``. With numba installed (extra ``fast``),
    matrix completion problems of at most 8 rows and columns are integrated in compiled code, at any depth up to 128
    parameters; where rounding errors may have decided an escape from a saddle there, ``gradient_flow`` follows that run
    from its start. ``method`` of each record says which it was.

    Parameters
    ----------
    problems : problem, matrix or Objective, or a list of them
        A problem, or a matrix with NaN, is taken with a ``Factorization``.
    starts : (dim,) or (m, dim) array, or a sequence of (dim,) arrays
        One start for each problem; a single problem or a single start is used for all.
    rank : int, optional
        Width of the factorisation. Default: full width.
    depth : int
        Number of its factors.
    jobs : int
        Number of runs at a time; -1 for one per core. Each uses a single BLAS thread.
    compiled : bool, optional
        Whether to use compiled code. Default: where it is installed and ``method`` is 'auto'. True demands numba.
    method, rtol, t_end, loss_tol, gradient_tol, norm_limit, drift_tol, error_tol, max_evaluations
        As for ``gradient_flow``, which follows compiled runs whose conserved quantity drifts too far, or whose end may
        err by more than a tenth of ``error_tol``, too.
    progress, timeout : see ``gflow.watch.watching``

    Raises
    ------
    ValueError
        If the numbers of problems and starts do not fit, ``jobs`` is neither -1 nor positive, ``rank`` or ``depth`` is
        out of range or given for an objective, ``compiled`` is True without numba or with a method, or a setting is out
        of range.

    Times scale as 1 / s and states as sqrt(s) for a factorisation when M is multiplied by s.
    """
    settings: dict[str, Any] = {"rtol": rtol, "t_end": t_end, "loss_tol": loss_tol, "gradient_tol": gradient_tol}
    settings |= {"norm_limit": norm_limit, "drift_tol": drift_tol, "error_tol": error_tol}
    settings["max_evaluations"] = max_evaluations
    _checked(method=method, **settings)
    if isinstance(jobs, bool) or not isinstance(jobs, (int, np.integer)) or (jobs < 1 and jobs != -1):
        raise ValueError(f"jobs must be a positive integer or -1; got {jobs!r}")
    if compiled and method != "auto":
        raise ValueError(f"compiled=True leaves no choice of method; got {method!r}")
    if compiled and not fast.installed():
        raise ValueError("compiled=True needs the package numba: pip install 'gflow-toolkit[fast]'")
    runs = _paired(problems, starts, rank, depth)
    quick = fast.installed() and method == "auto" if compiled is None else bool(compiled)
    ends: list[FlowEnd | None] = [None] * len(runs)
    if quick and (chosen := [index for index, run in enumerate(runs) if run.small]):
        _fill(ends, chosen, [runs[index] for index in chosen], compiled_end, settings, jobs, "threading")
    if rest := [index for index, end in enumerate(ends) if end is None]:
        _fill(ends, rest, [runs[index] for index in rest], followed, settings | {"method": method}, jobs, "loky")
    return [end for end in ends if end is not None]


@lru_cache
def _checked(**settings: Any) -> None:
    """Raise ``ValueError`` where ``gradient_flow`` would: it is called at rest, where it does nothing else."""
    gradient_flow(Objective.of(MatrixCompletion([[0.0]]), DirectMatrix((1, 1))), np.zeros(1), **settings)


def _paired(problems: Any, starts: Any, rank: int | None, depth: int) -> list[FlowRun]:
    """Return one run for each problem and start, a single one of either standing for all."""
    subjects = [each if isinstance(each, Objective) else as_problem(each) for each in _several(problems)]
    listed = list(starts)
    points = [np.array(start, dtype=float) for start in ([starts] if listed and np.ndim(listed[0]) == 0 else listed)]
    count = max(len(subjects), len(points)) if subjects and points else 0
    if {len(subjects), len(points)} - {1, count}:
        raise ValueError(f"problems and starts must fit each other; got {len(subjects)} and {len(points)}")
    if (rank is not None or depth != 2) and any(isinstance(subject, Objective) for subject in subjects):
        raise ValueError(f"{'depth' if rank is None else 'rank'} belongs to problems; an Objective has its own model")
    models = [
        None if isinstance(subject, Objective) else Factorization(subject.shape, rank, depth) for subject in subjects
    ]
    if len(subjects) != count:
        subjects, models = subjects * count, models * count
    if len(points) != count:
        points = points * count
    return [FlowRun(*parts) for parts in zip(subjects, models, points, strict=True)]


def _several(problems: Any) -> list[Any]:
    """Return the problems of a sequence, or the one that is given: the rows of a matrix are one problem."""
    if not isinstance(problems, Iterable) or hasattr(problems, "shape"):
        return [problems]
    listed = list(problems)
    rows = bool(listed) and all(not isinstance(each, Objective) and np.ndim(each) == 1 for each in listed)
    return [listed] if rows else listed


def _fill(
    ends: list[FlowEnd | None],
    places: Sequence[int],
    runs: list[FlowRun],
    follow: Any,
    settings: Any,
    jobs: int,
    how: str,
) -> None:
    """Write the ends of the runs at their places, ``jobs`` runs at a time, each on one thread of BLAS."""
    if how == "threading" and (jobs == 1 or len(runs) == 1):  # its matrices are too small for threads of BLAS
        found = [_one(follow, run, settings, k, len(runs)) for k, run in enumerate(runs)]
    elif jobs == 1 or len(runs) < 2:
        with one_thread():
            found = [_one(follow, run, settings, k, len(runs)) for k, run in enumerate(runs)]
    elif how == "threading":
        from joblib import Parallel, delayed

        calls = (delayed(copy_context().run)(_one, follow, run, settings, k, len(runs)) for k, run in enumerate(runs))
        found = Parallel(n_jobs=jobs, backend=how)(calls)
    else:
        found = apart(runs, settings, jobs)
    for place, end in zip(places, found, strict=True):
        ends[place] = end


def _one(follow: Any, run: FlowRun, settings: Any, k: int, count: int) -> Any:
    """Return the end of one run; where the time allowed is over, its start with the status ``budget``."""
    late = watch.spent("flow", k + 1, count)
    try:
        return unfollowed(run, late) if late else follow(run, settings)
    except watch.TimeIsUp as up:  # while it was compiled
        if not watch.ends_early():
            raise
        return unfollowed(run, str(up))
