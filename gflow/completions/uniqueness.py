"""Whether the minimiser of the nuclear norm is unique, decided on the face of minimisers that a dual matrix leaves.

Every minimiser satisfies <Y, W> = ||W||_* for an optimal Y, so W = U Z V^T with Z symmetric, positive semidefinite and
U, V the singular vectors of Y for the singular value 1. If Z -> P o (U Z V^T) is injective on symmetric matrices there
is only one; a direction in its kernel that can be followed both ways from Z > 0 shows that there are more.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse.linalg

from gflow.problems import MatrixCompletion

DENSE_ORDER = 24


def certified_uniqueness(
    problem: MatrixCompletion,
    W: np.ndarray,
    Y: np.ndarray,
    lower: float,
    gap_tol: float,
    *,
    face_tol: float = 1e-4,
    injectivity_tol: float = 1e-3,
) -> bool | None:
    """Return True or False where the numbers certify that W is, or is not, the only minimiser; else None.

    Parameters
    ----------
    problem : MatrixCompletion
    W, Y : (d1, d2) arrays
        An optimal pair.
    lower : float
        The dual bound <Y, M>.
    gap_tol : float
        A second completion counts as a minimiser if ||W2||_* - lower <= gap_tol ||W2||_* and it is more than
        0.01 ||W||_F away.
    face_tol : float
        Singular values of Y of at least 1 - face_tol count as 1: the face may be taken too large, which is safe.
    injectivity_tol : float
        The map on the face is injective if its smallest singular value exceeds this; its norm is at most 1.

    Numerical, not rigorous: Y is optimal only within the gap. It does not change when M is multiplied by s.
    """
    if problem.observed.all() or not W.any():
        return True
    left, singular, right = np.linalg.svd(Y, full_matrices=False)
    face = singular >= 1 - face_tol
    U, Vt = left[:, face], right[face]
    if not face.any():
        return None
    try:
        hidden, Z0 = _most_hidden(problem, U, Vt)
    except scipy.sparse.linalg.ArpackNoConvergence:
        return None
    if np.sqrt(max(1 - hidden, 0.0)) > injectivity_tol:
        return True
    change = np.where(problem.observed, 0.0, U @ Z0 @ Vt)
    for second in (W + length * change for length in _lengths(U.T @ W @ Vt.T, Z0)):
        norm = float(np.linalg.svd(second, compute_uv=False).sum())
        if norm - lower <= gap_tol * norm and np.linalg.norm(second - W) > 0.01 * np.linalg.norm(W):
            return False
    return None


def _most_hidden(problem: MatrixCompletion, U: np.ndarray, Vt: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the largest part ||(1 - P) o (U Z V^T)||^2 over symmetric Z of norm 1, and its Z."""
    size = U.shape[1]
    unseen = ~problem.observed

    def folded(Z: np.ndarray) -> np.ndarray:
        Z = Z.reshape(-1, size, size)
        Z = U.T @ (unseen * (U @ (Z + Z.swapaxes(1, 2)) @ Vt)) @ Vt.T / 2
        return (Z + Z.swapaxes(1, 2)).reshape(-1, size**2) / 2

    if size <= DENSE_ORDER:
        values, vectors = np.linalg.eigh(folded(np.eye(size**2)))
        return float(values[-1]), vectors[:, -1].reshape(size, size)
    operator = scipy.sparse.linalg.LinearOperator(
        (size**2, size**2), matvec=lambda Z: folded(Z)[0], dtype=np.dtype(float)
    )
    start = np.random.default_rng(0).standard_normal(size**2)
    values, vectors = scipy.sparse.linalg.eigsh(operator, k=1, which="LA", v0=start, tol=1e-9, maxiter=200)
    return float(values[0]), vectors[:, 0].reshape(size, size)


def _lengths(Z: np.ndarray, Z0: np.ndarray) -> list[float]:
    """Return steps t worth trying for another minimiser at Z + t Z0: both signs, inside the cone if Z is inside."""
    steps = [0.1 * float(np.linalg.norm(Z))]
    values, vectors = np.linalg.eigh((Z + Z.T) / 2)
    if values[0] > 1e-8 * values[-1]:
        half = vectors / np.sqrt(values)
        steps.append(0.5 / float(np.abs(np.linalg.eigvalsh(half.T @ Z0 @ half)).max()))
    return [sign * step for step in steps for sign in (1, -1)]
