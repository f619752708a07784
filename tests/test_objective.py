"""Tests of the objective: closed forms against automatic differentiation, exact arithmetic, and each planted bug."""

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gflow.models import DirectMatrix, Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

Model = Factorization | DirectMatrix
SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 5))
MODELS = st.builds(Factorization, SHAPES, st.none() | st.integers(1, 5)) | st.builds(DirectMatrix, SHAPES)
SEEDS = st.integers(0, 2**32 - 1)
ROUNDING = 1e-13


class NoFactorTwo(MatrixCompletion):
    """A problem whose gradient drops the factor 2."""

    def gradient(self, W: np.ndarray) -> np.ndarray:
        """Return E / n."""
        return super().gradient(W) / 2


class LeakingMask(MatrixCompletion):
    """A problem whose residual looks beyond the mask."""

    def residual(self, W: np.ndarray) -> np.ndarray:
        """Return W - M with 0 for what is not observed."""
        return W - self.values


class TransposedBlock(Factorization):
    """A factorisation whose Hessian has G^T where G belongs."""

    def bend_matrix(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the matrix of ``bend(., G^T)``."""
        return super().bend_matrix(theta, G.T)


def random_problem(rng: np.random.Generator, shape: tuple[int, int]) -> MatrixCompletion:
    """Return Gaussian values on a random mask with at least one observation; max|M| = 1, so that the unit is 1."""
    observed = rng.random(shape) < 0.6
    observed.flat[rng.integers(observed.size)] = True
    values = rng.standard_normal(shape)
    return MatrixCompletion(values / np.abs(values[observed]).max(), observed)


def plain_loss(problem: MatrixCompletion, model: Model) -> Callable[[Any], Any]:
    """Return theta -> R(W(theta)) as it stands in the paper."""
    (d1, d2), n = model.shape, problem.n_observed

    def loss(theta: Any) -> Any:
        if isinstance(model, Factorization):
            cut = d1 * model.rank
            W = anp.dot(anp.reshape(theta[:cut], (d1, -1)), anp.reshape(theta[cut:], (-1, d2)))
        else:
            W = anp.reshape(theta, (d1, d2))
        return anp.sum((problem.observed * (W - problem.values)) ** 2) / n

    return loss


def defects(objective: Objective, reference: Objective, rng: np.random.Generator) -> dict[str, float]:
    """Return the differences of value, gradient, Hessian and Hessian-vector product, relative to their sizes."""
    theta, v = rng.standard_normal((2, reference.dim))
    H = reference.hessian(theta)
    pairs = {
        "value": (objective.value(theta), reference.value(theta)),
        "gradient": (objective.gradient(theta), reference.gradient(theta)),
        "hvp": (objective.hvp(theta, v), reference.hvp(theta, v)),
        "hessian": (objective.hessian(theta), H),
        "hessian and hvp": (objective.hessian(theta) @ v, objective.hvp(theta, v)),
    }
    size = 1 + float(np.abs(H).max()) + reference.value(theta)
    return {name: float(np.abs(np.subtract(ours, theirs)).max()) / size for name, (ours, theirs) in pairs.items()}


def wrong(found: dict[str, float]) -> set[str]:
    """Return the names whose defect exceeds rounding."""
    return {name for name, defect in found.items() if not defect <= ROUNDING}


def test_the_loss_of_a_scalar_factorisation_is_known_by_hand() -> None:
    objective = Objective.of(MatrixCompletion([[2.0]]), Factorization((1, 1)))
    theta = np.array([3.0, 1.0])
    assert objective.value(theta) == 1.0
    assert objective.gradient(theta).tolist() == [2.0, 6.0]
    assert objective.hessian(theta).tolist() == [[2.0, 8.0], [8.0, 18.0]]
    assert objective.hvp(theta, np.array([1.0, -1.0])).tolist() == [-6.0, -10.0]
    assert objective.lower_bound == 0.0


@settings(deadline=None, max_examples=60)
@given(model=MODELS, seed=SEEDS)
def test_the_closed_forms_agree_with_automatic_differentiation(model: Model, seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, model.shape)
    reference = Objective.autodiff(plain_loss(problem, model), model.dim)
    assert wrong(defects(Objective.of(problem, model), reference, rng)) == set()


def exact_loss(problem: MatrixCompletion, model: Factorization) -> Callable[[list[Fraction]], Fraction]:
    """Return the loss in rational arithmetic."""
    (d1, d2), r = model.shape, model.rank

    def loss(theta: list[Fraction]) -> Fraction:
        A = [theta[i * r : (i + 1) * r] for i in range(d1)]
        B = [theta[d1 * r + l * d2 : d1 * r + (l + 1) * d2] for l in range(r)]  # noqa: E741
        errors = (
            sum(A[i][m] * B[m][j] for m in range(r)) - Fraction(float(problem.values[i, j]))
            for i, j in zip(problem.rows.tolist(), problem.columns.tolist(), strict=True)
        )
        return sum((error**2 for error in errors), Fraction(0)) / problem.n_observed

    return loss


def exact_deviation(
    problem: MatrixCompletion, model: Factorization, center: np.ndarray, delta: np.ndarray
) -> tuple[Fraction, list[Fraction]]:
    """Return f(c + d) - f(c) - <f'(c), d> and f'(c + d) - f'(c), both exact: f is a quartic in each direction."""
    loss = exact_loss(problem, model)
    c, d = [Fraction(float(x)) for x in center], [Fraction(float(x)) for x in delta]

    def slope(theta: list[Fraction], index: int) -> Fraction:
        low, high = list(theta), list(theta)
        low[index] -= 1
        high[index] += 1
        return (loss(high) - loss(low)) / 2  # exact: the loss is quadratic in each single coordinate

    moved = [x + y for x, y in zip(c, d, strict=True)]
    at_center = [slope(c, index) for index in range(len(c))]
    gradient = [slope(moved, index) - at_center[index] for index in range(len(c))]
    return loss(moved) - loss(c) - sum(g * y for g, y in zip(at_center, d, strict=True)), gradient


def relative_error(found: np.ndarray | float, exact: list[Fraction]) -> float:
    """Return |found - exact| / |exact|, the difference taken in rational arithmetic."""
    pairs = zip(np.atleast_1d(found).tolist(), exact, strict=True)
    error = sum((Fraction(x) - y) ** 2 for x, y in pairs) / sum(y**2 for y in exact)
    return float(error) ** 0.5


FIGURE_4 = MatrixCompletion([[1, np.nan, 3], [np.nan, 5, np.nan], [3, np.nan, 9]])


def figure_4_saddle(model: Factorization) -> np.ndarray:
    """Return the saddle W = [[1, 0, 3], [0, 0, 0], [3, 0, 9]], exact in binary."""
    A = np.zeros((3, model.rank))
    A[:, 0] = [1, 0, 3]
    return model.theta(A, A.T)


@pytest.mark.parametrize("size", [1.0, 1e-3, 1e-12, 1e-100])
def test_the_deviation_form_is_accurate_where_subtraction_loses_all_digits(size: float) -> None:
    model = Factorization((3, 3))
    objective, center = Objective.of(FIGURE_4, model), figure_4_saddle(model)
    assert not objective.gradient(center).any()
    delta = size * np.random.default_rng(0).standard_normal(model.dim)
    value, gradient = exact_deviation(FIGURE_4, model, center, delta)
    around = objective.around(center)
    assert relative_error(around.gradient(delta), gradient) < 1e-14
    assert relative_error(around.value(delta), [value]) < 1e-14
    if size < 1e-9:
        assert relative_error(objective.value(center + delta) - objective.value(center), [value]) > 0.5
    if size < 1e-15:
        assert relative_error(objective.gradient(center + delta), gradient) > 0.5


@settings(deadline=None, max_examples=20)
@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 3)), seed=SEEDS, exponent=st.integers(-14, -4))
def test_the_deviation_form_leaves_out_the_slope_at_the_center(
    shape: tuple[int, int], seed: int, exponent: int
) -> None:
    rng, model = np.random.default_rng(seed), Factorization(shape)
    problem = random_problem(rng, shape)
    center, delta = rng.standard_normal(model.dim), 10.0**exponent * rng.standard_normal(model.dim)
    value, gradient = exact_deviation(problem, model, center, delta)
    around = Objective.of(problem, model).around(center)
    size = float(np.abs(around.hessian(np.zeros(model.dim))).max() + 1) * float(np.linalg.norm(delta))
    assert abs(float(Fraction(around.value(delta)) - value)) < 1e-14 * size * float(np.linalg.norm(delta))
    errors = [float(Fraction(x) - y) for x, y in zip(around.gradient(delta).tolist(), gradient, strict=True)]
    assert float(np.abs(errors).max()) < 1e-14 * size


