"""Theorem 1 and Corollary 2 of Gunasekar et al. 2017: the closed path against the flow, its certificate, its order."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import linprog

from gflow.completions import minimum_nuclear_norm, minimum_trace
from gflow.flow import gradient_flow
from gflow.models import Factorization, SymmetricFactorization
from gflow.objective import Objective
from gflow.operators import CommutingPath, commuting, commuting_measurements, commuting_path, symmetric_dilation
from gflow.problems import MatrixCompletion, MatrixSensing

SEEDS = st.integers(0, 2**32 - 1)
NAN = np.nan


def commuting_problem(seed: int, size: int | None = None, name: str = "mean") -> MatrixSensing:
    """Return commuting measurements of a positive definite matrix with the same eigenvectors, of order 5 to 8."""
    rng = np.random.default_rng(seed)
    size = size or 5 + seed % 4
    A = commuting_measurements(size, int(rng.integers(1, size)), rng)
    Q = np.linalg.eigh(A[0])[1]
    X = (Q * np.abs(rng.standard_normal(size))) @ Q.T
    return MatrixSensing(A, np.tensordot(A, X, 2), normalization=name)


def worst_difference(problem: MatrixSensing, path: CommutingPath, alpha: float) -> float:
    """Return the largest relative distance between the path and the integrated flow at its finite times."""
    model = SymmetricFactorization(problem.shape[0])
    times = path.times[np.isfinite(path.times)]
    flow = gradient_flow(
        Objective.of(problem, model),
        model.identity(np.sqrt(alpha)),
        t_eval=times,
        rtol=1e-11,
        loss_tol=1e-300,
        gradient_tol=1e-300,
    )
    pairs = zip(flow.times, flow.states, strict=True)
    met = [(int(np.abs(times - t).argmin()), theta) for t, theta in pairs if np.abs(times - t).min() <= 1e-9 * t]
    assert len(met) >= 0.7 * len(times)
    return max(
        float(np.linalg.norm(model.output(theta) - path.matrices[k]) / np.linalg.norm(path.matrices[k]))
        for k, theta in met
    )


def linear_program(problem: MatrixSensing, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues of least sum that fit, and their reduced costs 1 - Lambda^T nu."""
    spectra = np.einsum("ia,mij,ja->ma", Q, problem.measurements, Q)
    found = linprog(np.ones(len(Q)), A_eq=spectra, b_eq=problem.targets, options={"dual_feasibility_tolerance": 1e-10})
    return found.x, 1.0 - found.eqlin.marginals @ spectra


@pytest.mark.parametrize("seed", range(8))
def test_the_closed_path_is_the_flow(seed: int) -> None:
    name = "sum" if seed % 3 == 2 else "mean"
    problem = commuting_problem(seed, name=name)
    times = np.geomspace(0.01, 30, 25) * (1.0 if name == "mean" else 1 / problem.n_observed)
    for alpha in (1e-4, 0.3):
        assert worst_difference(problem, commuting_path(problem, alpha, times), alpha) <= 1e-8


def test_one_measurement_has_the_logistic_path() -> None:
    # x' = -8 (x - y) x, x(0) = alpha
    t, alpha, y = np.linspace(0, 3, 13), 1e-3, 0.7
    path = commuting_path(MatrixSensing(np.ones((1, 1, 1)), [y]), alpha, t)
    assert np.allclose(path.eigenvalues[:, 0], y / (1 + (y / alpha - 1) * np.exp(-8 * y * t)), rtol=1e-9)
    assert np.allclose(path.exponents[:, 0], np.log(path.eigenvalues[:, 0] / alpha) / 2, rtol=1e-12)


@settings(max_examples=12)
@given(seed=st.integers(0, 200), exponent=st.floats(-12, 0.5))
def test_the_limit_by_convex_minimisation_is_the_end_of_the_path(seed: int, exponent: float) -> None:
    problem, alpha = commuting_problem(seed), 10.0**exponent
    both = commuting_path(problem, alpha, [1e-3, 1e6, np.inf])
    assert np.allclose(both.eigenvalues[1], both.eigenvalues[2], atol=1e-8 * both.eigenvalues[2].max())
    assert np.linalg.norm(problem.misfit(both.final)) <= 1e-11 * np.linalg.norm(problem.targets)


@pytest.mark.parametrize("seed", range(30))
def test_the_limit_has_the_certified_least_nuclear_norm(seed: int) -> None:
    problem = commuting_problem(seed, size=5 + seed % 16)
    least = minimum_trace(problem)
    # reduced costs down to 0.014 occur: the excess falls as slowly as alpha^0.014
    limit = commuting_path(problem, 1e-300 * problem.unit)
    assert limit.nuclear_norm == pytest.approx(least.value, rel=1e-6)
    assert limit.lower <= least.upper * (1 + 1e-12)
    assert commuting_path(problem, 0.1 * problem.unit).nuclear_norm > least.value * (1 - 1e-8)


