"""The gradient flow of X = U U^T on commuting measurements, in closed form up to m scalar integrals, and its limit.

With the common eigenvectors Q and the eigenvalues Lambda (m, d) of the symmetric parts of the A_i,
X_t = Q diag(x_t) Q^T with x_t = alpha exp(2 Lambda^T s_t) and s' = -4 weight (Lambda x - y), s_0 = 0. As t grows s
minimises the convex function (1/2) sum_a x_a - <s, y>, whose minimiser satisfies Lambda x = y: x is the point of that
polyhedron nearest to alpha (1, ..., 1) in relative entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow import watch
from gflow.operators.commuting import commuting, operator
from gflow.plain import ReadOnly, plain
from gflow.policy import DEPENDENCE
from gflow.problems import MatrixSensing, as_problem

MOST_EVALUATIONS = 200_000
RIDGE = 16 * float(np.finfo(float).eps)
"""Relative rounding of the values: eigenvalues of X below it do not decide a direction of s."""
BOUNDARY = "none fits, or only singular X fit, and less well than fit_tol; raise it"
LONGEST_STRIDE = 3.0
"""No Newton step raises the logarithm of an eigenvalue by more than this; what falls cannot overshoot."""


@dataclass(frozen=True, slots=True, eq=False)
class CommutingPath(ReadOnly):
    """The path X_t = exp(A*(s_t)) X_0 exp(A*(s_t)) from X_0 = alpha I; all arrays are read-only.

    Attributes
    ----------
    problem : MatrixSensing
    alpha : float
        Scales as s.
    times : (T,) array
        Scale as 1 / s; the last one may be infinite, the limit.
    exponents : (T, m) array
        s_t = -4 weight int_0^t (A(X) - y); scales as 1.
    eigenvalues : (T, d) array
        Those of X_t, in the order of the columns of ``vectors``.
    vectors : (d, d) array
        The common eigenvectors, in columns.
    """

    problem: MatrixSensing
    alpha: float
    times: np.ndarray
    exponents: np.ndarray
    eigenvalues: np.ndarray
    vectors: np.ndarray

    @property
    def matrices(self) -> np.ndarray:
        """Return X_t, shape (T, d, d)."""
        return (self.vectors * self.eigenvalues[:, None, :]) @ self.vectors.T

    @property
    def final(self) -> np.ndarray:
        """Return the last X, shape (d, d)."""
        return (self.vectors * self.eigenvalues[-1]) @ self.vectors.T

    @property
    def nuclear_norm(self) -> float:
        """Return the trace of the last X."""
        return float(self.eigenvalues[-1].sum())

    @property
    def dual(self) -> np.ndarray:
        """Return nu = 2 s / log(unit / alpha) at the last time, shape (m,); unit is the problem's.

        A*(nu) has the eigenvalues 1 + log(x_a / unit) / log(unit / alpha): in the limit alpha -> 0 at most 1, and 1
        where x_a does not vanish. Gunasekar et al. 2017, proof of Theorem 1.
        """
        return 2.0 * self.exponents[-1] / np.log(self.problem.unit / self.alpha)

    @property
    def slack(self) -> np.ndarray:
        """Return the eigenvalues of I - A*(nu), -log(x_a / unit) / log(unit / alpha), shape (d,).

        x_a vanishes as alpha^slack_a, so the least slack off the support is the order of the limit alpha -> 0.
        """
        spread = np.einsum("ia,mij,ja->ma", self.vectors, self.problem.measurements, self.vectors)
        return 1.0 - self.dual @ spread

    @property
    def complementarity(self) -> float:
        """Return |(I - A*(nu)) X|_F / |X|_F at the last time; 0 for an optimal pair."""
        x = self.eigenvalues[-1]
        return float(np.linalg.norm(self.slack * x) / np.linalg.norm(x))

    @property
    def lower(self) -> float:
        """Return <nu, y> / max(1, lambda_max(A*(nu))), a lower bound on the trace of every X >= 0 that fits."""
        return float(self.dual @ self.problem.targets) / max(1.0, 1.0 - float(self.slack.min()))

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a JSON-ready dictionary; an infinite time is None."""
        return {
            **plain(self, "alpha"),
            "times": [float(t) if np.isfinite(t) else None for t in self.times],
            **plain(self, "exponents eigenvalues nuclear_norm lower dual slack complementarity"),
        }

    def __repr__(self) -> str:
        return f"CommutingPath(alpha={self.alpha:.3g}, to t={self.times[-1]:.6g}, trace {self.nuclear_norm:.10g})"


