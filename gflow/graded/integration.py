"""The gradient flow at extreme scales: the public call and its checks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gflow import watch
from gflow.checks import require_positive, require_tolerance
from gflow.flow import Status, Trajectory
from gflow.flow.integration import checked_start
from gflow.flow.trust import ENDED, FINEST, TIGHTER, continued
from gflow.graded.run import GradedRun
from gflow.models import Factorization
from gflow.policy import EPS
from gflow.problems import as_entries


@watch.watched
def graded_flow(
    problem: Any,
    start: np.ndarray,
    *,
    rank: int | None = None,
    log_scale: float = 0.0,
    rtol: float = 1e-9,
    t_end: float | None = None,
    loss_tol: float = 1e-20,
    gradient_tol: float = 1e-12,
    norm_limit: float = 1e4,
    error_tol: float | None = 1e-3,
    max_evaluations: int = 200_000,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> Trajectory:
    """Return the gradient flow of the factorisation W = A B on ``problem`` from ``start``, valid at extreme scales.

    Each coupling component is rotated to its own graded gauge, in which column j of [A; B^T] carries the j-th mode of
    the escape alone and is integrated with a tolerance relative to itself. Where only columns below 1e-7 move (at the
    origin and at every plateau) they follow the exponential of a constant matrix; elsewhere a solver of
    ``scipy.integrate`` is stopped every few e-foldings to make the columns orthogonal again by one-sided Jacobi
    rotations. No quantity is squared before it is scaled: starts of 1e-240 are ordinary.

    Parameters
    ----------
    problem : MatrixCompletion or WeightedCompletion
    start : (dim,) array
        Theta of ``Factorization(problem.shape, rank)``: A row-major, then B row-major.
    rank : int, optional
        The inner width r. Default min(d1, d2).
    log_scale : float
        The flow starts from exp(log_scale) * start: scales that no double holds, such as 1e-10000, are ordinary too.
        States whose entries lie below the smallest double are recorded as zeros.
    rtol : float
        Relative tolerance of each step, between 1e-13 and 1e-2. A plateau is crossed in closed form when its large
        columns move by less than ``rtol`` (in the unit of theta) during the stay.
    t_end : float, optional
        Time horizon. Default: none.
    loss_tol : float
        Converged when the loss <= loss_tol * unit^2. Values down to 1e-28 can be reached.
    gradient_tol : float
        Converged when |grad| <= gradient_tol times its largest value so far and the Hessian has no negative
        eigenvalue.
    norm_limit : float
        Diverging when |theta| > limit = norm_limit * max(sqrt(unit), |theta(0)|), or when |theta| has passed the
        geometric mean of limit and sqrt(unit) and the gradient is below its own rounding errors.
    error_tol : float, optional
        Where the estimated error of the end is larger than this, relative to the largest entry of W or its unit, the
        status is ``roundoff``: what only a symmetry of the data keeps apart, rounding mixes, and it grows. None: the
        estimate is only recorded.
    max_evaluations : int
        Budget of gradient evaluations.
    progress, timeout : see ``gflow.watch.watching``

    Returns
    -------
    Trajectory
        With states in the basis of ``start``. Rotating back mixes the columns: W = A B is as accurate as its largest
        entries, while what is smaller than 1e-16 of them stays visible only in ``losses`` and ``gradient_norms``.
        The method is LSODA with the closed-form Jacobian up to dimension 1000, DOP853 above.

    Raises
    ------
    TypeError
        If ``problem`` is none of these.
    ValueError
        If the start has another shape or is not finite, or a width, tolerance or limit is out of range.
    IntegrationFailed
        If the solver gives up.

    Times scale as 1 / s and states as sqrt(s) when M is multiplied by s. Gradient flow: Bai et al. 2024, section 3.
    """
    problem = as_entries(problem)
    model = Factorization(problem.shape, rank)
    start = checked_start(start, model.dim)
    if not np.isfinite(log_scale):
        raise ValueError(f"log_scale must be finite; got {log_scale!r}")
    require_tolerance(rtol)
    limits = {"loss_tol": loss_tol, "gradient_tol": gradient_tol, "norm_limit": norm_limit}
    horizon = np.inf if t_end is None else t_end
    allowed = np.inf if error_tol is None else error_tol
    require_positive(error_tol=allowed, **limits, t_end=horizon, max_evaluations=max_evaluations)

    def follow(rtol: float) -> tuple[Trajectory, float]:
        run = GradedRun(problem, model, start, log_scale, rtol, horizon, max_evaluations, limits)
        return run.trajectory(), run.flow.errors.rounding

    path, rounding = follow(rtol)
    if error_tol is None:
        return path
    size = max(problem.unit, float(np.abs(model.output(path.final)).max()))
    doubtful = path.status in ENDED and (path.error or 0.0) < error_tol * size and rounding * rtol > error_tol * EPS
    while doubtful and rtol / TIGHTER >= FINEST:
        coarse, rtol = model.output(path.final), rtol / TIGHTER
        finer = follow(rtol)[0]
        apart = float(np.abs(model.output(finer.final) - coarse).max())
        path = replace(continued(path, finer, rtol), error=max(apart, finer.error or 0.0))
        doubtful = path.status in ENDED and apart >= error_tol * size
    return _judged(path, error_tol * size, size)


def _judged(path: Trajectory, allowed: float, size: float) -> Trajectory:
    """Return the trajectory, with another status if it has ended but errs by more than is allowed.

    One that diverges does so whatever its errors are, unless they are of the order of W.
    """
    most = {Status.CONVERGED: allowed, Status.HORIZON: allowed, Status.DIVERGING: size}.get(path.status)
    if most is None or path.error is None or path.error < most:
        return path
    said = f"rounding errors in what only structure keeps apart leave the end uncertain by {path.error:.2g}"
    return replace(path, status=Status.ROUNDOFF, message=f"{said}; otherwise {path.message}")
