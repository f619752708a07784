"""Which mode leaves a saddle, and when: by a race where modes may be kept apart, by rank where they are too many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gflow.problems import MatrixCompletion
from gflow.traversal.modes import LEADING, Modes, loss_at
from gflow.traversal.race import Passive, joined, residual_flow
from gflow.traversal.settling import ZERO_LOSS
from gflow.traversal.sizes import is_large
from gflow.traversal.stages import LAUNCH, Orbit

LARGEST = 60
"""Components with more rows and columns than this are not analysed mode by mode."""
TOP = 1e-9
"""The pair that escapes is the top one if its singular value is the largest within this fraction."""


@dataclass(frozen=True, slots=True, eq=False)
class Stay:
    """The stay at a saddle: the pair (u, v) that escapes, its singular value, and the exponents of what is passive.

    ``companion`` is the exponent of the largest other mode in the column that escapes; ``rival`` the time of the next
    mode that could escape instead, relative to that of this one; ``since`` the log(1/alpha) above which it does.
    """

    u: np.ndarray
    v: np.ndarray
    sigma: float
    exponents: tuple[float, ...]
    gain: float | None
    companion: float
    rival: float
    since: float | None


class Clock(Protocol):
    """What tells the stay at each saddle of a chain."""

    def stay(self, modes: Modes, A: np.ndarray, B: np.ndarray) -> Stay | None:
        """Return the stay at a saddle with a residual; None where no mode grows in a free direction."""

    def left(self) -> tuple[tuple[float, ...], float | None]:
        """Return the exponents of what is passive where the chain ends, and the gain of the first."""

    def cross(self, reached: Orbit, A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Follow the passive modes along an orbit to the saddle (A, B), and return its factors without rounding."""


class RaceClock:
    """The race of all modes, from the start Z_0 = [A_0; B_0^T], (d1 + d2, r)."""

    def __init__(self, problem: MatrixCompletion, start: np.ndarray) -> None:
        self.problem, self.passive = problem, Passive.at_origin(start)
        self.active = np.zeros((sum(problem.shape), 0))
        self.frame = np.zeros((start.shape[1], 0))

    def stay(self, modes: Modes, A: np.ndarray, B: np.ndarray) -> Stay | None:
        d1, S = self.problem.shape[0], residual_flow(self.problem.residual(A @ B))
        self.active = np.concatenate([A, B.T])
        self.race = self.passive.race(S, self.active, d1)
        if not self.race.runners:
            return None
        first = self.race.winner
        u, v = np.sqrt(2.0) * first.vector[:d1], -np.sqrt(2.0) * first.vector[d1:]
        if abs(float(first.vector[:d1] @ modes.u - first.vector[d1:] @ modes.v)) > np.sqrt(2.0) * (1.0 - TOP):
            u, v = modes.u, modes.v
        u, v = u / np.linalg.norm(u), v / np.linalg.norm(v)
        race = self.race
        return Stay(u, v, first.rate, race.exponents, first.gain, race.companion, race.rival, race.since)

    def left(self) -> tuple[tuple[float, ...], float | None]:
        if not self.passive.frame.shape[1]:
            return (1.0,) * self.passive.width, 0.0
        found = joined((*self.passive.sectors, *self.passive.fed), self.active)
        over = found.both & (found.exponents > 1.0)
        p = np.where(over, 2.0 - found.exponents, found.exponents)
        gains = np.where(over, -found.gains, found.gains)
        order = np.argsort(p, kind="stable")[: self.passive.width]
        p, gain = p[order], float(gains[order[0]]) if len(order) else 0.0
        return tuple(float(x) for x in np.r_[p, np.ones(self.passive.width - len(p))]), gain

    def cross(self, reached: Orbit, A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert reached.path is not None
        d1, X = self.problem.shape[0], np.concatenate([A, B.T])
        k, states = reached.model.rank, reached.path.states
        left, right = states[:, : d1 * k].reshape(-1, d1, k), states[:, d1 * k :].reshape(-1, k, len(X) - d1)
        path = reached.path.times, np.concatenate([left, right.mT], axis=1)
        self.passive, X = self.passive.crossed(self.problem, (self.active, X), self.race, path, LAUNCH)
        return (A, B) if loss_at(self.problem, A, B) <= ZERO_LOSS else (X[:d1], X[d1:].T)


class RankClock:
    """The order of the singular values: where all modes mix, the top pair escapes."""

    def __init__(self, problem: MatrixCompletion, width: int) -> None:
        self.problem, self.width, self.rank = problem, width, 0
        self.exponents = np.ones(self.tracked)

    @property
    def tracked(self) -> int:
        """Return how many exponents are followed."""
        free = self.width - self.rank
        return min(free, LEADING) if is_large(self.problem) else free

    def stay(self, modes: Modes, A: np.ndarray, B: np.ndarray) -> Stay | None:
        self.sigma = modes.sigma
        top, second = float(self.sigma[0]), float(np.append(self.sigma, 0.0)[1])
        p = tuple(float(x) for x in self.exponents)
        rival = top / second if second > 0.0 else np.inf
        first = p[0] if p else 0.0
        return Stay(modes.u, modes.v, top, p, None, first * (1.0 - second / top), rival, None)

    def left(self) -> tuple[tuple[float, ...], float | None]:
        return tuple(float(p) for p in np.sort(self.exponents)), None

    def cross(self, reached: Orbit, A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        waited = self.exponents[0] / self.sigma[0]
        rates = np.zeros(len(self.exponents))
        count = min(len(rates), len(self.sigma))
        rates[:count] = self.sigma[:count]
        fallen = np.sort(np.maximum(self.exponents[1:] - waited * rates[1:], 0.0))
        self.rank += 1
        self.exponents = np.append(fallen, np.full(max(self.tracked - len(fallen), 0), fallen[-1:].sum()))
        return A, B
