"""Gradient and Hessian products of the loss of W = A B on a mask, with little overhead: the bulk of small problems."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gflow.models import Factorization
from gflow.objective.record import Array
from gflow.problems import MatrixCompletion


def entrywise_gradient(
    problem: MatrixCompletion, model: Factorization, center: Array | None = None
) -> Callable[[Array], Array]:
    """Return delta -> gradient(center + delta) - gradient(center), the gradient itself where no center is given.

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
