"""Tests of the escape from degenerate saddles: blow-up times of deep products, of functions by hand, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

import gflow
from gflow.data import example
from gflow.escape import degenerate

SLANTED = gflow.MatrixCompletion([[1, 2], [3, np.nan]])
TIMES = {
    "fig3": (0.5134277058, 0.4403830416, 0.0879428398, 0.1876938073),
    "m3": (0.358195617, 0.199174055, 0.0706124344, 0.0693289481),
    "fig4": (0.1859372660, 0.201008715, 0.0624941254, 0.0830236247),
    "slanted": (0.471972324, 0.608802157, 0.1364604218, 0.4991848329),
}
"""Blow-up times at depth 3 for the seeds 0 and 1, then at depth 4."""


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("depth", [3, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_blow_up_times_of_deep_products(name: str, depth: int, seed: int) -> None:
    problem = SLANTED if name == "slanted" else example(name)
    model = gflow.Factorization(problem.shape, depth=depth)
    found = gflow.degenerate_escape(gflow.Objective.of(problem, model), model.random(seed))
    assert found.order == depth
    assert abs(found.time - TIMES[name][2 * (depth - 3) + seed]) < 1e-9
    assert found.error < 1e-8
    U, sizes, Vt = np.linalg.svd(problem.values)
    first, *_, last = model.factors(found.direction)
    assert abs(np.linalg.norm(U[:, 0] @ first) - depth**-0.5) < 1e-9
    assert abs(np.linalg.norm(last @ Vt[0]) - depth**-0.5) < 1e-9
    rate = 2.0 * problem.weight * sizes[0] * depth ** (1 - depth / 2)
    assert abs(found.rate - rate) < 1e-10 * rate


def test_a_cube_by_hand() -> None:
    """x' = 3 x^2 from x0 blows up at 1 / (3 x0)."""
    objective = gflow.Objective.autodiff(lambda x: -(x[0] ** 3) + x[0] ** 4, 1)
    found = gflow.degenerate_escape(objective, np.array([0.5]))
    assert found.order == 3
    assert abs(found.time - 2.0 / 3.0) < 1e-9
    assert found.plateau_time(1e-2) == found.time * 1e2
    with pytest.raises(ValueError, match="alpha must be positive"):
        found.plateau_time(0.0)


def test_times_scale_with_data_and_start() -> None:
    problem = example("fig3")
    model = gflow.Factorization(problem.shape, depth=3)
    start = model.random(0)
    one = gflow.degenerate_escape(gflow.Objective.of(problem, model), start).time
    larger = gflow.degenerate_escape(gflow.Objective.of(problem.rescaled(64.0), model), start).time
    longer = gflow.degenerate_escape(gflow.Objective.of(problem, model), 4.0 * start).time
    np.testing.assert_allclose([64.0 * larger, 4.0 * longer], one, rtol=1e-9)


def test_what_is_no_degenerate_escape_is_refused() -> None:
    problem = example("fig3")
    two, model = gflow.Factorization(problem.shape), gflow.Factorization(problem.shape, depth=3)
    with pytest.raises(ValueError, match="the Hessian does not vanish along start"):
        gflow.degenerate_escape(gflow.Objective.of(problem, two), two.random(0))
    objective = gflow.Objective.of(problem, model)
    with pytest.raises(ValueError, match="start must not be zero"):
        gflow.degenerate_escape(objective, np.zeros(model.dim))
    with pytest.raises(ValueError, match=r"start must be finite and of shape \(48,\)"):
        gflow.degenerate_escape(objective, np.zeros(3))
    with pytest.raises(gflow.NoBlowUp, match="comes to rest or back"):
        gflow.degenerate_escape(gflow.Objective.autodiff(lambda x: x[0] ** 4, 1), np.array([1.0]))


def test_the_second_route_sees_a_wrong_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    on_sphere = degenerate._on_sphere

    def doubled(*arguments: object) -> tuple[np.ndarray, float, float]:
        x, rate, time = on_sphere(*arguments)  # type: ignore[arg-type]
        return x, rate, 1.01 * time

    monkeypatch.setattr(degenerate, "_on_sphere", doubled)
    model = gflow.Factorization((4, 4), depth=3)
    found = gflow.degenerate_escape(gflow.Objective.of(example("fig3"), model), model.random(0))
    assert found.error > 1e-3


@pytest.mark.parametrize(("depth", "alpha"), [(3, 1e-8), (4, 1e-5)])
def test_a_flow_that_rounding_keeps_at_a_degenerate_saddle_is_no_convergence(depth: int, alpha: float) -> None:
    problem = example("fig3")
    model = gflow.Factorization(problem.shape, depth=depth)
    path = gflow.gradient_flow(gflow.Objective.of(problem, model), model.random(0, alpha))
    assert path.status == "roundoff"
    assert f"falls along flat directions like their length to the {depth}" in path.message


@pytest.mark.parametrize("depth", [3, 4])
def test_saddles_of_deep_products_are_degenerate_with_the_zero_modes_known(depth: int) -> None:
    """Figure 3: 48 or 64 parameters, of which rank k leaves all but 7 and 12 flat."""
    problem = example("fig3")
    model = gflow.Factorization(problem.shape, depth=depth)
    objective, found = gflow.Objective.of(problem, model), gflow.saddle_to_saddle(problem, depth=depth)
    for saddle, curved in zip(found.saddles[:3], (0, 7, 12), strict=True):
        factors = [np.zeros(layer) for layer in model.layers]
        if saddle.model is not None:
            for wide, narrow in zip(factors, saddle.model.factors(saddle.theta), strict=True):
                wide[: narrow.shape[0], : narrow.shape[1]] = narrow
        point = gflow.classify(objective, model.theta(*factors))
        assert point.kind == "degenerate-saddle"
        assert point.n_zero == model.dim - curved
        assert f"to the power {depth}" in point.reason
