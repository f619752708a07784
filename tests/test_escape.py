"""Tests of escape directions and of the escape limit (Theorem 2): textbook and published saddles, planted bugs."""

import json
import tracemalloc
from dataclasses import replace
from functools import cache
from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import sparse

from gflow.critical import NotConverged, find_critical_point
from gflow.escape import (
    EscapeDirections,
    EscapeLimit,
    EscapeVerdict,
    ResidualEscape,
    escape_directions,
    escape_limit,
    escape_pair,
    inside,
    residual,
    residual_escape,
)
from gflow.escape.routes import Routes
from gflow.flow import Status
from gflow.limit import saddle_to_saddle
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

GAP = np.nan
FIGURE_3 = MatrixCompletion([[4, 0.6, 1.8, 0.8], [6, 0.9, 2.7, GAP], [8, 2.2, 2.6, 1.6], [8, 2.7, 5.1, 3.6]])
FIGURE_4 = MatrixCompletion([[1, GAP, 3], [GAP, 5, GAP], [3, GAP, 9]])
M3 = MatrixCompletion([[1, 2, GAP], [3, 4, GAP], [6, GAP, 5]])
TWO_BLOCKS = MatrixCompletion([[3, 1, GAP, GAP], [1, 2, GAP, GAP], [GAP, GAP, 2, 0.5], [GAP, GAP, 0.5, 1]])
OBSERVED_ZERO = MatrixCompletion([[3, 1, 0], [1, 2, GAP], [GAP, GAP, 1]])
REPEATED = MatrixCompletion([[0, 1], [1, GAP]])
INSIDE = MatrixCompletion([[0, 1], [2, GAP]])
WIDE = MatrixCompletion([[3, 1, 0, 2], [1, 2, GAP, 0.5]])
THIN = Factorization((4, 4), 1)
SEEDS = st.integers(0, 2**32 - 1)

Case = tuple[MatrixCompletion, Factorization, np.ndarray]


def at_saddle(problem: MatrixCompletion, index: int, rank: int | None = None) -> Case:
    """Return problem, model and the traversal's saddle with this index: an exactly balanced critical point."""
    model = Factorization(problem.shape, rank)
    return problem, model, saddle_to_saddle(problem, rank=rank).saddles[index].embed(model)


def at_factors(problem: MatrixCompletion, A: np.ndarray, B: np.ndarray) -> Case:
    model = Factorization(problem.shape, A.shape[1])
    return problem, model, model.theta(A, B)


def one_rank_in_each_block() -> Case:
    """Return the point of rank 2 at which both blocks of TWO_BLOCKS sit at their best rank-1 fits, orthogonally."""
    A = np.zeros((4, 4))
    for i, block in enumerate((slice(0, 2), slice(2, 4))):
        values, vectors = np.linalg.eigh(TWO_BLOCKS.values[block, block])
        A[block, i] = np.sqrt(values[-1]) * vectors[:, -1]
    return at_factors(TWO_BLOCKS, A, A.T)


def block_filled() -> Case:
    """Return the point at which the 2 x 2 block of OBSERVED_ZERO is fitted and the third row and column rest."""
    A = np.zeros((3, 3))
    A[:2, :2] = np.linalg.cholesky(OBSERVED_ZERO.values[:2, :2])
    return at_factors(OBSERVED_ZERO, A, A.T)


@cache
def case(name: str) -> Case:
    made = {
        "figure 3, k = 0": lambda: at_saddle(FIGURE_3, 0),
        "figure 3, k = 1": lambda: at_saddle(FIGURE_3, 1),
        "figure 3, k = 2": lambda: at_saddle(FIGURE_3, 2),
        "figure 3, k = 1, r = 6": lambda: at_saddle(FIGURE_3, 1, 6),
        "figure 4, one component fitted": lambda: at_saddle(FIGURE_4, 1),
        "figure 4, origin": lambda: at_saddle(FIGURE_4, 0),
        "M3, k = 1": lambda: at_saddle(M3, 1),
        "two blocks": one_rank_in_each_block,
        "observed zeros": block_filled,
        "rectangular": lambda: at_saddle(WIDE, 1, 2),
        "rectangular, r = 5": lambda: at_saddle(WIDE, 1, 5),
        "observed zeros, k = 1": lambda: at_saddle(OBSERVED_ZERO, 1),
        "inside escape": lambda: at_saddle(INSIDE, 1),
    }
    return made[name]()


MULTIPLICITIES = [
    ("figure 3, k = 0", 4),
    ("figure 3, k = 1", 3),
    ("figure 3, k = 2", 2),
    ("figure 3, k = 1, r = 6", 5),
    ("figure 4, one component fitted", 3),
    ("figure 4, origin", 3),
    ("M3, k = 1", 2),
    ("two blocks", 3),
    ("observed zeros", 2),
    ("rectangular", 1),
    ("rectangular, r = 5", 4),
    ("observed zeros, k = 1", 2),
    ("inside escape", 1),
]


def outside_span(problem: MatrixCompletion, model: Factorization, saddle: np.ndarray) -> int:
    """Return r - dim S, S spanned by the b_j and a_i that an observed entry ties to the top singular pair."""
    A, B = model.factors(saddle)
    U, _, Vt = np.linalg.svd(problem.residual(A @ B))
    tied = [B[:, j] for i, j in np.argwhere(problem.observed) if abs(U[i, 0]) > 1e-7]
    tied += [A[i] for i, j in np.argwhere(problem.observed) if abs(Vt[0, j]) > 1e-7]
    return model.rank - int(np.linalg.matrix_rank(np.array(tied), tol=1e-6))


def projector_difference(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.linalg.norm(left @ left.T - right @ right.T, ord=2))


def agrees(found: ResidualEscape, dense: EscapeDirections) -> bool:
    """Return whether the closed form is the dense top eigenspace: the check that the planted bugs must fail."""
    return (
        found.multiplicity == dense.multiplicity
        and abs(found.rate - dense.rate) <= 1e-10 * dense.norm
        and projector_difference(found.basis, dense.basis) < 1e-8
    )


