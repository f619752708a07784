"""What is passive, from one saddle of a chain to the next: elements leave in sectors, leak into others, and arrive.

A perturbation does not stay where symmetry keeps it for ever. The column that escapes carries the largest elements of
other sectors with it, and such an error of the active columns, alpha^e, couples sectors: an element alpha^p of one
brings alpha^(e + p) into another, in its own inner direction. Where that is more than what is there, it decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gflow.limit.law.elements import Leak, Sector, joined, paired
from gflow.limit.law.race import Passive, Race
from gflow.limit.law.sectors import (
    MixingUnknown,
    couples,
    kept,
    matrices,
    modes_in,
    nearby_flows,
    nearly_equal,
    off_active,
    perturbed_flow,
    residual_flow,
    sectors,
)
from gflow.limit.law.together import Escape, escape, gathered, with_rows
from gflow.limit.law.transport import Carried, carried_together, on_the_way, orientations, turned
from gflow.limit.orbit.polish import complement, gauge_basis
from gflow.limit.orbit.sizes import is_isotropic
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import EntryProblem

TURNED = 8.0
"""An escape direction is turned by rounding by no more than so many eps times sigma over its distance from the next."""
MOST_LEAKS = 6
"""So many errors of the active columns, the largest ones, are followed."""


@dataclass(frozen=True, eq=False)
class Crossing:
    """An orbit between two saddles and what is passive along it.

    Attributes
    ----------
    passive, race : Passive, Race
        At the saddle left.
    problem : MatrixCompletion, in its own unit
    active : (N, k) array
        Active columns [A; B^T] at the saddle left.
    times, states : (T,) and (T, N, k + m) arrays
        The active columns along the orbit; m = 1 where one mode escapes.
    launch : float
        The amplitude with which the escaping columns start.
    fine : (T - 1, N, N) array, optional
        (2 / n) [[0, -E], [-E^T, 0]] in each step of a finely resolved orbit: then terms of one exponent are taken
        together, as a later escape together depends on them.
    """

    passive: Passive
    race: Race
    problem: EntryProblem
    active: np.ndarray
    times: np.ndarray
    states: np.ndarray
    launch: float
    fine: np.ndarray | None = None

    @property
    def d1(self) -> int:
        """Return the number of rows of the matrix."""
        return self.problem.shape[0]

    @property
    def log_launch(self) -> float:
        """Return the logarithm of that amplitude relative to the square root of max|M|, as gains are."""
        return float(np.log(self.launch) - 0.5 * np.log(self.problem.size))

    @cached_property
    def began(self) -> np.ndarray:
        """Return the active columns with those that escape, the longest a unit vector, (N, k + m)."""
        return np.hstack([self.active, self.escape.columns])

    @cached_property
    def escape(self) -> Escape:
        """Return the columns that escape, and their inner directions."""
        return escape(self.passive, self.race)

    @cached_property
    def bases(self) -> list[np.ndarray]:
        """Return the sectors of the orbit; raises ``MixingUnknown`` where rounding hides them and it matters."""
        noise = None
        if not self.active.shape[1]:
            rates = np.linalg.eigvalsh(self.ends_at(self.active))
            apart = np.sort(np.abs(rates - self.race.winner.rate))[len(self.race.winners) :].min(initial=np.inf)
            noise = TURNED * float(np.finfo(float).eps * np.abs(rates).max() / max(apart, 1e-300))
        doubt = self.passive.width == self.escape.columns.shape[1]
        slope = float(np.abs(self.ends_at(self.active) @ self.active).max(initial=0.0))
        found = sectors(nearby_flows(self.problem, self.began), doubt=doubt, noise=noise, slope=slope)
        mixed = not is_isotropic(self.problem)
        if len(found) > 1 and mixed and not doubt and (near := nearly_equal(self.problem, slope)):
            raise MixingUnknown(
                f"sizes of entries or weights that differ by {near:.1e} of the largest may mix modes that equal ones "
                "keep apart"
            )
        return found

    @cached_property
    def start(self) -> np.ndarray:
        """Return [[0, -E], [-E^T, 0]] at the saddle left."""
        return self.ends_at(self.active)

    def ends_at(self, columns: np.ndarray) -> np.ndarray:
        """Return [[0, -E], [-E^T, 0]] at a saddle with these active columns."""
        return residual_flow(self.problem.residual(matrices(columns, self.d1)))

    @cached_property
    def flows(self) -> np.ndarray:
        """Return (2 / n) [[0, -E], [-E^T, 0]] in the middle of each step of the orbit."""
        if self.fine is not None:
            return self.fine
        flows = residual_flow(self.problem.residual(matrices(self.states, self.d1)))
        return self.problem.weight * (flows[1:] + flows[:-1])

    @cached_property
    def frame(self) -> np.ndarray:
        """Return the inner directions that are active at the end, (r, k + m)."""
        return np.hstack([self.passive.frame, self.escape.directions])

    @cached_property
    def left(self) -> list[Sector]:
        """Return the elements that leave in each sector, without what errors have brought before."""
        given = joined(self.passive.sectors, np.eye(len(self.began))) if self.passive.sectors else None
        return [self.departed(basis, given) for basis in self.bases]

    def departed(self, basis: np.ndarray, elements: Sector | None) -> Sector:
        """Return the elements of Z in a sector of the orbit, when what escapes has the amplitude ``launch``.

        They come from the given ones (None at the origin), orthogonal to the inner directions of the winners.
        """
        first = self.race.winner
        rates, modes = modes_in(off_active(basis, self.began, self.d1), self.start)
        if elements is None:
            found = self.passive.original(rates, modes)
        else:
            elements = elements.without(self.race.winners)
            found = paired(rates, modes, elements, 0)
            found = with_rows(found, elements) if self.fine is not None and found else found
        grown = (self.log_launch - self.escape.gain) / first.rate
        found = [
            replace(
                each,
                exponent=max(each.exponent - each.rate * first.time, 0.0),
                gain=each.gain + each.rate * grown,
                term=each.vector,
            )
            for each in found
        ]
        return Sector.of(basis, found, len(self.frame))

    @cached_property
    def moving(self) -> tuple[list[Carried], list[Carried]]:
        """Return the elements of each sector on their way, their own ones and all: the same where nothing is added."""
        own = [self.carried(each) for each in self.left]
        earlier = self.passive.whole is not self.passive.sectors
        if not self.leaks and not earlier:
            return own, own
        before = joined(self.passive.whole, np.eye(len(self.began))) if earlier else None
        found = []
        for basis, each in zip(self.bases, self.left, strict=True):
            parts = [each, each.fed(self.leaks, self.left, off_active(basis, self.began, self.d1))]
            parts += [] if before is None else [self.departed(basis, before)]
            found.append(self.carried(joined(parts, basis)))
        return own, found

    def carried(self, elements: Sector) -> Carried:
        """Return the elements of a sector, as far as they stay passive, on their way along the orbit."""
        elements = elements.projected(self.frame) if self.fine is None else gathered(elements, self.frame)
        return Carried(elements, self.flows, self.times, self.states, self.d1)

    @cached_property
    def leaks(self) -> tuple[Leak, ...]:
        """Return the errors of the active columns along the orbit, as far as they couple its sectors.

        The column that escapes carries the largest element of every other sector with it; earlier errors have relaxed.
        """
        if sum(len(each.exponents) > 0 for each in self.left) < 2:
            return ()
        found = self.relaxed()
        least = min(float(each.exponents[0]) for each in self.left if len(each.exponents))
        limit = 2.0 if sum(basis.shape[1] > 1 for basis in self.bases) > 1 else 1.0
        for each in self.left:
            if (
                len(each.exponents)
                and each.exponents[0] + least < limit
                and float(np.linalg.norm(each.basis.T @ self.escape.columns, 2)) < 0.5
            ):
                shift = np.hstack([0.0 * self.active, each.vectors[:, :1] * np.ones(self.escape.columns.shape[1])])
                gain = float(each.gains[0]) - self.log_launch
                found.append(Leak(float(each.exponents[0]), gain, perturbed_flow(self.problem, self.began, shift)))
        found = [each for each in found if each.exponent < 1.0 and couples(each.coupling, self.bases)]
        return tuple(sorted(found, key=lambda each: each.exponent)[:MOST_LEAKS])

    def relaxed(self) -> list[Leak]:
        """Return earlier errors after the stay: they decay like the slowest inside mode that couples sectors."""
        if not self.passive.leaks:
            return []
        model = Factorization(self.problem.shape, self.active.shape[1])
        theta = model.theta(self.active[: self.d1], self.active[self.d1 :].T)
        free = complement(gauge_basis(model, theta))
        rates, modes = np.linalg.eigh(free.T @ Objective.of(self.problem, model).hessian(theta) @ free)
        for rate, mode in zip(rates / (2.0 * self.problem.weight), (free @ modes).T, strict=True):
            a, b = model.factors(mode)
            shift = np.hstack([np.concatenate([a, b.T]), np.zeros_like(self.escape.columns)])
            if couples(perturbed_flow(self.problem, self.began, shift), self.bases):
                fall = float(rate) * self.race.winner.time
                return [replace(each, exponent=max(each.exponent + fall, 0.0)) for each in self.passive.leaks]
        return []


@dataclass(frozen=True, eq=False)
class ReachedState:
    """What is passive at one state of an orbit, the last one or one where another mode has grown.

    Attributes
    ----------
    crossing : Crossing
    place : int
        The number of the state.
    end : (N, k + m) array
        The active columns there.

    Raises ``MixingUnknown`` where rounding hides whether modes meet.
    """

    crossing: Crossing
    place: int
    end: np.ndarray

    @cached_property
    def reached(self) -> np.ndarray:
        """Return the active columns; what they have outside the sectors where they began is rounding."""
        return kept(self.crossing.bases, self.crossing.began, self.end)

    @cached_property
    def flow(self) -> np.ndarray:
        """Return [[0, -E], [-E^T, 0]]."""
        return self.crossing.ends_at(self.reached)

    @cached_property
    def way(self) -> float:
        """Return the number of steps after which the orbit has arrived."""
        d1 = self.crossing.d1
        return on_the_way(matrices(self.crossing.states[: self.place + 1], d1), matrices(self.end, d1))

    def passive(self) -> Passive:
        """Return what is passive."""
        crossing = self.crossing
        own, whole = crossing.moving
        found = tuple(self.arrived(each) for each in own)
        every = found if whole is own else tuple(self.arrived(each) for each in whole)
        return Passive(crossing.passive.start, crossing.frame, found, every, crossing.leaks)

    def arrived(self, moving: Carried) -> Sector:
        """Return the elements of a sector."""
        crossing, elements = self.crossing, moving.elements
        if not len(elements.exponents):
            return elements
        if crossing.fine is None:
            found = moving.at(self.place, self.way)
        else:
            found = carried_together(elements, crossing.flows, crossing.times, crossing.states, crossing.d1)
        ends = ((crossing.start, crossing.active), (self.flow, self.reached))
        found = replace(found, turned=orientations(elements.basis, crossing.d1, ends))
        return turned(found, self.flow, self.reached, crossing.d1)
