"""The gradient of the loss of W = A B on a mask, with little overhead: what small problems spend their time on."""

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
