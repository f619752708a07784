"""Eigenvalues of the Hessian: dense for small dimensions, Lanczos with deflation for large ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gflow.objective import Objective

DENSE_LIMIT = 1000
"""Largest dimension for which the Hessian is formed when all eigenvalues are wanted by default."""


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Eigenvalues of a Hessian in ascending order, with eigenvectors in columns; arrays are read-only.

    ``complete`` says whether these are all eigenvalues; otherwise they are the lowest ones, and multiplicities read
    off them are lower bounds. ``norm`` is the largest |eigenvalue| known, the scale against which zeros are judged.
    """

    values: np.ndarray
    vectors: np.ndarray
    complete: bool
    norm: float

    def multiplicity(self, rtol: float = 1e-6) -> int:
        """Return how many eigenvalues agree with the lowest one within ``rtol`` times ``norm``."""
        return int(np.sum(self.values - self.values[0] <= rtol * self.norm))

    def negative(self, cut: float) -> np.ndarray:
        """Return the eigenvectors, in columns, whose eigenvalues lie below -cut."""
        return self.vectors[:, self.values < -cut]

    def to_dict(self) -> dict[str, object]:
        """Return eigenvalues, completeness and norm for JSON."""
        return {"values": self.values.tolist(), "complete": self.complete, "norm": self.norm}

    def __repr__(self) -> str:
        kind = "all" if self.complete else "lowest"
        return f"Spectrum({kind} {len(self.values)}, from {self.values[0]:.6g} to {self.values[-1]:.6g})"


def hessian_spectrum(
    objective: Objective,
    theta: np.ndarray,
    k: int | None = None,
    *,
    tol: float = 1e-10,
    rng: np.random.Generator | None = None,
) -> Spectrum:
    """Return the spectrum of the Hessian at ``theta``.

    Parameters
    ----------
    objective : Objective
    theta : (dim,) array
    k : int, optional
        How many of the lowest eigenvalues to find. Default: all up to dimension 1000, else 6.
    tol : float
        Relative accuracy of Lanczos eigenvalues: each residual is at most ``tol`` times the norm of the Hessian.
    rng : numpy.random.Generator, optional
        Start vectors of Lanczos; default ``default_rng(0)``.

    Raises
    ------
    ValueError
        If ``theta`` has another shape or is not finite, or ``k`` is not between 1 and dim.

    Eigenvalues scale as s for a factorisation when M is multiplied by s. A Lanczos run is repeated on the complement
    of what it found until nothing lower appears, so that copies of a multiple eigenvalue are not missed by chance.
    """
    theta = _point(objective, theta)
    if k is not None and not 1 <= k <= objective.dim:
        raise ValueError(f"k must lie between 1 and the dimension {objective.dim}; got {k!r}")
    wanted = objective.dim if k is None and objective.dim <= DENSE_LIMIT else (6 if k is None else int(k))
    if objective.dim <= DENSE_LIMIT or 2 * wanted >= objective.dim:
        values, vectors = np.linalg.eigh(objective.hessian(theta))
        norm = float(np.abs(values).max())
        return _spectrum(values[:wanted], vectors[:, :wanted], wanted == objective.dim, norm)
    return _lanczos(objective, theta, wanted, tol, np.random.default_rng(0) if rng is None else rng)


def _lanczos(objective: Objective, theta: np.ndarray, k: int, tol: float, rng: np.random.Generator) -> Spectrum:
    from scipy.sparse.linalg import LinearOperator, eigsh

    dim = objective.dim
    product = LinearOperator((dim, dim), matvec=lambda v: objective.hvp(theta, v.ravel()), dtype=float)
    largest = eigsh(product, k=1, which="LM", tol=1e-3, v0=rng.standard_normal(dim), return_eigenvectors=False)
    norm = abs(float(largest[0]))
    values, vectors = np.empty(0), np.empty((dim, 0))
    while True:
        lifted = LinearOperator(
            (dim, dim),
            matvec=lambda v, Q=vectors: objective.hvp(theta, v.ravel()) + 4.0 * norm * (Q @ (Q.T @ v.ravel())),
            dtype=float,
        )
        fresh, basis = eigsh(lifted, k=k, which="SA", tol=tol, v0=rng.standard_normal(dim))
        lower = fresh < (np.inf if len(values) < k else values[k - 1] - 10 * tol * norm)
        if not lower.any():
            return _spectrum(values[:k], vectors[:, :k], False, norm)
        basis = np.linalg.qr(np.hstack([vectors, basis[:, lower]]))[0]
        H = basis.T @ np.column_stack([objective.hvp(theta, v) for v in basis.T])
        values, rotation = np.linalg.eigh((H + H.T) / 2)
        vectors = basis @ rotation


def _spectrum(values: np.ndarray, vectors: np.ndarray, complete: bool, norm: float) -> Spectrum:
    values, vectors = np.ascontiguousarray(values), np.ascontiguousarray(vectors)
    values.setflags(write=False)
    vectors.setflags(write=False)
    return Spectrum(values, vectors, complete, norm)


def _point(objective: Objective, theta: np.ndarray) -> np.ndarray:
    point = np.asarray(theta, dtype=float)
    if point.shape != (objective.dim,):
        raise ValueError(f"theta must have shape ({objective.dim},); got {point.shape}")
    if not np.isfinite(point).all():
        raise ValueError("theta must be finite")
    return point
