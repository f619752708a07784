"""Matrices of low rank in the kernel of an operator: with one, no scaling makes it a restricted isometry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow import watch
from gflow.operators.commuting import operator as as_sensing
from gflow.operators.search import Operator, extreme
from gflow.plain import ReadOnly, plain
from gflow.policy import EPS


@dataclass(frozen=True, slots=True, eq=False)
class KernelElement(ReadOnly):
    """A matrix of low rank in the kernel of an operator, up to ``residual``.

    Attributes
    ----------
    matrix : (d1, d2) array, read-only
        Of Frobenius norm 1.
    residual : float
        |A(matrix)| / (largest singular value of A); 0.0 for the zero operator.
    radius : float or None
        Within this Frobenius distance of ``matrix`` lies a matrix of the same rank in the kernel: 0.0 for e_i e_j^T of
        an entry that no measurement sees, from a Newton-Kantorovich certificate otherwise (where A has dependent
        rows, for A to rounding). None: not certified, the residual is all there is.
    """

    matrix: np.ndarray
    residual: float
    radius: float | None

    @property
    def certified(self) -> bool:
        """Return whether the kernel certainly holds such a matrix, so that no scaling has delta < 1 at its rank."""
        return self.radius is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a JSON-ready dictionary."""
        return plain(self, "matrix residual radius certified")

    def __repr__(self) -> str:
        return f"KernelElement({self.matrix.shape}, residual={self.residual:.1e}, radius={self.radius})"


def kernel_rank_one(
    problem: Any,
    *,
    symmetric: bool = False,
    starts: int = 8,
    kernel_tol: float = 1e-12,
    rng: np.random.Generator | None = None,
) -> KernelElement | None:
    """Return a matrix of rank one in the kernel of the operator, or None if none was found.

    For the sampling of entries it is e_i e_j^T of an unobserved entry, exactly. Otherwise a local search from several
    starts is followed by Newton's method. None is a proof that there is none only if the kernel is trivial
    or ``restricted_isometry`` bounds the operator away from zero.

    Parameters
    ----------
    problem : MatrixSensing, MatrixCompletion or (m, d1, d2) array
    symmetric : bool
        Look among symmetric matrices x x^T only (they see the symmetric parts of the A_i).
    starts : int
        Number of random starts.
    kernel_tol : float
        A matrix counts when |A(X)| <= kernel_tol * norm(A) * |X|_F.
    rng : numpy.random.Generator, optional
        Default: ``numpy.random.default_rng(0)``.

    Raises
    ------
    TypeError, ValueError
        If measurements given as an array break a rule of ``MatrixSensing``, or symmetric matrices are not square.
    """
    given = Operator.of(as_sensing(problem), symmetric)
    return kernel_element(given, 1, starts, kernel_tol, np.random.default_rng(0) if rng is None else rng)


def kernel_element(
    given: Operator, rank: int, starts: int, kernel_tol: float, rng: np.random.Generator
) -> KernelElement | None:
    """Return a matrix of rank at most ``rank`` in the kernel, or None if none was found."""
    plain = _plain_element(given, rank)
    if plain is not None:
        return KernelElement(plain / np.linalg.norm(plain), 0.0, 0.0)
    sizes, V = given.spectrum()
    if len(V) == given.dim:
        return None
    row_space = Operator(V, given.shape, given.symmetric, 1.0)
    best = extreme(row_space, rank, 1, [rng.standard_normal(given.shape) for _ in range(starts)])
    A, B, signs = _polished(row_space, *_factors(row_space, best, rank))
    matrix = A @ B
    residual = float(np.sqrt(given.energy(matrix))) / float(sizes[0])
    if residual > kernel_tol:
        return None
    return KernelElement(matrix, residual, _radius(row_space, A, B, signs))


