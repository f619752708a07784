"""The records of a landscape: its nodes, its arrows, and all of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gflow.certify import Certificate
from gflow.critical import PointKind, Spectrum
from gflow.landscape.levels import Level
from gflow.plain import plain, value_of
from gflow.showing import Drawn, Shown, Tabular

INFINITY = "infinity"
SEEN_FALL = 1e-12
"""A loss must fall along an arrow by more than this fraction of the largest loss, what rounding can hide."""


@dataclass(frozen=True, slots=True, eq=False)
class Node(Shown):
    """A critical orbit, or a valley in which the flow runs to infinity.

    Attributes
    ----------
    number : int
        Its place in ``Landscape.nodes``.
    rank : int or None
        Of W; None without a factorisation.
    value : float
        The loss; at infinity the lowest one that was reached.
    matrix : (d1, d2) array or None
        W, of one point where the orbit lies on a continuum; None without a model.
    theta : (dim,) array
        A point of the orbit in the model of full width, with balanced factors.
    kind : PointKind or None
        None at infinity.
    spectrum : Spectrum or None
        All eigenvalues of the Hessian at ``theta``, at full width; None at infinity.
    inside : (k (d1 + d2),) array
        Those of the model of width k, ascending; empty at the origin.
    outside : array
        Rates at which a new column grows, falling: 2 sigma_i(E) / n and their negatives. Each is an eigenvalue of
        -Hessian with multiplicity r - k.
    gauge : int
        Dimension of the GL(r) or O(r) orbit at full width.
    flat : int
        Dimension of the continuum in the model of rank k; 0 for an isolated orbit.
    omega : str
        ``Omega`` or ``sub-Omega``, where some coupling component is not active; "" where that means nothing.
    certificate : Certificate or None
        What ball arithmetic proves; None where it was not asked.
    found : dict
        How often each way of searching met the orbit.
    """

    number: int
    rank: int | None
    value: float
    matrix: np.ndarray | None
    theta: np.ndarray
    kind: PointKind | None
    spectrum: Spectrum | None
    inside: np.ndarray
    outside: np.ndarray
    index_inside: int
    index: int
    n_zero: int
    gauge: int
    flat: int
    omega: str = ""
    certificate: Certificate | None = None
    found: dict[str, int] = field(default_factory=dict)

    @property
    def at_infinity(self) -> bool:
        """Return whether this is a run to infinity and no orbit."""
        return self.kind is None

    @property
    def isolated(self) -> bool:
        """Return whether no other orbit of this rank lies nearby."""
        return not self.at_infinity and self.flat == 0

    @property
    def name(self) -> str:
        """Return the kind in words."""
        return INFINITY if self.kind is None else str(self.kind)

    def to_dict(self) -> dict[str, Any]:
        """Return the node for JSON."""
        return {
            **plain(self, "number rank value matrix"),
            "kind": self.name,
            "eigenvalues": None if self.spectrum is None else self.spectrum.values.tolist(),
            **plain(self, "inside outside index_inside index n_zero gauge flat omega certificate found"),
        }

    def __repr__(self) -> str:
        rank = "" if self.rank is None else f" rank={self.rank},"
        wide = f", continuum of dimension {self.flat}" if self.flat else ""
        return f"Node({self.number}, {self.name},{rank} value={self.value:.8g}, index={self.index}{wide})"


@dataclass(frozen=True, slots=True, eq=False)
class Arrow:
    """Where orbits of the flow that leave a node within one unstable class end, or on the border of two basins.

    Attributes
    ----------
    source, target : int
        Numbers of nodes.
    rate : float
        The growth rate, an eigenvalue of -Hessian.
    outside : bool
        Whether the class raises the rank (a new column), or lies inside the manifold of its rank.
    label : int
        Number of the class among those of its source, from the fastest.
    multiplicity : int
        Of the eigenvalue at full width.
    directions : int
        Dimension of the class up to the gauge: one, or more where the law over directions was sampled.
    share : float
        Fraction of the directions tried that end there: both signs, or samples of the sphere.
    border : bool
        Whether this is a separatrix between two classes, found by halving: then ``share`` is 0, and class and rate are
        those of the slower, along which the orbit begins.
    on_path : bool
        Whether the traversal from the origin takes it.
    """

    source: int
    target: int
    rate: float
    outside: bool
    label: int
    multiplicity: int
    directions: int
    share: float
    border: bool = False
    on_path: bool = False

    @property
    def start_dependent(self) -> bool:
        """Return whether the start decides, within the class, whether the flow comes here."""
        return self.share < 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return the arrow for JSON."""
        return plain(
            self, "source target rate outside label multiplicity directions share border start_dependent on_path"
        )

    def __repr__(self) -> str:
        way = "outside" if self.outside else "inside"
        return f"Arrow({self.source} -> {self.target}, {way}, rate={self.rate:.6g}, share={self.share:.3g})"


