"""The spectrum of the Hessian inside Omega_k at a critical point of rank k."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from gflow.limit.orbit.polish import complement, gauge_basis, smallest_off_gauge
from gflow.limit.orbit.settling import FLAT
from gflow.limit.orbit.sizes import is_large
from gflow.limit.orbit.uniqueness import flat_directions, short_directions
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.policy import DENSE_LIMIT
from gflow.problems import EntryProblem


@dataclass(frozen=True)
class Inside:
    """The spectrum inside the manifold: least positive eigenvalue, flat and negative directions, largest growth rate
    and largest eigenvalue.

    None where a number cannot be told. Where the negative directions are not ``counted`` there may be more of them.
    """

    mu: float | None
    flat: int | None
    negative: int | None
    rate: float
    curvature: float
    counted: bool = True


def inside_spectrum(problem: EntryProblem, A: np.ndarray, B: np.ndarray) -> Inside:
    """Return the Hessian's spectrum inside the manifold, k^2 gauge zeros set aside."""
    k = A.shape[1]
    if k == 0:
        return Inside(None, 0, 0, 0.0, 0.0)
    model = Factorization(problem.shape, k)
    objective, theta = Objective.of(problem, model), model.theta(A, B)
    if model.dim > DENSE_LIMIT or is_large(problem):
        idle = short_directions(problem, model, theta)
        found = smallest_off_gauge(partial(objective.hvp, theta), objective, model, theta, idle)
        if found.is_negative and found.value is not None:
            return Inside(None, None, 1, -found.value, found.largest, counted=False)
        if idle is None or not found.is_positive:
            return Inside(None, None, None, 0.0, found.largest)
        return Inside(found.value, idle.shape[1], 0, 0.0, found.largest)
    free = complement(gauge_basis(model, theta))
    values, vectors = np.linalg.eigh(free.T @ objective.hessian(theta) @ free)
    largest = float(np.abs(values).max(initial=0.0))
    zero = np.abs(values) <= FLAT * largest
    positive, negative = values[~zero & (values > 0.0)], values[~zero & (values < 0.0)]
    rate = -float(min(negative, default=0.0))
    if zero.any() and not flat_directions(problem, model, theta, free @ vectors[:, zero]):
        return Inside(None, None, len(negative) or None, rate, largest)
    mu = float(positive.min()) if positive.size else None
    return Inside(mu, int(zero.sum()), len(negative), rate, largest)
