"""Families of measurements: commuting, Gaussian, dilated, and the known counter-example to the norm conjecture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.checks import positive
from gflow.plain import plain
from gflow.problems import MatrixCompletion, MatrixSensing, as_sensing


def commuting_measurements(size: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``count`` random symmetric matrices with common eigenvectors, shape (count, size, size).

    Parameters
    ----------
    size, count : int
        Order of the matrices, and how many.
    rng : Generator

    A_i = Q diag(lambda_i) Q^T with one Haar distributed orthogonal Q and standard Gaussian lambda_i. With
    ``count`` >= ``size`` they span all matrices with these eigenvectors. Gunasekar et al. 2017, Theorem 1.

    Raises ``ValueError`` unless both numbers are positive integers.
    """
    positive(size, "size"), positive(count, "count")
    Q, R = np.linalg.qr(rng.standard_normal((size, size)))
    Q = Q * np.where(np.diagonal(R) < 0, -1.0, 1.0)
    A = (Q * rng.standard_normal((count, 1, size))) @ Q.T
    return (A + A.mT) / 2


def gaussian_measurements(shape: tuple[int, int], count: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``count`` matrices of independent N(0, 1 / count) entries, shape (count, d1, d2): E |A(X)|^2 = |X|_F^2.

    Parameters
    ----------
    shape : (d1, d2)
    count : int
    rng : Generator

    Raises ``ValueError`` unless all numbers are positive integers.
    """
    d1, d2 = (positive(size, name) for size, name in zip(shape, ("d1", "d2"), strict=True))
    return rng.standard_normal((positive(count, "count"), d1, d2)) / np.sqrt(count)


def symmetric_dilation(problem: Any) -> MatrixSensing:
    """Return the problem of order d1 + d2 with the measurements [[0, A_i], [A_i^T, 0]] / 2 and the same values.

    For X = [[X_11, W], [W^T, X_22]] they give <A_i, W>, so the risk of X is that of W, and W = A B has the loss, the
    gradient flow and the limits of X = U U^T with U = [A; B^T]. The least trace of X >= 0 is twice the least nuclear
    norm of W. Sparse measurements stay sparse. Gunasekar et al. 2017, Corollary 2.
    """
    problem = as_sensing(problem)
    (d1, d2), count = problem.shape, problem.n_observed
    order = d1 + d2
    if isinstance(problem.matrix, np.ndarray):
        dilated = np.zeros((count, order, order))
        dilated[:, :d1, d1:] = problem.measurements / 2
        dilated += dilated.mT
        return MatrixSensing(dilated, problem.targets, normalization=problem.normalization)
    entries = problem.matrix.tocoo()
    rows, columns = divmod(entries.col.astype(np.int64), d2)
    cells = np.concatenate([rows * order + d1 + columns, (d1 + columns) * order + rows])
    halves = np.tile(entries.data / 2, 2), (np.tile(entries.row, 2), cells)
    sparse = type(problem.matrix)(halves, shape=(count, order**2))
    return MatrixSensing(sparse, problem.targets, shape=(order, order), normalization=problem.normalization)


@dataclass(frozen=True, slots=True, eq=False)
class NormCounterexample:
    """A symmetric completion whose solutions X >= 0 of least rank and of least nuclear norm differ.

    Attributes
    ----------
    problem : MatrixSensing
    least_norm, least_rank : (4, 4) arrays, read-only
        Both fit and are positive semidefinite.
    dual : (3,) array, read-only
        A*(dual) <= I, so every X >= 0 that fits has trace X >= <dual, y>.
    """

    problem: MatrixSensing
    least_norm: np.ndarray
    least_rank: np.ndarray
    dual: np.ndarray

    @property
    def lower(self) -> float:
        """Return <dual, y> / max(1, lambda_max(A*(dual))), a bound from below on the nuclear norm of every X."""
        top = float(np.linalg.eigvalsh(self.problem.adjoint(self.dual))[-1])
        return float(self.dual @ self.problem.targets) / max(1.0, top)

    @property
    def excess(self) -> float:
        """Return trace(least_rank) / lower - 1: how far the solution of least rank is above the least norm."""
        return float(np.trace(self.least_rank)) / self.lower - 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a JSON-ready dictionary."""
        return {
            "values": self.problem.targets.tolist(),
            **plain(self, "least_norm least_rank dual lower excess"),
        }

    def __repr__(self) -> str:
        return f"NormCounterexample(least norm {self.lower:.6g}, least rank {np.trace(self.least_rank):.6g})"


def nuclear_norm_counterexample(ratio: float = 2.0) -> NormCounterexample:
    """Return the 4 x 4 symmetric completion (1,3) = 1, (1,4) = (2,3) = R, of which gradient flow finds the least rank.

    Observed are these entries and their mirror images, nothing else: the dilation of W = [[1, R], [R, *]]. Every
    X >= 0 that fits has trace at least 4 R, by the dual [[0, Y], [Y, 0]] with Y = [[0, 1], [1, 0]], and
    W = [[1, R], [R, 1]] attains it with rank 2. The only one of rank 1 is x x^T with x = (1, R, 1, R) up to a
    factor between the halves, whose trace is at least 2 + 2 R^2 = 4 R + 2 (R - 1)^2. The flow from alpha -> 0 follows
    the top eigenvector of A*(y), which is positive, and ends at that rank-1 solution.

    Parameters
    ----------
    ratio : float
        R > 1. (For R <= 1 the rank-1 solution has the least nuclear norm as well.)

    Raises
    ------
    ValueError
        Unless R is finite and exceeds 1.

    Refutes the conjecture of Gunasekar et al. 2017 in general; Li, Luo and Lyu 2021, arXiv 2012.09839.
    """
    R = float(ratio)
    if not (np.isfinite(R) and R > 1):
        raise ValueError(f"ratio must be a finite number above 1; got {ratio!r}")
    problem = symmetric_dilation(MatrixCompletion([[1, R], [R, np.nan]]))
    flat = np.array([[1, R], [R, 1]])
    gram = np.array([[R, 1], [1, R]])
    x = np.array([1, R, 1, R])
    arrays = np.block([[gram, flat], [flat, gram]]), np.outer(x, x), np.array([0.0, 2, 2])
    for array in arrays:
        array.setflags(write=False)
    return NormCounterexample(problem, *arrays)
