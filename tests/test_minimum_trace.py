"""The minimum trace over X >= 0: values on paper, linear programs, the dilation, and certificates that can fail."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from scipy.optimize import linprog

from gflow.completions import InaccurateSolution, cone, minimum_nuclear_norm, minimum_trace, positive
from gflow.operators import (
    commuting_measurements,
    gaussian_measurements,
    nuclear_norm_counterexample,
    symmetric_dilation,
)
from gflow.problems import MatrixCompletion, MatrixSensing

SEEDS = st.integers(0, 2**32 - 1)
NAN = np.nan
SOLVERS = ("clarabel", "scs", "interior point")


def gaussian(seed: int, size: int, rank: int, count: int) -> MatrixSensing:
    """Return Gaussian symmetric measurements of a random X >= 0 of that rank."""
    rng = np.random.default_rng(seed)
    A, U = gaussian_measurements((size, size), count, rng), rng.standard_normal((size, rank))
    A = A / 2 + A.mT / 2
    return MatrixSensing(A, np.tensordot(A, U @ U.T, 2))


def bounds(problem: MatrixSensing, X: np.ndarray, nu: np.ndarray) -> tuple[float, float]:
    """Return the bounds that X and nu give, after checking that both are feasible, in one line of numpy each."""
    A = problem.measurements
    assert np.linalg.eigvalsh(X)[0] >= -1e-13 * np.linalg.norm(X)
    assert np.abs(np.tensordot(A, X, 2) - problem.targets).max() <= 1e-10 * np.abs(problem.targets).max()
    top = np.linalg.eigvalsh(np.tensordot(nu, A / 2 + A.mT / 2, 1))[-1]
    assert top <= 1 + 1e-12
    return float(nu @ problem.targets), float(np.trace(X))


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_counterexample_has_least_trace_four_r(solver: str) -> None:
    for R in (1.5, 2.0, 7.0):
        found = minimum_trace(nuclear_norm_counterexample(R).problem, solver=solver)
        assert found.value == pytest.approx(4 * R, rel=1e-9) and found.gap <= 1e-8
        assert found.solver.startswith(solver)


@pytest.mark.parametrize("solver", SOLVERS)
def test_commuting_measurements_leave_a_linear_program(solver: str) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        size, count = 5 + seed, 3 + seed % 2
        A = commuting_measurements(size, count, rng)
        Q = np.linalg.eigh(A[0])[1]
        spectra = np.einsum("ia,mij,ja->ma", Q, A, Q)
        y = spectra @ np.abs(rng.standard_normal(size))
        problem = MatrixSensing(A, y)
        found = minimum_trace(problem, solver=solver)
        expected = linprog(np.ones(size), A_eq=spectra, b_eq=y).fun
        lower, upper = bounds(problem, found.matrix, found.dual)
        assert found.value == pytest.approx(expected, rel=1e-8)
        assert lower <= expected * (1 + 1e-9) and upper >= expected * (1 - 1e-9)


@settings(max_examples=8)
@given(seed=SEEDS, d1=st.integers(1, 4), d2=st.integers(1, 4))
def test_the_dilation_has_twice_the_least_nuclear_norm(seed: int, d1: int, d2: int) -> None:
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((d1, d2))
    M[rng.random((d1, d2)) < 0.3] = NAN
    if np.isnan(M).all():
        M[0, 0] = 1.0
    problem = MatrixCompletion(M)
    found = minimum_trace(symmetric_dilation(problem))
    assert found.value == pytest.approx(2 * minimum_nuclear_norm(problem).value, rel=1e-7)


@settings(max_examples=10)
@given(seed=SEEDS, size=st.integers(2, 6), rank=st.integers(1, 3))
def test_every_solver_gives_certified_bounds_of_one_value(seed: int, size: int, rank: int) -> None:
    problem = gaussian(seed, size, rank, max(1, size * (size + 1) // 3))
    found = [minimum_trace(problem, solver=solver) for solver in SOLVERS]
    for one in found:
        lower, upper = bounds(problem, one.matrix, one.dual)
        assert lower == pytest.approx(one.lower, rel=1e-9) and upper == pytest.approx(one.upper, rel=1e-12)
        assert all(one.lower <= other.upper * (1 + 1e-12) for other in found)


@pytest.mark.parametrize("factor", [1e-100, 0.3, 1e100])
def test_the_value_scales_and_the_dual_does_not(factor: float) -> None:
    problem = gaussian(1, 5, 2, 8)
    one, other = minimum_trace(problem), minimum_trace(problem.rescaled(factor))
    assert other.value / factor == pytest.approx(one.value, rel=1e-8)
    assert np.allclose(other.dual, one.dual, atol=1e-3)
    turned = MatrixSensing(problem.measurements * 7.0, problem.targets * 7.0)
    assert minimum_trace(turned).value == pytest.approx(one.value, rel=1e-8)


def test_enough_measurements_recover_a_planted_matrix_as_the_only_minimiser() -> None:
    problem = gaussian(3, 24, 1, 24 * 6)
    found = minimum_trace(problem)
    assert found.solver.startswith("scs") and found.unique is True and found.rank == 1
    inner = minimum_trace(problem, solver="interior point")
    assert inner.value == pytest.approx(found.value, rel=1e-8)
    assert np.allclose(inner.matrix, found.matrix, atol=1e-6 * found.value)


def test_dependent_and_non_symmetric_measurements_are_what_their_symmetric_parts_are() -> None:
    problem = gaussian(4, 4, 2, 5)
    skew = np.random.default_rng(0).standard_normal((5, 4, 4))
    A = np.concatenate([problem.measurements + skew - skew.mT, 2 * problem.measurements[:2]])
    y = np.concatenate([problem.targets, 2 * problem.targets[:2]])
    assert minimum_trace(MatrixSensing(A, y)).value == pytest.approx(minimum_trace(problem).value, rel=1e-8)


def test_a_trace_alone_is_met_by_many() -> None:
    found = minimum_trace(MatrixSensing(np.eye(3)[None], [2.0]))
    assert found.value == pytest.approx(2.0, rel=1e-10) and found.unique is None
    zero = minimum_trace(MatrixSensing(np.eye(3)[None], [0.0]))
    assert (zero.value, zero.lower, zero.gap) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("A", "y", "message"),
    [
        (np.stack([np.eye(3), np.eye(3)]), [1.0, 2.0], r"values are inconsistent: .* 0\.32 \|y\| away"),
        (np.eye(3)[None], [-1.0], "no positive semidefinite matrix fits the values"),
        (np.array([[[1.0, 0], [0, 0]], [[0, 0], [0, 1]], [[0, 1], [1, 0]]]), [1.0, 1, 4], "no positive semidefinite"),
        (np.zeros((1, 2, 2)), [1.0], "values are inconsistent"),
        (np.ones((1, 2, 3)), [1.0], "square measurements; got 2 x 3: see symmetric_dilation"),
    ],
)
@pytest.mark.parametrize("solver", SOLVERS)
def test_values_that_nothing_fits_are_refused(A: Any, y: Any, message: str, solver: str) -> None:
    with pytest.raises(ValueError, match=message):
        minimum_trace(MatrixSensing(A, y), solver=solver)


def test_wrong_arguments_are_named() -> None:
    problem = gaussian(0, 3, 1, 3)
    with pytest.raises(ValueError, match="solver must be one of auto, clarabel"):
        minimum_trace(problem, solver="mosek")
    with pytest.raises(ValueError, match="gap_tol must be positive"):
        minimum_trace(problem, gap_tol=0.0)
    with pytest.raises(InaccurateSolution, match="a relative gap of") as caught:
        minimum_trace(gaussian(0, 6, 2, 9), gap_tol=1e-17)
    assert caught.value.upper >= caught.value.lower > 0


def test_a_disturbed_primal_or_dual_opens_the_gap() -> None:
    problem = gaussian(5, 5, 2, 8)
    found, task = minimum_trace(problem), positive._Task(problem.normalized)
    rng = np.random.default_rng(0)
    worse = replace(found, lower=task.lower(found.dual + 1e-2 * rng.standard_normal(8)) * problem.unit)
    assert found.gap <= 1e-8 < 1e-4 < worse.gap
    G = rng.standard_normal((5, 5))
    assert task.misfit((found.matrix + 1e-6 * G @ G.T) / problem.unit) > 1e-8


def test_a_doubled_adjoint_and_lost_eigenvectors_turn_the_solution_red(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = gaussian(6, 5, 2, 8)
    honest = positive._Task.nu
    monkeypatch.setattr(positive._Task, "nu", lambda self, mu: 2 * honest(self, mu))
    with pytest.raises(AssertionError):
        found = minimum_trace(problem)
        bounds(problem, found.matrix, found.dual)
    monkeypatch.undo()

    def forgetful(self: Any, X: np.ndarray) -> np.ndarray:
        return np.diag(np.maximum(np.linalg.eigvalsh(X), 0.0))

    monkeypatch.setattr(positive._Task, "polished", forgetful)
    with pytest.raises(InaccurateSolution, match="relative misfit"):
        minimum_trace(problem)


def test_a_solver_that_fails_is_named_and_replaced_in_the_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positive, "conic_pair", lambda *_: None)
    found = minimum_trace(gaussian(7, 4, 1, 5))
    assert found.solver == "clarabel (failed) + interior point" and found.gap <= 1e-8


@settings(max_examples=40)
@given(seed=SEEDS, size=st.integers(1, 8), rank=st.integers(1, 8), share=st.floats(0, 1), gap_tol=st.just(1e-10))
@example(seed=8, size=6, rank=2, share=10 / 21, gap_tol=1e-10)
@example(seed=8, size=6, rank=2, share=10 / 21, gap_tol=1e-17)
@example(seed=15, size=6, rank=4, share=14 / 21, gap_tol=1e-11)
def test_the_interior_point_method_keeps_both_sides_feasible(
    seed: int, size: int, rank: int, share: float, gap_tol: float
) -> None:
    task = positive._Task(gaussian(seed, size, rank, max(1, round(share * size * (size + 1) / 2))).normalized)
    X, mu = cone.interior_pair(task.B, task.b, gap_tol)
    assert np.linalg.eigvalsh(X)[0] > 0 and np.linalg.eigvalsh(np.eye(size) - np.tensordot(mu, task.B, 1))[0] > 0
    # where rank and number of measurements leave only singular X, no interior point comes nearer than this
    assert task.misfit(X) < 1e-6 and abs(np.trace(X) - task.b @ mu) <= 1e-6 * np.trace(X)


@settings(max_examples=25)
@given(seed=SEEDS, size=st.integers(1, 8), rank=st.integers(1, 8), share=st.floats(0, 1))
@example(seed=0, size=3, rank=3, share=4 / 6)
@example(seed=320, size=7, rank=3, share=1.0)
def test_the_interior_point_method_is_certified_with_or_without_an_interior(
    seed: int, size: int, rank: int, share: float
) -> None:
    problem = gaussian(seed, size, rank, max(1, round(share * size * (size + 1) / 2)))
    found = minimum_trace(problem, solver="interior point")
    bounds(problem, found.matrix, found.dual)
    assert found.gap <= 1e-9


def test_the_record_is_ready_for_json() -> None:
    found = minimum_trace(gaussian(9, 3, 1, 4))
    text = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert text["objective"] == "trace" and len(text["dual"]) == 4 and "trace" in repr(found)
