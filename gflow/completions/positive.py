"""The minimum trace: min trace X subject to X >= 0 and A(X) = y, between certified bounds.

On X >= 0 the trace is the nuclear norm. Any X >= 0 that fits bounds the minimum from above by its trace, any nu from
below by <nu, y> / max(1, lambda_max(A*(nu))); both are evaluated here, whatever solver they came from.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow import watch
from gflow.checks import require_positive
from gflow.completions.cone import Pair, conic_pair, interior_pair, separating
from gflow.completions.records import Completion, InaccurateSolution, frozen
from gflow.policy import DEPENDENCE, EPS
from gflow.problems import MatrixSensing, as_sensing

SOLVERS = ("auto", "clarabel", "scs", "interior point")
LARGEST_FOR_CLARABEL = 20
UNBOUNDED = 1e6
"""A certified trace above this many times the size of the values says that no X >= 0 fits."""
INJECTIVITY_TOL = 1e-3
FACE_TOL = 1e-4
RANGE_TOL = 1e-6
"""Eigenvalues of X below this fraction of the largest are outside the range that complementarity speaks of."""


@watch.watched
def minimum_trace(
    problem: Any,
    *,
    solver: str = "auto",
    gap_tol: float = 1e-8,
    fit_tol: float = 1e-10,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> Completion:
    """Return the X >= 0 of least trace, that is least nuclear norm, with A(X) = y, and the bounds that certify it.

    Parameters
    ----------
    problem : MatrixSensing or MatrixCompletion
        With square measurements; X sees their symmetric parts. They may be linearly dependent.
    solver : {'auto', 'clarabel', 'scs', 'interior point'}
        "auto" is "clarabel" up to order 20, else "scs". Where a conic solver leaves a gap above ``gap_tol``, an
        interior-point method refines it; ``Completion.solver`` names every method that contributed.
    gap_tol : float
        The result satisfies upper - lower <= gap_tol * upper.
    fit_tol : float
        It satisfies |A(X) - y| <= fit_tol |y|: X = U U^T is polished by Newton's method, to rounding where it
        converges, so X >= 0 holds by construction.
    progress, timeout : see ``gflow.watch.watching``
        There is no half of a certificate: when the time is over it raises ``TimeIsUp``.

    Returns
    -------
    Completion
        ``objective`` is "trace"; ``dual`` is nu, shape (m,), with A*(nu) <= I up to rounding and lower = <nu, y>;
        ``unique`` is True where the face of minimisers that nu leaves holds a single X, else None.

    Raises
    ------
    ValueError
        If measurements are not square, ``solver`` is unknown, a tolerance is not positive, the values are
        inconsistent (no symmetric matrix fits), or no positive semidefinite matrix fits.
    InaccurateSolution
        If the bounds stay further apart than ``gap_tol``, or the fit worse than ``fit_tol``.

    The value scales as s, the dual as 1 when y is multiplied by s. Gunasekar et al. 2017, eq. (5).

    Examples
    --------
    >>> from gflow.problems import MatrixCompletion
    >>> completion = minimum_trace(MatrixCompletion([[np.nan, 2], [2, np.nan]]))
    >>> round(completion.value, 6), completion.rank, completion.unique
    (4.0, 1, True)
    """
    problem = as_sensing(problem)
    d, d2 = problem.shape
    if d != d2:
        raise ValueError(f"X >= 0 needs square measurements; got {d} x {d2}: see symmetric_dilation")
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {', '.join(SOLVERS)}; got {solver!r}")
    require_positive(gap_tol=gap_tol, fit_tol=fit_tol)
    task = _Task(problem.normalized)
    if not task.y.any():
        zero = np.zeros((d, d))
        return Completion("trace", frozen(zero), 0.0, 0.0, frozen(np.zeros(len(task.y))), "closed form", None)
    chosen = solver if solver != "auto" else "clarabel" if d <= LARGEST_FOR_CLARABEL else "scs"
    X, nu, name = _solved(task, chosen, gap_tol, fit_tol)
    lower, upper = task.lower(nu), float(np.trace(X))
    _require(task, lower, upper, task.misfit(X), gap_tol, fit_tol, name, problem.unit)
    unique = True if task.unique(nu) else None
    bounds = min(lower, upper) * problem.unit, upper * problem.unit
    return Completion("trace", frozen(X * problem.unit), *bounds, frozen(nu), name, unique)


class _Task:
    """The problem in its own unit, with an orthonormal basis B of the symmetric parts of the measurements."""

    def __init__(self, problem: MatrixSensing) -> None:
        A, self.y, self.d = problem.measurements, problem.targets, problem.shape[0]
        self.A = A / 2 + A.mT / 2
        left, sizes, right = np.linalg.svd(self.A.reshape(len(self.y), -1), full_matrices=False)
        kept = sizes > DEPENDENCE * max(sizes[0], 1e-300)
        self.left, self.sizes = left[:, kept], sizes[kept]
        self.B = right[kept].reshape(-1, self.d, self.d)
        self.B = self.B / 2 + self.B.mT / 2
        image = self.left.T @ self.y
        self.b = image / self.sizes
        left_over = float(np.linalg.norm(self.y - self.left @ image))
        if left_over > 1e-10 * np.linalg.norm(self.y):
            raise ValueError(
                "values are inconsistent: no symmetric matrix fits them; the nearest values that one fits are "
                f"{left_over / np.linalg.norm(self.y):.2g} |y| away. Leave contradicting measurements out, or fit by "
                "least squares (projected_gradient)."
            )

    def nu(self, mu: np.ndarray) -> np.ndarray:
        """Return nu with A*(nu) = sum_k mu_k B_k, scaled to A*(nu) <= I."""
        top = float(np.linalg.eigvalsh(np.tensordot(mu, self.B, 1))[-1])
        return self.left @ (mu / self.sizes) / max(1.0, top)

    def lower(self, nu: np.ndarray) -> float:
        """Return <nu, y> / max(1, lambda_max(A*(nu))), a lower bound on the minimum."""
        top = float(np.linalg.eigvalsh(np.tensordot(nu, self.A, 1))[-1])
        return max(0.0, float(nu @ self.y) / max(1.0, top))

    def misfit(self, X: np.ndarray) -> float:
        """Return |A(X) - y| / |y|."""
        return float(np.linalg.norm(np.tensordot(self.A, X, 2) - self.y) / np.linalg.norm(self.y))

    def unique(self, nu: np.ndarray) -> bool:
        """Return whether S -> A(V S V^T) is injective, V the eigenvectors of A*(nu) for the eigenvalue 1.

        Every minimiser X satisfies (I - A*(nu)) X = 0. Taking V too large is safe.
        """
        values, vectors = np.linalg.eigh(np.tensordot(nu, self.A, 1))
        V = vectors[:, values >= 1 - FACE_TOL]
        k = V.shape[1]
        if not 0 < k * (k + 1) // 2 <= len(self.b):
            return False
        i, j = np.triu_indices(k)
        part = (V.T @ self.B @ V)[:, i, j] * np.where(i == j, 1.0, np.sqrt(2.0))
        return bool(np.linalg.svd(part, compute_uv=False)[-1] > INJECTIVITY_TOL)

    def polished(self, X: np.ndarray, steps: int = 30) -> np.ndarray:
        """Return U U^T near X with A(U U^T) = y as nearly as Newton's method (least change of U) gets it."""
        values, V = np.linalg.eigh(X / 2 + X.T / 2)
        best, least = (V * np.maximum(values, 0.0)) @ V.T, np.inf
        for cut in (1e-5, 1e-9, 0.0):
            kept = values > cut * values[-1]
            fitted, misfit = self._newton(V[:, kept] * np.sqrt(values[kept]), steps)
            if misfit < least * 0.1 and np.linalg.norm(fitted - X) <= 1e-3 * np.linalg.norm(X):
                best, least = fitted, misfit
            if least <= 1e-13:
                break
        return best

    def sharpened(self, mu: np.ndarray, X: np.ndarray) -> np.ndarray:
        """Return the mu nearest to ``mu`` with (I - sum_k mu_k B_k) U = 0, U the range of X: complementarity.

        Where that mu is feasible up to rounding, its bound is as near to the trace of X as rounding allows.
        """
        values, V = np.linalg.eigh(X)
        U = V[:, values > RANGE_TOL * values[-1]]
        left_over = U - np.tensordot(mu, self.B, 1) @ U
        rows = (self.B @ U).reshape(len(mu), -1)
        return mu + np.linalg.lstsq(rows.T, left_over.ravel(), rcond=DEPENDENCE)[0]

    def _newton(self, U: np.ndarray, steps: int) -> tuple[np.ndarray, float]:
        best, least = U @ U.T, np.inf
        for _ in range(steps):
            X = U @ U.T
            missing = self.b - np.tensordot(self.B, X, 2)
            size = float(np.linalg.norm(missing) / np.linalg.norm(self.b))
            if not size < 0.9 * least:
                break
            best, least = X, size
            J = 2 * (self.B @ U).reshape(len(self.b), -1)
            U = U + np.linalg.lstsq(J, missing, rcond=1e-12)[0].reshape(U.shape)
        return best, least


