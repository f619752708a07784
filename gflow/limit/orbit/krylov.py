"""Extreme singular triples and eigenvalues of large operators by Lanczos iterations with full reorthogonalisation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gflow.critical.lanczos import Lanczos, Product

FIRST_STEPS = 100
"""Vectors for which there is room at first."""
LOOK_EVERY = 5
"""Convergence is looked at every so many steps."""

LANCZOS_FLAT = 1e-6
"""An eigenvalue found by Lanczos below this fraction of the largest one cannot be told from zero."""
INVARIANT = 1e-14
"""What a product leaves outside the space, relative to the operator, where the space is invariant."""


@dataclass(frozen=True, slots=True, eq=False)
class Triples:
    """Leading singular triples: sigma, descending, U and V in columns, and what E v - sigma u and E^T u - sigma v miss.

    ``residuals`` bound the error of each singular value; ``converged`` says whether they met their tolerances.
    """

    sigma: np.ndarray
    U: np.ndarray
    V: np.ndarray
    residuals: np.ndarray
    converged: bool


def leading_triples(
    E: Any, count: int, *, first_tol: float = 1e-13, tol: float = 1e-6, max_steps: int = 500
) -> Triples:
    """Return the ``count`` leading singular triples of E by Golub-Kahan bidiagonalisation from a fixed start.

    Parameters
    ----------
    E : (d1, d2) array or sparse array
    count : int
        At most min(d1, d2).
    first_tol, tol : float
        Bounds of the residuals of the first triple and of the others, relative to sigma_1.
    max_steps : int
    """
    d1, d2 = E.shape
    Et, most = E.T, min(max_steps, d1, d2)
    if d1 < d2:  # all of the smaller space can be reached only from the larger one
        found = leading_triples(Et, count, first_tol=first_tol, tol=tol, max_steps=max_steps)
        return replace(found, U=found.V, V=found.U)
    U, V = np.empty((FIRST_STEPS, d1)), np.empty((FIRST_STEPS + 1, d2))
    alphas, betas = np.zeros(most), np.zeros(most)
    V[0] = _unit(np.random.default_rng(0).standard_normal(d2))
    size = steps = 0
    while True:
        j = steps
        if j == len(U):
            U, V = np.concatenate([U, np.empty((j, d1))]), np.concatenate([V, np.empty((j, d2))])
        u = _orthogonal(E @ V[j] - (betas[j - 1] * U[j - 1] if j else 0.0), U[:j])
        alphas[j] = float(np.linalg.norm(u))
        U[j] = u / max(alphas[j], 1e-300)
        v = _orthogonal(Et @ U[j] - alphas[j] * V[j], V[: j + 1])
        betas[j] = float(np.linalg.norm(v))
        V[j + 1] = v / max(betas[j], 1e-300)
        steps += 1
        done = steps == most or betas[j] <= 1e-15 * alphas[: j + 1].max()
        if done or (steps >= count and steps % LOOK_EVERY == 0):
            bidiagonal = np.diag(alphas[:steps]) + np.diag(betas[: steps - 1], 1)
            left, sigma, right = np.linalg.svd(bidiagonal)
            size = min(count, steps)
            residuals = betas[j] * np.abs(left[-1, :size])
            allowed = np.where(np.arange(size) == 0, first_tol, tol) * sigma[0]
            converged = bool((residuals <= allowed).all())
            if done or converged:
                break
    complete = steps == min(d1, d2)
    return Triples(
        sigma[:size], U[:steps].T @ left[:, :size], V[:steps].T @ right[:size].T, residuals, converged or complete
    )


@dataclass(frozen=True, slots=True, eq=False)
class Lowest:
    """The lowest eigenvalue of an operator with its unit eigenvector, and the largest |eigenvalue|.

    ``value`` is None where it is not known. A negative one that has not converged is an upper bound.
    """

    value: float | None
    largest: float
    vector: np.ndarray

    @property
    def is_negative(self) -> bool:
        """Return whether there is an eigenvalue clearly below zero."""
        return self.value is not None and self.value < -LANCZOS_FLAT * self.largest

    @property
    def is_positive(self) -> bool:
        """Return whether the lowest eigenvalue lies clearly above zero."""
        return self.value is not None and self.value > LANCZOS_FLAT * self.largest


def lowest_eigenvalue(
    product: Product, start: np.ndarray, locked: np.ndarray, *, tol: float = 1e-3, max_steps: int = 300
) -> Lowest:
    """Return the lowest eigenvalue of a symmetric operator that ``start`` has a part of.

    Parameters
    ----------
    product : v -> (dim,) array
    start : (dim,) array
    locked : (m, dim) array
        Orthonormal rows; the operator is looked at on what is orthogonal to them.
    tol : float
        The residual of the lowest eigenvalue is at most ``tol`` times its size, and so its error of the order of tol^2
        times the gap; the largest is as accurate as the same steps make it. None if that takes more than ``max_steps``
        products; but a negative Rayleigh quotient is proof of a negative eigenvalue whatever its residual.
    """
    space = Lanczos(product, _unit(_orthogonal(start, locked)), min(max_steps, len(start)), locked)
    while True:
        space.grow()
        full = space.is_complete(INVARIANT) or space.size == space.most
        if space.size % LOOK_EVERY and not full:
            continue
        values, vectors = space.ritz()
        found = Lowest(float(values[0]), float(np.abs(values).max()), vectors[:, 0] @ space.basis)
        left = space.beta * abs(float(vectors[-1, 0]))
        if left <= tol * abs(float(values[0])) or space.beta <= INVARIANT * found.largest:
            return found
        if full:
            return found if found.is_negative else replace(found, value=None)


def _orthogonal(v: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return v without its part along the orthonormal rows of ``basis``, to rounding."""
    for _ in range(2):
        v = v - basis.T @ (basis @ v)
    return v


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)