@pytest.mark.parametrize("seed", range(8))
def test_the_certificate_is_recovered_as_one_over_the_logarithm(seed: int) -> None:
    problem = commuting_problem(seed)
    logs = np.array([20.0, 40, 80, 160, 320])
    limits = [commuting_path(problem, problem.unit * np.exp(-L)) for L in logs]
    defects = np.array([max(0.0, -limit.slack.min()) for limit in limits])
    broken = np.array([limit.complementarity for limit in limits])
    gaps = np.array([(limit.nuclear_norm - limit.lower) / limit.nuclear_norm for limit in limits])
    assert (np.diff(broken) < 0).all() and broken[-1] < 0.02 and defects[-1] < 0.02
    assert np.polyfit(np.log(logs), np.log(broken), 1)[0] == pytest.approx(-1, abs=0.05)
    # the gap sums x_a log(x_max / x_a) / log(x_max / alpha): of this order, or zero where X has a single eigenvalue
    assert (gaps[-1] <= 0.15 * gaps[0]) or gaps[-1] < 1e-12
    Q, X = limits[-1].vectors, limits[-1].final
    A = problem.measurements
    top = np.linalg.eigvalsh(np.tensordot(limits[-1].dual, A, 1))
    assert np.allclose(np.sort(1 - limits[-1].slack), top, atol=1e-10) and np.allclose(Q @ Q.T, np.eye(len(Q)))
    assert np.linalg.norm((np.eye(len(Q)) - np.tensordot(limits[-1].dual, A, 1)) @ X) < 0.02 * np.linalg.norm(X)


@pytest.mark.parametrize("seed", [0, 1, 3, 4, 6, 9, 10])
def test_the_excess_falls_as_alpha_to_the_least_reduced_cost(seed: int) -> None:
    problem = commuting_problem(seed)
    first = commuting_path(problem, 1e-30 * problem.unit)
    x, costs = linear_program(problem, first.vectors)
    off = x < 1e-9 * x.max()
    order = float(costs[off].min())
    # the exact excess is <costs, x>: no cancellation; the cost is 0 on the support
    alphas = problem.unit * np.exp(-np.linspace(12, 24, 5) * np.log(10) / max(order, 0.5))
    excess = [float(costs[off] @ commuting_path(problem, a).eigenvalues[-1][off]) for a in alphas]
    assert order > 0 and np.polyfit(np.log(alphas), np.log(excess), 1)[0] == pytest.approx(order, rel=0.05)
    assert first.slack[off].min() == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("factor", [1e-90, 0.21, 1e90])
def test_the_path_scales_with_the_values(factor: float) -> None:
    problem = commuting_problem(2)
    times = np.array([0.1, 1.0, 5.0, np.inf])
    one, other = (
        commuting_path(problem, 1e-3, times),
        commuting_path(problem.rescaled(factor), 1e-3 * factor, times / factor),
    )
    assert np.allclose(other.eigenvalues / factor, one.eigenvalues, rtol=1e-8)
    assert np.allclose(other.exponents, one.exponents, atol=1e-8)


def dilated_problem(seed: int) -> tuple[MatrixSensing, np.ndarray]:
    """Return rectangular measurements P diag(.) Q^T, whose dilations commute, and their diagonals."""
    rng = np.random.default_rng(seed)
    P, Q = np.linalg.qr(rng.standard_normal((4, 3)))[0], np.linalg.qr(rng.standard_normal((3, 3)))[0]
    diagonals = rng.standard_normal((2, 3))
    A = (P * diagonals[:, None, :]) @ Q.T
    return MatrixSensing(A, diagonals @ rng.standard_normal(3)), diagonals


@pytest.mark.parametrize("seed", range(4))
def test_the_asymmetric_model_follows_the_dilated_path_to_the_least_nuclear_norm(seed: int) -> None:
    problem, diagonals = dilated_problem(seed)
    assert commuting(problem, form="dilated").commutes
    dilated, alpha = symmetric_dilation(problem), 1e-3
    times = np.geomspace(0.05, 40, 12)
    path = commuting_path(dilated, alpha, times)
    model = Factorization(problem.shape, 7)
    start = np.sqrt(alpha) * np.concatenate([np.eye(4, 7).ravel(), np.eye(7)[:, 4:].ravel()])
    flow = gradient_flow(Objective.of(problem, model), start, t_eval=times, rtol=1e-11, loss_tol=1e-300)
    for t, theta in zip(flow.times, flow.states, strict=True):
        if t in times:
            W = path.matrices[int(np.flatnonzero(times == t)[0])][:4, 4:]
            assert np.linalg.norm(model.output(theta) - W) <= 1e-8 * np.linalg.norm(path.final)
    limit = commuting_path(dilated, 1e-100 * dilated.unit)
    split = linprog(np.ones(6), A_eq=np.hstack([diagonals, -diagonals]), b_eq=problem.targets)
    assert limit.nuclear_norm == pytest.approx(2 * split.fun, rel=1e-6)
    assert np.linalg.norm(limit.final[:4, 4:], "nuc") == pytest.approx(split.fun, rel=1e-6)


