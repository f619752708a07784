"""Tests of sparse problems: the observed entries alone give the numbers that dense arithmetic gives."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import sparse

import gflow
from gflow import Factorization, MatrixCompletion, Objective
from gflow.flow.chebyshev import advanced
from gflow.flow.steppers import RKC
from gflow.objective.loss import Loss, is_sparse, masked_loss, sampled_loss, training_loss
from gflow.objective.sampled import EntriesModel, EntriesProblem, observed_hessian, product_hessian
from gflow.problems.products import sampled_product


def random_problem(seed: int, d1: int = 7, d2: int = 5, fraction: float = 0.5) -> MatrixCompletion:
    rng = np.random.default_rng(seed)
    mask = rng.random((d1, d2)) < fraction
    mask[0, 0] = True
    return MatrixCompletion(rng.standard_normal((d1, d2)), mask)


def test_a_sparse_matrix_is_the_same_problem_as_its_dense_form_and_stored_zeros_are_data() -> None:
    rows, columns, values = [2, 0, 1], [1, 2, 0], [5.0, 0.0, -3.0]
    dense = MatrixCompletion([[np.nan, np.nan, 0], [-3, np.nan, np.nan], [np.nan, 5, np.nan]])
    coo = sparse.coo_array((values, (rows, columns)), shape=(3, 3))
    for given_form in (coo, coo.tocsr(), coo.tocsc(), sparse.coo_matrix(coo), sparse.csr_matrix(coo)):
        problem = MatrixCompletion(given_form)
        assert problem == dense and problem.n_observed == 3
        assert np.array_equal(problem.values, dense.values) and np.array_equal(problem.observed, dense.observed)


def test_entries_stored_twice_are_added_as_everywhere_in_scipy() -> None:
    coo = sparse.coo_array(([1.0, 2.0, 4.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    assert MatrixCompletion(coo).with_gaps()[0, 1] == coo.toarray()[0, 1] == 3.0


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (sparse.coo_array(([1j], ([0], [0])), shape=(1, 1)), TypeError, "real numbers"),
        (sparse.coo_array((2, 3)), ValueError, "no entry of the 2 x 3 matrix is observed"),
        (sparse.coo_array(([np.nan], ([1], [0])), shape=(2, 2)), ValueError, "row 2, column 1 holds nan"),
        (sparse.coo_array(([1e200], ([1], [0])), shape=(2, 2)), ValueError, "must lie in"),
    ],
)
def test_a_sparse_array_that_is_no_problem_is_refused(values: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        MatrixCompletion(values)


def test_a_mask_beside_a_sparse_array_is_refused() -> None:
    with pytest.raises(ValueError, match="observed must be left out"):
        MatrixCompletion(sparse.eye_array(2), np.ones((2, 2)))


def test_a_large_problem_has_no_dense_form_and_says_what_to_use() -> None:
    problem = MatrixCompletion(sparse.coo_array(([1.0, 2.0], ([0, 99_999], [5, 7])), shape=(100_000, 1000)))
    for name in ("values", "observed"):
        with pytest.raises(ValueError, match=r"use rows, columns and targets, observed_product"):
            getattr(problem, name)
    half = problem.rescaled(0.5).transpose.normalized.restricted([5, 7], [0, 99_999])
    assert half.shape == (2, 2) and half.n_observed == 2 and half.values[1, 1] == 2 * half.values[0, 0]
    objective = Objective.of(problem, Factorization(problem.shape, 2))
    assert objective.gradient(np.zeros(objective.dim)).shape == (objective.dim,)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), d1=st.integers(1, 9), d2=st.integers(1, 9), k=st.integers(1, 4), few=st.booleans())
def test_sampled_products_are_the_entries_of_the_product(seed: int, d1: int, d2: int, k: int, few: bool) -> None:
    rng = np.random.default_rng(seed)
    problem = random_problem(seed, d1, 60 * d2 if few else d2, 0.01 if few else 0.5)
    A, B = rng.standard_normal((d1, k)), rng.standard_normal((k, problem.shape[1]))
    found = sampled_product(A, B, problem.rows, problem.columns, problem.pointers)
    assert np.allclose(found, (A @ B)[problem.rows, problem.columns], rtol=1e-13, atol=1e-13)
    weights = rng.standard_normal(problem.n_observed)
    assert np.array_equal(problem.scattered(weights).toarray(), problem.adjoint(weights))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 6))
def test_the_sampled_loss_has_the_derivatives_of_the_dense_one(seed: int, k: int) -> None:
    problem, model = random_problem(seed).normalized, Factorization((7, 5), k)
    rng = np.random.default_rng(seed)
    theta, move = model.random(rng), model.random(rng)
    dense, found = masked_loss(problem, model), sampled_loss(problem, model)
    assert np.isclose(found.value(theta), dense.value(theta), rtol=1e-13)
    for one, other in ((dense.gradient, found.gradient), (dense.hessian, found.hessian)):
        assert np.allclose(other(theta), one(theta), rtol=1e-12, atol=1e-13)
    assert np.allclose(found.hvp(theta, move), dense.hvp(theta, move), rtol=1e-12, atol=1e-13)
    assert np.allclose(found.hvp(2 * theta, move), dense.hvp(2 * theta, move), rtol=1e-12, atol=1e-12)
    tiny = 1e-100 * move
    near, far = found.around(theta), dense.around(theta)
    assert np.allclose(near.gradient(tiny) * 1e100, far.gradient(tiny) * 1e100, rtol=1e-12, atol=1e-13)
    assert np.isclose(near.value(move), far.value(move), rtol=1e-11, atol=1e-12)
    shifted, plain = near.around(move), far.around(move)
    assert np.allclose(shifted.gradient(tiny) * 1e100, plain.gradient(tiny) * 1e100, rtol=1e-11, atol=1e-12)


def test_large_sparse_problems_take_the_sampled_way_and_small_ones_do_not() -> None:
    sampled = training_loss(random_problem(0, 400, 400, 0.05).normalized, Factorization((400, 400), 3))
    assert not sampled.broadcasts
    assert training_loss(random_problem(0).normalized, Factorization((7, 5))).broadcasts


@pytest.mark.parametrize(
    ("d", "density", "sampled", "fused"),
    [(400, 0.2, False, True), (1200, 0.2, True, True), (1200, 0.4, False, True), (1200, 0.6, False, False)],
)
def test_the_density_up_to_which_entries_are_sampled_is_larger_where_no_cache_holds_the_matrix(
    d: int, density: float, sampled: bool, fused: bool
) -> None:
    problem = random_problem(0, d, d, density)
    assert is_sparse(problem) is sampled and is_sparse(problem, fused=True) is fused


def test_a_dense_hessian_beyond_its_limit_is_refused() -> None:
    problem = random_problem(0, 400, 400, 0.05)
    with pytest.raises(ValueError, match="up to dimension 10000; got 16000"):
        observed_hessian(problem, Factorization((400, 400), 20), np.zeros(16_000))


@pytest.mark.parametrize("stages", [2, 5, 40])
def test_stabilised_steps_are_of_order_two_and_stable_as_far_as_they_say(stages: int) -> None:
    errors = []
    for count in (40, 80):
        y = np.ones(1)
        for _ in range(count):
            y = advanced(lambda t, at: -(at**3), 0.0, y, -(y**3), 1 / count, stages)
        errors.append(abs(float(y[0]) - 3**-0.5))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.06)
    rates = np.linspace(0.0, (stages**2 - 1) / 1.54, 500)
    assert (np.abs(advanced(lambda t, at: -rates * at, 0.0, np.ones(500), -rates, 1.0, stages)) <= 1 + 1e-12).all()
    beyond = advanced(lambda t, at: -at * 0.8 * stages**2, 0.0, np.ones(1), np.array([-0.8 * stages**2]), 1.0, stages)
    assert abs(float(beyond[0])) > 1


def test_a_stiff_linear_flow_takes_far_fewer_evaluations_than_its_stability_would_ask_of_a_plain_method() -> None:
    rates, count = np.array([1.0, 1e5]), [0]

    def field(t: float, y: np.ndarray) -> np.ndarray:
        count[0] += 1
        return -rates * y

    solver = RKC(field, 0.0, np.ones(2), 5.0, radius=lambda y: 1e5, rtol=1e-6, atol=1e-8)
    while solver.status == "running":
        solver.step()
    assert solver.t == 5.0 and abs(solver.y[0] - np.exp(-5.0)) < 1e-6 and abs(solver.y[1]) < 1e-6
    assert count[0] < 12 * (5e5 / 6) / 30  # DOP853 takes twelve for h rho = 6
    middle = (solver.t_old + solver.t) / 2
    assert abs(float(solver.dense_output()(np.array([middle]))[0, 0]) - np.exp(-middle)) < 1e-6


def test_the_escape_pair_is_the_lowest_eigenpair_of_the_hessian_at_a_saddle() -> None:
    problem = random_problem(3, 8, 6, 0.7)
    thin, model = Factorization(problem.shape, 1), Factorization(problem.shape)
    point = gflow.gradient_flow(Objective.of(problem, thin), thin.random(np.random.default_rng(0), 1e-3)).final
    point = gflow.find_critical_point(Objective.of(problem, thin), point).theta
    A, B = thin.factors(point)
    saddle = model.theta(np.pad(A, ((0, 0), (0, 5))), np.pad(B, ((0, 5), (0, 0))))
    found, objective = gflow.escape_pair(problem, model, saddle), Objective.of(problem, model)
    spectrum = gflow.hessian_spectrum(objective, saddle)
    assert found.direction is not None and found.multiplicity == 5
    assert found.rate == pytest.approx(-spectrum.values[0], rel=1e-9)
    assert np.allclose(objective.hvp(saddle, found.direction), -found.rate * found.direction, atol=1e-9)
    whole = gflow.residual_escape(problem, model, saddle)
    assert (whole.rate, whole.multiplicity) == (pytest.approx(found.rate, rel=1e-12), 5)
    with pytest.raises(ValueError, match="must be a critical point"):
        gflow.escape_pair(problem, model, saddle + 0.1)


def test_a_sparse_file_of_each_kind_is_read_without_becoming_dense(tmp_path) -> None:
    rng = np.random.default_rng(0)
    cells = np.sort(rng.choice(9_000_000, 2000, replace=False))
    stored = sparse.coo_array((rng.standard_normal(2000), np.divmod(cells, 3000)), shape=(3000, 3000))
    problem = MatrixCompletion(stored)
    for name in ("m.mtx", "m.npz"):
        gflow.write_matrix(problem, tmp_path / name)
        assert gflow.read_matrix(tmp_path / name) == problem
    for form in ("csr", "csc", "coo"):
        sparse.save_npz(tmp_path / f"{form}.npz", stored.asformat(form))
        read = gflow.read_matrix(tmp_path / f"{form}.npz")
        assert read == problem and "values" not in vars(read)
    assert gflow.connectivity(problem).n_observed == 2000


def test_a_damaged_sparse_file_is_refused(tmp_path) -> None:
    good = {"data": np.ones(1), "indices": np.array([0]), "indptr": np.array([0, 1]), "shape": np.array([1, 1])}
    for change, message in (
        ({"format": np.array(b"bsr")}, "must be csr, csc or coo; got 'bsr'"),
        ({"indices": np.array([7])}, "the sparse array is damaged"),
        ({"shape": np.array([0, 1])}, "two positive integers"),
    ):
        np.savez(tmp_path / "m.npz", **({"format": np.array(b"csr")} | good | change))
        with pytest.raises(ValueError, match=message):
            gflow.read_matrix(tmp_path / "m.npz")


def test_a_stiff_tail_of_full_width_is_covered_by_stabilised_steps_without_drift() -> None:
    rng = np.random.default_rng(0)
    M = rng.standard_normal((24, 2)) @ rng.standard_normal((2, 24))
    problem = MatrixCompletion(M, rng.random((24, 24)) < 0.5)
    model = Factorization(problem.shape)
    start = model.random(np.random.default_rng(0), 1e-6)
    path = gflow.gradient_flow(Objective.of(problem, model), start, t_end=1e6, max_evaluations=40_000)
    assert path.status in ("horizon", "converged") and "RKC" in path.method
    assert path.conservation_drift is not None and path.conservation_drift < 1e-8
    assert path.monotonicity_defect < 1e-12


@pytest.mark.parametrize("depth", [3, 4])
def test_the_sampled_loss_of_many_factors_has_the_derivatives_of_the_dense_one(depth: int) -> None:
    problem = random_problem(depth).normalized
    model = Factorization(problem.shape, 3, depth)
    dense, found = Loss(problem, model), Loss(EntriesProblem(problem), EntriesModel(problem, model))
    theta, v = model.random(1), model.random(2)
    np.testing.assert_allclose(found.value(theta), dense.value(theta), rtol=1e-13)
    np.testing.assert_allclose(found.gradient(theta), dense.gradient(theta), atol=1e-13)
    np.testing.assert_allclose(found.hvp(theta, v), dense.hvp(theta, v), atol=1e-12)
    np.testing.assert_allclose(product_hessian(problem, model, theta), dense.hessian(theta), atol=1e-12)
    near, other = dense.objective().around(theta), found.objective().around(theta)
    np.testing.assert_allclose(other.gradient(1e-9 * v), near.gradient(1e-9 * v), rtol=1e-12)


def test_three_factors_of_a_matrix_too_large_to_be_held_need_its_entries_alone() -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.unique(rng.integers(0, 20_000, (2, 50_000)), axis=1)
    problem = MatrixCompletion(sparse.coo_array((rng.random(len(rows)), (rows, columns)), shape=(20_000, 20_000)))
    model = Factorization(problem.shape, 2, 3)
    objective, theta, v = Objective.of(problem, model), model.random(1), model.random(2)
    h = 1e-5
    for whole, part in (
        (objective.value, lambda at: objective.gradient(at) @ v),
        (objective.gradient, lambda at: objective.hvp(at, v)),
    ):
        difference = (whole(theta + h * v) - whole(theta - h * v)) / (2 * h)
        np.testing.assert_allclose(difference, part(theta), atol=1e-8)
    path = gflow.gradient_flow(objective, 0.5 * theta, rtol=1e-4, t_end=1.0, error_tol=None)
    assert path.losses[-1] < path.losses[0] and path.conservation_drift < 1e-3
