"""The loss of W = A B on many observed entries by compiled loops that pass over them once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gflow.fast.jit import in_time, installed
from gflow.models import Factorization
from gflow.models.functions import LastPoint
from gflow.objective.record import Array, Objective
from gflow.problems import MatrixCompletion

FUSED_ENTRIES = 100_000
"""From so many observed entries compiled loops are taken where numba is installed: loading them costs half a second,
which a thousand gradients win back."""


def is_fused(problem: MatrixCompletion) -> bool:
    """Return whether compiled loops pay."""
    return problem.n_observed >= FUSED_ENTRIES and installed()


class FusedEntries:
    """Value, gradient and Hessian products of the loss of a factorisation in two factors, for single thetas.

    The formulas are those of ``Loss`` with ``EntriesModel``; no array but the slope has the length of the data.
    """

    def __init__(self, problem: MatrixCompletion, model: Factorization) -> None:
        from gflow.fast.sampled import loops  # loads numba

        pattern = problem.scattered(problem.targets)
        self.places = pattern.indptr, pattern.indices.view(np.uint32 if pattern.indices.itemsize == 4 else np.uint64)
        self.problem, self.model, self.factor = problem, model, 2.0 * problem.weight
        self.slopes, self.changes = loops(model.rank)
        # bound to no self: what refers to itself is kept until the collector comes, its arrays with it
        self.errors = errors = partial(_errors, problem, model, self.places)
        self.slope = LastPoint(lambda theta: errors(theta)[1])
        self.last: tuple[Array, float] = np.empty(0), 0.0

    def value(self, theta: Array) -> float:
        """Return the loss; where the gradient was asked for last, it is known."""
        point, loss = self.last
        return loss if np.array_equal(point, theta) else self.errors(theta)[0]

    def gradient(self, theta: Array) -> Array:
        """Return the gradient, shape (dim,)."""
        A, B = _factors(self.model, theta)
        left, right = np.empty_like(A), np.empty_like(B)
        square = in_time(self.slopes, A, B, *self.places, self.problem.targets, self.factor, left, right)
        self.last = theta.copy(), self.problem.weight * square
        return self.model.theta(left, right.T)

    def product(self, theta: Array, v: Array) -> Array:
        """Return the Hessian at theta times v, shape (dim,)."""
        A, B = _factors(self.model, theta)
        return self.changed(A, A, B, v, self.slope(theta))

    def departing(self, center: Array) -> Callable[[Array], Array]:
        """Return delta -> gradient(center + delta) - gradient(center), without cancellation."""
        A, B = _factors(self.model, center)
        slope = self.errors(center)[1]

        def gradient(delta: Array) -> Array:
            dA, dB = _factors(self.model, delta)
            return self.changed(A, A + dA, B + dB, delta, slope)

        return gradient

    def normal(self, theta: Array) -> Callable[[Array], Array]:
        """Return v -> (2/n) J^T J v for the Jacobian J of the observed entries at theta."""
        (A, B), nothing = _factors(self.model, theta), np.zeros(self.problem.n_observed)
        return lambda v: self.changed(A, A, B, v, nothing)

    def changed(self, A: Array, moved: Array, B: Array, v: Array, slope: Array) -> Array:
        """Return what ``changes`` writes, shape (dim,)."""
        dA, dB = _factors(self.model, v)
        left, right = np.empty_like(A), np.empty_like(B)
        in_time(self.changes, A, moved, dA, B, dB, *self.places, slope, self.factor, left, right)
        return self.model.theta(left, right.T)

    def objective(self, base: Objective) -> Objective:
        """Return an objective of the same loss with these parts in place of its own."""
        parts: dict[str, Any] = {"value": self.value, "gradient": self.gradient, "hvp": self.product}
        return replace(base, **parts, deviation=lambda center: self.deviation(base, center))

    def deviation(self, base: Objective, center: Array) -> Objective:
        """Return the loss relative to a critical center, without cancellation."""
        assert base.deviation is not None
        origin = np.array(center, dtype=float)
        return replace(
            base.deviation(origin),
            gradient=self.departing(origin),
            hvp=lambda delta, v: self.product(origin + delta, v),
            deviation=lambda shift: self.deviation(base, origin + shift),
        )


def _factors(model: Factorization, theta: Array) -> tuple[Array, Array]:
    """Return A and B^T as arrays of the one kind that is compiled for."""
    A, B = model.factors(theta)
    return np.array(A), np.array(B.T, order="C")


def _errors(problem: MatrixCompletion, model: Factorization, places: Any, theta: Array) -> tuple[float, Array]:
    """Return the loss, and (2/n) (A B - M) at the observed entries."""
    from gflow.fast.sampled import errors

    slope = np.empty(problem.n_observed)
    square = in_time(errors, *_factors(model, theta), *places, problem.targets, 2.0 * problem.weight, slope)
    return problem.weight * square, slope
