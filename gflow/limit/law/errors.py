"""What rounding and unfinished Newton steps do to the entries of a limit."""

from __future__ import annotations

import numpy as np

from gflow.limit.law.sectors import SAME_RATE
from gflow.limit.orbit.settling import FLAT
from gflow.limit.orbit.sizes import LARGE_CELLS
from gflow.limit.records import Saddle
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.policy import EPS
from gflow.problems import EntryProblem, WeightedCompletion

SOFTEST = FLAT**-0.5
"""Amplification of rounding in the softest directions that are told from flat ones."""

LARGEST_SLIP = 3e-5
"""Errors of saddles passed, in the component's unit, which the orbits from there enlarge beyond what is said."""


def largest_entry(saddle: Saddle) -> float:
    """Return max|A B|, or a bound of it for large components."""
    if saddle.rank == 0:
        return 0.0
    if saddle.A.shape[0] * saddle.B.shape[1] <= LARGE_CELLS:
        return float(np.abs(saddle.matrix).max())
    return float(np.linalg.norm(saddle.A, axis=1).max() * np.linalg.norm(saddle.B, axis=0).max())


def rounding(saddles: list[Saddle], left: float) -> float:
    """Return what rounding errors do to the entries at the end of a chain.

    At each saddle they tilt the escape direction by eps sigma_1 / (sigma_1 - sigma_2); at the end they are magnified by
    the condition of the completion, as is what is ``left`` of the residual there, relative to the data.
    """
    end = saddles[-1]
    tilts = sum(tilt(saddle) for saddle in saddles[:-1] if saddle.gap)
    softness = np.sqrt(end.curvature / end.mu) if end.mu else (SOFTEST if end.flat is None else 1.0)
    return float(largest_entry(end) * (EPS * tilts + max(EPS, left) * softness))


def tilt(saddle: Saddle) -> float:
    """Return by how many eps rounding turns what escapes: the rate over its distance from the next one."""
    if saddle.launch is None:
        return float(saddle.escape_rate / saddle.gap) if saddle.gap else 0.0
    top, *others = saddle.residual_singular_values
    return float(top / (top - max((size for size in others if size < (1.0 - SAME_RATE) * top), default=0.0)))


def slip(problem: EntryProblem, saddle: Saddle, unit: float, share: float) -> float:
    """Return the error of the entries at a positive loss: what soft directions make of slopes.

    ``problem`` is the component in its own unit. A later completion that is unique forgets it.
    """
    if saddle.rank == 0 or saddle.loss == 0.0 or saddle.mu is None:
        return 0.0
    root, time = np.sqrt(unit), unit * share
    model = Factorization(problem.shape, saddle.rank)
    theta = model.theta(saddle.A / root, saddle.B / root)
    slope, size = float(np.linalg.norm(Objective.of(problem, model).gradient(theta))), float(np.linalg.norm(theta))
    slope = max(slope, EPS * saddle.curvature / time * size)
    return largest_entry(saddle) * 2.0 * slope / (saddle.mu / time * size)


def slipped(problem: EntryProblem, saddles: list[Saddle], unit: float, share: float) -> float:
    """Return the sum of the slips of saddles of which the end remembers all, infinite where an orbit enlarges them.

    So it may where one of them is large or, where weights keep curvatures apart, in directions that cannot be told from
    flat ones; without weights such curvatures vanish by cancellation, and the saddle is where it is.
    """
    *passed, last = (slip(problem, each, unit, share) for each in saddles)
    soft = isinstance(problem, WeightedCompletion) and any(each.rank > 0 and each.flat is None for each in saddles[:-1])
    return np.inf if soft or max(passed, default=0.0) > LARGEST_SLIP * unit else sum(passed) + last
