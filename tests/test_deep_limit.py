"""Tests of the limit at depth three and four: reference numbers, the closed form, other routes, and honest endings."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import gflow
from gflow.data import example
from gflow.limit import deep

GAP = np.nan
X1 = [[2, 1, GAP], [GAP, 3, 1], [1, GAP, 2]]
X2 = [[4, 1, GAP], [2, GAP, 3], [GAP, 5, 1]]
X3 = [[3, 1, GAP, 2], [1, GAP, 2, GAP], [GAP, 2, 1, 1]]
B22 = [[3, 1, GAP, GAP], [1, 2, GAP, GAP], [GAP, GAP, 2, 0.5], [GAP, GAP, 0.3, 1]]
REFERENCES = [
    (X1, 3, (-0.2354479786, 2.9235009020, 2.9235009020), 7.7541246880, 0.1971),
    (X1, 4, (-0.2276433338, 2.9316187036, 2.9316187036), 7.7621209119, 0.1971),
    (X2, 3, (0.2662197633, 0.4848284881, 19.9930011930), 24.0397700613, 0.7846),
    (X2, 4, (0.2654817235, 0.5166810226, 20.0076309237), 24.0540067187, 0.7846),
    (X3, 3, (5.0663908648, -0.0147686760, 0.6520153052, 1.4032633415), 8.9136528379, 0.3558),
    (X3, 4, (5.2698792154, 0.0410518114, 0.6430177985, 1.3102741718), 9.0357214478, 0.3558),
]
"""Unobserved entries, nuclear norm and order, found by two routes: layers, and the end-to-end flow of W."""


def limit(values: object, depth: int = 3, **settings: object) -> gflow.DeepTraversal:
    """Return the deep limit of an array or an example, computed once."""
    return computed(values if isinstance(values, str) else tuple(map(tuple, values)), depth, **settings)


@cache
def computed(values: object, depth: int = 3, **settings: object) -> gflow.DeepTraversal:
    problem = example(values) if isinstance(values, str) else gflow.MatrixCompletion(values)
    found = gflow.saddle_to_saddle(problem, depth=depth, **settings)
    assert isinstance(found, gflow.DeepTraversal)
    return found


@pytest.mark.parametrize(("values", "depth", "entries", "nuclear", "order"), REFERENCES)
def test_limits_that_remember_the_way(
    values: list[list[float]], depth: int, entries: tuple[float, ...], nuclear: float, order: float
) -> None:
    found = limit(values, depth)
    assert (found.status, found.rank, found.unique) == ("converged", 2, False)
    assert found.end is not None and found.error is not None and found.nuclear_norm is not None
    np.testing.assert_allclose(found.end[np.isnan(values)], entries, rtol=0, atol=1e-7)
    assert found.error <= 2e-6
    assert abs(found.nuclear_norm - nuclear) < 1e-7
    assert found.order is not None and abs(found.order - order) < 5e-4
    assert found.determined.all()


@pytest.mark.parametrize(
    ("values", "entries"),
    [
        (X1, (-0.2557741951, 2.9029651471, 2.9029651471)),
        (X2, (0.4854094016, 0.2445670404, 19.4939551504)),
    ],
)
def test_two_factors_with_the_top_pair_first_have_their_references(
    values: list[list[float]], entries: tuple[float, ...]
) -> None:
    problem, gaps = gflow.MatrixCompletion(values), np.isnan(values)
    greedy = gflow.greedy_low_rank(problem, rtol=1e-10).end.matrix
    np.testing.assert_allclose(greedy[gaps], entries, rtol=0, atol=1e-7)
    found = gflow.saddle_to_saddle(problem, rtol=1e-10)
    if values is X2:
        np.testing.assert_allclose(found.matrix[gaps], entries, rtol=0, atol=1e-7)
        return
    # a symmetry of X1 keeps its modes apart, another than the top pair wins the race, and the orbit that then follows
    # enlarges displacements a million times: flows from 1e-50 are not yet near its end, (4.0746, .7154, .7154)
    model = gflow.Factorization((3, 3))
    path = gflow.graded_flow(problem, model.random(0), log_scale=-50 * np.log(10.0))
    seen = model.output(path.final)
    assert found.status == "undecided" and "displacements" in found.reason
    assert np.abs(seen - greedy).max() > 2.0 and np.abs(seen[gaps] - (4.0746, 0.7154, 0.7154)).max() < 0.2


def test_m3_has_one_limit_at_every_depth() -> None:
    entries = (1.0613114276, 2.3991493564, 8.5140294631)
    for depth in (2, 3, 4):
        found = limit("m3", depth) if depth > 2 else gflow.saddle_to_saddle(example("m3"))
        np.testing.assert_allclose(found.matrix[~example("m3").observed], entries, rtol=0, atol=1e-9)


@pytest.mark.parametrize("depth", [3, 4])
def test_figure_3_has_the_limit_and_the_losses_of_two_factors(depth: int) -> None:
    found, shallow = limit("fig3", depth), gflow.saddle_to_saddle(example("fig3"))
    assert (found.status, found.rank, found.unique, found.order) == ("converged", 3, True, float(depth))
    assert shallow.matrix is not None
    np.testing.assert_allclose(found.end, shallow.matrix, atol=1e-9)
    losses = [saddle.loss for saddle in found.saddles]
    np.testing.assert_allclose(losses, [saddle.loss for saddle in shallow.saddles], rtol=1e-9, atol=1e-12)
    assert [saddle.leaves for saddle in found.saddles] == ["rank", "rank", "rank", None]


def closed_form(problem: gflow.MatrixCompletion, signs: np.random.Generator) -> np.ndarray:
    """Return sum_i p_i q_i^T: channel i carries mode i of every component, each with a sign of its own."""
    W = np.zeros(problem.shape)
    parts = [(list(c.rows), list(c.columns)) for c in gflow.connectivity(problem).coupling_components]
    modes = [np.linalg.svd(problem.values[np.ix_(*part)], full_matrices=False) for part in parts]
    for i in range(max(len(sizes) for _, sizes, _ in modes)):
        p, q = np.zeros(problem.shape[0]), np.zeros(problem.shape[1])
        for (rows, columns), (U, sizes, Vt) in zip(parts, modes, strict=True):
            if i < len(sizes):
                sign = signs.choice([-1.0, 1.0])
                p[rows] = sign * np.sqrt(sizes[i]) * U[:, i]
                q[columns] = sign * np.sqrt(sizes[i]) * Vt[i]
        W += np.outer(p, q)
    return W


def complete_bipartite(seed: int) -> gflow.MatrixCompletion:
    """Return a 4 x 4 matrix of two or three fully observed components, rows and columns shuffled."""
    rng = np.random.default_rng([seed, 41])
    parts = int(rng.integers(2, 4))
    rows, columns = (np.sort(rng.permutation(np.r_[np.arange(parts), rng.integers(0, parts, 4 - parts)])) for _ in "AB")
    observed = rows[:, None] == columns
    shuffled = observed[rng.permutation(4)][:, rng.permutation(4)]
    return gflow.MatrixCompletion(np.where(shuffled, 2 * rng.standard_normal((4, 4)), GAP))


@cache
def bipartite_limit(seed: int, depth: int) -> gflow.DeepTraversal:
    """Return the limit of a matrix of complete components, by compiled steps where numba is installed."""
    found = gflow.saddle_to_saddle(complete_bipartite(seed), depth=depth, compiled=None)
    assert isinstance(found, gflow.DeepTraversal) and found.status == "converged"
    return found


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("depth", [3, 4])
def test_complete_components_share_channels_at_minimum_rank_and_minimum_norm(seed: int, depth: int) -> None:
    problem, found = complete_bipartite(seed), bipartite_limit(seed, depth)
    expected = closed_form(problem, np.random.default_rng(0))
    assert found.end is not None and found.std is not None
    np.testing.assert_allclose(np.abs(found.end[problem.observed]), np.abs(expected[problem.observed]), atol=1e-7)
    np.testing.assert_allclose(found.singular_values, np.linalg.svd(expected, compute_uv=False), atol=1e-6)
    draws = np.array([closed_form(problem, np.random.default_rng(k)) for k in range(64)])
    nearest = np.abs(draws - found.end).max(axis=(1, 2)).min()
    assert nearest < 1e-6
    assert np.array_equal(found.determined, problem.observed)
    np.testing.assert_allclose(found.matrix, np.where(problem.observed, expected, 0.0), atol=1e-6)
    assert found.order == (2.0 if found.rank == 1 else 1.0)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "alphas"), [(3, (1e-3, 1e-4)), (4, (1e-2, 2e-3))])
def test_flows_on_twenty_masks_approach_the_closed_form_with_the_order_of_their_limits(
    depth: int, alphas: tuple[float, float]
) -> None:
    """Order 1 where there are several channels, 2 where there is one; near-equal modes come to it more slowly."""
    ratios = []
    for seed in range(20):
        problem, found = complete_bipartite(seed), bipartite_limit(seed, depth)
        model = gflow.Factorization(problem.shape, depth=depth)
        starts, forms = [alpha * model.random(seed) for alpha in alphas], np.random.default_rng(0)
        draws = np.array([closed_form(problem, forms) for _ in range(64)])
        ends = gflow.gradient_flows(problem, starts, depth=depth)
        assert {end.status for end in ends} == {"converged"}
        missed = [np.abs(draws - model.output(end.theta)).max(axis=(1, 2)).min() / problem.unit for end in ends]
        assert missed[0] < 5.0 * alphas[0]
        ratios.append(np.log(missed[0] / missed[1]) / np.log(alphas[0] / alphas[1]) / found.order)
    off = np.abs(np.array(ratios) - 1.0)
    assert off.max() < 0.35 and np.sort(off)[-2] < 0.06 and np.median(off) < 5e-3


@pytest.mark.slow
@pytest.mark.parametrize("depth", [3, 4])
@pytest.mark.parametrize(
    ("values", "order"),
    [
        ([[1, GAP], [GAP, 2]], 2.0),
        ([[1, 0, GAP], [2, 0, GAP], [GAP, GAP, 3]], 2.0),
        ([[1, GAP, GAP], [GAP, 2, GAP], [GAP, GAP, 0]], 1.0),
        ([[1, GAP, GAP], [GAP, 2, GAP]], 1.0),
    ],
)
def test_one_channel_is_met_at_second_order_if_it_reaches_every_line(
    values: list[list[float]], order: float, depth: int
) -> None:
    problem, found = gflow.MatrixCompletion(values), limit(values, depth)
    model = gflow.Factorization(problem.shape, depth=depth)
    ends = gflow.gradient_flows(problem, [alpha * model.random(0) for alpha in (1e-2, 1e-3)], depth=depth)
    missed = [np.abs(found.ends - model.output(end.theta)).max(axis=(1, 2)).min() for end in ends]
    assert found.order == order and abs(np.log10(missed[0] / missed[1]) - order) < 0.03 * order


def test_the_signs_are_coins_that_keep_the_data() -> None:
    found, problem = limit(B22), gflow.MatrixCompletion(B22)
    assert len(found.reflections) == 2
    draws = found.sample(np.random.default_rng(0), 400)
    seen = {tuple(np.round(W[0, 2:], 5).tolist()): 0 for W in draws}
    assert len(seen) == 4
    assert np.abs((draws - problem.values)[:, problem.observed]).max() < 1e-8
    np.testing.assert_allclose(found.std[0, 2:], draws.std(axis=0)[0, 2:], rtol=0.1)
    np.testing.assert_allclose(found.singular_values[:2], [5.76167605, 2.24498323], atol=1e-8)


def test_the_disconnected_and_coupled_matrix_has_the_limit_of_two_routes() -> None:
    found = limit("m1")
    assert found.rank == 1 and found.end is not None and found.order is None
    np.testing.assert_allclose(np.abs(found.end[0, 2]), 1.8803015466, atol=1e-7)
    assert abs(found.singular_values[0] - 12.0710678119) < 1e-7


def test_the_flow_from_small_starts_approaches_the_limit_with_the_predicted_order() -> None:
    found, problem = limit(X2), gflow.MatrixCompletion(X2)
    model = gflow.Factorization((3, 3), depth=3)
    objective, start = gflow.Objective.of(problem, model), model.random(0)
    missed = []
    for alpha in (1e-3, 1e-4):
        path = gflow.gradient_flow(objective, alpha * start)
        assert path.status == "converged"
        missed.append(float(np.abs(model.output(path.final) - found.end).max()))
    assert abs(np.log10(missed[0] / missed[1]) - 0.7846) < 0.03


@pytest.mark.parametrize(
    ("values", "depth", "alphas"),
    [([[1, 2], [3, GAP]], 3, (1e-2, 3e-3)), ([[1, 2], [3, GAP]], 4, (5e-2, 2e-2)), ("m3", 3, (1e-3, 3e-4))],
)
def test_orders_are_seen_to_three_per_cent(values: object, depth: int, alphas: tuple[float, float]) -> None:
    problem = example(values) if isinstance(values, str) else gflow.MatrixCompletion(values)
    model, found = gflow.Factorization(problem.shape, depth=depth), limit(values, depth)
    objective, start = gflow.Objective.of(problem, model), model.random(0)
    fine = {"loss_tol": 1e-29, "gradient_tol": 1e-15, "rtol": 1e-9, "error_tol": None}
    ends = [model.output(gflow.gradient_flow(objective, alpha * start, **fine).final) for alpha in alphas]
    missed = [float(np.abs(W - found.end).max()) for W in ends]
    seen = np.log(missed[0] / missed[1]) / np.log(alphas[0] / alphas[1])
    assert abs(seen / found.order - 1.0) < 0.03


@pytest.mark.parametrize("depth", [3, 4])
def test_runs_to_infinity_are_told(depth: int) -> None:
    found = limit([[0, 1], [2, GAP]], depth)
    assert (found.status, found.end, found.matrix) == ("diverging", None, None)
    assert "grows as t^" in found.reason
    assert not found.determined.any()
    with pytest.raises(ValueError, match="there is no limit to sample"):
        found.sample(np.random.default_rng(0), 1)


def test_a_soft_curvature_inside_is_told_from_zero() -> None:
    """A curvature of 5e-7 of the largest one: the completion of rank two is that of the flow from 1e-4."""
    values = [[0.18647882, -0.12790027, 0.0], [-1.11660257, GAP, -0.03071992], [GAP, GAP, -1.58924193]]
    found = limit(values)
    assert found.status == "converged" and found.rank == 2
    np.testing.assert_allclose(found.end[1:, 1], (0.766406068, 40.7520968), rtol=1e-4)


def test_equal_singular_values_are_degenerate() -> None:
    assert limit([[1, GAP], [GAP, 1]]).status == "degenerate"


@pytest.mark.parametrize("factor", [1e-30, 3.7, 1e80])
def test_the_limit_scales_with_the_data(factor: float) -> None:
    one, other = limit(X1), limit((factor * np.array(X1)).tolist())
    assert one.end is not None and other.end is not None
    np.testing.assert_allclose(other.end / factor, one.end, atol=1e-7)


def test_transposed_and_permuted_data_have_the_transposed_and_permuted_limit() -> None:
    one = limit(X3).end
    order = [2, 0, 3, 1]
    assert one is not None
    np.testing.assert_allclose(limit(np.array(X3).T.tolist()).end, one.T, atol=1e-7)
    np.testing.assert_allclose(limit(np.array(X3)[:, order].tolist()).end, one[:, order], atol=1e-7)


def test_a_reduced_width_ends_at_its_minimum() -> None:
    """Figure 3 at width 1 and 2: the losses of the saddles of full width."""
    for width, loss in ((1, 0.3265269411), (2, 0.0522775545)):
        found = limit("fig3", rank=width)
        assert found.status == "converged" and found.rank == width
        assert abs(found.saddles[-1].loss - loss) < 1e-9


def test_wrong_arguments_are_told() -> None:
    problem = example("fig3")
    with pytest.raises(ValueError, match="at least two factors; got depth 1"):
        gflow.saddle_to_saddle(problem, depth=1)
    with pytest.raises(ValueError, match=r"start must be finite and of shape \(48,\); got shape \(47,\)"):
        gflow.saddle_to_saddle(problem, np.zeros(47), depth=3)
    with pytest.raises(ValueError, match="depth must be a positive integer; got 0"):
        gflow.saddle_to_saddle(problem, depth=0)


def test_a_launch_along_the_wrong_pair_is_another_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of the closed form sees a channel that opens along v instead of u."""
    right = limit(X2).end
    channel = deep.channel
    monkeypatch.setattr(deep, "channel", lambda model, u, v, size: channel(model, v, u, size))
    wrong = gflow.saddle_to_saddle(gflow.MatrixCompletion(X2), depth=3)
    assert right is not None
    assert wrong.end is None or np.abs(wrong.end - right).max() > 1e-3 or wrong.status != "converged"


