"""Connectivity: the two graphs of a partially observed matrix, and the classes of masks under permutations.

The observation graph decides which theorem applies; the coupling graph decides how the flow decouples.
They differ only by observed zeros.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations_with_replacement, permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.checks import positive
from gflow.plain import plain
from gflow.problems import as_completion
from gflow.showing import Drawn, Tabular

if TYPE_CHECKING:
    import networkx as nx

FEW = 100
"""Graphs on up to so many vertices, and with up to so many edges, are searched edge by edge."""


class Kind(StrEnum):
    """The three kinds of data of Bai et al. 2024, Definitions 2 and 3."""

    CONNECTED = "connected"
    COMPLETE_BIPARTITE = "disconnected-complete-bipartite"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True, eq=False)
class Component:
    """A connected component of one of the two graphs.

    Attributes
    ----------
    rows, columns : tuples of int, ascending, never empty
        The rows and columns of M that the component joins, counted from 0.
    complete_bipartite : bool
        Whether each of its rows is joined to each of its columns by an edge of the graph it belongs to: in the
        observation graph, whether all its entries are observed and none of them is zero.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    complete_bipartite: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the component as a JSON-ready dictionary."""
        return plain(self, "rows columns complete_bipartite")

    def __repr__(self) -> str:
        complete = ", complete bipartite" if self.complete_bipartite else ""
        return f"Component(rows {list(self.rows)}, columns {list(self.columns)}{complete})"


@dataclass(frozen=True, slots=True, eq=False)
class Connectivity(Drawn, Tabular):
    """The components of both graphs of a problem; all indices count from 0.

    Attributes
    ----------
    shape : (d1, d2)
    n_observed : int
        Number of observed entries, zeros included.
    components : tuple of Component
        Components of the observation graph, by smallest row.
    coupling_components : tuple of Component
        Components of the coupling graph, by smallest row. The flow decouples exactly along them.
    """

    shape: tuple[int, int]
    n_observed: int
    components: tuple[Component, ...]
    coupling_components: tuple[Component, ...]

    @property
    def kind(self) -> Kind:
        """Return the kind of the data, by the components of the observation graph.

        Connected means exactly one component. All observed entries zero leave no component at all: that is
        disconnected, with complete bipartite components for want of any other. The statement for this kind then
        reads correctly: the minimum nuclear norm is the empty sum 0, reached by W = 0.
        Bai et al. 2024, Definitions 1-3.
        """
        if len(self.components) == 1:
            return Kind.CONNECTED
        complete = all(component.complete_bipartite for component in self.components)
        return Kind.COMPLETE_BIPARTITE if complete else Kind.DISCONNECTED

    @property
    def n_components(self) -> int:
        """Return the number of components of the observation graph; 0 if all observed entries are zero."""
        return len(self.components)

    @property
    def n_coupling_components(self) -> int:
        """Return the number of components of the coupling graph, at least 1."""
        return len(self.coupling_components)

    @property
    def unobserved_rows(self) -> tuple[int, ...]:
        """Return the rows without any observation: their part of theta never moves."""
        return _missing(self.shape[0], (component.rows for component in self.coupling_components))

    @property
    def unobserved_columns(self) -> tuple[int, ...]:
        """Return the columns without any observation: their part of theta never moves."""
        return _missing(self.shape[1], (component.columns for component in self.coupling_components))

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a JSON-ready dictionary."""
        return {
            **plain(self, "kind components"),
            "coupling_components": [plain(component, "rows columns") for component in self.coupling_components],
            **plain(self, "unobserved_rows unobserved_columns shape n_observed"),
        }

    def __repr__(self) -> str:
        size = f"{self.shape[0]} x {self.shape[1]}, {self.n_observed} observed"
        counts = f"components: {self.n_components}, coupling components: {self.n_coupling_components}"
        return f"Connectivity({self.kind}, {size}, {counts})"


def observation_graph(problem: Any) -> nx.Graph:
    """Return the bipartite graph G_M with an edge where M_ij is observed and non-zero.

    Nodes are ('row', i) with attribute bipartite=0 and ('column', j) with bipartite=1, counted from 0; isolated
    vertices are removed. It does not change when M is multiplied by s. Bai et al. 2024, Definition 1.
    """
    problem = as_completion(problem)
    nonzero = problem.targets != 0
    return _bipartite_graph(problem.rows[nonzero], problem.columns[nonzero])


def coupling_graph(problem: Any) -> nx.Graph:
    """Return the bipartite graph with an edge where M_ij is observed, zero or not.

    Nodes as in ``observation_graph``; rows and columns without observation are left out. The gradient flow
    decouples along its components, because only observed entries carry a residual.
    """
    problem = as_completion(problem)
    return _bipartite_graph(problem.rows, problem.columns)


