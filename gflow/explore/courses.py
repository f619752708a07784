"""A trajectory from a finite alpha beside the limit: loss, singular values, and the times from plateau to plateau."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np

import gflow
from gflow.explore.answers import FORGOTTEN, limit_of, numbers, of_start
from gflow.explore.state import State
from gflow.policy import GRADED_BELOW, SHOWN_RANK_TOL

APART_BELOW = 1e-10
"""Three factors and more: where alpha^(L-1) is smaller, channels and what is outside them are integrated apart."""
SHOWN_STATES = 320
SHOWN_BEYOND = 1.3
"""The time shown, relative to that of the last escape."""
SIGNIFICANT = 6
"""Digits of the curves: a page has a few hundred pixels."""


def course(state: State) -> dict[str, Any]:
    """Return the trajectory from alpha theta_0, and the limit of the same start, for JSON.

    Times are in units of ``unit``: log(1/alpha) for two factors, alpha^-(L-2) for more, in which plateaus have a limit
    of their own; ``predicted`` are the times of the escapes in that limit.
    """
    problem, model = state.problem(), gflow.Factorization((len(state.values), len(state.values[0])), depth=state.depth)
    theta = model.random(np.random.default_rng(state.seed), 1.0)
    path = followed(problem, model, theta, state)
    unit = log(1.0 / state.alpha) if state.depth == 2 else state.alpha ** -(state.depth - 2)
    target, predicted = beside(problem, theta, state)
    times = path.times / unit
    last = window(times, path, unit, predicted)
    shown = thinned(times, last)
    rests = last > times[-1]  # what has converged stays where it is
    held = [*shown, *([len(times) - 1] if rests else [])]
    W = model.output(path.final)
    return {
        "status": str(path.status),
        "message": path.message,
        "method": path.method,
        "alpha": state.alpha,
        "clock": "log(1/alpha)" if state.depth == 2 else f"alpha^-{state.depth - 2}",
        "unit": unit,
        "last": last,
        "times": rounded(np.append(times[shown], last) if rests else times[shown]),
        "losses": rounded(path.losses[held]),
        "values": {name: rounded(each) for name, each in sizes(model, path.states[held]).items()},
        "predicted": predicted,
        "plateaus": plateaus(model, path, unit),
        "matrix": numbers(W),
        "target": numbers(target),
        "distance": None if target is None else float(np.abs(W - target).max()),
        "error": path.error,
    }


def followed(
    problem: gflow.MatrixCompletion, model: gflow.Factorization, theta: np.ndarray, state: State
) -> gflow.Trajectory:
    """Return the trajectory from alpha theta_0, by the method that its scale asks for."""
    objective = gflow.Objective.of(problem, model)
    if state.depth == 2 and state.alpha < GRADED_BELOW * objective.theta_unit:
        return gflow.graded_flow(problem, state.alpha * theta)
    if state.depth > 2 and state.alpha ** (state.depth - 1) < APART_BELOW:
        return gflow.deep_flow(problem, theta, state.exponent, depth=state.depth)
    return gflow.gradient_flow(objective, state.alpha * theta)


def beside(
    problem: gflow.MatrixCompletion, theta: np.ndarray, state: State
) -> tuple[np.ndarray | None, list[float | None]]:
    """Return the limit of the same start, None where there is none, and the times of its escapes in its own unit."""
    if state.depth > 2:
        found = gflow.saddle_to_saddle(problem, theta, depth=state.depth)
        known = found.matrix if found.determined.all() else None
        return known, [float(t) for t in getattr(found, "plateau_times", ())]
    every = limit_of(state)
    falls: list[float | None] = []
    for each in every.chains:
        waits = [saddle.plateau_time for saddle in each.saddles[:-1]]
        known_waits = None not in waits
        falls += np.cumsum([wait or 0.0 for wait in waits]).tolist() if known_waits else [None] * len(waits)
    whole = every if every.determined.all() else of_start(problem, state.seed)
    return whole.matrix, sorted(falls, key=lambda t: np.inf if t is None else t)


def window(times: np.ndarray, path: gflow.Trajectory, unit: float, predicted: list[float | None]) -> float:
    """Return the last time that is shown: a little beyond the last escape, seen or predicted."""
    seen = gflow.escape_times(path) / unit
    marks = [*seen.tolist(), *(t for t in predicted if t is not None)]
    last = SHOWN_BEYOND * max(marks, default=float(times[-1]))
    return float(last if path.status is gflow.Status.CONVERGED else min(last, times[-1])) or 1.0


def thinned(times: np.ndarray, last: float) -> np.ndarray:
    """Return the indices of the states that are shown: every so many of the steps that were taken until then."""
    count = min(int(np.searchsorted(times, last)) + 2, len(times))
    return np.unique(np.linspace(0, count - 1, min(count, SHOWN_STATES)).astype(int))


def sizes(model: gflow.Factorization, states: np.ndarray) -> dict[str, np.ndarray]:
    """Return the singular values of W and of its factors at the states, largest first, each shape (T, ...)."""
    layers = [np.asarray(each) for each in model.factors(states)]
    W = model.output(states)
    named = {"W": W}
    if model.depth == 2:
        named |= {"A": layers[0], "B": layers[1], "[A; Bᵀ]": model.stacked(states)}
    else:
        named |= {f"W{k + 1}": layer for k, layer in enumerate(layers)}
    return {name: np.linalg.svd(each, compute_uv=False) for name, each in named.items()}


def plateaus(model: gflow.Factorization, path: gflow.Trajectory, unit: float) -> list[dict[str, Any]]:
    """Return where the trajectory rests: loss, when it comes and goes, and the rank of W there."""
    escapes = (gflow.escape_times(path) / unit).tolist()
    size = float(np.linalg.norm(model.output(path.final), 2))
    small = FORGOTTEN * float(path.losses[0])
    ends = [*escapes, None][: len(path.plateaus)]
    starts = [0.0, *escapes][: len(path.plateaus)]
    return [
        {"loss": float(p.loss) if p.loss > small else 0.0, "start": a, "end": b, "rank": rank_of(model, p.theta, size)}
        for p, a, b in zip(path.plateaus, starts, ends, strict=True)
    ]


def rank_of(model: gflow.Factorization, theta: np.ndarray, size: float) -> int:
    """Return how many singular values of W stand out: of the largest, and of the largest that the path reaches."""
    values = np.linalg.svd(model.output(theta), compute_uv=False)
    return int(np.sum(values > SHOWN_RANK_TOL * max(float(values[0]), size)))


def rounded(array: np.ndarray) -> Any:
    """Return an array as nested lists of numbers with few digits, null where they are not finite."""
    if array.ndim > 1:
        return [rounded(row) for row in array]
    return [float(f"{x:.{SIGNIFICANT}g}") if np.isfinite(x) else None for x in array]
