"""A Newton-Kantorovich certificate: near a numerical completion of rank k lies a true one."""

from __future__ import annotations

import numpy as np

from gflow.problems import MatrixCompletion

LARGEST_JACOBIAN = 4_000_000


def newton_certificate(problem: MatrixCompletion, A: np.ndarray, B: np.ndarray) -> float | None:
    """Return a radius within which factors of an exact completion lie, or None if none is certified.

    The map (A, B) -> P o (A B - M) is quadratic with second-order term P o (dA dB), at most |(dA, dB)|^2 / 2. If its
    Jacobian has full row rank with least singular value 1/beta and the residual F satisfies 2 beta^2 |F| <= 1, the
    map h -> -J^+ (F + P o (dA dB)) sends the ball of radius 2 beta |F| into itself and has a fixed point there
    (Brouwer), which is an exact completion A + dA, B + dB. |F| includes a bound on its rounding.
    """
    (d1, d2), n, k = problem.shape, problem.n_observed, A.shape[1]
    if n > k * (d1 + d2 - k) or n * k * (d1 + d2) > LARGEST_JACOBIAN:
        return None
    J = np.zeros((n, d1 + d2, k))
    entry = np.arange(n)
    J[entry, problem.rows] = B[:, problem.columns].T
    J[entry, d1 + problem.columns] = A[problem.rows]
    singular = np.linalg.svd(J.reshape(n, -1), compute_uv=False)
    if singular[-1] <= 1e-10 * singular[0]:
        return None
    rounding = 2 * (k + 1) * np.finfo(float).eps * float(np.linalg.norm(np.abs(A) @ np.abs(B)))
    residual = float(np.linalg.norm(problem.residual(A @ B))) + rounding
    beta = 1.01 / float(singular[-1])
    return 2 * beta * residual if 2 * beta**2 * residual <= 1 else None