@pytest.mark.parametrize(("name", "multiplicity"), MULTIPLICITIES)
def test_the_closed_form_is_the_dense_top_eigenspace(name: str, multiplicity: int) -> None:
    problem, model, saddle = case(name)
    found = residual_escape(problem, model, saddle)
    dense = escape_directions(Objective.of(problem, model), saddle)
    assert agrees(found, dense)
    assert found.multiplicity == multiplicity == outside_span(problem, model, saddle)
    assert found.basis.T @ found.basis == pytest.approx(np.eye(multiplicity), abs=1e-13)
    assert dense.complete


def test_a_repeated_top_singular_value_has_the_eigenspace_of_all_its_pairs() -> None:
    model = Factorization((2, 2))
    found = residual_escape(REPEATED, model, np.zeros(8))
    assert found.multiplicity == 4
    assert found.assumption_1 is False
    assert agrees(found, escape_directions(Objective.of(REPEATED, model), np.zeros(8)))


def test_without_a_free_inner_direction_the_residual_does_not_escape() -> None:
    problem, model, saddle = at_saddle(FIGURE_3, 1, 1)
    found, dense = residual_escape(problem, model, saddle), escape_directions(Objective.of(problem, model), saddle)
    assert found.multiplicity == 0
    assert dense.multiplicity == 0
    assert dense.rate == 0.0
    assert found.rate > 0.0


@settings(max_examples=40)
@given(seed=SEEDS, d1=st.integers(1, 4), d2=st.integers(1, 4), r=st.integers(1, 4))
def test_no_eigenvalue_of_the_negative_hessian_exceeds_the_top_singular_value(
    seed: int, d1: int, d2: int, r: int
) -> None:
    rng = np.random.default_rng(seed)
    observed = rng.random((d1, d2)) < 0.7
    observed[0, 0] = True
    problem, model = MatrixCompletion(rng.standard_normal((d1, d2)), observed), Factorization((d1, d2), r)
    theta = model.random(rng)
    largest = -np.linalg.eigvalsh(Objective.of(problem, model).hessian(theta))[0]
    sigma = np.linalg.norm(problem.residual(model.output(theta)), ord=2)
    assert largest <= 2 * sigma / problem.n_observed * (1 + 1e-12) + 1e-12


@settings(max_examples=40)
@given(seed=SEEDS, d1=st.integers(2, 4), d2=st.integers(2, 4), extra=st.integers(0, 2))
def test_best_fits_of_a_known_matrix_escape_along_the_next_singular_pair(
    seed: int, d1: int, d2: int, extra: int
) -> None:
    """A fully observed U diag(s) V^T: the best rank-k fit is critical, its residual the rest of the series."""
    rng = np.random.default_rng(seed)
    small = min(d1, d2)
    U, V = (np.linalg.qr(rng.standard_normal((d, small)))[0] for d in (d1, d2))
    s = np.cumsum(rng.uniform(0.5, 2, small))[::-1]
    k, model = int(rng.integers(small)), Factorization((d1, d2), small + extra)
    A, B = np.zeros((d1, model.rank)), np.zeros((model.rank, d2))
    A[:, :k], B[:k] = U[:, :k] * np.sqrt(s[:k]), (V[:, :k] * np.sqrt(s[:k])).T
    Q = np.linalg.qr(rng.standard_normal((model.rank, model.rank)))[0]
    problem, saddle = MatrixCompletion(U * s @ V.T), model.theta(A @ Q, Q.T @ B)
    found = residual_escape(problem, model, saddle)
    assert (found.rank, found.multiplicity) == (k, model.rank - k)
    assert found.rate == pytest.approx(2 * s[k] / (d1 * d2))
    assert found.u is not None and found.v is not None
    assert abs(found.u @ U[:, k]) == pytest.approx(1.0)
    assert -(found.u @ U[:, k]) * (found.v @ V[:, k]) == pytest.approx(1.0)
    assert found.assumption_1 is True
    assert found.assumption_2 is True
    assert agrees(found, escape_directions(Objective.of(problem, model), saddle))


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("figure 3, k = 1", True, True),
        ("figure 3, k = 2", True, True),
        ("figure 4, one component fitted", True, True),
        ("two blocks", True, True),
        ("observed zeros, k = 1", True, False),
        ("inside escape", True, False),
    ],
)
def test_the_assumptions_are_checked(name: str, first: bool, second: bool) -> None:
    found = residual_escape(*case(name))
    assert (found.assumption_1, found.assumption_2) == (first, second)
    assert (found.inside_rate > 0.0) is (not second)


@pytest.mark.parametrize("problem", [INSIDE, OBSERVED_ZERO])
def test_the_inside_escape_has_the_rate_of_the_rank_one_model(problem: MatrixCompletion) -> None:
    narrow, model = Factorization(problem.shape, 1), Factorization(problem.shape)
    first = saddle_to_saddle(problem).saddles[1]
    values = np.linalg.eigvalsh(Objective.of(problem, narrow).hessian(first.embed(narrow)))
    found = residual_escape(problem, model, first.embed(model))
    assert found.inside_rate == pytest.approx(-values[0], rel=1e-9)
    dense = escape_directions(Objective.of(problem, model), first.embed(model))
    assert dense.next_rate is not None and dense.next_rate >= found.inside_rate * (1 - 1e-9)


def test_a_saddle_inside_its_manifold_has_the_inside_rate_of_the_narrow_model() -> None:
    """Newton's method on random problems with 13 of 16 entries leads the rank-1 model to its own saddles."""
    rng, met = np.random.default_rng(0), 0
    while met < 5:
        observed = np.ones((4, 4), dtype=bool)
        observed[rng.permutation(4)[:3], rng.permutation(4)[:3]] = False
        problem, narrow, model = MatrixCompletion(rng.standard_normal((4, 4)), observed), THIN, Factorization((4, 4))
        try:
            point = find_critical_point(Objective.of(problem, narrow), narrow.random(rng), radius=np.inf)
        except NotConverged:
            continue
        if point.kind != "strict-saddle" or np.linalg.norm(point.theta) < 0.1:
            continue
        met += 1
        a, b = narrow.factors(point.theta)
        saddle = model.theta(np.hstack([a, np.zeros((4, 3))]), np.vstack([b, np.zeros((3, 4))]))
        found = residual_escape(problem, model, saddle)
        assert found.assumption_2 is False
        assert found.inside_rate == pytest.approx(point.escape_rate, rel=1e-7)


