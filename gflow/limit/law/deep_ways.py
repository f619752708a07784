"""What lies beside an orbit of a deep flow, and how small a start must be to follow it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.flow import Trajectory
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.plain import plain
from gflow.problems import EntryProblem

CLEAR = 0.1
"""What is beside an orbit is looked at from where the orbit has made this fraction of its way; at this fraction of that
way it is no longer followed."""
THERE = 0.01
"""An orbit has arrived where W is this close to its end, relative to the largest entry."""
EARLY = 0.1
"""The part of its blow-up time that the next channel may lose before an orbit has arrived."""
LARGEST_STEP = 600.0
"""Largest exponent of what grows in one step."""


@dataclass(frozen=True, slots=True)
class Way:
    """The orbit on which a channel opens and the flow comes to its next saddle, in the problem's own unit.

    Attributes
    ----------
    share : float
        q = 1 - sigma_2 / sigma_1: what the start leaves beside the channel is alpha^q of it.
    growth : float
        Log of the largest that this becomes on the way, over alpha^q and the length of the way so far.
    left : float
        The same at the end.
    opened : float
        Integral, until W has arrived, of the largest rate at which a further channel opens: x' = rate x^(L - 1).
    """

    share: float
    growth: float
    left: float
    opened: float

    def log_scale(self, accuracy: float, depth: int, *, kept: bool, last: bool) -> float:
        """Return the log(1/alpha) above which the flow follows this orbit, and is as close to its end as asked.

        ``kept``: whether the end keeps what arrives beside it; ``last``: whether no further channel may open.
        """
        if not self.share > 0.0:
            return float(np.inf)
        needed = [(self.growth - np.log(CLEAR)) / self.share]
        if kept:
            needed.append((self.left - np.log(accuracy)) / self.share)
        if not last and self.opened > 0.0:
            needed.append(np.log((depth - 2) * self.opened / EARLY) / (depth - 2))
        return float(max(needed))

    def to_dict(self) -> dict[str, Any]:
        """Return the record for JSON."""
        return plain(self, "share growth left opened")


def way(
    problem: EntryProblem, model: Factorization, path: Trajectory, center: np.ndarray, share: float, size: float
) -> Way:
    """Return what is known of the orbit ``path`` from ``center``, on which a channel opened with layers of ``size``."""
    made = np.linalg.norm(path.states - center, axis=1)
    seen = np.flatnonzero(made >= CLEAR * made.max())
    logs = beside(Objective.of(problem, model), path, made)[seen] + (1.0 - share) * np.log(size)
    outputs = np.array([model.output(path.states[i]) for i in seen])
    apart = np.abs(outputs - outputs[-1]).max(axis=(1, 2))
    count = int(np.flatnonzero(apart > THERE * np.abs(outputs[-1]).max()).max(initial=0)) + 2
    rates = [opening(problem, model, path.states[i], W) for i, W in zip(seen[:count], outputs[:count], strict=True)]
    return Way(share, float(logs.max()), float(logs[-1]), float(np.trapezoid(rates, path.times[seen[:count]])))


def beside(objective: Objective, path: Trajectory, made: np.ndarray) -> np.ndarray:
    """Return the log of what Gaussian errors of the first state become beside the way ``made``, (m,), in m states.

    They follow the linearised flow. Along the orbit they only shift its time, by tau: they count as tau times the
    fastest growth there, since near a saddle the flow may leave on the other side.
    """
    Y, log, before, found = np.eye(objective.dim), 0.0, None, []
    for step, theta, way in zip(np.diff(path.times, prepend=path.times[0]), path.states, made, strict=True):
        H, slope = objective.hessian(theta), objective.gradient(theta)
        rates, modes = np.linalg.eigh(H if before is None else (before + H) / 2.0)
        Y, before = modes @ (np.exp(np.minimum(-step * rates, LARGEST_STEP))[:, None] * (modes.T @ Y)), H
        speed, shift = float(np.linalg.norm(slope)), 0.0
        if speed > 0.0:
            along = slope @ Y / speed
            Y -= np.outer(slope / speed, along)
            shift = float(np.linalg.norm(along)) * max(0.0, -float(rates[0])) / speed
        size = float(np.linalg.norm(Y)) or 1e-300
        found.append(log + np.log(max(size / way, shift)))
        log, Y = log + np.log(size), Y / size
    return np.array(found)


def opening(problem: EntryProblem, model: Factorization, theta: np.ndarray, W: np.ndarray) -> float:
    """Return the largest rate of a channel outside the columns and rows in use: 2 / n times a value of E there."""
    first, *_, last = model.factors(theta)
    E = problem.residual(W)
    for frame in (np.linalg.qr(first)[0], np.linalg.qr(last.T)[0]):
        E = (E - frame @ (frame.T @ E)).T
    return 2.0 * problem.weight * float(np.linalg.norm(E, 2))
