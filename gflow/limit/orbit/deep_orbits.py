"""The orbits of a deep flow, how they begin, and the reflections of the data that turn them into one another."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gflow.connectivity import connectivity
from gflow.flow import Trajectory, gradient_flow
from gflow.limit.orbit.growth import grows
from gflow.limit.orbit.rosenbrock import rosenbrock_flow
from gflow.limit.orbit.sizes import is_compilable
from gflow.limit.settings import Settings
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import EntryProblem, without_weights

EIGENBASIS_DIM = 200
"""Up to this dimension orbits are followed in the eigenbasis of the Hessian."""
SLOPE_LEFT = 1e-9
"""An orbit is over when its slope has fallen to this fraction of its peak."""
LOOK = 25
"""Steps after which an orbit is asked whether it runs to infinity."""
FAR_POWER = 0.05
"""It does where |theta| grows faster than this power of the time."""
MOST_STEPS = 4000
TOLD = 1e-6
"""What is larger than this, relative to the largest, is not zero."""
SOFT_CURVATURE = 1e-8
"""The same for eigenvalues of the Hessian at a critical point polished to rounding."""
SAME = 1e-5
"""Two ends are one if no entry differs by more than this, relative to the largest."""

Reflection = tuple[np.ndarray, np.ndarray]


class Place(NamedTuple):
    """A critical point of rank k = ``model.rank`` (no model: the origin), in the unit."""

    model: Factorization | None
    theta: np.ndarray


def orbit(
    problem: EntryProblem, model: Factorization, center: np.ndarray, launch: np.ndarray, rtol: float, use: Settings
) -> Trajectory:
    """Return the gradient flow from center + launch until its slope has fallen, or it grows as a power of time.

    The problem is in its own unit. Raises ``IntegrationFailed`` where the solver gives up at once.
    """
    objective = Objective.of(problem, model)
    times, states, peak = [0.0], [center + launch], (0.0, 0.0)

    def watch(t: float, theta: np.ndarray, slope: float) -> bool:
        nonlocal peak
        times.append(t)
        states.append(theta)
        if slope > peak[0]:
            peak = slope, t
        far = len(times) % LOOK == 0 and len(times) > 10 * LOOK and grows(times, states, peak[1], FAR_POWER)
        return far or slope <= SLOPE_LEFT * peak[0]

    if objective.dim <= EIGENBASIS_DIM:
        limits: dict[str, Any] = {"norm_limit": use.norm_limit, "max_steps": MOST_STEPS}
        if use.compiled and is_compilable(problem, model):
            limits["compiled_for"] = problem, model
        return rosenbrock_flow(objective, center, launch, rtol=rtol, watch=watch, **limits)
    return gradient_flow(
        objective,
        launch,
        center=center,
        rtol=rtol,
        norm_limit=use.norm_limit,
        max_evaluations=use.max_evaluations,
        callback=lambda t, theta, _: watch(t, theta, float(np.linalg.norm(objective.gradient(theta)))),
    )


def widened(place: Place, model: Factorization) -> np.ndarray:
    """Return the parameters of ``place`` in a model with one more channel, which is empty."""
    factors = [np.zeros(layer) for layer in model.layers]
    if place.model is not None:
        for wide, factor in zip(factors, place.model.factors(place.theta), strict=True):
            wide[: factor.shape[0], : factor.shape[1]] = factor
    return model.theta(*factors)


def channel(model: Factorization, u: np.ndarray, v: np.ndarray, size: float) -> np.ndarray:
    """Return the balanced ray along which the last channel opens: size u, size, ..., size v^T."""
    factors = [np.zeros(layer) for layer in model.layers]
    factors[0][:, -1], factors[-1][-1] = size * u, size * v
    for hidden in factors[1:-1]:
        hidden[-1, -1] = size
    return model.theta(*factors)


def reflections(problem: EntryProblem) -> list[Reflection]:
    """Return reflections (R, S) with R W S observed as W is: of a coupling component, of a mode of a complete one."""
    (d1, d2), seen = problem.shape, without_weights(problem)
    found = []
    for part in connectivity(seen).coupling_components:
        rows, columns = np.array(part.rows), np.array(part.columns)
        block = seen.values[np.ix_(rows, columns)]
        pairs = [(None, None)]
        if seen.observed[np.ix_(rows, columns)].all():
            U, sizes, Vt = np.linalg.svd(block, full_matrices=False)
            pairs += [(u, v) for u, size, v in zip(U.T, sizes, Vt, strict=True) if size > TOLD * sizes[0]]
        for u, v in pairs:
            R, S = np.eye(d1), np.eye(d2)
            R[np.ix_(rows, rows)] -= 2 * (np.eye(len(rows)) if u is None else np.outer(u, u))
            S[np.ix_(columns, columns)] -= 2 * (np.eye(len(columns)) if v is None else np.outer(v, v))
            found.append((R, S))
    return [each for each in found if keeps_risk(problem, each)]


def keeps_risk(problem: EntryProblem, reflection: Reflection) -> bool:
    """Return whether the risk of R W S is that of W: weights may forbid it."""
    R, S = reflection
    W = np.random.default_rng(0).standard_normal(problem.shape)
    here, there = problem.gradient(W), R @ problem.gradient(R @ W @ S) @ S
    return bool(np.abs(here - there).max() <= TOLD * np.abs(here).max())


def turns(model: Factorization, reflection: Reflection, theta: np.ndarray, v: np.ndarray) -> bool:
    """Return whether a reflection of the outer layers leaves a saddle in place and turns a growing mode round."""

    def reflected(point: np.ndarray) -> np.ndarray:
        first, *inner, last = model.factors(point)
        return model.theta(reflection[0] @ first, *inner, last @ reflection[1])

    small = TOLD * float(np.linalg.norm(theta))
    return bool(np.linalg.norm(reflected(theta) - theta) <= small and np.linalg.norm(reflected(v) + v) <= TOLD)


def alike(W: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two matrices are one to ``SAME``."""
    return bool(np.abs(W - other).max() <= SAME * np.abs(W).max())