def test_the_inside_rate_of_the_smallest_example_is_a_root_of_a_quadratic() -> None:
    """W = a b^T with W_21 = 2 alone: a_1 and b_2 move with the Hessian (2/3) [[2, -1], [-1, 0]]."""
    assert residual_escape(*case("inside escape")).inside_rate == pytest.approx(2 / 3 * (np.sqrt(2) - 1), rel=1e-9)


def test_an_interpolating_point_has_no_escape_and_no_verdict_on_the_assumptions() -> None:
    problem = MatrixCompletion([[2.0, GAP], [GAP, 1.0]])
    found = residual_escape(*at_factors(problem, np.eye(2), np.diag([2.0, 1.0])))
    assert (found.rate, found.multiplicity, found.gap, found.u, found.v) == (0.0, 0, None, None, None)
    assert (found.assumption_1, found.assumption_2, found.rank) == (None, None, 2)


def test_each_coupling_component_can_be_analysed_alone() -> None:
    problem, model, origin = case("figure 4, origin")
    first, second = (residual_escape(problem, model, origin, component=c) for c in (0, 1))
    assert (first.loss, second.loss) == (pytest.approx(20.0), pytest.approx(5.0))
    assert (first.rate, second.rate) == (pytest.approx(4.0), pytest.approx(2.0))
    assert first.singular_values == pytest.approx([10.0, 0.0], abs=1e-12)
    assert second.singular_values == pytest.approx([5.0])
    assert second.gap == pytest.approx(2.0)
    assert second.v is not None and abs(second.v) == pytest.approx([0, 1, 0])
    whole = residual_escape(problem, model, origin)
    assert whole.loss == pytest.approx(25.0)
    assert whole.component is None


@pytest.mark.parametrize("problem", [FIGURE_3, FIGURE_4, M3, INSIDE, WIDE])
def test_the_saddles_of_the_traversal_carry_the_same_numbers(problem: MatrixCompletion) -> None:
    model = Factorization(problem.shape)
    for saddle in saddle_to_saddle(problem).saddles:
        found = residual_escape(problem, model, saddle.embed(model), component=saddle.component)
        assert found.rank == saddle.rank
        assert found.loss == pytest.approx(saddle.loss, abs=1e-14)
        assert found.matrix[np.ix_(saddle.rows, saddle.columns)] == pytest.approx(saddle.matrix)
        assert found.singular_values == pytest.approx(saddle.residual_singular_values, abs=1e-8)
        assert found.rate == pytest.approx(saddle.escape_rate)
        assert found.gap == pytest.approx(saddle.gap)
        assert (found.assumption_1, found.assumption_2) == (saddle.assumption_1, saddle.assumption_2)
        assert found.inside_rate == pytest.approx(saddle.inside_rate, abs=1e-9)


@pytest.mark.parametrize("scale", [1e-150, 1e-3, 7.0, 1e149])
def test_rates_scale_with_the_matrix(scale: float) -> None:
    problem, model, saddle = case("figure 3, k = 1")
    found = residual_escape(problem, model, saddle)
    scaled = residual_escape(problem.rescaled(scale), model, np.sqrt(scale) * saddle)
    assert scaled.rate / scale == pytest.approx(found.rate)
    assert scaled.loss / scale / scale == pytest.approx(found.loss)
    assert projector_difference(scaled.basis, found.basis) < 1e-8
    assert (scaled.assumption_1, scaled.assumption_2) == (True, True)
    dense = escape_directions(Objective.of(problem.rescaled(scale), model), np.sqrt(scale) * saddle)
    assert agrees(replace(scaled, rate=found.rate), replace(dense, rate=dense.rate / scale, norm=dense.norm / scale))


def test_many_copies_of_the_top_eigenvalue_are_found_in_large_problems() -> None:
    rng = np.random.default_rng(0)
    problem = MatrixCompletion(rng.standard_normal((31, 20)), rng.random((31, 20)) < 0.5)
    model = Factorization(problem.shape)
    dense = escape_directions(Objective.of(problem, model), np.zeros(model.dim))
    assert dense.multiplicity == 20
    assert dense.complete
    found = residual_escape(problem, model, np.zeros(model.dim))
    assert found.gap == pytest.approx(dense.gap)
    assert np.linalg.norm(found.basis - dense.project(found.basis)) < 1e-8
    few = escape_directions(Objective.of(problem, model), np.zeros(model.dim), k=4)
    assert (few.multiplicity, few.complete, few.gap) == (4, False, None)


