"""Flows in compiled code, and whether their ends can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gflow.ensemble.deep import deep_end
from gflow.ensemble.record import FlowEnd, FlowRun
from gflow.flow import Status
from gflow.flow.driver import FOREVER
from gflow.flow.endings import MINIMUM, T_END, loss_reached, passed, spent
from gflow.flow.outcome import STEPS
from gflow.flow.rest import told
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
    how far an entry of W still moves where the run has converged, and data below ``unlearned`` may not be learned.
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
    rest: float
    unlearned: float


def compiled_ends(
    problems: Sequence[Any],
    model: Any,
    starts: np.ndarray,
    *,
    rtol: float,
    t_end: float | None,
    loss_tol: float,
    gradient_tol: float,
    norm_limit: float,
    max_evaluations: int,
    doubt: float = np.inf,
) -> list[CompiledEnd | None]:
    """Return the ends of gradient flows; None where rounding errors may have decided an escape, or a tail is flat.

    Nor is there an end where rounding errors may have changed an escape by more than ``doubt``, relative to it.

    Parameters
    ----------
    problems : sequence of MatrixCompletion, all of one shape
    model : Factorization of the same shape
    starts : (m, dim) array, finite
        One for each problem.

    The keywords are those of ``gradient_flow``; they are not checked.
    """
    from gflow.fast.control import Limits
    from gflow.fast.follow import follow, norms, side_by_side

    units = np.array([problem.unit for problem in problems])
    thetas = starts / np.sqrt(units)[:, None]
    far = norm_limit * np.maximum(1.0, norms(thetas))
    horizon = FOREVER if t_end is None else t_end * units
    limits = Limits(rtol, horizon, loss_tol, gradient_tol, far, doubt, min(int(max_evaluations), PATIENCE))
    side = side_by_side(problems, model.stacked(thetas), limits)
    return _ends(model, units, thetas, side, follow(side), max_evaluations)


def _ends(
    model: Any, units: np.ndarray, thetas: np.ndarray, side: Any, codes: np.ndarray, max_evaluations: int
) -> list[CompiledEnd | None]:
    """Return the ends of flows that began at ``thetas`` and ended as ``codes`` say, in the caller's units."""
    from gflow.fast.follow import BUDGET, CONVERGED, DIVERGING, DOUBTFUL, FLAT, HORIZON
    from gflow.fast.rest import rest
    from gflow.fast.rounding import MARGIN, STATE

    now, roots, settled = side.records, np.sqrt(units), np.flatnonzero((codes == CONVERGED) | (codes == FLAT))
    finals = model.unstacked(side.flows[:, STATE].reshape(len(units), -1, model.rank))
    with np.errstate(over="ignore"):
        losses = 0.5 * now["drive"] ** 2 / now["weight"] * units * units
        slopes = now["slope"] * units * (units / roots)
    sizes = np.maximum(np.maximum((thetas**2).sum(axis=1), (finals**2).sum(axis=1)), 1e-300)
    drifts = np.linalg.norm(model.conserved(finals) - model.conserved(thetas), axis=1) / sizes
    left = np.zeros((2, len(units)))
    left[:, settled] = units[settled] * rest(side.stack.at(settled), side.states(settled, STATE))
    ends: list[CompiledEnd | None] = []
    for k, code in enumerate(codes.tolist()):
        loss, counts = float(losses[k]), (int(now["evaluations"][k]), int(now["hessians"][k]), int(now["steps"][k]))
        if code == DOUBTFUL or (code == BUDGET and max_evaluations > PATIENCE):
            ends.append(None)
            continue
        if code == CONVERGED:
            ending = loss_reached(loss)
        elif code == DIVERGING:
            ending = passed(float(now["far"][k] * roots[k]))
        else:
            ending = {FLAT: MINIMUM, HORIZON: T_END, BUDGET: spent(counts[0], max_evaluations)}[code]
        end = CompiledEnd(
            finals[k] * roots[k],
            float(now["t"][k] / units[k]),
            *ending,
            loss,
            float(slopes[k]),
            float(drifts[k]),
            *counts,
            MARGIN * float(now["worst"][k]),
            float(left[0, k]),
            float(left[1, k]),
        )
        ends.append(end)
    return ends


def compiled(runs: Sequence[FlowRun], settings: Any) -> list[FlowEnd | None]:
    """Return where compiled flows end, all of one shape, width and depth; None where one cannot be trusted."""
    if runs[0].model.depth > 2:
        return [deep_end(run, settings) for run in runs]
    doubt = np.inf if settings["error_tol"] is None else DOUBT * settings["error_tol"]
    if STEPS * settings["rtol"] > doubt / DOUBT:
        return [None] * len(runs)
    ends: list[FlowEnd | None] = [None] * len(runs)
    places = [place for place, run in enumerate(runs) if not _mirrored(run)]
    if places:
        use = {name: setting for name, setting in settings.items() if name not in ("drift_tol", "error_tol")}
        chosen = [runs[place] for place in places]
        problems, starts = [run.subject for run in chosen], np.array([run.start for run in chosen])
        found = compiled_ends(problems, chosen[0].model, starts, **use, doubt=doubt)
        for place, run, end in zip(places, chosen, found, strict=True):
            ends[place] = None if end is None else _trusted(run, end, settings)
    return ends


def _trusted(run: FlowRun, end: CompiledEnd, settings: Any) -> FlowEnd | None:
    """Return the end of a compiled run with the estimate of its error; None where it has drifted too far."""
    drift_tol = min(DRIFT * settings["rtol"], settings["drift_tol"] or np.inf)
    if end.conservation_drift > drift_tol or not _at_least(run, end, settings):
        return None
    relative = min(1.0, end.rounding + end.conservation_drift + STEPS * settings["rtol"])
    size = max(run.subject.unit, float(np.abs(run.model.output(end.theta)).max()))
    known = {name: number for name, number in end._asdict().items() if name not in ("rounding", "rest", "unlearned")}
    known |= {"error": relative * size + end.rest, "message": told(end.message, end.unlearned)}
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
