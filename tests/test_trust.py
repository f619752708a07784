"""Tests of the errors that flows state for their ends, against referees in hundreds of bits, and of false ends."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from court import drawn as drawn_at_court
from referee import Ending, Referee, Verdict, start

from gflow import Factorization, MatrixCompletion, Objective, SymmetricFactorization, gradient_flow, gradient_flows
from gflow.flow import Status, Trajectory
from gflow.flow.rounding import NOTHING, Rounding
from gflow.flow.solvers import Solvers
from gflow.graded import graded_flow

GAP = np.nan
LATE = MatrixCompletion([[-1, 3, 2, -1], [3, GAP, 2, -5], [-4, 5, 4, -5], [1, 0, -5, 0]])
FIG3 = MatrixCompletion([[4, 0.6, 1.8, 0.8], [6, 0.9, 2.7, GAP], [8, 2.2, 2.6, 1.6], [8, 2.7, 5.1, 3.6]])
CORNER = MatrixCompletion([[GAP, 1], [1, 0]])
SECTORS = MatrixCompletion([[GAP, 1.02, 2], [1.02, GAP, 0.5], [2, 0.5, -1.3]])


def flow(problem: MatrixCompletion, seed: int, scale: float, **use: object) -> tuple[Trajectory, np.ndarray]:
    model = Factorization(problem.shape)
    start = model.random(np.random.default_rng(seed), scale)
    path = gradient_flow(Objective.of(problem, model), start, **use)  # type: ignore[arg-type]
    return path, model.output(path.final)


# Errors of ends


@pytest.mark.parametrize(("scale", "corner"), [(1e-8, 19.796781291), (1e-12, 26.686267495)])
def test_the_error_that_is_stated_covers_the_one_that_is_made(scale: float, corner: float) -> None:
    path, W = flow(LATE, 46, scale)
    assert path.status is Status.CONVERGED and path.error is not None
    assert abs(W[1, 1] - corner) <= path.error <= 1e-3 * corner


@pytest.mark.parametrize("method", ["LSODA", "DOP853"])
@pytest.mark.parametrize("scale", [1e-20, 1e-30])
def test_an_end_that_rounding_has_moved_is_roundoff(scale: float, method: str) -> None:
    path, W = flow(LATE, 46, scale, method=method)
    assert path.status is Status.ROUNDOFF
    assert abs(W[1, 1] - {1e-20: 36.408126, 1e-30: 45.533387}[scale]) > 1.0


def test_without_the_estimate_of_rounding_errors_a_wrong_end_has_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rounding, "relative", property(lambda self: 0.0))
    monkeypatch.setattr(Solvers, "missed", lambda *_: NOTHING)
    path, W = flow(LATE, 46, 1e-30)
    assert path.status is Status.CONVERGED and abs(W[1, 1] - 45.533387) > 5.0


HIDDEN = [(771, 139), (771, 58), (771, 238), (771, 358)]
"""Problems of the court in which a column waits, invisible beside larger ones that move slowly."""


@cache
def truth_at_court(seed: int, number: int, exponent: int) -> Verdict:
    """Return where the referee ends."""
    return drawn_at_court(seed, number)[1].verdict(exponent)


def flow_at_court(seed: int, number: int, exponent: int) -> tuple[float, float]:
    """Return the error that a flow states and the one that it makes, relative to the largest entry."""
    _, court = drawn_at_court(seed, number)
    start = 10.0**exponent * np.sqrt(court.unit) * court.start
    path = gradient_flow(Objective.of(court.problem, court.model), start)
    W, truth = court.model.output(path.final) / court.unit, truth_at_court(seed, number, exponent)
    assert path.status is Status.CONVERGED and path.error is not None and truth.ending is Ending.MET
    size = float(np.abs(truth.W).max())
    return path.error / court.unit / size, float(np.abs(W - truth.W).max()) / size


@pytest.mark.parametrize(("seed", "number"), HIDDEN)
def test_steps_too_long_for_a_hidden_column_are_in_the_error_that_is_stated(seed: int, number: int) -> None:
    stated, made = flow_at_court(seed, number, -12)
    assert made <= stated <= 2e-3


def test_without_what_steps_miss_of_hidden_columns_the_error_is_understated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Solvers, "missed", lambda *_: NOTHING)
    stated, made = flow_at_court(*HIDDEN[0], -12)
    assert made > 20.0 * stated


def test_a_saddle_keeps_nothing_of_what_is_going_to_escape() -> None:
    # a search for the saddle is content with a gradient that is 2 % of what escapes
    _, made = flow_at_court(771, 538, -12)
    assert made <= 1e-8


def test_compiled_flows_leave_such_an_end_to_the_same_verdict() -> None:
    start = Factorization((4, 4)).random(np.random.default_rng(46))
    wrong, right = gradient_flows(LATE, [1e-30 * start, 1e-8 * start])
    assert wrong.status is Status.ROUNDOFF and right.status is Status.CONVERGED
    assert right.error is not None and right.error < 1e-3


def test_coarse_steps_are_repeated_until_two_ends_agree() -> None:
    path, W = flow(LATE, 46, 1e-8, rtol=1e-4, method="LSODA")
    assert path.status is Status.CONVERGED and "integrated again" in path.message
    assert path.error is not None and abs(W[1, 1] - 19.796781291) <= max(path.error, 2e-2)


@pytest.mark.parametrize("seed", range(4))
def test_coarse_steps_lose_no_plateau(seed: int) -> None:
    path, _ = flow(FIG3, seed, 1e-8, rtol=1e-2)
    levels = [plateau.loss for plateau in path.plateaus]
    assert np.allclose(levels[:3], [16.850667, 0.32652694, 0.05227755], rtol=1e-2)


def test_the_estimate_can_be_had_without_its_consequences() -> None:
    path, _ = flow(LATE, 46, 1e-30, error_tol=None)
    assert path.status is Status.CONVERGED and path.error is not None and path.error > 1.0
    with pytest.raises(ValueError, match="error_tol must be positive; got 0"):
        flow(LATE, 46, 1e-8, error_tol=0.0)


def test_the_error_is_saved_and_told(tmp_path: Path) -> None:
    path, _ = flow(CORNER, 0, 1e-3)
    path.save(tmp_path / "path.npz")
    assert Trajectory.load(tmp_path / "path.npz").error == path.error == path.to_dict()["error"]


# What is too small to be learned


@pytest.mark.parametrize("small", [1e-8, 1e-10])
@pytest.mark.parametrize("unit", [1.0, 1e8])
def test_what_a_flow_leaves_unlearned_is_in_its_error(small: float, unit: float) -> None:
    problem, model = MatrixCompletion(unit * np.array([[1, GAP], [GAP, small]])), Factorization((2, 2))
    begin = model.random(np.random.default_rng(0), 1e-12 * np.sqrt(unit))
    A, B = model.factors(begin)
    frames = A.T + B  # columns: each block grows along its own in the inner space
    frames /= np.linalg.norm(frames, axis=0)
    cross = unit * np.sqrt(small) * frames[:, 0] @ frames[:, 1]
    path = gradient_flow(Objective.of(problem, model), begin)
    (end,) = gradient_flows(problem, begin)
    scale = 40.0 if small < 1e-9 else 0.0  # graded columns learn what is 1e-8, and nothing of 1e-10
    graded = graded_flow(problem, begin, log_scale=-scale * np.log(10.0))
    assert graded.error is not None and abs(model.output(graded.final)[0, 1] - cross) <= graded.error
    for said in (path, end):
        W = model.output(said.theta if said is end else path.final)
        assert said.status is Status.CONVERGED and said.error is not None
        assert np.abs(W[1, 1]) < 0.1 * unit * small and said.error <= 1e-3 * unit
        assert abs(W[0, 1] - cross) <= said.error
    assert small < 1e-9 or f"smaller than {unit * small:.1e} may not be learned" in path.message


def test_an_end_that_is_reached_has_nothing_left_to_learn() -> None:
    path, _ = flow(FIG3, 0, 1e-6)
    assert path.error is not None and path.error < 1e-4 and "learned" not in path.message


# Sets that the flow does not leave


@pytest.mark.parametrize(("time", "corner"), [(370.0, 10.93), (1376.5, 17.36), (6818.0, 29.93), (1.55e5, 85.28)])
def test_a_balanced_start_of_positive_determinant_runs_to_infinity(time: float, corner: float) -> None:
    model = Factorization((2, 2))
    start = model.theta(0.01 * np.eye(2), 0.01 * np.eye(2))
    path = gradient_flow(Objective.of(CORNER, model), start, t_end=time)
    W = model.output(path.final)
    assert path.status is Status.HORIZON and W[0, 0] == pytest.approx(corner, rel=1e-3)
    assert W[0, 0] * W[1, 1] >= 1.0 - 2e-2 and np.array_equal(W, W.T)
    (end,) = gradient_flows(CORNER, start, t_end=time)
    assert model.output(end.theta)[0, 0] == pytest.approx(corner, rel=1e-3)


def test_the_balanced_start_has_no_end() -> None:
    model = Factorization((2, 2))
    path = gradient_flow(Objective.of(CORNER, model), model.theta(0.01 * np.eye(2), 0.01 * np.eye(2)))
    assert path.status is Status.DIVERGING


def turned(seed: int, scale: float) -> np.ndarray:
    """Return a start with A^T A = B B^T up to rounding and det A B > 0, without A = B^T."""
    rng = np.random.default_rng(seed)
    U, V, Q = (np.linalg.qr(rng.standard_normal((2, 2)))[0] for _ in range(3))
    V[:, 1] *= np.sign(np.linalg.det(U) * np.linalg.det(V))
    sizes = np.sqrt(scale * np.exp(0.5 * rng.standard_normal(2)))
    return Factorization((2, 2)).theta(U * sizes @ Q.T, Q * sizes @ V.T)


@pytest.mark.parametrize("scale", [1e-1, 1e-3, 1e-5])
@pytest.mark.parametrize("seed", range(3))
def test_a_balanced_start_whose_determinant_changes_its_sign_has_not_converged(seed: int, scale: float) -> None:
    begin = turned(seed, scale)
    path = gradient_flow(Objective.of(CORNER, Factorization((2, 2))), begin)
    (end,) = gradient_flows(CORNER, begin)
    assert path.status is end.status is Status.ROUNDOFF


def test_a_symmetric_start_stays_at_a_saddle_of_the_other_sector() -> None:
    problem, model = MatrixCompletion([[-2, 1], [1, GAP]]), Factorization((2, 2))
    A = np.array([[0.3, 0.1], [-0.2, 0.4]])
    path = gradient_flow(Objective.of(problem, model), model.theta(A, A.T))
    A, B = model.factors(path.final)
    assert np.array_equal(A, B.T) and np.linalg.eigvalsh(A @ B)[0] >= -1e-12
    assert path.status in (Status.ROUNDOFF, Status.DIVERGING) and path.conservation_drift == 0.0


# Infinity


def test_an_infimum_at_infinity_is_no_minimum() -> None:
    model = Factorization((2, 2), 1)
    path = gradient_flow(Objective.of(MatrixCompletion([[0, 1], [1, GAP]]), model), np.array([1, 2, 2, 1]) * 1e-3)
    assert path.status is Status.DIVERGING
    symmetric = SymmetricFactorization(3)
    problem = MatrixCompletion([[0, 1, GAP], [1, GAP, GAP], [GAP, GAP, -1]])
    path = gradient_flow(Objective.of(problem, symmetric), symmetric.random(np.random.default_rng(0), 1e-3))
    assert path.status is Status.DIVERGING and path.final_loss == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("scale", [100.0, 1000.0])
def test_a_large_start_converges_at_the_data(scale: float) -> None:
    path, W = flow(FIG3, 0, scale)
    assert path.status is Status.CONVERGED
    assert np.abs(np.where(FIG3.observed, W - FIG3.values, 0.0)).max() < 1e-6


# Graded columns


@pytest.mark.parametrize(("exponent", "corner"), [(-40, -1.792715), (-60, -1.795276)])
def test_graded_columns_are_right_where_their_errors_are_small(exponent: int, corner: float) -> None:
    model = Factorization((3, 3))
    path = graded_flow(SECTORS, model.random(np.random.default_rng(0)), log_scale=exponent * np.log(10.0))
    assert path.status is Status.CONVERGED and path.error is not None
    assert model.output(path.final)[0, 0] == pytest.approx(corner, abs=max(path.error, 1e-5))


@pytest.mark.parametrize("exponent", [-80, -100, -150])
def test_graded_columns_say_where_rounding_mixes_what_symmetry_keeps_apart(exponent: int) -> None:
    start = Factorization((3, 3)).random(np.random.default_rng(0))
    path = graded_flow(SECTORS, start, log_scale=exponent * np.log(10.0))
    assert path.status is Status.ROUNDOFF and path.error is not None and path.error > 0.1


@pytest.mark.parametrize("scale", [1e-6, 1e-8, 1e-15])
def test_blocks_joined_by_observed_zeros_are_no_burden(scale: float) -> None:
    problem = MatrixCompletion([[5, 2, 0, 0], [4, 3, 0, 0], [0, 0, GAP, 2], [0, 0, GAP, 3]])
    model = Factorization((4, 4))
    path = graded_flow(problem, model.random(np.random.default_rng(0), scale))
    assert path.status is Status.CONVERGED and path.n_gradients < 10_000
    # two digits of a referee in hundreds of bits: W_33 = 0.1107 alpha, W_43 = 0.1661 alpha
    assert model.output(path.final)[2:, 2] == pytest.approx([0.110744 * scale, 0.166116 * scale], rel=1e-3)


# Random problems against the referee


def drawn(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return a 3 x 3 matrix of the kind, NaN where it is not observed; every line holds an observation."""
    while True:
        M, P = rng.standard_normal((3, 3)), rng.random((3, 3)) < 0.75
        if kind == "symmetric":
            M, P = (np.tril(X) + np.tril(X, -1).T for X in (M, P))
        if kind == "circulant":
            turn = (np.arange(3)[None] - np.arange(3)[:, None]) % 3
            M, P = M[0][turn], P[0][turn]
        if kind == "integer":
            M = np.rint(3 * M)
        if kind == "ill-scaled":
            M = M * 10.0 ** rng.uniform(-3, 0, (3, 1))
        if P.any(axis=0).all() and P.any(axis=1).all() and np.any(M[P]):
            return np.where(P, M, GAP)


