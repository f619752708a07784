"""The cases: published matrices, random problems, slow tails, and what a user would run instead."""

from __future__ import annotations

import timeit
from collections.abc import Callable

import numpy as np

import gflow
from analysis.benchmarks.timing import Case, Side
from analysis.data import example

RTOL = 1e-8


def _flow_sides(problem: gflow.MatrixCompletion, seed: int, scale: float, loss: float) -> tuple[Side, ...]:
    """Return the sides of one flow to a given loss: gflow, bare and naive solve_ivp, and gradient descent."""
    model = gflow.Factorization(problem.shape)
    objective = gflow.Objective.of(problem, model)
    start = model.random(np.random.default_rng(seed), scale)
    target = loss / objective.unit**2

    def ours() -> tuple[np.ndarray, int]:
        path = gflow.gradient_flow(objective, start, rtol=RTOL, loss_tol=target)
        return model.matrix(path.final), path.n_gradients

    bare = _solve_ivp(objective, model, start, loss, rtol=RTOL, atol=RTOL * scale)
    naive = _solve_ivp(objective, model, start, loss)
    return (
        Side("gflow", ours),
        Side("solve_ivp LSODA, same Jacobian", bare),
        Side("solve_ivp LSODA, default tolerances", naive, trusted=False),
        Side("gradient descent, lr 0.1", _descent(objective, model, start, loss, 0.1), trusted=False),
    )


def _solve_ivp(
    objective: gflow.Objective, model: gflow.Factorization, start: np.ndarray, loss: float, **tolerances: float
) -> Callable[[], tuple[np.ndarray, int]]:
    """Return bare solve_ivp on the same function, in the same unit, stopped by an event at the same loss."""
    from scipy.integrate import solve_ivp

    inner = objective.normalized or objective
    level = loss / objective.unit**2

    def reached(_: float, theta: np.ndarray) -> float:
        return inner.value(theta) - level

    reached.terminal = True  # type: ignore[attr-defined]

    def run() -> tuple[np.ndarray, int]:
        result = solve_ivp(
            lambda _, theta: -inner.gradient(theta),
            (0.0, 1e6),
            start / objective.theta_unit,
            method="LSODA",
            jac=lambda _, theta: -inner.hessian(theta),
            events=reached,
            **tolerances,
        )
        return objective.unit * model.matrix(result.y[:, -1]), result.nfev

    return run


def _descent(
    objective: gflow.Objective, model: gflow.Factorization, start: np.ndarray, loss: float, step: float
) -> Callable[[], tuple[np.ndarray, int]]:
    """Return plain full-batch gradient descent to the same loss, at most 200000 steps."""

    def run() -> tuple[np.ndarray, int]:
        theta = start.copy()
        for count in range(1, 200_001):
            theta -= step * objective.gradient(theta)
            if count % 50 == 0:
                value = objective.value(theta)
                if not np.isfinite(value) or value <= loss:
                    break
        return model.matrix(theta), count

    return run


def _arithmetic_floor(shape: tuple[int, int], rank: int) -> Callable[[int], float]:
    """Return the seconds that the matrix products of so many gradients need by themselves."""
    rng = np.random.default_rng(0)
    A, B, E = rng.standard_normal((shape[0], rank)), rng.standard_normal((rank, shape[1])), rng.standard_normal(shape)

    def products() -> None:
        A.dot(B)
        E.dot(B.T)
        A.T.dot(E)

    each = min(timeit.repeat(products, number=2000, repeat=5)) / 2000
    return lambda count: count * each


def random_problems(count: int, shape: tuple[int, int] = (4, 4), seed: int = 0) -> list[gflow.MatrixCompletion]:
    """Return random connected problems of rank 1 to 3 with every row and column observed."""
    rng = np.random.default_rng(seed)
    problems: list[gflow.MatrixCompletion] = []
    while len(problems) < count:
        rank = int(rng.integers(1, min(shape)))
        M = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
        observed = np.zeros(shape[0] * shape[1], dtype=bool)
        wanted = int(rng.integers(sum(shape) - 1, shape[0] * shape[1]))
        observed[rng.permutation(observed.size)[:wanted]] = True
        problem = gflow.MatrixCompletion(M, observed.reshape(shape))
        parts = gflow.connectivity(problem)
        if parts.kind == "connected" and not parts.unobserved_rows and not parts.unobserved_columns:
            problems.append(problem)
    return problems


def _limit_sides() -> tuple[Side, ...]:
    """Return the traversal and the flow from 1e-8 on 100 random problems; the answer is how many ended."""
    problems = random_problems(100)

    def limits() -> tuple[np.ndarray, int]:
        ended = [gflow.saddle_to_saddle(problem).status in ("converged", "diverging") for problem in problems]
        return np.array(float(sum(ended))), 0

    def flows() -> tuple[np.ndarray, int]:
        count = 0
        for problem in problems:
            model = gflow.Factorization(problem.shape)
            start = model.random(np.random.default_rng(0), 1e-8)
            count += gflow.gradient_flow(gflow.Objective.of(problem, model), start, rtol=RTOL).n_gradients
        return np.array(float(len(problems))), count

    return Side("gflow saddle_to_saddle, 100 problems", limits), Side("gflow flow from 1e-8, 100 problems", flows)


CASES = (
    Case(
        "P1",
        "Figure 3 from scale 1e-8 to loss 1e-16",
        "solve_ivp LSODA, same Jacobian",
        lambda: _flow_sides(example("fig3"), 0, 1e-8, 1e-16),
        1e-6,
        _arithmetic_floor((4, 4), 4),
    ),
    Case(
        "P2",
        "Figure 4 from scale 1e-8 to loss 1e-16",
        "solve_ivp LSODA, same Jacobian",
        lambda: _flow_sides(example("fig4"), 0, 1e-8, 1e-16),
        1e-6,
        _arithmetic_floor((3, 3), 3),
    ),
    Case(
        "P3",
        "100 random 4 x 4 problems: the limit, and the flow from 1e-8",
        "gflow flow from 1e-8, 100 problems",
        _limit_sides,
        0.05,
    ),
)
