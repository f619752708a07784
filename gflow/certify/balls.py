"""Ball arithmetic on arrays: zeros proven by the Krawczyk operator, signs of eigenvalues and ranks by congruence.

A ball is an ``arb`` of python-flint, a midpoint with a radius; arrays of balls are object arrays. Every operation
returns balls that contain all results for all points of the operands, rounding included.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from gflow import watch

SHARPENINGS = 8
"""At most this many further applications of the Krawczyk operator to a proven box."""
SMALLEST_RADIUS = 2.0**-100
"""Smallest radius of a box that is tried, in the unit of the variables."""

Field = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class FlintMissing(ImportError):
    """Certificates need python-flint, which the extra ``certify`` installs."""


def flint() -> ModuleType:
    """Return the module of python-flint; raises ``FlintMissing`` where it is not installed."""
    try:
        import flint as module
    except ImportError as missing:
        raise FlintMissing("certificates need python-flint: pip install 'gflow-toolkit[certify]'") from missing
    return module


def exact(values: np.ndarray) -> np.ndarray:
    """Return the doubles ``values`` as balls of radius 0, an object array of the same shape."""
    arb = flint().arb
    return np.array([arb(float(value)) for value in values.flat], dtype=object).reshape(values.shape)


def midpoints(balls: np.ndarray) -> np.ndarray:
    """Return the midpoints of balls, rounded to doubles."""
    return np.array([float(ball.mid()) for ball in balls.flat]).reshape(balls.shape)


def largest(balls: np.ndarray) -> float:
    """Return a double that no absolute value in the balls exceeds."""
    return max((math.nextafter(float(ball.abs_upper()), math.inf) for ball in balls.flat), default=0.0)


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return balls around the matrix product."""
    return _array(_matrix(left) * _matrix(right))


def proven_zero(field: Field, center: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Return balls around the only zero of a field in a box around ``center``, and the radius of that box, or None.

    ``field`` maps balls x to balls around F(x) and around F'(x). With Y near F'(center)^-1 the Krawczyk operator of
    the box X is K(X) = c - Y F(c) + (1 - Y F'(X)) (X - c), c the center. Where K(X) lies in the interior of X, F has
    exactly one zero in X, it lies in K(X), and F' is nonsingular all over X (Krawczyk 1969; Moore 1977). The radius of
    X, the same in every variable, is twice the Newton step. None: F'(center) is not invertible, or the step is too
    long for a proof.
    """
    tools = flint()
    value, slope = field(center)
    try:
        inverse = _matrix(slope).mid().inv().mid()
    except ZeroDivisionError:
        return None
    radius = max(2.0 * largest(_array(inverse * _matrix(value[:, None]))), SMALLEST_RADIUS)
    if not math.isfinite(radius):
        return None
    box = np.array([tools.arb(x, radius) for x in center], dtype=object)
    image = _krawczyk(field, center, box, inverse)
    if not all(ball.contains_interior(inner) for ball, inner in zip(box, image, strict=True)):
        return None
    for _ in range(SHARPENINGS):
        sharper = _krawczyk(field, np.array([ball.mid() for ball in image], dtype=object), image, inverse)
        if not _width(sharper) < 0.5 * _width(image):
            break
        image = sharper
    return image, largest(np.array([ball.rad() for ball in box], dtype=object))


def _krawczyk(field: Field, center: np.ndarray, box: np.ndarray, inverse: Any) -> np.ndarray:
    """Return K(box): it contains every zero of the field in the box, whichever point of it ``center`` is."""
    watch.tick("Krawczyk operator")
    value, (_, slope) = field(center)[0], field(box)
    size = len(center)
    identity = flint().arb_mat(size, size, [int(i == j) for i in range(size) for j in range(size)])
    contraction = identity - inverse * _matrix(slope)
    image = contraction * _matrix((box - center)[:, None]) - inverse * _matrix(value[:, None])
    return center + _array(image)[:, 0]


def _width(balls: np.ndarray) -> float:
    return max(float(ball.rad()) for ball in balls)


def eigenvalue_signs(H: np.ndarray) -> tuple[int, int] | None:
    """Return the numbers of negative and of positive eigenvalues of a symmetric matrix of balls, or None.

    T^T H T with T the approximate eigenvectors over the roots of |eigenvalues| is nearly diagonal with entries 1 and
    -1. Where balls prove it diagonally dominant by rows, so that T is nonsingular, Sylvester's law of inertia and
    Gershgorin's theorem give the signs of the diagonal to H. None where an eigenvalue cannot be told from zero.
    """
    values, vectors = np.linalg.eigh(midpoints(H))
    if not np.all(np.abs(values) > 0):
        return None
    T = exact(vectors / np.sqrt(np.abs(values)))
    signs = _dominant_signs(product(product(T.T, H), T))
    return None if signs is None else (signs.count(-1), signs.count(1))


def rank_at_least(E: np.ndarray, most: int) -> int:
    """Return a proven lower bound, at most ``most``, of the rank of every matrix in the balls E.

    It is the largest q for which S^T E T, with S and T the first q approximate singular vectors over the roots of the
    singular values, is proven diagonally dominant by rows and hence nonsingular.
    """
    U, sigma, Vt = np.linalg.svd(midpoints(E))
    for q in range(min(most, int(np.sum(sigma > 0))), 0, -1):
        S, T = (exact(vectors[:, :q] / np.sqrt(sigma[:q])) for vectors in (U, Vt.T))
        if _dominant_signs(product(product(S.T, E), T)) is not None:
            return q
    return 0


def exact_rank(values: np.ndarray) -> int:
    """Return the rank of a matrix of doubles in exact rational arithmetic."""
    tools = flint()
    rows = [[tools.fmpq(*float(value).as_integer_ratio()) for value in row] for row in values]
    return int(tools.fmpq_mat(rows).rank())


def _dominant_signs(G: np.ndarray) -> list[int] | None:
    """Return the signs of the diagonal where G is proven strictly diagonally dominant by rows, else None."""
    signs = []
    for i, row in enumerate(G):
        watch.tick("signs")
        others = sum((abs(entry) for j, entry in enumerate(row) if j != i), start=flint().arb(0))
        if not abs(row[i]) > others:
            return None
        signs.append(1 if row[i] > 0 else -1)
    return signs


def _matrix(balls: np.ndarray) -> Any:
    return flint().arb_mat(*balls.shape, balls.ravel().tolist())


def _array(matrix: Any) -> np.ndarray:
    return np.array(matrix.entries(), dtype=object).reshape(matrix.nrows(), matrix.ncols())