def test_the_deviation_form_has_the_hessian_and_the_lower_bound_of_the_shifted_function() -> None:
    rng, model = np.random.default_rng(1), Factorization((3, 3))
    objective, center = Objective.of(FIGURE_4, model), figure_4_saddle(model)
    around, (delta, v) = objective.around(center), rng.standard_normal((2, model.dim))
    assert around.hessian(delta) == pytest.approx(objective.hessian(center + delta))
    assert around.hvp(delta, v) == pytest.approx(around.hessian(delta) @ v)
    assert around.lower_bound == pytest.approx(-objective.value(center))
    assert around.normalized is not None and around.theta_unit == objective.theta_unit
    assert objective.conserved is not None and around.conserved is not None
    assert np.array_equal(around.conserved(delta), objective.conserved(center + delta))


def test_any_function_can_be_centred_by_subtraction() -> None:
    saddle = Objective.autodiff(lambda x: x[0] ** 2 - x[1] ** 2 + 7.0, 2, lower_bound=-100.0)
    around = saddle.around(np.zeros(2))
    assert around.value(np.array([3.0, 1.0])) == 8.0
    assert around.gradient(np.array([3.0, 1.0])).tolist() == [6.0, -2.0]
    assert around.hessian(np.zeros(2)).tolist() == [[2.0, 0.0], [0.0, -2.0]]
    assert around.hvp(np.zeros(2), np.array([1.0, 1.0])).tolist() == [2.0, -2.0]
    assert around.lower_bound == -107.0