def without_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every size count as large."""
    monkeypatch.setattr(residual, "ALL_VALUES_CELLS", 0)
    monkeypatch.setattr(residual, "ALL_PAIRS_SIDE", 1)
    monkeypatch.setattr(residual, "EXPLICIT", 0)
    monkeypatch.setattr(residual, "FIRST_TRIPLES", 2)
    monkeypatch.setattr(inside, "DENSE_INSIDE", 0)


def fitted(seed: int, shape: tuple[int, int], width: int) -> tuple[MatrixCompletion, Factorization, np.ndarray]:
    """Return a random problem and a rank-2 critical point of its flow, in the first of ``width`` inner directions."""
    rng = np.random.default_rng(seed)
    problem = MatrixCompletion(rng.standard_normal(shape), rng.random(shape) < 0.7)
    narrow, model = Factorization(shape, 2), Factorization(shape, width)
    while True:
        try:
            point = find_critical_point(Objective.of(problem, narrow), narrow.random(rng), radius=np.inf)
            break
        except NotConverged:
            continue
    A, B = narrow.factors(point.theta)
    return problem, model, model.theta(np.pad(A, ((0, 0), (0, width - 2))), np.pad(B, ((0, width - 2), (0, 0))))


@pytest.mark.parametrize("where", [*[(seed, (12, 10), 4) for seed in range(4)], (4, (9, 40), 3), "M3, k = 1", "origin"])
def test_a_large_residual_has_the_escape_of_a_small_one(where: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if where == "origin":
        rng = np.random.default_rng(0)
        blocks = np.zeros((14, 12), dtype=bool)
        blocks[:7, :6] = blocks[7:, 6:] = True
        problem, model = MatrixCompletion(rng.standard_normal((14, 12)), blocks), Factorization((14, 12))
        point = problem, model, np.zeros(model.dim)
    else:
        point = case(where) if isinstance(where, str) else fitted(*where)
    dense = residual_escape(*point)
    without_matrices(monkeypatch)
    found = residual_escape(*point)
    assert len(found.singular_values) < len(dense.singular_values)
    assert found.singular_values == pytest.approx(dense.singular_values[: len(found.singular_values)], rel=1e-9)
    assert (found.rank, found.multiplicity) == (dense.rank, dense.multiplicity)
    assert (found.assumption_1, found.assumption_2) == (dense.assumption_1, dense.assumption_2)
    for name in ("rate", "gap", "loss", "u", "v"):
        assert getattr(found, name) == pytest.approx(getattr(dense, name), rel=1e-7, abs=1e-9)
    assert found.inside_rate == pytest.approx(dense.inside_rate, rel=1e-6, abs=1e-9)
    assert projector_difference(found.basis, dense.basis) < 1e-6
    assert found.basis.T @ found.basis == pytest.approx(np.eye(found.multiplicity), abs=1e-12)


def test_the_cases_above_include_minima_and_saddles_of_their_manifold() -> None:
    assert residual_escape(*case("M3, k = 1")).assumption_2 is True
    assert {residual_escape(*fitted(seed, (12, 10), 4)).assumption_2 for seed in range(2)} == {False}


def test_a_repeated_top_singular_value_is_counted_whole_in_a_large_residual(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = MatrixCompletion(np.diag([*[2.0] * 5, *[1.0] * 7]))
    model = Factorization(problem.shape, 2)
    without_matrices(monkeypatch)
    found = residual_escape(problem, model, np.zeros(model.dim))
    assert (found.assumption_1, found.multiplicity, found.gap) == (False, 5 * 2, pytest.approx(0.0, abs=1e-12))
    assert agrees(found, escape_directions(Objective.of(problem, model), np.zeros(model.dim)))


def test_a_lowest_eigenvalue_that_is_not_found_leaves_assumption_2_open(monkeypatch: pytest.MonkeyPatch) -> None:
    point = fitted(0, (12, 10), 4)
    without_matrices(monkeypatch)
    monkeypatch.setattr(inside, "LANCZOS_VECTORS", 3)
    monkeypatch.setattr(inside, "INSIDE_RESTARTS", 1)
    assert residual_escape(*point).assumption_2 is None


def test_the_escape_from_a_large_saddle_needs_less_memory_than_its_matrix() -> None:
    rng, d = np.random.default_rng(0), 1000
    cells = np.sort(rng.choice(d * d, 20_000, replace=False))
    rows, columns = np.divmod(cells, d)
    a, b = rng.standard_normal((2, d))
    problem = MatrixCompletion(sparse.coo_array((a[rows] * b[columns], (rows, columns)), shape=(d, d)))
    model = Factorization(problem.shape, 2)
    tracemalloc.start()
    origin = residual_escape(problem, model, np.zeros(model.dim))
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pair = escape_pair(problem, model, np.zeros(model.dim))
    assert (origin.rate, origin.gap) == (pytest.approx(pair.rate), pytest.approx(pair.rate - pair.next_rate))
    assert origin.multiplicity == 2 and origin.u == pytest.approx(pair.u, abs=1e-9)
    assert memory < 8 * d * d
    assert origin.to_dict()["matrix"] is None


def test_the_analysis_of_a_point_is_json() -> None:
    found = residual_escape(*case("figure 3, k = 1")).to_dict()
    wanted = "component rank loss matrix residual_singular_values escape_rate multiplicity gap u v assumption_1"
    assert {*wanted.split(), "assumption_2"} <= set(found)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["loss"] == pytest.approx(0.32652694)
    end = residual_escape(*at_saddle(FIGURE_3, -1)).to_dict()
    assert json.loads(json.dumps(end, allow_nan=False))["u"] is None
    assert "rank=1" in repr(residual_escape(*case("figure 3, k = 1")))


def test_bad_points_are_refused() -> None:
    problem, model, saddle = case("figure 3, k = 1")
    with pytest.raises(ValueError, match=r"critical point: .* gradient norm is .*, allowed"):
        residual_escape(problem, model, 1.01 * saddle)
    with pytest.raises(ValueError, match=r"shape \(32,\); got shape \(3,\)"):
        residual_escape(problem, model, np.zeros(3))
    with pytest.raises(ValueError, match="same shape"):
        residual_escape(problem, Factorization((3, 3)), saddle)
    with pytest.raises(ValueError, match="component must lie between 0 and 0; got 1"):
        residual_escape(problem, model, saddle, component=1)


def test_the_wrong_sign_of_v_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, model, saddle = case("figure 3, k = 1")
    dense = escape_directions(Objective.of(problem, model), saddle)
    svd = np.linalg.svd

    def flipped(E: np.ndarray, full_matrices: bool = True, compute_uv: bool = True) -> Any:
        found = svd(E, full_matrices=full_matrices, compute_uv=compute_uv)  # type: ignore[call-overload]
        return (found[0], found[1], -found[2]) if compute_uv and E.shape == problem.shape else found

    monkeypatch.setattr(np.linalg, "svd", flipped)
    assert not agrees(residual_escape(problem, model, saddle), dense)


def bistable(rates: list[float], center: np.ndarray | None = None, base: np.ndarray | None = None) -> Objective:
    """Return sum_i (z_i^4 / 4 - rate_i z_i^2 / 2) with z = R^T (x - center): z_i' = rate_i z_i - z_i^3.

    Seen from ``base`` it is the deviation form there: x stands for the deviation and z^T = base^T + x^T R, expanded.
    """
    mu, R = np.array(rates), rotation(len(rates))
    origin = np.zeros(len(mu)) if center is None else center
    b = R.T @ ((origin if base is None else base) - origin)
    start = origin if base is None else np.zeros(len(mu))

    def value(x: np.ndarray) -> float:
        z = R.T @ (x - start)
        return float(np.sum(z**4 / 4 + b * z**3 + (3 * b**2 - mu) * z**2 / 2))

    return Objective(
        dim=len(mu),
        value=value,
        gradient=lambda x: R @ ((z := R.T @ (x - start)) ** 3 + 3 * b * z**2 + (3 * b**2 - mu) * z),
        hvp=lambda x, v: R @ ((3 * (b + R.T @ (x - start)) ** 2 - mu) * (R.T @ v)),
        hessian=lambda x: R @ np.diag(3 * (b + R.T @ (x - start)) ** 2 - mu) @ R.T,
        deviation=lambda c: bistable(rates, origin, c if base is None else base + c),
    )


@cache
def rotation(dim: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(5).standard_normal((dim, dim)))[0]


def bistable_limit(rates: list[float], direction: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the exact escape limit: modes of the largest rate follow z' = rate z - z^3, the others rest."""
    mu, d = np.array(rates), rotation(len(rates)).T @ direction
    grown = np.where(mu == mu.max(), d, 0.0) * np.exp(mu.max() * times)[:, None]
    return (grown / np.sqrt(1 + grown**2 / mu.max())) @ rotation(len(rates)).T


