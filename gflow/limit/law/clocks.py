"""Which mode leaves a saddle, and when: by a race where modes may be kept apart, by rank where they are too many."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from gflow.flow import Trajectory
from gflow.limit.law.crossing import Crossing, ReachedState
from gflow.limit.law.elements import joined
from gflow.limit.law.exponents import NO_MODE, fallen, landed, orientation, turned
from gflow.limit.law.passive import propagated
from gflow.limit.law.race import Passive
from gflow.limit.law.rigid import is_rigid
from gflow.limit.law.sectors import DEPENDENT, MixingUnknown
from gflow.limit.law.together import escape, hides_unequal_rates, unfed
from gflow.limit.orbit.fine import fine_orbit
from gflow.limit.orbit.krylov import leading_triples
from gflow.limit.orbit.modes import LEADING, Modes, errors_at, misfit
from gflow.limit.orbit.sizes import is_isotropic, is_large
from gflow.limit.orbit.stages import LAUNCH
from gflow.limit.orbit.uniqueness import enlargements
from gflow.policy import ZERO_LOSS
from gflow.problems import EntryProblem, MatrixCompletion

LARGEST_BY_MODE = 60
"""Components with more rows and columns than this are not analysed mode by mode."""
FOLLOWED_MODES = 4
"""Growing modes of large data that are followed where a symmetry may keep them apart."""
MET = 1e-7
"""A mode meets another one if a pivot of their overlaps exceeds this fraction of its row: symmetry leaves rounding."""
KEPT_APART = (
    f"growing modes do not meet along the orbit: they are followed up to {LARGEST_BY_MODE} rows and columns only"
)
TOP = 1e-9
"""The pair that escapes is the top one if its singular value is the largest within this fraction."""


@dataclass(frozen=True, slots=True, eq=False)
class PassiveStay:
    """The stay at a saddle: the pair (u, v) that escapes, its singular value, and the exponents of what is passive.

    ``companion`` is the exponent of the largest other mode in the column that escapes, ``companion_gain`` the log of
    the factor before; ``rival`` the time of the next mode that could escape instead, relative to that of this one;
    ``since`` the log(1/alpha) above which this one escapes; ``peaks`` the logarithms of the largest factors before
    alpha^p on the way here; ``columns`` (d1 + d2, m), where several modes escape together, what they start with.
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
    columns: np.ndarray | None = None


class Left(NamedTuple):
    """The exponents of what is passive where a chain ends, the gain of the first, and their peaks."""

    exponents: tuple[float, ...]
    gain: float | None
    peaks: tuple[float, ...] | None