def _solved(task: _Task, solver: str, gap_tol: float, fit_tol: float) -> tuple[np.ndarray, np.ndarray, str]:
    name, found = solver, []
    if solver != "interior point":
        pair = conic_pair(task.B, task.b, solver)
        found = [] if pair is None else [_certified(task, pair)]
        name = solver if found else f"{solver} (failed)"
    if not found or _gap(task, *found[0]) > gap_tol or task.misfit(found[0][0]) > fit_tol:
        found.append(_certified(task, interior_pair(task.B, task.b, gap_tol / 1000)))
        name = name if solver == "interior point" else f"{name} + interior point"
    fitting = [X for X, _ in found if task.misfit(X) <= fit_tol]
    X = min(fitting, key=lambda X: float(np.trace(X))) if fitting else min((X for X, _ in found), key=task.misfit)
    return X, max((nu for _, nu in found), key=task.lower), name


def _certified(task: _Task, pair: Pair) -> Pair:
    X, mu = task.polished(pair[0]), pair[1]
    return X, max((task.nu(mu), task.nu(task.sharpened(mu, X))), key=task.lower)


def _gap(task: _Task, X: np.ndarray, nu: np.ndarray) -> float:
    upper = float(np.trace(X))
    return (upper - task.lower(nu)) / upper if upper > 0 else np.inf


