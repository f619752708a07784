"""How near theta is to some Omega_k: distances, spans, ranks, angles and balancedness."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from gflow.policy import EPS

SWEEPS, SETTLED = 200, 1e-14
"""At depth three and more the spaces are improved in turn until the squares inside grow by no larger fraction."""


def omega_distance(model: Any, theta: np.ndarray, k: int) -> np.ndarray:
    """Return the distance of theta to the nearest Omega_k, shape (...) for theta of shape (..., dim).

    Parameters
    ----------
    model : Factorization
    theta : (..., dim) array
    k : int

    At depth two it is the norm of the part of [A; B^T] outside its top-k right singular space; at depth L >= 3 the
    L - 1 spaces are sought in turn until none improves, which may stop above the distance. Scales as s^(1/L).
    """
    k = _rank(model, k)
    if model.depth != 2:
        lead = theta.shape[:-1]
        return np.array([_distance(model, each, k) for each in theta.reshape(-1, model.dim)]).reshape(lead)
    s = np.linalg.svd(model.stacked(theta), compute_uv=False)
    return np.linalg.norm(s[..., k:], axis=-1)


def omega_basis(model: Any, theta: np.ndarray, k: int) -> np.ndarray:
    """Return the basis Q of the Omega_k nearest to theta, shape (r, k): top right singular vectors of [A; B^T].

    Parameters
    ----------
    model : Factorization
    theta : (dim,) array
    k : int

    At depth L >= 3 one basis for each inner space, shape (L - 1, r, k), as ``omega_distance`` finds them.
    """
    k = _rank(model, k)
    if model.depth != 2:
        return _spans(model, theta, k)
    return np.linalg.svd(model.stacked(theta), full_matrices=True)[2][:k].T


def _spans(model: Any, theta: np.ndarray, k: int) -> np.ndarray:
    """Return the L - 1 bases at which what lies inside all of them is largest, each best for its neighbours."""
    if k == 0:
        return np.zeros((model.depth - 1, model.rank, 0))
    factors = model.factors(theta)
    bases = [np.linalg.svd(np.vstack([one, two.T]))[2][:k].T for one, two in pairwise(factors)]
    inside = -np.inf
    for _ in range(SWEEPS):
        before, inside = inside, 0.0
        for j in range(len(bases)):
            left = factors[j] if j == 0 else bases[j - 1].T @ factors[j]
            right = factors[j + 1] if j + 1 == len(bases) else factors[j + 1] @ bases[j + 1]
            sizes, Vt = np.linalg.svd(np.vstack([left, right.T]))[1:]
            bases[j], inside = Vt[:k].T, float(np.sum(sizes[:k] ** 2))
        if inside <= before * (1.0 + SETTLED):
            break
    return np.array(bases)


def _distance(model: Any, theta: np.ndarray, k: int) -> float:
    factors = list(model.factors(theta))
    bases = _spans(model, theta, k)
    for j, Q in enumerate(bases):
        factors[j], factors[j + 1] = factors[j] @ Q @ Q.T, Q @ (Q.T @ factors[j + 1])
    return float(np.linalg.norm(theta - model.theta(*factors)))


def factor_ranks(model: Any, theta: np.ndarray, rank_tol: float = 1e-6) -> tuple[int, int, int]:
    """Return (rank A, rank B, rank [A; B^T]), equal exactly on some Omega_k.

    Parameters
    ----------
    model : Factorization
    theta : (dim,) array
    rank_tol : float

    Ranks count singular values above ``rank_tol`` times the largest of [A; B^T]. ``ValueError`` at other depths.
    """
    _require_two(model, "factor_ranks")
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

    Raises ``ValueError`` if A or B has no k nonzero singular values, or at another depth than 2.
    """
    _require_two(model, "principal_angles")
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


def _require_two(model: Any, name: str) -> None:
    if model.depth != 2:
        raise ValueError(f"{name} is for two factors; got depth {model.depth}")


def _rank(model: Any, k: int) -> int:
    if not 0 <= k <= model.rank:
        raise ValueError(f"k must lie between 0 and the width r = {model.rank}; got {k!r}")
    return int(k)
