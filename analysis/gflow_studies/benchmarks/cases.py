"""The cases: published matrices, random problems, slow tails, and what a user would run instead."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Any

import numpy as np

import gflow
from gflow.data import example
from gflow_studies.benchmarks.bare import bare_flow
from gflow_studies.benchmarks.depth import DEPTH_CASES
from gflow_studies.benchmarks.explorer import explorer
from gflow_studies.benchmarks.full_width import FULL_WIDTH_STUDIES
from gflow_studies.benchmarks.goal_list import GOAL_STUDIES
from gflow_studies.benchmarks.growth import growth_study
from gflow_studies.benchmarks.limits import DRIFT, LIMIT_CASES, LIMIT_STUDIES
from gflow_studies.benchmarks.peers import PEER_CASES, PEER_STUDIES, largest_step, peer_sides
from gflow_studies.benchmarks.references import REFERENCE_CASES, REFERENCE_STUDIES
from gflow_studies.benchmarks.scale import SCALE_CASES, descent_end
from gflow_studies.benchmarks.timing import Case, Side

RTOL = 1e-8


def _flow_sides(problem: gflow.MatrixCompletion, seed: int, scale: float, loss: float) -> tuple[Side, ...]:
    """Return the sides of one flow to a given loss: gflow, bare and naive solve_ivp, and gradient descent."""
    model = gflow.Factorization(problem.shape)
    objective = gflow.Objective.of(problem, model)
    start = model.random(np.random.default_rng(seed), scale)
    target = loss / objective.unit**2

    def ours() -> tuple[np.ndarray, int]:
        path = gflow.gradient_flow(objective, start, rtol=RTOL, loss_tol=target)
        if path.conservation_drift is None or path.conservation_drift > DRIFT:
            raise ValueError(f"the conserved quantity drifts by {path.conservation_drift}")
        return model.output(path.final), path.n_gradients

    bare = bare_flow(objective, model, start, loss, rtol=RTOL, atol=RTOL * scale)
    path = gflow.gradient_flow(objective, start, rtol=RTOL, loss_tol=target)
    t_end, largest = 2.0 * float(path.times[-1]) / objective.time_unit, largest_step(objective, path)
    naive = bare_flow(objective, model, start, loss)
    explicit = bare_flow(objective, model, start, loss, "RK45", t_end)  # which never reaches so small a loss
    return (
        Side("gflow", ours),
        Side("solve_ivp LSODA, same Jacobian", bare),
        Side("solve_ivp LSODA, default tolerances", naive, trusted=False),
        Side("solve_ivp RK45, default tolerances", explicit, trusted=False),
        Side("gradient descent, lr 0.1", _descent(objective, model, start, loss, 0.1), trusted=False),
        Side(f"gradient descent, lr {largest:.3g}", _descent(objective, model, start, loss, largest), trusted=False),
        *peer_sides(problem, model, start, loss),
    )


def _descent(
    objective: gflow.Objective, model: gflow.Factorization, start: np.ndarray, loss: float, step: float
) -> Callable[[], tuple[np.ndarray, int]]:
    """Return plain full-batch gradient descent to the same loss, at most 200000 steps."""

    def run() -> tuple[np.ndarray, int]:
        theta, count, _ = descent_end(objective, start, step, loss, 200_000)
        return model.output(theta), count

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
    *LIMIT_CASES,
    *PEER_CASES,
    *SCALE_CASES,
    *REFERENCE_CASES,
    *DEPTH_CASES,
)

STUDIES: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {
    **PEER_STUDIES,
    **LIMIT_STUDIES,
    **FULL_WIDTH_STUDIES,
    **REFERENCE_STUDIES,
    **GOAL_STUDIES,
    "growth": growth_study,
    "explorer": explorer,
}
"""What a table of times leaves out, by the case it belongs to or alone: text to print, and its numbers."""