@settings(deadline=None, max_examples=30)
@given(model=MODELS, seed=SEEDS, exponent=st.integers(-240, 240))
def test_a_change_of_units_by_a_power_of_four_is_exact(model: Model, seed: int, exponent: int) -> None:
    rng, s = np.random.default_rng(seed), 4.0**exponent
    root = 2.0**exponent if model.degree == 2 else s
    problem = random_problem(rng, model.shape)
    plain, scaled = Objective.of(problem, model), Objective.of(problem.rescaled(s), model)
    theta, v = rng.standard_normal((2, model.dim))
    assert scaled.unit == s and scaled.theta_unit == root
    assert scaled.value(root * theta) == s * (s * plain.value(theta))
    assert np.array_equal(scaled.gradient(root * theta), s * (s / root) * plain.gradient(theta))
    assert np.array_equal(scaled.hvp(root * theta, v), s / root * (s / root) * plain.hvp(theta, v))
    assert np.array_equal(scaled.hessian(root * theta), s / root * (s / root) * plain.hessian(theta))
    if plain.conserved is not None and scaled.conserved is not None:
        assert np.array_equal(scaled.conserved(root * theta), s * plain.conserved(theta))
    inner = scaled.normalized or scaled
    assert inner.unit == 1.0 and inner.value(theta) == plain.value(theta)


@pytest.mark.parametrize("s", [1e-150, 1e150])
def test_entries_of_extreme_size_lose_no_digits(s: float) -> None:
    rng, model = np.random.default_rng(0), Factorization((3, 4))
    problem, theta = random_problem(rng, (3, 4)), rng.standard_normal(model.dim)
    plain, scaled = Objective.of(problem, model), Objective.of(problem.rescaled(s), model)
    assert scaled.value(np.sqrt(s) * theta) / s / s == pytest.approx(plain.value(theta), rel=1e-14)
    gradient = scaled.gradient(np.sqrt(s) * theta) / s / np.sqrt(s)
    assert gradient == pytest.approx(plain.gradient(theta), rel=1e-13, abs=1e-14)
    assert scaled.time_unit == pytest.approx(1 / s, rel=1)


def test_problem_and_model_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"problem and model must have the same shape; got \(3, 3\) and \(2, 3\)"):
        Objective.of(FIGURE_4, Factorization((2, 3)))


@pytest.mark.parametrize("part", ["value", "gradient", "hessian"])
def test_a_theta_of_another_shape_is_refused_by_automatic_differentiation(part: str) -> None:
    objective = Objective.autodiff(lambda x: x[0] ** 2, 1)
    with pytest.raises(ValueError, match=r"theta must have shape \(1,\); got \(2,\)"):
        getattr(objective, part)(np.zeros(2))


