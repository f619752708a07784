"""Which mode leaves a saddle, and when: by a race where modes may be kept apart, by rank where they are too many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from gflow.flow import Trajectory
from gflow.problems import MatrixCompletion
from gflow.traversal.crossing import Crossing
from gflow.traversal.elements import joined
from gflow.traversal.exponents import fallen, landed, orientation, turned
from gflow.traversal.modes import LEADING, Modes, loss_at
from gflow.traversal.race import Passive
from gflow.traversal.sectors import MixingUnknown, modes_in, nearby_flows, residual_flow, subspaces
from gflow.traversal.settling import ZERO_LOSS
from gflow.traversal.sizes import is_large
from gflow.traversal.stages import LAUNCH

LARGEST = 60
"""Components with more rows and columns than this are not analysed mode by mode."""
ALIKE = 1e-9
"""Entries of large data that differ by less than this, in the unit, may be meant to be equal."""
TOP = 1e-9
"""The pair that escapes is the top one if its singular value is the largest within this fraction."""


@dataclass(frozen=True, slots=True, eq=False)
class Stay:
    """The stay at a saddle: the pair (u, v) that escapes, its singular value, and the exponents of what is passive.

    ``companion`` is the exponent of the largest other mode in the column that escapes, ``companion_gain`` the log of
    the factor before; ``rival`` the time of the next mode that could escape instead, relative to that of this one;
    ``since`` the log(1/alpha) above which this one escapes; ``peaks`` the logarithms of the largest factors before
    alpha^p on the way here.
    """

    u: np.ndarray
    v: np.ndarray
    sigma: float
    exponents: tuple[float, ...]
    gain: float | None
    companion: float
    companion_gain: float | None
    rival: float
    since: float | None
    peaks: tuple[float, ...] | None


class Left(NamedTuple):
    """The exponents of what is passive where a chain ends, the gain of the first, and their peaks."""

    exponents: tuple[float, ...]
    gain: float | None
    peaks: tuple[float, ...] | None


class Clock(Protocol):
    """What tells the stay at each saddle of a chain."""

    def stay(self, modes: Modes, A: np.ndarray, B: np.ndarray) -> Stay | None:
        """Return the stay at a saddle with a residual; None where no mode grows in a free direction."""

    def left(self) -> Left:
        """Return what is passive where the chain ends."""

    def cross(self, path: Trajectory, A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the factors of the saddle reached without rounding, having followed the passive modes to it."""


