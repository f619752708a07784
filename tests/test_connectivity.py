"""Tests of the observation graph, the coupling graph and the classes of masks."""

import json
import subprocess
import sys
from collections import Counter
from functools import cache
from importlib import import_module
from itertools import permutations, product
from math import comb, factorial, gcd, prod
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gflow.connectivity import Connectivity, connectivity, coupling_graph, mask_classes, observation_graph
from gflow.problems import MatrixCompletion

connectivity_module = import_module("gflow.connectivity")
"""The name ``gflow.connectivity`` is that of the function."""

GAP = np.nan
CONNECTED, COMPLETE, OTHER = "connected", "disconnected-complete-bipartite", "disconnected"

PUBLISHED = {
    "Fig 3": ([[4, 0.6, 1.8, 0.8], [6, 0.9, 2.7, GAP], [8, 2.2, 2.6, 1.6], [8, 2.7, 5.1, 3.6]], CONNECTED),
    "Fig 4": ([[1, GAP, 3], [GAP, 5, GAP], [3, GAP, 9]], COMPLETE),
    "M1": ([[1, 2, GAP], [3, GAP, GAP], [GAP, GAP, 5]], OTHER),
    "M2": ([[1, 2, GAP], [3, 4, GAP], [GAP, GAP, 5]], COMPLETE),
    "M3": ([[1, 2, GAP], [3, 4, GAP], [6, GAP, 5]], CONNECTED),
}

TABLE = {
    4: (620, 624, 576),
    5: (1968, 384, 2016),
    6: (5040, 232, 2736),
    7: (9664, 96, 1680),
    8: (12228, 66, 576),
    9: (11296, 0, 144),
    10: (7992, 16, 0),
} | {n: (comb(16, n), 0, 0) for n in range(11, 17)}
"""4 x 4 masks by number of observations: connected, disconnected with complete bipartite components, others."""


@cache
def permuted_codes(d1: int, d2: int) -> np.ndarray:
    """Return the flat positions of every row and column permutation of a d1 x d2 matrix, one per line."""
    cells = np.arange(d1 * d2).reshape(d1, d2)
    return np.array([cells[np.ix_(p, q)].ravel() for p in permutations(range(d1)) for q in permutations(range(d2))])


def orbit(mask: np.ndarray) -> np.ndarray:
    """Return the binary codes of the distinct images of a mask under row and column permutations."""
    images = mask.ravel()[permuted_codes(*mask.shape)]
    return np.unique(images @ (1 << np.arange(mask.size)))


def every_mask(d1: int, d2: int) -> np.ndarray:
    """Return all 2^(d1 d2) masks; the mask at position c has binary code c."""
    codes = np.arange(2 ** (d1 * d2))
    bits = (codes[:, None] >> np.arange(d1 * d2)) & 1
    return bits.astype(bool).reshape(-1, d1, d2)


def kinds_by_matrix_powers(masks: np.ndarray) -> np.ndarray:
    """Return the kind of each non-empty mask without any graph: rows reach each other through powers of P P^T."""
    P = masks.astype(np.float32)
    step = (P @ P.transpose(0, 2, 1) > 0).astype(np.float32)
    reach = np.linalg.matrix_power(step, masks.shape[1]) > 0
    active = P.sum(axis=2) > 0
    together = (reach | ~(active[:, :, None] & active[:, None, :])).all(axis=(1, 2))
    filled = (((reach.astype(np.float32) @ P) > 0) == masks).all(axis=(1, 2))
    return np.where(together, CONNECTED, np.where(filled, COMPLETE, OTHER))


def number_of_classes(d1: int, d2: int) -> int:
    """Return the number of non-empty mask classes by Burnside's lemma: the mean number of fixed masks, less one."""

    def cycle_types(d: int) -> list[list[int]]:
        return [[len(c) for c in nx.simple_cycles(nx.DiGraph(list(enumerate(p))))] for p in permutations(range(d))]

    fixed = sum(2 ** sum(gcd(a, b) for a, b in product(p, q)) for p in cycle_types(d1) for q in cycle_types(d2))
    return fixed // (factorial(d1) * factorial(d2)) - 1