def _separation(task: _Task) -> float:
    """Return a lower bound on the trace of every X >= 0 that fits, from an attempt to show that there is none."""
    mu = separating(task.B, task.b)
    if mu is None:
        return 0.0
    top = float(np.linalg.eigvalsh(np.tensordot(mu, task.B, 1))[-1])
    return float(mu @ task.b) / max(top, 4 * task.d * EPS)


def _require(
    task: _Task, lower: float, upper: float, misfit: float, gap_tol: float, fit_tol: float, name: str, unit: float
) -> None:
    if misfit <= fit_tol and upper - lower <= gap_tol * upper:
        return
    bound = max(lower, _separation(task))
    if bound > UNBOUNDED * np.linalg.norm(task.b):
        raise ValueError(
            "no positive semidefinite matrix fits the values: by a combination of the measurements that is negative "
            f"semidefinite up to rounding, the trace of one would exceed {bound * unit:.1e}"
        )
    gap = (upper - lower) / upper if upper > 0 else 1.0
    raise InaccurateSolution(
        f"the minimum trace is at least {lower * unit:.12g}, and the best fit has the trace {upper * unit:.12g} and a "
        f"relative misfit of {misfit:.1e} ({name}); asked for were a relative gap of {gap_tol:.1e} and a "
        f"misfit of {fit_tol:.1e}. Raise gap_tol, or rescale measurements of very unequal size.",
        *(lower * unit, upper * unit, gap, name),
    )
