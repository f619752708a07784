"""Newton's method and smallest eigenvalues without matrices, for problems too large for a dense Hessian."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gflow.critical import NotConverged
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

SOFT = 1e-7
"""Singular values of the Jacobian below this fraction of the first one move nothing."""


def krylov_polish(
    objective: Objective, theta: np.ndarray, *, radius: float, gradient_tol: float = 1e-13, max_steps: int = 12
) -> np.ndarray:
    """Return the minimum to which a MINRES-Newton iteration converges from ``theta``, within ``radius``.

    Raises ``NotConverged`` if the gradient stalls above gradient_tol times its scale, or the radius is left.
    """
    from scipy.sparse.linalg import LinearOperator, minres

    point, g = theta, objective.gradient(theta)
    slope = float(np.linalg.norm(g))
    size = max(float(np.linalg.norm(theta)), objective.theta_unit)
    norm = float(np.linalg.norm(objective.hvp(theta, g))) / max(slope, 1e-300)
    allowed = gradient_tol * max(norm, objective.unit) * size
    for step in range(max_steps):
        if slope <= allowed:
            return point
        H = LinearOperator((objective.dim, objective.dim), matvec=lambda v, at=point: objective.hvp(at, v), dtype=float)
        move, _ = minres(H, -g, rtol=1e-6, maxiter=400)
        candidate = point + move
        g_new = objective.gradient(candidate)
        slope_new = float(np.linalg.norm(g_new))
        if float(np.linalg.norm(candidate - theta)) > radius or slope_new > 0.5 * slope:
            if slope <= 100 * allowed:
                return point
            raise NotConverged(slope, allowed, step, point)
        point, g, slope = candidate, g_new, slope_new
    raise NotConverged(slope, allowed, max_steps, point)


def completed(
    problem: MatrixCompletion, model: Factorization, theta: np.ndarray, *, loss_tol: float = 1e-28, max_steps: int = 12
) -> np.ndarray | None:
    """Return the completion to which Gauss-Newton steps of least length lead from ``theta``, or None.

    The first step is the limit of the flow linearised at theta, with nothing along the valley of completions.
    """
    point = theta
    for _ in range(max_steps):
        gap = problem.measure(model.matrix(point)) - problem.targets
        if float(gap @ gap) * problem.weight <= loss_tol:
            return point
        point = point - np.linalg.lstsq(problem.measure(model.jacobian(point)), gap, rcond=SOFT)[0]
    return None


def gauge_basis(model: Factorization, theta: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis, in columns, of the GL(k) orbit's tangent space (A X, -X B) at theta."""
    A, B = model.factors(theta)
    k = model.rank
    tangents = []
    for i in range(k):
        for j in range(k):
            X = np.zeros((k, k))
            X[i, j] = 1.0
            tangents.append(model.theta(A @ X, -X @ B))
    return np.linalg.qr(np.array(tangents).T)[0] if tangents else np.empty((model.dim, 0))


def smallest_off_gauge(
    product: Callable[[np.ndarray], np.ndarray], model: Factorization, theta: np.ndarray
) -> tuple[float | None, float]:
    """Return the smallest eigenvalue of a symmetric operator off the gauge directions, and its largest one.

    The smallest is None where Lanczos does not converge.
    """
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    Q = gauge_basis(model, theta)
    start = np.random.default_rng(0).standard_normal(model.dim)
    plain = LinearOperator((model.dim, model.dim), matvec=lambda v: product(v.ravel()), dtype=float)
    largest = float(eigsh(plain, k=1, which="LA", tol=1e-3, v0=start, return_eigenvectors=False)[0])

    def lifted(v: np.ndarray) -> np.ndarray:
        flat = v.ravel()
        along = Q @ (Q.T @ flat)
        free = flat - along
        rest = product(free)
        return rest - Q @ (Q.T @ rest) + 2.0 * largest * along

    operator = LinearOperator((model.dim, model.dim), matvec=lifted, dtype=float)
    try:
        least = eigsh(operator, k=1, which="SA", tol=1e-4, v0=start, maxiter=3000, return_eigenvectors=False)
    except ArpackNoConvergence:
        return None, largest
    return float(least[0]), largest
