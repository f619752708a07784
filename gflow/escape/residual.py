"""The escape from a critical point of matrix completion in closed form, from the singular pairs of its residual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.connectivity import connectivity

if TYPE_CHECKING:
    from gflow.models import Factorization
    from gflow.problems import MatrixCompletion


@dataclass(frozen=True, slots=True, eq=False)
class ResidualEscape:
    """The escape from a critical point of matrix completion; arrays are read-only.

    Attributes
    ----------
    component : int or None
        The coupling component to which everything below is restricted, None for the whole matrix.
    rank : int
        Rank k of [A; B^T].
    loss : float
        Sum of the squared residual over the total n. Scales as s^2.
    matrix : (d1, d2) array
        W = A B, zero outside the component.
    singular_values : array
        Singular values of E = P o (W - M), as many as the smaller side of the component.
    u, v : (d1,) and (d2,) arrays or None
        The top singular pair; the sign makes the largest entry of u positive. None where E = 0.
    rate : float
        2 sigma_1 / n, an upper bound of the eigenvalues of -H everywhere; 0.0 where E = 0. Scales as s.
    gap : float or None
        2 (sigma_1 - sigma_2) / n, None where E = 0.
    basis : (dim, multiplicity) array
        Orthonormal basis of the eigenvectors of -H with eigenvalue ``rate``.
    assumption_1 : bool or None
        sigma_1(E) is simple; None where E = 0.
    assumption_2 : bool or None
        No negative curvature inside the active manifold; None where E = 0 or rounding hides the sign.
    inside_rate : float
        Largest eigenvalue of -H inside the active manifold, 0.0 where there is no negative curvature.
    """

    component: int | None
    rank: int
    loss: float
    matrix: np.ndarray
    singular_values: np.ndarray
    u: np.ndarray | None
    v: np.ndarray | None
    rate: float
    gap: float | None
    basis: np.ndarray
    assumption_1: bool | None
    assumption_2: bool | None
    inside_rate: float

    def __post_init__(self) -> None:
        for array in (self.matrix, self.singular_values, self.u, self.v, self.basis):
            if array is not None:
                array.setflags(write=False)

    @property
    def multiplicity(self) -> int:
        """Return the multiplicity of ``rate``: r - dim S where sigma_1 is simple, 0 where E = 0."""
        return self.basis.shape[1]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the basis for JSON."""
        return {
            "component": self.component,
            "rank": self.rank,
            "loss": self.loss,
            "matrix": self.matrix.tolist(),
            "residual_singular_values": self.singular_values.tolist(),
            "escape_rate": self.rate,
            "multiplicity": self.multiplicity,
            "gap": self.gap,
            "u": None if self.u is None else self.u.tolist(),
            "v": None if self.v is None else self.v.tolist(),
            "assumption_1": self.assumption_1,
            "assumption_2": self.assumption_2,
            "inside_rate": self.inside_rate,
        }

    def __repr__(self) -> str:
        return (
            f"ResidualEscape(rank={self.rank}, loss={self.loss:.8g}, rate={self.rate:.8g}, "
            f"multiplicity={self.multiplicity})"
        )


