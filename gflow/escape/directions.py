"""Where a trajectory leaves a strict saddle: the top eigenspace of -Hessian, in general and in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.connectivity import connectivity
from gflow.critical import hessian_spectrum

if TYPE_CHECKING:
    from gflow.models import Factorization
    from gflow.objective import Objective
    from gflow.problems import MatrixCompletion

SUPPORT_TOL = 1e-7
"""Entries of a unit singular vector below this count as zero."""


@dataclass(frozen=True, slots=True, eq=False)
class EscapeDirections:
    """The top eigenspace of -H at a point.

    Attributes
    ----------
    rate : float
        The largest eigenvalue lambda_1 of -H; 0.0 where none is positive. Scales as s with M.
    next_rate : float or None
        The next distinct eigenvalue lambda_2 of -H (it may be zero or negative), None if there is none.
    basis : (dim, m) array, read-only
        Orthonormal basis of the eigenspace, m = 0 where nothing escapes.
    complete : bool
        Whether the whole spectrum was computed; otherwise the multiplicity is a lower bound.
    norm : float
        The norm of the Hessian.
    """

    rate: float
    next_rate: float | None
    basis: np.ndarray
    complete: bool
    norm: float

    def __post_init__(self) -> None:
        self.basis.setflags(write=False)

    @property
    def multiplicity(self) -> int:
        """Return the dimension m of the eigenspace."""
        return self.basis.shape[1]

    @property
    def gap(self) -> float | None:
        """Return lambda_1 - lambda_2, None without a second eigenvalue."""
        return None if self.next_rate is None else self.rate - self.next_rate

    @property
    def order(self) -> float:
        """Return the predicted order min(1, 1 - lambda_2 / lambda_1) of the direct limit in alpha."""
        if self.next_rate is None or self.rate == 0.0:
            return 1.0
        return min(1.0, 1.0 - self.next_rate / self.rate)

    def project(self, direction: np.ndarray) -> np.ndarray:
        """Return the part of ``direction``, shape (dim,), in the eigenspace."""
        return self.basis @ (self.basis.T @ direction)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers (not the basis) for JSON."""
        return {
            "escape_rate": self.rate,
            "next_rate": self.next_rate,
            "gap": self.gap,
            "multiplicity": self.multiplicity,
            "complete": self.complete,
        }

    def __repr__(self) -> str:
        return f"EscapeDirections(rate={self.rate:.8g}, multiplicity={self.multiplicity}, gap={self.gap})"


def escape_directions(
    objective: Objective, saddle: np.ndarray, *, k: int | None = None, multiplicity_tol: float = 1e-7
) -> EscapeDirections:
    """Return the top eigenspace of -H at ``saddle``, for any objective.

    Parameters
    ----------
    objective : Objective
    saddle : (dim,) array
    k : int, optional
        How many of the lowest eigenvalues of H to compute, as in ``hessian_spectrum``.
    multiplicity_tol : float
        Eigenvalues within multiplicity_tol * norm(H) of lambda_1 count as equal to it.

    Raises ``ValueError`` for a point of another shape or not finite. Rates scale as s when M is multiplied by s.
    """
    spectrum = hessian_spectrum(objective, saddle, k)
    top = spectrum.values - spectrum.values[0] <= multiplicity_tol * spectrum.norm
    rate = float(-spectrum.values[0])
    if rate <= multiplicity_tol * spectrum.norm:
        return EscapeDirections(0.0, None, np.empty((objective.dim, 0)), spectrum.complete, spectrum.norm)
    rest = spectrum.values[~top]
    next_rate = float(-rest[0]) if rest.size else None
    return EscapeDirections(rate, next_rate, spectrum.vectors[:, top].copy(), spectrum.complete, spectrum.norm)