def connectivity(problem: Any) -> Connectivity:
    """Return the components of both graphs of ``problem`` and, as ``.kind``, its class.

    Invariant under permutation of rows and columns (up to their names), transposition and rescaling of M.
    Bai et al. 2024, Definitions 1-3.
    """
    problem = as_completion(problem)
    nonzero = problem.targets != 0
    components = _components(problem.rows[nonzero], problem.columns[nonzero], problem.shape)
    coupling = components if nonzero.all() else _components(problem.rows, problem.columns, problem.shape)
    return Connectivity(problem.shape, problem.n_observed, components, coupling)


def mask_classes(d1: int, d2: int) -> Iterator[np.ndarray]:
    """Return an iterator over one mask of each class of non-empty d1 x d2 masks under row and column permutations.

    Parameters
    ----------
    d1, d2 : int
        Shape of the masks. The classes number 316 for 4 x 4 and 5623 for 5 x 5.

    Yields
    ------
    (d1, d2) bool array

    Raises
    ------
    ValueError
        If d1 or d2 is not a positive integer.

    A mask is a multiset of lines along its longer side; the multiset that comes first among its images under the
    permutations of the shorter side represents the class.
    """
    return _representatives(positive(d1, "d1"), positive(d2, "d2"))


def _representatives(d1: int, d2: int) -> Iterator[np.ndarray]:
    short, long = sorted((d1, d2))
    lines = (np.arange(2**short)[:, None] >> np.arange(short)) & 1
    images = [(lines[:, order] << np.arange(short)).sum(axis=1).tolist() for order in permutations(range(short))]
    multisets = combinations_with_replacement(range(2**short), long)
    next(multisets)  # the empty mask
    for multiset in multisets:
        if all(tuple(sorted([image[line] for line in multiset])) >= multiset for image in images):
            mask = lines[list(multiset)].astype(bool)
            yield mask if d1 == long else np.ascontiguousarray(mask.T)


def _bipartite_graph(rows: np.ndarray, columns: np.ndarray) -> nx.Graph:
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from((("row", i) for i in np.unique(rows).tolist()), bipartite=0)
    graph.add_nodes_from((("column", j) for j in np.unique(columns).tolist()), bipartite=1)
    graph.add_edges_from((("row", i), ("column", j)) for i, j in zip(rows.tolist(), columns.tolist(), strict=True))
    return graph


def _components(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> tuple[Component, ...]:
    """Return the components of the bipartite graph with these edges, by smallest row, in time O(edges + d1 + d2)."""
    d1, size = shape[0], sum(shape)
    labels = (_few_labels if max(len(rows), size) <= FEW else _labels)(rows, columns + d1, size)
    used = np.zeros(size, dtype=bool)
    used[rows], used[columns + d1] = True, True
    nodes = np.nonzero(used)[0]
    nodes = nodes[np.argsort(labels[nodes], kind="stable")]
    groups = np.split(nodes, np.nonzero(np.diff(labels[nodes]))[0] + 1) if len(nodes) else []
    n_edges = np.bincount(labels[rows], minlength=size)
    found = []
    for group in groups:
        at_rows, at_columns = group[group < d1], group[group >= d1] - d1
        complete = int(n_edges[labels[group[0]]]) == len(at_rows) * len(at_columns)
        found.append(Component(tuple(at_rows.tolist()), tuple(at_columns.tolist()), complete))
    return tuple(sorted(found, key=lambda component: component.rows[0]))


def _labels(tails: np.ndarray, heads: np.ndarray, size: int) -> np.ndarray:
    """Return a number for each of ``size`` vertices, equal for those that the edges connect, in O(log size) rounds.

    In each round the least number of a part becomes that of every part with an edge to it that had a larger one.
    """
    labels = np.arange(size)
    while len(tails):
        tails, heads = labels[tails], labels[heads]
        apart = tails != heads
        tails, heads = tails[apart], heads[apart]
        np.minimum.at(labels, np.maximum(tails, heads), np.minimum(tails, heads))
        while (labels[labels] != labels).any():
            labels = labels[labels]
    return labels


def _few_labels(tails: np.ndarray, heads: np.ndarray, size: int) -> np.ndarray:
    """Return the same with less overhead, in time O(edges + (d1 + d2)^2)."""
    labels = list(range(size))
    for tail, head in zip(tails.tolist(), heads.tolist(), strict=True):
        kept, dropped = labels[tail], labels[head]
        if kept != dropped:
            labels = [kept if label == dropped else label for label in labels]
    return np.array(labels)


def _missing(length: int, groups: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    present = {index for group in groups for index in group}
    return tuple(index for index in range(length) if index not in present)