def miss(limit: EscapeLimit, exact: np.ndarray, center: np.ndarray | float = 0.0) -> float:
    """Return the largest distance of the limit's path from the exact one, both at the times of comparison."""
    assert limit.path is not None and limit.times is not None
    at = np.searchsorted(limit.path.times, limit.times)
    return float(np.abs(limit.path.states[at] - center - exact).max())


@pytest.mark.parametrize("slow", [-0.5, 0.0, 0.25, 0.6, 0.8])
def test_a_textbook_saddle_has_the_exact_limit_and_order(slow: float) -> None:
    rates, direction = [1.0, slow, -1.5], np.array([0.6, -0.9, 0.7])
    limit = escape_limit(bistable(rates), np.zeros(3), rotation(3) @ direction)
    assert limit.verdict == EscapeVerdict.EXISTS
    assert limit.times is not None and limit.agreement is not None
    assert miss(limit, bistable_limit(rates, rotation(3) @ direction, limit.times)) < 1e-9
    assert limit.predicted_order == pytest.approx(min(1.0, 1.0 - slow), rel=1e-9)
    assert limit.predicted_order is not None
    assert limit.fitted_order is None or limit.fitted_order > limit.predicted_order - 0.01
    if slow > 0.2:
        assert limit.fitted_order == pytest.approx(1.0 - slow, rel=0.01)


def test_a_quadratic_term_gives_order_one() -> None:
    """x' = x - x^2: from alpha d the state at t + log(1/alpha) is d e^t / (1 + d e^t - alpha d)."""
    logistic = Objective.autodiff(lambda x: -(x[0] ** 2) / 2 + x[0] ** 3 / 3, 1)
    alphas = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
    limit = escape_limit(logistic, np.zeros(1), np.array([0.7]), alphas=alphas)
    assert limit.verdict == EscapeVerdict.EXISTS
    assert limit.times is not None and limit.errors is not None
    grown = 0.7 * np.exp(limit.times)[:, None]
    assert miss(limit, grown / (1 + grown)) < 1e-9
    assert limit.predicted_order == 1.0
    assert limit.fitted_order == pytest.approx(1.0, rel=0.01)
    exact = np.abs(grown / (1 + grown - 0.07) - grown / (1 + grown)).max() / np.abs(grown / (1 + grown)).max()
    assert limit.errors[0] == pytest.approx(exact, rel=1e-6)


def test_an_odd_field_has_a_higher_order_than_predicted_and_the_limit_exists_all_the_same() -> None:
    alphas = [1e-1, 1e-2, 1e-3, 1e-4]
    limit = escape_limit(bistable([1.0]), np.zeros(1), np.ones(1), alphas=alphas)
    assert limit.verdict == EscapeVerdict.EXISTS
    assert limit.predicted_order == 1.0
    assert limit.fitted_order == pytest.approx(2.0, rel=0.01)


def test_a_repeated_top_eigenvalue_is_no_obstacle_for_a_general_objective() -> None:
    rates, direction = [1.0, 1.0, 0.5], np.array([0.3, -0.8, 0.4])
    limit = escape_limit(bistable(rates), np.zeros(3), direction)
    assert limit.verdict == EscapeVerdict.EXISTS
    assert limit.directions.multiplicity == 2
    assert limit.times is not None
    assert miss(limit, bistable_limit(rates, direction, limit.times)) < 1e-9
    assert limit.fitted_order == pytest.approx(0.5, rel=0.01)


def test_an_exact_deviation_form_reaches_any_small_alpha_at_any_center() -> None:
    center, direction = np.array([300.0, -2.0]), np.array([0.9, 0.7])
    limit = escape_limit(
        bistable([1.0, 0.7], center), center, direction, alphas=10.0 ** -np.array([2, 6, 10, 14, 30, 60])
    )
    assert limit.verdict == EscapeVerdict.EXISTS
    assert limit.times is not None and limit.errors is not None
    assert miss(limit, bistable_limit([1.0, 0.7], direction, limit.times), center) < 1e-9
    assert limit.errors[-1] < 1e-9
    assert limit.fitted_order == pytest.approx(0.3, rel=0.01)


def rounded_saddle() -> tuple[Objective, np.ndarray]:
    """Return a function with a saddle at (1, 2) and rates 1 and 0.6, known only by its values: no deviation form."""

    def function(x: np.ndarray) -> float:
        z = anp.dot(rotation(2).T, x - anp.array([1.0, 2.0]))
        return anp.sum(z**4 / 4 - anp.array([1.0, 0.6]) * z**2 / 2)

    return Objective.autodiff(function, 2), np.array([1.0, 2.0])


@pytest.mark.slow
def test_a_rounded_deviation_works_above_the_attainable_alpha() -> None:
    objective, center = rounded_saddle()
    direction = np.array([0.9, 0.2])
    limit = escape_limit(objective, center, direction, alphas=10.0 ** -np.arange(2.0, 7.0))
    assert limit.verdict == EscapeVerdict.EXISTS
    assert limit.times is not None and limit.agreement is not None
    assert miss(limit, bistable_limit([1.0, 0.6], direction, limit.times), center) < 1e-5
    assert limit.fitted_order == pytest.approx(0.4, rel=0.01)


def test_below_the_attainable_alpha_no_escape_is_reported() -> None:
    objective, center = rounded_saddle()
    limit = escape_limit(objective, center, np.array([0.9, 0.2]), alphas=[1e-2, 1e-14])
    assert limit.verdict == EscapeVerdict.ROUNDOFF
    assert "alpha = 1e-14 is hidden by rounding" in limit.reason
    assert limit.path is None and limit.end is None


