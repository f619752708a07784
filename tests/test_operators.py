"""Measurement operators: which families commute, and the constants of restricted isometry, against closed forms."""

import itertools
import json
import math

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings, strategies as st

from gflow.completions import minimum_nuclear_norm
from gflow.flow import Status, gradient_flow
from gflow.models import Factorization, SymmetricFactorization
from gflow.objective import Objective
from gflow.operators import (
    FORMS,
    commuting,
    commuting_mask,
    commuting_measurements,
    gaussian_measurements,
    kernel,
    kernel_rank_one,
    nuclear_norm_counterexample,
    relaxation,
    restricted_isometry,
    symmetric_dilation,
)
from gflow.operators.search import Operator
from gflow.problems import MatrixCompletion, MatrixSensing

SEEDS = st.integers(0, 2**32 - 1)
NAN = np.nan
COMPLEX = np.array([[[1.0, 0], [0, 1]], [[0, 1], [-1, 0]]])
"""x_11 + x_22 and x_12 - x_21: (u . v)^2 + (u ^ v)^2 = |u|^2 |v|^2, an isometry on rank one with a kernel."""


def masks(d1: int, d2: int) -> list[np.ndarray]:
    """Return every mask with an observation."""
    return [np.array(bits).reshape(d1, d2) for bits in itertools.product((False, True), repeat=d1 * d2) if any(bits)]


def weighted(weights: np.ndarray) -> np.ndarray:
    """Return the measurements w_ij E_ij of every entry."""
    d1, d2 = weights.shape
    return np.eye(d1 * d2).reshape(-1, d1, d2) * weights.reshape(-1, 1, 1)


def ratio(A: np.ndarray, X: np.ndarray) -> float:
    """Return |A(X)|^2 / |X|^2."""
    return float(np.sum(np.tensordot(A, X, 2) ** 2) / np.sum(X * X))


def extremes_of_two_rows(A: np.ndarray) -> tuple[float, float]:
    """Return the extremes over rank one for d1 = 2 by a fine grid of left factors (cos t, sin t)."""
    t = np.linspace(0, np.pi, 4001)
    images = np.einsum("it,mij->tmj", np.array([np.cos(t), np.sin(t)]), A)
    values = np.linalg.eigvalsh(images.mT @ images)
    return float(values[:, 0].min()), float(values[:, -1].max())


def test_the_pauli_matrices_are_as_far_from_commuting_as_can_be() -> None:
    x, z = np.array([[0.0, 1], [1, 0]]), np.diag([1.0, -1])
    found = commuting(np.array([np.eye(2), 1e100 * x, 1e-100 * z]))
    assert found.relative_norm == pytest.approx(math.sqrt(2), rel=1e-15)
    assert found.pair == (1, 2) and not found.commutes
    assert commuting(np.array([np.eye(2), x, np.zeros((2, 2)), 3 * x])).commutes
    assert commuting(x[None]).to_dict() == {
        "commutes": True,
        "relative_norm": 0.0,
        "pair": None,
        "form": "plain",
        "commutator_tol": 1e-12,
    }
    assert "commutes=False" in repr(found)


@pytest.mark.parametrize(
    ("form", "shape"),
    [
        *itertools.product(FORMS, [(1, 1), (2, 2), (3, 3)]),
        ("dilated", (2, 3)),
        ("dilated", (3, 2)),
        ("dilated", (1, 4)),
    ],
)
def test_the_masks_that_commute_are_exactly_the_characterised_ones(form: str, shape: tuple[int, int]) -> None:
    for mask in masks(*shape):
        problem = MatrixCompletion(np.ones(shape), mask)
        found = commuting(problem, form=form)
        assert commuting_mask(mask, form=form) == commuting_mask(problem, form=form) == (found.relative_norm == 0.0)
        assert found.relative_norm == 0.0 or found.relative_norm > 0.4


def test_the_numbers_of_commuting_masks_are_those_of_partial_matchings() -> None:
    for d, symmetric in ((2, 6), (3, 25)):
        partial = sum(math.comb(d, k) ** 2 * math.factorial(k) for k in range(1, d + 1))
        assert sum(commuting_mask(mask, form="dilated") for mask in masks(d, d)) == partial
        assert sum(commuting_mask(mask, form="symmetric") for mask in masks(d, d)) == symmetric
    block = np.zeros((5, 5), dtype=int)
    block[:2, 2:4], block[4, 4] = 1, 1
    assert commuting_mask(block) and not commuting_mask(block, form="dilated")
    block[4, 0] = 1
    assert not commuting_mask(block)


