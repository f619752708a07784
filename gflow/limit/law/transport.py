"""The elements of a sector along an orbit: how they turn and grow, and which of them arrive in a decaying direction."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from gflow.limit.law.elements import Sector, paired
from gflow.limit.law.sectors import DEPENDENT, MixingUnknown, mirrored, modes_in, off_active, spanned
from gflow.limit.law.together import SAME_EXPONENT, blended

MODE_FOLDINGS = 8.0
"""Modes are made orthonormal before any has grown by e^8 over another: they lose at most seven digits, e^16."""
MOST_FOLDINGS = 1e5
"""Longest orbit, in e-foldings of one mode over another, along which terms of one exponent are followed."""
LEAST_LOG = -700.0
"""Logarithms of lengths below this count as this one."""
NEAR_END = 1e-3
"""An orbit with W this near its end, relative to it, has arrived: what grows from there on belongs to the stay."""


class Carried:
    """The elements of a sector along an orbit, as they are at each of its states.

    Parameters
    ----------
    elements : Sector
    flows : (T - 1, N, N) array
        (2 / n) [[0, -E], [-E^T, 0]] along each step of the orbit.
    times : (T,) array
    states : (T, N, k) array
        Active columns: passive ones are taken modulo these, and keep their zero product with the mirror images.
    d1 : int
    """

    def __init__(self, elements: Sector, flows: np.ndarray, times: np.ndarray, states: np.ndarray, d1: int) -> None:
        self.elements, self.inner = elements, elements.basis.T @ flows @ elements.basis
        self.steps, self.states, self.d1 = np.diff(times), states, d1

    def at(self, place: int, way: float) -> Sector:
        """Return the elements at a state: vectors orthonormal modulo earlier ones, gains and peaks.

        ``way`` is the number of steps until the orbit has arrived there, up to which peaks are counted.
        """
        elements = self.elements
        if elements.basis.shape[1] == 1:
            logs, most = self.logs[: place + 1], self.most[: place + 1]
            peaks = elements.gains + np.interp(way, np.arange(len(most)), most)
            return replace(elements, gains=elements.gains + logs[-1], peaks=peaks)
        X, logs = self.trace[place][1]
        X, grown = graded(X, self.held[place])
        most = largest(self.sizes[: min(place, int(np.ceil(way)))], way)
        return replace(
            elements, vectors=elements.basis @ X, gains=elements.gains + logs + grown, peaks=elements.gains + most
        )

    @cached_property
    def logs(self) -> np.ndarray:
        """Return the logarithm of the growth of the one element of a sector of dimension one, shape (T,)."""
        return np.r_[0.0, np.cumsum(self.inner[:, 0, 0] * self.steps)]

    @cached_property
    def most(self) -> np.ndarray:
        """Return the largest of them so far."""
        return np.asarray(np.maximum.accumulate(self.logs))

    @cached_property
    def held(self) -> np.ndarray:
        """Return orthonormal columns, some zero, that span active columns and their mirror images in the sector."""
        both = np.concatenate([self.states, mirrored(self.states, self.d1)], axis=2)
        return active_parts(self.elements.basis, both)

    @cached_property
    def trace(self) -> list[tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]]:
        """Return columns X e^log at each state, as they have come there, and as they go on."""
        rates, vectors = np.linalg.eigh(self.inner)
        passive = self.elements.vectors
        X, logs, spread = self.elements.basis.T @ passive, np.zeros(passive.shape[1]), 0.0
        found = [((X, logs), (X, logs))]
        for i, (h, rate, V) in enumerate(zip(self.steps.tolist(), rates, vectors, strict=True)):
            reach = float(rate[-1] - rate[0]) * h
            if reach > MODE_FOLDINGS:
                X, grown = leap(V, rate * h, X)
            else:
                X, grown = V @ (np.exp((rate - rate[-1]) * h)[:, None] * (V.T @ X)), np.asarray(rate[-1] * h)
            logs, spread = logs + grown, spread + reach
            come = X, logs
            if spread > MODE_FOLDINGS:
                X, grown = graded(X, self.held[i + 1])
                logs, spread = logs + grown, 0.0
            found.append((come, (X, logs)))
        return found

    @cached_property
    def sizes(self) -> np.ndarray:
        """Return the logarithms of the lengths outside the active columns, at all states but the first."""
        X, logs = (np.array(each) for each in zip(*(come for come, _ in self.trace[1:]), strict=True))
        held = active_parts(self.elements.basis, self.states[1:])
        with np.errstate(divide="ignore"):
            return np.maximum(logs + np.log(np.linalg.norm(X - held @ (held.mT @ X), axis=1)), LEAST_LOG)


def largest(sizes: np.ndarray, way: float) -> np.ndarray:
    """Return the largest logarithms of lengths seen on the way, at least 0, the last ones as far as it leads."""
    if not len(sizes):
        return np.zeros(())
    sizes, before = sizes.copy(), sizes[-2] if len(sizes) > 1 else 0.0
    sizes[-1] = before + (way - len(sizes) + 1 if way < len(sizes) else 1.0) * (sizes[-1] - before)
    return np.asarray(np.maximum(sizes.max(axis=0), 0.0))


def on_the_way(path: np.ndarray, end: np.ndarray) -> float:
    """Return the number of steps, with a fraction, after which W has arrived at its end."""
    far = np.abs(path - end).max(axis=(1, 2)) / (NEAR_END * float(np.abs(end).max()))
    i = int(np.flatnonzero(far > 1.0).max(initial=-1))
    if i < 0 or i + 1 == len(far):
        return float(max(i, 0))
    return i + float(np.log(far[i]) / np.log(far[i] / max(far[i + 1], 1e-300)))


def active_parts(basis: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return orthonormal columns, some zero, that span the parts of given ones, (T, N, k), in a sector; (T, n, k)."""
    left, sizes, _ = np.linalg.svd(basis.T @ columns, full_matrices=False)
    least = DEPENDENT * np.linalg.norm(columns, 2, axis=(1, 2))
    return np.asarray(left * (sizes > least[:, None])[:, None, :])