@pytest.mark.parametrize(
    ("name", "depth", "seed", "times"),
    [
        ("fig3", 3, 0, (0.5134277058, 2.778905, 7.56174)),
        ("fig3", 3, 1, (0.4403830416, 2.693137, 10.73225)),
        ("fig3", 4, 0, (0.0879428398, 1.0999946, 4.93982)),
        ("fig3", 4, 1, (0.1876938073, 0.8510248, 6.013605)),
        ("m3", 3, 0, (0.358195617, 11.7731)),
        ("m3", 4, 1, (0.0693289481, 5.145217)),
    ],
)
def test_plateau_times_of_a_start(name: str, depth: int, seed: int, times: tuple[float, ...]) -> None:
    problem = example(name)
    start = gflow.Factorization(problem.shape, depth=depth).random(seed)
    found = gflow.saddle_to_saddle(problem, start, depth=depth)
    assert isinstance(found, gflow.DeepTraversal)
    np.testing.assert_allclose(found.plateau_times, times, rtol=2e-5)


@pytest.mark.slow
def test_plateau_times_are_those_of_the_flow_and_scale_with_the_data() -> None:
    problem = example("fig3")
    model, alpha = gflow.Factorization(problem.shape, depth=3), 1e-4
    start = model.random(0)
    found = gflow.saddle_to_saddle(problem, start, depth=3)
    assert isinstance(found, gflow.DeepTraversal)
    path = gflow.gradient_flow(gflow.Objective.of(problem, model), alpha * start)
    arrivals = [plateau.start * alpha for plateau in path.plateaus[1:]]
    np.testing.assert_allclose(arrivals[:2], found.plateau_times[:2], rtol=1e-3)
    other = gflow.saddle_to_saddle(problem.rescaled(8.0), 2.0 * start, depth=3)
    assert isinstance(other, gflow.DeepTraversal)
    np.testing.assert_allclose(np.array(other.plateau_times) * 8.0 * 2.0, found.plateau_times, rtol=1e-4)


def test_after_a_coin_no_time_is_known() -> None:
    start = gflow.Factorization((3, 3), depth=3).random(0)
    found = gflow.saddle_to_saddle(example("fig4"), start, depth=3)
    assert isinstance(found, gflow.DeepTraversal)
    np.testing.assert_allclose(found.plateau_times, [0.1859372660], rtol=1e-8)