@pytest.mark.parametrize("name", ["[[0,1],[2,*]]", "[[1,2],[*,3]]", "[[1,2],[3,*]]", "[[1,2],[10,*]]"])
def test_no_example_of_the_slides_commutes(name: str) -> None:
    rows = name.replace("*", "NaN").strip("[]").split("],[")
    problem = MatrixCompletion([[float(cell) for cell in row.split(",")] for row in rows])
    assert not any(commuting_mask(problem, form=form) for form in FORMS)


@settings(max_examples=30)
@given(seed=SEEDS, size=st.integers(1, 6), count=st.integers(1, 6))
def test_generated_measurements_commute_until_one_is_disturbed(seed: int, size: int, count: int) -> None:
    A = commuting_measurements(size, count, np.random.default_rng(seed))
    assert A.shape == (count, size, size) and np.array_equal(A, A.mT)
    assert np.array_equal(A, commuting_measurements(size, count, np.random.default_rng(seed)))
    found = commuting(A)
    assert found.commutes and found.relative_norm <= 1e-14
    if size > 1 and count > 1:
        A[-1, 0, 1] += 1e-3 * np.linalg.norm(A[-1])
        assert not commuting(A).commutes


@settings(max_examples=30)
@given(seed=SEEDS, d1=st.integers(1, 4), d2=st.integers(1, 4))
def test_the_dilated_form_is_that_of_the_dilated_problem(seed: int, d1: int, d2: int) -> None:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((4, d1, d2))
    found, expected = commuting(A, form="dilated"), commuting(symmetric_dilation(MatrixSensing(A, np.ones(4))))
    assert found.relative_norm == pytest.approx(expected.relative_norm, abs=1e-14)
    Q = np.linalg.qr(rng.standard_normal((d1, d1)))[0]
    assert commuting(Q @ A, form="dilated").relative_norm == pytest.approx(found.relative_norm, abs=1e-14)
    if d1 == d2:
        turned, parts = Q @ A @ Q.T, (A + A.mT) / 2
        assert commuting(turned).relative_norm == pytest.approx(commuting(A).relative_norm, abs=1e-14)
        assert commuting(A, form="symmetric").relative_norm == pytest.approx(commuting(parts).relative_norm, abs=1e-15)


@settings(max_examples=25)
@given(seed=SEEDS, d1=st.integers(1, 3), d2=st.integers(1, 3), name=st.sampled_from(("mean", "sum")))
def test_the_dilated_problem_has_the_loss_and_the_flow_of_the_factorisation(
    seed: int, d1: int, d2: int, name: str
) -> None:
    rng = np.random.default_rng(seed)
    problem = MatrixSensing(rng.standard_normal((4, d1, d2)), rng.standard_normal(4), normalization=name)
    dilated, r = symmetric_dilation(problem), 2
    model, wide = Factorization((d1, d2), r), SymmetricFactorization(d1 + d2, r)
    one, other = Objective.of(problem, model), Objective.of(dilated, wide)
    theta = one.theta_unit * rng.standard_normal(model.dim)
    U = model.stacked(theta)
    assert other.value(U.ravel()) == pytest.approx(one.value(theta), rel=1e-12, abs=1e-14 * one.unit**2)
    expected = model.stacked(one.gradient(theta))
    difference = wide.factor(other.gradient(U.ravel())) - expected
    assert np.abs(difference).max() <= 1e-12 * max(1.0, float(np.abs(expected).max()))
    assert np.array_equal(dilated.targets, problem.targets) and dilated.normalization == name


def test_the_dilation_of_a_completion_stays_sparse_and_agrees_with_the_dense_one() -> None:
    problem = MatrixCompletion([[1, 2, NAN], [NAN, 4, 5]])
    sparse = symmetric_dilation(problem)
    dense = symmetric_dilation(MatrixSensing(MatrixSensing.of_completion(problem).measurements, problem.targets))
    assert scipy.sparse.issparse(sparse.matrix) and not scipy.sparse.issparse(dense.matrix)
    assert np.array_equal(sparse.measurements, dense.measurements) and sparse.shape == (5, 5)
    A, B = np.arange(2.0)[:, None], np.arange(1.0, 4)[None]
    U = np.vstack([A, B.T])
    assert np.array_equal(sparse.measure(U @ U.T), problem.measure(A @ B))


