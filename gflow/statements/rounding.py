"""What rounding alone can explain: running error bounds for the loss and its derivatives.

A sum of products of m terms is computed with a relative error of at most (m + 2) eps against the same sum of absolute
values. Bounds are for two evaluations, as a closed form is compared with another route.
"""

from __future__ import annotations

import numpy as np

import gflow
from gflow.policy import EPS


def growth(model: gflow.Factorization) -> float:
    """Return the relative error bound of a gradient entry against the same expression in absolute values."""
    return 4.0 * (model.rank + max(model.shape) + 8) * EPS


def absolute_residual(problem: gflow.MatrixCompletion, model: gflow.Factorization, theta: np.ndarray) -> np.ndarray:
    """Return P o (|A| |B| + |M|), shape (d1, d2): the sizes that cancel in E."""
    return problem.observed * model.output(np.abs(theta)) + np.abs(problem.values)


def value_rounding(problem: gflow.MatrixCompletion, model: gflow.Factorization, theta: np.ndarray) -> float:
    """Return the rounding error that the loss at theta may have."""
    sizes = absolute_residual(problem, model, theta)
    return growth(model) * (problem.weight * float(np.sum(sizes**2)) + EPS)


def gradient_rounding(problem: gflow.MatrixCompletion, model: gflow.Factorization, theta: np.ndarray) -> float:
    """Return the rounding error that the gradient at theta, or its projection to a subspace, may have in norm."""
    sizes = 2.0 * problem.weight * absolute_residual(problem, model, theta)
    return growth(model) * (float(np.linalg.norm(model.pullback(np.abs(theta), sizes))) + EPS)


def product_rounding(
    problem: gflow.MatrixCompletion, model: gflow.Factorization, theta: np.ndarray, v: np.ndarray
) -> float:
    """Return the rounding error that the Hessian at theta times v may have in norm."""
    size, move = np.abs(theta), np.abs(v)
    change = 2.0 * problem.weight * (problem.observed * model.tangent(size, move))
    sizes = 2.0 * problem.weight * absolute_residual(problem, model, theta)
    total = model.pullback(size, change) + model.bend(size, move, sizes)
    return growth(model) * (float(np.linalg.norm(total)) + EPS)


def excess(defect: float, allowed: float) -> float:
    """Return a defect in units of what is allowed; zero defects are zero whatever is allowed."""
    return 0.0 if defect == 0.0 else defect / allowed


def grown_rounding(model: gflow.Factorization, times: np.ndarray, rates: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """Return what relative rounding errors at all earlier states have grown to at each state, shape (T,).

    Parameters
    ----------
    times, rates, norms : (T,) arrays
        Growth rates of small differences (the largest eigenvalue of -Hessian), and |theta|.
    """
    gains = np.diff(times) * (rates[1:] + rates[:-1]) / 2
    with np.errstate(divide="ignore"):
        fresh = np.log(growth(model) * norms)
    totals = [fresh[0]]
    for gain, rounding in zip(gains, fresh[1:], strict=True):
        totals.append(np.logaddexp(totals[-1] + gain, rounding))
    return np.exp(np.minimum(totals, np.log(np.finfo(float).max) / 2))
