"""The loss of a factorisation on the observed entries alone: memory O(n + k (d1 + d2)), no array of shape (d1, d2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gflow.objective.modes import escape_modes
from gflow.objective.record import Array, LastPoint, Objective, shifted_argument

LARGEST_HESSIAN = 10_000
"""Largest dimension for which a dense Hessian is formed."""


class Sampled:
    """Value and derivatives of (1/n) |P o (A B - M)|^2 from products sampled at the observed entries.

    Parameters
    ----------
    problem : MatrixCompletion of unit 1
    model : Factorization
    """

    def __init__(self, problem: Any, model: Any) -> None:
        self.problem, self.model = problem, model
        self.twice = 2.0 * problem.weight
        self.errors = LastPoint(self._errors)

    def _errors(self, theta: Array) -> Array:
        """Return A B - M at the observed entries, shape (n,)."""
        return self.problem.observed_product(*self.model.factors(theta)) - self.problem.targets

    def pullback(self, theta: Array, weights: Array) -> Array:
        """Return (S B^T, A^T S), shape (dim,), for the sparse matrix S with ``weights`` at the observed entries."""
        A, B = self.model.factors(theta)
        S = self.problem.scattered(weights)
        result = np.empty(theta.shape)
        left, right = self.model.factors(result)
        left[:] = S @ B.T
        right[:] = (S.T @ A).T
        return result

    def change(self, theta: Array, move: Array) -> Array:
        """Return dA B + A dB at the observed entries, shape (n,)."""
        (A, B), (dA, dB) = self.model.factors(theta), self.model.factors(move)
        return self.problem.observed_product(np.hstack([dA, A]), np.vstack([B, dB]))

    def value(self, theta: Array) -> float:
        """Return the loss."""
        error = self.errors(theta)
        return float(error @ error) * self.problem.weight

    def gradient(self, theta: Array) -> Array:
        """Return (2/n) (E B^T, A^T E), shape (dim,)."""
        error = self.problem.observed_product(*self.model.factors(theta))
        error -= self.problem.targets
        error *= self.twice
        return self.pullback(theta, error)

    def hvp(self, theta: Array, move: Array) -> Array:
        """Return (2/n) (dE B^T + E dB^T, A^T dE + dA^T E), shape (dim,)."""
        if not theta.any():  # W moves to second order only
            return self.pullback(move, self.twice * self.errors(theta))
        along = self.pullback(theta, self.twice * self.change(theta, move))
        along += self.pullback(move, self.twice * self.errors(theta))
        return along

    def escape_modes(self, theta: Array) -> tuple[float, Array]:
        """Return a bound of the eigenvalues of -H and candidates for its top eigenvectors."""
        return escape_modes(self.problem.scattered(self.twice * self.errors(theta)), self.model, theta)

    def drive(self, theta: Array) -> Any:
        """Return the linear map under which [A; B^T] moves, for arrays of shape (d1 + d2, m)."""
        return self.model.drive(self.problem.scattered(self.twice * self.errors(theta)))

    def hessian(self, theta: Array) -> Array:
        """Return the dense Hessian; ``ValueError`` above dimension 10000."""
        return observed_hessian(self.problem, self.model, theta)


def sampled_loss(problem: Any, model: Any) -> Objective:
    """Return the loss of a factorisation on a problem whose unit is 1, from its observed entries alone."""
    loss = Sampled(problem, model)
    return Objective(
        dim=model.dim,
        value=loss.value,
        gradient=loss.gradient,
        hvp=loss.hvp,
        hessian=loss.hessian,
        conserved=model.conserved,
        deviation=lambda center: _deviation(loss, center),
        gauge_dimension=model.gauge_dimension,
        lower_bound=0.0,
        escape_modes=loss.escape_modes,
        output=lambda theta: problem.observed_product(*model.factors(theta)),
        columns=model.stacked,
        signature=model.signature,
        drive=loss.drive,
    )


def _deviation(loss: Sampled, center: Array) -> Objective:
    """Return the loss relative to a critical center without cancellation; linear terms, zero there, are left out."""
    problem, model = loss.problem, loss.model
    origin = np.array(center, dtype=float)
    error = problem.observed_product(*model.factors(origin)) - problem.targets
    slope = loss.twice * error

    def change(delta: Array) -> Array:
        (A, B), (dA, dB) = model.factors(origin), model.factors(delta)
        return problem.observed_product(np.hstack([dA, A]), np.vstack([B + dB, dB]))

    def value(delta: Array) -> float:
        moved = change(delta)
        return float(slope @ problem.observed_product(*model.factors(delta))) + problem.weight * float(moved @ moved)

    def gradient(delta: Array) -> Array:
        along = loss.pullback(origin + delta, loss.twice * change(delta))
        along += loss.pullback(delta, slope)
        return along

    base = sampled_loss(problem, model)
    return replace(
        base,
        value=value,
        gradient=gradient,
        hvp=lambda delta, v: base.hvp(origin + delta, v),
        hessian=lambda delta: base.hessian(origin + delta),
        conserved=shifted_argument(base.conserved, origin),
        deviation=lambda shift: _deviation(loss, origin + shift),
        gauge_dimension=shifted_argument(base.gauge_dimension, origin),
        lower_bound=-problem.weight * float(error @ error),
        escape_modes=None,
        output=None,
        columns=None,
        drive=None,
        signature=None,
        mirror=None,
    )


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
