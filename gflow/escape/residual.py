"""The escape from a critical point of matrix completion in closed form, from the singular pairs of its residual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.connectivity import connectivity
from gflow.escape.inside import second_order_inside
from gflow.escape.pair import ALL_PAIRS_SIDE, equations_gram, own_point, require_critical
from gflow.plain import ReadOnly, plain
from gflow.policy import LARGEST_TABLE
from gflow.problems import as_completion

if TYPE_CHECKING:
    from gflow.models import Factorization
    from gflow.problems import MatrixCompletion

ALL_VALUES_CELLS = 250_000
"""Up to this many entries all singular values of the residual are computed."""
FIRST_TRIPLES = 10
"""Singular triples asked for first beyond it."""
EXPLICIT = 4_000_000
"""Up to this many numbers the equations for w are written out; beyond it their Gram matrix is, half as accurate."""


@dataclass(frozen=True, slots=True, eq=False)
class ResidualEscape(ReadOnly):
    """The escape from a critical point of matrix completion; arrays are read-only.

    Attributes
    ----------
    component : int or None
        The coupling component to which everything below is restricted, None for the whole matrix.
    rank : int
        Rank k of [A; B^T].
    loss : float
        Sum of the squared residual over the total n. Scales as s^2.
    A, B : (d1, r) and (r, d2) arrays
        Factors of ``matrix``: those of the point, zero outside the component.
    singular_values : array
        Singular values of E = P o (W - M), as many as the smaller side of the component; above 250000 entries the
        leading ones.
    u, v : (d1,) and (d2,) arrays or None
        The top singular pair; the sign makes the largest entry of u positive. None where E = 0.
    rate : float
        2 sigma_1 / n, an upper bound of the eigenvalues of -H everywhere; 0.0 where E = 0. Scales as s.
    gap : float or None
        2 (sigma_1 - sigma_2) / n, None where E = 0.
    U, V : (d1, m) and (d2, m) arrays
        Singular pairs of E whose singular values count as equal to the top one; m = 0 where E = 0.
    frame : (multiplicity, m, r) array
        The w with which (U w, -w^T V^T) / sqrt 2 is an eigenvector of -H with eigenvalue ``rate``, orthonormal.
    assumption_1 : bool or None
        sigma_1(E) is simple; None where E = 0.
    assumption_2 : bool or None
        No negative curvature inside the active manifold; None where E = 0, rounding hides the sign, or the lowest
        eigenvalue of a large manifold was not found.
    inside_rate : float
        Largest eigenvalue of -H inside the active manifold, 0.0 where there is no negative curvature.
    """

    component: int | None
    rank: int
    loss: float
    A: np.ndarray
    B: np.ndarray
    singular_values: np.ndarray
    u: np.ndarray | None
    v: np.ndarray | None
    rate: float
    gap: float | None
    U: np.ndarray
    V: np.ndarray
    frame: np.ndarray
    assumption_1: bool | None
    assumption_2: bool | None
    inside_rate: float

    @property
    def multiplicity(self) -> int:
        """Return the multiplicity of ``rate``: r - dim S where sigma_1 is simple, 0 where E = 0."""
        return len(self.frame)

    @property
    def matrix(self) -> np.ndarray:
        """Return W = A B, shape (d1, d2), zero outside the component."""
        return self.A @ self.B

    @property
    def basis(self) -> np.ndarray:
        """Return an orthonormal basis of the eigenvectors of -H with eigenvalue ``rate``, (dim, multiplicity)."""
        upper = np.einsum("im,cmr->cir", self.U, self.frame).reshape(len(self.frame), -1)
        lower = -np.einsum("cmr,jm->crj", self.frame, self.V).reshape(len(self.frame), -1)
        return np.hstack([upper, lower]).T / np.sqrt(2.0)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but factors and basis for JSON, with the matrix up to 10000 entries."""
        return {
            **plain(self, "component rank loss"),
            "matrix": self.matrix.tolist() if len(self.A) * self.B.shape[1] <= LARGEST_TABLE else None,
            "residual_singular_values": self.singular_values.tolist(),
            "escape_rate": self.rate,
            **plain(self, "multiplicity gap u v assumption_1 assumption_2 inside_rate"),
        }

    def __repr__(self) -> str:
        return (
            f"ResidualEscape(rank={self.rank}, loss={self.loss:.8g}, rate={self.rate:.8g}, "
            f"multiplicity={self.multiplicity})"
        )


