"""Modes of equal rates and exponents that escape together: with which columns, from a given start.

Let m modes w_i of a saddle grow at one rate, with terms of Z of one exponent. Their rows are then, to leading order,

    w_i^T Z = alpha^p r_i^T,    r_i = sum_l c_l (w_i . q_l) h_l over the terms l of that exponent,

and they reach the size of the data together, in the ratio that the r_i have: the orbit leaves along sum_i w_i r_i^T,
whose part in the free inner directions has rank min(m, r - k). By how much the rank grows is known; where the orbit
leads depends on the r_i, and so on the start. Terms of one exponent are of one size: what an orbit makes of them is
taken together, with all the inner directions that come together in each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gflow.limit.law.elements import NAMES, Runner, Sector
from gflow.limit.law.race import Passive, Race, escape_together
from gflow.limit.law.sectors import DEPENDENT, MixingUnknown, data_sizes
from gflow.problems import EntryProblem, WeightedCompletion

SAME_EXPONENT = 1e-8
"""Exponents that differ by less than this are equal."""
NONE, SOME = 1e-12, 1e-6
"""Columns shorter than the first of these fractions of the longest are rounding; longer ones than the second, not."""
LARGEST_SHARE = 1e8
"""A term of one exponent brings no more than this times the direction of another one: digits would be lost."""
NEAR = 1e-9
"""Sizes of entries that differ by less than this, relative to the largest, and are not equal, hide unequal rates."""


@dataclass(frozen=True, slots=True, eq=False)
class Escape:
    """The columns with which a saddle is left, (N, m), in orthonormal inner directions, (r, m).

    The longest combination of the columns has the length 1; ``gain`` is the log of the factor before alpha^p.
    """

    columns: np.ndarray
    directions: np.ndarray
    gain: float


def escape(passive: Passive, race: Race) -> Escape:
    """Return the columns with which the winners of a race escape.

    Raises ``MixingUnknown`` where it cannot be told how many inner directions their rows span.
    """
    frame, first = passive.frame, race.winner
    if len(race.winners) == 1:
        h = first.direction - frame @ (frame.T @ first.direction)
        return Escape(first.vector[:, None], (h / np.linalg.norm(h))[:, None], first.gain)
    modes = np.array([each.vector for each in race.winners]).T
    top = max(each.gain for each in race.winners)
    rows = np.array([row(passive, each, top) for each in race.winners])
    rows -= (rows @ frame) @ frame.T
    U, sizes, Vt = np.linalg.svd(rows, full_matrices=False)
    count = int(np.sum(sizes > SOME * sizes[0]))
    if count < min(len(sizes), passive.width) or (sizes[count:] > NONE * sizes[0]).any():
        raise MixingUnknown("how many columns escape together cannot be told from rounding errors")
    columns = modes @ (U[:, :count] * (sizes[:count] / sizes[0]))
    return Escape(columns, Vt[:count].T, top + float(np.log(sizes[0])))


def unfed(passive: Passive, race: Race, problem: EntryProblem, active: np.ndarray) -> Race:
    """Return the race where modes escape together, without what errors of the active columns have fed.

    Of such terms the exponents are known, and their sizes but for a factor. Raises ``MixingUnknown`` where they escape.
    """
    if len(race.winners) < 2 or passive.whole is passive.sectors:
        return race
    own = replace(passive, whole=passive.sectors, leaks=()).race(problem, active, together=True)
    if len(own.winners) != len(race.winners) or not escape_together(race.winner, own.winner):
        raise MixingUnknown("modes escape together that errors of the active columns feed: how large they are is open")
    return replace(race, winners=own.winners)


def row(passive: Passive, runner: Runner, log: float) -> np.ndarray:
    """Return the leading part of a mode's row of Z, with all terms of its exponent, divided by alpha^p e^log; (r,)."""
    if not passive.sectors:
        return passive.start.T @ runner.vector * float(np.exp(-log))
    sector = passive.sectors[runner.sector]
    same = np.abs(sector.exponents - runner.exponent) <= SAME_EXPONENT
    shares = (runner.vector @ sector.vectors[:, same]) * np.exp(sector.gains[same] - log)
    return np.asarray(sector.directions[:, same] @ shares)


