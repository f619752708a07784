"""What follows a stage that runs to infinity while another mode still grows.

The stage alone has no end, but the mode that grows along it escapes when log(1/alpha) says so: the smaller alpha, the
farther away. So the chain goes on at a few very large log(1/alpha). There every orbit ends where the next element
reaches the size of the data, exponents hold all that has grown so far, and the flow may come back from far away or not.
Where all ends are the same completion, that is the limit; where they lie the farther away the smaller alpha is, there
is none; else, or where only an alpha that no computer can hold shows it, nothing is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gflow.flow import Trajectory
from gflow.limit.finite import Crossed, Departure, FiniteEnd, Stage, Unknown, Walk, elements
from gflow.limit.law.clocks import RaceClock
from gflow.limit.law.sectors import MixingUnknown
from gflow.limit.orbit.growth import FAR_GROWTH, NOT_YET_TOLD, hides
from gflow.limit.orbit.modes import errors_at
from gflow.limit.orbit.orbits import Ending
from gflow.limit.orbit.uniqueness import locally_unique
from gflow.limit.records import TraversalStatus
from gflow.problems import EntryProblem, without_weights

NEAR = 70.0, 140.0
"""Values of log(1/alpha) within reach, alpha = 1e-30 and 1e-61: what is said of the limit must be seen there too."""
SEEN = 1e-2
"""Ends that run to infinity differ there by more than this, relative to max|W|."""
OUT_OF_REACH = 1e3, 1e4
"""Bounds of the smallest of three values out of reach."""
FAR_RATIO = 10.0
"""Ratio of these three."""
BEYOND = 30.0
"""They exceed that above which the saddle left is reached at all by this factor."""
SAME = 1e-6
"""Ends that differ by less than this, relative to max|W|, are one."""


@dataclass(frozen=True, slots=True, eq=False)
class Beyond:
    """What comes of a stage at infinity: factors where a limit follows, ``width`` apart at most."""

    status: TraversalStatus
    reason: str
    factors: tuple[np.ndarray, np.ndarray] | None = None
    orbits: tuple[Trajectory, ...] = ()
    width: float = np.inf

    def spread(self) -> float:
        """Return how far the ends differ."""
        return self.width


def beyond(stage: Stage, first: Departure, last: Departure) -> Beyond:
    """Return what follows the orbit that leaves the last saddle of a chain for infinity, or for no known end.

    ``first`` is the departure from the origin: within reach, starts may leave that chain long before.
    """
    reached, rank = last.reached, last.saddle.rank
    said = f"from rank {rank}: {reached.reason}"
    if reached.ending == Ending.UNDECIDED:
        return Beyond(TraversalStatus.UNDECIDED, said)
    seen = without_weights(stage.problem)
    if reached.path is not None and hides(errors_at(seen, *reached.model.factors(reached.path.final)), seen.targets):
        return Beyond(TraversalStatus.UNDECIDED, f"{said}; {NOT_YET_TOLD}")
    if stage.greedy or reached.model.rank >= stage.width:
        return Beyond(TraversalStatus.DIVERGING, said)
    if not isinstance(last.clock, RaceClock) or last.clock.accuracy is not None:
        return Beyond(TraversalStatus.UNDECIDED, f"{said}; what else grows on the way is not followed here")
    found = Crossed()
    try:
        ends = [ending(stage, first, log, found) for log in NEAR]
        ends += [ending(stage, last, log, found) for log in far(last, found)]
    except (MixingUnknown, Unknown) as unknown:
        return Beyond(TraversalStatus.UNDECIDED, f"{said}; other modes grow on the way, where to is open: {unknown}")
    judgement = judged(stage.problem, said, ends)
    if judgement.factors is None or not stage.use.tight:
        return judgement
    return Beyond(TraversalStatus.UNDECIDED, f"{said}; it comes back, but its inner directions are not followed")


def ending(stage: Stage, left: Departure, log: float, seen: Crossed) -> FiniteEnd:
    """Return where the flow from alpha = exp(-log) ends."""
    assert isinstance(left.clock, RaceClock)
    return Walk(stage, copy(left.clock), log, seen).end(left.saddle, left.A, left.B, left.reached)


def judged(problem: EntryProblem, said: str, ends: Sequence[FiniteEnd]) -> Beyond:
    """Return what the ends for falling alpha say of the limit."""
    found = [each.factors for each in ends if each.factors is not None]
    if not found:
        return Beyond(TraversalStatus.DIVERGING, said)
    matrices = [A @ B for A, B in found]
    sizes = [float(np.abs(W).max()) for W in matrices]
    said += "; the ends at log(1/alpha) = " + ", ".join(f"{each.log:.3g}" for each in ends)
    said += " have entries up to " + ", ".join(f"{size:.3g}" for size in sizes)
    if len(found) < len(ends):
        return Beyond(TraversalStatus.UNDECIDED, f"{said}, or lie at infinity")
    powers = [
        np.log(late / early) / np.log(less.log / more.log)
        for (early, late), (more, less) in zip(pairwise(sizes), pairwise(ends), strict=True)
    ]
    seen = float(np.abs(matrices[1] - matrices[0]).max()) > SEEN * sizes[1]
    if seen and min(powers[1:]) >= 2.0 * FAR_GROWTH:
        return Beyond(TraversalStatus.DIVERGING, said)
    spread = max(float(np.abs(W - matrices[-1]).max()) for W in matrices)
    if spread <= SAME * sizes[-1] and all(locally_unique(problem, *each) for each in found):
        return Beyond(TraversalStatus.CONVERGED, said, found[-1], ends[-1].orbits, spread)
    return Beyond(TraversalStatus.UNDECIDED, f"{said}: where other modes that grow on the way lead depends on alpha")


def far(last: Departure, seen: Crossed) -> list[float]:
    """Return log(1/alpha) out of reach, with escapes far out on the orbit to infinity, long after its beginning."""
    assert isinstance(last.clock, RaceClock) and last.reached.path is not None
    runners = last.clock.race.runners
    before = max((each.gain / each.exponent for each in runners if each.exponent > 0.0), default=0.0)
    passive, _, _ = seen(last.clock, last.reached, len(last.reached.path.times) - 1)
    late = max((float(peak / p) for p, peak in elements(passive) if p > 0.0), default=0.0)
    least = max(BEYOND * before, float(np.clip(late / FAR_RATIO**2, *OUT_OF_REACH)))
    return [least * FAR_RATIO**i for i in range(3)]