def commuting_path(
    problem: Any,
    alpha: float,
    times: Any = (np.inf,),
    *,
    commutator_tol: float = 1e-10,
    rtol: float = 1e-12,
    fit_tol: float = 1e-12,
) -> CommutingPath:
    """Return X_t = exp(A*(s_t)) X_0 exp(A*(s_t)), the gradient flow of X = U U^T from X_0 = alpha I.

    Parameters
    ----------
    problem : MatrixSensing or MatrixCompletion
        With measurements whose symmetric parts commute. For the flow of W = A B with commuting dilations pass
        ``symmetric_dilation(problem)`` (Corollary 2).
    alpha : float
        Positive; U_0 is sqrt(alpha) times an orthogonal matrix.
    times : list of T numbers
        Increasing, not negative; the last one may be infinite. Default: the limit alone.
    commutator_tol : float
        The relative commutators of the symmetric parts, and what the common eigenvectors leave off the diagonal
        relative to |A_i|_F, may be at most this.
    rtol : float
        Relative tolerance of the integration of s.
    fit_tol : float
        In the limit |A(X) - y| <= fit_tol |y|. What is smaller in y is left to rounding.

    Raises
    ------
    ValueError
        If the measurements are not square or do not commute, alpha or a time is out of range, or the limit is asked
        for and no X >= 0 fits the values. Where only singular X fit, s has no limit: it is followed until X fits to
        fit_tol.

    Gunasekar et al. 2017, Theorem 1.
    """
    problem = as_problem(problem)
    problem, clock = operator(problem), _checked_times(times)
    if not 1e-300 <= alpha / problem.unit < np.inf:
        raise ValueError(f"alpha must be finite and at least 1e-300 unit; got {alpha!r}")
    Q, spectra = _common_eigenvectors(problem, commutator_tol)
    base = float(np.log(alpha / problem.unit))
    y, finite = problem.normalized.targets, clock[np.isfinite(clock)]
    parts = []
    if finite.size:
        parts.append(_integrated(spectra, y, base, 4.0 * problem.weight, finite * problem.unit, rtol))
    if finite.size < clock.size:
        parts.append(_limit(spectra, y, base, fit_tol)[None])
    s = np.concatenate(parts)
    return CommutingPath(problem, float(alpha), clock, s, problem.unit * np.exp(base + 2.0 * s @ spectra), Q)


def _checked_times(times: Any) -> np.ndarray:
    clock = np.array(times, dtype=float)
    rising = clock.ndim == 1 and clock.size > 0 and not np.isnan(clock).any() and (np.diff(clock) > 0).all()
    if not rising or clock[0] < 0:
        raise ValueError(f"times must be an increasing list of numbers >= 0; got {times!r}")
    return clock


