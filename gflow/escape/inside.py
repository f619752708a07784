"""Second order inside the manifold on which a critical point of matrix completion lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gflow.objective import Objective

if TYPE_CHECKING:
    from gflow.models import Factorization
    from gflow.problems import MatrixCompletion

DENSE_INSIDE = 600
"""Up to this dimension of the manifold all eigenvalues inside are computed, beyond it the lowest one."""
LANCZOS_TOL, LANCZOS_VECTORS, INSIDE_RESTARTS = 1e-6, 60, 30
"""Residual of the lowest eigenvalue relative to the norm of the Hessian, and the work that may be spent on it."""
GAUGE_TOL = 1e-8

Groups = list[tuple[list[int], list[int]]]


def second_order_inside(
    problem: MatrixCompletion, model: Factorization, theta: np.ndarray, groups: Groups, rank_tol: float
) -> tuple[bool | None, float]:
    """Return whether the Hessian inside the active manifold has no negative eigenvalue, and the growth rate there.

    None where rounding hides the sign, or the lowest eigenvalue of a large manifold was not found.

    Parameters
    ----------
    problem : MatrixCompletion, in its own unit
    model : Factorization
    theta : (dim,) array, a critical point
    groups : rows and columns of each coupling component to look at
    rank_tol : float
        Singular values of [A; B^T] above it count as active.
    """
    inside = _Inside(problem, model, theta, groups, rank_tol)
    if not inside.dim:
        return True, 0.0
    found = inside.extremes() if inside.dim <= DENSE_INSIDE else inside.extremes_by_lanczos()
    if found is None:
        return None, 0.0
    lowest, largest = found
    slope = float(np.linalg.norm(inside.objective.gradient(theta))) / float(np.linalg.norm(theta))
    noise = 1e-12 * largest + 4.0 * slope
    if lowest >= -noise:
        return True, 0.0
    return (False if lowest < -100 * noise else None), -lowest


class _Inside:
    """The Hessian in coordinates of the manifold: for each component c, [A; B^T] in its frame Q_c of k_c directions.

    It is the product over coupling components of sub-Omega_(k_c): rows A[I_c] = a Q_c^T, columns B[:, J_c] = Q_c b.
    """

    def __init__(
        self, problem: MatrixCompletion, model: Factorization, theta: np.ndarray, groups: Groups, rank_tol: float
    ) -> None:
        self.model, self.theta, self.objective = model, theta, Objective.of(problem, model)
        Z = model.stacked(theta)
        self.parts, self.gauges = [], []
        for rows, columns in groups:
            lines = np.array([*rows, *(model.shape[0] + j for j in columns)])
            _, sizes, Vt = np.linalg.svd(Z[lines], full_matrices=False)
            Q = Vt[: int(np.sum(sizes > rank_tol))].T
            self.parts.append((lines, Q))
            self.gauges.append(_gauge(Z[lines] @ Q, len(rows)))
        self.cuts = np.cumsum([0, *(len(lines) * Q.shape[1] for lines, Q in self.parts)])
        self.dim = int(self.cuts[-1])

    def product(self, t: np.ndarray) -> np.ndarray:
        """Return the Hessian times t, both in these coordinates, shape (dim,)."""
        Z, blocks = np.zeros((sum(self.model.shape), self.model.rank)), np.split(t.ravel(), self.cuts[1:-1])
        for (lines, Q), block in zip(self.parts, blocks, strict=True):
            Z[lines] = block.reshape(len(lines), -1) @ Q.T
        H = self.model.stacked(self.objective.hvp(self.theta, self.model.unstacked(Z)))
        return np.concatenate([(H[lines] @ Q).ravel() for lines, Q in self.parts])

    def extremes(self) -> tuple[float, float]:
        """Return the lowest eigenvalue, and the largest in modulus."""
        H = np.array([self.product(t) for t in np.eye(self.dim)])
        values = np.linalg.eigvalsh((H + H.T) / 2)
        return float(values[0]), float(np.abs(values).max())

    def extremes_by_lanczos(self) -> tuple[float, float] | None:
        """Return the same without a matrix, the zeros of the gauge moved away; None where that does not converge."""
        from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

        start = np.random.default_rng(0).standard_normal(self.dim)
        plain = LinearOperator((self.dim, self.dim), matvec=self.product, dtype=np.dtype(float))
        largest = abs(float(eigsh(plain, 1, which="LM", tol=1e-2, v0=start, return_eigenvectors=False)[0]))

        def shifted(t: np.ndarray) -> np.ndarray:
            result = t.ravel() + self.product(t) / largest
            for begin, gauge in zip(self.cuts, self.gauges, strict=False):
                part = slice(begin, begin + len(gauge))
                result[part] += 2.0 * (gauge @ (gauge.T @ t.ravel()[part]))
            return result

        moved = LinearOperator((self.dim, self.dim), matvec=shifted, dtype=np.dtype(float))
        try:
            found = eigsh(
                moved,
                1,
                which="SA",
                tol=LANCZOS_TOL,
                ncv=min(LANCZOS_VECTORS, self.dim),
                maxiter=INSIDE_RESTARTS,
                v0=start,
                return_eigenvectors=False,
            )
        except ArpackNoConvergence:
            return None
        return largest * (float(found[0]) - 1.0), largest


def _gauge(Z: np.ndarray, cut: int) -> np.ndarray:
    """Return an orthonormal basis of the directions (a X, -X b) for [a; b^T] = Z, in columns; ``cut`` rows are of a."""
    k = Z.shape[1]
    moves = np.zeros((k, k, *Z.shape))
    for p in range(k):
        for q in range(k):
            moves[p, q, :cut, q] = Z[:cut, p]
            moves[p, q, cut:, p] -= Z[cut:, q]
    left, sizes, _ = np.linalg.svd(moves.reshape(k * k, Z.size).T, full_matrices=False)
    return left[:, sizes > GAUGE_TOL * max(float(sizes.max(initial=0.0)), 1e-300)]