class Clock(Protocol):
    """What tells the stay at each saddle of a chain; ``keeps_apart`` says whether symmetries are seen to."""

    @property
    def keeps_apart(self) -> bool:
        """Return whether modes are kept apart."""

    def stay(self, modes: Modes, A: np.ndarray, B: np.ndarray) -> PassiveStay | None:
        """Return the stay at a saddle with a residual; None where no mode grows in a free direction."""

    def left(self, A: np.ndarray, B: np.ndarray) -> Left:
        """Return what is passive at a saddle, as at the end of the chain: peaks are those of what moves the end."""

    def cross(self, path: Trajectory, A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the factors of the saddle reached without rounding, having followed the passive modes to it."""


class RaceClock:
    """The race of all modes, from the start Z_0 = [A_0; B_0^T], (d1 + d2, r).

    Modes of equal rates escape ``together`` where the start is a given one, from saddles of a rank k > 0 if what is
    passive is carried as exactly as that asks for, along orbits of their own to this ``accuracy``.
    """

    def __init__(
        self, problem: EntryProblem, start: np.ndarray, *, together: bool = False, accuracy: float | None = None
    ) -> None:
        self.problem, self.passive = problem, Passive.at_origin(start)
        self.together, self.accuracy = together and not hides_unequal_rates(problem), accuracy
        self.active = np.zeros((sum(problem.shape), 0))
        self.frame = np.zeros((start.shape[1], 0))
        self.launch = LAUNCH

    @property
    def keeps_apart(self) -> bool:
        """Return whether modes are kept apart."""
        return len(self.passive.sectors) > 1

    def stay(self, modes: Modes, A: np.ndarray, B: np.ndarray) -> PassiveStay | None:
        """Return the stay at a saddle with a residual; None where no mode grows in a free direction."""
        d1 = self.problem.shape[0]
        self.active = np.concatenate([A, B.T])
        together = self.together and (self.accuracy is not None or not self.active.shape[1])
        race = self.passive.race(self.problem, self.active, together=together)
        self.race = unfed(self.passive, race, self.problem, self.active)
        if not self.race.runners:
            return None
        if self.race.chosen and not together:
            self.race = replace(self.race, rival=1.0)
        first = self.race.winner
        u, v = np.sqrt(2.0) * first.vector[:d1], -np.sqrt(2.0) * first.vector[d1:]
        overlap = float(first.vector[:d1] @ modes.u - first.vector[d1:] @ modes.v)
        if abs(overlap) > np.sqrt(2.0) * (1.0 - TOP):
            sign = np.sign(overlap) if self.together else 1.0
            u, v = sign * modes.u, sign * modes.v
        u, v = u / np.linalg.norm(u), v / np.linalg.norm(v)
        race = self.race
        return PassiveStay(
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
            escape(self.passive, race).columns if race.chosen or len(race.winners) > 1 else None,
        )

    def left(self, A: np.ndarray, B: np.ndarray) -> Left:
        """Return what is passive at a saddle, as at the end of the chain: peaks are those of what moves the end."""
        if not self.passive.sectors:
            return Left((1.0,) * self.passive.width, 0.0, (0.0,) * self.passive.width)
        found = joined(self.passive.whole, self.active)
        over = found.both & (found.exponents > 1.0)
        p = np.where(over, 2.0 - found.exponents, found.exponents)
        order = np.argsort(p, kind="stable")[: self.passive.width]
        gains, peaks = np.where(over, -found.gains, found.gains), np.where(over, -found.gains, found.peaks)
        if misfit(self.problem, A, B) <= ZERO_LOSS:
            peaks = peaks + 0.5 * np.log(enlargements(self.problem, A, B, found.vectors))
        p, gains, peaks = p[order], gains[order], peaks[order]
        missing = self.passive.width - len(p)
        p, peaks = np.r_[p, np.ones(missing)], np.r_[peaks, np.zeros(missing)]
        return Left(tuple(map(float, p)), float(gains[0]) if len(gains) else 0.0, tuple(map(float, peaks)))

    def cross(self, path: Trajectory, A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the factors of the saddle reached, having followed the passive modes to it."""
        crossing = self.crossing(path)
        if self.accuracy is not None and misfit(self.problem, A, B) > ZERO_LOSS:
            X, began = np.concatenate([A, B.T]), self.launch * crossing.escape.columns
            times, states, flows = fine_orbit(self.problem, self.active, began, X, self.accuracy)
            crossing = replace(crossing, times=times, states=states, fine=flows)
        return self.arrive(crossing, len(crossing.times) - 1, A, B)

    def crossing(self, path: Trajectory) -> Crossing:
        """Return an orbit that leaves the present saddle, with what is passive along it."""
        (d1, d2), states = self.problem.shape, path.states
        k = states.shape[1] // (d1 + d2)
        left, right = states[:, : d1 * k].reshape(-1, d1, k), states[:, d1 * k :].reshape(-1, k, d2)
        columns = np.concatenate([left, right.mT], axis=1)
        return Crossing(self.passive, self.race, self.problem, self.active, path.times, columns, self.launch)

    def arrive(self, crossing: Crossing, place: int, A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the factors at a state of an orbit, given as A and B, and keep what is passive there."""
        found, d1 = ReachedState(crossing, place, np.concatenate([A, B.T])), self.problem.shape[0]
        self.frame, self.passive = crossing.frame, found.passive()
        if misfit(self.problem, A, B) <= ZERO_LOSS:
            return A, B
        return found.reached[:d1], found.reached[d1:].T


class RankClock:
    """The order of the singular values: where all modes mix, the top pair escapes.

    ``checked`` chains raise ``MixingUnknown`` where they are seen not to mix: by the subspaces that an orbit keeps
    apart; large data with a possible symmetry by those of their fastest modes. So they do where a given ``start``,
    (d1 + d2, r), does not reach the fastest modes of the origin in inner directions of their own.
    """

    def __init__(
        self, problem: EntryProblem, width: int, *, checked: bool = True, start: np.ndarray | None = None
    ) -> None:
        self.problem, self.width, self.rank, self.checked, self.start = problem, width, 0, checked, start
        self.exponents, self.sign = np.ones(self.tracked), 0.0

    @property
    def keeps_apart(self) -> bool:
        """Return whether modes are kept apart: such chains are declined."""
        return False

    @property
    def tracked(self) -> int:
        """Return how many exponents are followed."""
        free = self.width - self.rank
        return min(free, LEADING) if is_large(self.problem) else free

    def stay(self, modes: Modes, A: np.ndarray, B: np.ndarray) -> PassiveStay | None:
        """Return the stay at a saddle with a residual; None where no mode grows in a free direction."""
        if self.start is not None and not self.rank:
            reached = growing_modes(self.problem, A, B)[:, : min(FOLLOWED_MODES, self.width)].T @ self.start
            if np.linalg.matrix_rank(reached, DEPENDENT * float(np.linalg.norm(self.start))) < len(reached):
                raise MixingUnknown("a mode that grows is not reached by the start")
        before, self.sign = self.sign, orientation(self.problem, A, B, self.width)
        self.exponents, self.sigma = turned(self.exponents, before, self.sign), modes.sigma
        if self.checked and not self.mixing:
            self.modes = growing_modes(self.problem, A, B)
        top, second = float(self.sigma[0]), float(np.append(self.sigma, 0.0)[1])
        p = tuple(float(x) for x in self.exponents)
        rival = top / second if second > 0.0 else np.inf
        return PassiveStay(modes.u, modes.v, top, p, None, p[0] * (1.0 - second / top), None, rival, None, None)

    def left(self, A: np.ndarray, B: np.ndarray) -> Left:
        """Return what is passive at a saddle."""
        return Left(tuple(float(p) for p in landed(self.exponents)), None, None)

    def cross(self, path: Trajectory, A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the factors of the saddle reached, having followed the passive modes to it."""
        if self.checked and self.rank + 1 < self.width and misfit(self.problem, A, B) > ZERO_LOSS:
            self.check(path, A, B)
        self.exponents, self.rank = fallen(self.exponents, self.sigma), self.rank + 1
        missing = max(self.tracked - len(self.exponents), 0)
        self.exponents = np.append(self.exponents, np.full(missing, self.exponents[-1:].sum()))
        return A, B

    @cached_property
    def mixing(self) -> bool:
        """Return whether all modes are known to mix, or never have to."""
        if not isinstance(self.problem, MatrixCompletion):
            return False
        return is_isotropic(self.problem) or (is_large(self.problem) and is_rigid(self.problem))

    def check(self, path: Trajectory, A: np.ndarray, B: np.ndarray) -> None:
        """Return nothing; raise ``MixingUnknown`` where growing modes of the saddle reached are kept apart."""
        if self.mixing:
            return
        modes = growing_modes(self.problem, A, B)
        passive = self.modes[:, 1 : 1 + modes.shape[1]]
        carried = propagated(self.problem, self.rank + 1, path.times, path.states, passive)
        if not mixes(modes[:, : carried.shape[1]].T @ carried):
            raise MixingUnknown(KEPT_APART)


def clock_of(
    problem: EntryProblem, width: int, greedy: bool, start: np.ndarray | None, accuracy: float | None
) -> RaceClock | RankClock:
    """Return what tells which mode escapes: a race of all modes, or the order of the singular values."""
    if greedy or sum(problem.shape) > LARGEST_BY_MODE:
        return RankClock(problem, width, checked=not greedy, start=start)
    if start is not None:
        return RaceClock(problem, start, together=True, accuracy=accuracy)
    return RaceClock(problem, np.random.default_rng(0).standard_normal((sum(problem.shape), width)))


def growing_modes(problem: EntryProblem, A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Return the growing modes [u; -v] of the residual in columns, fastest first; of large data a few."""
    if is_large(problem):
        found = leading_triples(problem.scattered(errors_at(problem, A, B)), min(FOLLOWED_MODES, *problem.shape))
        U, sigma, V = found.U, found.sigma, found.V
    else:
        U, sigma, Vt = np.linalg.svd(problem.residual(A @ B), full_matrices=False)
        V = Vt.T
    count = int(np.sum(sigma > NO_MODE * sigma[0]))
    return np.concatenate([U[:, :count], -V[:, :count]])


def mixes(overlaps: np.ndarray) -> bool:
    """Return whether all leading minors of the overlaps of modes, old in columns, are clearly not zero."""
    rest = overlaps.copy()
    for i in range(len(rest)):
        if not abs(rest[i, i]) > MET * float(np.abs(rest[i, i:]).max()):
            return False
        rest[i + 1 :] -= np.outer(rest[i + 1 :, i] / rest[i, i], rest[i])
    return True
