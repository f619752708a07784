"""Bai et al. 2024, Figure 2: three partially observed matrices, their observation graphs and their kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gflow
from gflow.data import example
from gflow.plots import EntryStatus, draw_matrix, draw_observation_graph
from gflow.studies.study import Claim, Columns, Panel, Table

TITLE = "Bai et al. 2024, Figure 2: matrices and their observation graphs"
FORMULA = r"i \sim j \iff P_{ij} = 1, \; M_{ij} \ne 0"
SETTING = (
    "Vertices are rows and columns, edges the observed entries that are not zero; vertices without an edge are left "
    "out of the count of components. The kinds are computed twice: by components of the graph, and by the rank of "
    "its Laplacian."
)
KINDS = {"m1": "disconnected", "m2": "disconnected-complete-bipartite", "m3": "connected"}
PANELS = {
    name: Panel(
        f"The matrix {name.upper()} (left; hatched or empty where nothing is observed) and its observation graph.",
        f"The matrix {name.upper()} and its bipartite observation graph, which is {kind.replace('-', ', ')}.",
        figsize=(6.4, 2.9),
        grid=(1, 2),
    )
    for name, kind in KINDS.items()
}


@dataclass(frozen=True, slots=True)
class Config:
    """The matrices, by the names of their files; nothing here is random."""

    matrices: tuple[str, ...] = tuple(KINDS)
    seed: int = 0


QUICK = Config()


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The problems by name with their connectivity, and the number of components that the Laplacian's rank gives."""

    config: Config
    problems: Mapping[str, gflow.MatrixCompletion]
    graphs: Mapping[str, gflow.Connectivity]
    laplacian_components: Mapping[str, int]


def run(config: Config, *, jobs: int = 1) -> Result:
    """Return the matrices with their graphs."""
    problems = {name: example(name) for name in config.matrices}
    graphs = {name: gflow.connectivity(problem) for name, problem in problems.items()}
    return Result(config, problems, graphs, {name: _components(problem) for name, problem in problems.items()})


def _components(problem: gflow.MatrixCompletion) -> int:
    """Return the number of components with an edge: vertices that have one, less the rank of the Laplacian."""
    edges = (problem.values != 0).astype(float)
    adjacency = np.block([[np.zeros((len(edges),) * 2), edges], [edges.T, np.zeros((edges.shape[1],) * 2)]])
    degrees = adjacency.sum(axis=0)
    return int(np.count_nonzero(degrees) - np.linalg.matrix_rank(np.diag(degrees) - adjacency))


def claims(result: Result) -> Sequence[Claim]:
    """Return that every matrix is of the published kind and that both counts of components agree."""
    found = []
    for name, graphs in result.graphs.items():
        wrong = int(str(graphs.kind) != KINDS[name])
        reason = f"the graph is {graphs.kind}"
        found.append(Claim.bounded(f"{name}-kind", f"{name.upper()} is {KINDS[name]}", wrong, 0, 0, reason=reason))
        gap = abs(graphs.n_components - result.laplacian_components[name])
        statement = f"both counts of the components of {name.upper()} agree"
        found.append(Claim.bounded(f"{name}-components", statement, gap, 0, 0, reason=f"{graphs.n_components} found"))
    return found


def tables(result: Result) -> Sequence[Table]:
    """Return the kinds as a table."""
    rows = [
        [name.upper(), list(graphs.shape), graphs.n_observed, str(graphs.kind), graphs.n_components]
        for name, graphs in result.graphs.items()
    ]
    return [
        Table("kinds", "The matrices and their kinds.", ("matrix", "shape", "observed", "kind", "components"), rows)
    ]


def data(result: Result) -> Mapping[str, Columns]:
    """Return the observed entries of every matrix."""
    return {
        name: {"row": problem.rows + 1, "column": problem.columns + 1, "value": problem.targets}
        for name, problem in result.problems.items()
    }


def draw(result: Result, axes: Mapping[str, Any]) -> None:
    """Draw the matrices beside their graphs."""
    for name, (left, right) in ((name, np.ravel(pair)) for name, pair in axes.items()):
        problem, graphs = result.problems[name], result.graphs[name]
        statuses = np.where(problem.observed, EntryStatus.OBSERVED, EntryStatus.UNDECIDED)
        draw_matrix(problem.with_gaps(), statuses, left)
        entries = np.stack([problem.rows, problem.columns], axis=1)
        zero = problem.targets == 0
        parts = [(part.rows, part.columns) for part in graphs.components]
        draw_observation_graph(
            entries[~zero].tolist(), right, shape=problem.shape, zeros=entries[zero].tolist(), components=parts
        )
