"""Integrated trajectories at several scales of the same start, with which predictions about the limit are compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

import gflow
from gflow.statements import Evidence

PLATEAU_POWERS = (-30.0, -60.0)
"""log10 of the scales at which plateaus are long compared with the orbits between them,"""
FAR_POWERS = (-20.0, -30.0, -60.0)
"""and of those at which a completion is looked at that approaches its limit too slowly for any other choice."""
SMALLEST_POWER = -100.0
N_SCALES = 3
FIRST_ACCURACY = 1e-2
"""The largest scale of a completion is where the law of its approach begins to promise this accuracy."""
LARGER, TRIALS, CLEAR_FACTOR = 1.0, 8, 3.0
"""Scales are raised by so many powers of 10 in the predicted error, so often, until the least error is that many times
what the integration may have left."""
MINDFUL = 1e-9
"""Errors below this, relative to the size of the limit, may be those of the integration where it remembers its way."""
ERROR_SLACK = 5.0
"""Errors count if they exceed this many times what the integration may have left."""
GRANTED = 20_000
"""Gradients granted to each integration."""
LOSS_TOL = 1e-26
SCALE_LABEL = r"$\alpha$: root mean square of $\theta(0)$"


@dataclass(frozen=True, slots=True, eq=False)
class LimitRun:
    """One trajectory from alpha theta_0, in the units of the matrix.

    Attributes
    ----------
    log_alpha : float
        Logarithm of alpha, the root mean square of the start's entries, relative to the square root of the unit.
    times, losses : (T,) arrays
    matrix : (d1, d2) array or None
        W at the end; None if the trajectory did not converge.
    source : {'graded columns', 'this study'}
    completion : bool
        Whether its end is compared with the limit.
    """

    log_alpha: float
    times: np.ndarray
    losses: np.ndarray
    matrix: np.ndarray | None
    source: str
    completion: bool = False

    def __repr__(self) -> str:
        return f"LimitRun(alpha=exp({self.log_alpha:.4g}), {self.source})"


def limit_runs(given: Evidence) -> tuple[LimitRun, ...]:
    """Return the one trajectory, and those in graded columns from smaller and larger multiples of its start.

    In the order of falling alpha. Integrations that failed are missing; a start of zeros has none.
    """
    size = root_mean_square(given.start)
    if size == 0.0:
        return ()
    path, unit = given.trajectory, given.unit
    end = given.model.output(path.final) * unit if given.converged else None
    own = LimitRun(float(np.log(size)), path.times / unit, given.matrix_loss(path.losses), end, "this study")
    theta = given.start / size
    runs = [own, *completion_runs(given, theta), *_all(_graded(given, theta, power) for power in PLATEAU_POWERS)]
    return tuple(sorted(runs, key=lambda run: -run.log_alpha))


def completion_runs(given: Evidence, theta: np.ndarray) -> list[LimitRun]:
    """Return runs from multiples of ``theta`` whose ends show how the completion approaches its limit.

    Where the error of the smallest scale is hidden by that of the integration, all scales are raised.
    """
    powers = completion_powers(given.traversal)
    if not powers or given.matrix is None:
        return []
    last = _graded(given, theta, powers[-1], completion=True)
    for _ in range(TRIALS):
        if powers == FAR_POWERS or last is None or last.matrix is None:
            break
        if np.abs(last.matrix - given.matrix).max() > CLEAR_FACTOR * given.once(left_over):
            break
        powers = tuple(power + LARGER / (given.traversal.order or 1.0) for power in powers)
        last = _graded(given, theta, powers[-1], completion=True)
    return _all([*(_graded(given, theta, power, completion=True) for power in powers[:-1]), last])


def _all(runs: Iterable[LimitRun | None]) -> list[LimitRun]:
    """Return those that did not fail."""
    return [run for run in runs if run is not None]


def completion_powers(traversal: gflow.Traversal) -> tuple[float, ...]:
    """Return log10 of the scales at which completions are compared with the limit; none where q is not known."""
    if traversal.order is None:
        return ()
    first = onset(traversal)
    powers = tuple(first - step / traversal.order for step in range(N_SCALES))
    return powers if powers[-1] >= SMALLEST_POWER else FAR_POWERS


def onset(traversal: gflow.Traversal) -> float:
    """Return log10 of the scale below which the law of the approach holds; minus infinity where it is not known."""
    power = traversal.log10_alpha(FIRST_ACCURACY)
    return -np.inf if power is None else power


def left_over(given: Evidence) -> float:
    """Return the error of an entry up to which the end of an integration, at a small positive loss, says nothing.

    A loss R at the end of a chain is a distance up to sqrt(2 R / mu) in theta, and |theta| times that in W.
    """
    unit = given.unit
    if given.matrix is None:
        return np.inf
    chains = given.traversal.chains
    size = max(given.problem.size, float(np.abs(given.matrix).max()))
    found = [given.traversal.error or 0.0]
    found += [MINDFUL * size for chain in chains if chain.unique is not True]
    for end in (chain.end for chain in chains if chain.end.mu):
        length = float(np.hypot(np.linalg.norm(end.A), np.linalg.norm(end.B))) / np.sqrt(unit)
        found.append(unit * length * float(np.sqrt(2.0 * LOSS_TOL * unit / (end.mu or 1.0))))
    return ERROR_SLACK * max(found)


def root_mean_square(theta: np.ndarray) -> float:
    """Return the root mean square of the entries, also where their squares underflow."""
    size = float(np.abs(theta).max(initial=0.0))
    return size * float(np.sqrt(np.mean((theta / size) ** 2))) if size > 0 else 0.0


def _graded(given: Evidence, theta: np.ndarray, power: float, *, completion: bool = False) -> LimitRun | None:
    """Return the run from 10^power theta, computed in the problem's own unit; None if the solver gives up."""
    alpha, unit = 10.0**power, given.unit
    width = given.model.rank
    try:
        path = gflow.graded_flow(
            given.normalized, alpha * theta, rank=width, loss_tol=LOSS_TOL, max_evaluations=GRANTED
        )
    except gflow.IntegrationFailed:
        return None
    end = given.model.output(path.final) * unit if path.status is gflow.Status.CONVERGED else None
    losses = given.matrix_loss(path.losses)
    return LimitRun(float(np.log(alpha)), path.times / unit, losses, end, "graded columns", completion)
