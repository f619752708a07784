"""A factorisation on the observed entries alone: memory O(n + k (d1 + d2)), no array of shape (d1, d2)."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from gflow.memory import require_memory
from gflow.models import Factorization
from gflow.models.layers import moved_products, products_after, products_before
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
        Of two factors or more.
    """

    def __init__(self, problem: MatrixCompletion, model: Factorization) -> None:
        self.problem, self.model = problem, model
        self.shape, self.dim, self.degree = problem.targets.shape, model.dim, model.degree

    def output(self, theta: Array) -> Array:
        """Return the observed entries of W1 ... WL."""
        *most, last = self.model.factors(theta)
        return self.problem.observed_product(reduce(np.matmul, most), last)

    def tangent(self, theta: Array, variation: Array) -> Array:
        """Return the observed entries of dX WL + X dWL, where X is the product of the other factors."""
        return self._moved(theta, variation, theta)

    def increment(self, theta: Array, variation: Array) -> Array:
        """Return the observed entries of dX (WL + dWL) + X dWL, where X + dX is the product of the moved factors."""
        return self._moved(theta, variation, theta + variation)

    def _moved(self, theta: Array, variation: Array, after: Array) -> Array:
        (*most, _), (*moves, move), (*others, last) = map(self.model.factors, (theta, variation, after))
        X, dX = reduce(np.matmul, most), moved_products(most, moves, others)[-1]
        return self.problem.observed_product(np.hstack([dX, X]), np.vstack([last, move]))

    def pullback(self, theta: Array, weights: Array) -> Array:
        """Return that of the sparse matrix with ``weights`` at the observed entries, shape (dim,)."""
        return self.model.pullback(theta, self.problem.scattered(weights))

    def bend(self, theta: Array, variation: Array, weights: Array) -> Array:
        """Return the derivative of ``pullback`` along ``variation``, shape (dim,)."""
        return self.model.bend(theta, variation, self.problem.scattered(weights))

    def jacobian(self, theta: Array) -> Array:
        """Return the derivative of the observed entries, shape (n, dim)."""
        found: Array = self.sparse_jacobian(theta).toarray()
        return found

    def sparse_jacobian(self, theta: Array) -> Any:
        """Return the same as a CSR array.

        Row e of entry (i, j) holds a_i b_j^T for every layer, with row i of the product before and column j of that
        after it, for the outer layers in their own row or column alone.
        """
        from scipy.sparse import csr_array

        model, (rows, columns) = self.model, (self.problem.rows, self.problem.columns)
        *most, last = factors = model.factors(theta)
        before, after = products_before(factors), products_after(factors)
        parts, places, first = [after[0].T[columns]], [rows[:, None] * model.rank + np.arange(model.rank)], most[0].size
        for j, hidden in enumerate(most[1:], 1):
            block = before[j][rows][:, :, None] * after[j].T[columns][:, None, :]  # type: ignore[index]
            parts.append(block.reshape(len(rows), -1))
            places.append(np.broadcast_to(first + np.arange(hidden.size), parts[-1].shape))
            first += hidden.size
        parts.append(before[-1][rows])  # type: ignore[index]
        places.append(first + columns[:, None] + last.shape[1] * np.arange(model.rank))
        numbers, found = np.hstack(parts), np.hstack(places)
        pointers = found.shape[1] * np.arange(len(rows) + 1)
        return csr_array((numbers.ravel(), found.ravel(), pointers), shape=(len(rows), model.dim))

    def bend_matrix(self, theta: Array, weights: Array) -> Array:
        """Return the matrix of ``bend(theta, ., weights)``, shape (dim, dim)."""
        return self.model.bend_matrix(theta, self.problem.scattered(weights).toarray())


def product_hessian(problem: Any, model: Any, theta: Array) -> Array:
    """Return the Hessian of the loss of a factorisation of any depth from its observed entries, shape (dim, dim)."""
    require_formable(model)
    entries, risk = EntriesModel(problem, model), EntriesProblem(problem)
    J = entries.sparse_jacobian(theta)
    slope = risk.gradient(entries.output(theta))
    return 2.0 * problem.weight * (J.T @ J).toarray() + entries.bend_matrix(theta, slope)


def require_formable(model: Any) -> None:
    """Raise ``ValueError`` where a dense Hessian would be too large, ``MemoryError`` where it does not fit."""
    if model.dim > LARGEST_HESSIAN:
        raise ValueError(f"a dense Hessian is formed up to dimension {LARGEST_HESSIAN}; got {model.dim}: use hvp")
    require_memory(model.dim**2, f"a dense Hessian of dimension {model.dim}")


def observed_hessian(problem: Any, model: Any, theta: Array) -> Array:
    """Return the Hessian of the loss of a factorisation, shape (dim, dim), block by block in O(n r^2 + dim^2).

    The block of row i of A is (2/n) sum_j b_j b_j^T over its observed entries, likewise for columns of B; the block of
    A_iq and B_pj is (2/n) (b_qj a_ip + E_ij [p = q]) where (i, j) is observed.
    """
    require_formable(model)
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
