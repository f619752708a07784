"""How near theta is to some Omega_k: distances, spans, ranks, angles and balancedness."""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow.policy import EPS


def omega_distance(model: Any, theta: np.ndarray, k: int) -> np.ndarray:
    """Return the distance of theta to the nearest Omega_k, shape (...) for theta of shape (..., dim).

    Parameters
    ----------
    model : Factorization
    theta : (..., dim) array
    k : int

    It is the norm of the part of [A; B^T] outside its top-k right singular space; scales as sqrt(s).
    """
    s = np.linalg.svd(model.stacked(theta), compute_uv=False)
    return np.linalg.norm(s[..., _rank(model, k) :], axis=-1)


def omega_basis(model: Any, theta: np.ndarray, k: int) -> np.ndarray:
    """Return the basis Q of the Omega_k nearest to theta, shape (r, k): top right singular vectors of [A; B^T].

    Parameters
    ----------
    model : Factorization
    theta : (dim,) array
    k : int
    """
    return np.linalg.svd(model.stacked(theta), full_matrices=True)[2][: _rank(model, k)].T


def factor_ranks(model: Any, theta: np.ndarray, rank_tol: float = 1e-6) -> tuple[int, int, int]:
    """Return (rank A, rank B, rank [A; B^T]), equal exactly on some Omega_k.

    Parameters
    ----------
    model : Factorization
    theta : (dim,) array
    rank_tol : float

    Ranks count singular values above ``rank_tol`` times the largest of [A; B^T].
    """
    A, B = model.factors(theta)
    sizes = [np.linalg.svd(factor, compute_uv=False) for factor in (A, B, model.stacked(theta))]
    rank_a, rank_b, rank = (int(np.sum(s > rank_tol * sizes[2][0])) for s in sizes)
    return rank_a, rank_b, rank


def principal_angles(model: Any, theta: np.ndarray, k: int) -> np.ndarray:
    """Return the k principal angles between the leading k-dimensional parts of row(A) and col(B), largest first.

    Parameters
    ----------
    model : Factorization
    theta : (dim,) array
    k : int

    In radians, each accurate to rounding times the condition of the parts (Bjorck and Golub 1973). Zero on Omega_k.

    Raises ``ValueError`` if A or B has no k nonzero singular values.
    """
    A, B = model.factors(theta)
    bases = []
    for name, rows in (("A", A), ("B", B.T)):
        s, Vt = np.linalg.svd(rows)[1:]
        rank = int(np.sum(s > EPS * max(rows.shape) * s[0]))
        if not 1 <= k <= rank:
            raise ValueError(f"k must lie between 1 and the rank of {name}, {rank}; got {k!r}")
        bases.append(Vt[:k].T)
    cosines, sines = _cosines_and_sines(*bases)
    return np.where(cosines**2 > 0.5, np.arcsin(np.minimum(sines, 1.0)), np.arccos(np.minimum(cosines, 1.0)))


def _cosines_and_sines(P: np.ndarray, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    overlap = P.T @ Q
    cosines = np.linalg.svd(overlap, compute_uv=False)[::-1]
    return cosines, np.linalg.svd(Q - P @ overlap, compute_uv=False)


def imbalance(model: Any, theta: np.ndarray) -> float:
    """Return |A^T A - B B^T|_F / |theta|^2, between 0 (balanced) and 1; 0.0 at the origin. Scales as 1.

    Parameters
    ----------
    model : Factorization
    theta : (dim,) array
    """
    size = float(np.abs(theta).max())
    if size == 0.0:
        return 0.0
    scaled = theta / size
    return float(np.linalg.norm(model.conserved(scaled)) / (scaled @ scaled))


def _rank(model: Any, k: int) -> int:
    if not 0 <= k <= model.rank:
        raise ValueError(f"k must lie between 0 and the width r = {model.rank}; got {k!r}")
    return int(k)