@dataclass(frozen=True, slots=True, eq=False)
class ResidualEscape:
    """The escape from a critical point of matrix completion, in closed form from its residual E.

    Attributes
    ----------
    singular_values : (min(d1, d2),) array
        Singular values of E = P o (W - M).
    u, v : (d1,) and (d2,) arrays
        The top singular pair; the sign makes the largest entry of u positive.
    rate, gap : float
        2 sigma_1 / n and 2 (sigma_1 - sigma_2) / n.
    multiplicity : int or None
        r - dim S where sigma_1 is simple and non-zero, else None.
    basis : (dim, multiplicity) array
        The directions (u w^T, -w v^T) / sqrt 2 with w orthonormal in the complement of S.
    assumption_1 : bool or None
        sigma_1(E) is simple; None where E = 0.
    assumption_2 : bool or None
        No negative curvature inside the active manifold; None where E = 0 or rounding hides the sign.
    """

    singular_values: np.ndarray
    u: np.ndarray
    v: np.ndarray
    rate: float
    gap: float
    multiplicity: int | None
    basis: np.ndarray
    assumption_1: bool | None
    assumption_2: bool | None

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the basis for JSON."""
        return {
            "residual_singular_values": self.singular_values.tolist(),
            "escape_rate": self.rate,
            "multiplicity": self.multiplicity,
            "gap": self.gap,
            "u": self.u.tolist(),
            "v": self.v.tolist(),
            "assumption_1": self.assumption_1,
            "assumption_2": self.assumption_2,
        }

    def __repr__(self) -> str:
        return f"ResidualEscape(rate={self.rate:.8g}, multiplicity={self.multiplicity}, gap={self.gap:.6g})"


def residual_escape(
    problem: MatrixCompletion,
    model: Factorization,
    saddle: np.ndarray,
    *,
    residual_tol: float = 1e-9,
    simple_tol: float = 1e-7,
    rank_tol: float = 1e-6,
) -> ResidualEscape:
    """Return the escape from the critical point ``saddle`` of the loss of ``problem`` and ``model``.

    Parameters
    ----------
    problem : MatrixCompletion
    model : Factorization
    saddle : (dim,) array, a critical point
    residual_tol : float
        E counts as zero when sigma_1 <= residual_tol * unit.
    simple_tol : float
        sigma_1 counts as simple when sigma_1 - sigma_2 > simple_tol * sigma_1.
    rank_tol : float
        Factor rows below rank_tol times the largest count as inactive, and ranks are counted with it.

    Bai et al. 2024, Theorem 2; the multiplicity r - dim S is derived in the tests. Rates scale as s with M.
    """
    E = problem.residual(model.matrix(saddle))
    U, sigma, Vt = np.linalg.svd(E)
    values = np.append(sigma, 0.0)
    sign = np.sign(U[np.argmax(np.abs(U[:, 0])), 0])
    u, v = sign * U[:, 0], sign * Vt[0]
    slope = 2.0 * problem.weight
    rate, gap = slope * float(values[0]), slope * float(values[0] - values[1])
    escapes = values[0] > residual_tol * problem.unit
    simple = bool(values[0] - values[1] > simple_tol * values[0]) if escapes else None
    basis, multiplicity = np.empty((model.dim, 0)), None
    if simple:
        free = _complement(_touched(problem, model, saddle, u, v), rank_tol * np.sqrt(problem.unit))
        multiplicity = free.shape[1]
        basis = np.stack([model.theta(np.outer(u, w), -np.outer(w, v)) for w in free.T], 1) if multiplicity else basis
        basis = basis / np.sqrt(2.0)
    second = _second_order_inside(problem, model, saddle, rank_tol) if escapes else None
    return ResidualEscape(sigma, u, v, rate, gap, multiplicity, basis, simple, second)


def _touched(
    problem: MatrixCompletion, model: Factorization, saddle: np.ndarray, u: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """Return the vectors that span S, in rows: b_j and a_i that an observed entry ties to u and v."""
    A, B = model.factors(saddle)
    columns = problem.observed[np.abs(u) > SUPPORT_TOL].any(axis=0)
    rows = problem.observed[:, np.abs(v) > SUPPORT_TOL].any(axis=1)
    return np.concatenate([A[rows], B[:, columns].T])


def _complement(vectors: np.ndarray, cut: float) -> np.ndarray:
    """Return an orthonormal basis, in columns, of what is orthogonal to the rows of ``vectors``."""
    _, sizes, Vt = np.linalg.svd(vectors)
    return Vt[int(np.sum(sizes > cut)) :].T


def active_tangent(
    problem: MatrixCompletion, model: Factorization, saddle: np.ndarray, rank_tol: float = 1e-6
) -> np.ndarray:
    """Return an orthonormal basis, in columns, of the manifold on which the point lives.

    It is the product over coupling components of sub-Omega_(k_c) with the frame Q_c of the component's active rank
    k_c: rows A[I_c] = a Q_c^T and columns B[:, J_c] = Q_c b. Ranks count singular values above
    rank_tol * sqrt(unit).
    """
    Z = model.stacked(saddle)
    d1, r = model.shape[0], model.rank
    tangents = []
    for component in connectivity(problem).coupling_components:
        rows = [*component.rows, *(d1 + j for j in component.columns)]
        _, sizes, Vt = np.linalg.svd(Z[rows], full_matrices=False)
        frame = Vt[: int(np.sum(sizes > rank_tol * np.sqrt(problem.unit)))]
        for row in rows:
            for direction in frame:
                T = np.zeros((len(Z), r))
                T[row] = direction
                tangents.append(model.unstacked(T))
    return np.array(tangents).T if tangents else np.empty((model.dim, 0))


def _second_order_inside(
    problem: MatrixCompletion, model: Factorization, saddle: np.ndarray, rank_tol: float
) -> bool | None:
    """Return whether the Hessian restricted to the active manifold has no negative eigenvalue."""
    from gflow.objective import Objective

    T = active_tangent(problem, model, saddle, rank_tol)
    if not T.shape[1]:
        return True
    objective = Objective.of(problem, model)
    inside = T.T @ np.column_stack([objective.hvp(saddle, t) for t in T.T])
    values = np.linalg.eigvalsh((inside + inside.T) / 2)
    slope = float(np.linalg.norm(objective.gradient(saddle))) / max(float(np.linalg.norm(saddle)), 1e-300)
    noise = 1e-12 * float(np.abs(values).max()) + 4.0 * slope
    if values[0] >= -noise:
        return True
    return False if values[0] < -100 * noise else None
