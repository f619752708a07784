"""A factorisation on the observed entries alone: memory O(n + k (d1 + d2)), no array of shape (d1, d2)."""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow.models import Factorization
from gflow.objective.record import Array
from gflow.problems import MatrixCompletion

LARGEST_HESSIAN = 10_000
"""Largest dimension for which a dense Hessian is formed."""


class EntriesProblem:
    """The risk of a completion problem of unit 1 as a function of the observed entries y, shape (n,)."""

    unit = 1.0

    def __init__(self, problem: MatrixCompletion) -> None:
        self.targets, self.weight, self.shape = problem.targets, problem.weight, problem.targets.shape
        self.normalized = self

    def measure(self, y: Array) -> Array:
        """Return y."""
        return y

    def adjoint(self, weights: Array) -> Array:
        """Return the weights."""
        return weights

    def risk(self, y: Array) -> float:
        """Return (1/n) |y - targets|^2."""
        error = y - self.targets
        return float(error @ error) * self.weight

    def gradient(self, y: Array) -> Array:
        """Return (2/n) (y - targets)."""
        error = y - self.targets
        error *= 2.0 * self.weight
        return error

    def curvature(self, dy: Array) -> Array:
        """Return (2/n) dy."""
        return 2.0 * self.weight * dy


class EntriesModel:
    """The observed entries of A B as a model of theta, whose output has shape (n,).

    Parameters
    ----------
    problem : MatrixCompletion
    model : Factorization
        Of depth two.
    """

    def __init__(self, problem: MatrixCompletion, model: Factorization) -> None:
        self.problem, self.model = problem, model
        self.shape, self.dim, self.degree = problem.targets.shape, model.dim, model.degree

    def output(self, theta: Array) -> Array:
        """Return the observed entries of A B."""
        A, B = self.model.factors(theta)
        return self.problem.observed_product(A, B)

    def tangent(self, theta: Array, variation: Array) -> Array:
        """Return the observed entries of dA B + A dB."""
        (A, B), (dA, dB) = self.model.factors(theta), self.model.factors(variation)
        return self.problem.observed_product(np.hstack([dA, A]), np.vstack([B, dB]))

    def increment(self, theta: Array, variation: Array) -> Array:
        """Return the observed entries of dA (B + dB) + A dB."""
        (A, B), (dA, dB) = self.model.factors(theta), self.model.factors(variation)
        return self.problem.observed_product(np.hstack([dA, A]), np.vstack([B + dB, dB]))

    def pullback(self, theta: Array, weights: Array) -> Array:
        """Return (S B^T, A^T S), shape (dim,), for the sparse matrix S with ``weights`` at the observed entries."""
        return self.model.pullback(theta, self.problem.scattered(weights))

    def bend(self, theta: Array, variation: Array, weights: Array) -> Array:
        """Return (S dB^T, dA^T S), shape (dim,)."""
        return self.pullback(variation, weights)

    def jacobian(self, theta: Array) -> Array:
        """Return the derivative of the observed entries, shape (n, dim)."""
        return self.problem.measure(self.model.jacobian(theta))

    def bend_matrix(self, theta: Array, weights: Array) -> Array:
        """Return the matrix of ``bend(theta, ., weights)``, shape (dim, dim)."""
        return self.model.bend_matrix(theta, self.problem.adjoint(weights))


def observed_hessian(problem: Any, model: Any, theta: Array) -> Array:
    """Return the Hessian of the loss of a factorisation, shape (dim, dim), block by block in O(n r^2 + dim^2).

    The block of row i of A is (2/n) sum_j b_j b_j^T over its observed entries, likewise for columns of B; the block of
    A_iq and B_pj is (2/n) (b_qj a_ip + E_ij [p = q]) where (i, j) is observed.
    """
    if model.dim > LARGEST_HESSIAN:
        raise ValueError(f"a dense Hessian is formed up to dimension {LARGEST_HESSIAN}; got {model.dim}: use hvp")
    (d1, d2), r, twice = model.shape, model.rank, 2.0 * problem.weight
    A, B = model.factors(theta)
    rows, columns, cut = problem.rows, problem.columns, d1 * r
    H = np.zeros((model.dim, model.dim))
    corner = H[:cut, cut:].reshape(d1, r, r, d2)
    a, b = A[rows], B.T[columns]
    block = (twice * b)[:, :, None] * a[:, None, :]
    inner = np.arange(r)
    block[:, inner, inner] += (twice * (problem.observed_product(A, B) - problem.targets))[:, None]
    corner[rows, :, :, columns] = block
    H[cut:, :cut] = H[:cut, cut:].T
    for i in range(d1):
        seen = b[problem.pointers[i] : problem.pointers[i + 1]]
        H[i * r : (i + 1) * r, i * r : (i + 1) * r] = twice * (seen.T @ seen)
    right = H[cut:, cut:].reshape(r, d2, r, d2)
    order = np.argsort(columns, kind="stable")
    bounds = np.searchsorted(columns[order], np.arange(d2 + 1))
    for j in range(d2):
        seen = a[order[bounds[j] : bounds[j + 1]]]
        right[:, j, :, j] = twice * (seen.T @ seen)
    return H
