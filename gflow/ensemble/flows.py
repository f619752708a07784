"""Gradient flows from many starts or of many problems, in parallel, each with its own status."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from contextvars import copy_context
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np

from gflow import fast, watch
from gflow.ensemble.compiled import compiled as compiled_ends
from gflow.ensemble.record import FlowEnd, FlowRun, followed, unfollowed
from gflow.ensemble.workers import apart
from gflow.flow import gradient_flow
from gflow.models import DirectMatrix, Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion, as_problem
from gflow.workers import one_thread

WORK = 500_000
"""Entries of the Hessians of the compiled flows that are followed between two looks at the watch."""


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
    its worker again is a failed record. The result does not depend on ``jobs``, nor that of one flow on the others.
    With numba installed (extra ``fast``), matrix completion problems of at most 8 rows and columns are integrated in
    compiled code, at any depth up to 128 parameters, those of one shape and width side by side; where rounding errors
    may have decided an escape from a saddle there, ``gradient_flow`` follows that run from its start. ``method`` of
    each record says which it was.

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
    ends = _quick(runs, settings, jobs) if quick else [None] * len(runs)
    rest = [run for run, end in zip(runs, ends, strict=True) if end is None]
    slow = iter(_followed(rest, settings | {"method": method}, jobs) if rest else [])
    return [next(slow) if end is None else end for end in ends]


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


def _quick(runs: list[FlowRun], settings: Any, jobs: int) -> list[FlowEnd | None]:
    """Return where compiled flows end, ``jobs`` parts at a time; None for those that are left to ``gradient_flow``."""
    ends: list[FlowEnd | None] = [None] * len(runs)
    alike: defaultdict[Any, list[int]] = defaultdict(list)
    for place, run in enumerate(runs):
        if run.small:
            alike[run.model.shape, run.model.rank, run.model.depth].append(place)
    parts, workers = [], jobs if jobs > 0 else os.cpu_count() or 1
    for places in alike.values():
        model = runs[places[0]].model
        most = 1 if model.depth > 2 else max(1, WORK // model.dim**2)
        step = min(most, -(-len(places) // workers))
        parts += [places[first : first + step] for first in range(0, len(places), step)]
    begun = accumulate((len(part) for part in parts), initial=1)
    calls = [([runs[place] for place in part], settings, k, len(runs)) for part, k in zip(parts, begun, strict=False)]
    if jobs == 1 or len(calls) < 2:  # matrices are too small for threads of BLAS
        found = [_several_of(*call) for call in calls]
    else:
        from joblib import Parallel, delayed

        found = Parallel(n_jobs=jobs, backend="threading")(
            delayed(copy_context().run)(_several_of, *call) for call in calls
        )
    for part, several in zip(parts, found, strict=True):
        for place, end in zip(part, several, strict=True):
            ends[place] = end
    return ends


def _several_of(runs: list[FlowRun], settings: Any, k: int, count: int) -> list[FlowEnd | None]:
    """Return the ends of compiled flows; where the time allowed is over, their starts with the status ``budget``."""
    late = watch.spent("flow", k, count)
    try:
        return [unfollowed(run, late) for run in runs] if late else compiled_ends(runs, settings)
    except watch.TimeIsUp as up:  # while it was compiled
        if not watch.ends_early():
            raise
        return [unfollowed(run, str(up)) for run in runs]


def _followed(runs: list[FlowRun], settings: Any, jobs: int) -> list[FlowEnd]:
    """Return where ``gradient_flow`` ends, ``jobs`` runs at a time, each on one thread of BLAS."""
    if jobs != 1 and len(runs) > 1:
        return apart(runs, settings, jobs)
    ends = []
    with one_thread():
        for k, run in enumerate(runs):
            late = watch.spent("flow", k + 1, len(runs))
            ends.append(unfollowed(run, late) if late else followed(run, settings))
    return ends
