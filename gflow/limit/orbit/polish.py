"""Newton's method and smallest eigenvalues without matrices, for problems too large for a dense Hessian."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from gflow.critical import NotConverged
from gflow.limit.orbit.curvature import Curvature
from gflow.limit.orbit.krylov import Lowest, lowest_eigenvalue
from gflow.limit.orbit.sizes import LARGE_CELLS
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.policy import EPS
from gflow.problems import EntryProblem, without_weights

FORCING = 1e-6, 1e-2
"""Bounds of the accuracy of a Newton step: as good as the last step was, squared."""
DENSE_PRODUCTS = 300
"""Up to this dimension an operator is put together from its products."""
LAST_STEP, SHORT_STEP = 0.1, 1e-6
"""The last Gauss-Newton step to a completion and a Newton step at a minimum are at most these fractions of |theta|."""
MET_LOSS = 1e-6
"""A completion is met within rounding if the loss has fallen to this fraction on the way to it."""
HALVING_STEPS = 6
"""Gauss-Newton steps that have not halved the loss so many steps later lead nowhere."""
LOOKED_FOR_WITHIN = 1e4
"""Completions and minima are looked for up to this many times |theta|."""
SHIFT = 1e-10
"""Curvatures below this fraction of the trace of the Hessian hardly move in a direct Newton step."""
ENOUGH = 1e-14
"""Gradients below this fraction of curvature times |theta| are rounding."""


def krylov_polish(
    objective: Objective,
    model: Factorization,
    theta: np.ndarray,
    *,
    radius: float,
    gradient_tol: float = 1e-11,
    max_steps: int = 12,
    along_valleys: bool = False,
) -> np.ndarray:
    """Return the minimum within ``radius`` to which a Newton iteration by conjugate residuals converges from ``theta``.

    Its steps keep off the gauge directions, and go on while they halve the gradient; ``along_valleys``, also while the
    loss falls: in a curved valley a step that ends a little up its wall has a larger gradient. Raises ``NotConverged``
    if that stalls above gradient_tol times the scale of the gradient.
    """
    Q = gauge_basis(model, theta)
    point, g = theta, objective.gradient(theta)
    slope = float(np.linalg.norm(g))
    size = max(float(np.linalg.norm(theta)), objective.theta_unit)
    norm = float(np.linalg.norm(objective.hvp(theta, g))) / max(slope, 1e-300)
    scale = max(norm, objective.unit) * size
    allowed, enough = gradient_tol * scale, ENOUGH * norm * size
    steps, before = 0, slope
    while steps < max_steps and slope > enough:
        steps += 1
        forcing = max(FORCING[0], min(FORCING[1], (slope / before) ** 2 if steps > 1 else FORCING[1]))
        product = partial(off_gauge, partial(objective.hvp, point), Q)
        rtol = max(forcing, 0.3 * enough / slope)
        candidate = point + conjugate_residuals(product, Q @ (Q.T @ g) - g, rtol=rtol)
        g_new = objective.gradient(candidate)
        slope_new = float(np.linalg.norm(g_new))
        if float(np.linalg.norm(candidate - theta)) > radius:
            break
        if slope_new > 0.5 * slope:
            expected = 0.5 * float(g @ (point - candidate))
            if not (along_valleys and objective.value(point) - objective.value(candidate) > 0.25 * expected > 0.0):
                break
        point, g, slope, before = candidate, g_new, slope_new, slope
    if slope <= allowed:
        return point
    raise NotConverged(slope, allowed, steps, point)


def direct_polish(
    curvature: Curvature, theta: np.ndarray, *, radius: float, gradient_tol: float = 1e-13, max_steps: int = 20
) -> np.ndarray:
    """Return the critical point within ``radius`` of theta to which Newton steps lead that halve the gradient.

    Systems are solved directly, shifted by what keeps the gauge directions at rest. Raises ``NotConverged`` if the
    gradient stalls above gradient_tol times its scale.
    """
    point, here, steps = theta, curvature.linearised(theta), 0
    while True:
        slope, size = float(np.linalg.norm(here.gradient)), max(1.0, float(np.linalg.norm(point)))
        move = here.solved(here.residual, max(slope / size, SHIFT * here.trace), -here.gradient)
        steps += 1
        following = curvature.linearised(point + move)
        near = float(np.linalg.norm(point + move - theta)) <= radius
        if not near or steps > max_steps or float(np.linalg.norm(following.gradient)) > 0.5 * slope:
            break
        point, here = point + move, following
    allowed = gradient_tol * here.trace * size
    if slope <= allowed:
        return point
    raise NotConverged(slope, allowed, steps, point)


def off_gauge(product: Callable[[np.ndarray], np.ndarray], Q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return P H P v for the projector P on what is orthogonal to the columns of Q."""
    rest = product(v - Q @ (Q.T @ v))
    return rest - Q @ (Q.T @ rest)


def conjugate_residuals(
    product: Callable[[np.ndarray], np.ndarray], b: np.ndarray, *, rtol: float = 1e-6, max_steps: int = 400
) -> np.ndarray:
    """Return x with H x = b for a symmetric, possibly singular H, nearly or as far as ``max_steps`` lead."""
    x, r = np.zeros_like(b), b
    Hr = product(r)
    p, Hp, rHr = r, Hr, float(r @ Hr)
    enough = rtol * float(np.linalg.norm(b))
    for _ in range(max_steps):
        length = float(Hp @ Hp)
        if length == 0.0 or rHr == 0.0 or float(np.linalg.norm(r)) <= enough:
            break
        step = rHr / length
        x, r = x + step * p, r - step * Hp
        Hr = product(r)
        before, rHr = rHr, float(r @ Hr)
        p, Hp = r + (rHr / before) * p, Hr + (rHr / before) * Hp
    return x