@dataclass(frozen=True, slots=True, eq=False)
class Landscape(Drawn, Tabular):
    """All critical orbits that were found, the connections between them, and how sure it is that none is missing.

    Attributes
    ----------
    shape : (d1, d2) or None
    width : int or None
        r; None without a factorisation.
    nodes : tuple of Node
        By rank and falling loss; runs to infinity last within their rank.
    arrows : tuple of Arrow
    path : tuple of int
        The nodes that the traversal from the origin passes, as ``saddle_to_saddle`` tells.
    path_status : str
        How that traversal ended; "" where there is none.
    levels : tuple of Level
    exhausted : bool
        Whether the search ended by itself; False where the time was over.
    notes : tuple of str
    """

    shape: tuple[int, int] | None
    width: int | None
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]
    path: tuple[int, ...]
    path_status: str
    levels: tuple[Level, ...]
    exhausted: bool
    notes: tuple[str, ...] = ()

    @property
    def orbits(self) -> tuple[Node, ...]:
        """Return the nodes that are critical orbits, without the runs to infinity."""
        return tuple(node for node in self.nodes if not node.at_infinity)

    def at_rank(self, rank: int | None) -> tuple[Node, ...]:
        """Return the critical orbits of one rank."""
        return tuple(node for node in self.orbits if node.rank == rank)

    def leaving(self, number: int) -> tuple[Arrow, ...]:
        """Return the arrows that leave a node, the fastest first."""
        return tuple(arrow for arrow in self.arrows if arrow.source == number)

    def reachable(self, number: int) -> tuple[int, ...]:
        """Return the nodes to which chains of arrows lead from a node.

        Where stable and unstable manifolds cross transversally each chain has an orbit of its own that follows it from
        its first node to its last (Palis 1969, the lambda-lemma); this is assumed and not tested.
        """
        found: set[int] = set()
        ahead = [number]
        while ahead:
            new = {arrow.target for arrow in self.leaving(ahead.pop())} - found
            found |= new
            ahead += new
        return tuple(sorted(found))

    @property
    def faults(self) -> tuple[str, ...]:
        """Return in words what in the record contradicts theory or itself: nothing in a sound one."""
        from gflow.landscape.completeness import faults

        return faults(self)

    @property
    def complete(self) -> bool:
        """Return whether it is proven that no orbit is missing, and nothing contradicts it."""
        return all(level.expected is not None for level in self.levels) and not self.faults

    @property
    def verdict(self) -> str:
        """Return ``complete``, ``contradicted`` or ``estimated``."""
        return "complete" if self.complete else "contradicted" if self.faults else "estimated"

    @property
    def greedy(self) -> bool | None:
        """Return whether the path leaves each of its nodes at the fastest rate; None without a path of two nodes."""
        steps = [self._step(*pair) for pair in zip(self.path, self.path[1:], strict=False)]
        if not steps or None in steps:
            return None
        return all(arrow is not None and arrow.label == 0 for arrow in steps)

    def _step(self, source: int, target: int) -> Arrow | None:
        found = [
            arrow for arrow in self.leaving(source) if arrow.target == target and arrow.outside and not arrow.border
        ]
        return found[0] if found else None

    def sentence(self) -> str:
        """Return in one sentence what is known of the completeness."""
        from gflow.landscape.completeness import sentence

        return sentence(self)

    def to_dict(self) -> dict[str, Any]:
        """Return nodes, arrows, path and completeness for JSON; numbers count from 0."""
        return {
            **plain(self, "shape width"),
            "complete": self.complete,
            "verdict": self.verdict,
            "completeness": self.sentence(),
            **plain(self, "faults levels exhausted path path_status greedy notes"),
            "nodes": value_of(self.nodes),
            "arrows": value_of(self.arrows),
        }

    def __repr__(self) -> str:
        ends = sum(node.at_infinity for node in self.nodes)
        more = f", {ends} run{'s' * (ends != 1)} to infinity" if ends else ""
        return f"Landscape({len(self.orbits)} orbits{more}, {len(self.arrows)} connections, {self.verdict})"
