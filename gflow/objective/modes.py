"""Where a factorisation leaves a saddle: candidates for its unstable modes, from the residual's singular pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow.objective.record import Array

COUNT = 6
"""Number of singular pairs looked at."""
DENSE_SIDE = 400
"""Up to this smaller side the singular pairs of a dense matrix are all computed."""
ACTIVE = 1e-3
"""Directions of the inner space in which [A; B^T] is smaller than this, relative to the largest, carry no rank."""


def escape_modes(G: Any, model: Any, theta: Array) -> tuple[float, Array]:
    """Return an upper bound of the eigenvalues of -H at theta, and candidates for its top eigenvectors.

    Parameters
    ----------
    G : (d1, d2) array or sparse array
        dR/dW at theta.
    model : Factorization
    theta : (dim,) array

    Returns
    -------
    bound : float
        sigma_1(G): the Hessian is positive semidefinite but for the part (G dB^T, dA^T G).
    modes : (dim, m) array
        Orthonormal columns (u w^T, -w v^T) / sqrt 2 of the top singular pairs of G, with w outside the active span
        and along the part of theta there that moves with that pair; m = 0 where everything is active.

    At a critical point these are eigenvectors for the eigenvalues sigma(G) of -H. Bai et al. 2024, Theorem 2.
    """
    A, B = model.factors(theta)
    U, sizes, Vt = _top_pairs(G)
    gram, frame = np.linalg.eigh(A.T @ A + B @ B.T)
    idle = frame[:, gram <= ACTIVE**2 * gram[-1]] if gram[-1] > 0 else frame
    modes = []
    for u, v in zip(U.T, Vt, strict=True):
        if not idle.size:
            break
        w = idle @ (idle.T @ (B @ v - A.T @ u))
        length = float(np.linalg.norm(w))
        w = w / length if length > 0.0 else idle[:, 0]
        modes.append(model.theta(np.outer(u, w), -np.outer(w, v)) / np.sqrt(2.0))
    return float(sizes[0]), np.array(modes).reshape(-1, model.dim).T


def _top_pairs(G: Any) -> tuple[Array, Array, Array]:
    """Return the top singular triples, U (d1, m), falling sizes (m,), V^T (m, d2)."""
    if isinstance(G, np.ndarray) and min(G.shape) <= DENSE_SIDE:
        U, sizes, Vt = np.linalg.svd(G, full_matrices=False)
        return U[:, :COUNT], sizes[:COUNT], Vt[:COUNT]
    from scipy.sparse.linalg import svds

    if min(G.shape) <= COUNT + 1:
        return _top_pairs(G.toarray())
    U, sizes, Vt = svds(G, k=COUNT, v0=np.random.default_rng(0).standard_normal(min(G.shape)))
    order = np.argsort(-sizes)
    return U[:, order], sizes[order], Vt[order]