def residual_escape(
    problem: MatrixCompletion,
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
    inner, theta = problem.normalized, _point(problem, model, saddle)
    groups = _groups(problem, component)
    block = np.zeros(problem.shape, dtype=bool)
    for rows, columns in groups:
        block[np.ix_(rows, columns)] = True
    W = model.matrix(theta)
    _require_critical(inner, model, theta, W, critical_tol)
    E = np.where(block, inner.residual(W), 0.0)
    U, sigma, Vt = np.linalg.svd(E)
    sigma = sigma[: min(np.count_nonzero(block.any(axis=1)), np.count_nonzero(block.any(axis=0)))]
    escapes = bool(sigma[0] > residual_tol)
    top = int(np.sum(sigma[0] - sigma <= simple_tol * sigma[0])) if escapes else 0
    sign = 1.0 if U[np.argmax(np.abs(U[:, 0])), 0] > 0 else -1.0
    slope, second = 2.0 * problem.weight * problem.unit, float(np.append(sigma, 0.0)[1])
    stable, inside = _second_order_inside(inner, model, theta, groups, rank_tol) if escapes else (None, 0.0)
    lines = [*(i for rows, _ in groups for i in rows), *(model.shape[0] + j for _, columns in groups for j in columns)]
    return ResidualEscape(
        component=component,
        rank=int(np.sum(np.linalg.svd(model.stacked(theta)[lines], compute_uv=False) > rank_tol)),
        loss=problem.unit * (problem.unit * problem.weight * float(np.sum(E * E))),
        matrix=problem.unit * np.where(block | (component is None), W, 0.0),
        singular_values=problem.unit * sigma,
        u=sign * U[:, 0] if escapes else None,
        v=sign * Vt[0] if escapes else None,
        rate=slope * float(sigma[0]) if escapes else 0.0,
        gap=slope * (float(sigma[0]) - second) if escapes else None,
        basis=_eigenspace(inner, model, theta, U[:, :top], Vt[:top].T, rank_tol),
        assumption_1=top == 1 if escapes else None,
        assumption_2=stable,
        inside_rate=problem.unit * inside,
    )


def _eigenspace(
    problem: MatrixCompletion, model: Factorization, theta: np.ndarray, U: np.ndarray, V: np.ndarray, rank_tol: float
) -> np.ndarray:
    """Return the directions (U w, -w^T V^T) / sqrt 2 that change no observed entry, orthonormal, in columns."""
    A, B = model.factors(theta)
    m, r = U.shape[1], model.rank
    if not m:
        return np.empty((model.dim, 0))
    rows, columns = problem.rows, problem.columns
    left = U[rows][:, :, None] * B.T[columns][:, None, :]
    right = V[columns][:, :, None] * A[rows][:, None, :]
    equations = np.linalg.qr((left - right).reshape(len(rows), m * r), mode="r")
    _, sizes, Wt = np.linalg.svd(equations)
    free = Wt[int(np.sum(sizes > rank_tol)) :].reshape(-1, m, r)
    directions = [model.theta(U @ w, -(w.T @ V.T)) for w in free]
    return np.array(directions).reshape(-1, model.dim).T / np.sqrt(2.0)


def _second_order_inside(
    problem: MatrixCompletion,
    model: Factorization,
    theta: np.ndarray,
    groups: list[tuple[list[int], list[int]]],
    rank_tol: float,
) -> tuple[bool | None, float]:
    """Return whether the Hessian inside the active manifold has no negative eigenvalue, and the growth rate there."""
    T = _active_tangent(model, theta, groups, rank_tol)
    if not len(T):
        return True, 0.0
    G = problem.gradient(model.matrix(theta))
    HT = [model.pullback(theta, problem.curvature(model.tangent(theta, t))) + model.bend(t, G) for t in T]
    inside = T @ np.array(HT).T
    values = np.linalg.eigvalsh((inside + inside.T) / 2)
    slope = float(np.linalg.norm(model.pullback(theta, G))) / float(np.linalg.norm(theta))
    noise = 1e-12 * float(np.abs(values).max()) + 4.0 * slope
    if values[0] >= -noise:
        return True, 0.0
    return (False if values[0] < -100 * noise else None), -float(values[0])


def _active_tangent(
    model: Factorization, theta: np.ndarray, groups: list[tuple[list[int], list[int]]], rank_tol: float
) -> np.ndarray:
    """Return an orthonormal basis, in rows, of the manifold on which the point lives.

    It is the product over coupling components of sub-Omega_(k_c) with the frame Q_c of the component's active rank
    k_c: rows A[I_c] = a Q_c^T and columns B[:, J_c] = Q_c b.
    """
    Z = model.stacked(theta)
    tangents = []
    for rows, columns in groups:
        lines = [*rows, *(model.shape[0] + j for j in columns)]
        _, sizes, Vt = np.linalg.svd(Z[lines], full_matrices=False)
        for line in lines:
            for direction in Vt[: int(np.sum(sizes > rank_tol))]:
                T = np.zeros_like(Z)
                T[line] = direction
                tangents.append(model.unstacked(T))
    return np.array(tangents).reshape(-1, model.dim)


def _groups(problem: MatrixCompletion, component: int | None) -> list[tuple[list[int], list[int]]]:
    """Return rows and columns of the coupling component, or of all of them."""
    parts = [(list(part.rows), list(part.columns)) for part in connectivity(problem).coupling_components]
    if component is None:
        return parts
    if isinstance(component, bool) or component not in range(len(parts)):
        raise ValueError(f"component must lie between 0 and {len(parts) - 1}; got {component!r}")
    return [parts[component]]


def _point(problem: MatrixCompletion, model: Factorization, saddle: np.ndarray) -> np.ndarray:
    """Return the point in the problem's own unit."""
    if tuple(problem.shape) != tuple(model.shape):
        raise ValueError(f"problem and model must have the same shape; got {problem.shape} and {model.shape}")
    theta = np.array(saddle, dtype=float)
    if theta.shape != (model.dim,) or not np.isfinite(theta).all():
        raise ValueError(f"saddle must be finite and of shape ({model.dim},); got shape {theta.shape}")
    return theta / np.sqrt(problem.unit)


def _require_critical(
    problem: MatrixCompletion, model: Factorization, theta: np.ndarray, W: np.ndarray, critical_tol: float
) -> None:
    slope = float(np.linalg.norm(model.pullback(theta, problem.gradient(W))))
    size = float(np.linalg.norm(theta))
    allowed = critical_tol * 2.0 * problem.weight * (1.0 + size * size) * max(size, 1.0)
    if slope > allowed:
        raise ValueError(
            f"saddle must be a critical point: in the problem's own unit its gradient norm is {slope:.3g}, allowed "
            f"{allowed:.3g}; polish it with find_critical_point"
        )
