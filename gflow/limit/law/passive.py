"""The passive modes of a component along an orbit: they follow a linear equation with the residual in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from gflow.limit.law.transport import MODE_FOLDINGS
from gflow.limit.orbit.modes import errors_at
from gflow.limit.records import TraversalStatus
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import EntryProblem

LARGE_SIDES = 120
"""Parts with more rows and columns together than this are propagated by products with their sparse residual."""
PARTS = 4
"""Each step of an orbit is divided into so many steps of the passive modes."""
CUBIC_STEP = 3.0
"""Longest step, times the largest curvature, in which an orbit is a cubic in time; longer ones are nearly at rest."""
DEGREE, TERMS_TOL = 40, 1e-17
"""Longest series, more than such a piece needs; it ends where coefficients fall below this fraction of the first."""
MODES_SETTLED = 1e-14
"""Modes that turn by no more than this from one orthogonalisation to the next have settled."""
MOST_PIECES = 10_000
"""Orthogonalisations allowed within a step in which the residual is constant."""


class FrameFailure(ValueError):
    """The frame of a component is not determined by these formulas; carries the ``status`` of the traversal."""

    def __init__(self, status: TraversalStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def is_wide(part: EntryProblem) -> bool:
    """Return whether the residual is held as a sparse array and its modes are found by products."""
    return sum(part.shape) > LARGE_SIDES


def propagated(part: EntryProblem, rank: int, times: np.ndarray, states: np.ndarray, passive: np.ndarray) -> np.ndarray:
    """Return orthonormal passive modes at the end of an orbit, up to an upper triangular factor.

    Parameters
    ----------
    part : MatrixCompletion, in its own unit
    rank : int
        That of the model in which the orbit runs.
    times, states : (T,) and (T, dim) arrays
    passive : (d1 + d2, m) array
        The modes at its beginning.

    They follow x' = -(2/n) [[0, E], [E^T, 0]] x and are made orthonormal, column after column, as they grow.
    """
    model = Factorization(part.shape, rank)
    gradient = Objective.of(part, model).gradient
    advanced = _by_products if is_wide(part) else _by_eigenvectors
    X, slope = _orthonormal(passive), -gradient(states[0])
    for i in range(len(times) - 1):
        h, before, slope = float(times[i + 1] - times[i]), slope, -gradient(states[i + 1])
        curvature = 2.0 * part.weight * float(states[i] @ states[i])
        bent = float(h * curvature <= CUBIC_STEP)
        for s in (np.arange(PARTS) + 0.5) / PARTS:
            cubic = bent * h * s * (1 - s) * ((1 - s) * before - s * slope)
            straight = 3 * s * s - 2 * s**3 if bent else s
            theta = states[i] + straight * (states[i + 1] - states[i]) + cubic
            A, B = model.factors(theta)
            X = advanced(part, A, B, X, h / PARTS)
    return X


def _by_eigenvectors(part: EntryProblem, A: np.ndarray, B: np.ndarray, X: np.ndarray, time: float) -> np.ndarray:
    """Return the modes after some time with the residual of A B, by an eigendecomposition."""
    d1, E = part.shape[0], part.residual(A @ B)
    S = np.zeros((sum(part.shape),) * 2)
    S[:d1, d1:], S[d1:, :d1] = -E, -E.T
    rates, basis = np.linalg.eigh(2.0 * part.weight * S)
    pieces = _pieces(rates[-1], time)
    growth = np.exp((rates - rates[-1]) * time / pieces)[:, None]
    return basis @ _repeated(lambda Y: growth * Y, basis.T @ X, pieces)


def _by_products(part: EntryProblem, A: np.ndarray, B: np.ndarray, X: np.ndarray, time: float) -> np.ndarray:
    """Return the modes after some time with the residual of A B, by products with it."""
    E = part.scattered(2.0 * part.weight * errors_at(part, A, B))
    sizes = abs(E)
    bound = float(np.sqrt(sizes.sum(axis=0).max() * sizes.sum(axis=1).max()))
    pieces = _pieces(bound, time)
    return _repeated(partial(_exponential, E, bound, _series(bound * time / pieces)), X, pieces)


def _pieces(rate: float, time: float) -> int:
    """Return into how many pieces a time is divided in which modes grow by at most e^(rate time)."""
    return max(1, int(np.ceil(rate * time / MODE_FOLDINGS)))


def _repeated(step: Callable[[np.ndarray], np.ndarray], X: np.ndarray, pieces: int) -> np.ndarray:
    """Return X after so many steps, made orthonormal after each, or when it has settled.

    Raises ``FrameFailure`` where that takes too many.
    """
    for _ in range(min(pieces, MOST_PIECES)):
        before, X = X, _orthonormal(step(X))
        if float(np.abs(X - before).max()) <= MODES_SETTLED:
            return X
    if pieces > MOST_PIECES:
        reason = f"the passive modes turn on after {MOST_PIECES} steps of an orbit at rest: their rates are too close"
        raise FrameFailure(TraversalStatus.UNDECIDED, reason)
    return X


def _series(reach: float) -> np.ndarray:
    """Return the coefficients of exp(reach x - reach) in Chebyshev polynomials on [-1, 1], reach <= MODE_FOLDINGS.

    They are Bessel functions: relative to the first, number j is at most 2 (reach / 2)^j / j!.
    """

    def growth(x: Any) -> Any:
        return np.exp(reach * (x - 1.0))

    c = np.polynomial.chebyshev.chebinterpolate(growth, DEGREE)
    bounds = 2.0 * np.cumprod(0.5 * reach / np.arange(1, DEGREE + 1))
    return c[: max(2, 1 + int(np.sum(bounds > TERMS_TOL)))]


def _exponential(E: Any, bound: float, coefficients: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return the series of ``coefficients`` in the matrix -[[0, E], [E^T, 0]] / bound, applied to X."""
    if not bound:
        return X
    d1, Et = E.shape[0], E.T.tocsr()

    def turned(Y: np.ndarray) -> np.ndarray:
        return np.concatenate([E @ Y[d1:], Et @ Y[:d1]]) / -bound

    before, now = X, turned(X)
    total = coefficients[0] * before + coefficients[1] * now
    for c in coefficients[2:]:
        before, now = now, 2.0 * turned(now) - before
        total += c * now
    return total


def _orthonormal(X: np.ndarray) -> np.ndarray:
    """Return the Q of X = Q R with a positive diagonal of R."""
    Q, R = np.linalg.qr(X)
    return Q * np.sign(np.diag(R))