def _common_eigenvectors(problem: MatrixSensing, commutator_tol: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the common eigenvectors of the symmetric parts and their eigenvalues, shape (m, d)."""
    found = commuting(problem, form="symmetric", commutator_tol=commutator_tol)
    if not found.commutes:
        assert found.pair is not None
        i, j = (index + 1 for index in found.pair)
        raise ValueError(
            f"measurements must commute; the symmetric parts of numbers {i} and {j} have a relative commutator of "
            f"{found.relative_norm:.2g}, allowed {commutator_tol:g}: integrate with gradient_flow instead"
        )
    A = problem.measurements
    A = A / 2 + A.mT / 2
    sizes = np.linalg.norm(A, axis=(1, 2))
    scaled = A / np.where(sizes > 0, sizes, 1.0)[:, None, None]
    rng, least = np.random.default_rng(0), np.inf
    for _ in range(5):
        Q = np.linalg.eigh(np.tensordot(rng.standard_normal(len(A)), scaled, 1))[1]
        turned = Q.T @ scaled @ Q
        off = float(np.linalg.norm(turned * (1.0 - np.eye(len(Q))), axis=(1, 2)).max())
        if off < least:
            least, best = off, Q
    if least > commutator_tol:
        raise ValueError(f"measurements must commute; common eigenvectors leave {least:.2g} off the diagonal")
    return best, np.einsum("ia,mij,ja->ma", best, A, best)


def _integrated(
    spectra: np.ndarray, y: np.ndarray, base: float, rate: float, times: np.ndarray, rtol: float
) -> np.ndarray:
    """Return s at the times, shape (T, m): s' = rate (y - Lambda x)."""
    from scipy.integrate import solve_ivp

    later, calls = times[times > 0], 0
    start = np.zeros((len(times) - len(later), len(y)))
    if not later.size:
        return start

    def eigenvalues(s: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls > MOST_EVALUATIONS:
            raise ValueError(f"times reach beyond what {MOST_EVALUATIONS} evaluations can integrate; got {later[-1]:g}")
        return np.exp(np.minimum(base + 2.0 * s @ spectra, 700.0))

    solution = solve_ivp(
        lambda t, s: rate * (y - spectra @ eigenvalues(s)),
        (0.0, float(later[-1])),
        np.zeros(len(y)),
        method="LSODA",
        t_eval=later,
        jac=lambda t, s: -2.0 * rate * (spectra * eigenvalues(s)) @ spectra.T,
        rtol=rtol,
        atol=rtol * 1e-2,
    )
    if not solution.success:
        raise ValueError(f"times reach beyond what can be integrated: {solution.message}")
    return np.concatenate([start, solution.y.T])


def _limit(spectra: np.ndarray, y: np.ndarray, base: float, fit_tol: float) -> np.ndarray:
    """Return the s of the limit t -> inf, shape (m,): Newton's method, continued from alpha = unit to alpha."""
    if not y.any():
        raise ValueError("values are all zero: the limit t -> inf is not computed; give finite times")
    left, sizes, right = np.linalg.svd(spectra, full_matrices=False)
    kept = sizes > DEPENDENCE * max(float(sizes[0]), 1e-300)
    left, sizes, rows = left[:, kept], sizes[kept], right[kept]
    b = left.T @ y / sizes
    if np.linalg.norm(y - left @ (sizes * b)) > 1e-10 * np.linalg.norm(y):
        raise ValueError("values are inconsistent: no symmetric matrix fits them, so s grows without limit")
    sigma, level, stride = _newton(rows, b, 0.0, np.zeros(len(b)), fit_tol, 400), 0.0, np.sign(base)
    if sigma is None:
        raise ValueError(f"no X >= 0 was found that fits the values to fit_tol = {fit_tol:g}: {BOUNDARY}")
    while level != base:
        ahead = base if abs(base - level) <= abs(stride) else level + stride
        x = np.exp(level + 2.0 * rows.T @ sigma)
        slope = -_solved(rows, x, rows @ x, RIDGE * float(np.linalg.norm(b)))
        trial = _newton(rows, b, ahead, sigma + (ahead - level) * slope, fit_tol, 12)
        if trial is None and abs(stride) < 1e-6:
            raise ValueError(f"the limit for alpha = {np.exp(base):.2g} unit was not reached: {BOUNDARY}")
        stride = stride / 2 if trial is None else 2 * stride
        if trial is not None:
            sigma, level = trial, ahead
    return left @ (sigma / sizes)


def _newton(
    rows: np.ndarray, b: np.ndarray, level: float, sigma: np.ndarray, fit_tol: float, steps: int
) -> np.ndarray | None:
    """Return the sigma with rows x = b for x = exp(level + 2 rows^T sigma); None if it is not reached."""
    size, best, least = float(np.linalg.norm(b)), None, np.inf
    for _ in range(steps):
        watch.tick("path")
        x = np.exp(np.minimum(level + 2.0 * rows.T @ sigma, 300.0))
        missing = b - rows @ x
        error = float(np.linalg.norm(missing)) / size
        if error <= fit_tol and error < least:
            best, least = sigma, error
        move = _solved(rows, x, missing, RIDGE * size)
        if error <= max(fit_tol / 10, 1e-15):
            break
        longest = 2.0 * float((rows.T @ move).max())
        sigma = sigma + min(1.0, LONGEST_STRIDE / max(longest, 1e-300)) * move
    return best


def _solved(rows: np.ndarray, x: np.ndarray, right: np.ndarray, ridge: float) -> np.ndarray:
    """Return (2 rows diag(x) rows^T + ridge)^-1 right, by a QR decomposition with the largest x first, which is graded.

    The ridge is the size of rounding in the values: in directions that only smaller eigenvalues x tell apart, rounding
    moves sigma by no more than a few units.
    """
    from scipy.linalg import solve_triangular

    order, floor = np.argsort(-x), np.sqrt(ridge / 2.0) * np.eye(len(rows))
    factor = np.linalg.qr(np.concatenate([(rows[:, order] * np.sqrt(x[order])).T, floor]), mode="r")
    return solve_triangular(factor, solve_triangular(factor, right / 2.0, trans="T"))