@pytest.mark.parametrize("kind", ["random", "symmetric", "circulant", "integer", "ill-scaled"])
def test_no_flow_converges_elsewhere_than_the_referee(kind: str) -> None:
    rng = np.random.default_rng(7)
    answered = 0
    for exponent in (-3, -8, -14):
        M, seed = drawn(kind, rng), int(rng.integers(1000))
        A, B = start(M.shape, seed)
        truth = Referee(M, ~np.isnan(M), A, B, exponent).end(1500)
        if truth.ending is not Ending.MET:
            continue
        problem, model = MatrixCompletion(M), Factorization((3, 3))
        theta = model.theta(A, B)
        paths = [
            gradient_flow(Objective.of(problem, model), 10.0**exponent * theta),
            graded_flow(problem, theta, log_scale=exponent * np.log(10.0)),
        ]
        for path in paths:
            assert path.error is not None
            apart = np.abs(model.output(path.final) - truth.W).max()
            assert path.status is Status.ROUNDOFF or apart <= 3.0 * path.error + 1e-6 * np.abs(truth.W).max()
            answered += path.status is Status.CONVERGED
    assert answered >= 4


def test_an_end_at_a_weak_saddle_does_not_claim_a_minimum() -> None:
    weak = Objective.autodiff(lambda x: x[0] ** 2 - 1e-12 * x[1] ** 2, 2)
    path = gradient_flow(weak, np.array([1.0, 1e-6]))
    assert path.status is Status.CONVERGED and path.message.endswith("no eigenvalue of the Hessian is below -1e-08 |H|")
    bowl = Objective.autodiff(lambda x: x[0] ** 2 + 1e-12 * x[1] ** 2, 2)
    assert gradient_flow(bowl, np.array([1.0, 1e-6])).message.endswith("no negative eigenvalue")
