"""From a problem and a start to the end of its gradient flow, in compiled code."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gflow.fast.field import entries_of
from gflow.fast.rounding import MARGIN, errors_of
from gflow.fast.run import BUDGET, CONVERGED, DIVERGING, FLAT, HORIZON, NOW, Limits, run
from gflow.fast.saddles import Bottom
from gflow.fast.steps import work

METHOD = "compiled DOP853 and Rodas5P"
FOREVER = 1e250
PATIENCE = 30_000
"""Gradients after which a run that has not ended is left to ``gradient_flow``: its tail is too flat for this code."""
ENDINGS = {
    CONVERGED: ("converged", "the loss reached {loss:.3g}"),
    FLAT: ("converged", "the gradient vanished where the Hessian has no negative eigenvalue"),
    HORIZON: ("horizon", "t_end was reached"),
    DIVERGING: ("diverging", "|theta| passed {far:.3g}"),
    BUDGET: ("budget", "{gradients} gradients were evaluated; allowed {allowed}"),
}


class End(NamedTuple):
    """The end of a compiled run in the caller's units; ``status`` and ``message`` are those of a ``Trajectory``.

    ``rounding`` is an estimate of how far rounding has changed a column that became large, relative to it.
    """

    theta: np.ndarray
    time: float
    status: str
    message: str
    loss: float
    gradient_norm: float
    conservation_drift: float
    n_gradients: int
    n_hessians: int
    n_steps: int
    rounding: float


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
) -> End | None:
    """Return the end of the gradient flow; None where rounding errors may have decided an escape, or its tail is flat.

    Nor is there an end where rounding errors may have changed an escape by more than ``doubt``, relative to it.

    Parameters
    ----------
    problem : MatrixCompletion
    model : Factorization of the same shape
    start : (dim,) array, finite

    The keywords are those of ``gradient_flow``; they are not checked.
    """
    inner, unit, root = problem.normalized, problem.unit, float(np.sqrt(problem.unit))
    (d1, d2), rank = model.shape, model.rank
    theta = start / root
    Z = model.stacked(theta).ravel()
    far = norm_limit * max(1.0, float(np.linalg.norm(theta)))
    horizon = FOREVER if t_end is None else t_end * unit
    limits = Limits(rtol, horizon, loss_tol, gradient_tol, far, min(int(max_evaluations), PATIENCE), doubt)
    record = np.zeros(1, NOW)
    now = record.view(np.recarray)[0]
    entries = entries_of(inner, rank)
    errors, seen = errors_of(entries, Z)
    code = run(entries, Z, limits, now, Bottom(*np.zeros((3, Z.size))), errors, seen, work(Z.size))
    if code not in ENDINGS or (code == BUDGET and max_evaluations > PATIENCE):
        return None
    last = dict(zip(NOW.names or (), record[0].item(), strict=True))
    final = model.unstacked(Z.reshape(d1 + d2, rank))
    with np.errstate(over="ignore"):
        loss = float(0.25 * inner.n_observed * last["drive"] ** 2 * np.float64(unit) * unit)
        slope = float(last["slope"] * np.float64(unit) * (unit / root))
    status, words = ENDINGS[code]
    said = words.format(loss=loss, far=far * root, gradients=last["evaluations"], allowed=max_evaluations)
    counts = last["evaluations"], last["hessians"], last["steps"], MARGIN * float(seen.worst)
    return End(final * root, last["t"] / unit, status, said, loss, slope, drift(model, theta, final), *counts)


def drift(model: Any, start: np.ndarray, end: np.ndarray) -> float:
    """Return |C(end) - C(start)| / max |theta|^2 for C = A^T A - B B^T, which the flow conserves."""
    size = max(float(start @ start), float(end @ end), 1e-300)
    return float(np.linalg.norm(model.conserved(end) - model.conserved(start))) / size
