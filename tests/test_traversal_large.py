"""Tests of the limit of large problems: both paths agree, nothing of the shape of the matrix is formed, and guards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import sparse

from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion
from gflow.traversal import (
    Traversal,
    TraversalStatus,
    chain as chain_module,
    large as large_module,
    modes as modes_module,
    polish as polish_module,
    saddle_to_saddle,
    sizes as sizes_module,
    traversal as traversal_module,
)
from gflow.traversal.chebyshev import ChebyshevSteps
from gflow.traversal.krylov import leading_triples, lowest_eigenvalue
from gflow.traversal.polish import balanced, gauge_basis, product_svd, smallest_off_gauge
from gflow.traversal.sizes import is_isolating
from gflow.traversal.stages import Settings

CONVERGED = TraversalStatus.CONVERGED


def gaussian_completion(d: int, fraction: float, k: int, seed: int = 0) -> tuple[MatrixCompletion, np.ndarray]:
    """Return a problem with data A B from Gaussian factors of rank k, and the whole matrix."""
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((d, k)) @ rng.standard_normal((k, d))
    mask = np.zeros(d * d, dtype=bool)
    mask[rng.choice(d * d, int(fraction * d * d), replace=False)] = True
    return MatrixCompletion(M, mask.reshape(d, d)), M


def by_large_path(problem: MatrixCompletion, monkeypatch: pytest.MonkeyPatch) -> Traversal:
    """Return the limit by the path of large problems, however small the problem."""
    with monkeypatch.context() as patch:
        for module in (sizes_module, chain_module, polish_module, traversal_module):
            patch.setattr(module, "LARGE_CELLS", 0)
        return saddle_to_saddle(problem)


# linear algebra


@given(seed=st.integers(0, 2**32 - 1), shape=st.sampled_from([(30, 20), (20, 30), (25, 25)]))
@settings(deadline=None, max_examples=10)
def test_leading_triples_are_those_of_the_dense_decomposition(seed: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    E = sparse.random_array(shape, density=0.4, rng=rng, format="csr")
    found, exact = leading_triples(E, 4), np.linalg.svd(E.toarray(), compute_uv=False)
    assert found.converged and found.sigma == pytest.approx(exact[:4], abs=1e-9 * exact[0])
    assert E @ found.V[:, 0] == pytest.approx(found.sigma[0] * found.U[:, 0], abs=1e-11 * exact[0])
    assert E.T @ found.U[:, 0] == pytest.approx(found.sigma[0] * found.V[:, 0], abs=1e-11 * exact[0])


@pytest.mark.parametrize("shape", [(10, 300), (300, 10)])
def test_all_triples_of_a_long_matrix_are_found(shape: tuple[int, int]) -> None:
    E = np.random.default_rng(0).standard_normal(shape)
    found, exact = leading_triples(E, 10), np.linalg.svd(E, compute_uv=False)
    assert found.converged and found.sigma == pytest.approx(exact, rel=1e-12)
    assert found.U * found.sigma @ found.V.T == pytest.approx(E, abs=1e-11)


def test_triples_that_need_more_steps_than_allowed_say_so() -> None:
    E = np.diag(1.0 + np.linspace(0.0, 1e-3, 60))
    assert not leading_triples(E, 2, max_steps=5).converged
    assert leading_triples(np.diag([3.0, 0.0, 0.0]), 3).sigma[0] == pytest.approx(3.0)


def test_the_lowest_eigenvalue_is_found_or_none() -> None:
    values = np.linspace(0.1, 5.0, 80)
    start = np.random.default_rng(0).standard_normal(80)
    free = np.zeros((0, 80))
    least, largest = lowest_eigenvalue(lambda v: values * v, start, free)
    assert least == pytest.approx(0.1, rel=1e-5) and largest == pytest.approx(5.0, rel=1e-6)
    assert lowest_eigenvalue(lambda v: values * v, start, free, max_steps=3)[0] is None
    assert lowest_eigenvalue(lambda v: values * v, start, np.eye(2, 80))[0] == pytest.approx(values[2], rel=1e-5)


def test_the_product_of_factors_is_decomposed_and_balanced_without_being_formed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    A, B = rng.standard_normal((9, 2)), rng.standard_normal((2, 7))
    U, sizes, Vt = product_svd(A, B)
    assert (U * sizes) @ Vt == pytest.approx(A @ B, abs=1e-13)
    plain = balanced(A, B)
    monkeypatch.setattr(polish_module, "LARGE_CELLS", 0)
    for factor, expected in zip(balanced(A, B), plain, strict=True):
        assert factor == pytest.approx(expected, abs=1e-12)


def test_lanczos_finds_the_dense_eigenvalue_off_the_gauge(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, _ = gaussian_completion(20, 0.6, 2)
    end = saddle_to_saddle(problem).chains[0].end
    model = Factorization(problem.shape, 2)
    objective = Objective.of(problem, model)
    theta = model.theta(end.A, end.B)
    exact = smallest_off_gauge(lambda v: objective.hvp(theta, v), objective, model, theta)
    monkeypatch.setattr(polish_module, "DENSE_PRODUCTS", 0)
    found = smallest_off_gauge(lambda v: objective.hvp(theta, v), objective, model, theta)
    assert found == pytest.approx(exact, rel=1e-5)
    assert gauge_basis(model, theta).shape == (model.dim, 4)


# stabilised steps


@pytest.mark.parametrize("stages", [2, 5, 12])
def test_stabilised_steps_are_of_order_two(stages: int) -> None:
    exact = np.exp(-1.0)
    errors = []
    for n in (8, 16):
        steps = ChebyshevSteps(lambda y: y * (1.0 + 0.0 * y), lambda y: 1.0, np.array([1.0]), 1e-3)
        for _ in range(n):
            steps.theta = steps.attempt(1.0 / n, stages)
            steps.slope = steps.theta
        errors.append(abs(float(steps.theta[0]) - exact))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("stages", [3, 10, 40])
def test_stabilised_steps_are_stable_up_to_the_stated_length(stages: int) -> None:
    steps = ChebyshevSteps(lambda y: y, lambda y: 1.0, np.array([1.0]), 1e-3)
    lengths = np.linspace(0.5, 0.65 * (stages**2 - 1), 50)
    assert max(abs(float(steps.attempt(h, stages)[0])) for h in lengths) < 1.0
    assert abs(float(steps.attempt(0.8 * stages**2, stages)[0])) > 1.0


def test_steps_hold_their_error_and_follow_the_curvature() -> None:
    steps = ChebyshevSteps(lambda y: y**3, lambda y: 3.0 * float(y[0] ** 2), np.array([2.0]), 1e-5, size=0.5)
    while steps.time < 10.0:
        steps.step()
    assert float(steps.theta[0]) == pytest.approx((0.25 + 2.0 * steps.time) ** -0.5, rel=1e-2)
    assert steps.n_gradients < 500 and steps.stiffness < 0.5


# the limit


@pytest.mark.parametrize(("d", "fraction", "k", "seed"), [(40, 0.5, 2, 0), (50, 0.5, 3, 1), (40, 0.6, 3, 2)])
def test_both_paths_have_the_same_saddles_and_limit(
    d: int, fraction: float, k: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, M = gaussian_completion(d, fraction, k, seed)
    plain, large = saddle_to_saddle(problem), by_large_path(problem, monkeypatch)
    assert plain.status == large.status == CONVERGED and plain.rank == large.rank == k
    for one, other in zip(plain.saddles, large.saddles, strict=True):
        assert other.loss == pytest.approx(one.loss, rel=1e-9)
        assert other.escape_rate == pytest.approx(one.escape_rate, rel=1e-9)
        assert other.mu == (None if one.mu is None else pytest.approx(one.mu, rel=1e-4))
        assert (other.assumption_1, other.assumption_2) == (one.assumption_1, one.assumption_2)
        assert other.exponents[:3] == pytest.approx(one.exponents[:3], rel=1e-6, abs=1e-8)
    assert large.matrix == pytest.approx(M, abs=1e-9) and large.matrix == pytest.approx(plain.matrix, abs=1e-9)
    assert large.order == pytest.approx(plain.order, rel=1e-6)
    assert {path.method for path in large.chains[0].orbits} == {"Runge-Kutta-Chebyshev"}


def test_a_large_sparse_problem_is_completed_without_any_array_of_its_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, d = np.random.default_rng(3), 200
    A, B = rng.standard_normal((d, 2)), rng.standard_normal((2, d))
    cells = np.sort(rng.choice(d * d, 4000, replace=False))
    rows, columns = np.divmod(cells, d)
    entries = np.einsum("ik,ki->i", A[rows], B[:, columns])
    problem = MatrixCompletion(sparse.coo_array((entries, (rows, columns)), shape=(d, d)))

    def refuse(*_: object) -> np.ndarray:
        raise AssertionError("an array of the shape of the matrix was formed")

    with monkeypatch.context() as patch:
        patch.setattr(MatrixCompletion, "adjoint", refuse)
        patch.setattr(Factorization, "matrix", refuse)
        patch.setattr(Factorization, "jacobian", refuse)
        patch.setattr("gflow.objective.loss.SPARSE_CELLS", 0)
        found = saddle_to_saddle(problem)
    assert found.status == CONVERGED and found.rank == 2 and found.chains[0].unique is True
    assert found.matrix == pytest.approx(A @ B, abs=1e-8)
    assert [saddle.rank for saddle in found.saddles] == [0, 1, 2] and found.saddles[-1].loss == 0.0
    exact = np.linalg.svd(A @ B, compute_uv=False)[:2]
    assert found.singular_values == pytest.approx(exact, rel=1e-9)
    assert found.nuclear_norm == pytest.approx(exact.sum(), rel=1e-9)
    assert found.determined.all() and not found.std.any()
    assert found.saddles[0].index is None and found.saddles[-1].index == 0
    assert sum(path.n_gradients for path in found.chains[0].orbits) < 500


def test_the_limit_of_a_large_problem_is_read_back_and_its_table_is_left_to_the_factors(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    problem, _ = gaussian_completion(40, 0.5, 2)
    found = by_large_path(problem, monkeypatch)
    found.save(tmp_path / "limit.npz")
    again = Traversal.load(tmp_path / "limit.npz")
    assert np.array_equal(again.matrix, found.matrix) and again.saddles[1].index is None
    monkeypatch.setattr(traversal_module, "LARGEST_TABLE", 100)
    table = found.to_dict()
    assert table["matrix"] is None and table["determined"] is None
    assert np.array(table["factors"][0]) @ np.array(table["factors"][1]) == pytest.approx(found.matrix, abs=1e-14)


# counting and guards


def test_counting_observations_tells_when_critical_points_form_a_continuum() -> None:
    mask = np.ones((6, 6), dtype=bool)
    assert is_isolating(MatrixCompletion(np.ones((6, 6)), mask), 2)
    mask[0, 1:] = False
    assert is_isolating(MatrixCompletion(np.ones((6, 6)), mask), 1)
    assert not is_isolating(MatrixCompletion(np.ones((6, 6)), mask), 2)
    assert not is_isolating(MatrixCompletion([[1.0, 2.0], [3.0, np.nan]]), 3)


def test_an_orbit_that_spends_its_gradients_is_undecided() -> None:
    problem, _ = gaussian_completion(30, 0.6, 2)
    problem = problem.normalized
    modes = modes_module.residual_modes(problem, np.zeros((30, 0)), np.zeros((0, 30)))
    empty = np.zeros((30, 0)), np.zeros((0, 30))
    short = large_module.large_orbit(problem, *empty, modes.u, modes.v, Settings(max_evaluations=20))
    assert short.ending == "undecided" and short.spread() == np.inf
    near = large_module.large_orbit(problem, *empty, modes.u, modes.v, Settings(norm_limit=1.0 + 1e-9))
    assert near.ending in ("infinity", "minimum inside the manifold")


def test_a_wrong_escape_direction_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, M = gaussian_completion(40, 0.5, 2)
    sound = large_module.large_orbit
    monkeypatch.setattr(chain_module, "large_orbit", lambda problem, A, B, u, v, use: sound(problem, A, B, u, -v, use))
    wrong = by_large_path(problem, monkeypatch)
    assert wrong.matrix is None or np.abs(wrong.matrix - M).max() > 1e-3


def test_an_orbit_too_slow_for_the_method_of_large_problems_is_followed_with_dense_matrices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem, M = gaussian_completion(40, 0.5, 2)
    monkeypatch.setattr(large_module, "BUDGET", 10)
    found = by_large_path(problem, monkeypatch)
    assert found.status == CONVERGED and found.matrix == pytest.approx(M, abs=1e-9)
    assert "Runge-Kutta-Chebyshev" not in {path.method for path in found.chains[0].orbits}
