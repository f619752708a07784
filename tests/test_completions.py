"""Reference completions: closed forms, certificates, invariances, and certificates that must fail."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gflow.completions import (
    Completion,
    InaccurateSolution,
    RankBracket,
    barrier,
    minimum_nuclear_norm,
    minimum_rank,
    nearest_interpolant,
    nuclear,
    rank_fit,
    semidefinite,
    splitting,
)
from gflow.completions.barrier import _Point
from gflow.completions.exact import forced, rational_completion, table
from gflow.completions.fit import _solved, neighbours, normal_matrix
from gflow.completions.newton import newton_certificate
from gflow.completions.nuclear import dual_bound, feasible, nuclear_norm
from gflow.completions.semidefinite import interior_point
from gflow.problems import MatrixCompletion

GAP = np.nan
FIG3 = [[4, 0.6, 1.8, 0.8], [6, 0.9, 2.7, GAP], [8, 2.2, 2.6, 1.6], [8, 2.7, 5.1, 3.6]]
FIG4 = [[1, GAP, 3], [GAP, 5, GAP], [3, GAP, 9]]
M1 = [[1, 2, GAP], [3, GAP, GAP], [GAP, GAP, 5]]
M2 = [[1, 2, GAP], [3, 4, GAP], [GAP, GAP, 5]]
M3 = [[1, 2, GAP], [3, 4, GAP], [6, GAP, 5]]
SLIDES = [[1, 2, 3], [GAP, 4, GAP], [GAP, GAP, 9]]
C1 = [
    [0.07265231, 0.31207229, 0.71418959, -0.45141992],
    [GAP, 0.05424476, -0.36774122, 2.89388825],
    [GAP, GAP, 1.37316486, 0.40952623],
    [1.37816776, -1.21704834, -0.21809073, GAP],
]
NO_REAL_SOLUTION = [[1, 0, GAP, 1], [0, 1, 1, GAP], [GAP, 1, 2, 1], [1, GAP, 1, 2]]
"""With W_13 = v, W_24 = w, W_31 = u, W_42 = s rank 2 means uv = 1, u + w = 1, v + s = 1, sw = 1: u^2 - u + 1 = 0."""
ONLY_NEWTON = [[-1, GAP, -1, 0], [GAP, -1, 2, GAP], [GAP, -1, -1, 2], [2, 2, GAP, -1]]


def problem_of(matrix: Any) -> MatrixCompletion:
    return MatrixCompletion(np.array(matrix, dtype=float))


def random_problem(seed: int, shape: tuple[int, int], rank: int, share: float) -> MatrixCompletion:
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    return MatrixCompletion(M, rng.random(shape) < share)


def check_certificate(problem: MatrixCompletion, completion: Completion, gap_tol: float = 1e-8) -> None:
    """Recompute every claim of a minimum nuclear norm from the matrices alone."""
    W, Y = completion.matrix, completion.dual
    assert np.array_equal(W[problem.observed], problem.values[problem.observed])
    assert not Y[~problem.observed].any()
    assert np.linalg.norm(Y, 2) <= 1 + 1e-12
    upper, lower = nuclear_norm(W), float(np.sum(Y * problem.values))
    assert upper - lower <= 1.01 * gap_tol * upper
    assert completion.upper == pytest.approx(upper, rel=1e-12)
    assert completion.lower == pytest.approx(lower, rel=1e-12)


def least_two_by_two(a: float, b: float, c: float) -> float:
    """Return min over x of ||[[a, b], [c, x]]||_*, from ||W||_*^2 = ||W||_F^2 + 2 |det W|, convex in x."""
    candidates = [a, -a] + ([b * c / a] if a else [])
    return min(float(np.sqrt(a * a + b * b + c * c + x * x + 2 * abs(a * x - b * c))) for x in candidates)


@pytest.mark.parametrize(
    ("matrix", "value", "entry"),
    [([[1, 2], [3, GAP]], 5, 1), ([[0, 1], [1, GAP]], 2, 0), ([[0, 1], [2, GAP]], 3, 0), ([[1, 0], [0, GAP]], 1, 0)],
)
def test_two_by_two_minima_are_those_on_paper(matrix: Any, value: float, entry: float) -> None:
    completion = minimum_nuclear_norm(problem_of(matrix))
    check_certificate(problem_of(matrix), completion)
    assert completion.value == pytest.approx(value, rel=1e-8)
    assert completion.matrix[1, 1] == pytest.approx(entry, abs=1e-5)
    assert completion.unique is True


@settings(max_examples=15)
@given(st.tuples(*[st.integers(-9, 9)] * 3).filter(any))
def test_two_by_two_minima_obey_the_determinant_formula(entries: tuple[int, int, int]) -> None:
    a, b, c = entries
    completion = minimum_nuclear_norm(problem_of([[a, b], [c, GAP]]))
    assert completion.value == pytest.approx(least_two_by_two(a, b, c), rel=1e-8)


def test_figure_4_has_nuclear_norm_15_and_many_minimisers() -> None:
    completion = minimum_nuclear_norm(problem_of(FIG4))
    assert completion.value == pytest.approx(15, rel=1e-12)
    assert completion.solver == "closed form"
    assert completion.unique is False
    other = np.array([[1, 2.0, 3], [2.0, 5, 6], [3, 6.0, 9]])
    assert nuclear_norm(other) == pytest.approx(15)


@pytest.mark.parametrize("matrix", [FIG4, M2, [[1, 2, GAP], [0, 0, 3], [0, 0, 4]], [[3, GAP, 4]], [[1, 2], [3, 4]]])
@pytest.mark.parametrize("solver", ["clarabel", "Douglas-Rachford", "interior point", "barrier"])
def test_the_closed_form_agrees_with_every_solver(matrix: Any, solver: str) -> None:
    problem = problem_of(matrix)
    closed, solved = minimum_nuclear_norm(problem), minimum_nuclear_norm(problem, solver=solver)
    check_certificate(problem, solved)
    assert closed.solver == "closed form" and solver in solved.solver
    assert solved.value == pytest.approx(closed.value, rel=2e-8)
    assert solved.unique is closed.unique


@pytest.mark.parametrize("matrix", [M1, [[1, 2, 0], [3, GAP, GAP], [0, GAP, 5]]])
def test_components_solved_apart_agree_with_the_whole_matrix(matrix: Any) -> None:
    problem = problem_of(matrix)
    apart, whole = minimum_nuclear_norm(problem), minimum_nuclear_norm(problem, solver="clarabel")
    check_certificate(problem, apart)
    assert apart.solver == "clarabel, closed form" and whole.solver == "clarabel"
    assert apart.value == pytest.approx(whole.value, rel=2e-8)
    assert apart.value == pytest.approx(least_two_by_two(1, 2, 3) + 5, rel=1e-8)


def test_zero_data_and_unobserved_rows_and_columns_complete_with_zeros() -> None:
    zero = minimum_nuclear_norm(problem_of([[0, GAP], [0, 0]]))
    assert (zero.value, zero.gap, zero.rank, zero.unique) == (0, 0, 0, True)
    assert not zero.matrix.any()
    framed = problem_of([[GAP, GAP, GAP], [GAP, 1, 2], [GAP, 3, GAP]])
    completion = minimum_nuclear_norm(framed)
    check_certificate(framed, completion)
    assert completion.value == pytest.approx(5, rel=1e-8)
    assert not completion.matrix[0].any() and not completion.matrix[:, 0].any()


def test_a_fully_observed_matrix_is_its_own_completion() -> None:
    problem = random_problem(0, (5, 3), 2, 2.0)
    completion = minimum_nuclear_norm(problem)
    check_certificate(problem, completion, 1e-13)
    assert completion.value == pytest.approx(nuclear_norm(problem.values)) and completion.unique is True


def test_a_planted_low_rank_matrix_is_recovered_by_splitting_as_the_unique_minimiser() -> None:
    problem = random_problem(1, (32, 30), 2, 0.7)
    planted = random_problem(1, (32, 30), 2, 2.0).values
    completion = minimum_nuclear_norm(problem)
    check_certificate(problem, completion)
    assert completion.solver == "Douglas-Rachford" and completion.unique is True and completion.rank == 2
    assert completion.value == pytest.approx(nuclear_norm(planted), rel=1e-8)
    assert np.abs(completion.matrix - planted).max() < 1e-5 * np.abs(planted).max()


@pytest.mark.parametrize("shape", [(9, 12), (12, 9), (10, 10)])
def test_both_newton_methods_agree_with_the_splitting_and_a_conic_solver(shape: tuple[int, int]) -> None:
    problem = random_problem(2, shape, 4, 0.5)
    names = ("clarabel", "Douglas-Rachford", "interior point", "barrier")
    completions = [minimum_nuclear_norm(problem, solver=name) for name in names]
    for completion in completions:
        check_certificate(problem, completion)
        assert completion.value == pytest.approx(completions[0].value, rel=2e-8)


def test_a_hard_band_is_refined_and_the_result_says_so() -> None:
    rng = np.random.default_rng(3)
    M = rng.standard_normal((36, 5)) @ rng.standard_normal((5, 36))
    problem = MatrixCompletion(M, np.abs(np.subtract.outer(np.arange(36), np.arange(36))) < 4)
    completion = minimum_nuclear_norm(problem)
    check_certificate(problem, completion)
    assert completion.solver == "Douglas-Rachford + interior point"


@settings(max_examples=6)
@given(st.integers(0, 10**6))
def test_permuting_and_transposing_leave_value_and_rank_alone(seed: int) -> None:
    problem = random_problem(seed, (4, 5), 2, 0.7)
    rng = np.random.default_rng(seed)
    moved = problem.restricted(rng.permutation(4), rng.permutation(5)).transpose
    first, second = minimum_nuclear_norm(problem), minimum_nuclear_norm(moved)
    assert second.value == pytest.approx(first.value, rel=2e-8)
    ends = [(bracket.lower, bracket.upper) for bracket in (minimum_rank(problem), minimum_rank(moved))]
    assert ends[0] == ends[1]


@pytest.mark.parametrize("factor", [1e-6, 1e6, 1e-149, 1e149])
def test_rescaling_multiplies_the_value_and_keeps_the_dual(factor: float) -> None:
    problem, scaled = problem_of(M3), problem_of(M3).rescaled(factor)
    completion, other = minimum_nuclear_norm(problem), minimum_nuclear_norm(scaled)
    check_certificate(scaled, other)
    assert other.value / factor == pytest.approx(completion.value, rel=1e-8)
    assert other.frobenius_norm / factor == pytest.approx(completion.frobenius_norm, rel=1e-6)
    assert np.abs(other.dual - completion.dual).max() < 1e-5
    assert minimum_rank(scaled).upper == minimum_rank(problem).upper == 2
    assert rank_fit(scaled, 1, starts=3).loss / factor / factor == pytest.approx(rank_fit(problem, 1, starts=3).loss)


def test_a_gap_that_cannot_be_reached_is_refused_with_its_numbers() -> None:
    problem = random_problem(4, (6, 6), 2, 0.7)
    with pytest.raises(InaccurateSolution, match=r"Raise gap_tol") as caught:
        minimum_nuclear_norm(problem, gap_tol=1e-17)
    value = minimum_nuclear_norm(problem).value
    assert caught.value.lower <= caught.value.upper == pytest.approx(value)
    assert 0 < caught.value.gap < 1e-6 and caught.value.solver == "clarabel + interior point"


def test_wrong_arguments_are_named() -> None:
    problem = problem_of([[1, 2], [3, GAP]])
    with pytest.raises(ValueError, match=r"solver must be one of .* got 'simplex'"):
        minimum_nuclear_norm(problem, solver="simplex")
    with pytest.raises(ValueError, match="gap_tol must be positive"):
        minimum_nuclear_norm(problem, gap_tol=0.0)
    with pytest.raises(ValueError, match="the one of row 1 and column 1 is not"):
        minimum_nuclear_norm(problem, solver="closed form")
    with pytest.raises(ValueError, match="k must be an integer from 1 to 2; got 3"):
        rank_fit(problem, 3)
    with pytest.raises(ValueError, match="starts must be a positive integer"):
        rank_fit(problem, 1, starts=0)
    with pytest.raises(ValueError, match="rank_tol and norm_bound must be positive"):
        minimum_rank(problem, rank_tol=-1.0)
    with pytest.raises(ValueError, match=r"start must have the shape of the matrix, \(2, 2\)"):
        nearest_interpolant(problem, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="start must be finite; row 1, column 2 holds nan"):
        nearest_interpolant(problem, np.array([[0, GAP], [0, 0]]))


def test_a_perturbed_dual_or_primal_opens_the_gap() -> None:
    problem = problem_of(FIG3)
    completion = minimum_nuclear_norm(problem)
    noise = 0.1 * np.random.default_rng(0).standard_normal(problem.shape)
    value = completion.value
    lower = dual_bound(problem, feasible(problem, completion.dual + noise))
    upper = nuclear_norm(np.where(problem.observed, problem.values, completion.matrix + 1.0))
    assert lower < value * (1 - 1e-3) and upper > value * (1 + 1e-3)
    wrong = Completion("nuclear norm", completion.matrix, lower, completion.upper, completion.dual, "none", None)
    assert wrong.gap > 1e-3
    with pytest.raises(AssertionError):
        check_certificate(problem, wrong)


def test_a_loosened_mask_lowers_the_value() -> None:
    tight = problem_of(FIG3)
    loose = tight.with_gaps()
    loose[3, 3] = GAP
    assert minimum_nuclear_norm(problem_of(loose)).value < minimum_nuclear_norm(tight).value * (1 - 1e-4)


def test_the_interior_point_method_survives_a_nearly_singular_newton_system() -> None:
    rng = np.random.default_rng(40)
    rng.random((40, 40))
    M = rng.standard_normal((40, 5)) @ rng.standard_normal((5, 40))
    problem = MatrixCompletion(M, np.tri(40, dtype=bool))
    check_certificate(problem, minimum_nuclear_norm(problem, solver="interior point", gap_tol=1e-9), 1e-9)


def schur_entry_by_entry(problem: MatrixCompletion, G: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """Return trace(E_k G E_l Z) for the symmetric units E of the observed entries, from these matrices themselves."""
    units = []
    for i, j in zip(problem.rows, problem.columns + problem.shape[0], strict=True):
        E = np.zeros(G.shape)
        E[i, j] = E[j, i] = 1.0
        units.append(E)
    return np.array([[np.trace(E @ G @ other @ Z) for other in units] for E in units])


@pytest.mark.parametrize("numbers", [1, 64, 2**19])
def test_the_newton_matrix_is_that_of_its_definition(monkeypatch: pytest.MonkeyPatch, numbers: int) -> None:
    monkeypatch.setattr(semidefinite, "NUMBERS", numbers)
    problem = random_problem(3, (4, 6), 2, 0.6)
    G, Z = (X + X.T for X in np.random.default_rng(0).standard_normal((2, 10, 10)))
    np.testing.assert_allclose(semidefinite._schur(problem, G, Z), schur_entry_by_entry(problem, G, Z), atol=1e-13)


def test_a_newton_matrix_that_rounding_made_indefinite_is_factored_with_a_shift() -> None:
    X = np.random.default_rng(0).standard_normal((30, 3))
    H = X @ X.T
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.cholesky(H)
    factor, lower = semidefinite._factor(H.copy())
    root = np.tril(factor) if lower else np.triu(factor).T
    assert np.abs(root @ root.T - H).max() < 1e-11
    with pytest.raises(np.linalg.LinAlgError, match="indefinite"):
        semidefinite._factor(H - np.eye(30))


def smoothed(W: np.ndarray, mu: float) -> float:
    """Return the least (trace U + trace V)/2 - mu log det [[U, W], [W^T, V]] over U and V, by its formula."""
    sigma = np.linalg.svd(W, compute_uv=False)
    u = mu + np.hypot(mu, sigma)
    return float(np.sum(u - mu * np.log(2 * mu * u)))


@pytest.mark.parametrize("shape", [(3, 3), (5, 3)])
def test_the_smoothed_norm_has_its_gradient_its_drift_and_its_hessian(shape: tuple[int, int]) -> None:
    rng, mu, h = np.random.default_rng(1), 0.3, 1e-5
    W, D = rng.standard_normal((2, *shape))
    point, ahead, behind = (_Point(W + t * D, mu) for t in (0.0, h, -h))
    assert np.sum(point.gradient * D) == pytest.approx(
        (smoothed(W + h * D, mu) - smoothed(W - h * D, mu)) / (2 * h), rel=1e-8
    )
    np.testing.assert_allclose(point.curvature(D), (ahead.gradient - behind.gradient) / (2 * h), atol=1e-8)
    moved = (_Point(W, mu + h).gradient - _Point(W, mu - h).gradient) / (2 * h)
    np.testing.assert_allclose(point.drift, moved, atol=1e-8)
    i, j = np.nonzero(rng.random(shape) < 0.6)
    for column, place in zip(point.hessian(i, j).T, zip(i, j, strict=True), strict=True):
        unit = np.zeros(shape)
        unit[place] = 1.0
        np.testing.assert_allclose(column, point.curvature(unit)[i, j], atol=1e-13)


def test_the_smoothed_norm_is_the_least_barrier_over_the_diagonal_blocks() -> None:
    W, mu = np.random.default_rng(4).standard_normal((3, 3)), 0.2
    left, sigma, right = np.linalg.svd(W)
    u = mu + np.hypot(mu, sigma)

    def barrier(U: np.ndarray, V: np.ndarray) -> float:
        blocks = np.block([[U, W], [W.T, V]])
        return float((np.trace(U) + np.trace(V)) / 2 - mu * np.linalg.slogdet(blocks)[1])

    least = barrier((left * u) @ left.T, (right.T * u) @ right)
    rng = np.random.default_rng(5)
    for _ in range(20):
        dU, dV = 0.05 * rng.standard_normal((2, 3, 3))
        assert barrier((left * u) @ left.T + dU + dU.T, (right.T * u) @ right + dV + dV.T) > least
    assert least == pytest.approx(smoothed(W, mu), rel=1e-12)


def cauchy(d: int) -> MatrixCompletion:
    i = np.arange(1, d + 1)
    return MatrixCompletion(1 / (i[:, None] + i - 0.5), np.random.default_rng(0).random((d, d)) < 0.98)


def test_a_nearly_observed_matrix_without_a_spectral_gap_is_certified_in_few_newton_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[float] = []

    class Counted(_Point):
        def __init__(self, W: np.ndarray, mu: float) -> None:
            steps.append(mu)
            super().__init__(W, mu)

    monkeypatch.setattr(barrier, "_Point", Counted)
    problem = cauchy(60)
    completion = minimum_nuclear_norm(problem)
    check_certificate(problem, completion)
    assert completion.solver == "barrier" and len(steps) <= 60
    wide = MatrixCompletion(problem.values[:40], problem.observed[:40])
    assert minimum_nuclear_norm(wide).value == pytest.approx(minimum_nuclear_norm(wide.transpose).value, rel=2e-8)


def test_a_barrier_cut_short_is_refused_with_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barrier, "REDUCTION", 1.0)  # mu stays where it starts: the gap cannot close
    with pytest.raises(InaccurateSolution, match="barrier"):
        minimum_nuclear_norm(problem_of(FIG3), solver="barrier")


def test_an_answer_with_few_entries_unobserved_is_refined_in_these(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nuclear, "_chosen", lambda part: "Douglas-Rachford")
    monkeypatch.setattr(splitting, "SPLITTING_STEPS", 5)
    completion = minimum_nuclear_norm(cauchy(30))
    check_certificate(cauchy(30), completion)
    assert completion.solver == "Douglas-Rachford + barrier"


def test_the_interior_point_method_keeps_both_sides_feasible() -> None:
    problem = problem_of(FIG3).normalized
    W, Y = interior_point(problem, 1e-10)
    assert np.abs(problem.residual(W)).max() < 1e-15
    assert np.linalg.norm(Y, 2) < 1 and not Y[~problem.observed].any()


def test_a_fit_of_a_full_matrix_is_the_truncated_svd() -> None:
    problem = random_problem(5, (5, 4), 4, 2.0)
    singular = np.linalg.svd(problem.values, compute_uv=False)
    for k in (1, 2, 3):
        fit = rank_fit(problem, k, starts=5)
        assert fit.loss == pytest.approx(float(np.sum(singular[k:] ** 2)) / 20, rel=1e-10)
        assert fit.bounded and fit.converged
        A, B = fit.factors
        assert np.allclose(A.T @ A, B @ B.T)


def test_fits_of_figure_3_reach_the_published_saddle_losses() -> None:
    problem = problem_of(FIG3)
    losses = [rank_fit(problem, k).loss for k in (1, 2, 3)]
    assert losses[0] == pytest.approx(0.32652694, abs=1e-8)
    assert losses[1] == pytest.approx(0.05227755, abs=1e-8)
    assert losses[2] < 1e-25
    assert rank_fit(problem, 3, starts=1).matrix[1, 3] == pytest.approx(1.2, abs=1e-9)


def test_an_infimum_at_infinity_is_unbounded_and_a_completion_of_c1_is_not() -> None:
    escaping = rank_fit(problem_of([[0, 1], [1, GAP]]), 1)
    assert not escaping.bounded and not escaping.converged and 0 < escaping.loss < 1e-10
    assert np.abs(escaping.matrix).max() > 1e6
    fit = rank_fit(problem_of(C1), 2)
    assert fit.bounded and fit.converged and fit.loss < 1e-25 and np.abs(fit.matrix).max() < 100


def test_the_normal_matrix_is_that_of_the_jacobian() -> None:
    problem = random_problem(6, (3, 4), 2, 0.7)
    Z = np.random.default_rng(0).standard_normal((7, 2))
    columns = []
    for direction in np.eye(14).reshape(14, 7, 2):
        dW = direction[:3] @ Z[3:].T + Z[:3] @ direction[3:].T
        columns.append(problem.measure(dW))
    J = np.array(columns).T
    assert np.allclose(normal_matrix(neighbours(problem.observed), Z), J.T @ J)


def test_one_singular_system_of_many_takes_no_step_and_leaves_the_others_alone() -> None:
    regular, singular = np.diag([2.0, 4.0]), np.ones((2, 2))
    g = np.ones((2, 3, 2, 1))
    H = np.array([[regular, singular, regular], [singular, singular, regular]])
    steps = _solved(H, g)
    assert np.array_equal(steps[0, 0, :, 0], [0.5, 0.25]) and np.array_equal(steps[1, 2], steps[0, 0])
    assert not steps[0, 1].any() and not steps[1, :2].any()


def test_integer_data_whose_fits_meet_singular_systems_get_their_bracket() -> None:
    data = [[0, 0, -2, 0], [-3, -3, GAP, -1], [-1, -1, 1, 1], [3, 1, 3, GAP]]
    bracket = minimum_rank(problem_of(data))
    assert (bracket.lower, bracket.upper) == (4, 4)


def test_the_same_seed_gives_the_same_fit() -> None:
    problem = problem_of(C1)
    first, second = (rank_fit(problem, 2, rng=np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(first.matrix, second.matrix) and np.array_equal(first.losses, second.losses)


@pytest.mark.parametrize(
    ("matrix", "rank", "reason"),
    [
        (M1, 1, "is not zero"),
        (M2, 2, "cycles"),
        (M3, 2, "cycles"),
        (FIG3, 3, "observed block"),
        (FIG4, 1, "is not zero"),
        (SLIDES, 1, "is not zero"),
        (C1, 2, "cycles"),
        ([[0, 1], [2, GAP]], 2, "observed zero"),
        ([[0, 1], [1, GAP]], 2, "observed zero"),
        ([[1, 2], [3, GAP]], 1, "is not zero"),
        ([[0, 0], [0, GAP]], 0, "not negative"),
        ([[0.6, 0.9], [0.4, 0.6]], 1, "is not zero"),
        ([[1, 0, GAP], [GAP, 1, 0], [0, GAP, 1]], 2, "observed zero"),
        ([[-1, 5, GAP, 6], [-2, -5, 0, GAP], [1, -5, 2, -1]], 3, "holds no unknown"),
        (NO_REAL_SOLUTION, 3, "none of them real"),
        ([[-2, GAP, 0, 2], [0, 0, 1, GAP], [GAP, 2, GAP, GAP], [-2, 0, GAP, 2]], 3, "Groebner basis"),
        (ONLY_NEWTON, 2, "observed zero"),
    ],
)
def test_known_minimum_ranks_are_closed_with_their_reason(matrix: Any, rank: int, reason: str) -> None:
    problem = problem_of(matrix)
    bracket = minimum_rank(problem)
    assert bracket.closed and (bracket.lower, bracket.upper) == (rank, rank)
    assert reason in bracket.lower_reason
    check_completion(problem, bracket)


def check_completion(problem: MatrixCompletion, bracket: RankBracket) -> None:
    assert np.array_equal(bracket.completion[problem.observed], problem.targets)
    singular = np.linalg.svd(bracket.completion, compute_uv=False)
    assert singular[bracket.upper :].max(initial=0.0) <= 1e-7 * max(float(singular[0]), 1e-300)


def test_rounded_decimals_are_not_taken_as_exact() -> None:
    assert minimum_rank(problem_of([[0.6, 0.9], [0.4, 0.6]])).exact is False
    assert minimum_rank(problem_of([[1.5, -2], [0.25, GAP]])).exact is True
    determinant = Fraction(0.6) * Fraction(0.6) - Fraction(0.9) * Fraction(0.4)
    assert determinant != 0


def test_most_brackets_of_random_integer_masks_close_and_none_contradicts_the_planted_rank() -> None:
    rng = np.random.default_rng(11)
    brackets = []
    for index in range(200):
        r = 1 + index % 3
        M = (rng.integers(-3, 4, (4, r)) @ rng.integers(-3, 4, (r, 4))).astype(float)
        mask = np.zeros(16, dtype=bool)
        mask[rng.permutation(16)[: int(rng.integers(4, 16))]] = True
        problem = MatrixCompletion(M, mask.reshape(4, 4))
        brackets.append(minimum_rank(problem))
        check_completion(problem, brackets[-1])
        assert brackets[-1].lower <= np.linalg.matrix_rank(M)
    assert sum(bracket.closed for bracket in brackets) >= 190


def test_a_larger_planted_rank_is_bracketed() -> None:
    bracket = minimum_rank(random_problem(7, (20, 18), 3, 0.6), starts=5)
    assert bracket.closed and bracket.upper == 3


def test_one_changed_entry_raises_the_rank() -> None:
    rng = np.random.default_rng(1)
    M = (rng.integers(-3, 4, (4, 2)) @ rng.integers(-3, 4, (2, 4))).astype(float)
    M[3, 3] = GAP
    assert minimum_rank(problem_of(M)).upper == 2
    M[0, 0] += 1
    changed = minimum_rank(problem_of(M))
    assert changed.lower == changed.upper == 3


def test_newton_certifies_a_completion_and_neither_a_perturbed_one_nor_one_at_infinity() -> None:
    problem = problem_of(ONLY_NEWTON)
    A, B = rank_fit(problem, 2).factors
    radius = newton_certificate(problem, A, B)
    assert radius is not None and radius < 1e-9
    assert newton_certificate(problem, A + 0.3, B) is None
    escaping = rank_fit(problem_of([[0, 1], [1, GAP]]), 1)
    assert newton_certificate(problem_of([[0, 1], [1, GAP]]), escaping.A, escaping.B) is None


def test_a_bracket_that_is_not_certified_is_not_closed() -> None:
    open_end = RankBracket(2, "below", 2, "above, not certified", np.eye(2), True, False, 1e-8)
    assert not open_end.closed and "[2, 2]" in repr(open_end)


def test_forced_entries_fill_in_exactly_or_contradict() -> None:
    filled = forced(table(problem_of([[1, 2, GAP], [3, GAP, 6], [GAP, 4, 4]]), 1e-8), 1)
    assert filled.contradiction == "" and filled.data.known.all()
    assert filled.data.values.tolist() == [[1, 2, 2], [3, 6, 6], [2, 4, 4]]
    wrong = forced(table(problem_of([[1, 2, GAP], [3, GAP, 6], [2, 4, 5]]), 1e-8), 1)
    assert "would force another value" in wrong.contradiction


def test_a_rational_completion_is_exact_or_refused() -> None:
    data = table(problem_of(M3), 1e-8)
    W = rank_fit(problem_of(M3), 2).matrix
    exact = rational_completion(data, W, 2)
    assert exact is not None and all(exact[i, j] == data.values[i, j] for i, j in np.argwhere(data.known))
    minors = exact[0, 0] * (exact[1, 1] * exact[2, 2] - exact[1, 2] * exact[2, 1])
    minors -= exact[0, 1] * (exact[1, 0] * exact[2, 2] - exact[1, 2] * exact[2, 0])
    minors += exact[0, 2] * (exact[1, 0] * exact[2, 1] - exact[1, 1] * exact[2, 0])
    assert minors == 0
    assert rational_completion(data, W, 1) is None


def test_the_nearest_interpolant_keeps_the_start_outside_the_mask() -> None:
    problem = problem_of(SLIDES)
    zeros = nearest_interpolant(problem)
    assert np.array_equal(zeros.matrix, np.nan_to_num(np.array(SLIDES)))
    assert zeros.value == pytest.approx(np.sqrt(1 + 4 + 9 + 16 + 81))
    start = np.arange(9.0).reshape(3, 3)
    completion = nearest_interpolant(problem, start)
    assert np.array_equal(completion.matrix, np.where(problem.observed, problem.values, start))
    assert np.sum(completion.dual * (problem.values - start)) == pytest.approx(completion.lower)
    assert completion.unique is True and completion.gap == 0


def test_records_are_frozen_short_and_ready_for_json() -> None:
    problem = problem_of(FIG4)
    least, nearest = minimum_nuclear_norm(problem), nearest_interpolant(problem)
    bracket, fit = minimum_rank(problem), rank_fit(problem, 1)
    for record in (least, nearest, bracket, fit):
        json.dumps(record.to_dict(), allow_nan=False)
        assert len(repr(record)) < 250
    for array in (least.matrix, least.dual, bracket.completion, fit.A, fit.losses):
        assert not array.flags.writeable
    assert "nuclear norm 15" in repr(least) and least.nuclear_norm == pytest.approx(15)
    assert least.rank == 2 and least.frobenius_norm == pytest.approx(np.sqrt(125))