def test_a_partial_matching_of_entries_completes_to_the_least_nuclear_norm() -> None:
    problem = MatrixCompletion([[NAN, 3.0, NAN], [NAN, NAN, -2.0]])
    limit = commuting_path(symmetric_dilation(problem), 1e-60)
    assert np.allclose(limit.final[:2, 2:], [[0, 3, 0], [0, 0, -2]], atol=1e-8)
    assert limit.nuclear_norm == pytest.approx(2 * minimum_nuclear_norm(problem).value, rel=1e-9)


class DoubledAdjoint(MatrixSensing):
    """Measurements whose adjoint, and so the flow, has a factor 2 too many."""

    def adjoint(self, weights: np.ndarray) -> np.ndarray:
        """Return twice the adjoint."""
        return 2 * super().adjoint(weights)

    def gradient(self, W: np.ndarray) -> np.ndarray:
        """Return twice the gradient."""
        return 2 * super().gradient(W)


def test_a_doubled_adjoint_leaves_the_closed_path() -> None:
    A = commuting_measurements(5, 3, np.random.default_rng(0))
    A = A / np.linalg.norm(A, axis=(1, 2)).max()
    y = np.tensordot(A, np.eye(5), 2)
    problem, planted = MatrixSensing(A, y / np.abs(y).max()), DoubledAdjoint(A, y / np.abs(y).max())
    assert planted.unit == 1.0
    path = commuting_path(problem, 1e-3, np.geomspace(0.1, 5, 10))
    assert worst_difference(problem, path, 1e-3) <= 1e-8
    assert worst_difference(planted, path, 1e-3) > 1e-2


@pytest.mark.parametrize("times", [[0.0], [0.0, np.inf], [1e12], [5.0, np.inf]])
def test_early_and_late_times_are_reached(times: list[float]) -> None:
    path = commuting_path(MatrixSensing(np.eye(2)[None], [1.0]), 1e-3, times)
    expected = [1e-3 if t == 0 else 0.5 for t in times]
    assert np.allclose(path.eigenvalues, np.array(expected)[:, None], rtol=1e-9)


@pytest.mark.parametrize("seed", [0, 6, 14])
@pytest.mark.parametrize("shape", [(6, 4, 2), (6, 6, 1), (8, 7, 3), (6, 12, 2)])
def test_a_matrix_on_the_boundary_of_the_cone_is_recovered(shape: tuple[int, int, int], seed: int) -> None:
    size, count, rank = shape
    rng = np.random.default_rng(seed)
    A = commuting_measurements(size, count, rng)
    Q = np.linalg.eigh(A[0])[1][:, :rank]
    X = (Q * (0.1 + np.abs(rng.standard_normal(rank)))) @ Q.T
    problem = MatrixSensing(A, np.tensordot(A, X, 2))
    least = minimum_trace(problem).value
    for alpha in (1e-3, 1e-12, 1e-30):
        limit = commuting_path(problem, alpha)
        assert np.linalg.norm(problem.misfit(limit.final)) <= 1e-11 * np.linalg.norm(problem.targets)
        assert limit.nuclear_norm >= least * (1 - 1e-7)


def test_lost_eigenvectors_leave_the_data_unfitted() -> None:
    problem = commuting_problem(1)
    limit = commuting_path(problem, 1e-20)
    forgotten = np.diag(limit.eigenvalues[-1])
    size = np.linalg.norm(problem.targets)
    assert np.linalg.norm(problem.misfit(limit.final)) < 1e-11 * size < np.linalg.norm(problem.misfit(forgotten))


def test_the_record_is_frozen_and_ready_for_json() -> None:
    path = commuting_path(commuting_problem(0), 1e-5, [0.0, 1.0, np.inf])
    text = json.loads(json.dumps(path.to_dict(), allow_nan=False))
    assert text["times"] == [0.0, 1.0, None] and "CommutingPath(alpha=1e-05" in repr(path)
    assert np.allclose(path.matrices[0], 1e-5 * np.eye(5), atol=1e-18)
    with pytest.raises(ValueError, match="read-only"):
        path.exponents[0] = 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: commuting_path(MatrixCompletion([[1, 2], [3, NAN]]), 1e-3),
            "measurements must commute; .* numbers 1 and",
        ),
        (lambda: commuting_path(MatrixSensing(np.ones((1, 2, 3)), [1.0]), 1e-3), "square measurements"),
        (lambda: commuting_path(commuting_problem(0), 0.0), "alpha must be finite and at least 1e-300 unit; got 0.0"),
        (lambda: commuting_path(commuting_problem(0), 1.0, [1.0, 0.5]), "times must be an increasing list"),
        (lambda: commuting_path(commuting_problem(0), 1.0, []), "times must be an increasing list"),
        (lambda: commuting_path(MatrixSensing(np.eye(2)[None], [-1.0]), 1.0), "no X >= 0 was found that fits"),
        (lambda: commuting_path(MatrixSensing(np.eye(2)[None], [0.0]), 1.0), "values are all zero"),
        (lambda: commuting_path(MatrixSensing(np.ones((2, 1, 1)), [1.0, 2.0]), 1.0), "values are inconsistent"),
    ],
)
def test_bad_arguments_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
