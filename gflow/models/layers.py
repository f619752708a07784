"""Products of the factors W1, ..., WL before, after and between each other, and how they move."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

import numpy as np

Factors = tuple[np.ndarray, ...]


def products_before(factors: Factors) -> list[np.ndarray | None]:
    """Return the products of the factors before each one; None stands for the identity."""
    return [None, *accumulate(factors[:-1], np.matmul)]


def products_after(factors: Factors) -> list[np.ndarray]:
    """Return the products of the factors after each one but the last."""
    products = list(accumulate(factors[:0:-1], lambda product, factor: factor @ product))
    return products[::-1]


def sandwich(before: np.ndarray | None, G: Any, after: np.ndarray | None) -> Any:
    """Return before^T G after^T; G may be sparse."""
    left = G if before is None else before.mT @ G
    return left if after is None else left @ after.mT


def as_matrix(product: np.ndarray | None, size: int) -> np.ndarray:
    """Return the product, the identity of that size for None."""
    return np.eye(size, dtype=int) if product is None else product


def moved_products(factors: Any, moves: Any, after: Any) -> list[np.ndarray]:
    """Return D1, D2, ... with D1 = dW1 and D(j+1) = Dj after_(j+1) + W1 ... Wj dW(j+1).

    With the factors themselves as ``after`` these are the derivatives of W1, W1 W2, ...; with the moved factors, their
    differences.
    """
    product, change = factors[0], moves[0]
    found = [change]
    for j in range(1, len(factors)):
        if j > 1:
            product = product @ factors[j - 1]
        change = change @ after[j] + product @ moves[j]
        found.append(change)
    return found


def orbit_dimension(factors: Factors, rank: int, rank_tol: float) -> int:
    """Return the rank of (X2, ..., XL) -> (Wj X_(j+1) - Xj Wj)_j with X1 = X_(L+1) = 0."""
    units = np.eye(rank * rank).reshape(-1, rank, rank)
    columns = []
    for j, (one, two) in enumerate(pairwise(factors)):
        moves = [np.zeros((len(units), *factor.shape)) for factor in factors]
        moves[j], moves[j + 1] = one @ units, -units @ two
        columns.append(np.concatenate([move.reshape(len(units), -1) for move in moves], axis=1))
    if not columns:
        return 0
    sizes = np.linalg.svd(np.concatenate(columns), compute_uv=False)
    return int(np.sum(sizes > rank_tol * sizes[0])) if sizes[0] > 0 else 0