@pytest.mark.parametrize("factor", [1.0, 1e-140, 1e140])
@pytest.mark.parametrize("rank", [1, 2, 9])
def test_weighted_entries_have_their_extreme_weights_as_constants(rank: int, factor: float) -> None:
    weights = np.array([[1.0, 2, 0.5], [3, 1.5, 0.7]])
    found = restricted_isometry(weighted(factor * weights), rank, starts=2)
    a, b = 0.25, 9.0
    for ends, value in ((found.smallest, a), (found.largest, b)):
        assert ends[0] / factor / factor == pytest.approx(value, rel=1e-9)
        assert ends[1] / factor / factor == pytest.approx(value, rel=1e-9)
        assert ends[0] <= ends[1]
    assert found.rank == min(rank, 2) and found.holds and found.kernel is None
    assert found.delta_lower == pytest.approx((b - a) / (b + a), rel=1e-9)
    assert found.delta_upper == pytest.approx((b - a) / (b + a), rel=1e-9)
    scaled = restricted_isometry(found.scale * factor * weighted(weights), rank, starts=2)
    assert 1 - scaled.smallest[0] == pytest.approx(found.delta_upper, rel=1e-9)
    assert scaled.largest[1] - 1 == pytest.approx(found.delta_upper, rel=1e-9)


def test_an_isometry_on_rank_one_may_have_a_kernel() -> None:
    one, two = restricted_isometry(COMPLEX, 1), restricted_isometry(COMPLEX, 2)
    assert one.smallest[0] == pytest.approx(1.0, abs=1e-10) and one.largest[1] == pytest.approx(1.0, abs=1e-10)
    assert one.holds and one.delta_upper < 1e-10 and one.kernel is None and kernel_rank_one(COMPLEX) is None
    assert two.holds is False and two.delta_lower == two.delta_upper == 1.0 and two.kernel.certified
    assert np.abs(np.tensordot(COMPLEX, two.low, 2)).max() < 1e-15


def test_the_trace_is_an_isometry_on_symmetric_matrices_of_rank_one_only() -> None:
    trace = np.eye(4)[None]
    one = restricted_isometry(trace, 1, symmetric=True)
    assert one.delta_upper < 1e-10 and one.smallest[0] == pytest.approx(1.0, rel=1e-10)
    two = restricted_isometry(trace, 2, symmetric=True)
    assert two.holds is False and two.kernel.certified and two.largest[1] == pytest.approx(4.0)
    assert two.largest[0] == pytest.approx(2.0)
    assert restricted_isometry(trace, 1).holds is False
    assert kernel_rank_one(trace, symmetric=True) is None


@pytest.mark.parametrize(
    "values", [[[0, 1], [2, NAN]], [[1, 2], [NAN, 3]], [[1, 2], [3, NAN]], [[1, NAN, 3], [NAN, 5, NAN], [3, NAN, 9]]]
)
def test_an_unobserved_entry_is_a_certificate_against_every_isometry(values: list) -> None:
    problem = MatrixCompletion(values)
    element = kernel_rank_one(problem)
    assert element.residual == element.radius == 0.0 and element.certified
    (i, j), *others = np.argwhere(element.matrix)
    assert not others and not problem.observed[i, j] and not problem.measure(element.matrix).any()
    for rank in (1, 2):
        found = restricted_isometry(problem, rank, starts=2)
        assert found.holds is False and found.delta_lower == 1.0 and found.smallest == (0.0, 0.0)
    complete = restricted_isometry(MatrixCompletion(np.ones((2, 3))), 1)
    assert complete.holds and complete.delta_upper < 1e-12 and complete.scale == pytest.approx(1.0)


