"""Flows in compiled code, and whether their ends can be trusted."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gflow.ensemble.deep import deep_end
from gflow.ensemble.record import FlowEnd, FlowRun
from gflow.flow import Status
from gflow.flow.driver import FOREVER
from gflow.flow.endings import MINIMUM, T_END, loss_reached, passed, spent
from gflow.flow.outcome import STEPS
from gflow.flow.rest import left, told
from gflow.flow.verdicts import at_rest

METHOD = "compiled DOP853 and Rodas5P"
PATIENCE = 30_000
"""Gradients after which a run that has not ended is left to ``gradient_flow``: its tail is too flat for this code."""
DRIFT = 100.0
"""A compiled run whose conserved quantity moved by more than this many times ``rtol`` is left to scipy."""
DOUBT = 0.1
"""The same where rounding errors may have moved the end by more than this fraction of ``error_tol``."""


class CompiledEnd(NamedTuple):
    """The end of a compiled run in the caller's units; ``status`` and ``message`` are those of a ``Trajectory``.

    ``rounding`` is an estimate of how far rounding has changed a column that became large, relative to it; ``rest`` is
    how far an entry of W still moves, None where that was not looked for.
    """

    theta: np.ndarray
    time: float
    status: Status
    message: str
    loss: float
    gradient_norm: float
    conservation_drift: float
    n_gradients: int
    n_hessians: int
    n_steps: int
    rounding: float
    rest: float | None


def compiled_end(
    problem: Any,
    model: Any,
    start: np.ndarray,
    *,
    rtol: float,
    t_end: float | None,
    loss_tol: float,
    gradient_tol: float,
    norm_limit: float,
    max_evaluations: int,
    doubt: float = np.inf,
) -> CompiledEnd | None:
    """Return the end of the gradient flow; None where rounding errors may have decided an escape, or its tail is flat.

    Nor is there an end where rounding errors may have changed an escape by more than ``doubt``, relative to it.

    Parameters
    ----------
    problem : MatrixCompletion
    model : Factorization of the same shape
    start : (dim,) array, finite

    The keywords are those of ``gradient_flow``; they are not checked.
    """
    from gflow.fast.field import entries_of
    from gflow.fast.follow import BUDGET, CONVERGED, DIVERGING, DOUBTFUL, FLAT, HORIZON, follow
    from gflow.fast.rest import rest
    from gflow.fast.rounding import MARGIN
    from gflow.fast.run import Limits

    inner, unit, root = problem.normalized, problem.unit, float(np.sqrt(problem.unit))
    theta = start / root
    far = norm_limit * max(1.0, float(np.linalg.norm(theta)))
    horizon = FOREVER if t_end is None else t_end * unit
    limits = Limits(rtol, horizon, loss_tol, gradient_tol, far, doubt, min(int(max_evaluations), PATIENCE))
    entries = entries_of(inner, model.rank)
    code, last, memory = follow(entries, model.stacked(theta).ravel(), limits)
    if code == DOUBTFUL or (code == BUDGET and max_evaluations > PATIENCE):
        return None
    final = model.unstacked(memory.Z.reshape(-1, model.rank))
    with np.errstate(over="ignore"):
        loss = float(0.25 * inner.n_observed * last["drive"] ** 2 * np.float64(unit) * unit)
        slope = float(last["slope"] * np.float64(unit) * (unit / root))
    if code == CONVERGED:
        ending = loss_reached(loss)
    elif code == DIVERGING:
        ending = passed(far * root)
    else:
        ending = {FLAT: MINIMUM, HORIZON: T_END, BUDGET: spent(int(last["evaluations"]), max_evaluations)}[code]
    size = max(float(theta @ theta), float(final @ final), 1e-300)
    drift = float(np.linalg.norm(model.conserved(final) - model.conserved(theta))) / size
    gradients, hessians, steps = (int(last[name]) for name in ("evaluations", "hessians", "steps"))
    counts, lost, way = (gradients, hessians, steps), MARGIN * float(last["worst"]), None
    if code == CONVERGED and (inner_way := rest(entries, memory)) is not None:
        way = unit * inner_way
    return CompiledEnd(final * root, float(last["t"]) / unit, *ending, loss, slope, drift, *counts, lost, way)


def compiled(run: FlowRun, settings: Any) -> FlowEnd | None:
    """Return where the compiled flow ends, or None where it cannot be trusted."""
    if run.model.depth > 2:
        return deep_end(run, settings)
    drift_tol = min(DRIFT * settings["rtol"], settings["drift_tol"] or np.inf)
    doubt = np.inf if settings["error_tol"] is None else DOUBT * settings["error_tol"]
    if STEPS * settings["rtol"] > doubt / DOUBT or _mirrored(run):
        return None
    use = {name: setting for name, setting in settings.items() if name not in ("drift_tol", "error_tol")}
    end = compiled_end(run.subject, run.model, run.start, **use, doubt=doubt)
    if end is None or end.conservation_drift > drift_tol or not _at_least(run, end, settings):
        return None
    relative = min(1.0, end.rounding + end.conservation_drift + STEPS * settings["rtol"])
    size = max(run.subject.unit, float(np.abs(run.model.output(end.theta)).max()))
    way, unlearned = end.rest or 0.0, 0.0
    if end.rest is None and end.status == Status.CONVERGED:
        way, unlearned = left(run.objective, end.theta)
    known = {name: number for name, number in end._asdict().items() if name not in ("rounding", "rest")}
    known |= {"error": relative * size + way, "message": told(end.message, unlearned)}
    return FlowEnd(**known, method=METHOD)


def _mirrored(run: FlowRun) -> bool:
    """Return whether A = B^T or A = -B^T at the start: ``gradient_flow`` keeps that where the data are symmetric."""
    A, B = run.model.factors(run.start)
    if A.shape != B.T.shape or abs(A[0, 0]) != abs(B[0, 0]):
        return False
    return np.array_equal(A, B.T) or np.array_equal(A, -B.T)


def _at_least(run: FlowRun, end: Any, settings: Any) -> bool:
    """Return whether a run that ended because its gradient vanished is where the loss is least."""
    if end.status != Status.CONVERGED or end.loss <= settings["loss_tol"] * run.subject.unit**2:
        return True
    objective = run.objective
    inner, unit = objective.normalized or objective, objective.theta_unit
    verdict = at_rest(inner, end.theta / unit, settings["loss_tol"], settings["norm_limit"], unit)
    return verdict is not None and verdict[0] == Status.CONVERGED
