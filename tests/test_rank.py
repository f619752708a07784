"""Tests of the model rank: the tables of the papers and what was derived beside them, and planted faults."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import gflow
from gflow.rank import minors

X = np.linspace(-2.0, 2.0, 24)
NET = gflow.TanhNetwork(X, 2, bias=True)
NEAR = [1.0 + 2.0**-20, 1.0 + 2.0**-40]
ONE = [1.0, 0.746608451, 0.163951723]


def neurons(a: Any, w: Any, b: Any) -> np.ndarray:
    return NET.theta(a, np.column_stack([w, b]))


@pytest.mark.parametrize(
    ("theta", "rank", "seen", "sizes"),
    [
        (neurons([1, 0], [1, 0], [1, 0]), 3, 3, ONE),
        (neurons([0.5, 0.5], [1, 1], [1, 1]), 3, 3, ONE),
        (neurons([0.25, 0.75], [1, 1], [1, 1]), 3, 3, ONE),
        (neurons([1, 0], [1, 0.5], [1, -0.25]), 4, 4, [1, 0.6307, 0.2111, 0.08587]),
        (neurons([1, 0.5], [1, 0.5], [1, -0.25]), 6, 6, None),
        (neurons([0.5, 0.5], [1, NEAR[0]], [1, 1]), 6, 5, [*ONE, 3.4e-7, 5.4e-8]),
        (neurons([0.5, 0.5], [1, NEAR[1]], [1, 1]), 6, 5, [*ONE, 3.2e-13, 5.2e-14]),
    ],
)
def test_the_rank_of_two_neurons_with_bias_is_certified_where_singular_values_fail(
    theta: np.ndarray, rank: int, seen: int, sizes: Any
) -> None:
    found = gflow.model_rank(NET, theta, X)
    assert (found.rank, found.lower, found.upper, found.certified) == (rank, rank, rank, True)
    assert found.numerical == seen
    if sizes is not None:
        tolerances = {"rel": 2e-2} if len(sizes) == 5 else {"abs": 5e-5}
        assert found.singular_values[: len(sizes)] == pytest.approx(np.array(sizes), **tolerances)
    if sizes is ONE:
        assert found.singular_values[:3] == pytest.approx(np.array(ONE), abs=5e-10)


def test_constant_neurons_add_what_the_published_formula_with_bias_leaves_out() -> None:
    net = gflow.TanhNetwork(np.zeros((1, 5)), 3, bias=True)
    theta = net.random(0)
    net.parts(theta)[1][1:, :5] = 0.0
    found = gflow.model_rank(net, theta)
    assert (found.rank, found.certified) == (13, True)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), bias=st.booleans(), d=st.integers(1, 3), width=st.integers(1, 4))
def test_the_formula_of_tanh_networks_is_the_proven_rank_at_special_points(
    seed: int, bias: bool, d: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    net = gflow.TanhNetwork(np.zeros((1, d)), width, bias)
    rows = rng.integers(-1, 2, (width, d + bias)) / 2.0
    theta = net.theta(rng.integers(-1, 2, width) / 4.0, rows)
    found = gflow.model_rank(net, theta, rng=rng)
    assert found.lower == found.upper == found.rank


@pytest.mark.parametrize(
    ("shared", "bias", "rank", "connected"),
    [(True, False, 6, 18), (False, False, 12, 18), (True, True, 7, 21), (False, True, 15, 21)],
)
@pytest.mark.parametrize("kernels", [1, 3])
def test_the_rank_of_a_convolution_rises_with_its_connections(
    shared: bool, bias: bool, rank: int, connected: int, kernels: int
) -> None:
    model = gflow.ConvolutionalNetwork(np.zeros((1, 5)), kernels, 3, bias=bias, shared=shared)
    row, a = [0.6, 0.8, 1.0] + [0.5] * bias, np.full((kernels, 3), 0.25)
    theta = model.theta(a, np.broadcast_to(row, model.parts(np.zeros(model.dim))[1].shape))
    found, whole = gflow.model_rank(model, theta), gflow.model_rank(model.network, model.ties @ theta)
    assert (found.rank, found.certified, gflow.optimistic_sample_size(model, theta)) == (rank, True, rank)
    assert (whole.rank, whole.certified) == (connected, True)
    free = gflow.model_rank(model, model.random(0))
    assert (free.rank, free.certified) == (model.dim, True)


def test_kernels_of_an_image_and_special_kernels_are_counted() -> None:
    for shared, rank in ((True, 4 + 4), (False, 5 * 4)):
        image = gflow.ConvolutionalNetwork(np.zeros((1, 3, 3)), 1, 2, shared=shared)
        found = gflow.model_rank(image, image.random(0))
        assert (found.rank, found.certified, gflow.optimistic_sample_size(image, image.random(0))) == (rank, True, rank)
    model = gflow.ConvolutionalNetwork(np.zeros((1, 5)), 3, 3, bias=True)
    a, rows = np.array([[1.0, 1, 1], [1, 2, 4], [2, 0, 1]]), np.array([[1.0, 2, 3, 4], [-1, -2, -3, -4], [0, 0, 0, 2]])
    found = gflow.model_rank(model, model.theta(a, rows))
    assert (found.rank, found.certified) == (3 + 2 * 4 + 1 + 3, True)  # one class with two profiles, and a constant
    ends = np.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]])
    shifted = gflow.model_rank(model, model.theta(a, ends))  # one kernel that has been shifted twice
    assert shifted.certified and shifted.rank < model.dim
    for theta in (model.theta(a, rows), model.theta(a, ends)):
        with pytest.raises(ValueError, match="no formula is known"):
            gflow.optimistic_sample_size(model, theta)
    linear = gflow.ConvolutionalNetwork(np.zeros((1, 6)), 2, 3, activation="linear")
    assert (gflow.model_rank(linear, linear.random(0)).rank, linear.structural_rank(linear.random(0))) == (6, 6)


def test_a_generic_wide_network_in_one_dimension_is_ill_conditioned_and_has_full_rank() -> None:
    net = gflow.TanhNetwork([0.0], 6)
    found = gflow.model_rank(net, net.random(0))
    assert found.rank == 12 and found.certified and found.singular_values[-1] < 1e-11


@pytest.mark.parametrize(
    ("shape", "width", "rho", "rank"), [((4, 4), 4, 1, 7), ((4, 4), 4, 2, 12), ((4, 4), 4, 3, 15), ((3, 5), 2, 2, 12)]
)
def test_the_rank_of_a_matrix_model_is_that_of_the_tangent_space(
    shape: tuple[int, int], width: int, rho: int, rank: int
) -> None:
    rng, model = np.random.default_rng(rho), gflow.Factorization(shape, width)
    A, B = np.zeros((shape[0], width)), np.zeros((width, shape[1]))
    A[:, :rho], B[:rho] = rng.standard_normal((shape[0], rho)), rng.standard_normal((rho, shape[1]))
    found = gflow.model_rank(model, model.theta(A, B))
    assert (found.rank, found.certified) == (rank, True)
    assert (
        gflow.optimistic_sample_size(model, rng.integers(1, 9, (shape[0], 1)) * np.ones((1, shape[1])))
        == sum(shape) - 1
    )


def test_the_ranks_of_the_factors_need_not_agree() -> None:
    model = gflow.Factorization((3, 4), 3)
    A, B = np.zeros((3, 3)), np.zeros((3, 4))
    A[:, 0], B[1:, :2] = 1.0, [[1.0, 2.0], [0.0, 1.0]]
    assert gflow.model_rank(model, model.theta(A, B)).rank == 12 - (3 - 1) * (4 - 2)


def attention(linear: bool, scores: int, values: int) -> tuple[gflow.Attention, np.ndarray]:
    model = gflow.Attention(np.zeros((1, 4, 5)), 2, 4, 4, linear=linear, streams=3)
    Q, V = 1.3 * np.eye(3, 4) * (np.arange(4) < scores), 0.9 * np.eye(2, 4) * (np.arange(4) < values)
    return model, model.theta(Q, Q, V, V.T)


@pytest.mark.parametrize(
    ("linear", "ranks"),
    [
        (True, {(0, 0): 0, (1, 0): 0, (0, 2): 0, (1, 1): 7, (2, 1): 10, (2, 2): 11, (3, 2): 12}),
        (False, {(0, 1): 3, (0, 2): 4, (1, 1): 8, (1, 2): 9, (2, 1): 11, (2, 2): 12, (3, 1): 12, (3, 2): 13}),
    ],
)
def test_the_model_rank_of_attention_follows_the_ranks_of_its_products(linear: bool, ranks: Any) -> None:
    for (scores, values), rank in ranks.items():
        found = gflow.model_rank(*attention(linear, scores, values))
        assert (found.rank, found.certified) == (rank, True), (scores, values)
        assert found.gap > 1e10


def test_deep_diagonal_models_and_toys_count_what_can_move() -> None:
    model = gflow.DeepDiagonal(np.zeros((1, 4)), 3)
    theta = np.array([[1.0, 0, 0, 2], [1, 0, 3, 0], [2, 5, 1, 0]]).ravel()
    found = gflow.model_rank(model, theta)
    assert (found.rank, found.certified) == (2, True)
    assert gflow.optimistic_sample_size(model, [1.0, 0.0, 0.0, 3.0]) == 2
    toy = gflow.ProductToy(np.zeros((1, 2)))
    toys = [gflow.model_rank(toy, np.array(t)) for t in ([1.0, 1, 0, 0], [1.0, 1, 0, 2])]
    assert [(each.rank, each.certified) for each in toys] == [(2, True), (3, True)]
    assert [gflow.optimistic_sample_size(toy, t) for t in ([1.0, 1, 0], [1.0, 1, 1e-300])] == [2, 3]
    assert gflow.optimistic_sample_size(gflow.AffineModel(np.zeros((1, 2))), [1.0, 0, 0]) == 3


def test_the_optimistic_sample_size_of_a_network_is_that_of_its_intrinsic_width() -> None:
    net = gflow.TanhNetwork(np.zeros((1, 5)), 3, bias=True)
    rows = np.array([[1.0, 2, 3, 4, 5, 6]] * 3)
    assert gflow.optimistic_sample_size(net, net.theta([1, 0, 0], rows)) == 7
    rows[1] *= -1
    assert gflow.optimistic_sample_size(net, net.theta([1, 1, 0], rows)) == 0
    rows[2] = [0, 0, 0, 0, 0, 1]
    assert gflow.optimistic_sample_size(net, net.theta([1, 2, 1], rows)) == 7 + 6
    plain = gflow.TanhNetwork(np.zeros((1, 5)), 3)
    assert gflow.optimistic_sample_size(plain, plain.random(0)) == 18
    with pytest.raises(ValueError, match="no formula is known"):
        gflow.optimistic_sample_size(gflow.TanhNetwork(X, 2, activation="tanh^2"), np.ones(4))


def test_linear_stability_of_matrices_is_that_of_the_mask() -> None:
    M = np.outer([1.0, 2, 3], [1.0, -1, 2])
    model = gflow.Factorization((3, 3))
    A, B = np.zeros((3, 3)), np.zeros((3, 3))
    A[:, 0], B[0] = [1, 2, 3], [1, -1, 2]
    seen = np.array([[1, 1, 1], [1, 0, 0], [1, 0, 0]], dtype=bool)
    found = gflow.linear_stability(gflow.MatrixCompletion(M, seen), model, model.theta(A, B))
    assert found.stable and found.certified and (found.empirical.rank, found.model.rank) == (5, 5)
    seen[0] = True, True, False
    seen[1, 1] = True
    lacking = gflow.linear_stability(gflow.MatrixCompletion(M, seen), model, model.theta(A, B))
    assert not lacking.stable and lacking.certified
    with pytest.raises(ValueError, match="theta must interpolate"):
        gflow.linear_stability(gflow.MatrixCompletion(M + 1.0, seen), model, model.theta(A, B))


def test_weights_of_zero_and_repeated_inputs_take_rank_from_the_data() -> None:
    theta = neurons([1, 0.5], [1, 0.5], [1, -0.25])
    problem = gflow.Regression(X, np.zeros(24), np.r_[np.ones(4), np.zeros(20)])
    found = gflow.empirical_rank(problem, NET, theta)
    assert (found.rank, found.certified) == (4, True)


def test_what_limits_an_answer_is_said() -> None:
    theta = neurons([1, 0.5], [1, 0.5], [1, -0.25])
    few = gflow.model_rank(NET, theta, X[:4])
    assert (few.rank, few.lower, few.upper, few.certified) == (4, 4, 6, False) and "a lower bound only" in few.note
    assert "repeats" in gflow.model_rank(NET, theta, np.r_[X, X[:1]]).note
    model, at = attention(False, 3, 2)
    assert "one-hot" in gflow.model_rank(gflow.TanhNetwork(np.eye(3), 2), np.ones(8), np.eye(3)).note
    assert gflow.model_rank(model, at).note == ""
    assert "vanish" in gflow.model_rank(model, 0 * at).note


def test_a_model_of_automatic_differentiation_has_no_upper_bound_but_its_parameters() -> None:
    model = gflow.AutodiffModel(lambda theta: anp.outer(theta[:2], theta[2:]), 5)
    found = gflow.model_rank(model, np.arange(1.0, 6.0))
    assert (found.rank, found.lower, found.upper, found.certified) == (4, 4, 5, False)
    with pytest.raises(ValueError, match="inputs belong to models of functions"):
        gflow.model_rank(model, np.ones(5), X)


def test_a_function_of_ones_own_is_sampled_at_gaussian_inputs() -> None:
    model = gflow.AutodiffModel(lambda t, x: t[0] * t[1] * x + t[2] * t[3] * x**2, 4, 2, X)
    ranks = [gflow.model_rank(model, theta) for theta in ([1.0, 2.0, 0.0, 0.0], [1.0, 2.0, 0.0, 3.0], np.zeros(4))]
    assert [(found.rank, found.n_values) for found in ranks] == [(1, 16), (2, 16), (0, 16)]
    waves = gflow.AutodiffModel(lambda t, x: t[0] * anp.sin(t[1] * x) + t[2] * anp.sin(t[3] * x), 4, inputs=X)
    assert [gflow.model_rank(waves, theta).rank for theta in ([0.5, 1, 0.5, 1], [0.5, 1, 0.5, 2])] == [2, 4]
    with pytest.raises(ValueError, match="inputs must be finite"):
        gflow.AutodiffModel(lambda t, x: t * x, 1, inputs=[np.nan])


@pytest.mark.parametrize(
    ("theta", "settings", "message"),
    [(np.ones(5), {}, "shape"), (np.full(6, np.nan), {}, "finite"), (np.ones(6), {"tol": 2.0}, "tol must lie between")],
)
def test_bad_input_is_refused(theta: np.ndarray, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gflow.model_rank(NET, theta, X, **settings)


def test_a_jacobian_that_rounds_proves_nothing() -> None:
    def rounded(theta: Any) -> np.ndarray:
        return np.outer(np.asarray(theta, dtype=float), [0.1, 0.3])

    assert minors.proven_rank(rounded, np.array([0.1, 0.7]), 2) == 0
    assert minors.proven_rank(lambda theta: theta[:, None] * np.array([0.5, 3.0]), np.array([0.1, 0.7]), 2) == 1


def test_a_structural_rank_that_is_too_small_is_found_out() -> None:
    class Short(gflow.TanhNetwork):
        def structural_rank(self, theta: np.ndarray) -> int:
            return 3

        def at(self, inputs: Any) -> Any:
            return Short(inputs, self.width, self.bias)

    with pytest.raises(RuntimeError, match="structural_rank is wrong"):
        gflow.model_rank(Short(X, 2, bias=True), np.arange(1.0, 7.0))


def test_records_say_themselves_in_json_and_in_a_line() -> None:
    found = gflow.model_rank(NET, neurons([1, 0], [1, 0], [1, 0]), X)
    assert repr(found) == "ModelRank(3, certified)"
    assert found.to_dict()["gap"] > 1e10 and found.to_dict()["certified"] is True


def test_weights_take_no_part_in_a_rank_that_is_not_proven() -> None:
    model = gflow.AutodiffModel(lambda t, x: t[0] * anp.tanh(t[1] * x + t[2]) + t[3] * anp.sin(t[4] * x), 5, inputs=X)
    theta, weights = model.random(1), np.r_[1.0, np.full(23, 1e-40)]
    found = [gflow.empirical_rank(gflow.Regression(X, 0 * X, each), model, theta) for each in (None, weights)]
    assert [(each.rank, each.certified) for each in found] == [(5, False), (5, False)]
    none = gflow.empirical_rank(gflow.Regression(X, 0 * X, np.r_[np.ones(3), np.zeros(21)]), model, theta)
    assert (none.rank, none.upper) == (3, 3)


def test_a_model_that_is_known_on_the_data_alone_has_no_linear_stability() -> None:
    x = np.array([0.5, 1.0])  # two samples of a function of rank three: on the data alone both ranks would be two
    problem, theta = gflow.Regression(x, np.tanh(x + 1)), np.ones(3)
    fixed = gflow.AutodiffModel(lambda t: t[0] * anp.tanh(t[1] * x + t[2]), 3)
    with pytest.raises(ValueError, match="asks for the model elsewhere"):
        gflow.linear_stability(problem, fixed, theta)
    free = gflow.AutodiffModel(lambda t, x: t[0] * anp.tanh(t[1] * x + t[2]), 3, inputs=x)
    assert not gflow.linear_stability(problem, free, theta).stable


def test_a_matrix_whose_rank_rounding_changes_is_told() -> None:
    model, rng = gflow.Factorization((4, 4)), np.random.default_rng(0)
    M = np.outer(rng.standard_normal(4), rng.standard_normal(4))
    with pytest.raises(ValueError, match=r"target has rank [234], and 1 up to rounding: give tol"):
        gflow.optimistic_sample_size(model, M)
    assert [gflow.optimistic_sample_size(model, M + 1e-6 * np.eye(4), tol=tol) for tol in (1e-3, 1e-9)] == [7, 16]
    with pytest.raises(ValueError, match="tol is for matrices"):
        gflow.optimistic_sample_size(NET, np.ones(6), tol=1e-3)


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (gflow.Factorization((4, 4)), np.ones((3, 3))),
        (gflow.Factorization((2, 2)), np.full((2, 2), np.nan)),
        (NET, np.ones(4)),
        (gflow.ConvolutionalNetwork(np.zeros((1, 3)), 1, 2), np.ones(3)),
        (gflow.DeepDiagonal(np.zeros((1, 4))), np.ones(8)),
        (gflow.AffineModel(np.zeros((1, 2))), np.ones(2)),
        (gflow.ProductToy(np.zeros((1, 2))), np.ones(4)),
    ],
)
def test_a_target_of_another_shape_has_no_sample_size(model: Any, target: np.ndarray) -> None:
    with pytest.raises(ValueError, match="target must be finite and of shape"):
        gflow.optimistic_sample_size(model, target)


def test_derivatives_that_are_not_finite_have_no_rank() -> None:
    logarithm = gflow.AutodiffModel(lambda t, x: t[0] * anp.log(x) + t[1], 2, inputs=[1.0, 2.0])
    for model, theta in ((logarithm, np.ones(2)), (gflow.DeepDiagonal([0.0], 3), np.full(3, 1e200))):
        with pytest.raises(ValueError, match="derivatives of the model are not finite"):
            gflow.model_rank(model, theta)
    with pytest.raises(ValueError, match=r"inputs must have shape \(n, ...\) as those of the model; got \(3, 2\)"):
        gflow.model_rank(NET, np.zeros(6), np.zeros((3, 2)))
    with pytest.raises(TypeError, match="rng must be a numpy Generator or an integer seed"):
        gflow.model_rank(NET, np.zeros(6), rng="a")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one value for each of 4 inputs"):
        gflow.model_rank(gflow.AutodiffModel(lambda t, x: t[0] * X, 1, inputs=X), np.ones(1))