def residual_escape(
    problem: Any,
    model: Factorization,
    saddle: np.ndarray,
    *,
    component: int | None = None,
    residual_tol: float = 1e-9,
    simple_tol: float = 1e-7,
    rank_tol: float = 1e-6,
    critical_tol: float = 1e-8,
) -> ResidualEscape:
    """Return the escape from the critical point ``saddle`` of the loss of ``problem`` and ``model``.

    Along any d = (dA, dB) the Hessian is (2/n) (|P o (dA B + A dB)|^2 + 2 <E, dA dB>) >= -(2/n) sigma_1 |d|^2, with
    equality where dA and dB combine top singular pairs, dA = sum u_p w_p^T and dB = -sum w_p v_p^T, and change no
    observed entry at first order: linear equations for the w_p, whose solutions are the eigenspace. For a simple
    sigma_1 they say that w is orthogonal to the span S of the b_j and a_i that an observed entry ties to u and v.

    Parameters
    ----------
    problem : MatrixCompletion
    model : Factorization
    saddle : (dim,) array, a critical point
    component : int, optional
        Number of the coupling component, in the order of ``connectivity``, to look at alone.
    residual_tol : float
        E counts as zero when sigma_1 <= residual_tol * unit.
    simple_tol : float
        sigma_1 counts as simple when sigma_1 - sigma_2 > simple_tol * sigma_1.
    rank_tol : float
        Singular values up to rank_tol * sqrt(unit) count as zero, in [A; B^T] and in the equations for w.
    critical_tol : float
        The point must satisfy |g| <= critical_tol * (2/n) (unit + |theta|^2) max(|theta|, sqrt(unit)).

    Raises
    ------
    ValueError
        If the point is not critical, not finite or of another shape, or there is no such component.

    Rates scale as s when M is multiplied by s. Bai et al. 2024, Theorem 2 and its Assumptions 1 and 2.
    """
    problem = as_completion(problem)
    inner, theta = problem.normalized, own_point(problem, model, saddle)
    groups, (A, B) = _groups(problem, component), model.factors(theta)
    rows, columns = (np.sort(np.concatenate(sides)) for sides in zip(*groups, strict=True))
    errors = inner.observed_product(A, B) - inner.targets
    require_critical(inner.scattered(errors), A, B, inner.weight, critical_tol)
    here = np.zeros(problem.shape[0], dtype=bool)
    here[rows] = True
    errors = np.where(here[inner.rows], errors, 0.0)
    left, sigma, right = _leading(inner.scattered(errors)[rows][:, columns], simple_tol)
    escapes = bool(sigma[0] > residual_tol)
    top = int(np.sum(sigma[0] - sigma <= simple_tol * sigma[0])) if escapes else 0
    U, V = np.zeros((problem.shape[0], max(top, 1))), np.zeros((problem.shape[1], max(top, 1)))
    U[rows], V[columns] = left[:, : max(top, 1)], right[:, : max(top, 1)]
    sign = 1.0 if U[np.argmax(np.abs(U[:, 0])), 0] > 0 else -1.0
    slope, second = 2.0 * problem.weight * problem.unit, float(np.append(sigma, 0.0)[1])
    stable, inside = second_order_inside(inner, model, theta, groups, rank_tol) if escapes else (None, 0.0)
    lines = np.concatenate([rows, model.shape[0] + columns])
    return ResidualEscape(
        component=component,
        rank=int(np.sum(np.linalg.svd(model.stacked(theta)[lines], compute_uv=False) > rank_tol)),
        loss=problem.unit * (problem.unit * problem.weight * float(errors @ errors)),
        **_factors(problem, model, saddle, None if component is None else (rows, columns)),
        singular_values=problem.unit * sigma,
        u=sign * U[:, 0] if escapes else None,
        v=sign * V[:, 0] if escapes else None,
        rate=slope * float(sigma[0]) if escapes else 0.0,
        gap=slope * (float(sigma[0]) - second) if escapes else None,
        U=U[:, :top],
        V=V[:, :top],
        frame=_frame(inner, A, B, U[:, :top], V[:, :top], rank_tol),
        assumption_1=top == 1 if escapes else None,
        assumption_2=stable,
        inside_rate=problem.unit * inside,
    )


