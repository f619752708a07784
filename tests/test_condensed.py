"""Tests of invariant sets of networks and attention, of split neurons, and of the set that is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gflow

X = np.linspace(-2.0, 2.0, 6)
TWO = gflow.Regression(X, np.tanh(2 * X + 1) - 0.8 * np.tanh(3 * X - 2))
ONE = gflow.TanhNetwork(X, 1, bias=True)
LADDER_X = np.random.default_rng(5).standard_normal((40, 2))
LADDER = gflow.Regression(LADDER_X, np.tanh(LADDER_X[:, 0]) ** 2 - 0.5 * np.tanh(1.2 * LADDER_X[:, 1]) ** 2)
RECALL = gflow.recall_task(3, (1.0, 0.45), (0.6, 0.3, 0.1))


@pytest.fixture(scope="module")
def narrow() -> gflow.CriticalPoint:
    guess = ONE.theta([0.68], [[1.3, 1.86]])
    return gflow.find_critical_point(gflow.Objective.of(TWO, ONE), guess)


def test_a_split_neuron_is_critical_with_the_predicted_transverse_spectrum(narrow: gflow.CriticalPoint) -> None:
    assert narrow.theta == pytest.approx(np.array([0.68484216, 1.30036178, 1.86349484]), abs=5e-9)
    assert narrow.value == pytest.approx(0.11300461, abs=5e-9)
    assert narrow.spectrum.values == pytest.approx(np.array([0.01112133, 0.17659472, 0.70373969]), abs=5e-9)
    transverse = np.linalg.eigvalsh(gflow.transverse_curvature(TWO, ONE, narrow.theta))
    assert transverse == pytest.approx(np.array([-0.130577, 0.01339527]), abs=5e-7)
    for share in (0.2, 0.5, 0.8, -3.0):
        wide, theta = gflow.split_neuron(ONE, narrow.theta, 0, share)
        loss = gflow.Objective.of(TWO, wide)
        assert np.linalg.norm(loss.gradient(theta)) < 1e-13
        assert loss.value(theta) == pytest.approx(narrow.value)
        assert gflow.classify(loss, theta).kind == ("strict-saddle" if share else "second-order")
    wide, theta = gflow.split_neuron(ONE, narrow.theta)
    expected = np.array([-0.0652885, 0.0, 0.00557445, 0.00669764, 0.08838723, 1.40257078])
    assert np.linalg.eigvalsh(gflow.Objective.of(TWO, wide).hessian(theta)) == pytest.approx(expected, abs=5e-8)
    assert transverse / 2 == pytest.approx(expected[[0, 3]], abs=5e-8)


@pytest.mark.parametrize("activation", ["tanh", "tanh^2", lambda u: u + u * u / 2])
def test_the_flow_keeps_condensed_networks(activation: Any) -> None:
    net = gflow.TanhNetwork(X, 3, bias=True, activation=activation)
    loss, theta = gflow.Objective.of(TWO, net), np.random.default_rng(0).standard_normal(9)
    for k in range(4):
        nearest = gflow.condensed(net, k).nearest(theta)
        assert nearest.dim <= 3 * k and nearest.defect(loss, theta) < 1e-14
        assert gflow.model_rank(net, nearest.project(theta)).rank <= (3 * k if activation == "tanh" else 9)
    distances = [gflow.condensed(net, k).distance(theta) for k in range(4)]
    assert distances == sorted(distances, reverse=True) and distances[3] == pytest.approx(0.0, abs=1e-15)
    space = gflow.condensed(net, 1).nearest(theta)
    path = gflow.gradient_flow(loss, 0.1 * space.project(theta), t_end=10.0)
    assert gflow.confinement(loss, space, path).holds
    assert not gflow.confinement(loss, space, gflow.gradient_flow(loss, 0.1 * theta, t_end=10.0)).holds


def test_equal_inner_weights_with_another_ratio_of_outer_weights_do_not_stay() -> None:
    problem = gflow.Regression(X, np.tanh(X + 1))
    net = gflow.TanhNetwork(X, 2, bias=True)
    loss = gflow.Objective.of(problem, net)
    row = [0.03, 0.02]
    apart = {}
    for ratio in (1.0, -1.0, 2.0):
        start = net.theta([0.01, 0.01 * ratio], [row, [np.sign(ratio) * w for w in row]])
        rows = net.parts(gflow.gradient_flow(loss, start, t_end=60.0).states)[1]
        apart[ratio] = np.abs(rows[:, 0] - np.sign(ratio) * rows[:, 1]).max()
    assert apart[1.0] == apart[-1.0] == 0.0 and apart[2.0] > 0.1


@pytest.mark.parametrize("linear", [True, False])
def test_the_flow_keeps_ranks_of_attention(linear: bool) -> None:
    model = gflow.Attention(RECALL.inputs, 2, 4, 4, linear=linear)
    loss, rng = gflow.Objective.of(RECALL, model), np.random.default_rng(1)
    P, R = (np.linalg.qr(rng.standard_normal((4, k)))[0] for k in (1, 2))
    space = gflow.attention_space(model, P, R)
    theta = space.project(model.random(rng))
    assert space.dim == 10 + 14 and space.defect(loss, theta) < 1e-14
    W = model.matrices(theta)
    assert np.linalg.svd(np.vstack([W.Q[0], W.K[0]]), compute_uv=False)[1] < 1e-14
    skew = np.eye(4, 2) + 0.1
    with pytest.raises(ValueError, match="R must have orthonormal columns"):
        gflow.attention_space(model, P, skew)


def test_conserved_quantities_of_attention_stay_along_the_flow() -> None:
    model = gflow.Attention(RECALL.inputs, 2, 4, 4)
    loss, start = gflow.Objective.of(RECALL, model), model.random(0, 0.1)
    path = gflow.gradient_flow(loss, start, t_end=30.0, rtol=1e-10)
    assert model.conserved(path.final) == pytest.approx(model.conserved(start), abs=1e-8)
    assert np.abs(path.final - start).max() > 0.1


def test_the_ladder_of_an_even_activation_is_left_at_the_predicted_times() -> None:
    net = gflow.TanhNetwork(LADDER_X, 2, activation="tanh^2")
    loss, start = gflow.Objective.of(LADDER, net), net.random(0)
    assert loss.value(np.zeros(6)) == pytest.approx(0.0822492330, abs=5e-11)
    first = gflow.degenerate_escape(loss, start)
    assert first.order == 3 and first.time == pytest.approx(3.04387409485609, rel=1e-10) and first.error < 1e-9
    origin = gflow.classify(loss, np.zeros(6))
    assert origin.kind == "degenerate-saddle"
    saddle = gflow.find_critical_point(loss, net.theta([1.18, 0.0], [[0.6, 0.0], [0.0, 0.0]]))
    assert saddle.kind == "degenerate-saddle" and saddle.value == pytest.approx(0.0224591468, abs=5e-11)
    assert saddle.theta == pytest.approx(np.array([1.18245916, 0, 0.60155823, 0.00255539, 0, 0]), abs=5e-9)
    assert saddle.spectrum.values[3:] == pytest.approx(np.array([0.00862292, 0.59506687, 0.73297723]), abs=5e-9)


def test_linear_attention_leaves_the_origin_at_the_fourth_order() -> None:
    model = gflow.Attention(RECALL.inputs, 2, 4, 4, linear=True, streams=3)
    full = np.random.default_rng(0).standard_normal(68)
    Q, K, V, out = full[:20], full[20:40], full[40:60], full[60:]
    start = model.theta(Q.reshape(5, 4)[:3], K.reshape(5, 4)[:3], V.reshape(5, 4)[3:], out.reshape(4, 2))
    found = gflow.degenerate_escape(gflow.Objective.of(RECALL, model), start)
    assert found.order == 4 and found.time == pytest.approx(6.15024, abs=1e-5) and found.error < 1e-8


@pytest.mark.parametrize(
    ("place", "loss", "rates"),
    [
        ((1, 1), 0.30125, {0.106066: 3, 0.0429567: 3, 0.0353553: 3}),
        ((2, 1), 0.15125, {0.05: 2, 0.0455625: 3}),
        ((2, 2), 0.060125, {0.0425148: 2}),
        ((3, 1), 0.10125, {0.0413351: 3}),
        ((3, 2), 0.0, {}),
    ],
)
def test_the_saddles_of_linear_attention_have_the_losses_and_rates_of_the_table(
    place: tuple[int, int], loss: float, rates: dict[float, int]
) -> None:
    model = gflow.Attention(RECALL.inputs, 2, 4, 4, linear=True, streams=3)
    scores, values = place
    queries = (values * 8 / scores) ** 0.25 * np.eye(3, 4) * (np.arange(4) < scores)
    reads = (scores * 8 / values) ** 0.25 * np.eye(2, 4) * (np.arange(4) < values)
    point = gflow.classify(gflow.Objective.of(RECALL, model), model.theta(queries, queries, reads, reads.T))
    assert point.kind == ("strict-saddle" if rates else "global-minimum")
    assert point.value == pytest.approx(loss, abs=1e-14)
    expected = [rate for rate, count in rates.items() for _ in range(count)]
    assert -point.spectrum.values[: point.index] == pytest.approx(np.array(expected), abs=5e-7)
    assert point.gauge_dimension is not None and point.n_zero is not None and point.gauge_dimension <= point.n_zero


@pytest.mark.parametrize(
    ("values", "loss", "rates"),
    [
        (0, 0.60125, {0.25: 4, 0.050625: 4}),
        (1, 0.434583, {0.084855: 4, 0.050625: 3, 0.036305: 4}),
        (2, 0.400833, {0.102039: 4, 0.043657: 4}),
    ],
)
def test_the_saddles_of_softmax_attention_have_the_losses_and_rates_of_the_table(
    values: int, loss: float, rates: dict[float, int]
) -> None:
    model = gflow.Attention(RECALL.inputs, 2, 4, 4)
    reads = np.sqrt(4 / 3) * np.eye(2, 4) * (np.arange(4) < values)
    V, still = np.vstack([np.zeros((3, 4)), reads]), np.zeros((5, 4))
    point = gflow.classify(gflow.Objective.of(RECALL, model), model.theta(still, still, V, reads.T))
    assert point.kind == "strict-saddle" and point.value == pytest.approx(loss, abs=1e-6)
    expected = [rate for rate, count in rates.items() for _ in range(count)]
    assert -point.spectrum.values[: point.index] == pytest.approx(np.array(expected), abs=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gflow.condensed(gflow.Factorization((2, 2)), 1), TypeError, "must be a TanhNetwork"),
        (lambda: gflow.condensed(ONE, 2), ValueError, "k must lie between 0 and the width 1"),
        (lambda: gflow.condensed(gflow.TanhNetwork(X, 8), 2), ValueError, "at most 7; the width is 8"),
        (lambda: gflow.condensed(ONE, 1).distance(np.ones(2)), ValueError, r"theta must be finite and of shape \(3,\)"),
        (lambda: gflow.condensed(ONE, 1).nearest(np.full(3, np.nan)), ValueError, "theta must be finite"),
        (lambda: gflow.split_neuron(ONE, np.ones(3), 1), ValueError, "neuron must lie between 0 and 0"),
        (lambda: gflow.split_neuron(ONE, np.ones(4)), ValueError, r"theta must be finite and of shape \(3,\)"),
        (lambda: gflow.split_neuron(ONE, np.ones(3), 0, np.inf), ValueError, "share must be finite"),
        (lambda: gflow.split_neuron(gflow.DeepDiagonal(X), np.ones(2)), TypeError, "must be a TanhNetwork"),
        (lambda: gflow.transverse_curvature(TWO, ONE, np.ones(3), 1), ValueError, "neuron must lie between 0 and 0"),
        (lambda: gflow.transverse_curvature(TWO, ONE, np.ones(3), -1), ValueError, "neuron must lie between 0 and 0"),
        (
            lambda: gflow.attention_space(gflow.Attention(RECALL.inputs, 2, 4, 4, heads=2), np.eye(4), np.eye(4)),
            ValueError,
            "that of one head; the model has 2",
        ),
    ],
)
def test_what_has_no_such_set_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
