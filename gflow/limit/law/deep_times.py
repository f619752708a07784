"""When each plateau of a deep flow ends, for a given start: blow-up times, with what is left carried along the orbits.

At the saddle of rank k the part of the layers outside the k channels, D1, ..., DL, follows the flow of an origin with
the data -E: a problem of its own, which blows up along the top singular pair at the time s_k. What does not blow up
stays finite, and is the start of the next plateau: the hidden layers as they are, the outer ones carried in parallel
within the complements of the column and row spaces of W along the orbit.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from gflow.escape.degenerate import blown_up
from gflow.models import Factorization
from gflow.problems import MatrixCompletion

READ_AT = float(np.exp(12.0))
"""Growth at which the finite part is read off: smaller, it has not settled; larger, cancellation spoils it."""


def plateau_end(
    problem: MatrixCompletion, E: np.ndarray, model: Factorization, D: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the blow-up time of the layers D at the residual E, and the finite part that is left of them.

    Parameters
    ----------
    problem : MatrixCompletion, of unit 1
    E : (d1, d2) array
    model : Factorization
        Of the layers D: its width is what the channels have left.
    D : (dim,) array
    """
    G, L = -2.0 * problem.weight * E, model.depth
    U, sizes, Vt = np.linalg.svd(G, full_matrices=False)
    rate = float(sizes[0]) * L ** (1.0 - L / 2.0)
    time, end = blown_up(lambda at: model.pullback(at, G), L, D, rate, READ_AT)
    return time, finite_part(model, end, U[:, 0], Vt[0])


def finite_part(model: Factorization, D: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the layers D without the channel that has grown along (u, v), in coordinates of the complements."""
    *inner, last = model.factors(D)
    left, basis, found = u, None, []
    for layer in inner:
        right = layer.T @ left
        right /= np.linalg.norm(right)
        rest = np.linalg.svd(right[None])[2][1:].T
        if basis is None:
            found.append((layer - np.outer(u, u @ layer)) @ rest)
        else:
            found.append(basis.T @ layer @ rest)
        left, basis = right, rest
    assert basis is not None
    found.append(basis.T @ (last - np.outer(last @ v, v)))
    return np.concatenate([layer.ravel() for layer in found])


def carried(frames: list[np.ndarray], Y: np.ndarray) -> np.ndarray:
    """Return columns Y orthogonal to the first frame, carried in parallel to the complement of the last one.

    Parameters
    ----------
    frames : list of (d, k) arrays
        Orthonormal bases of the spaces along an orbit, close to one another.
    Y : (d, m) array
    """
    for here, there in pairwise(frames):
        left, cosines, right = np.linalg.svd(here.T @ there)
        a, b = here @ left, there @ right.T
        cosines = np.clip(cosines, -1.0, 1.0)
        away = b - a * cosines
        sines = np.linalg.norm(away, axis=0)
        turned = sines > 0.0
        n, a, c, s = away[:, turned] / sines[turned], a[:, turned], cosines[turned], sines[turned]
        parts = n.T @ Y
        Y = Y + n @ ((c - 1.0)[:, None] * parts) - a @ (s[:, None] * parts)
    return Y


def along_orbit(model: Factorization, states: np.ndarray, deep: Factorization, D: np.ndarray) -> np.ndarray:
    """Return the layers D with the outer ones carried along an orbit of the rank-k model, shape (dim,).

    Parameters
    ----------
    model : Factorization
        Of the orbit.
    states : (m, dim) array
    deep : Factorization
        Of the layers D.
    D : (dim,) array
    """
    first, *inner, last = deep.factors(D)
    columns, rows = [], []
    for theta in states:
        factors = model.factors(theta)
        columns.append(np.linalg.qr(factors[0] / np.linalg.norm(factors[0], axis=0))[0])
        rows.append(np.linalg.qr(factors[-1].T / np.linalg.norm(factors[-1], axis=1))[0])
    return deep.theta(carried(columns, first), *inner, carried(rows, last.T).T)
