"""Outer layers carried in parallel along an orbit: what is left outside the channels while these turn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from gflow.models import Factorization


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
