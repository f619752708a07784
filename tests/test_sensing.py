"""Linear measurements and the symmetric factorisation: closed forms, the special case of completion, generic use."""

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings, strategies as st

from gflow.critical import PointKind, classify, find_critical_point, hessian_spectrum
from gflow.escape import EscapeVerdict, escape_directions, escape_limit
from gflow.flow import Status, gradient_flow
from gflow.models import DirectMatrix, Factorization, SymmetricFactorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion, MatrixSensing

SEEDS = st.integers(0, 2**32 - 1)
NAN = np.nan
FIGURE_3 = np.array([[4, 0.6, 1.8, 0.8], [6, 0.9, 2.7, NAN], [8, 2.2, 2.6, 1.6], [8, 2.7, 5.1, 3.6]])


def close(one: Any, other: Any, scale: float = 1.0, tol: float = 1e-12) -> bool:
    """Return whether two arrays agree within ``tol`` of their size or of ``scale``."""
    one, other = np.asarray(one), np.asarray(other)
    return bool(np.abs(one - other).max() <= tol * max(scale, float(np.abs(other).max())))


def symmetric_part(A: np.ndarray) -> np.ndarray:
    """Return (A + A^T) / 2 of the last two axes."""
    return (A + A.mT) / 2


def loss(A: np.ndarray, y: np.ndarray, weight: float, size: int, rank: int) -> Callable[[Any], Any]:
    """Return theta -> weight |A(U U^T) - y|^2 written out for automatic differentiation."""

    def function(theta: Any) -> Any:
        U = anp.reshape(theta, (size, rank))
        return weight * anp.sum((anp.tensordot(A, anp.dot(U, U.T), 2) - y) ** 2)

    return function


def worst(one: Objective, other: Objective, theta: np.ndarray, v: np.ndarray) -> float:
    """Return the largest relative difference between the derivatives of two objectives."""
    pairs = [
        (one.value(theta), other.value(theta)),
        (one.gradient(theta), other.gradient(theta)),
        (one.hvp(theta, v), other.hvp(theta, v)),
        (one.hessian(theta), other.hessian(theta)),
    ]
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-300)) for a, b in pairs)


class DoubledAdjoint(MatrixSensing):
    """Measurements whose adjoint has a factor 2 too many."""

    def adjoint(self, weights: np.ndarray) -> np.ndarray:
        """Return twice the adjoint."""
        return 2 * super().adjoint(weights)