def test_cancellation_at_the_origin_is_measured() -> None:
    """The gradient cos(x + 1) - cos(1) vanishes at 0 by cancellation: no small alpha survives it."""
    wave = Objective.autodiff(lambda x: anp.sin(x[0] + 1) - np.cos(1.0) * x[0], 1)
    assert escape_limit(wave, np.zeros(1), np.ones(1), alphas=[1e-3, 1e-14]).verdict == EscapeVerdict.ROUNDOFF
    assert escape_limit(wave, np.zeros(1), np.ones(1)).verdict == EscapeVerdict.EXISTS


def test_a_direction_outside_the_eigenspace_is_controlled_by_rounding() -> None:
    limit = escape_limit(bistable([1.0, 0.5]), np.zeros(2), rotation(2) @ np.array([0.0, 1.0]))
    assert limit.verdict == EscapeVerdict.ROUNDOFF
    problem, model, saddle = case("figure 3, k = 1")
    inside = escape_limit(Objective.of(problem, model), saddle, saddle, problem=problem, model=model)
    assert inside.verdict == EscapeVerdict.ROUNDOFF


def test_a_minimum_has_no_escape() -> None:
    minimum = rotation(2) @ np.sqrt([1.0, 0.5])
    limit = escape_limit(bistable([1.0, 0.5]), minimum, np.ones(2))
    assert limit.verdict == EscapeVerdict.VIOLATED
    assert limit.reason.startswith("the point has no direction of escape: no eigenvalue of -H exceeds its error")


def test_eigenvalues_that_hardly_differ_leave_the_limit_undecided() -> None:
    limit = escape_limit(bistable([1.0, 1.0 - 1e-5]), np.zeros(2), np.array([0.3, 0.9]))
    assert limit.verdict == EscapeVerdict.UNDECIDED
    assert "do not agree" in limit.reason


@cache
def limit_at(name: str) -> EscapeLimit:
    problem, model, saddle = case(name)
    direction = model.random(np.random.default_rng(1))
    return escape_limit(Objective.of(problem, model), saddle, direction, problem=problem, model=model)


def test_theorem_2_holds_at_the_rank_one_saddle_of_figure_3() -> None:
    limit = limit_at("figure 3, k = 1")
    assert limit.verdict == EscapeVerdict.EXISTS
    assert limit.predicted_order == pytest.approx(0.57016, abs=5e-6)
    assert limit.fitted_order == pytest.approx(limit.predicted_order, rel=0.01)
    assert limit.agreement is not None and limit.agreement < 1e-8
    assert limit.errors is not None and limit.errors[-1] < 1e-8


@pytest.mark.parametrize(
    ("name", "rank", "next_loss"),
    [
        ("figure 3, k = 0", 0, 0.32652694),
        ("figure 3, k = 1", 1, 0.05227755),
        ("figure 4, one component fitted", 1, 0.0),
        ("figure 4, origin", 0, 5.0),
        ("M3, k = 1", 1, 0.0),
        ("rectangular, r = 5", 1, 0.0),
    ],
)
def test_the_limit_lies_on_the_next_manifold_and_leads_to_its_critical_point(
    name: str, rank: int, next_loss: float
) -> None:
    problem, model, _ = case(name)
    limit = limit_at(name)
    assert limit.verdict == EscapeVerdict.EXISTS
    assert limit.agreement is not None and limit.agreement < 1e-8
    assert limit.basis is not None and limit.omega_defect is not None and limit.end is not None
    assert limit.basis.shape == (model.rank, rank + 1)
    assert limit.omega_defect < 1e-10
    assert limit.fitted_order is not None and limit.predicted_order is not None
    assert limit.fitted_order > limit.predicted_order - 0.01
    end = find_critical_point(Objective.of(problem, model), limit.end)
    assert end.value == pytest.approx(next_loss, abs=1e-8)
    assert np.linalg.norm(end.theta - limit.end) < 1e-5
    assert limit.path is not None and limit.path.status in (Status.CONVERGED, Status.ROUNDOFF)


def test_the_limit_inherits_the_symmetries_of_the_matrix() -> None:
    """Permuted rows and columns, the transposed matrix, and a matrix of another unit give the same limit."""
    problem, model, saddle = case("observed zeros")
    direction = model.random(np.random.default_rng(1))
    objective = Objective.of(problem, model)
    alphas = [1e-2, 1e-4, 1e-6]
    limit = escape_limit(objective, saddle, direction, model=model, alphas=alphas)
    order, across = [2, 0, 1], [1, 2, 0]

    def permuted(theta: np.ndarray) -> np.ndarray:
        A, B = model.factors(theta)
        return model.theta(A[order], B[:, across])

    def transposed(theta: np.ndarray) -> np.ndarray:
        A, B = model.factors(theta)
        return model.theta(B.T, A.T)

    for other, move in ((problem.restricted(order, across), permuted), (problem.transpose, transposed)):
        moved = escape_limit(Objective.of(other, model), move(saddle), move(direction), model=model, alphas=alphas)
        # errors are read at times that are matched to the default agreement_tol, 1e-3
        assert moved.errors == pytest.approx(limit.errors, rel=5e-3, abs=1e-9)
        assert moved.end is not None and limit.end is not None
        assert moved.end == pytest.approx(move(limit.end), abs=1e-6)


@pytest.mark.parametrize("scale", [1e-150, 4.0**7, 1e149])
def test_the_limit_scales_with_the_matrix(scale: float) -> None:
    problem, model, saddle = case("M3, k = 1")
    direction, root = model.random(np.random.default_rng(1)), np.sqrt(scale)
    limits = []
    for factor in (1.0, scale):
        scaled, stretch = problem.rescaled(factor), np.sqrt(factor)
        objective = Objective.of(scaled, model)
        limits.append(
            escape_limit(
                objective, stretch * saddle, stretch * direction, problem=scaled, model=model, alphas=[1e-2, 1e-3, 1e-5]
            )
        )
    plain, other = limits
    assert other.verdict == EscapeVerdict.EXISTS
    assert plain.times is not None and other.times is not None and plain.end is not None and other.end is not None
    assert other.times[[0, -1]] * scale == pytest.approx(plain.times[[0, -1]], rel=0.05)
    assert other.end / root == pytest.approx(plain.end, abs=1e-6)
    assert other.errors == pytest.approx(plain.errors, rel=0.05)
    assert other.predicted_order == pytest.approx(plain.predicted_order)
    assert json.dumps(other.to_dict(), allow_nan=False)


