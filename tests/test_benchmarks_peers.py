"""Tests of the peers of the benchmark: steps at the edge of stability, compilation shown apart, the command line."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest
from gflow_studies.benchmarks import CASES, Case, measure, peers

import gflow


def logistic() -> tuple[gflow.MatrixCompletion, gflow.Factorization, np.ndarray]:
    """Return one observed entry 2 from a balanced start: at its minimum the largest Hessian eigenvalue is 8."""
    return gflow.MatrixCompletion([[2.0]]), gflow.Factorization((1, 1)), np.array([1e-3, 1e-3])


def test_gradient_descent_takes_the_largest_step_that_is_stable_where_the_flow_is_sharpest() -> None:
    problem, model, start = logistic()
    objective = gflow.Objective.of(problem, model)
    path = gflow.gradient_flow(objective, start)
    step = peers.largest_step(objective, path)
    assert step == pytest.approx(0.95 * 2 / 8, rel=1e-6)

    def distance(length: float) -> float:
        theta = path.final * 1.001
        for _ in range(300):
            theta = theta - length * objective.gradient(theta)
        return float(np.abs(theta - path.final).max())

    assert distance(step) < 1e-6 < 1e-4 < distance(1.1 * step)


@pytest.mark.parametrize("package", ["numba", "sksundae", "heyoka", "diffrax"])
def test_every_compiled_peer_that_is_installed_reaches_the_same_end(package: str) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    problem, model, start = logistic()
    name = {"numba": "gflow, compiled", "sksundae": "CVODE, same Jacobian", "heyoka": "heyoka"}
    (side,) = (
        side
        for side in peers.peer_sides(problem, model, start, 1e-12)
        if side.name == name.get(package, "diffrax Kvaerno5")
    )
    peers.compile_seconds.clear()
    for _ in range(2):
        W, _count = side.run()
        np.testing.assert_allclose(W, [[2.0]], atol=2e-6)
    assert set(peers.compile_seconds) == {side.name} and side.trusted == (package == "numba")


def test_compilation_is_told_apart_from_the_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "compile_seconds", {"some solver": 1.25})
    text, numbers = peers.compile_times()
    assert "some solver" in text and "1.25 s" in text and json.dumps(numbers) == '{"some solver": 1.25}'


def test_a_peer_with_another_answer_is_told_by_its_error() -> None:
    (figure_3,) = (case for case in CASES if case.name == "P1")
    sides = tuple(side for side in figure_3.sides() if side.trusted or "RK45" in side.name)
    rows = measure(Case("P1", "", figure_3.reference, lambda: sides, figure_3.tolerance), repeats=1)
    errors = {row.side: row.error for row in rows}
    assert errors.pop("solve_ivp RK45, default tolerances") > 1e-5
    assert max(errors.values()) < 1e-6


def test_the_command_line_is_timed_by_commands_that_succeed() -> None:
    (case,) = (case for case in CASES if case.name == "P9")
    sides = {side.name: side for side in case.sides()}
    assert case.reference in sides and {"gflow --help", "gflow classify fig3", "python -c 'import gflow'"} <= set(sides)
    for name in ("python -c pass", "gflow --help"):
        assert sides[name].run()[0] == 1.0
    assert all(side.trusted for side in sides.values())  # a command that fails has no time