@settings(max_examples=12)
@given(seed=SEEDS, count=st.integers(3, 7), d2=st.integers(2, 3), tall=st.booleans())
def test_two_rows_have_constants_that_a_grid_confirms(seed: int, count: int, d2: int, tall: bool) -> None:
    A = np.random.default_rng(seed).standard_normal((count, 2, d2))
    a, b = extremes_of_two_rows(A)
    found = restricted_isometry(A.mT if tall else A, 1, starts=2)
    coarse = 1e-5 * b
    assert found.smallest[0] <= a + 1e-12 and a <= found.smallest[1] + coarse
    assert found.largest[0] - 1e-12 >= b - coarse and b <= found.largest[1] + 1e-12
    assert found.smallest[1] - found.smallest[0] <= 1e-9 * b and found.largest[1] - found.largest[0] <= 1e-9 * b


@settings(max_examples=12)
@given(seed=SEEDS, count=st.integers(1, 9), symmetric=st.booleans(), rank=st.integers(1, 3))
def test_no_matrix_of_low_rank_escapes_the_bounds(seed: int, count: int, symmetric: bool, rank: int) -> None:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((count, 3, 3))
    found = restricted_isometry(A, rank, symmetric=symmetric, starts=3)
    for _ in range(50):
        U, V = rng.standard_normal((2, 3, rank))
        X = (U * rng.choice([-1.0, 1.0], rank)) @ (U if symmetric else V).T
        assert found.smallest[0] * (1 - 1e-12) <= ratio(A, X) <= found.largest[1] * (1 + 1e-12)
    for X, value in ((found.low, found.smallest[1]), (found.high, found.largest[0])):
        assert np.linalg.norm(X) == pytest.approx(1.0) and not X.flags.writeable
        assert np.linalg.matrix_rank(X, tol=1e-9) <= rank
        assert ratio(A, X) == pytest.approx(value, rel=1e-9, abs=1e-20)
        assert not symmetric or np.abs(X - X.T).max() < 1e-13
    assert 0 <= found.delta_lower <= found.delta_upper <= 1
    a, b = found.smallest[0] * found.scale**2, found.largest[1] * found.scale**2
    assert (1 - a, b - 1) == pytest.approx((found.delta_upper, found.delta_upper), abs=1e-12)
    assert found.smallest[1] <= found.largest[0]
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_form_that_does_not_vanish_on_rank_one_breaks_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    A = rng.standard_normal((7, 3, 3))
    operator = Operator(A.reshape(7, -1), (3, 3), False, 1.0)
    samples = [ratio(A, np.outer(*rng.standard_normal((2, 3)))) for _ in range(2000)]
    true = restricted_isometry(A, 1).smallest[1]
    assert true - 1e-8 <= relaxation.rank_one_bound(operator, 1)[0] <= true <= min(samples)
    minors = relaxation._minors

    def planted(shape: tuple[int, int], S: np.ndarray) -> np.ndarray:
        forms = minors(shape, S)
        forms[0, 0, 0] += 0.5
        return forms

    monkeypatch.setattr(relaxation, "_minors", planted)
    assert relaxation.rank_one_bound(operator, 1)[0] > true + 1e-3


@settings(max_examples=8)
@given(seed=SEEDS, count=st.integers(1, 4), symmetric=st.booleans())
def test_a_rank_one_matrix_in_a_large_kernel_is_found_and_certified(seed: int, count: int, symmetric: bool) -> None:
    rng = np.random.default_rng(seed)
    x, size = rng.standard_normal((2, 4)), 4
    A = rng.standard_normal((count, size, size))
    X = np.outer(x[0], x[0] if symmetric else x[1])
    A -= np.tensordot(A, X, 2)[:, None, None] * X / np.sum(X * X)
    count = min(count, 3) if symmetric else count
    element = kernel_rank_one(A[:count], symmetric=symmetric)
    assert element is not None and element.residual < 1e-13
    assert np.linalg.norm(element.matrix) == pytest.approx(1.0) and np.linalg.matrix_rank(element.matrix, tol=1e-9) == 1
    assert np.abs(np.tensordot(A[:count], element.matrix, 2)).max() < 1e-12
    assert element.radius is None or element.radius < 1e-9
    assert restricted_isometry(A[:count], 1, symmetric=symmetric).delta_lower == pytest.approx(1.0)