def _plain_element(given: Operator, rank: int) -> np.ndarray | None:
    """Return E_ij (or E_ij + E_ji) of an unseen entry, or E_12 - E_21 for symmetric A_i: exactly in the kernel."""
    d1, d2 = given.shape
    unseen = ~given.rows.any(axis=0).reshape(d1, d2)
    if given.symmetric and rank == 1:
        unseen &= np.eye(d1, dtype=bool)
    matrix = np.zeros(given.shape)
    if unseen.any():
        i, j = np.argwhere(unseen)[0]
        matrix[i, j] = 1.0
        return np.maximum(matrix, matrix.T) if given.symmetric else matrix
    matrices = given.rows.reshape(-1, d1, d2)
    if rank > 1 and not given.symmetric and d1 == d2 and np.array_equal(matrices, matrices.mT):
        matrix[0, 1], matrix[1, 0] = 1.0, -1.0
        return matrix
    return None


_Factors = tuple[np.ndarray, np.ndarray, np.ndarray]


def _factors(space: Operator, X: np.ndarray, rank: int) -> _Factors:
    """Return balanced factors X = A B, scaled to |X| = 1; for symmetric X with B = diag(signs) A^T."""
    U, sizes, V = space.leading(X / np.linalg.norm(X), rank)
    root, signs = np.sqrt(np.abs(sizes)), np.where(sizes < 0, -1.0, 1.0)
    return U * root, (V * root * signs).T, signs


def _linearised(space: Operator, A: np.ndarray, B: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return F = V(A B) and its Jacobian in (A, B), or in A alone for symmetric matrices."""
    rows = space.rows.reshape(-1, *space.shape)
    count = len(rows)
    F = space.rows @ (A @ B).ravel()
    by_A = (rows @ B.T).reshape(count, -1)
    if space.symmetric:
        return F, 2 * by_A
    return F, np.hstack([by_A, (A.T @ rows).reshape(count, -1)])


def _polished(space: Operator, A: np.ndarray, B: np.ndarray, signs: np.ndarray, max_steps: int = 20) -> _Factors:
    """Return the factors after Gauss-Newton steps on V(A B) = 0, as long as they help."""
    for _ in range(max_steps):
        if watch.spent("kernel"):
            break
        F, J = _linearised(space, A, B, signs)
        h = np.linalg.lstsq(J, -F)[0]
        dA = h[: A.size].reshape(A.shape)
        dB = (dA * signs).T if space.symmetric else h[A.size :].reshape(B.shape)
        fresh = _factors(space, (A + dA) @ (B + dB), len(signs))
        if np.linalg.norm(_linearised(space, *fresh)[0]) >= np.linalg.norm(F):
            break
        A, B, signs = fresh
    return A, B, signs


def _radius(space: Operator, A: np.ndarray, B: np.ndarray, signs: np.ndarray) -> float | None:
    """Return a distance within which a matrix of the rank of A B lies in the kernel of V, or None.

    F(A, B) = V(A B) is quadratic, its second-order term at most c |h|^2 with c = 1/2 (c = 1 for symmetric matrices)
    as V has orthonormal rows. If the Jacobian has full row rank with least singular value 1 / beta and
    4 c beta^2 |F| <= 1, the map h -> -J^+ (F + second order) sends the ball of radius rho = 2 beta |F| into itself and
    has a fixed point (Brouwer), a zero of F. It moves A B by at most 2 rho + rho^2 (A and B have spectral norms of at
    most 1), so by less than 1 it is not 0. |F| includes a bound on its rounding.
    """
    F, J = _linearised(space, A, B, signs)
    if J.shape[0] > J.shape[1]:
        return None
    sizes = np.linalg.svd(J, compute_uv=False)
    if sizes[-1] <= 1e-8 * sizes[0]:
        return None
    beta = 1.01 / float(sizes[-1])
    error = float(np.linalg.norm(F)) + 4 * sum(space.shape) * EPS
    rho = 2 * beta * error
    distance = 2 * rho + rho**2
    certain = 4 * (1.0 if space.symmetric else 0.5) * beta**2 * error <= 1 and distance < 1
    return distance if certain else None
