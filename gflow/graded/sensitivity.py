"""The linearised flow: what becomes of small changes of scaled columns, of whatever size the columns are.

A change e moves as the columns do, e' = -(2/n) [[0, E], [E^T, 0]] e, and changes E by P o X, X = sum_j s_j^2 (e_a b^T +
a e_b^T): the first drives it, the second is what observations resist. They take turns.
"""

from __future__ import annotations

import numpy as np

from gflow.graded.columns import modes
from gflow.graded.field import Field
from gflow.policy import LARGEST_ERROR_EXPONENT

MOST_OBSERVED = 144
"""Observations up to which the second part is known: it costs the cube of their number."""
PART = 0.25
"""e-foldings of a part of the time, in which the first part and the second take turns,"""
MOST_PARTS = 64
"""if there are no more parts than this."""
TERMS = 5
"""Terms of the exponential of a part: an accuracy of 1e-5."""
LARGE, DENSE = 1e-7, 512
"""Over a longer time columns above the first change W; up to the second number of their entries that is known."""


def transported(field: Field, z: np.ndarray, E: np.ndarray, errors: np.ndarray, dt: float) -> np.ndarray:
    """Return ``errors``, shape (s, m, k), after the linearised flow at columns z with residual E over a time dt.

    Short parts mix entries only as far as E and z do, so that what blocks of very different size hold stays apart.
    """
    parts = int(dt * field.twice * float(np.linalg.norm(E)) / PART) + 1
    if parts > MOST_PARTS:
        return _long(field, z, E, errors, dt)
    resistance, F, cut = Resistance(field, z, dt / parts), -field.twice * dt / parts * E, field.cut
    for _ in range(parts):
        term, errors = errors, errors.copy()
        for k in range(1, TERMS + 1):
            before, term = term, np.empty_like(errors)
            np.matmul(F, before[:, cut:], out=term[:, :cut])
            np.matmul(F.T, before[:, :cut], out=term[:, cut:])
            term /= k
            errors += term
        errors = resistance(errors)
    return errors


def _long(field: Field, z: np.ndarray, E: np.ndarray, errors: np.ndarray, dt: float) -> np.ndarray:
    """Return the errors after a long time: columns that change W by the full derivative, the others by E alone."""
    rates, X = modes(E, np.arange(len(z)))
    result = X @ (_growth(field.twice * dt * rates) * (X.T @ errors))
    sizes = np.sqrt(field.squares)
    large = (sizes > LARGE).ravel()
    if large.any() and large.sum() <= DENSE:
        D, flat = sizes.ravel()[large], np.ix_(large, large)
        rates, X = np.linalg.eigh(D[:, None] * field.jacobian(z)[flat] / D)
        part = errors.reshape(len(errors), -1)[:, large] * D
        result.reshape(len(errors), -1)[:, large] = (X @ (_growth(dt * rates) * (X.T @ part.T))).T / D
    return np.asarray(result)


def _growth(exponents: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(exponents, LARGEST_ERROR_EXPONENT))[:, None]


class Resistance:
    """What becomes of changes of z in a time dt by the changes of the residual alone.

    With T(Y) = (Y b, Y^T a) they are e' = -(2/n) T(P o X), and P o X obeys a linear equation of its own, with a
    positive semi-definite matrix H on the observations, and the weights where there are any. The step is implicit.
    """

    def __init__(self, field: Field, z: np.ndarray, dt: float) -> None:
        self.cut, self.shape = field.cut, field.problem.shape
        self.a, self.b = z[: self.cut], z[self.cut :]
        self.A, self.B = self.a * field.squares[: self.cut], self.b * field.squares[self.cut :]
        i, j = self.observed = field.problem.rows, field.problem.columns
        self.known, time = len(i) <= MOST_OBSERVED, dt * field.twice
        if not self.known:
            return
        H = (i[:, None] == i) * (self.B @ self.b.T)[j[:, None], j]
        H += (j[:, None] == j) * (self.A @ self.a.T)[i[:, None], i]
        counts = field.mask[i, j]  # the weights: 1 where there are none
        self.shares = time * np.linalg.inv(np.eye(len(i)) + time * counts[:, None] * H) * counts

    def __call__(self, e: np.ndarray) -> np.ndarray:
        if not self.known:
            return e
        change = (e[:, : self.cut] @ self.B.T + self.A @ np.swapaxes(e[:, self.cut :], 1, 2))[:, *self.observed]
        Y = np.zeros((len(e), *self.shape))
        Y[:, *self.observed] = change @ self.shares
        return e - np.concatenate([Y @ self.b, np.swapaxes(Y, 1, 2) @ self.a], axis=1)