def test_the_times_of_the_limit_are_those_of_theorem_2() -> None:
    """Before the escape the limit is Pi direction exp(lambda_1 t), up to terms of second order."""
    _, model, saddle = case("figure 3, k = 1")
    limit = limit_at("figure 3, k = 1")
    assert limit.path is not None
    launch = limit.directions.project(model.random(np.random.default_rng(1)))
    grown = np.exp(limit.directions.rate * limit.path.times[0]) * launch
    assert np.linalg.norm(limit.path.states[0] - saddle - grown) < 1e-3 * np.linalg.norm(grown)


def test_violated_assumptions_are_the_verdict() -> None:
    problem, model, saddle = case("inside escape")
    rng = np.random.default_rng(0)
    inside = escape_limit(Objective.of(problem, model), saddle, model.random(rng), problem=problem, model=model)
    assert inside.verdict == EscapeVerdict.VIOLATED
    assert inside.reason == "Assumption 2 fails: an escape inside the manifold, rate 0.276142"
    objective, zero = Objective.of(REPEATED, model), np.zeros(model.dim)
    repeated = escape_limit(objective, zero, model.random(rng), problem=REPEATED, model=model)
    assert repeated.verdict == EscapeVerdict.VIOLATED
    assert "Assumption 1 fails" in repeated.reason
    assert repeated.path is None
    assert json.loads(json.dumps(repeated.to_dict(), allow_nan=False))["verdict"] == "assumption-violated"


def test_an_undecided_assumption_leaves_the_limit_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, model, saddle = case("M3, k = 1")
    found = replace(residual_escape(problem, model, saddle), assumption_2=None)
    monkeypatch.setattr("gflow.escape.limit.residual_escape", lambda *_: found)
    limit = escape_limit(Objective.of(problem, model), saddle, saddle + 1.0, problem=problem, model=model)
    assert limit.verdict == EscapeVerdict.UNDECIDED


def test_the_callers_mistakes_are_named() -> None:
    objective = bistable([1.0, 0.5])
    zero, one = np.zeros(2), np.ones(2)
    with pytest.raises(ValueError, match=r"critical point: .* gradient norm is .*, allowed .*find_critical_point"):
        escape_limit(objective, np.array([0.1, 0.0]), one)
    with pytest.raises(ValueError, match=r"direction must be finite and of shape \(2,\); got shape \(3,\)"):
        escape_limit(objective, zero, np.ones(3))
    with pytest.raises(ValueError, match="saddle must be finite"):
        escape_limit(objective, np.array([np.nan, 0.0]), one)
    for bad in ([1e-2], [1e-3, 1e-2], [1e-2, 0.0], [[1e-2, 1e-3]]):
        with pytest.raises(ValueError, match="alphas must be a decreasing list of at least two positive numbers; got"):
            escape_limit(objective, zero, one, alphas=bad)
    with pytest.raises(ValueError, match="alphas must be so small that the trajectory starts near the saddle"):
        escape_limit(objective, zero, one, alphas=[1e6, 1e-2])
    with pytest.raises(ValueError, match="n_times must be at least 2; got 1"):
        escape_limit(objective, zero, one, n_times=1)
    with pytest.raises(ValueError, match="problem needs its model"):
        escape_limit(objective, zero, one, problem=M3)


def verdict_of_a_plain_case() -> EscapeVerdict:
    return escape_limit(bistable([1.0, 0.4]), np.zeros(2), np.array([0.3, 0.9]), alphas=[1e-3, 1e-6, 1e-9]).verdict


def test_the_check_of_the_limit_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict_of_a_plain_case() == EscapeVerdict.EXISTS
    other = rotation(2)[:, 1]
    with monkeypatch.context() as planted:
        planted.setattr(EscapeDirections, "project", lambda self, direction: other * (other @ direction))
        assert verdict_of_a_plain_case() != EscapeVerdict.EXISTS
    with monkeypatch.context() as planted:
        planted.setattr(EscapeDirections, "project", lambda self, d: -self.basis @ (self.basis.T @ d))
        assert verdict_of_a_plain_case() != EscapeVerdict.EXISTS
    for wrong in (lambda self, a: np.log(a) / self.directions.rate, lambda self, a: -np.log(a) / 0.9):
        with monkeypatch.context() as planted:
            planted.setattr(Routes, "shift", wrong)
            with_bug = verdict_or_error()
            assert with_bug != EscapeVerdict.EXISTS


def verdict_or_error() -> EscapeVerdict | str:
    try:
        return verdict_of_a_plain_case()
    except ValueError as error:
        return str(error)


def test_records_read_well_and_cannot_be_changed() -> None:
    limit = limit_at("M3, k = 1")
    assert repr(limit).startswith("EscapeLimit(limit-exists, order predicted 1, fitted 1")
    assert repr(limit.directions).startswith("EscapeDirections(rate=0.12198")
    for array in (limit.times, limit.alphas, limit.errors, limit.basis, limit.directions.basis):
        assert array is not None and not array.flags.writeable
    numbers = json.loads(json.dumps(limit.to_dict(), allow_nan=False))
    assert numbers["fitted_order"] == limit.fitted_order
    assert numbers["multiplicity"] == 2


def test_the_limit_at_figure_3_costs_a_bounded_number_of_gradients() -> None:
    """In the problem's own unit, where gradients of the deviation form can be counted."""
    problem, model, _ = case("figure 3, k = 1")
    _, _, saddle = at_saddle(problem.normalized, 1)
    objective, calls = Objective.of(problem.normalized, model), [0]

    def counted(center: np.ndarray) -> Objective:
        assert objective.deviation is not None
        around = objective.deviation(center)

        def gradient(delta: np.ndarray) -> np.ndarray:
            calls[0] += 1
            return around.gradient(delta)

        return replace(around, gradient=gradient)

    limit = escape_limit(replace(objective, deviation=counted), saddle, model.random(np.random.default_rng(1)))
    assert limit.verdict == EscapeVerdict.EXISTS
    assert 10_000 < calls[0] < 60_000


