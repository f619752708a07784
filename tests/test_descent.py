"""Gradient descent and projected gradient descent: recurrences on paper, quartics, the cone, and their limits."""

import json
from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gflow.completions import minimum_trace
from gflow.descent import (
    Quartic,
    gradient_descent,
    positive_part,
    projected,
    projected_gradient,
    quartic_along,
    svd_initialization,
)
from gflow.flow import Status, Trajectory, gradient_flow
from gflow.manifolds import omega_distance
from gflow.models import Factorization, SymmetricFactorization
from gflow.objective import Objective
from gflow.operators import gaussian_measurements
from gflow.problems import MatrixCompletion, MatrixSensing

SEEDS = st.integers(0, 2**32 - 1)
NAN = np.nan


def sensing(seed: int, size: int, rank: int, count: int) -> tuple[MatrixSensing, np.ndarray]:
    """Return Gaussian measurements of a positive semidefinite matrix of Frobenius norm 1, and this matrix."""
    rng = np.random.default_rng(seed)
    A = gaussian_measurements((size, size), count, rng)
    A, U = A / 2 + A.mT / 2, rng.standard_normal((size, rank))
    X = U @ U.T / np.linalg.norm(U @ U.T)
    return MatrixSensing(A, np.tensordot(A, X, 2)), X


def conditions(problem: MatrixSensing, X: np.ndarray) -> float:
    """Return how far X is from minimising R over X >= 0: X >= 0, dR >= 0 and dR X = 0, relative."""
    G = problem.gradient(X)
    G = G / 2 + G.T / 2
    scale = max(float(np.linalg.norm(problem.gradient(0 * X))), 1e-300)
    size = max(float(np.linalg.norm(X)), 1e-300)
    low = -np.linalg.eigvalsh(X)[0] / size, -np.linalg.eigvalsh(G)[0] / scale
    return float(max(*low, np.linalg.norm(G @ X) / scale / size))


def test_a_fixed_step_follows_the_recurrence_on_paper() -> None:
    # f = (u^2 - 2)^2, u <- u - 4 h u (u^2 - 2)
    objective = Objective.of(MatrixSensing(np.ones((1, 1, 1)), [2.0]), SymmetricFactorization(1))
    path = gradient_descent(objective, np.array([0.1]), step=0.01, t_end=0.5, max_states=100)
    u, expected = 0.1, [0.1]
    for _ in range(50):
        u -= 0.04 * u * (u * u - 2)
        expected.append(u)
    assert (path.status, path.n_steps, path.n_gradients) == (Status.HORIZON, 50, 51)
    assert np.allclose(path.states[:, 0], expected, rtol=1e-14)
    assert np.allclose(path.times, 0.01 * np.arange(51), rtol=1e-13)
    assert np.allclose(path.losses, (np.square(expected) - 2) ** 2, rtol=1e-12)


def test_the_exact_line_search_solves_one_dimension_in_one_step() -> None:
    objective = Objective.of(MatrixSensing(np.ones((1, 1, 1)), [2.0]), SymmetricFactorization(1))
    path = gradient_descent(objective, np.array([1.3]), clip=np.inf)
    assert path.status == Status.CONVERGED and path.n_steps <= 2
    assert abs(path.final[0]) == pytest.approx(np.sqrt(2), rel=1e-10)


@settings(max_examples=40)
@given(seed=SEEDS, size=st.integers(1, 4), rank=st.integers(1, 4), symmetric=st.booleans())
def test_the_loss_along_a_line_is_the_quartic(seed: int, size: int, rank: int, symmetric: bool) -> None:
    rng = np.random.default_rng(seed)
    problem = MatrixSensing(rng.standard_normal((5, size, size)), rng.standard_normal(5))
    model: Any = SymmetricFactorization(size, rank) if symmetric else Factorization((size, size), rank)
    objective = Objective.of(problem, model)
    theta, direction = rng.standard_normal((2, model.dim))
    line = quartic_along(objective, theta, direction, 0.7)
    s = np.linspace(-2, 2, 41)
    actual = objective.value(theta + s[:, None] * direction) - objective.value(theta)
    assert np.allclose([line(x) for x in s], actual, rtol=0, atol=1e-10 * np.abs(actual).max() + 1e-12)
    # the vanishing second differences of the measurements' squares give c4 on paper
    bend = problem.measure(model.increment(0 * theta, direction))
    assert line.c4 == pytest.approx(problem.weight * float(bend @ bend), rel=1e-8)


