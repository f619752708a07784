"""The landscape: every critical orbit, its spectrum, the connections, and claims of completeness that can fail."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache, reduce
from itertools import combinations
from math import comb
from pathlib import Path

import autograd.numpy as anp
import numpy as np
import pytest

import gflow
from gflow.cli import main
from gflow.critical import Spectrum
from gflow.landscape import arrows
from gflow.landscape.corank_one import corank_one_points
from gflow.landscape.exclusion import isolated_roots
from gflow.landscape.intervals import Interval, Jet
from gflow.landscape.rank_one import NotCounted, rank_one_points
from gflow.landscape.search import symmetries
from gflow.report.landscapes import landscape_claims, landscape_report

GAP = [[1.0, 2.0], [3.0, np.nan]]


@pytest.fixture(scope="module")
def full() -> gflow.Landscape:
    """The landscape of diag(8, 4, 2, 1), turned: its orbits are the subsets of four singular pairs."""
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.standard_normal((4, 4)))[0] for _ in "UV")
    return gflow.landscape(U * [8.0, 4.0, 2.0, 1.0] @ V)


@pytest.fixture(scope="module")
def gap() -> gflow.Landscape:
    return gflow.landscape(GAP)


def subset(found: gflow.Landscape, node: gflow.Node) -> frozenset[int]:
    """Return which of the singular values 8, 4, 2, 1 a node holds."""
    assert node.matrix is not None
    sizes = np.linalg.svd(node.matrix, compute_uv=False)
    return frozenset(round(size) for size in sizes if size > 0.5)


def test_a_fully_observed_matrix_has_one_orbit_for_every_choice_of_singular_pairs(full: gflow.Landscape) -> None:
    chosen = {subset(full, node): node for node in full.orbits}
    assert len(full.orbits) == len(chosen) == 16 and full.complete and full.nodes == full.orbits
    assert [len(full.at_rank(k)) for k in range(5)] == [comb(4, k) for k in range(5)]
    for held, node in chosen.items():
        missing = {1, 2, 4, 8} - held
        inside = sum(s > h for s in missing for h in held)
        assert (node.index_inside, node.index) == (inside, inside + (4 - len(held)) * len(missing))
        assert node.value == pytest.approx(sum(s**2 for s in missing) / 16, abs=1e-12)
        assert node.isolated and node.n_zero == node.gauge


def test_its_connections_add_a_pair_or_exchange_one_for_a_larger(full: gflow.Landscape) -> None:
    found = {(subset(full, full.nodes[a.source]), subset(full, full.nodes[a.target])): a for a in full.arrows}
    expected = {}
    for size in range(4):
        for held in map(frozenset, combinations((1, 2, 4, 8), size)):
            for s in {1, 2, 4, 8} - held:
                expected[held, held | {s}] = 2 * s / 16
                expected |= {(held, held - {h} | {s}): 2 * (s - h) / 16 for h in held if h < s}
    assert found.keys() == expected.keys() and len(full.arrows) == len(found)
    assert all(found[pair].rate == pytest.approx(rate, rel=1e-8) for pair, rate in expected.items())
    assert all(arrow.share == 1.0 for arrow in full.arrows)


def leads(held: frozenset[int], other: frozenset[int]) -> bool:
    """Return whether the flow connects two choices of singular pairs of a fully observed matrix.

    For balanced factors Z = [A; B^T] is Oja's flow: its column space V moves by exp(t M), towards the leading positions
    T of V as t grows and towards the last positions S of the kernel of its normalisation, a subspace V_0 of dimension
    |S|, as t falls. V_0 has first positions T_0 and last ones S for some V_0 if and only if T_0 is at least S, entry by
    entry in falling order, and the first positions of V hold T_0. So it is asked of the largest |S| of T.
    """
    one, two = sorted(held)[::-1], sorted(other)[::-1]
    return held != other and len(two) >= len(one) and all(t >= h for h, t in zip(one, two, strict=False))


def test_chains_of_connections_lead_to_all_that_theory_connects(full: gflow.Landscape) -> None:
    sets = [subset(full, node) for node in full.nodes]
    for node, held in zip(full.nodes, sets, strict=True):
        reached = {sets[n] for n in full.reachable(node.number)}
        assert reached == {other for other in sets if leads(held, other)}
    assert all(full.nodes[a.source].index > full.nodes[a.target].index for a in full.arrows)


@pytest.mark.parametrize(("held", "other"), [({1}, {8, 4}), ({2, 1}, {8, 4}), ({2, 1}, {8, 4, 1})])
def test_theory_connects_two_choices_by_an_orbit_of_the_flow(held: set[int], other: set[int]) -> None:
    """V = V_0 + W: V_0 is spanned by e_s + e_t, pair by pair, and W by vectors of what else is held."""
    order, sizes = (8, 4, 2, 1), np.diag([8.0, 4.0, 2.0, 1.0])
    e = {s: np.eye(4)[n] for n, s in enumerate(order)}
    pairs = list(zip(sorted(held)[::-1], sorted(other)[::-1], strict=False))
    V0 = [e[s] + (1e-4 * e[t] if s != t else 0.0) for s, t in pairs]
    more = [e[t] for t in sorted(other)[::-1][len(pairs) :]]
    U = np.stack([np.sqrt(s) * v for (s, _), v in zip(pairs, V0, strict=True)] + [1e-6 * v for v in more], axis=1)
    objective = gflow.Objective.of(gflow.MatrixCompletion(sizes), gflow.Factorization((4, 4), U.shape[1]))
    path = gflow.gradient_flow(objective, np.concatenate([U.ravel(), U.T.ravel()]))
    end = gflow.Factorization((4, 4), U.shape[1]).output(path.final)
    assert frozenset(round(x) for x in np.linalg.svd(end, compute_uv=False) if x > 0.5) == frozenset(other)
    assert leads(frozenset(held), frozenset(other)) and not leads(frozenset(other), frozenset(held))


def test_the_path_of_a_fully_observed_matrix_takes_the_largest_pairs_first(full: gflow.Landscape) -> None:
    assert [subset(full, full.nodes[n]) for n in full.path] == [
        {8, 4, 2, 1} - {2**n for n in range(4 - k)} for k in range(5)
    ]
    assert full.greedy


def test_two_by_two_with_one_gap_has_the_orbits_of_its_closed_form(gap: gflow.Landscape) -> None:
    """Rank one: the completion, and a residual that is the first row or the first column of the data."""
    assert gap.complete
    assert sorted(node.value for node in gap.at_rank(1)) == pytest.approx([0.0, 5.0 / 3.0, 10.0 / 3.0], abs=1e-12)
    assert [len(gap.at_rank(k)) for k in (0, 1, 2)] == [1, 3, 1]
    assert gap.at_rank(2)[0].flat == 1 and all(node.isolated for node in gap.at_rank(1))
    limit = gflow.saddle_to_saddle(gflow.MatrixCompletion(GAP))
    assert [gap.nodes[n].value for n in gap.path] == pytest.approx([s.loss for s in limit.saddles], abs=1e-12)


def test_a_run_to_infinity_is_a_node(gap: gflow.Landscape) -> None:
    """Where W_22 grows, the entry 1 is given up: the loss tends to 1/3."""
    (run,) = (node for node in gap.nodes if node.at_infinity)
    assert run.rank == 1 and run.value == pytest.approx(1.0 / 3.0, rel=2e-2) and run.value > 1.0 / 3.0
    assert any(arrow.target == run.number for arrow in gap.arrows) and not gap.leaving(run.number)


def without(found: gflow.Landscape, number: int) -> gflow.Landscape:
    """Return a landscape that has lost a node."""
    kept = [node for node in found.nodes if node.number != number]
    new = {node.number: n for n, node in enumerate(kept)}
    arrows = tuple(
        replace(a, source=new[a.source], target=new[a.target]) for a in found.arrows if {a.source, a.target} <= {*new}
    )
    path = tuple(new[n] for n in found.path if n in new)
    return replace(found, nodes=tuple(replace(n, number=new[n.number]) for n in kept), arrows=arrows, path=path)


def test_a_lost_node_turns_the_claim_of_completeness_red(gap: gflow.Landscape, full: gflow.Landscape) -> None:
    for found in (gap, full):
        verdicts = [str(claim.verdict) for claim in landscape_claims(found)]
        assert verdicts == ["holds", "holds"]
        for node in found.orbits:
            lost = without(found, node.number)
            assert not lost.complete and lost.verdict == "contradicted" and f"rank {node.rank}" in lost.sentence()
            assert [str(claim.verdict) for claim in landscape_claims(lost)] == ["contradicted", "contradicted"]


@pytest.mark.parametrize("bent", ["eigenvalue", "index", "certificate", "loss", "gauge", "path"])
def test_a_wrong_spectrum_turns_it_red(gap: gflow.Landscape, bent: str) -> None:
    node = gap.at_rank(1)[0]
    assert node.spectrum is not None and node.certificate is not None
    values = node.spectrum.values.copy()
    values[0] *= 1.5
    wrong = {
        "eigenvalue": replace(node, spectrum=Spectrum(values, node.spectrum.vectors, True, node.spectrum.norm)),
        "index": replace(node, index=node.index - 1),
        "certificate": replace(node, certificate=replace(node.certificate, inside_negative=5)),
        "loss": replace(node, value=0.0),
        "gauge": replace(node, n_zero=0),
        "path": node,
    }[bent]
    path = (0, node.number, *gap.path[1:]) if bent == "path" else gap.path
    nodes = tuple(wrong if each is node else each for each in gap.nodes)
    planted = replace(gap, nodes=nodes, path=path)
    assert not planted.complete and planted.verdict == "contradicted" and "node" in planted.sentence()


@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3, 2)])
def test_weighted_points_of_rank_one_are_the_real_roots_of_the_polynomial(shape: tuple[int, int]) -> None:
    """Their complex number is 6 for 2 x 2 and 10 for 2 x 3 (Ottaviani, Spaenlehauer and Sturmfels 2014)."""
    rng = np.random.default_rng(3)
    weights, values = rng.integers(1, 9, shape) / 4.0, rng.integers(-16, 17, shape) / 8.0
    w, m = (weights, values) if shape[0] == 2 else (weights.T, values.T)
    slope = np.poly1d([0.0])
    for j in range(w.shape[1]):
        (u, v), (m1, m2) = w[:, j], m[:, j]
        rest = [np.poly1d([w[1, k], 0.0, w[0, k]]) ** 2 for k in range(w.shape[1]) if k != j]
        slope = reduce(np.polymul, rest, np.poly1d([v * m2, u * m1]) * np.poly1d([-u * v * m1, u * v * m2])) + slope
    roots = np.roots(slope)
    assert len(roots) == {4: 6, 6: 10}[values.size]
    real = int(np.sum(np.abs(roots.imag) < 1e-7))
    assert len(rank_one_points(m, w)) == real


def test_weighted_three_by_three_has_no_more_points_than_complex_ones_and_the_euler_characteristic_of_the_plane() -> (
    None
):
    """Thirty-nine complex ones: Ottaviani, Spaenlehauer and Sturmfels 2014; of real ones an odd number."""
    rng = np.random.default_rng(1)
    weights, values = rng.integers(1, 64, (3, 3)) / 8.0, rng.integers(-16, 17, (3, 3)) / 8.0
    found = rank_one_points(values, weights)
    assert 3 <= len(found) <= 39 and len(found) % 2 == 1
    for point in found:
        G = weights * (point.matrix - values)
        assert np.abs(G @ point.matrix.T).max() < 1e-10 and np.abs(point.matrix.T @ G).max() < 1e-10


def test_points_of_rank_one_and_of_corank_one_agree_where_they_meet() -> None:
    M, P = np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([[True, True], [True, False]])
    one = sorted(np.sum(((p.matrix - M) * P) ** 2) for p in rank_one_points(M, P.astype(float)))
    closed = sorted(np.sum(((W - M) * P) ** 2) for W, _ in corank_one_points(M, P))
    assert one == pytest.approx([0.0, *closed], abs=1e-12)


def test_what_is_not_isolated_is_not_counted() -> None:
    """Two blocks without a common row or column: their fits of rank one have a free scale."""
    with pytest.raises(NotCounted, match="isolated"):
        rank_one_points(np.array([[1.0, 0.0], [0.0, 5.0]]), np.eye(2))
    with pytest.raises(NotCounted, match="equal singular values"):
        corank_one_points(np.eye(2), np.ones((2, 2), dtype=bool))


def test_excluded_boxes_hold_no_root_and_a_continuum_is_no_proof() -> None:
    def wave(box: list[Interval]) -> Jet:  # x^4 / 4 - x^2 / 8: critical at 0 and +-1/2
        x = Jet.variable(0, box)
        square = x.squared()
        return square.squared().scaled(0.25) + square.scaled(-0.125)

    roots = isolated_roots(wave, 1)
    assert roots is not None
    assert sorted(float(root.box[0].low[0]) for root in roots) == pytest.approx([-0.5, 0.0, 0.5], abs=1e-12)
    assert sum(root.sign for root in roots) == 1
    assert isolated_roots(lambda box: Jet.variable(0, box).squared(), 2) is None


def test_intervals_hold_what_they_stand_for() -> None:
    rng = np.random.default_rng(0)
    low = rng.standard_normal((2, 50))
    box = [Interval(side, side + 0.1) for side in low]
    x, y = (Jet.variable(n, box) for n in range(2))
    jet = (x * y + x.squared()) * (y.squared() + Jet.constant(1.0, 50, 2)).inverse()
    at = low + 0.1 * rng.random((2, 50))

    def value(u: float, v: float) -> float:
        return (u * v + u * u) / (v * v + 1.0)

    function = gflow.Objective.autodiff(lambda t: (t[0] * t[1] + t[0] ** 2) / (t[1] ** 2 + 1.0), 2)
    for n, (u, v) in enumerate(at.T):
        gradient, hessian = function.gradient(np.array([u, v])), function.hessian(np.array([u, v]))
        pairs = [(jet.value, value(u, v)), *zip(jet.first, gradient, strict=True)]
        pairs += [(jet.second[i][j], hessian[i, j]) for i in range(2) for j in range(2)]
        for interval, number in pairs:
            assert interval is not None and interval.low[n] - 1e-14 <= number <= interval.high[n] + 1e-14


def test_symmetries_of_the_data_are_found_with_their_signs() -> None:
    data = gflow.MatrixCompletion([[1.0, -2.0], [2.0, np.nan]])
    (flip,) = symmetries(data)
    rows, columns, left, right, flipped = flip
    assert flipped and (rows, columns) == ((0, 1), (0, 1)) and left[0] * right[0] == 1.0
    assert left[0] * right[1] == left[1] * right[0] == -1.0
    assert not list(symmetries(gflow.MatrixCompletion([[1.0, -2.0], [3.0, np.nan]])))


def test_figure_4_walks_over_a_point_of_a_sub_omega() -> None:
    found = gflow.landscape(gflow.data.example("fig4"))
    passed = [found.nodes[n] for n in found.path]
    assert [node.omega for node in passed] == ["Omega", "sub-Omega", "Omega"]
    assert [node.value for node in passed] == pytest.approx([25.0, 5.0, 0.0], abs=1e-12)
    assert passed[-1].flat == 4 and not found.complete and not found.faults and found.verdict == "estimated"


CIRCULANT = [[np.nan, -3, -1, np.nan], [np.nan, np.nan, -3, -1], [-1, np.nan, np.nan, -3], [-3, -1, np.nan, np.nan]]


@pytest.mark.study
@pytest.mark.parametrize("name", ["fig3", "c1", "c4", "circulant"])
def test_the_marked_path_is_the_chain_of_the_limit(name: str) -> None:
    problem = gflow.MatrixCompletion(CIRCULANT) if name == "circulant" else gflow.data.example(name)
    start = gflow.Factorization(problem.shape).random(0) if name == "circulant" else None
    found, limit = gflow.landscape(problem, start=start), gflow.saddle_to_saddle(problem, start)
    passed = [found.nodes[n] for n in found.path]
    orbits = [node for node in passed if not node.at_infinity]
    assert [node.rank for node in orbits] == [saddle.rank for saddle in limit.saddles]
    assert [node.value for node in orbits] == pytest.approx([s.loss for s in limit.saddles], rel=1e-8, abs=1e-12)
    assert passed[-1].at_infinity is (name == "c1") and not found.faults
    if name == "fig3":
        assert [len(found.at_rank(k)) for k in range(5)] == [1, 5, 9, 7, 1]
        assert [level.expected for level in found.levels] == [1, None, None, 7, 1]


def two_gaps(seed: int) -> np.ndarray:
    M = np.random.default_rng(seed).standard_normal((3, 3))
    M[1, 2] = M[2, 1] = np.nan
    return M


@cache
def landscape_of_two_gaps(seed: int) -> gflow.Landscape:
    return gflow.landscape(two_gaps(seed), certify=False)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_three_by_three_with_two_gaps_is_complete_by_proof(seed: int) -> None:
    M, found = two_gaps(seed), landscape_of_two_gaps(seed)
    assert found.complete and "interval" in found.levels[1].how and "closed form" in found.levels[2].how
    limit = gflow.saddle_to_saddle(gflow.MatrixCompletion(M))
    passed = [found.nodes[n] for n in found.path if not found.nodes[n].at_infinity]
    assert [node.value for node in passed] == pytest.approx([s.loss for s in limit.saddles], abs=1e-10)


@pytest.fixture(scope="module")
def bordered() -> gflow.Landscape:
    """The origin is left towards a minimum of rank one and to infinity, and two saddles lie on the border."""
    return landscape_of_two_gaps(0)


def test_the_border_of_two_basins_leads_to_saddles_that_no_class_leads_to(bordered: gflow.Landscape) -> None:
    border = [arrow for arrow in bordered.arrows if arrow.border]
    assert border and not bordered.faults
    for arrow in border:
        source, target = bordered.nodes[arrow.source], bordered.nodes[arrow.target]
        assert target.index_inside == 1 and target.value < source.value and arrow.share == 0.0 and arrow.start_dependent
        assert not any(a.target == arrow.target and not a.border for a in bordered.leaving(arrow.source))
        assert {a.target for a in bordered.leaving(arrow.target)} <= {*bordered.reachable(arrow.source)}
    assert "on the border of two basins</title>" in bordered._repr_html_()


def test_a_landscape_says_what_it_left_out(bordered: gflow.Landscape) -> None:
    nothing = gflow.landscape(two_gaps(0), borders=0, certify=False)
    assert not any(arrow.border for arrow in nothing.arrows)
    assert any("borders between basins were not followed" in note for note in nothing.notes)
    with pytest.raises(ValueError, match="rounds must be positive"):
        gflow.landscape(GAP, rounds=0)


def test_components_that_escape_at_one_time_take_one_step() -> None:
    found = gflow.landscape([[1.0, np.nan], [np.nan, 1.0]], certify=False)
    assert [found.nodes[n].rank for n in found.path] == [0, 2] and not found.faults
    later = gflow.landscape([[1.0, np.nan], [np.nan, 2.0]], certify=False)
    assert [later.nodes[n].rank for n in later.path] == [0, 1, 2] and not later.faults


def test_reduced_width_shows_minima_of_positive_loss() -> None:
    M = [[3.0, 0.0], [0.0, 1.0]]
    found = gflow.landscape(M, gflow.Factorization((2, 2), 1))
    assert [node.name for node in found.orbits] == ["strict-saddle", "strict-saddle", "second-order"]
    assert found.complete and found.orbits[-1].value == pytest.approx(0.25)


def test_symmetric_factors_have_the_positive_eigenvalues_alone() -> None:
    problem = gflow.MatrixSensing.of_completion(gflow.MatrixCompletion(np.diag([3.0, 1.0, -1.0])))
    found = gflow.landscape(problem, gflow.SymmetricFactorization(3))
    assert [len(found.at_rank(k)) for k in range(4)] == [1, 2, 1, 0]
    assert [found.nodes[n].rank for n in found.path] == [0, 1, 2]
    assert [node.index_inside for node in found.at_rank(1)] == [1, 0] and not found.faults


def test_an_objective_is_searched_up_to_its_declared_symmetry() -> None:
    """(x^2 - 1)^2 + (y^2 - 1)^2: nine points, three of them up to exchange and signs."""
    objective = replace(
        gflow.Objective.autodiff(lambda t: anp.sum((t**2 - 1.0) ** 2), 2, lower_bound=0.0),
        gradient=lambda t: 4.0 * t * (t**2 - 1.0),
        hessian=lambda t: np.diag(12.0 * t**2 - 4.0),
    )
    exchange, sign = ([1, 0], [1.0, 1.0]), ([0, 1], [-1.0, 1.0])
    found = gflow.landscape(objective, symmetries=[exchange, sign])
    assert [(node.index, node.value) for node in found.nodes] == [(2, 2.0), (1, 1.0), (0, pytest.approx(0.0))]
    assert {(arrow.source, arrow.target) for arrow in found.arrows} >= {(1, 2)}
    assert len(gflow.landscape(objective).orbits) == 9 and found.width is None and not found.complete
    with pytest.raises(ValueError, match="permutation of 2 parameters"):
        gflow.landscape(objective, symmetries=[([0, 0], [1.0, 1.0])])
    with pytest.raises(ValueError, match="own parameters"):
        gflow.landscape(objective, gflow.Factorization((1, 1)))


@pytest.fixture(scope="module")
def net() -> gflow.Landscape:
    """Two tanh neurons without bias on three points: theta is (a_1, a_2, w_1, w_2)."""
    problem = gflow.Regression(np.array([[1.0], [2.0], [-0.5]]), np.array([0.5, 0.7, 0.2]))
    return gflow.landscape(problem, gflow.TanhNetwork(problem.inputs, 2, bias=False), rounds=1)


def test_neurons_of_a_tanh_net_are_exchanged_and_reflected(net: gflow.Landscape) -> None:
    orders = np.array([[0, 1, 2, 3], [1, 0, 3, 2]])
    images = [(order, np.array([s, t, s, t])) for order in orders for s in (1, -1) for t in (1, -1)]
    assert len(net.orbits) > 1 and net.width is None and not net.complete and not net.faults
    for one, two in combinations(net.orbits, 2):
        assert not any(np.allclose(one.theta, signs * two.theta[order], atol=1e-6) for order, signs in images)


def test_where_neurons_saturate_there_is_no_critical_point(net: gflow.Landscape) -> None:
    """tanh(30 x) is sign(x) to rounding: flat, and on the way to infinity."""
    assert all(np.abs(node.theta[2:]).max() < 10.0 for node in net.orbits)
    assert all(node.value == pytest.approx(0.13) for node in net.orbits if node.index == 2)


def test_what_is_missing_is_estimated_by_capture_and_recapture() -> None:
    alike = {"rank": 1, "expected": None, "how": ""}
    assert gflow.Level(**alike, starts=100, once=0, twice=0, sampled=9, searched=9, shared=9).unseen == 0.0
    halves = gflow.Level(**alike, starts=100, once=0, twice=0, sampled=7, searched=7, shared=3)
    assert halves.unseen == pytest.approx(64 / 4 - 1 - 11) and halves.coverage == 1.0
    rare = gflow.Level(**alike, starts=10, once=5, twice=1, sampled=7, searched=7, shared=7)
    assert rare.unseen == pytest.approx(5.0) and rare.coverage == 0.5


def test_time_that_is_over_leaves_what_was_found() -> None:
    found = gflow.landscape(gflow.data.example("c1"), timeout=0.3)
    assert not found.exhausted and not found.complete and "time" in found.notes[0] and found.orbits


def test_a_landscape_shows_itself(gap: gflow.Landscape) -> None:
    assert "5 orbits, 1 run to infinity" in repr(gap)
    page = gap._repr_html_()
    assert "<title>" in page and "raises the rank" in page and "<script" not in page
    assert "proven" in page and "global minimum" in gap.nodes[-1]._repr_html_()
    assert len(gap.to_frame()) == len(gap.nodes)
    assert json.loads(json.dumps(gap.to_dict()))["complete"] is True
    report = landscape_report(gap, "gap")
    assert "rate" in report.figures[0].svg and report.tables[0].rows[0][0] == "1 *"


def test_the_command_prints_nodes_and_writes_a_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code = main(["landscape", "--example", "slides3", "--out", str(tmp_path / "page")])
    said = capsys.readouterr().out
    assert code == 0 and "complete: all 5 orbits" in said and "5 critical orbits, 1 run to infinity" in said
    page = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    assert "Landscape of slides3" in page and "raises the rank</title>" in page and "<script" not in page
    assert (tmp_path / "page" / "landscape.svg").is_file()


def test_the_command_refuses_a_matrix_too_large(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    np.save(tmp_path / "large.npy", np.ones((20, 20)))
    assert main(["landscape", str(tmp_path / "large.npy")]) == 2
    said = capsys.readouterr().err
    assert "400 parameters; got 800" in said and said.count("\n") == 1


def test_an_orbit_on_its_slow_way_to_an_end_is_no_run_to_infinity() -> None:
    times = np.geomspace(1e-2, 1e6, 200)
    assert arrows.grows_on([(0.0, 1.0), *zip(times, times**0.2, strict=True)])
    for slow in (1e4, 1e5, 3e5, 1e6, 1e7):  # towards 6, as exp(-t / slow): ended, on its way, hardly begun
        assert not arrows.grows_on([(0.0, 1.0), *zip(times, 6.0 - 5.0 * np.exp(-times / slow), strict=True)])
    assert not arrows.grows_on([(0.0, 1.0), (1.0, 2.0)])