class RaceClock:
    """The race of all modes, from the start Z_0 = [A_0; B_0^T], (d1 + d2, r)."""

    def __init__(self, problem: MatrixCompletion, start: np.ndarray) -> None:
        self.problem, self.passive = problem, Passive.at_origin(start)
        self.active = np.zeros((sum(problem.shape), 0))
        self.frame = np.zeros((start.shape[1], 0))

    def stay(self, modes: Modes, A: np.ndarray, B: np.ndarray) -> Stay | None:
        """Return the stay at a saddle with a residual; None where no mode grows in a free direction."""
        d1 = self.problem.shape[0]
        self.active = np.concatenate([A, B.T])
        self.race = self.passive.race(self.problem, self.active)
        if not self.race.runners:
            return None
        first = self.race.winner
        u, v = np.sqrt(2.0) * first.vector[:d1], -np.sqrt(2.0) * first.vector[d1:]
        if abs(float(first.vector[:d1] @ modes.u - first.vector[d1:] @ modes.v)) > np.sqrt(2.0) * (1.0 - TOP):
            u, v = modes.u, modes.v
        u, v = u / np.linalg.norm(u), v / np.linalg.norm(v)
        race = self.race
        return Stay(
            u,
            v,
            first.rate,
            race.exponents,
            first.gain,
            race.companion,
            race.companion_gain,
            race.rival,
            race.since,
            race.peaks,
        )

    def left(self) -> Left:
        """Return what is passive where the chain ends."""
        if not self.passive.sectors:
            return Left((1.0,) * self.passive.width, 0.0, (0.0,) * self.passive.width)
        found = joined(self.passive.whole, self.active)
        over = found.both & (found.exponents > 1.0)
        p = np.where(over, 2.0 - found.exponents, found.exponents)
        order = np.argsort(p, kind="stable")[: self.passive.width]
        p, gains, peaks = (x[order] for x in (p, np.where(over, -found.gains, found.gains), found.peaks))
        missing = self.passive.width - len(p)
        p, peaks = np.r_[p, np.ones(missing)], np.r_[peaks, np.zeros(missing)]
        return Left(tuple(map(float, p)), float(gains[0]) if len(gains) else 0.0, tuple(map(float, peaks)))

    def cross(self, path: Trajectory, A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the factors of the saddle reached, having followed the passive modes to it."""
        d1, X = self.problem.shape[0], np.concatenate([A, B.T])
        k, states = A.shape[1], path.states
        left, right = states[:, : d1 * k].reshape(-1, d1, k), states[:, d1 * k :].reshape(-1, k, len(X) - d1)
        columns = np.concatenate([left, right.mT], axis=1)
        crossing = Crossing(self.passive, self.race, self.problem, self.active, X, path.times, columns, LAUNCH)
        self.passive = crossing.end_state()
        if loss_at(self.problem, A, B) <= ZERO_LOSS:
            return A, B
        return crossing.reached[:d1], crossing.reached[d1:].T


class RankClock:
    """The order of the singular values: where all modes mix, the top pair escapes.

    ``checked`` chains raise ``MixingUnknown`` where they are seen not to mix: by the subspaces that an orbit keeps
    apart, and where these are too large to look at, by the symmetry of data and mask.
    """

    def __init__(self, problem: MatrixCompletion, width: int, *, checked: bool = True) -> None:
        self.problem, self.width, self.rank, self.checked = problem, width, 0, checked
        self.exponents, self.sign = np.ones(self.tracked), 0.0

    @property
    def tracked(self) -> int:
        """Return how many exponents are followed."""
        free = self.width - self.rank
        return min(free, LEADING) if is_large(self.problem) else free

    def stay(self, modes: Modes, A: np.ndarray, B: np.ndarray) -> Stay | None:
        """Return the stay at a saddle with a residual; None where no mode grows in a free direction."""
        before, self.sign = self.sign, orientation(self.problem, A, B, self.width)
        self.exponents, self.sigma = turned(self.exponents, before, self.sign), modes.sigma
        self.began = np.concatenate([np.c_[A, modes.u], np.c_[B.T, -modes.v]])
        top, second = float(self.sigma[0]), float(np.append(self.sigma, 0.0)[1])
        p = tuple(float(x) for x in self.exponents)
        rival = top / second if second > 0.0 else np.inf
        return Stay(modes.u, modes.v, top, p, None, p[0] * (1.0 - second / top), None, rival, None, None)

    def left(self) -> Left:
        """Return what is passive where the chain ends."""
        return Left(tuple(float(p) for p in landed(self.exponents)), None, None)

    def cross(self, path: Trajectory, A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the factors of the saddle reached, having followed the passive modes to it."""
        if self.checked and self.rank + 1 < self.width and loss_at(self.problem, A, B) > ZERO_LOSS:
            self.check(A, B)
        self.exponents, self.rank = fallen(self.exponents, self.sigma), self.rank + 1
        missing = max(self.tracked - len(self.exponents), 0)
        self.exponents = np.append(self.exponents, np.full(missing, self.exponents[-1:].sum()))
        return A, B

    def check(self, A: np.ndarray, B: np.ndarray) -> None:
        """Return nothing; raise ``MixingUnknown`` where growing modes of the saddle reached are kept apart."""
        reason = f"symmetry keeps modes apart: they are followed up to {LARGEST} rows and columns only"
        if is_large(self.problem):
            if is_symmetric(self.problem):
                raise MixingUnknown(reason)
        elif self.problem.n_observed < self.problem.shape[0] * self.problem.shape[1]:
            S = residual_flow(self.problem.residual(A @ B))
            bases = subspaces(nearby_flows(self.problem, self.began))
            if sum(bool(modes_in(basis, S)[0].max() > 0.0) for basis in bases) > 1:
                raise MixingUnknown(reason)


def is_symmetric(problem: MatrixCompletion) -> bool:
    """Return whether data and mask are their own transposes."""
    if problem.shape[0] != problem.shape[1]:
        return False
    one, other = np.lexsort((problem.columns, problem.rows)), np.lexsort((problem.rows, problem.columns))
    same = np.array_equal(problem.rows[one], problem.columns[other])
    same = same and np.array_equal(problem.columns[one], problem.rows[other])
    return bool(same and np.abs(problem.targets[one] - problem.targets[other]).max() <= ALIKE * problem.unit)