class SymmetricBlind(SymmetricFactorization):
    """A symmetric factorisation that takes every gradient for symmetric."""

    def pullback(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return 2 G U."""
        return (2 * G @ self.factor(theta)).reshape(theta.shape)


@pytest.mark.parametrize("factor", [1.0, 1e-150, 1e120])
@pytest.mark.parametrize("model", [Factorization((4, 4)), Factorization((4, 4), 2), DirectMatrix((4, 4))])
def test_completion_is_sensing_with_the_matrices_of_its_entries(factor: float, model: Any) -> None:
    problem = MatrixCompletion(FIGURE_3).rescaled(factor)
    sensing = MatrixSensing.of_completion(problem)
    assert (sensing.shape, sensing.n_observed, sensing.weight) == (problem.shape, problem.n_observed, problem.weight)
    assert (sensing.size, sensing.unit) == (problem.size, problem.unit)
    rng = np.random.default_rng(0)
    one, other = Objective.of(sensing, model), Objective.of(problem, model)
    for _ in range(3):
        theta, v = one.theta_unit * rng.standard_normal((2, model.dim))
        assert worst(one, other, theta, v) < 1e-13
        small = 1e-9 * v
        there, expected = one.around(theta), other.around(theta)
        assert close(there.gradient(small), expected.gradient(small), scale=0.0)
        assert there.value(small) == pytest.approx(expected.value(small), rel=1e-10)
    W = rng.standard_normal((4, 4)) * problem.unit
    assert np.array_equal(sensing.measure(W), problem.measure(W))
    assert np.array_equal(sensing.adjoint(problem.targets), problem.values)
    assert close(sensing.gradient(W), problem.gradient(W), 0.0) and close(
        sensing.curvature(W), problem.curvature(W), 0.0
    )


@settings(max_examples=40)
@given(
    seed=SEEDS,
    count=st.integers(1, 6),
    d1=st.integers(1, 4),
    d2=st.integers(1, 4),
    name=st.sampled_from(("mean", "sum")),
)
def test_dense_and_sparse_measurements_agree(seed: int, count: int, d1: int, d2: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((count, d1, d2)) * (rng.random((count, d1, d2)) < 0.5)
    y = rng.standard_normal(count)
    dense = MatrixSensing(A, y, normalization=name)
    sparse = MatrixSensing(scipy.sparse.coo_array(A.reshape(count, -1)), y, shape=(d1, d2), normalization=name)
    assert dense.size == pytest.approx(sparse.size) and np.array_equal(dense.measurements, sparse.measurements)
    W = rng.standard_normal((3, 2, d1, d2))
    for method in ("misfit", "risk", "gradient"):
        assert close(getattr(dense, method)(W), getattr(sparse, method)(W))
        assert close(getattr(dense, method)(W)[1, 1], getattr(dense, method)(W[1, 1]))
    assert close(dense.curvature(W[0, 0]), sparse.curvature(W[0, 0]))
    assert close(dense.measure(W[0].transpose(1, 2, 0)), np.tensordot(A, W[0], ((1, 2), (1, 2))))
    assert close(dense.rescaled(3.0).risk(W[0, 0] * 3), 9 * dense.risk(W[0, 0]))


@settings(max_examples=30)
@given(seed=SEEDS, size=st.integers(1, 4), rank=st.none() | st.integers(1, 5), name=st.sampled_from(("mean", "sum")))
def test_closed_forms_agree_with_automatic_differentiation(seed: int, size: int, rank: int | None, name: str) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 7))
    A, y = rng.standard_normal((count, size, size)), 10.0 ** rng.uniform(-3, 3) * rng.standard_normal(count)
    problem, model = MatrixSensing(A, y, normalization=name), SymmetricFactorization(size, rank)
    one = Objective.of(problem, model)
    other = Objective.autodiff(loss(A, y, problem.weight, size, model.rank), model.dim)
    theta, v = one.theta_unit * rng.standard_normal((2, model.dim))
    scale = max(np.linalg.norm(other.hessian(theta)), np.linalg.norm(A) ** 2 * float(theta @ theta))
    assert close(one.value(theta), other.value(theta), scale * one.theta_unit**2)
    assert close(one.gradient(theta), other.gradient(theta), scale * one.theta_unit)
    assert close(one.hvp(theta, v), other.hvp(theta, v), scale * one.theta_unit)
    assert close(one.hessian(theta), other.hessian(theta), scale)
    difference = one.gradient(theta + v) - one.gradient(theta)
    assert close(one.around(theta).gradient(v), difference, scale * 10 * one.theta_unit)
    batch = np.stack([theta, v])
    assert close(one.gradient(batch)[1], one.gradient(v)) and close(one.value(batch)[0], one.value(theta))


@settings(max_examples=30)
@given(seed=SEEDS, size=st.integers(1, 4), rank=st.integers(1, 5))
def test_the_symmetric_model_is_the_derivative_of_what_it_says(seed: int, size: int, rank: int) -> None:
    rng, model = np.random.default_rng(seed), SymmetricFactorization(size, rank)
    theta, v = rng.integers(-9, 10, (2, model.dim)).astype(float)
    G = rng.integers(-9, 10, (size, size)).astype(float)
    assert np.array_equal(model.tangent(theta, v), (model.output(theta + v) - model.output(theta - v)) / 2)
    assert np.array_equal(model.increment(theta, v), model.output(theta + v) - model.output(theta))
    assert np.array_equal(model.jacobian(theta) @ v, model.tangent(theta, v))
    assert np.sum(model.tangent(theta, v) * G) == v @ model.pullback(theta, G)
    assert np.array_equal(model.bend(theta, v, G), model.bend_matrix(theta, G) @ v)
    assert np.array_equal(model.bend(theta, v, G), model.pullback(theta + v, G) - model.pullback(theta, G))
    assert np.array_equal(model.output(model.identity(2.0)), 4 * np.diag(np.arange(size) < rank))


def test_non_symmetric_measurements_are_seen_through_their_symmetric_parts() -> None:
    rng, model = np.random.default_rng(3), SymmetricFactorization(4, 2)
    A, y = rng.standard_normal((6, 4, 4)), rng.standard_normal(6)
    raw, parts = MatrixSensing(A, y), MatrixSensing(symmetric_part(A), y)
    one = Objective.of(raw, model)
    other = Objective.autodiff(loss(A, y, 1 / 6, 4, 2), model.dim)
    theta, v = rng.standard_normal((2, model.dim))
    assert worst(one, other, theta, v) < 1e-12
    assert worst(Objective.of(parts, model), other, theta, v) < 1e-12
    blind = Objective.of(raw, SymmetricBlind(4, 2))
    assert worst(blind, other, theta, v) > 1e-2
    assert worst(Objective.of(parts, SymmetricBlind(4, 2)), other, theta, v) < 1e-12


def test_a_doubled_adjoint_is_found_by_automatic_differentiation() -> None:
    rng, model = np.random.default_rng(0), SymmetricFactorization(3)
    A = rng.standard_normal((4, 3, 3))
    A /= np.linalg.norm(A[0])
    y, (theta, v) = np.array([1.0, 0.2, -0.3, 0.1]), rng.standard_normal((2, model.dim))
    other = Objective.autodiff(loss(A, y, 1 / 4, 3, 3), model.dim)
    assert worst(Objective.of(MatrixSensing(A, y), model), other, theta, v) < 1e-12
    planted = DoubledAdjoint(A, y)
    assert planted.unit == 1.0 and worst(Objective.of(planted, model), other, theta, v) > 1e-2


def test_the_plain_sum_multiplies_by_the_number_of_measurements() -> None:
    rng, model = np.random.default_rng(1), SymmetricFactorization(3)
    A, y = rng.standard_normal((5, 3, 3)), 7 * rng.standard_normal(5)
    mean, total = (Objective.of(MatrixSensing(A, y, normalization=name), model) for name in ("mean", "sum"))
    theta, v = rng.standard_normal((2, model.dim))
    assert total.value(theta) == pytest.approx(5 * mean.value(theta), rel=1e-14)
    assert close(total.gradient(theta), 5 * mean.gradient(theta))
    assert close(total.hvp(theta, v), 5 * mean.hvp(theta, v)) and close(total.hessian(theta), 5 * mean.hessian(theta))
    slow, quick = gradient_flow(mean, theta, t_end=1.0, rtol=1e-10), gradient_flow(total, theta, t_end=0.2, rtol=1e-10)
    assert close(quick.final, slow.final, tol=1e-8)
    assert MatrixSensing(A, y, normalization="sum").rescaled(2).normalized.normalization == "sum"


@pytest.mark.parametrize("factor", [1e-130, 0.3, 1e130])
def test_values_scale_the_loss_the_parameters_and_the_time(factor: float) -> None:
    rng, model = np.random.default_rng(2), SymmetricFactorization(3, 2)
    problem = MatrixSensing(rng.standard_normal((4, 3, 3)), rng.standard_normal(4))
    one, other = Objective.of(problem, model), Objective.of(problem.rescaled(factor), model)
    theta, v, root = *rng.standard_normal((2, model.dim)), np.sqrt(factor)
    assert other.value(root * theta) / factor / factor == pytest.approx(one.value(theta), rel=1e-12)
    assert close(other.gradient(root * theta) / factor / root, one.gradient(theta))
    assert close(other.hvp(root * theta, root * v) / factor / root, one.hvp(theta, v))
    assert close(other.hessian(root * theta) / factor, one.hessian(theta))
    assert 0.5 <= problem.rescaled(factor).normalized.size < 2


def test_dependent_and_inconsistent_measurements_are_least_squares() -> None:
    A = np.array([np.diag([1.0, 0]), np.diag([1.0, 0]), np.zeros((2, 2))])
    problem, model = MatrixSensing(A, [1.0, 3.0, 1.0]), SymmetricFactorization(2)
    path = gradient_flow(Objective.of(problem, model), model.identity(0.5))
    assert model.output(path.final)[0, 0] == pytest.approx(2.0, rel=1e-9)
    assert path.final_loss == pytest.approx((1 + 1 + 1) / 3, rel=1e-12)
    assert path.status == Status.CONVERGED
    point = classify(Objective.of(problem, model), path.final)
    assert point.kind == PointKind.SECOND_ORDER and point.n_zero >= 2
    silent = MatrixSensing(np.zeros((1, 2, 2)), [1.0])
    assert silent.size == 0.0 and silent.unit == 1.0 and silent.risk(np.ones((2, 2))) == 1.0


def test_a_width_above_the_order_adds_nothing() -> None:
    rng = np.random.default_rng(5)
    problem = MatrixSensing(symmetric_part(rng.standard_normal((4, 3, 3))), rng.standard_normal(4))
    wide, full = SymmetricFactorization(3, 5), SymmetricFactorization(3)
    U = rng.standard_normal((3, 3))
    padded = np.hstack([U, np.zeros((3, 2))]).ravel()
    one = gradient_flow(Objective.of(problem, wide), padded, t_end=2.0)
    other = gradient_flow(Objective.of(problem, full), U.ravel(), t_end=2.0)
    assert close(wide.output(one.final), full.output(other.final), tol=1e-6)


A2, Y2 = np.ones((2, 2, 3)), np.ones(2)
SPARSE = scipy.sparse.csr_array(np.ones((2, 6)))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((np.ones((2, 6)), Y2), {}, ValueError, r"measurements must have shape \(m, d1, d2\); got \(2, 6\)"),
        ((np.zeros((0, 2, 2)), []), {}, ValueError, "at least one measurement"),
        ((np.zeros((2, 0, 2)), Y2), {}, ValueError, "at least one measurement of at least one entry"),
        ((A2, np.ones(3)), {}, ValueError, r"values must have shape \(2,\), one for each measurement; got \(3,\)"),
        ((A2, np.ones((2, 1))), {}, ValueError, r"values must have shape \(2,\)"),
        ((A2, 1.0), {}, ValueError, r"values must have shape \(2,\)"),
        ((A2, [1, np.inf]), {}, ValueError, "values must be finite; number 2 is inf"),
        ((A2, [np.nan, 1]), {}, ValueError, "number 1 is nan"),
        ((A2 * np.array([1, 1, -np.inf]), Y2), {}, ValueError, "number 1 holds -inf in row 1, column 3"),
        ((A2 * 1j, Y2), {}, TypeError, "measurements must be an array of real numbers; got dtype complex128"),
        ((A2, Y2 * 1j), {}, TypeError, "values must be an array of real numbers"),
        ((A2, ["1", "2"]), {}, TypeError, "values must be an array of real numbers"),
        ((A2.astype(object), Y2), {}, TypeError, "got dtype object"),
        ((A2, np.ma.masked_array(Y2, [0, 1])), {}, ValueError, "values must not hold masked entries"),
        ((np.ma.masked_array(A2, A2 > 0), Y2), {}, ValueError, "measurements must not hold masked entries"),
        ((A2 * 1e200, Y2), {}, ValueError, r"max\|A_i\|_F must lie in .* 2.44949e\+200"),
        ((A2 * 1e-200, Y2), {}, ValueError, r"max\|A_i\|_F must lie in"),
        ((A2 * 1e100, Y2 * 1e200), {}, ValueError, r"max\|y_i\| must lie in"),
        ((A2 * 1e100, Y2 * 1e-100), {}, ValueError, r"max\|y_i\| / max\|A_i\|_F must lie in"),
        ((A2, Y2), {"shape": (3, 2)}, ValueError, r"agree with the measurements, \(2, 3\); got \(3, 2\)"),
        ((A2, Y2), {"normalization": "max"}, ValueError, "one of mean, sum; got 'max'"),
        ((SPARSE, Y2), {}, ValueError, r"sparse measurements need shape=\(d1, d2\)"),
        ((SPARSE, Y2), {"shape": (2, 2)}, ValueError, r"must have shape \(m, 4\) with m > 0; got \(2, 6\)"),
        ((SPARSE[:0], []), {"shape": (2, 3)}, ValueError, "m > 0"),
        ((SPARSE, Y2), {"shape": (-2, -3)}, ValueError, "two positive integers"),
        ((SPARSE, Y2), {"shape": (1.5, 4)}, ValueError, "two positive integers"),
        ((SPARSE, Y2), {"shape": 6}, ValueError, "two positive integers"),
        ((SPARSE * 1j, Y2), {"shape": (2, 3)}, TypeError, "real numbers; got dtype complex128"),
        ((SPARSE * np.inf, Y2), {"shape": (2, 3)}, ValueError, "must be finite"),
        ((scipy.sparse.coo_array(np.ones(6)), Y2), {"shape": (2, 3)}, ValueError, r"got \(6,\)"),
    ],
)
def test_bad_measurements_are_refused(arguments: tuple, options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        MatrixSensing(*arguments, **options)


def test_a_problem_does_not_change_with_the_arrays_it_came_from() -> None:
    A, y = np.ones((2, 2, 3)), np.ones(2)
    problem = MatrixSensing(A, y)
    A[:], y[:] = 0, 0
    assert problem.risk(np.zeros((2, 3))) == 1.0 and problem.measurements.all()
    for array in (problem.targets, problem.measurements):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


@pytest.mark.parametrize("sizes", [(0,), (2, 0), (2.0,), (True,), (-1,)])
def test_a_symmetric_model_needs_positive_sizes(sizes: tuple) -> None:
    with pytest.raises(ValueError, match="must be a positive integer"):
        SymmetricFactorization(*sizes)
    with pytest.raises(ValueError, match="scale must be a positive finite number"):
        SymmetricFactorization(2).identity(0.0)
    with pytest.raises(ValueError, match="the same shape"):
        Objective.of(MatrixSensing(A2, Y2), SymmetricFactorization(2))


@pytest.mark.parametrize(("size", "width"), [(4, 4), (4, 2), (3, 5), (2, 1)])
def test_the_gauge_dimension_is_the_dimension_of_the_orbit(size: int, width: int) -> None:
    model, rng = SymmetricFactorization(size, width), np.random.default_rng(0)
    i, j = np.triu_indices(width, 1)
    for rank in range(min(size, width) + 1):
        U = rng.standard_normal((size, rank)) @ rng.standard_normal((rank, width))
        generators = np.zeros((len(i), width, width))
        generators[np.arange(len(i)), i, j], generators[np.arange(len(i)), j, i] = 1, -1
        orbit = (U @ generators).reshape(len(i), size * width)
        dimension = int(np.linalg.matrix_rank(orbit, tol=1e-10)) if orbit.size else 0
        assert model.gauge_dimension(U.ravel()) == dimension


def commuting_problem() -> tuple[MatrixSensing, SymmetricFactorization, np.ndarray, np.ndarray]:
    """Return measurements Q diag(lambda) Q^T of a positive definite matrix, a model, Q, and its eigenvalues."""
    rng = np.random.default_rng(4)
    Q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    eigenvalues = np.array([3.0, 2.0, 0.7, 0.3])
    A = np.einsum("ia,ma,ja->mij", Q, np.eye(4), Q)
    return MatrixSensing(A, eigenvalues), SymmetricFactorization(4), Q, eigenvalues


def test_the_spectrum_at_the_origin_is_that_of_the_adjoint() -> None:
    rng, model = np.random.default_rng(6), SymmetricFactorization(4, 3)
    problem = MatrixSensing(rng.standard_normal((7, 4, 4)), rng.standard_normal(7))
    top = np.linalg.eigvalsh(symmetric_part(problem.adjoint(problem.targets)))
    spectrum = hessian_spectrum(Objective.of(problem, model), np.zeros(model.dim))
    assert close(spectrum.values, np.sort(np.repeat(-4 / 7 * top, 3)), tol=1e-13)


def test_the_generic_algorithms_run_on_the_symmetric_model() -> None:
    problem, model, Q, eigenvalues = commuting_problem()
    objective = Objective.of(problem, model)
    path = gradient_flow(objective, model.identity(1e-3), rtol=1e-10)
    assert path.status == Status.CONVERGED
    assert close(model.output(path.final), (Q * eigenvalues) @ Q.T, tol=1e-8)
    assert classify(objective, path.final).kind == PointKind.GLOBAL_MINIMUM
    guess = np.zeros((4, 4))
    guess[:, 0] = np.sqrt(3) * Q[:, 0]
    rng = np.random.default_rng(0)
    point = find_critical_point(objective, guess.ravel() + 1e-3 * rng.standard_normal(16))
    U = model.factor(point.theta)
    assert point.kind == PointKind.STRICT_SADDLE
    assert close(U @ U.T, 3 * np.outer(Q[:, 0], Q[:, 0]), tol=1e-9)
    # dU = q_2 w^T changes X by a matrix that no measurement sees, along the factor too: w is any vector.
    assert point.escape_rate == pytest.approx(4 / 4 * 2.0, rel=1e-9) and point.multiplicity == 4
    assert (point.index, point.gauge_dimension, point.n_zero) == (12, 3, 3)


def test_the_escape_from_the_origin_follows_the_top_eigenvector_of_the_adjoint() -> None:
    rng, model = np.random.default_rng(7), SymmetricFactorization(3)
    A = symmetric_part(rng.standard_normal((5, 3, 3)))
    problem = MatrixSensing(A, np.tensordot(A, np.diag([2.0, 0.5, 0.1]), 2))
    objective, origin = Objective.of(problem, model), np.zeros(model.dim)
    values, vectors = np.linalg.eigh(problem.adjoint(problem.targets))
    u = vectors[:, -1]
    directions = escape_directions(objective, origin)
    assert directions.multiplicity == 3
    assert directions.rate == pytest.approx(4 / 5 * values[-1], rel=1e-12)
    basis = directions.basis.T.reshape(3, 3, 3)
    assert close(np.einsum("i,mij->mj", u, basis)[:, None] * u[None, :, None], basis, tol=1e-10)
    direction = model.random(np.random.default_rng(1))
    limit = escape_limit(objective, origin, direction)
    assert limit.verdict == EscapeVerdict.EXISTS and limit.predicted_order is not None
    first = model.factor(limit.path.states[0])
    w = u @ model.factor(direction)
    assert close(first, np.outer(u, w) * float(u @ first @ w) / float(w @ w), scale=0.0, tol=1e-4)
    X = model.output(limit.end)
    assert np.linalg.eigvalsh(X)[1] <= 1e-7 * np.linalg.eigvalsh(X)[2]
    assert hessian_spectrum(objective, limit.end).values[0] < 0 or objective.value(limit.end) < 1e-15