def carried_together(elements: Sector, flows: np.ndarray, times: np.ndarray, states: np.ndarray, d1: int) -> Sector:
    """Return what ``Carried`` finds at the end, with the inner directions that come together in terms of one exponent.

    Raises ``MixingUnknown`` where these grow too differently, or the orbit is too long for it.
    """
    basis, count = elements.basis, len(elements.exponents)
    rates, vectors = np.linalg.eigh(basis.T @ flows @ basis)
    reach = (rates[:, -1] - rates[:, 0]) * np.diff(times)
    if float(reach.sum()) > MOST_FOLDINGS:
        raise MixingUnknown("terms of one exponent are not followed along an orbit as slow as this")
    same = np.abs(elements.exponents[:, None] - elements.exponents) <= SAME_EXPONENT
    X, shares = basis.T @ elements.vectors, np.eye(count)
    logs, most, spread = np.zeros(count), np.zeros(count), 0.0
    for i, (h, rate, V) in enumerate(zip(np.diff(times), rates, vectors, strict=True)):
        for _ in range(pieces := max(1, int(np.ceil(reach[i] / MODE_FOLDINGS)))):
            X = V @ (np.exp((rate - rate[-1]) * float(h) / pieces)[:, None] * (V.T @ X))
            logs, spread = logs + rate[-1] * float(h) / pieces, spread + reach[i] / pieces
            if spread > 0.5 * MODE_FOLDINGS or i == len(flows) - 1:
                held = spanned(basis, np.hstack([states[i + 1], mirrored(states[i + 1], d1)]))
                Q, R = np.linalg.qr(X - held @ (held.T @ X))
                sizes = np.maximum(np.abs(np.diag(R)), 1e-300)
                X, R = Q * np.sign(np.diag(R)), R * np.sign(np.diag(R))[:, None]
                ahead = np.exp(np.clip(logs[None, :] - logs[:, None], -700.0, 700.0))
                shares = np.where(same, R / sizes[:, None] * ahead, 0.0) @ shares
                logs, spread = logs + np.log(sizes), 0.0
                most = np.maximum(most, logs)
    gains = elements.gains + logs
    directions = blended(elements, elements.directions, shares)
    return replace(elements, vectors=basis @ X, directions=directions, gains=gains, peaks=elements.gains + most)


