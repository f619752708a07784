"""The cases of three factors: a flow beside bare Radau on the same Jacobian, and limits small and large."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import gflow
from gflow.data import example
from gflow_studies.benchmarks.bare import bare_flow
from gflow_studies.benchmarks.timing import Case, Side

ALPHA, RTOL = 1e-4, 1e-8
LOSS = 1e-16


def flow_sides() -> tuple[Side, ...]:
    """Return the sides of the flow of Figure 3 at depth three from 1e-4: gflow, and bare Radau at its best settings."""
    problem = example("fig3")
    model = gflow.Factorization(problem.shape, depth=3)
    objective = gflow.Objective.of(problem, model)
    start, target = model.random(0, ALPHA), LOSS / objective.unit**2

    def ours() -> tuple[np.ndarray, int]:
        path = gflow.gradient_flow(objective, start, rtol=RTOL, loss_tol=target)
        return model.output(path.final), path.n_gradients

    bare = bare_flow(objective, model, start, LOSS, "Radau", 1e9, rtol=RTOL, atol=RTOL * ALPHA)
    return Side("gflow", ours), Side("solve_ivp Radau, same Jacobian", bare)


def limit_sides(shape: tuple[int, int], rank: int, observed: float, seed: int) -> tuple[Side, ...]:
    """Return the limits of three and of two factors of a random low-rank matrix whose completion is unique."""
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    problem = gflow.MatrixCompletion(M, rng.random(shape) < observed)

    def of(depth: int) -> Callable[[], tuple[np.ndarray, int]]:
        def run() -> tuple[np.ndarray, int]:
            found = gflow.saddle_to_saddle(problem, depth=depth)
            assert found.matrix is not None
            return found.matrix, 0

        return run

    return Side("three factors", of(3)), Side("two factors", of(2))


DEPTH_CASES = (
    Case(
        "D1",
        "Figure 3 at depth 3 from scale 1e-4 to loss 1e-16",
        "solve_ivp Radau, same Jacobian",
        flow_sides,
        1e-6,
    ),
    Case("D2", "Limit of a 4 x 4 matrix of rank 1", "two factors", lambda: limit_sides((4, 4), 1, 0.75, 1), 1e-6),
    Case(
        "D3",
        "Limit of a 100 x 100 matrix of rank 3, half observed",
        "two factors",
        lambda: limit_sides((100, 100), 3, 0.5, 0),
        1e-6,
    ),
)
