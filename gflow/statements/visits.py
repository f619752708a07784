"""The critical points of the whole matrix that an alpha -> 0 limit passes, merged from the chains of its components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import gflow

SAME_ARRIVAL = 1e-9
"""Arrivals of two components within this fraction of their time are one."""


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """A critical point of the whole matrix, in the units of the matrix.

    Attributes
    ----------
    saddles : tuple of gflow.Saddle
        One for each coupling component.
    loss : float
        Scales as s^2 when M is multiplied by s.
    arrival : float
        Time of arrival in units of log(1/alpha).
    together : int
        Components that arrive here at the same time, 0 at the origin. More than one: which of them is first depends on
        the start, by a time that does not grow with log(1/alpha), and no point in between is visited.
    """

    saddles: tuple[gflow.Saddle, ...]
    loss: float
    arrival: float
    together: int

    @property
    def rank(self) -> int:
        """Return k, the sum of the ranks of the components."""
        return sum(saddle.rank for saddle in self.saddles)

    def theta(self, model: gflow.Factorization, rng: np.random.Generator) -> np.ndarray:
        """Return it as a point of the whole model: each component's factors along its own random frame.

        A single component takes the first inner directions.
        """
        if len(self.saddles) == 1:
            return self.saddles[0].embed(model)
        A, B = np.zeros((model.shape[0], model.rank)), np.zeros((model.rank, model.shape[1]))
        for saddle in self.saddles:
            Q = np.linalg.qr(rng.standard_normal((model.rank, model.rank)))[0][:, : saddle.rank]
            A[list(saddle.rows)], B[:, list(saddle.columns)] = saddle.A @ Q.T, Q @ saddle.B
        return model.theta(A, B)

    def __repr__(self) -> str:
        both = f", {self.together} components at once" if self.together > 1 else ""
        return f"Visit(rank {self.rank}, loss={self.loss:.8g}, at {self.arrival:.4g} log(1/alpha){both})"


def visits(traversal: gflow.Traversal) -> tuple[Visit, ...]:
    """Return the points that the limit passes, from the origin on, in the order of their arrival.

    Where a chain does not reach its end, or by a way through infinity, the list stops when that component leaves its
    last known saddle before.
    """
    if not traversal.chains:
        return ()
    events, stop = [], np.inf
    for number, chain in enumerate(traversal.chains):
        time = 0.0
        known = chain.saddles if chain.infinite is None else chain.saddles[: chain.infinite + 1]
        for saddle in known[:-1]:
            time += saddle.plateau_time or 0.0
            events.append((time, number))
        if chain.status is not gflow.TraversalStatus.CONVERGED or chain.infinite is not None:
            stop = min(stop, time + (known[-1].plateau_time or 0.0))
    places = [0] * len(traversal.chains)
    found = [_visit(traversal, places, 0.0, 0)]
    events = sorted(event for event in events if event[0] <= stop)
    for place, (time, number) in enumerate(events):
        places[number] += 1
        if place + 1 < len(events) and events[place + 1][0] - time <= SAME_ARRIVAL * time:
            continue
        together = sum(time - former <= SAME_ARRIVAL * time for former, _ in events[: place + 1])
        found.append(_visit(traversal, places, time, together))
    return tuple(found)


def _visit(traversal: gflow.Traversal, places: list[int], arrival: float, together: int) -> Visit:
    saddles = tuple(chain.saddles[place] for chain, place in zip(traversal.chains, places, strict=True))
    return Visit(saddles, float(sum(saddle.loss for saddle in saddles)), arrival, together)
