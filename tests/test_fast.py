"""Tests of the compiled flow: its arithmetic, the orders of its steps, and that rounding errors never decide for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import gflow
from gflow.data import example
from gflow.ensemble.compiled import CompiledEnd, compiled_ends
from gflow.fast import jit
from gflow.fast.abreast import (
    PER_STEP,
    SHIFT,
    SQUARE,
    STEP,
    TAKEN,
    bank_of,
    curvature,
    definite,
    factorise,
    solved,
    velocity,
)
from gflow.fast.control import Limits
from gflow.fast.field import cholesky, entries_of, hessian, norm, solve
from gflow.fast.follow import side_by_side
from gflow.fast.lanes import LANES
from gflow.fast.run import board
from gflow.fast.spectrum import orthogonal
from gflow.fast.steps import GAMMA, STAGES, explicit, rosenbrock, taken
from gflow.flow.rest import left

ROOT = Path(__file__).resolve().parent.parent
USUAL = {"rtol": 1e-8, "t_end": None, "loss_tol": 1e-20, "gradient_tol": 1e-12, "norm_limit": 1e4}
USUAL |= {"max_evaluations": 200_000}


def end_of(
    problem: gflow.MatrixCompletion, start: np.ndarray, rank: int | None = None, **changes: object
) -> CompiledEnd | None:
    (end,) = compiled_ends(
        [problem],
        gflow.Factorization(problem.shape, rank),
        start[None],
        **(USUAL | changes),  # type: ignore[arg-type]
    )
    return end


def random_problem(rng: np.random.Generator, shape: tuple[int, int], rank: int, n: int) -> gflow.MatrixCompletion:
    M = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    observed = np.zeros(M.size, dtype=bool)
    observed[rng.permutation(M.size)[:n]] = True
    return gflow.MatrixCompletion(M, observed.reshape(shape))


class OneLane:
    """One flow in a lane, in the unit of its problem."""

    def __init__(self, problem: gflow.MatrixCompletion, rank: int, Z: np.ndarray, lane: int = 3) -> None:
        side = side_by_side([problem], Z.reshape(1, -1, rank), Limits(1e-8, 1.0, 1e-20, 1e-12, 1e4, 1.0, 1))
        (self.bank, self.lines), self.lane = bank_of(problem.shape, rank), lane
        for k in range(lane + 1):
            board(self.bank, self.lines, k, side.flows[0], side.data[0], side.records[0])

    def rows(self, first: int, count: int) -> np.ndarray:
        return self.lines[first : first + count, self.lane]

    def slope(self) -> np.ndarray:
        velocity(self.bank, self.lines, self.bank.Z, self.bank.velocity)
        return self.rows(self.bank.velocity, self.bank.size)

    def hessian(self) -> np.ndarray:
        curvature(self.bank, self.lines, self.bank.Z, 1.0)
        return self.rows(self.bank.hessian, self.bank.size**2).reshape(self.bank.size, -1)

    def step(self, h: float, implicit: int) -> np.ndarray:
        single = self.bank.single
        self.lines[single + STEP], self.lines[single + PER_STEP] = h, 1.0 / h
        self.slope()
        if implicit:
            self.hessian()
            self.lines[single + SHIFT] = 1.0 / (GAMMA * h)
            rosenbrock(self.bank, self.lines)
        else:
            explicit(self.bank, self.lines)
        return self.rows(self.bank.state, self.bank.size)


@pytest.mark.parametrize(("shape", "rank"), [((4, 4), 4), ((3, 5), 3), ((5, 2), 1), ((2, 3), 6)])
def test_slope_and_hessian_are_those_of_the_objective(shape: tuple[int, int], rank: int) -> None:
    rng = np.random.default_rng(1)
    problem = random_problem(rng, shape, 2, shape[0] * shape[1] - 3)
    problem = problem.rescaled(1.5 / problem.size)
    model = gflow.Factorization(shape, rank)
    objective, theta = gflow.Objective.of(problem, model), model.random(rng)
    lane, order = OneLane(problem, rank, model.stacked(theta).ravel()), model.stacked(np.arange(model.dim)).ravel()
    expected = objective.hessian(theta)[np.ix_(order.astype(int), order.astype(int))]
    np.testing.assert_allclose(lane.slope(), -objective.gradient(theta)[order.astype(int)], rtol=1e-13, atol=1e-14)
    square = float(np.sum(problem.residual(model.output(theta)) ** 2))
    assert lane.rows(lane.bank.single + SQUARE, 1)[0] == pytest.approx(square)
    np.testing.assert_allclose(np.triu(lane.hessian()), np.triu(expected), rtol=1e-13, atol=1e-14)
    H, entries = np.empty((model.dim, model.dim)), entries_of(problem, rank)
    hessian(entries, model.stacked(theta).ravel(), 1.0, H)
    np.testing.assert_allclose(np.triu(H), np.triu(expected), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("shape", "rank"), [((4, 4), 4), ((3, 5), 3), ((5, 2), 1), ((2, 3), 6)])
def test_factors_of_shifted_hessians_solve_and_refuse_in_each_lane(shape: tuple[int, int], rank: int) -> None:
    rng = np.random.default_rng(2)
    problem = random_problem(rng, shape, 2, shape[0] * shape[1] - 1)
    Z, dim = rng.standard_normal(sum(shape) * rank), sum(shape) * rank
    lane = OneLane(problem, rank, Z, LANES - 1)
    H = np.triu(lane.hessian())
    H = H + np.triu(H, 1).T
    lowest, x = float(np.linalg.eigvalsh(H)[0]), rng.standard_normal((dim, LANES))
    shifts = np.resize([0.5 - lowest, -lowest * (1 + 1e-6), -lowest * (1 - 1e-6), 9.0 - lowest], LANES)
    lane.lines[lane.bank.single + SHIFT] = shifts
    lane.lines[lane.bank.state : lane.bank.state + dim] = H @ x + shifts * x
    factorise(lane.bank, lane.lines)
    solved(lane.bank, lane.lines, lane.bank.state)
    assert [definite(lane.bank, lane.lines, k) for k in range(LANES)] == (shifts > -lowest).tolist()
    good, found = shifts >= 0.5 - lowest, lane.lines[lane.bank.state : lane.bank.state + dim]
    np.testing.assert_allclose(found[:, good], x[:, good], rtol=1e-9, atol=1e-11)


def test_the_factorisation_solves_positive_systems_and_refuses_others() -> None:
    rng = np.random.default_rng(2)
    X = rng.standard_normal((9, 9))
    S, U, x = X @ X.T, np.zeros((9, 9)), rng.standard_normal(9)
    b = (S + 0.5 * np.eye(9)) @ x
    assert cholesky(np.triu(S), 0.5, U)
    solve(U, b)
    np.testing.assert_allclose(b, x, rtol=1e-9)
    lowest = float(np.linalg.eigvalsh(S)[0])
    assert cholesky(np.triu(S), -lowest * (1 - 1e-6), U) and not cholesky(np.triu(S), -lowest * (1 + 1e-6), U)


def test_the_norm_survives_where_squares_underflow() -> None:
    assert norm(np.array([3e-200, 4e-200])) == pytest.approx(5e-200) and norm(np.zeros(2)) == 0.0


@pytest.mark.parametrize(
    ("implicit", "order", "counts"), [(0, 8, (1, 2, 4)), (1, 5, (4, 8, 16))], ids=["explicit", "rosenbrock"]
)
def test_a_step_has_the_order_of_its_method(implicit: int, order: int, counts: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    problem, model = random_problem(rng, (3, 3), 2, 8), gflow.Factorization((3, 3), 3)
    problem, Z = problem.rescaled(1.0 / problem.unit), rng.standard_normal(18)

    def after(h: float, count: int) -> np.ndarray:
        lane = OneLane(problem, 3, Z)
        for _ in range(count):
            lane.rows(lane.bank.Z, 18)[:] = lane.step(h, implicit)
        return lane.rows(lane.bank.Z, 18)

    span = 0.4
    objective, start = gflow.Objective.of(problem, model), model.unstacked(Z.reshape(-1, 3))
    end = gflow.gradient_flow(objective, start, rtol=1e-13, method="DOP853", t_end=span).final
    errors = [np.linalg.norm(after(span / count, count) - model.stacked(end).ravel()) for count in counts]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert orders[-1] == pytest.approx(order, abs=0.7), (errors, orders)


def test_the_new_slope_is_left_for_the_next_step() -> None:
    rng = np.random.default_rng(4)
    problem = random_problem(rng, (3, 3), 2, 7)
    for implicit in (0, 1):
        lane = OneLane(problem, 2, rng.standard_normal(12))
        state = lane.step(0.01, implicit).copy()
        slope, square = lane.rows(lane.bank.slopes + STAGES * 12, 12), lane.rows(lane.bank.single + SQUARE, 1)[0]
        again = OneLane(problem, 2, state)
        np.testing.assert_array_equal(again.slope(), slope)
        assert again.rows(again.bank.single + SQUARE, 1)[0] == square


@pytest.mark.parametrize("t", [0.5, 3.0, 9.0])
def test_a_single_entry_follows_the_logistic_curve(t: float) -> None:
    m, w0 = 3.0, 1e-6  # a = b: w = a^2 and w' = 4 (m - w) w
    end = end_of(gflow.MatrixCompletion([[m]]), np.sqrt([w0, w0]), t_end=t)
    assert end is not None
    w = m / (1 + (m / w0 - 1) * np.exp(-4 * m * t))
    assert np.prod(end.theta) == pytest.approx(w, rel=1e-8)
    assert (end.status, end.time) == ("horizon", t) or m - w < 1e-9


@pytest.mark.parametrize("seed", range(8))
def test_the_end_is_that_of_gradient_flow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, (4, 4), int(rng.integers(1, 4)), int(rng.integers(8, 16)))
    model = gflow.Factorization(problem.shape)
    start = model.random(rng, 1e-8)
    end = end_of(problem, start)
    path = gflow.gradient_flow(gflow.Objective.of(problem, model), start, rtol=1e-11)
    assert end is not None and end.status == path.status
    assert np.abs(model.output(end.theta) - model.output(path.final)).max() <= 1e-6 * problem.size
    assert end.conservation_drift < 1e-9 and end.loss == pytest.approx(problem.risk(model.output(end.theta)), rel=1e-3)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), power=st.integers(-5, 0))
def test_small_problems_of_any_shape_end_where_gradient_flow_ends(seed: int, power: int) -> None:
    rng = np.random.default_rng(seed)
    shape = int(rng.integers(1, 6)), int(rng.integers(1, 6))
    problem = random_problem(rng, shape, 1, int(rng.integers(1, shape[0] * shape[1] + 1)))
    model = gflow.Factorization(shape)
    start = model.random(rng, 10.0**power * np.sqrt(problem.size))
    end = end_of(problem, start, t_end=50.0 / problem.size)
    path = gflow.gradient_flow(gflow.Objective.of(problem, model), start, rtol=1e-11, t_end=50.0 / problem.size)
    assert end is not None
    assert np.abs(model.output(end.theta) - model.output(path.final)).max() <= 1e-6 * problem.size


def test_figure_3_reaches_its_published_limit() -> None:
    problem = example("fig3")
    end = end_of(problem, gflow.Factorization(problem.shape).random(np.random.default_rng(0), 1e-8))
    assert end is not None and end.status == "converged" and end.loss <= 1e-20 * problem.unit**2
    values = np.linalg.svd(gflow.Factorization(problem.shape).output(end.theta), compute_uv=False)
    np.testing.assert_allclose(values[:3], [15.7792471, 2.0950802, 0.9088445], rtol=1e-6)
    assert values[3] < 1e-6


def test_a_slow_valley_is_followed_to_its_end() -> None:
    problem = example("c4")
    model = gflow.Factorization(problem.shape)
    start = model.random(np.random.default_rng(0), 1e-4)
    end = end_of(problem, start)
    path = gflow.gradient_flow(gflow.Objective.of(problem, model), start, rtol=1e-10)
    assert end is not None and end.status == path.status == "converged" and end.time > 1e4 and end.n_steps < 2000
    assert np.abs(model.output(end.theta) - model.output(path.final)).max() < 1e-5 * problem.size


@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_where_rounding_errors_would_decide_an_escape_the_run_is_left_to_gradient_flow(angle: float) -> None:
    problem = example("fig3")
    model = gflow.Factorization(problem.shape)
    Z = np.zeros((8, 4))
    Z[:, 0] = 1e-3 * np.random.default_rng(0).standard_normal(8)  # in Omega_1: nothing but rounding leaves its saddle
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.eye(4)
    turn[:2, :2] = [[cosine, sine], [-sine, cosine]]
    start = model.unstacked(Z @ turn)
    assert end_of(problem, start) is None
    assert gflow.gradient_flow(gflow.Objective.of(problem, model), start).status == "roundoff"


@pytest.mark.parametrize(("amplitude", "sure"), [(1e-12, False), (1e-8, True)])
def test_an_escape_is_followed_only_if_its_amplitude_is_far_above_rounding_errors(amplitude: float, sure: bool) -> None:
    problem = example("fig3")
    model = gflow.Factorization(problem.shape)
    rng = np.random.default_rng(0)
    Z = np.hstack([1e-3 * rng.standard_normal((8, 1)), amplitude * rng.standard_normal((8, 3))])
    end = end_of(problem, model.unstacked(Z))
    assert (end is not None) == sure
    assert end is None or end.status == "converged"


def test_every_status_of_gradient_flow_is_told() -> None:
    problem = example("fig3")
    model = gflow.Factorization(problem.shape)
    start = model.random(np.random.default_rng(0), 1e-3)
    for changes in ({}, {"t_end": 0.7}, {"max_evaluations": 100}, {"norm_limit": 0.5}, {"gradient_tol": 1e-6}):
        end = end_of(problem, start, **changes)
        path = gflow.gradient_flow(gflow.Objective.of(problem, model), start, **changes)  # type: ignore[arg-type]
        assert end is not None and end.status == path.status, changes
    end = end_of(problem, start, t_end=0.7)
    assert end is not None and end.time == pytest.approx(0.7, rel=1e-14)


def test_multiplying_the_matrix_by_a_power_of_four_multiplies_the_result() -> None:
    problem = example("fig4")
    start = gflow.Factorization(problem.shape).random(np.random.default_rng(0), 1e-8)
    plain, large = end_of(problem, start), end_of(problem.rescaled(4.0**200), 2.0**200 * start)
    assert plain is not None and large is not None
    np.testing.assert_array_equal(large.theta, 2.0**200 * plain.theta)
    assert (large.time, large.n_steps) == (plain.time / 4.0**200, plain.n_steps)


@pytest.mark.parametrize("M", [[[0.0, 0.0]], [[1.0, np.nan], [np.nan, np.nan]]])
def test_data_that_leave_nothing_to_learn_are_no_error(M: object) -> None:
    problem = gflow.MatrixCompletion(M)
    for scale in (1e-8, 1.0):
        end = end_of(problem, gflow.Factorization(problem.shape).random(np.random.default_rng(1), scale))
        assert end is not None and end.status == "converged"


def test_a_start_at_the_origin_is_left_to_gradient_flow() -> None:
    assert end_of(example("fig3"), np.zeros(32)) is None


def test_compiled_code_is_kept_apart_for_every_version_of_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jit, "HERE", tmp_path / "fast")
    kernel, *engine = paths = [tmp_path / "fast" / "field.py", *(tmp_path / "flow" / f"{n}.py" for n in jit.CONSTANTS)]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text("x = 1")
    folders = set()
    for path, text in ((kernel, "x = 1"), (kernel, "x = 2"), (kernel, "x = 1"), *((path, "x = 2") for path in engine)):
        path.write_text(text)
        jit._folder.cache_clear()
        folders.add(jit._folder(""))
    jit._folder.cache_clear()
    assert len(folders) == 2 + len(engine) and all(folder.is_dir() for folder in folders)


def test_compiled_code_is_made_anew_where_a_constant_of_the_engine_changes() -> None:
    lines = "\n".join(path.read_text(encoding="utf-8") for path in sorted(jit.HERE.glob("*.py")))
    assert sorted(set(re.findall(r"from gflow\.flow\.(\w+) import", lines))) == sorted(jit.CONSTANTS)


def test_without_numba_the_same_functions_run_as_they_are_written() -> None:
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "import numpy as np, gflow\n"
        "from gflow.fast import installed\n"
        "from gflow.ensemble.compiled import compiled_ends\n"
        "assert not installed()\n"
        "problem = gflow.MatrixCompletion([[1.0, 2.0], [3.0, np.nan]])\n"
        "model = gflow.Factorization((2, 2))\n"
        "start = model.random(np.random.default_rng(0), 1e-4)\n"
        "use = dict(rtol=1e-8, t_end=None, loss_tol=1e-20, gradient_tol=1e-12, norm_limit=1e4)\n"
        "(end,) = compiled_ends([problem], model, start[None], max_evaluations=200_000, **use)\n"
        "print(end.status, *end.theta)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    status, *theta = done.stdout.split()
    start = gflow.Factorization((2, 2)).random(np.random.default_rng(0), 1e-4)
    end = end_of(gflow.MatrixCompletion([[1.0, 2.0], [3.0, np.nan]]), start)
    assert end is not None and status == end.status
    np.testing.assert_allclose(np.array(theta, dtype=float), end.theta, rtol=1e-9)


def test_a_tail_too_flat_for_compiled_code_is_left_to_scipy_and_ends() -> None:
    problem = example("fig4")
    start = 1e-3 * gflow.Factorization(problem.shape).random(np.random.default_rng(1))
    (end,) = gflow.gradient_flows(problem, start, rtol=1e-11)
    assert str(end.status) == "converged" and end.method == "LSODA"


def test_small_singular_values_are_right_to_their_last_digits() -> None:
    rng = np.random.default_rng(6)
    U, V = (np.linalg.qr(rng.standard_normal((k, 4)))[0] for k in (8, 4))
    exact = np.array([2.0, 1.0, 1e-9, 1e-20])
    Z = U * exact
    sizes = np.empty(4)
    orthogonal(np.hstack([Z.T, np.eye(4)]), 8, sizes)
    np.testing.assert_allclose(sizes, exact, rtol=1e-13)
    frame = np.hstack([(Z[:, [3, 1, 0, 2]] @ V.T).T, np.eye(4)])
    orthogonal(frame, 8, sizes)
    turned, axes = frame[:, :8], frame[:, 8:]
    np.testing.assert_allclose(sizes[:2], exact[:2], rtol=1e-13)
    np.testing.assert_allclose(axes @ axes.T, np.eye(4), atol=1e-14)
    np.testing.assert_allclose(turned.T @ axes, Z[:, [3, 1, 0, 2]] @ V.T, atol=1e-14)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_left_at_the_end_is_what_the_engine_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, (4, 4), int(rng.integers(1, 4)), int(rng.integers(9, 16)))
    model = gflow.Factorization(problem.shape)
    end = end_of(problem, model.random(rng, 1e-8), loss_tol=float(10.0 ** rng.integers(-14, -8)))
    assert end is not None and end.status == "converged"
    last = end_of(problem, end.theta, loss_tol=1e-26, rtol=1e-11)
    assert last is not None
    moves = np.abs(model.output(last.theta) - model.output(end.theta)).max()
    way, unlearned = left(gflow.Objective.of(problem, model), end.theta)
    assert unlearned == 0.0 and way == pytest.approx(moves, rel=1e-2)  # its Newton steps stop where growth is unseen
    assert end.unlearned == 0.0 and end.rest == pytest.approx(moves, rel=1e-2 if moves > 1e-4 * problem.size else 1e-3)


def summary(end: CompiledEnd | None) -> object:
    return end if end is None else (end.theta.tobytes(), *end[1:])


def several(rng: np.random.Generator, count: int) -> list[tuple[gflow.MatrixCompletion, np.ndarray]]:
    """Return problems of one shape that take few steps and many, explicit and stiff, each with a start."""
    model, found = gflow.Factorization((4, 4)), []
    for k in range(count):
        problem = random_problem(rng, (4, 4), int(rng.integers(1, 4)), int(rng.integers(4, 16)))
        found.append((problem, model.random(rng, 10.0 ** -(k % 7) * np.sqrt(problem.size))))
    return found


def test_a_flow_is_the_same_alone_and_among_others_in_any_order_and_lane() -> None:
    rng = np.random.default_rng(7)
    flows, model = several(rng, 3 * LANES + 1), gflow.Factorization((4, 4))
    lost = flows[0][0], model.unstacked(np.outer(np.ones(8), [1e-3, 0.0, 0.0, 0.0]))  # rounding would decide
    flows.insert(5, lost)
    alone = [summary(end_of(*flow, loss_tol=1e-14)) for flow in flows]
    assert alone[5] is None and sum(one is not None for one in alone) >= 3 * LANES - 2
    for _ in range(2):
        order = rng.permutation(len(flows))
        problems, starts = zip(*(flows[k] for k in order), strict=True)
        ends = compiled_ends(problems, model, np.array(starts), **(USUAL | {"loss_tol": 1e-14}))  # type: ignore[arg-type]
        for place, k in enumerate(order):
            assert summary(ends[place]) == alone[k], k


def test_lanes_are_refilled_until_every_flow_has_ended() -> None:
    """Flows of few steps do not wait for one of many, and each has its own horizon."""
    rng = np.random.default_rng(8)
    flows, model = several(rng, 2 * LANES + 3), gflow.Factorization((4, 4))
    problems, starts = [flow[0] for flow in flows], np.array([flow[1] for flow in flows])
    ends = compiled_ends(problems, model, starts, **(USUAL | {"t_end": 2.0}))  # type: ignore[arg-type]
    assert len(ends) == len(flows)
    for (problem, start), end in zip(flows, ends, strict=True):
        assert end is not None and (str(end.status) != "horizon" or end.time == pytest.approx(2.0, rel=1e-14))
        path = gflow.gradient_flow(gflow.Objective.of(problem, model), start, rtol=1e-11, t_end=2.0)
        assert np.abs(model.output(end.theta) - model.output(path.final)).max() <= 1e-6 * problem.size
    steps = [end.n_steps for end in ends if end]
    assert max(steps) > 4 * min(steps)  # or nothing has been refilled early


def test_what_is_no_number_in_one_lane_stays_there() -> None:
    rng = np.random.default_rng(9)
    problem, Z = random_problem(rng, (4, 4), 2, 12), rng.standard_normal(32)
    for implicit in (0, 1):
        clean, spoilt = OneLane(problem, 4, Z), OneLane(problem, 4, Z)
        spoilt.lines[spoilt.bank.Z : spoilt.bank.velocity, [0, 2]] = np.nan, np.inf
        np.testing.assert_array_equal(spoilt.step(0.01, implicit), clean.step(0.01, implicit))
        assert not np.isfinite(spoilt.lines[spoilt.bank.state, [0, 2]]).any()


def test_a_step_that_is_not_taken_leaves_its_lane_as_it_was() -> None:
    rng = np.random.default_rng(10)
    lane = OneLane(random_problem(rng, (3, 3), 2, 7), 2, rng.standard_normal(12), LANES - 1)
    bank, lines = lane.bank, lane.lines
    lane.step(0.01, 0)
    parts = [slice(first, first + bank.size) for first in (bank.Z, bank.velocity, bank.squares)]
    before, new = [lines[part].copy() for part in parts], lines[bank.state : bank.state + bank.size].copy()
    slopes = lines[bank.slopes + STAGES * bank.size : bank.slopes + (STAGES + 1) * bank.size].copy()
    lines[bank.single + TAKEN] = np.arange(LANES) % 2
    taken(bank, lines)
    for part, old, expected in zip(parts, before, (new, slopes, before[2] + new**2), strict=True):
        np.testing.assert_array_equal(lines[part][:, ::2], old[:, ::2])
        np.testing.assert_allclose(lines[part][:, 1::2], expected[:, 1::2], rtol=1e-15)
