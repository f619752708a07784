"""Integration of the gradient flow with tolerances that follow the state through its plateaus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gflow import watch
from gflow.checks import positive, require_positive, require_tolerance
from gflow.flow.driver import Callback
from gflow.flow.mirror import fold_of
from gflow.flow.rest import with_rest
from gflow.flow.run import Run
from gflow.flow.solvers import METHODS, method_of
from gflow.flow.trajectory import Trajectory
from gflow.flow.trust import Integrated, trusted
from gflow.memory import require_memory
from gflow.objective import as_objective

if TYPE_CHECKING:
    from scipy.integrate import OdeSolver

__all__ = ["METHODS", "gradient_flow"]

FLOW_VECTORS = 24
"""Vectors of its dimension that a flow holds: the 16 of DOP853, and the states that are kept at the least."""


@watch.watched
def gradient_flow(
    objective: Any,
    start: np.ndarray,
    *,
    rank: int | None = None,
    center: np.ndarray | None = None,
    method: str | type[OdeSolver] = "auto",
    rtol: float = 1e-8,
    t_end: float | None = None,
    t_eval: np.ndarray | None = None,
    loss_tol: float = 1e-20,
    gradient_tol: float = 1e-12,
    norm_limit: float = 1e4,
    drift_tol: float | None = None,
    error_tol: float | None = 1e-3,
    max_evaluations: int = 200_000,
    callback: Callback | None = None,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> Trajectory:
    """Return the trajectory of theta' = -grad f(theta) from ``start``.

    The absolute tolerance is ``rtol`` times the norm of the state. Where the gradient falls so far that this would
    hide the distance to the critical point being passed, the flow is restarted around that point in the deviation
    form, with tolerances relative to the deviation, so that an escape is never stepped over. How far rounding errors
    can have moved the state along the unstable modes is followed from saddle to saddle; an escape that they may have
    decided ends the trajectory. Omega_k protects the unstable modes of a factorisation from errors of the solver; an
    objective without such linear invariant sets is followed through an escape only as far as ``rtol`` allows.

    Parameters
    ----------
    objective : Objective, problem or matrix
        A problem, or a matrix with NaN, is taken with a ``Factorization``, as ``gradient_flows`` does.
    start : (dim,) array
    rank : int, optional
        Width of the factorisation of a problem. Default: full width.
    center : (dim,) array, optional
        A critical point from which ``start`` is the deviation: theta(0) = center + start, with the full relative
        accuracy of ``start`` however small it is. Default: 0, critical or not.
    method : {'auto', 'LSODA', 'Radau', 'BDF', 'DOP853', 'RK45', 'RKC'}, or class
        A solver of ``scipy.integrate`` by its name in any case, the stabilised explicit Runge-Kutta-Chebyshev steps, or
        any subclass of ``scipy.integrate.OdeSolver``: it is given ``rtol`` and ``atol``, ``jac`` if it takes it, and
        errors are judged by its attribute ``order`` (1 where it has none). 'auto' is LSODA with
        the closed-form Jacobian up to dimension 1000; above, where no matrix is formed, DOP853, and RKC as long as
        stability and not accuracy would limit its steps, after the exact exponential of a Krylov space while a tiny
        start keeps the flow linear. DOP853 holds 16 vectors of length dim and RKC 8: a 3000 x 3000
        matrix at full width, dim 1.8e7, takes several GiB, at width 5 (dim 3e4) next to nothing.
    rtol : float
        Relative tolerance of each step, between 1e-13 and 1e-2.
    t_end : float, optional
        Time horizon. Default: the last of ``t_eval``, else none.
    t_eval : (m,) array, optional
        Increasing times at which states are wanted, instead of at every step; the first and the last state are
        always kept, times after the end are dropped. Plateaus are found from all steps.
    loss_tol : float
        Converged when f - lower_bound <= loss_tol * unit^2. Up to dimension 300 what that leaves unlearned is in
        ``Trajectory.error``, and the message tells its size where it matters.
    gradient_tol : float
        Converged when |grad f| <= gradient_tol times its largest value so far and the Hessian has no eigenvalue below
        -1e-8 times its norm.
    norm_limit : float
        Diverging when |theta| > norm_limit * max(theta_unit, |start|).
    drift_tol : float, optional
        While ``conservation_drift`` > drift_tol, the flow is integrated again with a tenth of ``rtol``, which is not
        taken below 1e-13; the message names the last one. Default: once. The steps of a slow stage are each accurate
        to ``rtol``, but their errors add up.
    error_tol : float, optional
        The end may err by this much, relative to the largest entry of the output (W for a factorisation) or to its
        unit if that is larger. Where gauges and an estimate of rounding errors leave a doubt, the flow is integrated
        again with a tenth of ``rtol``, and again, until two ends agree; where rounding errors forbid it, the status is
        ``roundoff``. None: the estimate is only recorded, as ``Trajectory.error``. Trajectories around a ``center``,
        ones that a callback has stopped and ones that have not ended are never repeated.
    max_evaluations : int
        Budget of gradient evaluations, of each integration. Where explicit steps would spend twice as much on a loss
        that falls like a power of time, in a valley where columns of W = A B fade that are no part of it any more, and
        W moves by no more than 1e-5 of its size, the flow is converged; the message and ``Trajectory.error`` bound it.
    callback : (t, theta, loss) -> object, optional
        Called after every step; a true answer stops the integration (status ``horizon``).
    progress, timeout : see ``gflow.watch.watching``

    Raises
    ------
    TypeError
        If ``objective`` or ``method`` is none of these.
    ValueError
        If the start has another shape or is not finite, a rank is given for an objective, the method is unknown, or a
        tolerance or limit is out of range.
    MemoryError
        If the vectors that the flow must hold do not fit into the memory that is free.
    IntegrationFailed
        If the solver gives up at its first step; where it gives up later, the status is ``budget``.

    Times scale as 1 / s and states as sqrt(s) for a factorisation when M is multiplied by s. Bai et al. 2024,
    section 3; deviation form: f(c + delta) - f(c) without cancellation.
    """
    objective, centred = as_objective(objective, rank), center is not None
    require_memory(FLOW_VECTORS * objective.dim, f"a flow in {objective.dim} variables")
    start = checked_start(start, objective.dim)
    require_tolerance(rtol)
    positive(max_evaluations, "max_evaluations")
    center = None if center is None else checked_start(center, objective.dim)
    solver = method_of(method)
    limits = {"loss_tol": loss_tol, "gradient_tol": gradient_tol, "norm_limit": norm_limit}
    targets = {"drift_tol": drift_tol, "error_tol": error_tol, "t_end": t_end}
    require_positive(**limits, **{name: target for name, target in targets.items() if target is not None})
    wanted = _wanted_times(t_eval)
    if t_end is None and wanted is not None:
        t_end = float(wanted[-1])

    fold = None if centred else fold_of(objective, start)
    loss, begin, told = objective, start, callback
    if fold is not None:
        loss, begin = fold.objective(objective), fold.project(start)
        told = None if callback is None else (lambda t, x, value: callback(t, fold.embed(x), value))

    def follow(rtol: float) -> Integrated:
        run = Run(loss, begin, center, solver, rtol, t_end, max_evaluations=max_evaluations, **limits)
        return Integrated(run.trajectory(wanted, told), run.doubts)

    path = with_rest(trusted(follow, rtol, drift_tol, None if centred else error_tol), loss)
    return path if fold is None else fold.unfolded(path, objective)


def checked_start(start: np.ndarray, dim: int) -> np.ndarray:
    """Return a copy of the start, shape (dim,); raise ``ValueError`` if it has another shape or is not finite."""
    theta = np.array(start, dtype=float)
    if theta.shape != (dim,):
        raise ValueError(f"start must have shape ({dim},); got {theta.shape}")
    if not np.isfinite(theta).all():
        raise ValueError("start must be finite")
    return theta


def _wanted_times(t_eval: np.ndarray | None) -> np.ndarray | None:
    if t_eval is None:
        return None
    times = np.asarray(t_eval, dtype=float)
    if (
        times.ndim != 1
        or not times.size
        or not np.isfinite(times).all()
        or (np.diff(times) <= 0).any()
        or (times < 0).any()
    ):
        raise ValueError("t_eval must be an increasing list of finite times >= 0")
    return times
