"""One heteroclinic orbit: from a saddle of rank k, along its escape direction, to the next critical point."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

import numpy as np

from gflow.critical import NotConverged, find_critical_point
from gflow.flow import IntegrationFailed, Status, Trajectory, gradient_flow
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion
from gflow.traversal.polish import krylov_polish

LAUNCH = 1e-6
"""Start on the unstable manifold, relative to the unit; the error of the orbit is of the order of its square."""
DENSE_POLISH = 400
"""Largest dimension that is polished with the dense Hessian."""
LOOSE = 1e-5
"""Tolerance of orbits whose end does not remember the way."""
REACH, VALLEY_REACH = 0.05, 1e-5
"""Longest final Newton step, relative to |theta|; in a valley of completions, where the way is remembered."""
FLAT = 1e-11
"""Eigenvalues below this fraction of the largest one cannot be told from zero."""
CHEAP_BUDGET = 4000
"""Gradients granted to the explicit method before the implicit one takes over."""
ZERO_LOSS = 1e-18
"""Losses up to this, in the unit squared, count as zero."""


class Ending(StrEnum):
    """Where an orbit leads."""

    MINIMUM = "minimum inside the manifold"
    SADDLE = "saddle inside the manifold"
    DIVERGING = "infinity"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, eq=False)
class Orbit:
    """An orbit in reduced coordinates (A, B), its critical point, and how it ended; no path if solvers failed."""

    model: Factorization
    path: Trajectory | None
    end: np.ndarray
    ending: Ending
    reason: str


@dataclass
class _Watch:
    """Stop an integration as soon as a Newton step gives its end: the step must stay in the end's quadratic basin.

    Newton's step is the limit of the linearised flow, also along a valley of completions, with an error of the order
    of its square. ``reach`` bounds its length relative to |theta|.
    """

    objective: Objective
    reach: float
    peak: float = 0.0
    next_try: float = np.inf
    found: np.ndarray | None = field(default=None)

    def __call__(self, t: float, theta: np.ndarray, loss: float) -> bool:
        slope = float(np.linalg.norm(self.objective.gradient(theta)))
        self.peak = max(self.peak, slope)
        if slope > min(0.03 * self.peak, self.next_try):
            return False
        self.next_try = slope / 4
        self.found = self.settled(theta, loss)
        return self.found is not None

    def settled(self, theta: np.ndarray, loss: float) -> np.ndarray | None:
        """Return the minimum whose quadratic basin holds theta, or None."""
        size = max(float(np.linalg.norm(theta)), 1.0)
        dense = self.objective.dim <= DENSE_POLISH
        try:
            if dense:
                end = find_critical_point(self.objective, theta, radius=self.reach * size, max_steps=12).theta
            else:
                end = krylov_polish(self.objective, theta, radius=self.reach * size)
        except NotConverged:
            return None
        rest = self.objective.value(end)
        drop = loss - rest
        decrement = 0.5 * float(self.objective.gradient(theta) @ (theta - end))
        if abs(decrement - drop) > 0.1 * drop + 1e-14:
            return None
        return end if rest <= ZERO_LOSS or not dense or self.is_minimum(end) else None

    def is_minimum(self, end: np.ndarray) -> bool:
        """Return whether the Hessian is positive off the gauge directions: a value met at infinity never is."""
        values = np.linalg.eigvalsh(self.objective.hessian(end))
        flat = 0 if self.objective.gauge_dimension is None else self.objective.gauge_dimension(end)
        noise = FLAT * float(np.abs(values).max())
        return bool(values[0] > -noise and values[flat] > noise)


def orbit(
    problem: MatrixCompletion,
    A: np.ndarray,
    B: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    *,
    rtol: float,
    norm_limit: float,
    max_evaluations: int,
    tight: bool,
) -> Orbit:
    """Return the orbit that leaves the saddle (A, B) of rank k along (u w^T, -w v^T), in rank k + 1.

    Parameters
    ----------
    problem : MatrixCompletion, in its own unit (unit 1)
    A, B : (d1, k) and (k, d2) arrays
        A critical point of the rank-k model.
    u, v : top singular pair of the residual there
    rtol, norm_limit, max_evaluations
        As in ``gradient_flow``. ``rtol`` is spent only where the end of the orbit remembers its way: where the loss
        vanishes on a continuum of completions.
    tight : bool
        Spend it on every orbit: the factors, not only W, are wanted.
    """
    model = Factorization(problem.shape, A.shape[1] + 1)
    objective = Objective.of(problem, model)
    center = model.theta(np.c_[A, np.zeros(len(A))], np.r_[B, np.zeros((1, B.shape[1]))])
    launch = model.theta(np.c_[0 * A, LAUNCH * u], np.r_[0 * B, -LAUNCH * v[None]])
    integrate = partial(_integrated, objective, center, launch, norm_limit, max_evaluations)
    try:
        path, watch = integrate(rtol if tight else LOOSE, VALLEY_REACH if tight else REACH)
        if not tight and watch.found is not None and _is_valley(problem, model, watch.found, objective):
            path, watch = integrate(rtol, VALLEY_REACH)
    except IntegrationFailed as failure:
        return Orbit(model, None, center + launch, Ending.UNDECIDED, str(failure))
    return _ended(model, objective, path, watch.found)


def _integrated(
    objective: Objective,
    center: np.ndarray,
    launch: np.ndarray,
    norm_limit: float,
    max_evaluations: int,
    rtol: float,
    reach: float,
) -> tuple[Trajectory, _Watch]:
    """Return the orbit: by an explicit method with a small budget, and where that does not settle, LSODA."""
    budget = CHEAP_BUDGET if objective.dim <= DENSE_POLISH else 20 * CHEAP_BUDGET
    options = {"center": center, "rtol": rtol, "norm_limit": norm_limit}
    watch = _Watch(objective, reach)
    path = gradient_flow(objective, launch, method="DOP853", callback=watch, max_evaluations=budget, **options)
    if watch.found is None and path.status == Status.BUDGET:
        watch = _Watch(objective, reach)
        path = gradient_flow(objective, launch, callback=watch, max_evaluations=max_evaluations, **options)
    return path, watch


def _is_valley(problem: MatrixCompletion, model: Factorization, theta: np.ndarray, objective: Objective) -> bool:
    """Return whether theta has zero loss and belongs to a continuum of completions of its rank."""
    return objective.value(theta) <= ZERO_LOSS and locally_unique(problem, *model.factors(theta)) is not True


def _ended(model: Factorization, objective: Objective, path: Trajectory, found: np.ndarray | None) -> Orbit:
    if found is not None:
        return Orbit(model, path, found, Ending.MINIMUM, "a minimum inside the manifold")
    if path.status in (Status.CONVERGED, Status.ROUNDOFF):
        size = max(1.0, float(np.linalg.norm(path.final)))
        try:
            point = find_critical_point(objective, path.final, radius=0.01 * size)
        except NotConverged as failure:
            return Orbit(model, path, path.final, Ending.UNDECIDED, str(failure))
        if path.status == Status.CONVERGED and point.index == 0:
            return Orbit(model, path, point.theta, Ending.MINIMUM, "a minimum inside the manifold")
        return Orbit(model, path, point.theta, Ending.SADDLE, "a saddle inside the manifold, met exactly")
    if path.status == Status.DIVERGING:
        size, time = float(np.linalg.norm(path.final)), float(path.times[-1])
        reason = f"|theta| grew to {size:.3g} by t = {time:.3g}, in the problem's own unit; loss {path.final_loss:.6g}"
        return Orbit(model, path, path.final, Ending.DIVERGING, reason)
    return Orbit(model, path, path.final, Ending.UNDECIDED, path.message)


def locally_unique(problem: MatrixCompletion, A: np.ndarray, B: np.ndarray, *, rank_tol: float = 1e-8) -> bool | None:
    """Return whether A B is the only completion of its rank nearby: the rank of (a, b) -> P o (a b) at (A, B).

    True if the Jacobian's singular value number k (d1 + d2 - k) exceeds ``rank_tol`` times the first, False if it is
    below a thousandth of that or there are too few observations, None in between.
    """
    k = A.shape[1]
    wanted = k * (sum(problem.shape) - k)
    if wanted == 0:
        return True
    if problem.n_observed < wanted:
        return False
    model = Factorization(problem.shape, k)
    if model.dim * problem.n_observed > 4_000_000:
        return _locally_unique_large(problem, model, model.theta(A, B), rank_tol)
    J = problem.measure(model.jacobian(model.theta(A, B)))
    sizes = np.linalg.svd(J, compute_uv=False)
    return _clear(float(sizes[wanted - 1] / sizes[0]), rank_tol)


def _locally_unique_large(
    problem: MatrixCompletion, model: Factorization, theta: np.ndarray, rank_tol: float
) -> bool | None:
    """Return the same from the k^2 + 1 st smallest eigenvalue of J^T J, by Lanczos off the gauge directions."""
    from gflow.traversal.polish import smallest_off_gauge

    def normal(v: np.ndarray) -> np.ndarray:
        return model.pullback(theta, problem.adjoint(problem.measure(model.tangent(theta, v))))

    least, largest = smallest_off_gauge(normal, model, theta)
    return None if least is None else _clear(float(np.sqrt(max(least, 0.0) / largest)), rank_tol)


def _clear(ratio: float, tol: float) -> bool | None:
    return True if ratio > tol else (False if ratio < 1e-3 * tol else None)
