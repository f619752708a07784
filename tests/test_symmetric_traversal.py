"""The limit of X = U U^T from the origin: closed forms, the flow itself, the optimality conditions, and endings."""

import json
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gflow import symmetric_traversal as symmetric
from gflow.flow import gradient_flow
from gflow.limit import TraversalStatus, saddle_to_saddle
from gflow.limit.symmetric import SymmetricTraversal, symmetric_traversal
from gflow.models import SymmetricFactorization
from gflow.objective import Objective
from gflow.operators import commuting_measurements, commuting_path, nuclear_norm_counterexample, symmetric_dilation
from gflow.problems import MatrixCompletion, MatrixSensing

symmetric_module = sys.modules[symmetric_traversal.__module__]
GAP = np.nan
FIGURE_3 = [[4, 0.6, 1.8, 0.8], [6, 0.9, 2.7, GAP], [8, 2.2, 2.6, 1.6], [8, 2.7, 5.1, 3.6]]


def random_problem(seed: int) -> MatrixSensing:
    """Return Gaussian measurements of a planted matrix of rank 1 or 2, of order 2 to 5."""
    rng = np.random.default_rng(seed)
    d, r = int(rng.integers(2, 6)), int(rng.integers(1, 3))
    A = rng.standard_normal((int(rng.integers(1, d * (d + 1) // 2 + 1)), d, d))
    V = rng.standard_normal((d, r))
    return MatrixSensing(A, np.tensordot(A, V @ V.T, 2))


@cache
def limit_of(seed: int) -> SymmetricTraversal:
    return symmetric_traversal(random_problem(seed))


def distances(problem: MatrixSensing, limit: SymmetricTraversal, scales: tuple[float, ...]) -> np.ndarray:
    """Return the relative distances of the ends of the flow from the limit, for decreasing scales of one start."""
    model = SymmetricFactorization(problem.shape[0])
    objective, start = Objective.of(problem, model), model.random(np.random.default_rng(1))
    ends = [model.output(gradient_flow(objective, a * np.sqrt(problem.unit) * start).final) for a in scales]
    assert limit.matrix is not None
    return np.array([np.linalg.norm(X - limit.matrix) for X in ends]) / np.linalg.norm(limit.matrix)


def test_a_fully_observed_matrix_is_learned_by_its_truncations() -> None:
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    sizes = np.array([4.0, 2.0, 1.0, -0.5])
    limit = symmetric_traversal(MatrixCompletion((Q * sizes) @ Q.T))
    expected = [float(np.sum(sizes[k:] ** 2)) / 16 for k in range(4)]
    assert limit.status == TraversalStatus.CONVERGED and "a minimum over X >= 0" in limit.reason
    assert np.allclose([saddle.loss for saddle in limit.saddles], expected, rtol=1e-10)
    assert np.allclose([saddle.escape_rate for saddle in limit.saddles], 4 / 16 * np.array([4, 2, 1, 0]), atol=1e-9)
    assert np.allclose(limit.matrix, (Q * np.maximum(sizes, 0)) @ Q.T, atol=1e-8) and limit.rank == 3


@pytest.mark.parametrize("R", [1.5, 2.0, 4.0])
def test_the_counterexample_ends_at_its_solution_of_least_rank(R: float) -> None:
    example = nuclear_norm_counterexample(R)
    limit = symmetric_traversal(example.problem)
    assert limit.rank == 1 and limit.nuclear_norm == pytest.approx(2 + 2 * R**2, rel=1e-8)
    assert np.allclose(limit.matrix, example.least_rank, atol=1e-7)


@pytest.mark.parametrize("values", [[[1, 2], [3, GAP]], [[1, 2], [10, GAP]], FIGURE_3])
def test_the_dilation_ends_where_the_factorisation_does(values: list) -> None:
    problem = MatrixCompletion(values)
    d1, _ = problem.shape
    limit = symmetric_traversal(symmetric_dilation(problem))
    other = saddle_to_saddle(problem)
    assert limit.matrix is not None and other.matrix is not None
    assert np.allclose(limit.matrix[:d1, d1:], other.matrix, atol=1e-6 * np.abs(other.matrix).max())


@pytest.mark.parametrize("seed", [0, 4, 7, 9, 10])
def test_the_flow_from_smaller_and_smaller_starts_tends_to_the_limit(seed: int) -> None:
    problem, limit = random_problem(seed), limit_of(seed)
    found = distances(problem, limit, (1e-4, 1e-6, 1e-8))
    assert limit.status == TraversalStatus.CONVERGED
    assert found[-1] < 0.7 * found[0] or found.max() < 1e-6
    assert found[-1] < 0.05


def test_the_distance_from_the_limit_has_the_order_of_the_gap_at_the_origin() -> None:
    # one measurement diag(1, 1/2): x_1 + x_2 / 2 = 1 on the diagonal, x_2 ~ alpha^(2 (1 - 1/2))
    problem = MatrixSensing(np.diag([1.0, 0.5])[None], [1.0])
    limit = symmetric_traversal(problem)
    assert np.allclose(limit.matrix, np.diag([1.0, 0.0]), atol=1e-8)
    found = distances(problem, limit, (1e-3, 1e-4, 1e-5))
    order = np.polyfit(np.log([1e-3, 1e-4, 1e-5]), np.log(found), 1)[0]
    assert order == pytest.approx(1 - limit.saddles[0].gap / limit.saddles[0].escape_rate, abs=0.03)


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_commuting_measurements_end_where_the_closed_path_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    A = commuting_measurements(5, 1, rng)
    problem = MatrixSensing(A, np.tensordot(A, np.eye(5), 2))
    if problem.targets[0] < 0:
        problem = MatrixSensing(-A, -problem.targets)
    limit, path = symmetric_traversal(problem), commuting_path(problem, 1e-300 * problem.unit)
    assert np.allclose(limit.matrix, path.final, atol=1e-6 * np.linalg.norm(path.final))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_every_limit_is_a_global_minimum_over_the_cone(seed: int) -> None:
    problem = random_problem(seed)
    limit = symmetric_traversal(problem)
    if limit.matrix is None:
        assert limit.status != TraversalStatus.CONVERGED and limit.reason
        return
    G = problem.gradient(limit.matrix)
    G, size = (G + G.T) / 2, np.linalg.norm(problem.gradient(np.zeros(problem.shape)))
    assert np.linalg.eigvalsh(G)[0] >= -1e-5 * size and np.linalg.norm(G @ limit.matrix) <= 1e-6 * size * problem.unit
    losses = [saddle.loss for saddle in limit.saddles]
    assert (np.diff(losses) < 0).all()


@pytest.mark.parametrize("factor", [1e-60, 0.3, 1e60])
def test_the_chain_scales_with_the_values(factor: float) -> None:
    problem = random_problem(4)
    one, other = limit_of(4), symmetric_traversal(problem.rescaled(factor))
    assert one.matrix is not None and other.matrix is not None
    assert np.allclose(other.matrix / factor, one.matrix, rtol=1e-6, atol=1e-8)
    assert other.saddles[0].escape_rate == pytest.approx(factor * one.saddles[0].escape_rate)


def test_a_rotation_of_the_measurements_rotates_the_limit() -> None:
    problem = random_problem(4)
    Q = np.linalg.qr(np.random.default_rng(3).standard_normal(problem.shape))[0]
    turned = MatrixSensing(Q @ problem.measurements @ Q.T, problem.targets)
    one, other = limit_of(4), symmetric_traversal(turned)
    assert one.matrix is not None and np.allclose(other.matrix, Q @ one.matrix @ Q.T, atol=1e-6)


def test_endings_are_told_apart() -> None:
    trace = symmetric_traversal(MatrixSensing(np.eye(3)[None], [1.0]))
    assert trace.status == TraversalStatus.DEGENERATE and "repeated at the saddle of rank 0" in trace.reason
    apart = symmetric_traversal(MatrixCompletion([[3.0, GAP], [GAP, 1.0]]))
    assert apart.status == TraversalStatus.DEGENERATE and "unstable inside its rank" in apart.reason
    infinite = symmetric_traversal(MatrixCompletion([[0.0, 1.0], [1.0, GAP]]), max_evaluations=5000)
    assert infinite.status in (TraversalStatus.DIVERGING, TraversalStatus.UNDECIDED) and infinite.matrix is None
    short = symmetric_traversal(random_problem(0), max_evaluations=30)
    assert short.status == TraversalStatus.UNDECIDED and short.reason.startswith("from rank 0: ")
    nothing = symmetric_traversal(MatrixCompletion([[0.0, GAP], [GAP, 0.0]]))
    assert nothing.status == TraversalStatus.CONVERGED and nothing.rank == 0
    narrow = symmetric_traversal(MatrixCompletion(np.diag([2.0, 1.0])), width=1)
    assert narrow.rank == 1 and "at the full width" in narrow.reason
    negative = symmetric_traversal(MatrixCompletion([[-1.0]]))
    assert negative.rank == 0 and negative.loss == 1.0 and "a minimum over X >= 0" in negative.reason


def test_dependent_inconsistent_and_skewed_measurements_have_a_result() -> None:
    problem = random_problem(4)
    A, y = problem.measurements, problem.targets
    one = limit_of(4)
    skew = np.random.default_rng(0).standard_normal(A.shape)
    others = [MatrixSensing(A + skew - skew.mT, y), MatrixSensing(np.concatenate([A, A]), np.concatenate([y, y]))]
    for other in others:
        assert np.allclose(symmetric_traversal(other).matrix, one.matrix, atol=1e-6)
    contradicting = symmetric_traversal(MatrixSensing(np.ones((2, 1, 1)), [1.0, 3.0]))
    assert contradicting.matrix == pytest.approx(2.0) and contradicting.loss == pytest.approx(1.0)
    wide = symmetric_traversal(problem, width=9)
    assert np.allclose(wide.matrix, one.matrix, atol=1e-12)


def test_the_wrong_eigenvector_leads_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, plain = random_problem(10), symmetric_module.arrived

    def second(unit: MatrixSensing, U: np.ndarray, u: np.ndarray, *limits: Any) -> Any:
        G = unit.gradient(U @ U.T)
        return plain(unit, U, np.linalg.eigh(-(G + G.T) / 2)[1][:, -2], *limits)

    right = distances(problem, limit_of(10), (1e-8,))
    monkeypatch.setattr(symmetric_module, "arrived", second)
    wrong = symmetric_traversal(problem)
    assert wrong.matrix is None or distances(problem, wrong, (1e-8,))[0] > 10 * right[0]


def test_the_record_is_frozen_and_ready_for_json() -> None:
    limit = symmetric_traversal(nuclear_norm_counterexample().problem)
    text = json.loads(json.dumps(limit.to_dict(), allow_nan=False))
    assert text["status"] == "converged" and [saddle["rank"] for saddle in text["saddles"]] == [0, 1]
    assert "SymmetricTraversal(converged, rank 1" in repr(limit) and "SymmetricSaddle(rank 0" in repr(limit.saddles[0])
    with pytest.raises(ValueError, match="read-only"):
        limit.saddles[0].matrix[0] = 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: symmetric_traversal(MatrixSensing(np.ones((1, 2, 3)), [1.0])), "square measurements; got 2 x 3"),
        (lambda: symmetric_traversal(MatrixSensing(np.eye(2)[None], [1.0]), gap_tol=0), "gap_tol must lie between"),
        (lambda: symmetric_traversal(MatrixSensing(np.eye(2)[None], [1.0]), width=0), "rank must be a positive"),
    ],
)
def test_bad_arguments_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_the_function_is_what_the_package_exports() -> None:
    assert symmetric is symmetric_traversal
