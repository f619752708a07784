"""Tests of regression problems and of models of functions: closed forms against autograd, and what is refused."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
import scipy.special

import gflow
from gflow.objective.loss import Loss
from gflow.testing import check_model, check_problem

RNG = np.random.default_rng(0)
X, TOKENS = RNG.standard_normal((7, 3)), RNG.standard_normal((5, 3, 4))


def softplus_like(u: Any) -> Any:
    """Return a smooth function that is neither odd nor even."""
    return anp.sin(u) + u * u


MODELS = [
    gflow.TanhNetwork(X, 4),
    gflow.TanhNetwork(X[:, 0], 2, bias=True),
    gflow.TanhNetwork(X, 3, bias=True, activation="tanh^2"),
    gflow.TanhNetwork(X, 2, activation=softplus_like),
    gflow.TanhNetwork(X, 3, bias=True, activation="linear"),
    gflow.ConvolutionalNetwork(X, 2, 2, activation=softplus_like),
    *(gflow.ConvolutionalNetwork(X, 2, 2, bias=True, shared=shared) for shared in (True, False)),
    gflow.ConvolutionalNetwork(TOKENS, 2, 2, activation="linear"),
    *(gflow.DeepDiagonal(X, depth) for depth in (1, 2, 4)),
    gflow.AffineModel(X),
    gflow.AutodiffModel(lambda t, x: t[0] * anp.sin(t[1] * x[:, 0]) + t[2] * x[:, 1], 3, inputs=X),
    gflow.AutodiffModel(lambda t, x: t[0] * t[1] * x + t[2] * t[3] * x**2, 4, 2, X[:, 0]),
    gflow.ProductToy(X[:, :2]),
    *(gflow.Attention(TOKENS, 2, 3, 2, linear=linear, heads=heads) for linear in (True, False) for heads in (1, 2)),
    *(gflow.Attention(TOKENS, 2, 3, 2, linear=linear, heads=2, streams=3) for linear in (True, False)),
]


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_every_model_of_functions_keeps_the_contract(model: Any) -> None:
    assert {"at", "random"} <= set(check_model(model, 1))


@pytest.mark.parametrize("weights", [None, [0, 1, 2, 3, 4, 5, 1e-200]])
@pytest.mark.parametrize("targets", [RNG.standard_normal(7), 1e3 * RNG.standard_normal((7, 2))])
def test_regression_keeps_the_contract(targets: np.ndarray, weights: Any) -> None:
    problem = gflow.Regression(X, targets, weights)
    check_problem(problem)
    shares = np.full(7, 1 / 7) if weights is None else np.array(weights) / 15
    misfit = np.sum(targets.reshape(7, -1) ** 2, axis=1)
    assert problem.risk(np.zeros(targets.shape)) == pytest.approx(shares @ misfit / 2)


@pytest.mark.parametrize("kind", ["softmax", "linear"])
def test_closed_forms_of_attention_are_those_of_autograd(kind: str) -> None:
    model = gflow.Attention(TOKENS, 2, 3, 2, linear=kind == "linear")

    def output(theta: Any) -> Any:
        places = (0, 12, (4, 3)), (12, 24, (4, 3)), (24, 32, (4, 2)), (32, 36, (2, 2))
        Q, K, V, out = (anp.reshape(theta[first:last], shape) for first, last, shape in places)
        scores = anp.einsum("nd,nld->nl", TOKENS[:, -1] @ Q @ K.T, TOKENS) / np.sqrt(3)
        p = scores / 3 if kind == "linear" else anp.exp(scores) / anp.sum(anp.exp(scores), axis=1, keepdims=True)
        return anp.einsum("nl,nld->nd", p, TOKENS) @ V @ out

    problem = gflow.Regression(TOKENS, RNG.standard_normal((5, 2)))
    ours = gflow.Objective.of(problem, model)
    theirs = gflow.Objective.autodiff(lambda theta: 0.1 * anp.sum((output(theta) - problem.values) ** 2), 36)
    theta, v = RNG.standard_normal((2, 36))
    assert ours.value(theta) == pytest.approx(theirs.value(theta), rel=1e-12)
    assert ours.gradient(theta) == pytest.approx(theirs.gradient(theta), abs=1e-12)
    assert ours.hvp(theta, v) == pytest.approx(theirs.hvp(theta, v), abs=1e-11)
    assert ours.hessian(theta) == pytest.approx(theirs.hessian(theta), abs=1e-11)


def test_a_deviation_is_right_at_any_distance_from_its_center() -> None:
    problem = gflow.Regression(X, RNG.standard_normal(7))
    closed = gflow.TanhNetwork(X, 2)

    def output(theta: Any) -> Any:
        return anp.dot(anp.tanh(anp.dot(X, anp.reshape(theta[2:], (2, 3)).T)), theta[:2])

    for model in (closed, gflow.AutodiffModel(output, 8)):
        loss = gflow.Objective.of(problem, model)
        theta, v = np.random.default_rng(1).standard_normal((2, 8))
        local, gradient = loss.around(theta), loss.gradient(theta)
        for size in (1e-30, 1e-8, 1e-2, 1.0, 10.0, 100.0):
            expected = loss.hessian(theta) @ (size * v) if size < 1e-6 else loss.gradient(theta + size * v) - gradient
            assert local.gradient(size * v) == pytest.approx(expected, abs=1e-7 * size if size < 1e-6 else 1e-11)
            if size >= 1.0:
                risen = loss.value(theta + size * v) - loss.value(theta) - size * (gradient @ v)
                assert local.value(size * v) == pytest.approx(risen, rel=1e-11)


def test_softmax_does_not_overflow() -> None:
    model = gflow.Attention(TOKENS, 2, 3, 2)
    theta = 1e160 * model.random(0)
    assert np.isfinite(model.output(1e-10 * theta)).all()
    big, small = 300.0 * model.random(1), model.random(2)
    moved = model.output(big + small) - model.output(big)
    assert model.increment(big, small) == pytest.approx(moved, abs=1e-6)
    assert model.increment(small, big) == pytest.approx(model.output(small + big) - model.output(small), rel=1e-12)


def test_starts_of_any_size_leave_the_origin_of_a_network_at_its_rate() -> None:
    x = np.linspace(-2, 2, 6)
    net = gflow.TanhNetwork(x, 2, bias=True)
    loss = gflow.Objective.of(gflow.Regression(x, np.tanh(x + 1)), net)
    values = gflow.hessian_spectrum(loss, np.zeros(6)).values
    assert values == pytest.approx(0.9359001193 * np.array([-1, -1, 0, 0, 1, 1]), abs=1e-9)
    start = net.random(np.random.default_rng(3))
    path = gflow.gradient_flow(loss, 1e-30 * start)
    assert path.status == "converged" and path.final_loss < 1e-17


def task() -> gflow.Regression:
    return gflow.recall_task(3, (1.0, 0.45), (0.6, 0.3, 0.1))


def test_the_recall_task_is_exact() -> None:
    problem = task()
    assert problem.inputs.shape == (192, 4, 5) and problem.risk(np.zeros((192, 2))) == pytest.approx(0.60125, abs=1e-15)
    assert problem.shares.sum() == pytest.approx(1.0) and problem.shares[:64].sum() == pytest.approx(0.6)
    query = problem.inputs[:, -1, :3].argmax(axis=1)
    assert np.array_equal(problem.inputs[np.arange(192), query, 3:], problem.values)
    assert not problem.inputs[:, -1, 3:].any()


def test_a_linear_convolutional_network_is_sensing_and_leaves_the_origin_by_one_kernel() -> None:
    rng = np.random.default_rng(3)
    Q = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    W = np.linalg.qr(rng.standard_normal((12, 2)))[0] * [3.0, 1.0] @ Q[:2]
    signals = np.eye(6)
    outputs = [[sum(W[4 * c + s] @ x[s : s + 3] for s in range(4)) for c in range(3)] for x in signals]
    problem = gflow.convolution_sensing(signals, outputs, 3)
    assert problem.risk(W) == pytest.approx(0.0, abs=1e-28)
    model = gflow.Factorization(problem.shape, 3)
    loss = gflow.Objective.of(problem, model)
    rate = np.linalg.svd(problem.gradient(np.zeros(problem.shape)), compute_uv=False)[0]
    assert -gflow.hessian_spectrum(loss, np.zeros(model.dim)).values[:3] == pytest.approx(np.full(3, rate))
    path = gflow.gradient_flow(loss, model.random(0, 1e-8))
    sizes = [np.linalg.svd(model.output(stay.theta), compute_uv=False) for stay in path.plateaus]
    assert [int(np.sum(size > 1e-2)) for size in sizes] == [0, 1, 2]


def test_a_linear_convolutional_network_of_one_output_is_the_same_sensing_problem() -> None:
    rng = np.random.default_rng(4)
    signals, targets = rng.standard_normal((2, 9, 6))[:, :, :6]
    problem, model = (
        gflow.Regression(signals, targets[:, 0]),
        gflow.ConvolutionalNetwork(signals, 3, 2, activation="linear"),
    )
    loss, theta = gflow.Objective.of(problem, model), model.random(1)
    sensing = gflow.convolution_sensing(signals, targets[:, 0], 2)
    factors = gflow.Factorization(sensing.shape, 3)
    a, rows = model.parts(theta)
    same = gflow.Objective.of(sensing, factors).value(factors.theta(a.T, rows))
    assert 2.0 * loss.value(theta) == pytest.approx(same, rel=1e-13)
    path = gflow.gradient_flow(loss, theta, t_end=1.0)
    assert model.conserved(path.final) == pytest.approx(model.conserved(theta), abs=1e-6)


def test_of_two_heads_of_linear_attention_one_is_used() -> None:
    problem = gflow.recall_task(2, (1.0, 0.45), (0.6, 0.4))
    model = gflow.Attention(problem.inputs, 2, 2, 2, heads=2, linear=True, streams=2)
    path = gflow.gradient_flow(gflow.Objective.of(problem, model), model.random(0, 1e-2), max_evaluations=1200)
    sizes = np.sort([np.linalg.norm(Q) for Q in model.matrices(path.final).Q])
    assert path.final_loss < 1e-3 and sizes[0] < 0.1 and sizes[1] > 1.0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.eye(3), np.ones(3), 4), ValueError, "at least the kernel 4"),
        ((np.eye(3), np.ones(2), 2), ValueError, "with n = 3"),
        ((np.eye(3), np.ones(3), 1.5), TypeError, "kernel must be a positive integer"),
    ],
)
def test_an_impossible_convolution_is_refused(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gflow.convolution_sensing(*arguments)


def test_inputs_of_model_and_problem_must_be_the_same() -> None:
    problem = gflow.Regression(X, np.ones(7))
    with pytest.raises(ValueError, match="must have the same inputs"):
        gflow.Objective.of(problem, gflow.TanhNetwork(X + 1.0, 2))
    with pytest.raises(ValueError, match="must have the same inputs"):
        gflow.Objective.of(problem, gflow.TanhNetwork(X[:, :2], 2))
    assert gflow.Objective.of(gflow.Regression(X[:, 0], np.ones(7)), gflow.TanhNetwork(X[:, :1], 2)).dim == 4


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((X, np.ones(6)), ValueError, "same length; got 7 and 6"),
        ((np.zeros((0, 2)), np.zeros(0)), ValueError, "at least one row"),
        ((X, np.r_[np.ones(6), np.nan]), ValueError, "targets must be finite; row 7"),
        ((np.full((2, 1), np.inf), np.ones(2)), ValueError, "inputs must be finite; row 1"),
        ((X, np.ones((7, 1, 1))), ValueError, r"shape \(n,\) or \(n, o\)"),
        ((X, np.ones(7), -np.ones(7)), ValueError, "weights must not be negative; number 1"),
        ((X, np.ones(7), np.zeros(7)), ValueError, "not all be zero"),
        ((X, np.ones(7), np.ones(6)), ValueError, r"weights must have shape \(7,\)"),
        ((X, ["a"] * 7), TypeError, "array of real numbers"),
        ((X, np.full(7, 1e200)), ValueError, r"must lie in \[1e-150, 1e150\]"),
        ((X, np.ma.masked_greater(np.arange(7.0), 5)), ValueError, "masked"),
    ],
)
def test_a_regression_of_bad_data_is_refused(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gflow.Regression(*arguments)


def test_repeated_inputs_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="inputs repeat 1 of 8 rows"):
        gflow.Regression(np.r_[X, X[:1]], np.ones(8))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: gflow.TanhNetwork(X, 0), ValueError, "width must be a positive integer"),
        (lambda: gflow.TanhNetwork(X, 2, activation="relu"), ValueError, "activation must be one of tanh, tanh"),
        (lambda: gflow.TanhNetwork(X, 2, activation=3), TypeError, "a name or a function"),
        (lambda: gflow.TanhNetwork(X, 2, activation=scipy.special.erf), TypeError, "written with autograd.numpy"),
        (lambda: gflow.TanhNetwork(X, 2, activation=lambda u: anp.sum(u) + u * 0), ValueError, "entry by entry"),
        (lambda: gflow.TanhNetwork(X, 2, activation=lambda u: anp.maximum(u, 0.0)), ValueError, "must be smooth at 0"),
        (lambda: gflow.TanhNetwork(X, 2, activation=lambda u: u * anp.abs(u)), ValueError, "must be smooth at 0"),
        (lambda: gflow.ConvolutionalNetwork(X, 2, 4), ValueError, "size must be at most that of the inputs, 3; got 4"),
        (lambda: gflow.ConvolutionalNetwork(X, 0, 2), ValueError, "kernels must be a positive integer"),
        (
            lambda: gflow.ConvolutionalNetwork(X, 2, 2).theta([[1.0]], [[1.0]]),
            ValueError,
            "a and rows must have shapes",
        ),
        (lambda: gflow.TanhNetwork(TOKENS, 2), ValueError, r"inputs must have shape \(n, d\)"),
        (lambda: gflow.TanhNetwork(X * np.nan, 2), ValueError, "inputs must be finite"),
        (lambda: gflow.DeepDiagonal(X, 0), ValueError, "depth must be a positive integer"),
        (lambda: gflow.ProductToy(X), ValueError, r"inputs must have shape \(n, 2\)"),
        (lambda: gflow.Attention(X, 2, 3, 2), ValueError, r"shape \(n, L, d\)"),
        (lambda: gflow.Attention(TOKENS, 2, 0, 2), ValueError, "key_width must be a positive integer"),
        (lambda: gflow.Attention(TOKENS, 2, 3, 2, heads=0), ValueError, "heads must be a positive integer"),
        (lambda: gflow.Attention(TOKENS, 2, 3, 2, streams=4), ValueError, "streams must leave coordinates"),
        (lambda: gflow.TanhNetwork(X, 2).theta([1, 2], [[1.0]]), ValueError, "a and rows must have shapes"),
        (lambda: gflow.recall_task(8, (1.0, 2.0)), ValueError, "at most 14"),
        (lambda: gflow.recall_task(2, (1.0, -2.0)), ValueError, "must be positive"),
        (lambda: gflow.recall_task(2, 1.0, (1.0,)), ValueError, r"frequencies must have shape \(2,\)"),
        (lambda: gflow.recall_task(2.5, 1.0), TypeError, "keys must be a positive integer"),
    ],
)
def test_an_impossible_model_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("function", "multiplicity"),
    [
        (lambda u: anp.exp(u), 0),
        (lambda u: anp.tanh(1e2 * u), 1),
        (lambda u: 1e-30 * anp.sin(u), 1),
        (softplus_like, 1),
        (lambda u: anp.tanh(u) ** 2, 2),
        (lambda u: anp.sin(u) - u, 3),
        (lambda u: u**4, 4),
    ],
)
def test_the_multiplicity_of_a_smooth_function_is_the_order_at_which_it_begins(
    function: Any, multiplicity: int
) -> None:
    assert gflow.TanhNetwork(X, 2, activation=function).activation.multiplicity == multiplicity


class Flipped(gflow.TanhNetwork):
    """A network whose second derivative has the wrong sign."""

    def bend(self, theta: np.ndarray, variation: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the derivative with the sign of s'' changed."""
        right, straight = super().bend(theta, variation, G), theta.copy()
        straight[: self.width] = 0.0
        return 2 * super().bend(straight, variation, G) - right


