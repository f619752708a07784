"""Flows in compiled code, and whether their ends can be trusted."""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow.ensemble.record import FlowEnd, FlowRun
from gflow.flow import Status
from gflow.flow.outcome import STEPS
from gflow.flow.rest import left, told
from gflow.flow.verdicts import at_rest

DRIFT = 100.0
"""A compiled run whose conserved quantity moved by more than this many times ``rtol`` is left to scipy."""
DOUBT = 0.1
"""The same where rounding errors may have moved the end by more than this fraction of ``error_tol``."""


def compiled(run: FlowRun, settings: Any) -> FlowEnd | None:
    """Return where the compiled flow ends, or None where it cannot be trusted."""
    from gflow.fast.flow import METHOD, compiled_end

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
    way, unlearned = left(run.objective, end.theta) if end.status == Status.CONVERGED else (0.0, 0.0)
    known = {name: number for name, number in end._asdict().items() if name != "rounding"}
    known |= {"status": Status(end.status), "error": relative * size + way, "message": told(end.message, unlearned)}
    return FlowEnd(**known, method=METHOD)


def _mirrored(run: FlowRun) -> bool:
    """Return whether A = B^T or A = -B^T at the start: ``gradient_flow`` keeps that where the data are symmetric."""
    A, B = run.model.factors(run.start)
    return A.shape == B.T.shape and (np.array_equal(A, B.T) or np.array_equal(A, -B.T))


def _at_least(run: FlowRun, end: Any, settings: Any) -> bool:
    """Return whether a run that ended because its gradient vanished is where the loss is least."""
    if end.status != Status.CONVERGED or end.loss <= settings["loss_tol"] * run.subject.unit**2:
        return True
    objective = run.objective
    inner, unit = objective.normalized or objective, objective.theta_unit
    verdict = at_rest(inner, end.theta / unit, settings["loss_tol"], settings["norm_limit"], unit)
    return verdict is not None and verdict[0] == Status.CONVERGED