@settings(max_examples=60)
@given(c2=st.floats(-5, 5), c3=st.floats(-5, 5), c4=st.floats(0.01, 5), longest=st.floats(1e-3, 1e3))
def test_the_minimiser_of_a_quartic_beats_a_fine_grid(c2: float, c3: float, c4: float, longest: float) -> None:
    line = Quartic(-1.0, c2, c3, c4)
    s = line.minimiser(longest)
    grid = np.linspace(0, longest, 3001)[1:]
    assert 0 < s <= longest and line(s) <= min(line(x) for x in grid) + 1e-9 * abs(line(s))


@pytest.mark.parametrize("clip", [2.0, 0.5])
def test_no_clipped_step_exceeds_its_bound_and_the_loss_never_rises(clip: float) -> None:
    problem, _ = sensing(0, 5, 2, 12)
    model = SymmetricFactorization(5)
    objective = Objective.of(problem, model)
    path = gradient_descent(objective, model.identity(1e-2), clip=clip, max_evaluations=1500, max_states=2000)
    steps = np.diff(path.times)
    norms = np.array([np.linalg.norm(objective.hessian(theta), 2) for theta in path.states[:-1]])
    assert path.n_steps > 100 and path.monotonicity_defect <= 1e-15
    # power iteration bounds the norm from below, and may miss some per cent where it changes fast
    assert (steps * norms <= 1.1 * clip).all()
    free = gradient_descent(objective, model.identity(1e-2), clip=np.inf, max_evaluations=1500, max_states=2000)
    longest = np.diff(free.times).max()
    assert longest > 3 * steps.max()


def test_small_steps_follow_the_flow_at_first_order() -> None:
    problem, _ = sensing(1, 4, 2, 6)
    model = SymmetricFactorization(4)
    objective = Objective.of(problem, model)
    start = model.random(np.random.default_rng(0), 0.3)
    exact = gradient_flow(objective, start, t_end=4.0, rtol=1e-12).final
    steps = np.array([0.04, 0.02, 0.01, 0.005])
    ends = [gradient_descent(objective, start, step=h, t_end=4.0 - h / 2) for h in steps]
    errors = [np.linalg.norm(path.final - exact) for path in ends]
    order = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert order == pytest.approx(1.0, abs=0.05)
    doubled = gradient_descent(objective, start, step=0.01, t_end=3.995)
    assert np.linalg.norm(gradient_descent(objective, start, step=0.02, t_end=7.99).final - exact) > 3 * np.linalg.norm(
        doubled.final - exact
    )


def test_any_step_keeps_the_manifold_of_rank_one() -> None:
    problem = MatrixCompletion([[1, 2, NAN], [2, NAN, 1], [NAN, 1, 3]])
    model = Factorization(problem.shape)
    objective = Objective.of(problem, model)
    w = np.array([0.6, 0.8, 0])
    rng = np.random.default_rng(0)
    start = np.concatenate([np.outer(rng.standard_normal(3), w).ravel(), np.outer(w, rng.standard_normal(3)).ravel()])
    variants: tuple[dict[str, Any], ...] = ({"step": 0.1}, {}, {"clip": np.inf})
    for options in variants:
        path = gradient_descent(objective, start, max_evaluations=40, **options)
        assert max(omega_distance(model, theta, 1) for theta in path.states) < 1e-12


