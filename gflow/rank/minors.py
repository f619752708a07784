"""Proven lower bounds of ranks: minors of a matrix of balls that exclude zero."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from gflow import watch
from gflow.certify import FlintMissing
from gflow.certify.balls import exact, flint
from gflow.models.functions import rational_rank

BALL_BITS = 400
"""Bits of the balls: what differs by 2^-40 between two neurons leaves minors near 2^-300."""


def proven_rank(jacobian: Callable[[np.ndarray], np.ndarray], theta: np.ndarray, most: int) -> int:
    """Return a proven lower bound, at most ``most``, of the rank of ``jacobian`` at exactly these doubles.

    Parameters
    ----------
    jacobian : theta -> (n, dim) array
        Arithmetic and numpy's functions on theta itself, so that it takes balls.
    theta : (dim,) array
    most : int

    Gaussian elimination with complete pivoting in ball arithmetic: as many pivots as are proven not to be zero make a
    minor that is not. 0 where python-flint is missing, or the function does not take balls.
    """
    try:
        tools = flint()
    except FlintMissing:
        return 0
    with tools.ctx.workprec(BALL_BITS):
        try:
            rows = jacobian(exact(np.asarray(theta, dtype=float)))
        except (TypeError, ValueError, AttributeError):
            return 0
        if not all(isinstance(value, tools.arb) or (isinstance(value, int) and not value) for value in rows.flat):
            return 0  # rounded on the way, which proves nothing
        balls = np.array([tools.arb(value) for value in rows.flat], dtype=object).reshape(rows.shape)
        return _pivots(balls, most)


def rational_bounds(jacobian: Callable[[np.ndarray], np.ndarray], theta: np.ndarray) -> int | None:
    """Return the rank of ``jacobian`` at exactly these doubles by rational arithmetic; None where it rounds.

    Parameters
    ----------
    jacobian : theta -> (n, dim) array
        Exact for numbers of type ``Fraction`` where it is a polynomial with whole coefficients.
    theta : (dim,) array
    """
    try:
        rows = jacobian(np.array([Fraction(float(value)) for value in theta], dtype=object))
    except (TypeError, ValueError, AttributeError):
        return None
    exact_numbers = all(isinstance(value, (Fraction, int)) for value in rows.flat)
    return rational_rank(rows) if rows.dtype == object and exact_numbers else None


def _pivots(balls: np.ndarray, most: int) -> int:
    """Return the number of steps of elimination whose pivots exclude zero."""
    found, sizes = 0, np.array([abs(float(ball.mid())) for ball in balls.flat]).reshape(balls.shape)
    scale = np.array([max(1e-300, column) for column in sizes.max(axis=0, initial=0.0)])
    while found < most and balls.size and not watch.spent("minor", found, most):
        surely = np.array([float(ball.abs_lower()) for ball in balls.flat]).reshape(balls.shape) / scale
        i, j = np.unravel_index(int(np.argmax(surely)), surely.shape)
        if not surely[i, j] > 0.0:
            return found
        pivot = balls[i] / balls[i, j]
        balls = np.delete(balls, i, axis=0) - np.delete(balls[:, j], i)[:, None] * pivot
        balls, scale, found = np.delete(balls, j, axis=1), np.delete(scale, j), found + 1
    return found