def completed(
    problem: EntryProblem,
    model: Factorization,
    theta: np.ndarray,
    *,
    loss_tol: float = 1e-28,
    soft_tol: float = 1e-7,
    max_steps: int = 12,
) -> np.ndarray | None:
    """Return the completion to which Gauss-Newton steps of least length lead from ``theta``, or None; no weights count.

    The first step is the limit of the flow linearised at theta, with nothing along the valley of completions. Singular
    values of the Jacobian below ``soft_tol`` times the first one move nothing. Towards a completion at infinity every
    step is a fraction of |theta|: the last one must be shorter than ``LAST_STEP``.
    """
    problem = without_weights(problem)
    point, length, losses, first = theta, 0.0, [], float(np.linalg.norm(theta))
    for _ in range(max_steps):
        gap = problem.measure(model.output(point)) - problem.targets
        size = float(np.linalg.norm(point))
        losses.append(float(gap @ gap) * problem.weight)
        if losses[-1] <= max(loss_tol, min((EPS * size * size) ** 2, MET_LOSS * losses[0])):
            return point if length <= LAST_STEP * size else None
        if size > LOOKED_FOR_WITHIN * first or (
            len(losses) > HALVING_STEPS and losses[-1] > 0.5 * losses[-HALVING_STEPS]
        ):
            return None
        move = np.linalg.lstsq(problem.measure(model.jacobian(point)), gap, rcond=soft_tol)[0]
        point, length = point - move, float(np.linalg.norm(move))
    return None


def rest_ahead(objective: Objective, theta: np.ndarray, *, max_steps: int = 300) -> np.ndarray | None:
    """Return where damped Newton steps that lower the loss from ``theta`` come to rest, however far, or None.

    On the way to infinity no step is short against |theta| until the slope is rounding, or
    ``LOOKED_FOR_WITHIN`` times the size of theta is passed.
    """
    point, value, first, damping = theta, objective.value(theta), float(np.linalg.norm(theta)), 1e-6
    for _ in range(max_steps):
        g = objective.gradient(point)
        rates, basis = np.linalg.eigh(objective.hessian(point))
        slopes, norm, size = basis.T @ g, float(np.abs(rates).max()), float(np.linalg.norm(point))
        if size > LOOKED_FOR_WITHIN * first:
            return None
        heard = np.abs(slopes) > 16.0 * EPS * norm * size
        curved = rates > 64.0 * EPS * norm
        if not heard[~curved].any() and float(np.linalg.norm(slopes[curved] / rates[curved])) <= SHORT_STEP * size:
            return point
        while damping < 1e6:
            move = basis @ (heard * slopes / (np.abs(rates) + damping * norm))
            lower = objective.value(point - move)
            if lower < value:
                break
            damping *= 8.0
        else:
            return None
        point, value, damping = point - move, lower, max(damping / 8.0, 1e-16)
    return None


def balanced(A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors of A B with A^T A = B B^T that are nearest to (A, B): every orbit from 0 keeps that."""
    k = A.shape[1]
    whole = A.shape[0] * B.shape[1] <= LARGE_CELLS
    U, sizes, Vt = np.linalg.svd(A @ B, full_matrices=False) if whole else product_svd(A, B)
    Z = np.concatenate([U[:, :k], Vt[:k].T]) * np.sqrt(sizes[:k])
    X, _, Yt = np.linalg.svd(Z.T @ np.concatenate([A, B.T]))
    Z = Z @ (X @ Yt)
    return Z[: len(A)], Z[len(A) :].T


def product_svd(A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the k leading singular triples (U, sigma, V^T) of A B from its factors, without the product."""
    Q, R = np.linalg.qr(A)
    P, S = np.linalg.qr(B.T)
    U, sizes, Vt = np.linalg.svd(R @ S.T)
    return Q @ U, sizes, Vt @ P.T


def gauge_basis(model: Factorization, theta: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis, in columns, of the GL(k) orbit's tangent space (A X, -X B) at theta."""
    (A, B), k = model.factors(theta), model.rank
    tangents = np.empty((k * k, model.dim))
    for tangent, (i, j) in zip(tangents, np.ndindex(k, k), strict=True):
        X = np.zeros((k, k))
        X[i, j] = 1.0
        tangent[:] = model.theta(A @ X, -X @ B)
    return np.linalg.qr(tangents.T)[0]


def complement(Q: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis, in columns, of what is orthogonal to the orthonormal columns of Q."""
    return np.linalg.qr(Q, mode="complete")[0][:, Q.shape[1] :]


def smallest_off_gauge(
    product: Callable[[np.ndarray], np.ndarray],
    objective: Objective,
    model: Factorization,
    theta: np.ndarray,
    free: np.ndarray | None = None,
) -> Lowest:
    """Return the smallest eigenvalue of a symmetric operator off the gauge directions.

    Directions in the columns of ``free`` are set aside as well. Dense up to dimension 300; above, by Lanczos
    iterations.
    """
    Q = gauge_basis(model, theta)
    if free is not None and free.shape[1]:
        Q = np.linalg.qr(np.hstack([Q, free]))[0]
    if objective.dim <= DENSE_PRODUCTS:
        free = complement(Q)
        values, vectors = np.linalg.eigh(free.T @ np.column_stack([product(v) for v in free.T]))
        return Lowest(float(values[0]), float(np.abs(values).max()), free @ vectors[:, 0])
    start = np.random.default_rng(0).standard_normal(objective.dim)
    return lowest_eigenvalue(product, start, Q.T)