def with_rows(found: list[Runner], elements: Sector) -> list[Runner]:
    """Return modes with the inner directions of all terms that share the exponent of their own one.

    ``elements`` are those that ``found`` pairs with modes. Earlier terms, which faster modes take, are eliminated.
    """
    modes, terms = (np.array([getattr(each, name) for each in found]) for name in ("vector", "term"))
    exponents = np.array([each.exponent for each in found])
    result = []
    for each in found:
        same = np.abs(elements.exponents - each.exponent) <= SAME_EXPONENT
        if int(same.sum()) < 2:
            result.append(each)
            continue
        before, vectors = exponents < each.exponent - SAME_EXPONENT, elements.vectors[:, same]
        pivots = np.linalg.lstsq(modes[before] @ terms[before].T, modes[before] @ vectors)[0]
        shares = each.vector @ (vectors - terms[before].T @ pivots)
        factors = shares * np.exp(np.clip(elements.gains[same] - each.gain, -700.0, 700.0))
        if not float(np.abs(factors).max()) <= LARGEST_SHARE:
            raise MixingUnknown("terms of one exponent are too different to be told from rounding errors")
        result.append(replace(each, direction=elements.directions[:, same] @ factors))
    return result


def groups(exponents: np.ndarray) -> list[np.ndarray]:
    """Return the numbers of rising exponents, those that are equal together."""
    if not len(exponents):
        return []
    return np.split(np.arange(len(exponents)), 1 + np.flatnonzero(np.diff(exponents) > SAME_EXPONENT))


def gathered(elements: Sector, frame: np.ndarray) -> Sector:
    """Return the elements outside the active inner directions, those of one exponent as orthogonal terms.

    Terms are taken modulo earlier ones, in vectors and in directions. Raises ``MixingUnknown`` where one of them is
    too small beside another to be told from rounding.
    """
    parts, q, h = [], np.zeros((len(elements.basis), 0)), frame
    for group in groups(elements.exponents):
        own = elements.picked(group)
        top = float(own.gains.max())
        sizes = np.exp(own.gains - top)
        whole = (own.vectors * sizes) @ own.directions.T
        rest = whole - q @ (q.T @ whole)
        rest = rest - (rest @ h) @ h.T
        U, found, Vt = np.linalg.svd(rest, full_matrices=False)
        scale = float(np.linalg.norm(whole, 2))
        count = int(np.sum(found > DEPENDENT * scale))
        if (found[count:] > NONE * scale).any():
            raise MixingUnknown("how many terms of one exponent there are cannot be told from rounding errors")
        if count:
            kept = own.picked(np.zeros(count, dtype=int))
            gains = top + np.log(found[:count])
            rise = float((own.peaks - own.gains).max())
            changed = {"vectors": U[:, :count], "directions": Vt[:count].T, "gains": gains, "peaks": gains + rise}
            since, both = np.full(count, own.since.max()), np.full(count, own.both.all())
            parts.append(replace(kept, **changed, since=since, both=both))
            q, h = np.hstack([q, U[:, :count]]), np.hstack([h, Vt[:count].T])
    if not parts:
        return elements.picked(np.zeros(0, dtype=int))
    arrays = {name: np.concatenate([getattr(each, name).T for each in parts]).T for name in NAMES}
    return replace(elements, turned=None, **arrays)  # type: ignore[arg-type]


def blended(elements: Sector, directions: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return inner directions where column l of vectors has become itself and shares[j, l] of those before it, j < l.

    ``shares`` is unit upper triangular, for columns of the lengths e^gains; terms of other exponents are no part.
    """
    growth = np.exp(np.clip(elements.gains[None, :] - elements.gains[:, None], -700.0, 700.0))
    factors = shares * growth
    if not float(np.abs(factors).max(initial=0.0)) <= LARGEST_SHARE:
        raise MixingUnknown("terms of one exponent grow too differently to be told from rounding errors")
    return np.asarray(directions @ factors.T)


def hides_unequal_rates(problem: EntryProblem) -> bool:
    """Return whether entries differ by so little that rates may look equal which are not."""
    seen = data_sizes(problem)
    if isinstance(problem, WeightedCompletion):  # equal rates at the origin may be equal products by chance
        seen.append(problem.weights * np.abs(problem.means.targets))
        kinds = np.unique(np.stack([problem.weights, np.abs(problem.means.targets)]), axis=1)
        if kinds.shape[1] > len(np.unique(seen[-1])):
            return True
    for numbers in map(np.sort, seen):
        gaps = np.diff(numbers)
        if ((gaps > 0.0) & (gaps <= NEAR * numbers[-1])).any():
            return True
    return False