def test_the_certificate_needs_more_unknowns_than_equations() -> None:
    A = np.random.default_rng(1).standard_normal((8, 3, 3))
    x, y = np.array([1.0, 2, 3]), np.array([1.0, -1, 2])
    X = np.outer(x, y) / np.linalg.norm(np.outer(x, y))
    A -= np.tensordot(A, X, 2)[:, None, None] * X
    element = kernel_rank_one(A)
    assert element.residual < 1e-14 and element.radius is None and not element.certified
    assert min(np.abs(element.matrix - X).max(), np.abs(element.matrix + X).max()) < 1e-10
    found = restricted_isometry(A, 1)
    assert found.holds is None and found.delta_lower == pytest.approx(1.0) and "residual" in repr(element)
    x = np.outer(x, x) / 14
    symmetric = A[:5] - np.tensordot(A[:5], x, 2)[:, None, None] * x
    planted = kernel_rank_one(symmetric, symmetric=True)
    assert planted.residual < 1e-14 and planted.radius is None and np.abs(np.abs(planted.matrix) - x).max() < 1e-10
    few = kernel_rank_one(A[:4])
    assert few.certified and 0 < few.radius < 1e-10
    assert kernel_rank_one(A + 0.1 * X) is None


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_certificate_works_with_the_derivative_and_covers_the_true_kernel(symmetric: bool) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((2, 4, 4))
    rows = np.linalg.qr(((rows + rows.mT) if symmetric else rows).reshape(2, 16).T)[0].T
    space, signs = Operator(rows, (4, 4), symmetric, 1.0), np.array([1.0, -1.0] if symmetric else [1.0, 1.0])
    A, dA, B, dB = (rng.standard_normal(shape) for shape in ((4, 2), (4, 2), (2, 4), (2, 4)))
    B, dB = ((A * signs).T, (dA * signs).T) if symmetric else (B, dB)
    (one, _), (other, _) = (kernel._linearised(space, A + s * dA, B + s * dB, signs) for s in (1, -1))
    slope = kernel._linearised(space, A, B, signs)[1]
    h = dA.ravel() if symmetric else np.concatenate([dA.ravel(), dB.ravel()])
    assert (one - other) / 2 == pytest.approx(slope @ h, abs=1e-12)
    exact = kernel._polished(space, *kernel._factors(space, A @ B, 2))
    near = kernel._factors(space, exact[0] @ exact[1] + 1e-6 * (A @ B), 2)
    assert kernel._radius(space, *exact) < 1e-12
    assert 1e-8 < kernel._radius(space, *near) < 1e-4
    assert kernel._radius(space, *kernel._factors(space, rows[0].reshape(4, 4), 2)) is None


def test_an_open_bracket_says_so() -> None:
    A = np.random.default_rng(0).standard_normal((14, 4, 4))
    found = restricted_isometry(A, 2, starts=2)
    assert found.holds is None and found.delta_lower < 1 == found.delta_upper and found.smallest[0] == 0.0


def test_symmetric_measurements_cannot_see_skew_matrices() -> None:
    rng = np.random.default_rng(2)
    A = rng.standard_normal((40, 3, 3))
    A = A + A.mT
    blind = restricted_isometry(A, 2)
    assert blind.holds is False and blind.kernel.residual == 0.0
    assert np.array_equal(blind.kernel.matrix, -blind.kernel.matrix.T)
    seen = restricted_isometry(A, 2, symmetric=True)
    assert seen.holds and seen.delta_upper < 0.9
    unseen = MatrixSensing(np.array([np.diag([1.0, 0]), np.diag([0, 1.0])]), [1, 1])
    assert np.array_equal(restricted_isometry(unseen, 2, symmetric=True).kernel.matrix != 0, [[0, 1], [1, 0]])
    assert restricted_isometry(unseen, 1, symmetric=True).smallest[0] == pytest.approx(0.5)


def test_many_gaussian_measurements_are_nearly_isometric_and_the_constant_falls() -> None:
    rng = np.random.default_rng(3)
    deltas = []
    for count in (100, 400, 1600):
        A = gaussian_measurements((6, 5), count, rng)
        assert np.sum(A * A) == pytest.approx(30, rel=0.1)
        one, two = restricted_isometry(A, 1, starts=2), restricted_isometry(A, 2, starts=2)
        assert one.delta_lower <= two.delta_lower + 1e-9 and two.holds
        deltas.append(two.delta_lower)
    assert deltas[0] > 1.5 * deltas[1] > 2 * deltas[2]
    assert deltas[2] < 0.3


