"""The passive modes of a component along its chain: which of them escapes next, when, and in which inner direction.

What has not escaped is a small matrix Z = [A; B^T] that follows Z' = S Z, S = -(2/n) [[0, E], [E^T, 0]]. Along an orbit
S(t) may keep subspaces apart (*sectors*: exact symmetries of data and mask do that). In each of them, as alpha -> 0,

    Z = sum_i alpha^(p_i) c_i q_i h_i^T,    p_1 <= p_2 <= ...,

with vectors q_i of the sector modulo the earlier ones, and inner directions h_i modulo the earlier ones. During a stay
at a saddle the rows of Z along its modes grow like their rates; the exponents then follow from a Bruhat decomposition
of the overlaps of modes and q_i: elements in the order of p, modes in the order of their rates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion
from gflow.traversal.elements import Leak, Runner, Sector, joined, paired
from gflow.traversal.polish import complement, gauge_basis
from gflow.traversal.sectors import (
    MOST_LEAKS,
    couples,
    is_seen,
    kept,
    matrices,
    modes_in,
    nearby_flows,
    off_active,
    perturbed_flow,
    residual_flow,
    sectors,
)
from gflow.traversal.transport import carried, orientations, turned


@dataclass(frozen=True, slots=True, eq=False)
class Race:
    """The race at a saddle: the mode that escapes first, and what else there is.

    Attributes
    ----------
    runners : tuple of Runner
        The one that escapes first; empty where none grows.
    exponents : tuple of float
        Of all terms that are left, that of the winner first, then rising.
    companion : float
        Exponent of the largest other mode in the column that escapes, when it does.
    rival : float
        Time of the next one that could escape instead, relative to that of the winner.
    since : float
        The log(1/alpha) above which this one escapes first.
    peaks : tuple of float
        Logarithms of the largest factors before alpha^p on the way here, of the terms in ``exponents``.
    """

    runners: tuple[Runner, ...]
    exponents: tuple[float, ...]
    companion: float
    rival: float
    since: float
    peaks: tuple[float, ...]

    @property
    def winner(self) -> Runner:
        """Return the mode that escapes."""
        return self.runners[0]


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
            rates, modes = modes_in(np.eye(len(S)), S)
            return [
                Runner(float(rate), 1.0, 0.0, 0.0, mode, mode, self.start.T @ mode, i)
                for i, (rate, mode) in enumerate(zip(rates, modes.T, strict=True))
            ]
        found = []
        for number, sector in enumerate(self.whole):
            rates, modes = modes_in(off_active(sector.basis, active, d1), S)
            found += paired(rates, modes, sector, number, sector.turned)
        return found

    def race(self, problem: MatrixCompletion, active: np.ndarray) -> Race:
        """Return the race at a saddle with the active columns [A; B^T]."""
        d1 = problem.shape[0]
        S = residual_flow(problem.residual(active[:d1] @ active[d1:].T))
        found = self.runners(S, active, d1)
        growing = sorted((each for each in found if each.rate > 0.0), key=lambda each: each.time)
        if not growing:
            return Race((), (), np.inf, np.inf, 0.0, ())
        first, others = growing[0], [each for each in found if each is not growing[0]]
        T = first.time
        rival = min((each.time for each in growing[1:]), default=np.inf) / T
        since = first.since
        for each in growing[1:]:
            if each.time > T:
                since = max(since, (each.gain / each.rate - first.gain / first.rate) / (each.time - T))
        companion = _companion(problem, active, first, others)
        all_of_them = (first, *sorted(others, key=lambda each: each.exponent)[: self.width - 1])
        exponents, peaks = (tuple(getattr(each, name) for each in all_of_them) for name in ("exponent", "peak"))
        return Race(tuple(growing), exponents, companion, rival, since, peaks)

    def departed(
        self,
        basis: np.ndarray,
        elements: Sector | None,
        S: np.ndarray,
        active: np.ndarray,
        d1: int,
        race: Race,
        launch: float,
    ) -> Sector:
        """Return the elements of Z in a sector of the orbit that leaves, when the winner has the amplitude ``launch``.

        They come from the given ones (None at the origin), orthogonal to the inner direction of the winner.
        """
        first = race.winner
        rates, modes = modes_in(off_active(basis, np.hstack([active, first.vector[:, None]]), d1), S)
        if elements is None:
            found = [
                Runner(float(rate), 1.0, 0.0, 0.0, mode, mode, self.start.T @ mode, 0)
                for i, (rate, mode) in enumerate(zip(rates, modes.T, strict=True))
            ]
        else:
            found = paired(rates, modes, elements.without(first), 0)
        grown = (np.log(launch) - first.gain) / first.rate
        exponents = np.array([max(each.exponent - each.rate * first.time, 0.0) for each in found])
        order = np.argsort(exponents, kind="stable")
        return Sector(
            basis,
            exponents[order],
            np.array([each.gain + each.rate * grown for each in found])[order],
            np.array([each.gain + each.rate * grown for each in found])[order],
            np.array([each.since for each in found])[order],
            np.array([each.vector for each in found]).reshape(-1, len(S)).T[:, order],
            np.array([each.direction for each in found]).reshape(-1, len(self.frame)).T[:, order],
            np.array([each.both for each in found], dtype=bool)[order],
        )

    @property
    def joined(self) -> Sector | None:
        """Return all elements in the order of their exponents; None at the origin."""
        if not self.sectors:
            return None
        return joined(self.sectors, np.eye(len(self.start)))

    def crossed(
        self,
        problem: MatrixCompletion,
        points: tuple[np.ndarray, np.ndarray],
        race: Race,
        path: tuple[np.ndarray, np.ndarray],
        launch: float,
    ) -> tuple[Passive, np.ndarray]:
        """Return what is passive at the end of an orbit, and the active columns there without rounding errors.

        Every active column stays in the sectors in which it began: what it has elsewhere is rounding.

        Parameters
        ----------
        problem : MatrixCompletion, in its own unit
        points : (N, k) and (N, k + 1) arrays
            Active columns [A; B^T] at the saddle left and at the one reached.
        race : what happens at the saddle left
        path : times (T,), and the active columns [A; B^T] (T, N, k + 1) along the orbit
        launch : the amplitude with which the escaping column starts

        Raises ``MixingUnknown`` where rounding hides whether modes meet.
        """
        d1, weight = problem.shape[0], problem.weight
        times, states = path
        flows = residual_flow(problem.residual(states[:, :d1] @ states[:, d1:].mT))
        winner = race.winner.vector
        began = np.hstack([points[0], winner[:, None]])
        bases = sectors(nearby_flows(problem, began), doubt=self.width == 1)
        reached = kept(bases, began, points[1])
        S, S_end = (residual_flow(problem.residual(X[:d1] @ X[d1:].T)) for X in (points[0], reached))
        h = race.winner.direction - self.frame @ (self.frame.T @ race.winner.direction)
        h = h / np.linalg.norm(h)
        frame = np.hstack([self.frame, h[:, None]])
        at = S, points[0], d1, race, launch
        left = [self.departed(basis, self.joined, *at) for basis in bases]
        leaks = self.leaking(problem, points[0], race, left, launch)
        earlier = [None] * len(bases)
        if self.leaks:
            earlier = [self.departed(basis, joined(self.whole, basis), *at) for basis in bases]

        def arrived(elements: Sector) -> Sector:
            elements = elements.projected(frame)
            Q, logs, most = carried(elements.basis, flows, times, 2.0 * weight, states, elements.vectors, d1)
            turned = orientations(elements.basis, d1, ((S, points[0]), (S_end, reached)))
            return replace(elements, gains=elements.gains + logs, peaks=elements.gains + most, vectors=Q, turned=turned)

        own = [arrived(each) for each in left]
        whole = own
        if leaks or self.leaks:
            rows = [off_active(basis, began, d1) for basis in bases]
            brought = [each.fed(leaks, left, free) for each, free in zip(left, rows, strict=True)]
            parts = [tuple(filter(None, three)) for three in zip(left, brought, earlier, strict=True)]
            whole = [arrived(joined(each, each[0].basis)) for each in parts]
        own, whole = ([turned(each, S_end, reached, d1) for each in some] for some in (own, whole))
        return Passive(self.start, frame, tuple(own), tuple(whole), leaks), reached

    def leaking(
        self, problem: MatrixCompletion, active: np.ndarray, race: Race, left: list[Sector], launch: float
    ) -> tuple[Leak, ...]:
        """Return the errors of the active columns along the orbit that leaves, as far as they couple its sectors.

        The column that escapes carries the largest element of every other sector with it; earlier errors have relaxed.
        """
        if sum(len(each.exponents) > 0 for each in left) < 2:
            return ()
        first = race.winner
        bases = [each.basis for each in left]
        found = self.relaxed(problem, active, first, bases)
        for each in left:
            if len(each.exponents) and float(np.linalg.norm(each.basis.T @ first.vector)) < 0.5:
                y = np.hstack([0.0 * active, each.vectors[:, :1]])
                coupling = perturbed_flow(problem, np.hstack([active, first.vector[:, None]]), y)
                gain = float(each.gains[0]) - float(np.log(launch))
                found.append(Leak(float(each.exponents[0]), gain, coupling))
        found = [each for each in found if each.exponent < 1.0 and couples(each.coupling, bases)]
        return tuple(sorted(found, key=lambda each: each.exponent)[:MOST_LEAKS])

    def relaxed(
        self, problem: MatrixCompletion, active: np.ndarray, first: Runner, bases: list[np.ndarray]
    ) -> list[Leak]:
        """Return earlier errors after the stay: they decay like the slowest inside mode that couples sectors."""
        if not self.leaks:
            return []
        d1, k = problem.shape[0], active.shape[1]
        model = Factorization(problem.shape, k)
        theta = model.theta(active[:d1], active[d1:].T)
        free = complement(gauge_basis(model, theta))
        rates, modes = np.linalg.eigh(free.T @ Objective.of(problem, model).hessian(theta) @ free)
        began, slowest = np.hstack([active, first.vector[:, None]]), np.inf
        for rate, mode in zip(rates / (2.0 * problem.weight), (free @ modes).T, strict=True):
            if rate >= slowest:
                break
            a, b = model.factors(mode)
            shift = np.hstack([np.concatenate([a, b.T]), np.zeros((len(began), 1))])
            if couples(perturbed_flow(problem, began, shift), bases):
                slowest = float(rate)
        if not np.isfinite(slowest):
            return []
        return [replace(each, exponent=max(each.exponent + slowest * first.time, 0.0)) for each in self.leaks]


def _companion(problem: MatrixCompletion, active: np.ndarray, first: Runner, others: list[Runner]) -> float:
    """Return the exponent of the largest error of W that other modes make in the column that escapes.

    A mode that changes no unobserved entry to first order counts by its square.
    """
    sizes = []
    for each in others:
        own = min(first.exponent, each.exponent) if each.sector == first.sector else each.exponent
        sizes.append((own - each.rate * first.time, each))
    least, began = np.inf, np.hstack([active, first.vector[:, None]])
    for size, each in sorted(sizes, key=lambda pair: pair[0]):
        if size >= least:
            break
        seen = problem.n_observed == problem.shape[0] * problem.shape[1] or is_seen(
            problem, began, np.hstack([0.0 * active, each.vector[:, None]])
        )
        least = min(least, size if seen else 2.0 * size)
    return float(least)
