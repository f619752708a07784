"""Gradient flows from many starts or of many problems, in parallel, each with its own status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from gflow import fast
from gflow.flow import Status, gradient_flow
from gflow.models import DirectMatrix, Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion
from gflow.workers import one_thread, processes

COMPILED_SIDE, COMPILED_DIM = 8, 128
"""Largest number of rows or columns, and of parameters, for which the compiled flow was measured to pay."""
DRIFT = 100.0
"""A compiled run whose conserved quantity moved by more than this many times ``rtol`` is left to scipy."""
IN_FLIGHT = 2
"""Runs, for each worker process, that are followed or wait in its queue."""
WORKER_DIED = "the worker process died while it followed this run alone"


@dataclass(frozen=True, slots=True, eq=False)
class FlowEnd:
    """Where one gradient flow of an ensemble ended; the array is read-only.

    Attributes
    ----------
    theta : (dim,) array
        The last state; the start if the run failed.
    time : float
    status : Status or None
        As for a ``Trajectory``; None if the run failed.
    message : str
        One sentence that says why the run ended, or the error that it raised.
    method : str
        What integrated it: ``compiled DOP853 and Rodas5P``, ``LSODA``, ...
    loss, gradient_norm : float or None
        At the last state; None if the run failed.
    conservation_drift : float or None
        Change of the conserved quantity relative to the largest |theta|^2: an accuracy gauge.
    n_gradients, n_hessians, n_steps : int
    """

    theta: np.ndarray
    time: float
    status: Status | None
    message: str
    method: str
    loss: float | None = None
    gradient_norm: float | None = None
    conservation_drift: float | None = None
    n_gradients: int = 0
    n_hessians: int = 0
    n_steps: int = 0

    def __post_init__(self) -> None:
        self.theta.setflags(write=False)

    @property
    def failed(self) -> bool:
        """Return whether the run raised an error, which ``message`` tells."""
        return self.status is None

    def to_dict(self) -> dict[str, Any]:
        """Return the summary (no state) for JSON."""
        numbers = {name: getattr(self, name) for name in ("loss", "gradient_norm", "conservation_drift")}
        return {
            "status": None if self.status is None else str(self.status),
            "message": self.message,
            "method": self.method,
            "time": self.time,
            **{name: value if value is None or np.isfinite(value) else None for name, value in numbers.items()},
            "n_gradients": self.n_gradients,
            "n_hessians": self.n_hessians,
            "n_steps": self.n_steps,
        }

    def __repr__(self) -> str:
        if self.failed:
            return f"FlowEnd(failed: {self.message})"
        return f"FlowEnd({self.status}, t={self.time:.6g}, loss={self.loss:.6g}, {self.n_steps} steps of {self.method})"


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One flow to follow: an objective, or a problem with its model."""

    subject: Any
    model: Any
    start: np.ndarray

    @property
    def small(self) -> bool:
        """Return whether the compiled flow covers it; a subclass may have changed the loss."""
        if type(self.subject) is not MatrixCompletion or type(self.model) is not Factorization:
            return False
        fits = max(self.model.shape) <= COMPILED_SIDE and self.model.dim <= COMPILED_DIM
        return fits and self.start.shape == (self.model.dim,) and bool(np.isfinite(self.start).all())

    @property
    def objective(self) -> Objective:
        return self.subject if self.model is None else Objective.of(self.subject, self.model)


def gradient_flows(
    problems: Any,
    starts: Any,
    *,
    rank: int | None = None,
    jobs: int = 1,
    compiled: bool | None = None,
    method: str = "auto",
    rtol: float = 1e-8,
    t_end: float | None = None,
    loss_tol: float = 1e-20,
    gradient_tol: float = 1e-12,
    norm_limit: float = 1e4,
    drift_tol: float | None = None,
    max_evaluations: int = 200_000,
) -> list[FlowEnd]:
    """Return where the gradient flows of many problems, or from many starts, end: one record for each, in order.

    A run that raises an error is a record that says so; the others are not lost. Nor are they where a worker process
    dies (killed, or out of memory): what it may have died of is followed once more, each run alone, and one that ends
    its worker again is a failed record. The result does not depend on ``jobs``. With numba installed (extra ``fast``),
    matrix completion problems of at most 8 rows and columns are integrated in compiled code; where rounding errors may
    have decided an escape from a saddle there, ``gradient_flow`` follows that run from its start. ``method`` of each
    record says which it was.

    Parameters
    ----------
    problems : problem or Objective, or a sequence of them
        A problem, for instance a ``MatrixCompletion``, is taken with a ``Factorization``.
    starts : (dim,) or (m, dim) array, or a sequence of (dim,) arrays
        One start for each problem; a single problem or a single start is used for all.
    rank : int, optional
        Width of the factorisation. Default: full width.
    jobs : int
        Number of runs at a time; -1 for one per core. Each uses a single BLAS thread.
    compiled : bool, optional
        Whether to use compiled code. Default: where it is installed and ``method`` is 'auto'. True demands numba.
    method, rtol, t_end, loss_tol, gradient_tol, norm_limit, drift_tol, max_evaluations
        As for ``gradient_flow``, which follows compiled runs whose conserved quantity drifts too far, too.

    Raises
    ------
    ValueError
        If the numbers of problems and starts do not fit, ``jobs`` is neither -1 nor positive, ``rank`` is given for an
        objective, ``compiled`` is True without numba or with a method, or a setting is out of range.

    Times scale as 1 / s and states as sqrt(s) for a factorisation when M is multiplied by s.
    """
    settings: dict[str, Any] = {"rtol": rtol, "t_end": t_end, "loss_tol": loss_tol, "gradient_tol": gradient_tol}
    settings |= {"norm_limit": norm_limit, "drift_tol": drift_tol, "max_evaluations": max_evaluations}
    _checked(method=method, **settings)
    if isinstance(jobs, bool) or not isinstance(jobs, (int, np.integer)) or (jobs < 1 and jobs != -1):
        raise ValueError(f"jobs must be a positive integer or -1; got {jobs!r}")
    if compiled and method != "auto":
        raise ValueError(f"compiled=True leaves no choice of method; got {method!r}")
    if compiled and not fast.installed():
        raise ValueError("compiled=True needs the package numba: pip install 'gflow[fast]'")
    runs = _paired(problems, starts, rank)
    quick = fast.installed() and method == "auto" if compiled is None else bool(compiled)
    ends: list[FlowEnd | None] = [None] * len(runs)
    if quick and (chosen := [index for index, run in enumerate(runs) if run.small]):
        _fill(ends, chosen, [runs[index] for index in chosen], _compiled, settings, jobs, "threading")
    if rest := [index for index, end in enumerate(ends) if end is None]:
        _fill(ends, rest, [runs[index] for index in rest], _followed, settings | {"method": method}, jobs, "loky")
    return [end for end in ends if end is not None]