@pytest.mark.parametrize("factor", [1e-120, 0.37, 1e120])
def test_descent_scales_with_the_values(factor: float) -> None:
    problem, _ = sensing(2, 4, 1, 7)
    model = SymmetricFactorization(4)
    one, other = Objective.of(problem, model), Objective.of(problem.rescaled(factor), model)
    start = model.identity(0.1)
    for step in (0.02, "exact"):
        scaled = step if isinstance(step, str) else step / factor
        a = gradient_descent(one, start, step=step, max_evaluations=300)
        b = gradient_descent(other, np.sqrt(factor) * start, step=scaled, max_evaluations=300)
        assert a.status == b.status and abs(a.n_steps - b.n_steps) <= 1
        assert np.allclose(model.output(b.final) / factor, model.output(a.final), rtol=1e-7, atol=1e-9)


def test_endings_are_told_apart() -> None:
    problem, _ = sensing(3, 4, 2, 8)
    model = SymmetricFactorization(4)
    objective = Objective.of(problem, model)
    start = model.identity(0.1)
    long = gradient_descent(objective, start, step=1e3)
    assert long.status == Status.DIVERGING and "too long" in long.message
    for step in (1e80, 1e300):
        assert gradient_descent(objective, start, step=step).status == Status.DIVERGING
    assert gradient_descent(objective, start, max_evaluations=20).status == Status.BUDGET
    assert gradient_descent(objective, start, callback=lambda t, theta, loss: t > 0).n_steps == 1
    assert gradient_descent(objective, np.zeros(16)).status == Status.ROUNDOFF
    saddle = Objective.autodiff(lambda x: x[0] ** 2 - x[1] ** 2 + x[1] ** 4, 2)
    stuck = gradient_descent(saddle, np.array([1.0, 0.0]), step=0.1)
    assert stuck.status == Status.ROUNDOFF and abs(stuck.final).max() < 1e-100
    assert gradient_descent(saddle, np.array([1.0, 1e-9])).status == Status.CONVERGED
    inconsistent = MatrixSensing(np.ones((2, 1, 1)), [1.0, 3.0])
    least = gradient_descent(Objective.of(inconsistent, SymmetricFactorization(1)), np.ones(1))
    assert least.status == Status.CONVERGED and least.final_loss == pytest.approx(1.0, rel=1e-12)
    assert "no negative eigenvalue" in least.message
    few = gradient_descent(objective, start, step=1e-2, max_states=10, t_end=5.0)
    assert 5 <= len(few.times) <= 10 and few.times[-1] == pytest.approx(5.0)


def test_a_trajectory_of_descent_is_stored_and_read_back(tmp_path: Any) -> None:
    problem, _ = sensing(3, 3, 1, 4)
    model = SymmetricFactorization(3)
    for path in (
        gradient_descent(Objective.of(problem, model), model.identity(0.1), max_evaluations=50),
        projected_gradient(problem),
    ):
        path.save(tmp_path / "path.npz")
        again = Trajectory.load(tmp_path / "path.npz")
        assert np.array_equal(again.states, path.states) and again.method == path.method
        json.dumps(path.to_dict(), allow_nan=False)


def test_a_function_that_is_not_quartic_needs_a_fixed_step() -> None:
    wave = Objective.autodiff(lambda x: anp.sum(anp.cos(3 * x)), 2)
    with pytest.raises(ValueError, match="degree four along lines; give a fixed step"):
        gradient_descent(wave, np.array([0.3, 0.1]))
    with pytest.raises(ValueError, match="degree four"):  # near its minimum every function looks like a quartic
        gradient_descent(wave, np.array([np.pi / 3 - 1e-7, np.pi / 3]))
    path = gradient_descent(wave, np.array([0.3, 0.1]), step=0.05)
    assert path.status == Status.CONVERGED and path.final_loss == pytest.approx(-2)


@settings(max_examples=30)
@given(seed=SEEDS, digits=st.integers(0, 16), size=st.integers(1, 5), count=st.integers(1, 9))
def test_a_quartic_is_one_however_small_its_loss_at_the_start(seed: int, digits: int, size: int, count: int) -> None:
    problem, _ = sensing(seed, size, size, count)
    model = SymmetricFactorization(size)
    best = svd_initialization(minimum_trace(problem).matrix, size)
    start = best + 10.0**-digits * np.random.default_rng(seed).standard_normal(model.dim)
    path = gradient_descent(Objective.of(problem, model), start, max_evaluations=5)
    assert path.final_loss <= path.losses[0]


