"""Tests of the limit of large problems: both paths agree, nothing of the shape of the matrix is formed, and guards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import sparse

from gflow.flow.chebyshev import advanced
from gflow.limit import (
    Traversal,
    TraversalStatus,
    chain as chain_module,
    saddle_to_saddle,
    traversal as traversal_module,
)
from gflow.limit.law import errors as errors_module
from gflow.limit.law.law import drawn_norms, draws
from gflow.limit.orbit import (
    large as large_module,
    modes as modes_module,
    polish as polish_module,
    sizes as sizes_module,
)
from gflow.limit.orbit.chebyshev import ChebyshevSteps
from gflow.limit.orbit.krylov import leading_triples, lowest_eigenvalue
from gflow.limit.orbit.large_end import ExpectedEnd
from gflow.limit.orbit.polish import balanced, gauge_basis, product_svd, smallest_off_gauge
from gflow.limit.orbit.sizes import is_isolating, shortage
from gflow.limit.orbit.stages import Settings
from gflow.limit.orbit.uniqueness import locally_unique, short_directions
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

CONVERGED = TraversalStatus.CONVERGED


def gaussian_completion(d: int, fraction: float, k: int, seed: int = 0) -> tuple[MatrixCompletion, np.ndarray]:
    """Return a problem with data A B from Gaussian factors of rank k, and the whole matrix."""
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((d, k)) @ rng.standard_normal((k, d))
    mask = np.zeros(d * d, dtype=bool)
    mask[rng.choice(d * d, int(fraction * d * d), replace=False)] = True
    return MatrixCompletion(M, mask.reshape(d, d)), M


def with_a_short_row(d: int, k: int, seed: int, left: int = 1) -> MatrixCompletion:
    """Return the problem with so few observations left in row 3."""
    problem, M = gaussian_completion(d, 0.5, k, seed)
    mask = np.zeros((d, d), dtype=bool)
    mask[problem.rows, problem.columns] = True
    mask[3, np.flatnonzero(mask[3])[left:]] = False
    return MatrixCompletion(M, mask)


def by_large_path(
    problem: MatrixCompletion, monkeypatch: pytest.MonkeyPatch, start: np.ndarray | None = None
) -> Traversal:
    """Return the limit by the path of large problems, however small the problem."""
    with monkeypatch.context() as patch:
        for module in (sizes_module, errors_module, polish_module, traversal_module):
            patch.setattr(module, "LARGE_CELLS", 0)
        return saddle_to_saddle(problem, start)


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
    found = lowest_eigenvalue(lambda v: values * v, start, free)
    assert found.value == pytest.approx(0.1, rel=1e-5) and found.largest == pytest.approx(5.0, rel=1e-6)
    assert abs(found.vector[0]) == pytest.approx(1.0, abs=1e-3) and found.is_positive and not found.is_negative
    assert lowest_eigenvalue(lambda v: values * v, start, free, max_steps=3).value is None
    assert lowest_eigenvalue(lambda v: values * v, start, np.eye(2, 80)).value == pytest.approx(values[2], rel=1e-5)
    below = lowest_eigenvalue(lambda v: (values - 1.0) * v, start, free, max_steps=5)
    assert below.is_negative and -0.9 <= below.value < 0.0


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
    assert (found.value, found.largest) == pytest.approx((exact.value, exact.largest), rel=1e-5)
    assert abs(found.vector @ exact.vector) == pytest.approx(1.0, abs=1e-3)
    assert gauge_basis(model, theta).shape == (model.dim, 4)


# stabilised steps


@pytest.mark.parametrize("stages", [2, 5, 12])
def test_stabilised_steps_are_of_order_two(stages: int) -> None:
    exact = np.exp(-1.0)
    errors = []
    for n in (8, 16):
        steps = ChebyshevSteps(lambda y: y * (1.0 + 0.0 * y), lambda y: 1.0, np.array([1.0]), 1e-3)
        for _ in range(n):
            steps.y = advanced(steps.field, 0.0, steps.y, steps.f, 1.0 / n, stages)
            steps.f = -steps.y
        errors.append(abs(float(steps.y[0]) - exact))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("stages", [3, 10, 40])
def test_stabilised_steps_are_stable_up_to_the_stated_length(stages: int) -> None:
    steps = ChebyshevSteps(lambda y: y, lambda y: 1.0, np.array([1.0]), 1e-3)
    lengths = np.linspace(0.5, 0.65 * (stages**2 - 1), 50)
    ends = [advanced(steps.field, 0.0, steps.y, steps.f, h, stages) for h in (*lengths, 0.8 * stages**2)]
    assert max(abs(float(end[0])) for end in ends[:-1]) < 1.0 < abs(float(ends[-1][0]))


def test_steps_hold_their_error_and_follow_the_curvature() -> None:
    steps = ChebyshevSteps(lambda y: y**3, lambda y: 3.0 * float(y[0] ** 2), np.array([2.0]), 1e-5, size=0.5)
    while steps.t < 10.0:
        steps.step()
    assert float(steps.y[0]) == pytest.approx((0.25 + 2.0 * steps.t) ** -0.5, rel=1e-2)
    assert steps.n_gradients < 500 and steps.rho < 0.5


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
        patch.setattr(Factorization, "output", refuse)
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


def test_a_saddle_passed_closely_is_resolved_no_finer_than_it_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, d, tols = np.random.default_rng(3), 160, []
    U, V = (np.linalg.qr(rng.standard_normal((d, 3)))[0] for _ in range(2))
    problem = MatrixCompletion(d * (U * 0.97 ** np.arange(3)) @ V.T, rng.random((d, d)) < 0.35)

    def watched(model: Factorization, objective: Objective, tol: float, remembers: bool) -> ExpectedEnd:
        tols.append(tol)
        return ExpectedEnd(model, objective, tol, remembers)

    monkeypatch.setattr(large_module, "ExpectedEnd", watched)
    limit, (first, second, again, third) = saddle_to_saddle(problem), tols
    assert first == second == third == large_module.TOL > again > 1e-5
    monkeypatch.setattr(large_module, "TOL", 1e-6)
    monkeypatch.setattr(large_module, "LARGE_LAUNCH", 1e-4)
    fine = saddle_to_saddle(problem)
    assert limit.status == fine.status == CONVERGED and limit.rank == fine.rank == 3
    np.testing.assert_allclose([s.loss for s in limit.saddles], [s.loss for s in fine.saddles], rtol=1e-9)
    passing, finely = (each.chains[0].orbits[1] for each in (limit, fine))
    assert 3 * passing.n_gradients < finely.n_gradients


def test_the_states_of_a_large_orbit_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, _ = gaussian_completion(160, 0.4, 2)
    every = saddle_to_saddle(problem)
    monkeypatch.setattr("gflow.limit.orbit.large_steps.ORBIT_NUMBERS", 0)
    monkeypatch.setattr("gflow.limit.orbit.large_steps.FEWEST_KEPT", 20)
    few = saddle_to_saddle(problem)
    for one, other in zip(few.chains[0].orbits, every.chains[0].orbits, strict=True):
        assert len(one.times) <= 21 < len(other.times) and one.n_steps == other.n_steps == len(other.times) - 1
        assert one.times[-1] == other.times[-1] and set(one.times[:-1]) < set(other.times)
        np.testing.assert_array_equal(one.final, other.final)
        assert len(one.states) == len(one.losses) == len(one.gradient_norms) == len(one.times)


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
    assert near.ending in ("undecided", "minimum inside the manifold")  # a norm alone is no proof of infinity


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
    monkeypatch.setattr("gflow.limit.orbit.large_steps.LARGE_ORBIT_BUDGET", 10)
    found = by_large_path(problem, monkeypatch)
    assert found.status == CONVERGED and found.matrix == pytest.approx(M, abs=1e-9)
    assert "Runge-Kutta-Chebyshev" not in {path.method for path in found.chains[0].orbits}


# rows and columns with fewer observations than the rank


def test_the_shortage_of_observations_is_named() -> None:
    problem = with_a_short_row(20, 2, 0)
    assert shortage(problem, 1) == ""
    assert shortage(problem, 2) == "row 4 has 1 observation, fewer than the rank 2"
    assert shortage(problem.transpose, 2, columns=tuple(range(10, 30))).startswith("column 14 ")
    two = MatrixCompletion([[1.0, 2.0, np.nan], [3.0, np.nan, 1.0], [np.nan, 1.0, 1.0]])
    assert shortage(two, 2) == "6 observations are fewer than the 8 parameters of rank 2"


@pytest.mark.parametrize(("k", "left"), [(2, 1), (3, 1), (3, 2)])
def test_the_free_directions_of_short_rows_and_columns_leave_the_observed_entries_alone(k: int, left: int) -> None:
    problem, rng = with_a_short_row(20, 3, 0, left), np.random.default_rng(0)
    for each in (problem, problem.transpose):
        model = Factorization(each.shape, k)
        theta = model.theta(rng.standard_normal((20, k)), rng.standard_normal((k, 20)))
        free = short_directions(each, model, theta)
        assert free is not None and free.shape == (model.dim, k - left)
        assert free.T @ free == pytest.approx(np.eye(k - left), abs=1e-14)
        J = each.measure(model.jacobian(theta))
        assert np.abs(J @ free).max() < 1e-13 < np.abs(J @ rng.permuted(free, axis=0)).max()
        assert locally_unique(each, *model.factors(theta)) is False


def test_free_directions_that_would_take_too_much_memory_are_not_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gflow.limit.orbit.uniqueness.MOST_FREE", 10)
    problem = with_a_short_row(20, 2, 0)
    model = Factorization(problem.shape, 2)
    assert short_directions(problem, model, model.random(np.random.default_rng(0), 1.0)) is None


@pytest.mark.parametrize(("k", "seed"), [(2, 0), (3, 1)])
def test_a_short_row_of_a_large_component_is_completed_within_the_stated_error(
    k: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = with_a_short_row(30, k, seed)
    plain, large = saddle_to_saddle(problem), by_large_path(problem, monkeypatch)
    assert plain.status == large.status == CONVERGED and plain.rank == large.rank == k
    for one, other in zip(plain.saddles[1:], large.saddles[1:], strict=True):
        assert (other.flat, other.mu) == (one.flat, pytest.approx(one.mu, rel=1e-5))
    assert large.order == pytest.approx(plain.order, rel=1e-6) and large.chains[0].unique is False
    assert {path.method for path in large.chains[0].orbits} == {"Runge-Kutta-Chebyshev"}
    assert plain.error is not None and large.error is not None and plain.error < large.error < 1e-3
    assert np.abs(large.matrix - plain.matrix).max() < large.error
    others = np.arange(30) != 3
    assert np.abs((large.matrix - plain.matrix)[others]).max() < 1e-9


def test_a_continuum_that_counting_misses_is_told_by_its_flat_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = with_a_short_row(40, 2, 0)
    plain = saddle_to_saddle(problem)
    monkeypatch.setattr(large_module, "is_isolating", lambda problem, rank: True)
    large = by_large_path(problem, monkeypatch)
    assert large.error is not None and np.abs(large.matrix - plain.matrix).max() < large.error < 1e-3


def test_an_orbit_too_slow_for_its_budget_is_undecided_and_names_the_short_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "LARGE_BUDGET", 200)
    monkeypatch.setattr("gflow.limit.orbit.large_steps.is_eliminable", lambda problem, rank: False)
    monkeypatch.setattr(chain_module, "DENSE_POLISH", 0)
    found = by_large_path(with_a_short_row(30, 2, 0), monkeypatch)
    assert found.status == TraversalStatus.UNDECIDED and found.matrix is None
    assert "; row 4 has 1 observation, fewer than the rank 2" in found.reason


def test_the_row_or_column_that_still_grows_is_named() -> None:
    problem, _ = gaussian_completion(30, 0.6, 1)
    modes = modes_module.residual_modes(problem.normalized, np.zeros((30, 0)), np.zeros((0, 30)))
    empty = np.zeros((30, 0)), np.zeros((0, 30))
    found = large_module.large_orbit(problem.normalized, *empty, modes.u, modes.v, Settings())
    path, model = found.path, found.model
    assert path is not None and large_module.growing(model, path, tuple(range(30)), tuple(range(30))) != ""
    at_rest = replace(path, states=np.repeat(path.final[None], len(path.times), axis=0))
    assert large_module.growing(model, at_rest, tuple(range(30)), tuple(range(30))) == ""
    states = at_rest.states.copy()
    states[-1, 34] *= 3.0
    told = large_module.growing(model, replace(path, states=states), tuple(range(30)), tuple(range(100, 130)))
    assert told.startswith("the factor of column 105 grew from ")


def test_the_orbits_of_large_components_from_a_start_keep_to_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, _ = gaussian_completion(20, 0.6, 1)
    values = np.full((40, 40), np.nan)
    values[:20, :20] = values[20:, 20:] = problem.with_gaps()
    two = MatrixCompletion(values)
    start = np.random.default_rng(0).standard_normal(40 * 80)
    monkeypatch.setattr(chain_module, "LARGE_BUDGET", 30)
    found = by_large_path(two, monkeypatch, start)
    assert found.status == TraversalStatus.UNDECIDED
    assert all(path.n_gradients < 100 for each in found.chains for path in each.orbits)


# the nuclear norm


def test_the_nuclear_norms_of_draws_are_found_without_forming_them() -> None:
    values = np.full((9, 8), np.nan)
    values[:5, :4], values[5:, 4:] = np.outer(range(1, 6), [1, 2, 1, 3]), np.outer([1, 2, 3, 4], [2, 1, 1, 1])
    values[0, 0] = values[6, 5] = np.nan
    found = saddle_to_saddle(MatrixCompletion(values))
    for width in (2, 8):
        rng, again = np.random.default_rng(3), np.random.default_rng(3)
        dense = [np.linalg.norm(draws(found.shape, width, found.chains, rng, 1)[0], "nuc") for _ in range(4)]
        assert drawn_norms(found.shape, width, found.chains, again, 4) == pytest.approx(dense, rel=1e-12)


# tables


def test_saddles_too_large_for_a_table_give_their_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, _ = gaussian_completion(12, 0.7, 1)
    saddle = saddle_to_saddle(problem).saddles[-1]
    assert "factors" not in saddle.to_dict() and saddle.to_dict()["matrix"] is not None
    monkeypatch.setattr("gflow.limit.records.LARGEST_TABLE", 100)
    table = saddle.to_dict()
    assert table["matrix"] is None
    assert np.array(table["factors"][0]) @ np.array(table["factors"][1]) == pytest.approx(saddle.matrix, abs=1e-14)