class Unscaled(gflow.Attention):
    """Attention whose derivatives leave out 1 / sqrt(dk)."""

    def pullback(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the gradient with the scores' part multiplied by sqrt(dk)."""
        parts, cut = super().pullback(theta, G), 2 * self.layers[0][0] * self.key_width
        parts[:cut] *= np.sqrt(self.key_width)
        return parts


class Transposed(gflow.Attention):
    """Attention that takes W_O for its transpose on the way back."""

    def pullback(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the gradient at another W_O."""
        turned = theta.copy()
        turned[-4:] = theta[-4:].reshape(2, 2).T.ravel()
        return super().pullback(turned, G)


class Loose(gflow.TanhNetwork):
    """A network that takes itself for odd where it is not."""

    @property
    def symmetries(self) -> Any:
        """Return a sign of the inner rows alone."""
        signs = np.ones(self.dim)
        signs[self.width :] = -1.0
        return ((np.arange(self.dim), signs),)


@pytest.mark.parametrize(
    ("model", "part"),
    [
        (Flipped(X, 2), "bend"),
        (Unscaled(TOKENS, 2, 3, 2), "pullback"),
        (Transposed(TOKENS, 2, 3, 2), "pullback"),
        (Loose(X, 2), "symmetries"),
    ],
)
def test_planted_faults_of_a_model_are_found(model: Any, part: str) -> None:
    with pytest.raises(AssertionError, match=f"^{part}: "):
        check_model(model, 1)


@pytest.mark.parametrize("activation", ["tanh", "tanh^2", "linear"])
@pytest.mark.parametrize("bias", [False, True])
def test_the_gradient_around_a_center_shares_the_work_of_its_parts_and_is_that_of_the_parts(
    activation: str, bias: bool
) -> None:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((7, 2))
    model = gflow.TanhNetwork(X, 3, bias, activation)
    problem = gflow.Regression(X, rng.standard_normal(7))
    objective, parts = gflow.Objective.of(problem, model), Loss(problem, model)
    center = model.random(rng)
    around, plain = objective.around(center), parts.deviation(parts.objective(), center)
    for size in (1e-40, 1e-9, 1e-2, 1.0, 5.0):
        delta = size * model.random(rng, 1.0)
        expected = plain.gradient(delta)
        np.testing.assert_allclose(around.gradient(delta), expected, rtol=0, atol=1e-13 * np.abs(expected).max())
        several = delta * np.array([[1.0], [-0.5], [2.0]])
        one_by_one = [around.value(each) for each in several], [around.gradient(each) for each in several]
        np.testing.assert_allclose(around.value(several), one_by_one[0], rtol=1e-10)
        np.testing.assert_allclose(around.gradient(several), one_by_one[1], rtol=1e-11, atol=1e-13 * size)


def test_a_network_that_redefines_a_part_is_not_taken_the_quick_way() -> None:
    class Doubled(gflow.TanhNetwork):
        def output(self, theta: np.ndarray) -> np.ndarray:
            return 2.0 * super().output(theta)

        def pullback(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
            return 2.0 * super().pullback(theta, G)

        def increment(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
            return 2.0 * super().increment(theta, variation)

        def turn(self, theta: np.ndarray, variation: np.ndarray, G: np.ndarray) -> np.ndarray:
            return 2.0 * super().turn(theta, variation, G)

    X, rng = np.linspace(-1.0, 1.0, 5), np.random.default_rng(0)
    model = Doubled(X, 2)
    objective, origin = gflow.Objective.of(gflow.Regression(X, X**2), model), np.zeros(model.dim)
    delta = model.random(rng)
    found = objective.around(origin).gradient(delta)
    np.testing.assert_allclose(found, objective.gradient(delta) - objective.gradient(origin), rtol=1e-12, atol=1e-14)