def ones_on(mask: np.ndarray) -> MatrixCompletion:
    """Return the problem that observes a one wherever the mask is true."""
    return MatrixCompletion(np.ones(mask.shape), mask)


def blocks(components: object) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return components as a set of (rows, columns)."""
    return {(component.rows, component.columns) for component in components}  # type: ignore[attr-defined]


@st.composite
def gappy_matrices(draw: st.DrawFn) -> np.ndarray:
    """Return a matrix of gaps, observed zeros and small integers with at least one observed entry."""
    d1, d2 = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    entries = st.sampled_from([GAP, GAP, GAP, 0.0, -0.0, 1.0, -2.0, 3.0])
    values = draw(st.lists(entries, min_size=d1 * d2, max_size=d1 * d2).filter(lambda row: not np.isnan(row).all()))
    return np.array(values).reshape(d1, d2)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_matrices_have_their_published_kind(name: str) -> None:
    values, kind = PUBLISHED[name]
    assert connectivity(MatrixCompletion(values)).kind == kind


def test_the_components_of_figure_4_are_the_two_published_blocks() -> None:
    found = connectivity(MatrixCompletion(PUBLISHED["Fig 4"][0]))
    assert [(c.rows, c.columns, c.complete_bipartite) for c in found.components] == [
        ((0, 2), (0, 2), True),
        ((1,), (1,), True),
    ]
    assert found.n_components == found.n_coupling_components == 2


def test_every_mask_of_a_3_x_3_matrix_is_classified_as_published() -> None:
    counts: Counter[tuple[int, str]] = Counter()
    masks = every_mask(3, 3)[1:]
    kinds = [connectivity(ones_on(mask)).kind for mask in masks]
    counts.update((int(mask.sum()), str(kind)) for mask, kind in zip(masks, kinds, strict=True))
    table = {n: tuple(counts[n, kind] for kind in (CONNECTED, COMPLETE, OTHER)) for n in range(4, 10)}
    assert table == {4: (81, 9, 36), 5: (117, 9, 0)} | {n: (comb(9, n), 0, 0) for n in range(6, 10)}
    assert kinds == kinds_by_matrix_powers(masks).tolist()


def test_every_mask_of_a_4_x_4_matrix_is_classified_as_published() -> None:
    counts: Counter[tuple[int, str]] = Counter()
    oracle = kinds_by_matrix_powers(every_mask(4, 4)[1:])
    for mask in mask_classes(4, 4):
        members, kind = orbit(mask), connectivity(ones_on(mask)).kind
        counts[int(mask.sum()), str(kind)] += len(members)
        assert (oracle[members - 1] == kind).all(), mask
    assert {n: tuple(counts[n, kind] for kind in (CONNECTED, COMPLETE, OTHER)) for n in TABLE} == TABLE
    assert {n: sum(counts[n, kind] for kind in (CONNECTED, COMPLETE, OTHER)) for n in range(1, 17)} == {
        n: comb(16, n) for n in range(1, 17)
    }


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 1), (2, 2), (2, 3), (3, 2), (3, 3), (2, 5), (3, 4), (4, 4)])
def test_the_mask_classes_partition_the_non_empty_masks(shape: tuple[int, int]) -> None:
    masks = list(mask_classes(*shape))
    assert all(mask.shape == shape and mask.dtype == bool and mask.flags.c_contiguous for mask in masks)
    assert len(masks) == number_of_classes(*shape)
    codes = np.concatenate([orbit(mask) for mask in masks])
    assert np.array_equal(np.sort(codes), np.arange(1, 2 ** prod(shape)))


def test_the_4_x_4_masks_fall_into_316_classes_of_65535_members() -> None:
    sizes = [len(orbit(mask)) for mask in mask_classes(4, 4)]
    assert (len(sizes), sum(sizes)) == (316, 65535)
    assert number_of_classes(4, 4) == 316


def test_every_component_of_a_complete_mask_is_complete_bipartite() -> None:
    found = connectivity(ones_on(np.ones((3, 5), dtype=bool)))
    assert found.kind == CONNECTED
    assert [(c.rows, c.columns, c.complete_bipartite) for c in found.components] == [((0, 1, 2), tuple(range(5)), True)]


def test_an_observed_zero_couples_but_is_no_edge_of_the_observation_graph() -> None:
    problem = MatrixCompletion([[0, 1], [2, GAP]])
    found = connectivity(problem)
    assert found.kind == COMPLETE
    assert blocks(found.components) == {((0,), (1,)), ((1,), (0,))}
    assert blocks(found.coupling_components) == {((0, 1), (0, 1))}
    assert not found.coupling_components[0].complete_bipartite
    assert set(observation_graph(problem).edges) == {(("row", 0), ("column", 1)), (("row", 1), ("column", 0))}
    assert coupling_graph(problem).has_edge(("row", 0), ("column", 0))


def test_completeness_asks_for_non_zero_entries_not_only_for_observed_ones() -> None:
    found = connectivity(MatrixCompletion([[0, 1, GAP], [2, 3, GAP], [GAP, GAP, 4]]))
    assert found.kind == OTHER
    assert [component.complete_bipartite for component in found.components] == [False, True]
    assert [component.complete_bipartite for component in found.coupling_components] == [True, True]


def test_a_row_that_shows_only_zeros_is_observed_but_isolated_in_the_observation_graph() -> None:
    problem = MatrixCompletion([[1, GAP, GAP], [0, GAP, GAP], [GAP, GAP, GAP]])
    found = connectivity(problem)
    assert found.kind == CONNECTED
    assert blocks(found.components) == {((0,), (0,))}
    assert blocks(found.coupling_components) == {((0, 1), (0,))}
    assert (found.unobserved_rows, found.unobserved_columns) == ((2,), (1, 2))
    assert ("row", 1) not in observation_graph(problem)
    assert ("row", 1) in coupling_graph(problem)
    assert ("row", 2) not in coupling_graph(problem)


def test_all_zero_data_have_no_component_and_count_as_disconnected_with_complete_components() -> None:
    problem = MatrixCompletion([[0, 0, GAP], [GAP, 0, GAP]])
    found = connectivity(problem)
    assert found.kind == COMPLETE
    assert (found.components, found.n_components) == ((), 0)
    assert len(observation_graph(problem)) == 0
    assert blocks(found.coupling_components) == {((0, 1), (0, 1))}
    assert found.unobserved_columns == (2,)


def test_the_smallest_entry_above_zero_is_an_edge() -> None:
    assert connectivity(MatrixCompletion([[1.0, 5e-324]])).components[0].columns == (0, 1)
    assert connectivity(MatrixCompletion([[1.0, -0.0]])).components[0].columns == (0,)


def test_the_graphs_are_bipartite_with_the_documented_nodes() -> None:
    graph = coupling_graph(MatrixCompletion(PUBLISHED["M1"][0]))
    assert nx.is_bipartite(graph)
    assert dict(graph.nodes(data="bipartite")) == {
        (side, index): part for part, side in enumerate(("row", "column")) for index in range(3)
    }
    assert all(type(index) is int for _, index in graph)


def test_the_dictionary_of_a_record_is_exactly_the_documented_json() -> None:
    record = connectivity(MatrixCompletion([[0, 1, GAP], [2, GAP, GAP], [GAP, GAP, GAP]]))
    assert json.loads(json.dumps(record.to_dict())) == {
        "kind": "disconnected-complete-bipartite",
        "components": [
            {"rows": [0], "columns": [1], "complete_bipartite": True},
            {"rows": [1], "columns": [0], "complete_bipartite": True},
        ],
        "coupling_components": [{"rows": [0, 1], "columns": [0, 1]}],
        "unobserved_rows": [2],
        "unobserved_columns": [2],
        "shape": [3, 3],
        "n_observed": 3,
    }
    assert type(record.to_dict()["kind"]) is str


def test_records_cannot_be_changed_and_show_their_content() -> None:
    found = connectivity(MatrixCompletion(PUBLISHED["Fig 4"][0]))
    with pytest.raises(AttributeError):
        found.components = ()  # type: ignore[misc]
    assert repr(found) == (
        "Connectivity(disconnected-complete-bipartite, 3 x 3, 5 observed, components: 2, coupling components: 2)"
    )
    assert repr(found.components[0]) == "Component(rows [0, 2], columns [0, 2], complete bipartite)"


@settings(deadline=None, max_examples=200)
@given(matrix=gappy_matrices())
def test_components_partition_the_vertices_and_hold_every_edge(matrix: np.ndarray) -> None:
    problem = MatrixCompletion(matrix)
    found = connectivity(problem)
    for components, edges in (
        (found.components, problem.observed & (problem.values != 0)),
        (found.coupling_components, problem.observed),
    ):
        covered = np.zeros(problem.shape, dtype=int)
        for component in components:
            covered[np.ix_(component.rows, component.columns)] += 1
            assert component.complete_bipartite == edges[np.ix_(component.rows, component.columns)].all()
        assert (covered[edges] == 1).all()
        for axis, name in ((1, "rows"), (0, "columns")):
            members = [index for component in components for index in getattr(component, name)]
            assert sorted(members) == np.flatnonzero(edges.any(axis=axis)).tolist()
        firsts = [component.rows[0] for component in components]
        assert firsts == sorted(firsts)
    assert found.unobserved_rows == tuple(np.flatnonzero(~problem.observed.any(axis=1)).tolist())
    assert found.unobserved_columns == tuple(np.flatnonzero(~problem.observed.any(axis=0)).tolist())


@settings(deadline=None, max_examples=200)
@given(matrix=gappy_matrices())
def test_every_component_of_the_observation_graph_lies_in_one_coupling_component(matrix: np.ndarray) -> None:
    found = connectivity(MatrixCompletion(matrix))
    for component in found.components:
        homes = [c for c in found.coupling_components if set(component.rows) & set(c.rows)]
        assert len(homes) == 1
        assert set(component.rows) <= set(homes[0].rows)
        assert set(component.columns) <= set(homes[0].columns)
    if not (matrix == 0).any():
        assert blocks(found.components) == blocks(found.coupling_components)


@settings(deadline=None, max_examples=100)
@given(size=st.integers(1, 40), data=st.data())
def test_large_graphs_have_the_parts_that_small_ones_have(size: int, data: st.DataObject) -> None:
    vertex = st.integers(0, size - 1)
    edges = data.draw(st.lists(st.tuples(vertex, vertex), max_size=60))
    tails, heads = np.array(edges, dtype=int).reshape(-1, 2).T
    labels = connectivity_module._labels(tails, heads, size).tolist()
    graph = nx.empty_graph(size)
    graph.add_edges_from(edges)
    parts = [{i for i in range(size) if labels[i] == label} for label in set(labels)]
    assert sorted(map(sorted, parts)) == sorted(map(sorted, nx.connected_components(graph)))


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_long_path_is_one_part_after_few_rounds(shuffled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    way, rounds = np.arange(20_000), []
    way = np.random.default_rng(0).permutation(way) if shuffled else way
    maximum = np.maximum
    monkeypatch.setattr(np, "maximum", lambda *arrays: rounds.append(1) or maximum(*arrays))
    assert not connectivity_module._labels(way[:-1], way[1:], len(way)).any()
    assert len(rounds) <= np.log2(len(way)) + 1


@settings(deadline=None, max_examples=200)
@given(matrix=gappy_matrices(), data=st.data())
def test_connectivity_follows_permutations_of_rows_and_columns(matrix: np.ndarray, data: st.DataObject) -> None:
    d1, d2 = matrix.shape
    rows, columns = data.draw(st.permutations(range(d1))), data.draw(st.permutations(range(d2)))
    found = connectivity(MatrixCompletion(matrix))
    moved = connectivity(MatrixCompletion(matrix[np.ix_(rows, columns)]))
    assert moved.kind == found.kind
    for name in ("components", "coupling_components"):
        back = {
            (tuple(sorted(rows[i] for i in component.rows)), tuple(sorted(columns[j] for j in component.columns)))
            for component in getattr(moved, name)
        }
        assert back == blocks(getattr(found, name))


@settings(deadline=None, max_examples=200)
@given(matrix=gappy_matrices())
def test_transposing_exchanges_rows_and_columns(matrix: np.ndarray) -> None:
    problem = MatrixCompletion(matrix)
    found, flipped = connectivity(problem), connectivity(problem.transpose)
    assert flipped.kind == found.kind
    assert (flipped.unobserved_rows, flipped.unobserved_columns) == (found.unobserved_columns, found.unobserved_rows)
    for name in ("components", "coupling_components"):
        assert {(columns, rows) for rows, columns in blocks(getattr(flipped, name))} == blocks(getattr(found, name))


@pytest.mark.parametrize("density", [0.04, 0.1, 0.3])
def test_few_edges_are_searched_as_many_are(density: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    problems = [MatrixCompletion(np.where(rng.random((12, 15)) < density, 1.0, GAP)) for _ in range(30)]
    few = [connectivity(problem).to_dict() for problem in problems]
    monkeypatch.setattr(sys.modules[connectivity.__module__], "FEW", 0)
    assert [connectivity(problem).to_dict() for problem in problems] == few


@settings(deadline=None, max_examples=100)
@given(matrix=gappy_matrices(), factor=st.sampled_from([-1.0, 0.5, 3.0, 1e-140, 1e140]))
def test_rescaling_the_data_changes_nothing(matrix: np.ndarray, factor: float) -> None:
    problem = MatrixCompletion(matrix)
    assert connectivity(problem.rescaled(factor)).to_dict() == connectivity(problem).to_dict()


@pytest.mark.parametrize("shape", [(0, 2), (2, -1), (2.0, 2), (2, True), ("2", 2)])
def test_mask_classes_of_an_impossible_shape_are_refused_at_the_call(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be a positive integer; got"):
        mask_classes(*shape)


def test_networkx_is_loaded_only_when_a_graph_is_built() -> None:
    program = "import sys, gflow.connectivity; sys.exit('networkx' in sys.modules)"
    root = Path(__file__).resolve().parents[1]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0


def wrong_by_observed_zeros(problem: MatrixCompletion) -> Connectivity:
    """Return the connectivity that takes every observed entry, zero or not, for an edge."""
    return connectivity(ones_on(problem.observed))


def test_taking_observed_zeros_for_edges_would_change_the_class() -> None:
    problem = MatrixCompletion([[0, 1], [2, GAP]])
    assert wrong_by_observed_zeros(problem).kind == CONNECTED
    assert connectivity(problem).kind != CONNECTED


def test_forgetting_column_permutations_would_break_the_count_of_classes() -> None:
    def sorted_rows(mask: np.ndarray) -> tuple[bytes, ...]:
        return tuple(sorted(row.tobytes() for row in mask))

    by_rows_alone = {sorted_rows(mask) for mask in every_mask(3, 3)[1:]}
    assert len(by_rows_alone) == comb(2**3 + 2, 3) - 1
    assert len(by_rows_alone) > number_of_classes(3, 3) == 35


def test_keeping_isolated_vertices_would_break_the_published_table() -> None:
    active = [mask.any(axis=0).all() and mask.any(axis=1).all() for mask in every_mask(3, 3)]
    connected = kinds_by_matrix_powers(every_mask(3, 3)) == CONNECTED
    sizes = every_mask(3, 3).sum(axis=(1, 2))
    assert np.sum(connected & (sizes == 4)) == 81
    assert np.sum(connected & (sizes == 4) & active) == 0