def planted() -> dict[str, tuple[Objective, set[str]]]:
    """Return wrong objectives for one 3 x 3 problem, each with the comparisons that must turn red."""
    rng, model = np.random.default_rng(3), Factorization((3, 3))
    problem = random_problem(rng, (3, 3))
    right = Objective.of(problem, model)
    arguments = problem.with_gaps(), problem.observed
    halved = Objective.of(NoFactorTwo(*arguments), model)
    leaking = Objective.of(LeakingMask(*arguments), model)
    transposed = Objective.of(problem, TransposedBlock((3, 3)))
    return {
        "none": (right, set()),
        "sign": (replace(right, gradient=lambda theta: -right.gradient(theta)), {"gradient"}),
        "factor 2": (halved, {"gradient", "hvp", "hessian"}),
        "mask": (leaking, {"value", "gradient", "hvp", "hessian"}),
        "transposed block": (transposed, {"hessian", "hessian and hvp"}),
    }


@pytest.mark.parametrize("bug", planted())
def test_each_planted_bug_turns_its_comparisons_red(bug: str) -> None:
    rng, model = np.random.default_rng(3), Factorization((3, 3))
    reference = Objective.autodiff(plain_loss(random_problem(rng, (3, 3)), model), model.dim)
    objective, red = planted()[bug]
    assert wrong(defects(objective, reference, np.random.default_rng(4))) == red


def test_a_deviation_form_without_the_quadratic_term_would_not_agree_with_exact_arithmetic() -> None:
    model = Factorization((3, 3))
    center, delta = figure_4_saddle(model), np.random.default_rng(0).standard_normal(model.dim)
    linear = Objective.of(FIGURE_4, model).hvp(center, delta)
    assert relative_error(linear, exact_deviation(FIGURE_4, model, center, delta)[1]) > 1e-2


def test_a_hessian_product_never_takes_the_slope_of_another_point() -> None:
    rng = np.random.default_rng(0)
    problem = MatrixCompletion(rng.uniform(-1, 1, (24, 23)), rng.random((24, 23)) < 0.5)
    model = Factorization(problem.shape)
    objective = Objective.of(problem, model)
    assert objective.normalized is None  # so that it sees the caller's own arrays
    theta, v = model.random(rng), model.random(rng)
    here, there = (Objective.of(problem, model).hvp(point, v) for point in (theta, theta + 0.1 * v))
    assert not np.allclose(here, there)
    for _ in range(2):
        assert np.array_equal(objective.hvp(theta, v), here)
        assert np.array_equal(objective.hvp(theta + 0.1 * v, v), there)
    point = theta.copy()
    assert np.array_equal(objective.hvp(point, v), here)
    point += 0.1 * v
    assert np.array_equal(objective.hvp(point, v), there)


# automatic differentiation


def small_net(xp: Any) -> Callable[[Any], Any]:
    inputs = np.random.default_rng(0).standard_normal((10, 2))

    def loss(theta: Any) -> Any:
        hidden = xp.tanh(xp.dot(inputs, xp.reshape(theta[:6], (2, 3))))
        return xp.sum((xp.dot(hidden, theta[6:]) - np.sin(inputs[:, 0])) ** 2)

    return loss


def test_jax_gives_the_derivatives_of_autograd_in_doubles_and_keeps_its_settings() -> None:
    jax = pytest.importorskip("jax", reason="the backend jax is an extra of its own")
    ours, theirs = Objective.autodiff(small_net(anp), 9), Objective.autodiff(small_net(jax.numpy), 9, backend="jax")
    theta, v = np.random.default_rng(1).standard_normal((2, 9))
    for name, arguments in {"value": (theta,), "gradient": (theta,), "hvp": (theta, v), "hessian": (theta,)}.items():
        one, two = (np.asarray(getattr(each, name)(*arguments)) for each in (ours, theirs))
        assert one.dtype == two.dtype == float and np.abs(one - two).max() < 1e-12
    assert jax.numpy.zeros(1).dtype == np.float32
    with pytest.raises(TypeError, match=r"written with jax\.numpy"):
        Objective.autodiff(lambda theta: np.sum(np.sin(theta)), 2, backend="jax").gradient(np.ones(2))


def test_what_differentiates_a_function_is_known_installed_and_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="one of 'autograd', 'jax'; got 'torch'"):
        Objective.autodiff(small_net(anp), 9, backend="torch")
    with pytest.raises(TypeError, match=r"written with autograd\.numpy"):
        Objective.autodiff(lambda theta: math.sin(theta[0]), 1).gradient(np.ones(1))
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ImportError, match=r"gflow-toolkit\[jax\]"):
        Objective.autodiff(small_net(np), 9, backend="jax")