@lru_cache
def _checked(**settings: Any) -> None:
    """Raise ``ValueError`` where ``gradient_flow`` would: it is called at rest, where it does nothing else."""
    gradient_flow(Objective.of(MatrixCompletion([[0.0]]), DirectMatrix((1, 1))), np.zeros(1), **settings)


def _paired(problems: Any, starts: Any, rank: int | None) -> list[_Run]:
    """Return one run for each problem and start, a single one of either standing for all."""
    subjects = list(problems) if isinstance(problems, Iterable) else [problems]
    listed = list(starts)
    points = [np.array(start, dtype=float) for start in ([starts] if listed and np.ndim(listed[0]) == 0 else listed)]
    count = max(len(subjects), len(points)) if subjects and points else 0
    if {len(subjects), len(points)} - {1, count}:
        raise ValueError(f"problems and starts must fit each other; got {len(subjects)} and {len(points)}")
    if rank is not None and any(isinstance(subject, Objective) for subject in subjects):
        raise ValueError("rank belongs to problems; an Objective has its own model")
    models = [None if isinstance(subject, Objective) else Factorization(subject.shape, rank) for subject in subjects]
    if len(subjects) != count:
        subjects, models = subjects * count, models * count
    if len(points) != count:
        points = points * count
    return [_Run(*parts) for parts in zip(subjects, models, points, strict=True)]


def _fill(
    ends: list[FlowEnd | None], places: Sequence[int], runs: list[_Run], follow: Any, settings: Any, jobs: int, how: str
) -> None:
    """Write the ends of the runs at their places, ``jobs`` runs at a time, each on one thread of BLAS."""
    if how == "threading" and (jobs == 1 or len(runs) == 1):  # its matrices are too small for threads of BLAS
        found = [follow(run, settings) for run in runs]
    elif jobs == 1 or len(runs) < 2:
        with one_thread():
            found = [follow(run, settings) for run in runs]
    elif how == "threading":
        from joblib import Parallel, delayed

        found = Parallel(n_jobs=jobs, backend=how)(delayed(follow)(run, settings) for run in runs)
    else:
        found = _apart(runs, settings, jobs)
    for place, end in zip(places, found, strict=True):
        ends[place] = end


def _apart(runs: list[_Run], settings: Any, jobs: int) -> list[FlowEnd]:
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


def _alone(run: _Run, settings: Any, jobs: int) -> FlowEnd:
    try:
        ((_, end),) = _arriving({0: run}, settings, jobs)
    except BrokenProcessPool:
        return FlowEnd(run.start, 0.0, None, WORKER_DIED, settings["method"])
    return end


def _arriving(runs: dict[int, _Run], settings: Any, jobs: int) -> Iterator[tuple[int, FlowEnd]]:
    """Return an iterator over the places of the runs and their ends, as they arrive from the workers."""
    from joblib import Parallel, delayed

    calls = [delayed(_placed)(place, run, settings) for place, run in runs.items()]
    waiting = f"{IN_FLIGHT} * n_jobs"
    with processes():
        yield from Parallel(jobs, return_as="generator_unordered", batch_size=1, pre_dispatch=waiting)(calls)


def _placed(place: int, run: _Run, settings: Any) -> tuple[int, FlowEnd]:
    return place, _followed(run, settings)


def _compiled(run: _Run, settings: Any) -> FlowEnd | None:
    """Return where the compiled flow ends, or None where it cannot be trusted."""
    from gflow.fast.flow import METHOD, compiled_end

    drift_tol = min(DRIFT * settings["rtol"], settings["drift_tol"] or np.inf)
    use = {name: setting for name, setting in settings.items() if name != "drift_tol"}
    end = compiled_end(run.subject, run.model, run.start, **use)
    if end is None or end.conservation_drift > drift_tol:
        return None
    return FlowEnd(**(end._asdict() | {"status": Status(end.status)}), method=METHOD)


def _followed(run: _Run, settings: Any) -> FlowEnd:
    """Return where ``gradient_flow`` ends, or the error that it raised."""
    try:
        path = gradient_flow(run.objective, run.start, **settings)
    except Exception as error:
        message = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
        return FlowEnd(run.start, 0.0, None, message, settings["method"])
    return FlowEnd(
        theta=path.final.copy(),
        time=float(path.times[-1]),
        loss=path.final_loss,
        gradient_norm=float(path.gradient_norms[-1]),
        **{name: getattr(path, name) for name in ("status", "message", "method", "conservation_drift")},
        **{name: getattr(path, name) for name in ("n_gradients", "n_hessians", "n_steps")},
    )