def test_the_zero_operator_is_no_isometry() -> None:
    found = restricted_isometry(np.zeros((2, 3, 3)), 2)
    assert found.holds is False and found.delta_lower == found.delta_upper == 1.0 and found.scale is None
    assert found.kernel.certified and "delta 1)" in repr(found)


@pytest.mark.parametrize("R", [1.5, 2.0, 7.0])
def test_the_counterexample_has_two_certified_sides(R: float) -> None:
    case = nuclear_norm_counterexample(R)
    for X, rank in ((case.least_norm, 2), (case.least_rank, 1)):
        values = np.linalg.eigvalsh(X)
        assert values[0] >= -1e-13 * values[-1] and np.sum(values > 1e-12 * values[-1]) == rank
        assert not case.problem.misfit(X).any()
        assert X[0, 2] == 1 and X[0, 3] == X[1, 2] == R
    assert np.abs(np.linalg.eigvalsh(case.problem.adjoint(case.dual))) == pytest.approx(np.ones(4))
    assert case.lower == pytest.approx(4 * R) and np.trace(case.least_norm) == pytest.approx(4 * R)
    assert case.excess == pytest.approx((R - 1) ** 2 / (2 * R))
    certified = minimum_nuclear_norm(MatrixCompletion([[1, R], [R, NAN]]))
    assert 2 * certified.upper == pytest.approx(case.lower, rel=1e-8)
    assert not commuting(case.problem).commutes
    assert set(case.to_dict()) >= {"values", "dual", "lower", "excess"} and "NormCounterexample" in repr(case)


def test_the_flow_prefers_the_least_rank_in_the_counterexample() -> None:
    R = 2.0
    case, model = nuclear_norm_counterexample(R), SymmetricFactorization(4)
    objective, errors = Objective.of(case.problem, model), []
    for alpha in (1e-7, 1e-9):
        path = gradient_flow(objective, model.identity(alpha), rtol=1e-11)
        assert path.status == Status.CONVERGED
        errors.append(float(np.abs(model.output(path.final) - case.least_rank).max()))
    assert errors[1] < 1e-3
    rates = (1 + math.sqrt(1 + 4 * R * R)) / 2, (math.sqrt(1 + 4 * R * R) - 1) / 2
    order = math.log(errors[0] / errors[1]) / math.log(1e2)
    assert order == pytest.approx(2 * (1 - rates[1] / rates[0]), rel=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: commuting(np.ones((2, 2, 3))), "form 'plain' needs square measurements; got 2 x 3"),
        (lambda: commuting(np.ones((2, 2, 2)), form="both"), "form must be one of plain, symmetric, dilated"),
        (lambda: commuting(np.ones((2, 2))), "measurements must have shape"),
        (lambda: commuting_mask(np.ones((2, 3))), "needs a square mask"),
        (lambda: commuting_mask(np.full((2, 2), 0.5)), "must be a matrix of 0 and 1"),
        (lambda: commuting_mask([1, 0]), "must be a matrix of 0 and 1"),
        (lambda: commuting_mask(np.eye(2), form="x"), "form must be one of"),
        (lambda: restricted_isometry(np.ones((2, 2, 3)), 0), "rank must be a positive integer; got 0"),
        (lambda: restricted_isometry(np.ones((2, 2, 3)), 1, starts=0), "starts must be a positive integer"),
        (lambda: restricted_isometry(np.ones((2, 2, 3)), 1, symmetric=True), "must be square; got 2 x 3"),
        (lambda: kernel_rank_one(np.full((1, 2, 2), NAN)), "measurements must be finite"),
        (lambda: commuting_measurements(0, 2, np.random.default_rng(0)), "size must be a positive integer"),
        (lambda: gaussian_measurements((2, 2), 1.5, np.random.default_rng(0)), "count must be a positive integer"),
        (lambda: nuclear_norm_counterexample(1.0), "ratio must be a finite number above 1; got 1.0"),
        (lambda: nuclear_norm_counterexample(math.inf), "ratio must be a finite number above 1"),
    ],
)
def test_bad_arguments_are_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