@settings(max_examples=60)
@given(seed=SEEDS, size=st.integers(1, 6))
def test_the_projection_is_the_one_of_moreau(seed: int, size: int) -> None:
    X = np.random.default_rng(seed).standard_normal((size, size))
    S, up, down = X / 2 + X.T / 2, positive_part(X), positive_part(-X)
    assert np.allclose(up - down, S, atol=1e-13) and abs(np.sum(up * down)) < 1e-12
    assert np.linalg.eigvalsh(up)[0] > -1e-13 and np.linalg.eigvalsh(down)[0] > -1e-13


@settings(max_examples=15)
@given(seed=SEEDS, size=st.integers(1, 4), count=st.integers(1, 8))
def test_projected_gradient_ends_at_a_minimum_over_the_cone(seed: int, size: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    problem = MatrixSensing(rng.standard_normal((count, size, size)), rng.standard_normal(count))
    path = projected_gradient(problem, max_evaluations=20_000, gradient_tol=1e-8)
    X = path.final.reshape(size, size)
    assert path.monotonicity_defect <= 1e-14
    if path.status == Status.CONVERGED:
        assert conditions(problem, X) < 1e-5


def test_without_the_cone_in_the_way_the_result_is_the_least_squares_one_of_least_norm() -> None:
    problem, _ = sensing(5, 4, 4, 5)
    X = projected_gradient(problem, np.eye(4), gradient_tol=1e-14).final.reshape(4, 4)
    rows = problem.measurements.reshape(5, -1)
    nearest = np.eye(4).ravel() + np.linalg.pinv(rows) @ (problem.targets - rows @ np.eye(4).ravel())
    assert np.linalg.eigvalsh(nearest.reshape(4, 4))[0] > 0
    assert np.allclose(X.ravel(), nearest, atol=1e-7)


def without_vectors(X: np.ndarray) -> np.ndarray:
    """Return the eigenvalues of the projection without its eigenvectors."""
    return np.diag(np.maximum(np.linalg.eigvalsh(X / 2 + X.T / 2), 0))


class DoubledAdjoint(MatrixSensing):
    """Measurements whose gradient has a factor 2 too many."""

    def gradient(self, W: np.ndarray) -> np.ndarray:
        """Return twice the gradient."""
        return 2 * super().gradient(W)

    def adjoint(self, weights: np.ndarray) -> np.ndarray:
        """Return twice the adjoint."""
        return 2 * super().adjoint(weights)


def test_a_projection_that_forgets_the_eigenvectors_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    problem = MatrixSensing(rng.standard_normal((12, 4, 4)), rng.standard_normal(12))
    path = projected_gradient(problem, gradient_tol=1e-12)
    assert path.status == Status.CONVERGED and "vanished" in path.message
    assert conditions(problem, path.final.reshape(4, 4)) < 1e-8
    monkeypatch.setattr(projected, "positive_part", without_vectors)
    forgot = projected_gradient(problem, max_evaluations=5000, norm_limit=1e9)
    assert conditions(problem, forgot.final.reshape(4, 4)) > 1e-3


def test_a_doubled_adjoint_is_found_by_the_quartic_and_by_the_flow_of_the_risk() -> None:
    A = np.random.default_rng(6).standard_normal((4, 3, 3))
    problem = MatrixSensing(A / np.linalg.norm(A[0]), [1.0, 0.2, -0.3, 0.1])
    planted = DoubledAdjoint(problem.measurements, problem.targets)
    model = SymmetricFactorization(3)
    theta = model.random(np.random.default_rng(0))
    assert planted.unit == 1.0
    assert gradient_descent(Objective.of(problem, model), theta, max_evaluations=10).n_steps > 2
    with pytest.raises(ValueError, match="degree four"):
        gradient_descent(Objective.of(planted, model), theta)
    one, other = (projected_gradient(p, step=0.1, max_evaluations=2) for p in (problem, planted))
    expected = positive_part(-0.1 * problem.gradient(np.zeros((3, 3)))).ravel()
    assert np.allclose(one.final, expected) and not np.allclose(other.final, expected, atol=1e-3)


def test_the_svd_initialization_is_a_factor_of_the_nearest_matrix_of_that_rank() -> None:
    problem, _ = sensing(7, 5, 3, 9)
    X = projected_gradient(problem).final.reshape(5, 5)
    values = np.sort(np.linalg.eigvalsh(X))
    for rank in (1, 2, 5, 7):
        model = SymmetricFactorization(5, rank)
        theta = svd_initialization(X, rank)
        assert theta.shape == (model.dim,)
        missing = np.linalg.norm(values[: max(0, 5 - rank)])
        assert np.linalg.norm(model.output(theta) - X) == pytest.approx(missing, rel=1e-9, abs=1e-7)
        path = gradient_descent(Objective.of(problem, model), theta, max_evaluations=200)
        assert path.losses[0] >= path.final_loss
    assert np.allclose(svd_initialization(4 * np.outer([0.6, -0.8], [0.6, -0.8]), 1), [-1.2, 1.6])


def test_descent_from_a_small_start_comes_nearer_to_the_least_norm_than_from_a_large_one() -> None:
    problem, _ = sensing(1, 6, 1, 12)
    model = SymmetricFactorization(6)
    objective = Objective.of(problem, model)
    least = minimum_trace(problem)
    excess = {}
    for scale in (1e-4, 1.0):
        path = gradient_descent(objective, scale * model.identity(), loss_tol=1e-7)
        assert path.status == Status.CONVERGED
        excess[scale] = np.trace(model.output(path.final)) / least.value - 1
    assert abs(excess[1e-4]) < 1e-3 and excess[1.0] > 1.0


PROBLEM, _ = sensing(0, 3, 1, 4)
OBJECTIVE = Objective.of(PROBLEM, SymmetricFactorization(3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gradient_descent(OBJECTIVE, np.ones(3)), r"finite numbers of shape \(9,\); got shape \(3,\)"),
        (lambda: gradient_descent(OBJECTIVE, np.full(9, NAN)), "finite numbers"),
        (lambda: gradient_descent(OBJECTIVE, np.ones(9), step=-1.0), "step must be 'exact' or a positive"),
        (lambda: gradient_descent(OBJECTIVE, np.ones(9), step="armijo"), "got 'armijo'"),
        (lambda: gradient_descent(OBJECTIVE, np.ones(9), clip=0.0), "clip must be positive"),
        (lambda: gradient_descent(OBJECTIVE, np.ones(9), loss_tol=0.0), "loss_tol must be positive"),
        (lambda: gradient_descent(OBJECTIVE, np.ones(9), t_end=-1.0), "t_end must be positive"),
        (lambda: gradient_descent(OBJECTIVE, np.ones(9), max_states=1), "max_states must be an integer of at least 2"),
        (lambda: projected_gradient(PROBLEM, np.ones((2, 2))), r"start must have shape \(3, 3\)"),
        (lambda: projected_gradient(PROBLEM, -np.eye(3)), "positive semidefinite; its least eigenvalue is -1"),
        (lambda: projected_gradient(PROBLEM, step=1e9), r"step must lie between 0 and 2 / L"),
        (lambda: projected_gradient(MatrixSensing(np.ones((1, 2, 3)), [1.0])), "symmetric_dilation"),
        (lambda: svd_initialization(np.ones((2, 3))), "square matrix"),
        (lambda: svd_initialization(np.array([[1.0, 2], [0, 1]])), "X must be symmetric"),
        (lambda: svd_initialization(np.eye(2), 0), "rank must be a positive integer"),
    ],
)
def test_wrong_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
