"""Tests of the compiled orbits: step by step, and limit by limit, they are those of the interpreted method."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gflow_studies.benchmarks.limits import random_problems
from hypothesis import given, settings, strategies as st

import gflow
from gflow import fast
from gflow.data import example
from gflow.fast import jit, orbit
from gflow.flow import Trajectory, rosenbrock
from gflow.limit.orbit.curvature import Curvature
from gflow.limit.orbit.rosenbrock import COMPILED_METHOD, METHOD, rosenbrock_flow
from gflow.limit.orbit.sizes import COMPILED_DIM, is_compilable
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

ROOT = Path(__file__).resolve().parent.parent
GAP = np.nan
needs_numba = pytest.mark.skipif(not fast.installed(), reason="numba is not installed")


def random_problem(seed: int, shape: tuple[int, int], n: int, rank: int = 2) -> MatrixCompletion:
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    mask = np.zeros(M.size, dtype=bool)
    mask[rng.permutation(M.size)[:n]] = True
    return MatrixCompletion(M, mask.reshape(shape)).normalized


def orbit_of(problem: MatrixCompletion, rank: int, *, compiled: bool, steps: int, rtol: float = 1e-8) -> Trajectory:
    """Return the first steps of an orbit that leaves the origin."""
    model = Factorization(problem.shape, rank)
    objective = replace(Objective.of(problem, model), hessian=Curvature(problem, model).hessian)
    return rosenbrock_flow(
        objective,
        np.zeros(model.dim),
        model.random(np.random.default_rng(0), 1e-2),
        rtol=rtol,
        watch=lambda *_: False,
        norm_limit=1e3,
        max_steps=steps,
        compiled_for=(problem, model) if compiled else None,
    )


def farthest(one: Trajectory, other: Trajectory) -> float:
    """Return the largest relative difference of states that belong together."""
    sizes = np.linalg.norm(one.states, axis=1)
    return float(np.max(np.linalg.norm(one.states - other.states, axis=1) / sizes))


@pytest.mark.parametrize("z", [0.0, 1e-9, -0.05, 0.0999, -0.1001, 2.7, -40.0, -1e9])
def test_the_phi_functions_of_one_number_are_those_of_arrays(z: float) -> None:
    expected = [float(values[0]) for values in rosenbrock.phi_functions(np.array([z]))]
    assert orbit.phi_functions(z) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("shape", "rank"), [((4, 4), 2), ((3, 5), 3), ((5, 2), 1)])
def test_the_gradient_around_a_point_is_that_of_the_deviation_form(shape: tuple[int, int], rank: int) -> None:
    problem, model = random_problem(1, shape, shape[0] * shape[1] - 2), Factorization(shape, rank)
    rng = np.random.default_rng(2)
    for size in (1.0, 1e-9):
        center, delta = model.random(rng), model.random(rng, size)
        entries, around, _ = orbit.start(problem, rank, model.stacked(center).ravel(), model.stacked(delta).ravel())
        found = np.empty(model.dim)
        orbit.gradient(entries, around, around.delta, found)
        expected = Objective.of(problem, model).around(center).gradient(delta)
        np.testing.assert_allclose(
            model.unstacked(found.reshape(-1, rank)), expected, rtol=0.0, atol=1e-13 * np.linalg.norm(expected)
        )


@needs_numba
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 999), d1=st.integers(2, 6), d2=st.integers(2, 6), rank=st.integers(1, 4))
def test_compiled_steps_are_those_of_the_interpreted_method(seed: int, d1: int, d2: int, rank: int) -> None:
    problem = random_problem(seed, (d1, d2), max(1, d1 * d2 - 3))
    slow, quick = (orbit_of(problem, rank, compiled=compiled, steps=25) for compiled in (False, True))
    assert (slow.method, quick.method) == (METHOD, COMPILED_METHOD)
    assert (slow.status, slow.n_steps, slow.n_gradients) == (quick.status, quick.n_steps, quick.n_gradients)
    np.testing.assert_allclose(quick.times, slow.times, rtol=1e-10)
    assert farthest(slow, quick) < 1e-10


def wrong(name: str, change: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> float:
    """Return how far the interpreted kernels stray from the method when one of them is changed."""
    problem = random_problem(3, (3, 4), 10)
    for kernel in (
        "gradient",
        "slope",
        "curvature",
        "expand",
        "bend",
        "moved",
        "turned",
        "phi_functions",
        "attempt",
        "step",
    ):
        function = getattr(orbit, kernel)
        monkeypatch.setattr(orbit, kernel, getattr(function, "py_func", function))
    right = getattr(orbit, name)
    monkeypatch.setattr(orbit, name, lambda *given: change(right, *given))
    slow, quick = (orbit_of(problem, 2, compiled=compiled, steps=12) for compiled in (False, True))
    return farthest(slow, quick)


def test_the_kernels_do_the_same_without_a_compiler_and_a_wrong_gradient_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def same(gradient: Callable[..., None], *given: object) -> None:
        gradient(*given)

    def tilted(gradient: Callable[..., None], entries: object, at: object, D: np.ndarray, result: np.ndarray) -> None:
        gradient(entries, at, D, result)
        result[0] *= 1.0 + 1e-6

    with monkeypatch.context() as patch:
        assert wrong("gradient", same, patch) < 1e-10
    assert wrong("gradient", tilted, monkeypatch) > 1e-8


def limits(problem: MatrixCompletion, **options: object) -> tuple[gflow.Traversal, gflow.Traversal]:
    """Return the limit by interpreted and by compiled steps, having checked that they agree."""
    slow, quick = (gflow.saddle_to_saddle(problem, compiled=compiled, **options) for compiled in (False, True))  # type: ignore
    assert (slow.status, slow.rank, slow.warnings) == (quick.status, quick.rank, quick.warnings)
    assert [len(chain.saddles) for chain in slow.chains] == [len(chain.saddles) for chain in quick.chains]
    if slow.matrix is not None and quick.matrix is not None:
        assert np.abs(slow.matrix - quick.matrix).max() <= 1e-9 * np.abs(slow.matrix).max()
    return slow, quick


def methods(limit: gflow.Traversal) -> set[str]:
    return {path.method for chain in limit.chains for path in chain.orbits}


@needs_numba
@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 4)])
def test_the_limits_of_random_problems_are_the_same(shape: tuple[int, int]) -> None:
    for problem in random_problems(5, shape, seed=7):
        slow, quick = limits(problem.rescaled(30.0))
        assert all(name.startswith(METHOD) for name in methods(slow))
        assert all(name.startswith(COMPILED_METHOD) for name in methods(quick))


@needs_numba
@pytest.mark.parametrize("name", ["c1", "c4", "fig3", "fig4"])
def test_infinite_slow_and_disconnected_limits_are_the_same(name: str) -> None:
    problem = example(name)
    start = Factorization(problem.shape).random(np.random.default_rng(0)) if name == "fig4" else None
    slow, quick = limits(problem, start=start)
    expected = {"c1": "diverging"}.get(name, "converged")
    assert str(quick.status) == expected
    assert {method.removeprefix("compiled ") for method in methods(quick)} == methods(slow)


@needs_numba
@pytest.mark.parametrize("values", [[[0, 1], [2, GAP]], [[0, 1], [1, GAP]], [[2, 1, 0], [1, GAP, 1], [0, 0, 3]]])
def test_limits_with_observed_zeros_are_the_same(values: list[list[float]]) -> None:
    limits(MatrixCompletion(values))


class Weighted(MatrixCompletion):
    """The same data with another class: its loss may be another one."""


class Wider(Factorization):
    """Another model."""


def test_other_classes_other_units_and_many_variables_are_left_to_the_interpreted_method() -> None:
    problem, model = random_problem(0, (4, 4), 12), Factorization((4, 4), 2)
    assert is_compilable(problem, model)
    assert not is_compilable(Weighted(problem.with_gaps()), model)
    assert not is_compilable(problem, Wider((4, 4), 2))
    assert not is_compilable(problem.rescaled(16.0), model)
    assert is_compilable(problem, Factorization((4, 4), COMPILED_DIM // 8))
    assert not is_compilable(problem, Factorization((4, 4), COMPILED_DIM // 8 + 1))


@needs_numba
@needs_numba
@pytest.mark.parametrize("depth", [3, 4])
def test_compiled_limits_of_many_factors_are_the_interpreted_ones(depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = MatrixCompletion([[4, 1, GAP], [2, GAP, 3], [GAP, 5, 1]])
    slow, quick = (gflow.saddle_to_saddle(problem, depth=depth, compiled=compiled) for compiled in (False, True))
    assert quick.status == slow.status == "converged"
    np.testing.assert_allclose(quick.end, slow.end, rtol=0, atol=1e-9)
    monkeypatch.setattr("gflow.limit.orbit.rosenbrock.CompiledSteps", None)
    with pytest.raises(TypeError):  # so it was used
        gflow.saddle_to_saddle(problem, depth=depth, compiled=True)


def test_a_subclass_is_never_compiled() -> None:
    quick = gflow.saddle_to_saddle(Weighted([[1, 2], [3, GAP]]), compiled=True)
    assert methods(quick) == {METHOD}


@needs_numba
def test_greedy_chains_are_compiled_on_demand() -> None:
    slow, quick = (gflow.greedy_low_rank(example("fig4"), compiled=compiled) for compiled in (False, True))
    assert {path.method for path in quick.orbits} == {COMPILED_METHOD}
    np.testing.assert_allclose(quick.end.matrix, slow.end.matrix, rtol=1e-9, atol=1e-12)


def test_compiled_orbits_need_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"compiled=True needs the package numba: pip install 'gflow-toolkit\[fast\]'"):
        gflow.saddle_to_saddle(MatrixCompletion([[1, 2], [3, GAP]]), compiled=True)
    assert methods(gflow.saddle_to_saddle(MatrixCompletion([[1, 2], [3, GAP]]), compiled=None)) == {METHOD}


@needs_numba
def test_limits_may_compile_where_the_compiler_is_installed() -> None:
    assert methods(gflow.saddle_to_saddle(MatrixCompletion([[1, 2], [3, GAP]]), compiled=None)) == {COMPILED_METHOD}


def test_limits_that_do_not_ask_for_it_never_load_the_compiler() -> None:
    code = (
        "import sys, gflow\n"
        "for factor in (1, 2, 3):\n"
        "    gflow.saddle_to_saddle(gflow.MatrixCompletion([[factor, 2], [3, float('nan')]]))\n"
        "print('numba' in sys.modules, 'gflow.fast.orbit' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@needs_numba
@pytest.mark.parametrize("depth", [3, 4, 5])
def test_the_compiled_loss_of_many_factors_has_the_derivatives_of_the_model(depth: int) -> None:
    from gflow.limit.orbit.rosenbrock import CompiledSteps

    problem = MatrixCompletion([[4, 1, GAP, 2], [2, GAP, 3, -1], [GAP, 5, 1, GAP]]).normalized
    model, rng = Factorization((3, 4), 2, depth), np.random.default_rng(0)
    center, move = model.random(rng), model.random(rng, 1e-9)
    steps, objective = CompiledSteps(center, move, 1e-6, problem, model), Objective.of(problem, model)
    expected = objective.around(center).gradient(move)
    np.testing.assert_allclose(steps.memory.slope[steps.order], expected, rtol=1e-9, atol=1e-22)
    upper = np.triu(steps.memory.hessian)
    whole = (upper + np.triu(upper, 1).T)[np.ix_(steps.order, steps.order)]
    np.testing.assert_allclose(whole, objective.hessian(center + move), rtol=1e-12, atol=1e-12)
