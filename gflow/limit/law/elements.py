"""The terms of what is passive, sector by sector, and the modes of a saddle along which each of them is largest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gflow.limit.law.sectors import APART, DEPENDENT, LEAST_LEAK, SAME_RATE, TOGETHER, MixingUnknown

NAMES = "exponents", "gains", "peaks", "since", "vectors", "directions", "both"


@dataclass(frozen=True, slots=True, eq=False)
class Sector:
    """A subspace that the residual of an orbit keeps apart, and the elements of Z in it.

    Attributes
    ----------
    basis : (N, n) array
        Orthonormal columns; N = d1 + d2.
    exponents, gains, peaks, since : (m,) arrays
        p_i, rising; log c_i, in the square root of max|M| as alpha is, and its largest value along the last orbit; the
        log(1/alpha) above which the order of the terms is the one for alpha -> 0.
    vectors : (N, m) array
        q_i.
    directions : (r, m) array
        h_i.
    both : (m,) bool array
        Whether an element is as large as alpha^(2 - p) in the decaying direction of its mode.
    turned : int or None
        Number of the element that arrives in a decaying direction alone (see ``orientations``).
    """

    basis: np.ndarray
    exponents: np.ndarray
    gains: np.ndarray
    peaks: np.ndarray
    since: np.ndarray
    vectors: np.ndarray
    directions: np.ndarray
    both: np.ndarray
    turned: int | None = None

    @classmethod
    def of(cls, basis: np.ndarray, found: list[Runner], width: int) -> Sector:
        """Return the sector with the given terms, in the order of their exponents; ``width`` is that of the model."""
        found = sorted(found, key=lambda each: each.exponent)
        gains = np.array([each.gain for each in found])
        return cls(
            basis,
            np.array([each.exponent for each in found]),
            gains,
            gains,
            np.array([each.since for each in found]),
            np.array([each.term for each in found]).reshape(-1, len(basis)).T,
            np.array([each.direction for each in found]).reshape(-1, width).T,
            np.array([each.both for each in found], dtype=bool),
        )

    def picked(self, chosen: np.ndarray) -> Sector:
        """Return the sector with some of its elements, or in another order."""
        arrays = {name: getattr(self, name)[..., chosen] for name in NAMES}
        return replace(self, turned=None, **arrays)

    def fed(self, leaks: tuple[Leak, ...], others: list[Sector], rows: np.ndarray) -> Sector:
        """Return what errors of the active columns bring from the elements of the others into the given rows."""
        found = [self.picked(np.zeros(0, dtype=int))]
        for leak in leaks:
            for other in others:
                vectors = rows @ (rows.T @ leak.coupling @ other.vectors)
                sizes = np.linalg.norm(vectors, axis=0)
                exponents = leak.exponent + other.exponents
                brought = np.flatnonzero((sizes > LEAST_LEAK) & (exponents < 2.0))
                if other is not self and len(brought):
                    part = other.picked(brought)
                    found.append(
                        replace(
                            part,
                            exponents=exponents[brought],
                            gains=part.gains + leak.gain + np.log(sizes[brought]),
                            peaks=part.peaks + leak.gain,
                            vectors=vectors[:, brought] / sizes[brought],
                        )
                    )
        return joined(found, self.basis)

    def projected(self, frame: np.ndarray) -> Sector:
        """Return the elements outside the active inner directions, without those that depend on earlier ones."""
        directions = self.directions - frame @ (frame.T @ self.directions)
        sizes = np.linalg.norm(self.directions, axis=0)
        return replace(self, directions=directions).picked(independent(directions, sizes, self.vectors))

    def without(self, winners: Sequence[Runner]) -> Sector:
        """Return the elements orthogonal to the inner directions of what escapes: their rows are eliminated."""
        modes, terms = (np.array([getattr(each, name) for each in winners]) for name in ("vector", "term"))
        rest = self.vectors - terms.T @ np.linalg.solve(modes @ terms.T, modes @ self.vectors)
        sizes = np.linalg.norm(rest, axis=0)
        return replace(self, vectors=rest).picked(sizes > DEPENDENT)


@dataclass(frozen=True, slots=True, eq=False)
class Leak:
    """An error of the active columns, alpha^exponent e^gain, which couples sectors by the matrix ``coupling``."""

    exponent: float
    gain: float
    coupling: np.ndarray


def joined(parts: Sequence[Sector], basis: np.ndarray) -> Sector:
    """Return the elements of several sectors in the order of their exponents, as those of one."""
    arrays = {name: np.concatenate([getattr(each, name).T for each in parts]).T for name in NAMES}
    found = replace(parts[0], basis=basis, turned=None, **arrays)  # type: ignore[arg-type]
    return found.picked(np.argsort(found.exponents, kind="stable"))


@dataclass(frozen=True, slots=True, eq=False)
class Runner:
    """A mode of a saddle and the term of Z that is largest along it.

    ``rate`` is that of the mode in units of singular values of the residual, negative where it decays; ``vector`` its
    unit vector, with the sign that Z has there; ``term`` and ``direction`` are q_i and h_i; ``alike`` counts the modes
    of its rate in the sector, among which the term has chosen.
    """

    rate: float
    exponent: float
    gain: float
    since: float
    vector: np.ndarray
    term: np.ndarray
    direction: np.ndarray
    sector: int
    peak: float = 0.0
    both: bool = False
    alike: int = 1

    @property
    def time(self) -> float:
        """Return when it has grown to the size of the data, in units of log(1/alpha); infinite if it does not grow."""
        return self.exponent / self.rate if self.rate > 0.0 else np.inf


def paired(
    rates: np.ndarray, modes: np.ndarray, elements: Sector, number: int, barred: int | None = None
) -> list[Runner]:
    """Return the modes with the terms of Z that are largest along them: the Bruhat decomposition of their overlaps.

    Element after element takes the fastest mode it overlaps with; that row, and the part along that element of the
    slower ones, are then eliminated. Equal rates leave their modes free, and the element chooses among them. The
    element number ``barred`` is known not to meet the last growing mode.
    """
    overlaps, modes = modes.T @ elements.vectors, modes.copy()
    sizes = np.abs(overlaps)
    scale = float(np.abs(rates).max(initial=0.0))
    clusters = np.cumsum(np.r_[0, np.diff(rates) < -SAME_RATE * scale]) if len(rates) else np.zeros(0, dtype=int)
    free = np.ones(len(rates), dtype=bool)
    found = []
    for i in range(overlaps.shape[1]):
        for cluster in np.unique(clusters[free]):
            rows = np.flatnonzero(free & (clusters == cluster))
            if i == barred and rates[rows[0]] > 0.0:
                continue
            size = float(np.linalg.norm(overlaps[rows, i]))
            noise = max(1.0, float(np.linalg.norm(sizes[rows, i])))
            if size <= APART * noise:
                continue
            if size <= TOGETHER * noise:
                if rates[rows[0]] <= 0.0:
                    continue
                raise MixingUnknown("whether a mode is reached by another cannot be told from rounding errors")
            _reflected(overlaps, sizes, modes, rows, i)
            row = rows[0]
            free[row] = False
            runner = _runner(overlaps, rates, modes, elements, row, i, number)
            found.append(replace(runner, alike=int(np.sum(clusters == cluster))))
            multipliers = overlaps[row, i + 1 :] / overlaps[row, i]
            overlaps[:, i + 1 :] -= np.outer(overlaps[:, i], multipliers)
            sizes[:, i + 1 :] += np.outer(np.abs(overlaps[:, i]), np.abs(multipliers))
            break
    return found


def _reflected(overlaps: np.ndarray, sizes: np.ndarray, modes: np.ndarray, rows: np.ndarray, i: int) -> None:
    """Turn modes of equal rates so that column i of overlaps meets the first of them alone."""
    if len(rows) == 1:
        return
    normal = overlaps[rows, i].copy()
    normal[0] += np.copysign(np.linalg.norm(normal), normal[0])
    H = np.eye(len(rows)) - 2.0 * np.outer(normal, normal) / float(normal @ normal)
    overlaps[rows], modes[:, rows] = H @ overlaps[rows], modes[:, rows] @ H
    sizes[rows] = np.abs(H) @ sizes[rows]


def _runner(
    overlaps: np.ndarray, rates: np.ndarray, modes: np.ndarray, elements: Sector, row: int, i: int, number: int
) -> Runner:
    p, gain, pivot = elements.exponents, elements.gains, overlaps[row, i]
    since = float(elements.since[i])
    for j in range(i + 1, overlaps.shape[1]):
        if overlaps[row, j] != 0.0 and p[j] > p[i]:
            ahead = gain[j] + np.log(abs(overlaps[row, j])) - gain[i] - np.log(abs(pivot))
            since = max(since, float(ahead / (p[j] - p[i])))
    return Runner(
        rate=float(rates[row]),
        exponent=float(p[i]),
        gain=float(gain[i] + np.log(abs(pivot))),
        since=since,
        vector=modes[:, row] * np.sign(pivot),
        term=elements.vectors[:, i],
        direction=elements.directions[:, i],
        sector=number,
        peak=float(elements.peaks[i]),
        both=bool(elements.both[i]),
    )


def independent(directions: np.ndarray, sizes: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return which elements, in their order, depend on those kept before them in neither direction nor vector.

    Their parts outside the earlier ones are compared with ``sizes`` and 1.
    """
    found = np.zeros(len(sizes), dtype=bool)
    spans = [np.zeros((len(directions), 0)), np.zeros((len(vectors), 0))]
    for i, size in enumerate(sizes):
        rests = []
        for span, own in zip(spans, (directions[:, i], vectors[:, i]), strict=True):
            rest = own - span @ (span.T @ own)
            rests.append(rest - span @ (span.T @ rest))
        lengths = [float(np.linalg.norm(rest)) for rest in rests]
        if lengths[0] > DEPENDENT * size and lengths[1] > DEPENDENT:
            found[i] = True
            spans = [np.c_[span, rest / length] for span, rest, length in zip(spans, rests, lengths, strict=True)]
    return found