def separable(curvatures: Any, slope: Any, bend: Any, value: Any) -> Objective:
    """Return the sum of curvatures x^2 / 2 and of a function of every entry, given with its derivatives."""
    v = np.array(curvatures, dtype=float)
    return Objective(
        dim=len(v),
        value=lambda x: float(np.sum(v * x * x / 2 + value(x))),
        gradient=lambda x: v * x + slope(x),
        hvp=lambda x, d: (v + bend(x)) * d,
        hessian=lambda x: np.diag(v + bend(x)),
    )


def quartic(*curvatures: float, sign: float = 1.0) -> Objective:
    return separable(curvatures, lambda x: sign * x**3, lambda x: 3 * sign * x * x, lambda x: sign * x**4 / 4)


@pytest.mark.parametrize("gap", [1e-12, 1e-8])
def test_eigenvalues_that_are_almost_equal_are_two_and_leave_the_limit_open(gap: float) -> None:
    found = escape_directions(quartic(-1.0, -1.0 + gap, 2.0), np.zeros(3))
    assert found.multiplicity == 1 and not found.clear and found.gap == pytest.approx(gap, rel=1e-3)
    limit = escape_limit(quartic(-1.0, -1.0 + gap, 2.0), np.zeros(3), np.ones(3))
    assert limit.verdict == EscapeVerdict.UNDECIDED and f"converges as alpha^{gap:.2g}" in limit.reason
    equal = escape_directions(quartic(-1.0, -1.0, 2.0), np.zeros(3))
    assert equal.multiplicity == 2 and equal.clear


def test_a_slow_escape_beside_a_stiff_direction_is_found() -> None:
    limit = escape_limit(quartic(-1e-4, 2e4), np.zeros(2), np.ones(2))
    assert limit.verdict == EscapeVerdict.EXISTS and limit.directions.rate == pytest.approx(1e-4, rel=1e-9)
    assert limit.end == pytest.approx([1e-2, 0.0], abs=1e-6)
    none = escape_limit(quartic(-1e-12, 2e4), np.zeros(2), np.ones(2))
    assert none.verdict == EscapeVerdict.VIOLATED and "no eigenvalue of -H exceeds its error" in none.reason


def test_a_point_beside_a_saddle_is_not_taken_for_it_however_stiff_the_rest() -> None:
    limit = escape_limit(quartic(-1e-4, 2e4), np.array([1e-4, 0.0]), np.ones(2))
    assert limit.verdict == EscapeVerdict.VIOLATED and "no eigenvalue of -H exceeds its error" in limit.reason
    with pytest.raises(ValueError, match="saddle must be a critical point"):
        escape_limit(quartic(-1.0, 20.0), np.array([1e-4, 0.0]), np.ones(2), critical_tol=1e-3)


def test_a_path_that_blows_up_in_finite_time_is_compared_near_the_saddle() -> None:
    limit = escape_limit(quartic(-1.0, 1.0, sign=-1.0), np.zeros(2), np.ones(2))
    assert limit.verdict == EscapeVerdict.EXISTS and np.abs(limit.path.states).max() <= 10.0
    t, x = limit.path.times, limit.path.states[:, 0]
    assert x == pytest.approx(np.exp(t) / np.sqrt(1.0 - np.exp(2.0 * t)), rel=1e-5)


def later_burst() -> Objective:
    """Return a function of one number with v = x exp(-x^2) up to x = 2, 1e-3 after it, and a burst of 4 at x = 4."""
    return Objective.autodiff(lambda x: anp.exp(-(x[0] ** 2)) / 2 - anp.tanh((x[0] ** 2 - 16) / 2) + x[0] ** 4 / 4e5, 1)


@pytest.mark.slow
def test_a_faster_burst_after_the_first_one_is_followed_as_precisely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gflow.escape.routes.TAIL_RTOL", 1e-4)
    limit = escape_limit(later_burst(), np.zeros(1), np.ones(1), alphas=[1e-3, 1e-5])
    assert limit.verdict == EscapeVerdict.EXISTS
    compared = limit.path.states[np.searchsorted(limit.path.times, limit.times), 0]
    assert compared[-1] > 3.5 and limit.path.gradient_norms.max() > 3.4
    assert limit.agreement < 1e-7 and limit.manifold_error < 1e-6


def test_what_follows_the_burst_is_followed_coarsely_and_to_the_same_end() -> None:
    """The states after the burst differ from those of the tolerance asked for by no more than the tail's."""
    limit = escape_limit(bistable([1.0, -0.5]), np.zeros(2), rotation(2) @ np.array([0.8, 0.3]))
    assert limit.path.times[-1] > limit.times[-1] + 3.0 and limit.path.status == Status.CONVERGED
    exact = bistable_limit([1.0, -0.5], rotation(2) @ np.array([0.8, 0.3]), np.minimum(limit.path.times, 30.0))
    assert np.abs(limit.path.states - exact).max() < 1e-8


def test_an_objective_that_is_not_a_number_beyond_a_line_is_followed_up_to_it() -> None:
    """The slope of log(1 - x) + x + x^2 / 2 - x^2 / 2 has no end: it is minus infinity at x = 1."""
    wall = separable(
        [-1.0, 2.0],
        lambda x: np.array([1.0 + x[0] - 1.0 / (1.0 - x[0]), 0.0]),
        lambda x: np.array([1.0 - 1.0 / (1.0 - x[0]) ** 2, 0.0]),
        lambda x: np.array([np.log(1.0 - x[0]) + x[0] + x[0] ** 2 / 2, 0.0]),
    )
    limit = escape_limit(wall, np.zeros(2), np.ones(2))
    assert limit.verdict in (EscapeVerdict.EXISTS, EscapeVerdict.UNDECIDED)
    assert limit.path is None or np.isfinite(limit.path.states).all()


def test_a_linear_flow_and_one_dimension_have_their_limits() -> None:
    linear = separable([-1.0, 2.0], np.zeros_like, np.zeros_like, np.zeros_like)
    for objective in (linear, quartic(-1.0)):
        limit = escape_limit(objective, np.zeros(objective.dim), np.ones(objective.dim))
        assert limit.verdict == EscapeVerdict.EXISTS