def leap(V: np.ndarray, growths: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return columns after a long time with constant modes V, each modulo the earlier ones, and how they grew.

    Each column keeps the mode that is then largest in it; the later ones are rid of that mode beforehand.
    """
    Y, logs = V.T @ X, np.zeros(X.shape[1])
    for i in range(X.shape[1]):
        sizes = np.log(np.maximum(np.abs(Y[:, i]), 1e-300)) + growths
        p = int(np.argmax(sizes))
        logs[i] = sizes[p]
        if Y[p, i] != 0.0:
            Y[:, i + 1 :] -= np.outer(Y[:, i], Y[p, i + 1 :] / Y[p, i])
            Y[p, i + 1 :] = 0.0
        Y[:, i] = np.sign(Y[:, i]) * np.exp(sizes - sizes[p])
    return V @ Y, logs


def graded(X: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return columns made orthonormal, each modulo those of ``held`` and those before it.

    The second result holds the logarithms of the lengths that are left.
    """
    X = X - held @ (held.T @ X)
    Q, R = np.linalg.qr(X)
    sizes = np.diag(R)
    return Q * np.where(sizes < 0.0, -1.0, 1.0), np.log(np.maximum(np.abs(sizes), 1e-300))


def orientations(basis: np.ndarray, d1: int, points: tuple[tuple[np.ndarray, np.ndarray], ...]) -> int | None:
    """Return the number of the element that cannot meet the last growing mode where an orbit ends; None if all do.

    Growing modes (u, -v) and active columns span a subspace on which the conserved form |a|^2 - |b|^2 vanishes: where
    it is as large as such a subspace can be, the graph of an orthogonal matrix. Where the determinant of that changes
    sign along the orbit, what is carried along and what it meets have no full set of overlaps: the last one vanishes.
    """
    if basis.shape[1] % 2:
        return None
    mirror = np.r_[np.ones(d1), -np.ones(len(basis) - d1)]
    K = basis.T @ (mirror[:, None] * basis)
    values, sides = np.linalg.eigh(K)
    half = len(K) // 2
    if not np.allclose(np.abs(values), 1.0) or int(np.sum(values > 0.0)) != half:
        return None
    signs, growing = [], 0
    for S, X in points:
        active = spanned(basis, X)
        rates, modes = modes_in(off_active(basis, X, d1), S)
        grow = modes[:, rates > 0.0]
        growing = grow.shape[1]
        L = np.hstack([active, basis.T @ grow])
        if L.shape[1] != half:
            return None
        signs.append(np.linalg.slogdet(sides[:, :half].T @ L)[0] * np.linalg.slogdet(sides[:, half:].T @ L)[0])
    return growing - 1 if signs[0] * signs[1] < 0.0 and growing else None


def turned(sector: Sector, S: np.ndarray, active: np.ndarray, d1: int) -> Sector:
    """Return a sector where the last element, if it arrives in a decaying direction alone, is seen in the growing one.

    The product of amplitudes in both directions is conserved, alpha^2: it grows from alpha^(2 - p). Where there are
    later elements, these take that mode themselves.
    """
    last = len(sector.exponents) - 1
    if sector.turned is None or sector.turned < last:
        return sector
    if sector.turned > last:
        return replace(sector, turned=None)
    rates, modes = modes_in(off_active(sector.basis, active, d1), S)
    grow = modes[:, rates > 0.0]
    taken = [each.vector for each in paired(rates[rates > 0.0], grow, sector.picked(np.arange(last)), 0)]
    left = grow - np.array(taken).reshape(-1, len(S)).T @ (np.array(taken).reshape(-1, len(S)) @ grow)
    return replace(
        sector,
        vectors=np.c_[sector.vectors[:, :last], np.linalg.svd(left)[0][:, 0]],
        exponents=np.r_[sector.exponents[:last], 2.0 - sector.exponents[last]],
        gains=np.r_[sector.gains[:last], -sector.gains[last]],
        peaks=np.r_[sector.peaks[:last], -sector.gains[last]],
        both=np.r_[sector.both[:last], True],
        turned=None,
    )
