"""Value, gradient and Hessian of the loss of W = A B on a mask, with little overhead: the bulk of small problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gflow.models import Factorization
from gflow.objective.record import Array
from gflow.problems import MatrixCompletion


def entrywise_value(
    problem: MatrixCompletion, model: Factorization, general: Callable[[Array], Any]
) -> Callable[[Array], Any]:
    """Return theta -> R(W); ``general`` is the same for thetas with leading axes."""
    (d1, d2), r = model.shape, model.rank
    cut, mask, values, n = d1 * r, problem.observed.astype(float), problem.values, problem.n_observed

    def value(theta: Array) -> Any:
        if theta.ndim > 1:
            return general(theta)
        E = theta[:cut].reshape(d1, r).dot(theta[cut:].reshape(r, d2))
        E *= mask
        E -= values
        flat = E.reshape(-1)
        return float(flat.dot(flat)) / n

    return value


def entrywise_gradient(
    problem: MatrixCompletion, model: Factorization, center: Array | None, general: Callable[[Array], Array]
) -> Callable[[Array], Array]:
    """Return delta -> gradient(center + delta) - gradient(center), the gradient itself where no center is given.

    ``general`` is the same for deltas with leading axes.

    With G = dR/dW at the center, dE = (2/n) P o (dA (B + dB) + A dB) and S = G + dE it is
    (dE B^T + S dB^T, A^T dE + dA^T S): no term cancels another. About theta = 0, where A = B = 0 and the gradient
    vanishes, that is the gradient of the loss.
    """
    (d1, d2), r = model.shape, model.rank
    cut, dim, curvature = d1 * r, model.dim, problem.curvature_mask
    if center is None:
        G, A, B = -(curvature * problem.values), None, None
    else:
        A, B = (factor.copy() for factor in model.factors(center))
        G = curvature * (A @ B - problem.values)

    def gradient(delta: Array) -> Array:
        if delta.ndim > 1:
            return general(delta)
        dA, dB = delta[:cut].reshape(d1, r), delta[cut:].reshape(r, d2)
        result = np.empty(dim)
        left, right = result[:cut].reshape(d1, r), result[cut:].reshape(r, d2)
        if A is None or B is None:
            S = dA.dot(dB)
            S *= curvature
            S += G
            S.dot(dB.T, out=left)
            dA.T.dot(S, out=right)
            return result
        dE = dA.dot(B + dB)
        dE += A.dot(dB)
        dE *= curvature
        S = G + dE
        dE.dot(B.T, out=left)
        left += S.dot(dB.T)
        A.T.dot(dE, out=right)
        right += dA.T.dot(S)
        return result

    return gradient


def entrywise_product(problem: MatrixCompletion, model: Factorization) -> Callable[[Array, Array], Array]:
    """Return (theta, v) -> the Hessian at theta times v, shape (dim,).

    With G = dR/dW and dE = (2/n) P o (dA B + A dB) for v = (dA, dB) it is (dE B^T + G dB^T, A^T dE + dA^T G).
    """
    (d1, d2), r = model.shape, model.rank
    cut, dim, curvature, values = d1 * r, model.dim, problem.curvature_mask, problem.values

    def product(theta: Array, v: Array) -> Array:
        A, B = theta[:cut].reshape(d1, r), theta[cut:].reshape(r, d2)
        dA, dB = v[:cut].reshape(d1, r), v[cut:].reshape(r, d2)
        G = A.dot(B)
        G -= values
        G *= curvature
        dE = dA.dot(B)
        dE += A.dot(dB)
        dE *= curvature
        result = np.empty(dim)
        left, right = result[:cut].reshape(d1, r), result[cut:].reshape(r, d2)
        dE.dot(B.T, out=left)
        left += G.dot(dB.T)
        A.T.dot(dE, out=right)
        right += dA.T.dot(G)
        return result

    return product


def entrywise_hessian(problem: MatrixCompletion, model: Factorization) -> Callable[[Array], Array]:
    """Return theta -> the Hessian at theta, shape (dim, dim), of a small problem.

    It is (2/n) J^T J with the Jacobian J of the observed entries, whose row of entry (i, j) holds b_j in the place of
    row i of A and a_i in that of column j of B, and E_ij (2/n) between A_iq and B_qj.
    """
    (d1, d2), r = model.shape, model.rank
    cut, dim, n, rows, columns = d1 * r, model.dim, problem.n_observed, problem.rows, problem.columns
    inner, first = np.arange(r), np.arange(n)[:, None] * dim
    of_rows, of_columns = rows[:, None] * r + inner, cut + columns[:, None] + d2 * inner
    in_rows, in_columns = first + of_rows, first + of_columns
    upper, lower = of_rows * dim + of_columns, of_columns * dim + of_rows
    twice, targets = 2.0 * problem.weight, problem.targets

    def hessian(theta: Array) -> Array:
        A, B = theta[:cut].reshape(d1, r), theta[cut:].reshape(r, d2)
        J = np.zeros((n, dim))
        entries = J.reshape(-1)
        entries[in_rows], entries[in_columns] = B.T[columns], A[rows]
        H = J.T.dot(J)
        H *= twice
        bends = (twice * (A.dot(B)[rows, columns] - targets))[:, None]
        entries = H.reshape(-1)
        entries[upper] += bends
        entries[lower] += bends
        return H

    return hessian
