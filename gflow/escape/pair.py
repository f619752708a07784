"""The escape direction of a saddle of any size, from the top singular pair of its residual alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.plain import ReadOnly
from gflow.problems import as_completion

if TYPE_CHECKING:
    from gflow.models import Factorization
    from gflow.problems import MatrixCompletion

ALL_PAIRS_SIDE = 32
"""Up to this smaller side all singular pairs of the residual are computed."""


@dataclass(frozen=True, slots=True, eq=False)
class EscapePair(ReadOnly):
    """The lowest eigenvalue of the Hessian at a saddle of matrix completion, with an eigenvector; arrays are read-only.

    Attributes
    ----------
    rate : float
        2 sigma_1 / n for the largest singular value of E = P o (W - M): minus the lowest eigenvalue of the Hessian if
        ``direction`` is given, and always a bound of it. Scales as s.
    next_rate : float
        2 sigma_2 / n.
    u, v : (d1,) and (d2,) arrays
        The top singular pair of E; the largest entry of u is positive.
    multiplicity : int
        Dimension of the space of the vectors w with which (u w^T, -w v^T) is an eigenvector.
    direction : (dim,) array or None
        (u w^T, -w v^T) / sqrt 2 for one of them of length 1; None where there is none.
    """

    rate: float
    next_rate: float
    u: np.ndarray
    v: np.ndarray
    multiplicity: int
    direction: np.ndarray | None

    def to_dict(self) -> dict[str, Any]:
        """Return the rates, the pair and the multiplicity for JSON."""
        pair = {"u": self.u.tolist(), "v": self.v.tolist()}
        return {"escape_rate": self.rate, "next_rate": self.next_rate, "multiplicity": self.multiplicity} | pair

    def __repr__(self) -> str:
        return f"EscapePair(rate={self.rate:.8g}, next={self.next_rate:.8g}, multiplicity={self.multiplicity})"


def escape_pair(
    problem: Any,
    model: Factorization,
    saddle: np.ndarray,
    *,
    critical_tol: float = 1e-8,
    rank_tol: float = 1e-6,
) -> EscapePair:
    """Return the escape from a critical point in time O(n r + (d1 + d2) r^2), without a matrix of the size of M.

    A w is admitted where (u w^T, -w v^T) changes no observed entry: w^T G w = 0 for the r x r matrix
    G = sum over observed (i, j) of (u_i b_j - v_j a_i)(u_i b_j - v_j a_i)^T.

    Parameters
    ----------
    problem : MatrixCompletion
    model : Factorization
    saddle : (dim,) array, a critical point
    critical_tol : float
        The point must satisfy |g| <= critical_tol * (2/n) (unit + |theta|^2) max(|theta|, sqrt(unit)).
    rank_tol : float
        Eigenvalues of G up to rank_tol^2 * unit count as zero.

    Raises
    ------
    ValueError
        If the point is not critical, not finite or of another shape.

    Rates scale as s when M is multiplied by s. Bai et al. 2024, Theorem 2.
    """
    problem = as_completion(problem)
    inner, (A, B) = problem.normalized, model.factors(own_point(problem, model, saddle))
    E = inner.scattered(inner.observed_product(A, B) - inner.targets)
    require_critical(E, A, B, inner.weight, critical_tol)
    U, sizes, Vt = _pairs(E)
    u, v = (U[:, 0], Vt[0]) if U[np.argmax(np.abs(U[:, 0])), 0] > 0 else (-U[:, 0], -Vt[0])
    gram, frame = np.linalg.eigh(equations_gram(inner, A, B, u[:, None], v[:, None]))
    count = int(np.sum(gram <= rank_tol**2)) if sizes[0] > 0 else 0
    w = frame[:, 0]
    direction = model.theta(np.outer(u, w), -np.outer(w, v)) / np.sqrt(2.0) if count else None
    rate, after = (2.0 * problem.weight * problem.unit * float(size) for size in sizes[:2])
    return EscapePair(rate, after, u, v, count, direction)


def own_point(problem: MatrixCompletion, model: Factorization, saddle: np.ndarray) -> np.ndarray:
    """Return the point in the problem's own unit; raise ``ValueError`` if it does not fit."""
    if tuple(problem.shape) != tuple(model.shape):
        raise ValueError(f"problem and model must have the same shape; got {problem.shape} and {model.shape}")
    theta = np.array(saddle, dtype=float)
    if theta.shape != (model.dim,) or not np.isfinite(theta).all():
        raise ValueError(f"saddle must be finite and of shape ({model.dim},); got shape {theta.shape}")
    return theta / np.sqrt(problem.unit)


def require_critical(E: Any, A: np.ndarray, B: np.ndarray, weight: float, critical_tol: float) -> None:
    """Raise ``ValueError`` unless (A, B), with the residual E in the problem's own unit, is a critical point."""
    slope = 2.0 * weight * float(np.hypot(np.linalg.norm(E @ B.T), np.linalg.norm(E.T @ A)))
    size = float(np.hypot(np.linalg.norm(A), np.linalg.norm(B)))
    allowed = critical_tol * 2.0 * weight * (1.0 + size * size) * max(size, 1.0)
    if slope > allowed:
        raise ValueError(
            f"saddle must be a critical point: in the problem's own unit its gradient norm is {slope:.3g}, allowed "
            f"{allowed:.3g}; polish it with find_critical_point"
        )


def _pairs(E: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two top singular triples of a sparse array, the second value 0 where there is but one."""
    if min(E.shape) <= ALL_PAIRS_SIDE:
        U, sizes, Vt = np.linalg.svd(E.toarray())
        return U[:, :2], np.append(sizes, 0.0)[:2], Vt[:2]
    if not E.data.any():
        return np.eye(E.shape[0], 2), np.zeros(2), np.eye(2, E.shape[1])
    from scipy.sparse.linalg import svds

    U, sizes, Vt = svds(E, k=2, v0=np.random.default_rng(0).standard_normal(min(E.shape)))
    order = np.argsort(-sizes)
    return U[:, order], sizes[order], Vt[order]


def equations_gram(problem: MatrixCompletion, A: np.ndarray, B: np.ndarray, U: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Return the sum over observed (i, j) of g g^T for g = (u_pi b_j - v_pj a_i), p = 1 ... m, shape (m r, m r)."""
    rows, columns, m, r = problem.rows, problem.columns, U.shape[1], A.shape[1]
    G = np.empty((m, r, m, r))
    for p in range(m):
        for q in range(m):
            on_columns = np.bincount(columns, U[rows, p] * U[rows, q], minlength=len(V))
            on_rows = np.bincount(rows, V[columns, p] * V[columns, q], minlength=len(U))
            crossed = B @ (problem.scattered(U[rows, p] * V[columns, q]).T @ A)
            turned = B @ (problem.scattered(U[rows, q] * V[columns, p]).T @ A)
            G[p, :, q] = (B * on_columns) @ B.T + (A.T * on_rows) @ A - crossed - turned.T
    return G.reshape(m * r, m * r)
