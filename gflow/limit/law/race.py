"""The passive modes of a component along its chain: which of them escapes next, when, and in which inner direction.

What has not escaped is a small matrix Z = [A; B^T] that follows Z' = S Z, S = -(2/n) [[0, E], [E^T, 0]]. Along an orbit
S(t) may keep subspaces apart (*sectors*: exact symmetries of data and mask do that). In each of them, as alpha -> 0,

    Z = sum_i alpha^(p_i) c_i q_i h_i^T,    p_1 <= p_2 <= ...,

with vectors q_i of the sector modulo the earlier ones, and inner directions h_i modulo the earlier ones. During a stay
at a saddle the rows of Z along its modes grow like their rates; the exponents then follow from a Bruhat decomposition
of the overlaps of modes and q_i: elements in the order of p, modes in the order of their rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gflow.limit.law.elements import Leak, Runner, Sector, paired
from gflow.limit.law.sectors import (
    APART,
    DEPENDENT,
    TOGETHER,
    MixingUnknown,
    is_seen,
    modes_in,
    off_active,
    residual_flow,
)
from gflow.problems import EntryProblem

TIED = 1e-11
"""Rates and exponents that differ by less than this fraction are equal."""


@dataclass(frozen=True, slots=True, eq=False)
class Race:
    """The race at a saddle: the mode that escapes first, and what else there is.

    Attributes
    ----------
    runners : tuple of Runner
        In the order in which they would escape; empty where none grows.
    winners : tuple of Runner
        The one that escapes first, with those that escape together with it if these are followed.
    exponents : tuple of float
        Of all terms that are left, that of the winner first, then rising.
    companion, companion_gain : float
        Exponent of the largest other mode in the column that escapes, when it does, and the log of the factor before.
    rival : float
        Time of the next one that could escape instead of the winners, relative to theirs.
    since : float
        The log(1/alpha) above which this one escapes first, and is the largest in its column when it does.
    peaks : tuple of float
        Logarithms of the largest factors before alpha^p on the way here, of the terms in ``exponents``.
    """

    runners: tuple[Runner, ...]
    winners: tuple[Runner, ...]
    exponents: tuple[float, ...]
    companion: float
    companion_gain: float
    rival: float
    since: float
    peaks: tuple[float, ...]

    @property
    def chosen(self) -> bool:
        """Return whether fewer modes escape than have their rate: in which direction, their terms decide."""
        return any(each.alike > sum(other.sector == each.sector for other in self.winners) for each in self.winners)

    @property
    def winner(self) -> Runner:
        """Return the mode that escapes."""
        return self.winners[0]


@dataclass(frozen=True, slots=True, eq=False)
class Passive:
    """What is passive at a saddle: the elements of Z, sector by sector; at the origin each mode is one by itself.

    ``start`` is Z_0 in the component, (N, r); ``frame`` (r, k) the inner directions that are active; ``leaks`` the
    errors of the active columns that couple sectors, and ``whole`` the elements with what these have brought.
    """

    start: np.ndarray
    frame: np.ndarray
    sectors: tuple[Sector, ...] = ()
    whole: tuple[Sector, ...] = ()
    leaks: tuple[Leak, ...] = ()

    @classmethod
    def at_origin(cls, start: np.ndarray) -> Passive:
        """Return everything passive."""
        return cls(start, np.zeros((start.shape[1], 0)))

    @property
    def width(self) -> int:
        """Return how many inner directions are free."""
        return self.frame.shape[0] - self.frame.shape[1]

    def runners(self, S: np.ndarray, active: np.ndarray, d1: int) -> list[Runner]:
        """Return the modes at a saddle with the largest terms along them."""
        if not self.frame.shape[1]:
            return self.original(*modes_in(np.eye(len(S)), S))
        found = []
        for number, sector in enumerate(self.whole):
            rates, modes = modes_in(off_active(sector.basis, active, d1), S)
            found += paired(rates, modes, sector, number, sector.turned)
        return found

    def race(self, problem: EntryProblem, active: np.ndarray, *, together: bool = False) -> Race:
        """Return the race at a saddle with the active columns [A; B^T].

        Whether modes of equal rates and exponents are followed ``together``, or one of them is the next to escape.
        Raises ``MixingUnknown`` where one has escaped already.
        """
        d1 = problem.shape[0]
        S = residual_flow(problem.residual(active[:d1] @ active[d1:].T))
        found = self.runners(S, active, d1)
        growing = sorted((each for each in found if each.rate > 0.0), key=lambda each: each.time)
        if not growing:
            return Race((), (), (), np.inf, 0.0, np.inf, 0.0, ())
        first = growing[0]
        if first.time == 0.0:
            raise MixingUnknown("a mode has reached the size of the data before it escapes")
        winners = [each for each in growing if each is first or (together and escape_together(first, each))]
        later = [each for each in growing if each not in winners]
        others = [each for each in found if each not in winners]
        ahead = [
            (each.gain / each.rate - first.gain / first.rate) / (each.time - first.time)
            for each in later
            if each.time > first.time
        ]
        all_of_them = (*winners, *sorted(others, key=lambda each: each.exponent))[: self.width]
        brought = [_brought(first, each) for each in others]
        larger = [gain / exponent if exponent > 0.0 else np.inf for exponent, gain, _ in brought if gain > 0.0]
        companion = min([_companion(problem, active, first, brought), *self.turning(winners)])
        return Race(
            runners=tuple(growing),
            winners=tuple(winners),
            exponents=tuple(each.exponent for each in all_of_them),
            companion=companion[0],
            companion_gain=companion[1],
            rival=min((each.time for each in later), default=np.inf) / first.time,
            since=max([each.since for each in winners] + ahead + larger),
            peaks=tuple(each.peak for each in all_of_them),
        )

    def turning(self, winners: list[Runner]) -> list[tuple[float, float]]:
        """Return exponents and logs of the factors with which later terms turn the rows of modes that escape together.

        Of one mode they only change the time and the inner direction, which its column forgets.
        """
        found = []
        for each in winners if len(winners) > 1 and self.whole else ():
            sector = self.whole[each.sector]
            sizes = np.abs(each.vector @ sector.vectors)
            for i in np.flatnonzero((sector.exponents > each.exponent * (1.0 + TIED)) & (sizes > TOGETHER)):
                exponent = float(sector.exponents[i]) - each.exponent
                found.append((exponent, float(sector.gains[i] + np.log(sizes[i])) - each.gain))
        return found

    def original(self, rates: np.ndarray, modes: np.ndarray) -> list[Runner]:
        """Return modes at the origin, each with its own part of the start; of some there may be none.

        Raises ``MixingUnknown`` where a part cannot be told from rounding.
        """
        parts = self.start.T @ modes
        sizes = np.linalg.norm(parts, axis=0)
        whole = float(np.linalg.norm(self.start))
        reached = sizes > APART * whole
        if (sizes[reached & (rates > 0.0)] <= DEPENDENT * whole).any():
            raise MixingUnknown("whether the start reaches a mode cannot be told from rounding errors")
        return [
            Runner(float(rates[i]), 1.0, 0.0, 0.0, modes[:, i], modes[:, i], parts[:, i], int(i))
            for i in np.flatnonzero(reached)
        ]


def escape_together(first: Runner, other: Runner) -> bool:
    """Return whether two modes have one rate and one exponent."""
    same = abs(first.rate - other.rate) <= TIED * first.rate
    return same and abs(first.exponent - other.exponent) <= TIED * max(first.exponent, 1.0)


def _companion(
    problem: EntryProblem, active: np.ndarray, first: Runner, brought: list[tuple[float, float, Runner]]
) -> tuple[float, float]:
    """Return exponent and log of the factor of the largest error of W by other modes in the column that escapes.

    ``brought`` is of ``_brought``. One that changes no unobserved entry to first order counts by its square.
    """
    complete = problem.n_observed == problem.shape[0] * problem.shape[1]
    (least, gain), began = (np.inf, 0.0), np.hstack([active, first.vector[:, None]])
    for size, own, each in sorted(brought, key=lambda found: found[0]):
        if size >= least:
            break
        shift = np.hstack([0.0 * active, each.vector[:, None]])
        power = 1.0 if complete or is_seen(problem, began, shift) else 2.0
        if power * size < least:
            least, gain = power * size, power * own
    return float(least), float(gain)


def _brought(first: Runner, other: Runner) -> tuple[float, float, Runner]:
    """Return exponent and log of the factor with which another mode is in the column that escapes, when it does."""
    exponent, gain = other.exponent, other.gain
    overlap = abs(float(other.vector @ first.term))
    if first.exponent < exponent and other.sector == first.sector and overlap > TOGETHER:
        exponent = first.exponent
        gain = first.gain + float(np.log(overlap / abs(float(first.vector @ first.term))))
    share = other.rate / first.rate
    return exponent - other.rate * first.time, gain - share * first.gain, other