def _factors(problem: MatrixCompletion, model: Factorization, saddle: np.ndarray, block: Any) -> dict[str, np.ndarray]:
    """Return copies of the factors, zero outside the block of rows and columns."""
    A, B = (factor.copy() for factor in model.factors(np.asarray(saddle, dtype=float)))
    if block is not None:
        A[np.setdiff1d(np.arange(problem.shape[0]), block[0])] = 0.0
        B[:, np.setdiff1d(np.arange(problem.shape[1]), block[1])] = 0.0
    return {"A": A, "B": B}


def _leading(E: Any, simple_tol: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all singular triples of a sparse array, or enough leading ones to tell how many belong to the top."""
    most = min(E.shape)
    if E.shape[0] * E.shape[1] <= ALL_VALUES_CELLS or most <= ALL_PAIRS_SIDE:
        U, sigma, Vt = np.linalg.svd(E.toarray(), full_matrices=False)
        return U, sigma, Vt.T
    if not E.data.any():
        return np.eye(E.shape[0], 1), np.zeros(1), np.eye(E.shape[1], 1)
    from scipy.sparse.linalg import svds

    count, start = FIRST_TRIPLES, np.random.default_rng(0).standard_normal(most)
    while True:
        U, sigma, Vt = svds(E, k=min(count, most - 1), v0=start)
        order = np.argsort(-sigma)
        U, sigma, V = U[:, order], sigma[order], Vt[order].T
        if sigma[0] - sigma[-1] > simple_tol * sigma[0] or count >= most - 1:
            return U, sigma, V
        count *= 2


def _frame(
    problem: MatrixCompletion, A: np.ndarray, B: np.ndarray, U: np.ndarray, V: np.ndarray, rank_tol: float
) -> np.ndarray:
    """Return the w, shape (count, m, r), with which (U w, -w^T V^T) changes no observed entry, orthonormal."""
    m, r, rows, columns = U.shape[1], A.shape[1], problem.rows, problem.columns
    if not m:
        return np.empty((0, 0, r))
    if len(rows) * m * r > EXPLICIT:
        values, vectors = np.linalg.eigh(equations_gram(problem, A, B, U, V))
        return vectors[:, values <= rank_tol**2].T.reshape(-1, m, r).copy()
    left = U[rows][:, :, None] * B.T[columns][:, None, :]
    right = V[columns][:, :, None] * A[rows][:, None, :]
    equations = np.linalg.qr((left - right).reshape(len(rows), m * r), mode="r")
    _, sizes, Wt = np.linalg.svd(equations)
    return Wt[int(np.sum(sizes > rank_tol)) :].reshape(-1, m, r).copy()


def _groups(problem: MatrixCompletion, component: int | None) -> list[tuple[list[int], list[int]]]:
    """Return rows and columns of the coupling component, or of all of them."""
    parts = [(list(part.rows), list(part.columns)) for part in connectivity(problem).coupling_components]
    if component is None:
        return parts
    if isinstance(component, bool) or component not in range(len(parts)):
        raise ValueError(f"component must lie between 0 and {len(parts) - 1}; got {component!r}")
    return [parts[component]]
