"""Tests of the escape from degenerate saddles: blow-up times of deep products, of functions by hand, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gflow
from gflow.data import example
from gflow.escape import channels, degenerate, homogeneous
from gflow.escape.far import FarStarts, far_alphas
from gflow.escape.growth import grown_to

SLANTED = gflow.MatrixCompletion([[1, 2], [3, np.nan]])
TIMES = {
    "fig3": (0.5134277058, 0.4403830416, 0.0879428398, 0.1876938073),
    "m3": (0.358195617, 0.199174055, 0.0706124344, 0.0693289481),
    "fig4": (0.1859372660, 0.201008715, 0.0624941254, 0.0830236247),
    "slanted": (0.471972324, 0.608802157, 0.1364604218, 0.4991848329),
}
"""Blow-up times at depth 3 for the seeds 0 and 1, then at depth 4."""


@pytest.mark.slow
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


def test_a_flow_that_comes_to_rest_on_the_sphere_is_not_followed_for_ever() -> None:
    x = np.linspace(-2.0, 2.0, 6)  # the origin fits these targets: nothing leaves, towards neurons that cancel
    net = gflow.TanhNetwork(x, 2, bias=True)
    with pytest.raises(gflow.NoBlowUp, match="comes to rest or back"):
        gflow.degenerate_escape(gflow.Objective.of(gflow.Regression(x, 0 * x), net), net.random(0), timeout=30.0)


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


@pytest.mark.parametrize(("name", "depth", "alpha"), [("fig3", 3, 1e-8), ("m3", 4, 1e-5)])
def test_a_flow_that_rounding_keeps_at_a_degenerate_saddle_is_no_convergence(
    name: str, depth: int, alpha: float
) -> None:
    problem = example(name)
    model = gflow.Factorization(problem.shape, depth=depth)
    path = gflow.gradient_flow(gflow.Objective.of(problem, model), model.random(0, alpha))
    assert path.status == "roundoff"
    assert f"falls along flat directions like their length to the {depth}" in path.message


@pytest.mark.parametrize("depth", [3, 4])
def test_saddles_of_deep_products_are_degenerate_with_the_zero_modes_known(depth: int) -> None:
    """Figure 3: 48 or 64 parameters, of which rank k leaves all but 7 and 12 flat."""
    problem = example("fig3")
    model = gflow.Factorization(problem.shape, depth=depth)
    objective, found = gflow.Objective.of(problem, model), gflow.saddle_to_saddle(problem, depth=depth, compiled=None)
    for saddle, curved in zip(found.saddles[:3], (0, 7, 12), strict=True):
        factors = [np.zeros(layer) for layer in model.layers]
        if saddle.model is not None:
            for wide, narrow in zip(factors, saddle.model.factors(saddle.theta), strict=True):
                wide[: narrow.shape[0], : narrow.shape[1]] = narrow
        point = gflow.classify(objective, model.theta(*factors))
        assert point.kind == "degenerate-saddle"
        assert point.n_zero == model.dim - curved
        assert f"to the power {depth}" in point.reason


def deep(name: str, depth: int) -> tuple[gflow.MatrixCompletion, gflow.Factorization, gflow.Objective]:
    problem = example(name)
    model = gflow.Factorization(problem.shape, depth=depth)
    return problem, model, gflow.Objective.of(problem, model)


def half_time(path: gflow.Trajectory, low: float) -> float:
    """Return when the loss has come half way from its first value to ``low``, by interpolation."""
    level = (path.losses[0] + low) / 2
    i = int(np.argmax(path.losses < level))
    part = (path.losses[i - 1] - level) / (path.losses[i - 1] - path.losses[i])
    return float(path.times[i - 1] + part * (path.times[i] - path.times[i - 1]))


@pytest.mark.parametrize(("depth", "offset"), [(3, -0.235733), (4, -0.072776)])
def test_the_escape_limit_of_the_origin_is_a_balanced_orbit_by_two_routes(depth: int, offset: float) -> None:
    problem, model, objective = deep("fig3", depth)
    parts = {"problem": problem, "model": model, "agreement_tol": 1e-3 if depth == 3 else 5e-3}
    found = gflow.escape_limit(objective, np.zeros(model.dim), model.random(0), **parts)
    assert found.verdict == "limit-exists"
    assert found.escape is not None and found.path is not None and found.agreement is not None
    assert found.escape.order == depth and found.agreement < 2e-3
    assert abs(half_time(found.path, 0.0) - offset) < 2e-3
    assert found.predicted_order is not None and abs(found.predicted_order - 0.84247) < 1e-5
    first, *_, last = model.factors(found.path.final)
    np.testing.assert_allclose(np.linalg.norm(first), np.linalg.norm(last), rtol=1e-6)
    assert "s* alpha^-" in found.reason and found.to_dict()["escape"]["order"] == depth


def test_the_escape_limit_of_a_saddle_of_rank_one_is_seen_by_both_routes() -> None:
    problem, model, objective = deep("fig3", 3)
    chain = gflow.saddle_to_saddle(problem, depth=3, compiled=None)
    assert isinstance(chain, gflow.DeepTraversal) and chain.saddles[1].model is not None
    saddle, narrow = [np.zeros(layer) for layer in model.layers], chain.saddles[1]
    for wide, factor in zip(saddle, narrow.model.factors(narrow.theta), strict=True):
        wide[: factor.shape[0], : factor.shape[1]] = factor
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((4, 4)))[0]
    theta = model.theta(saddle[0] @ turn, turn.T @ saddle[1] @ turn, turn.T @ saddle[2])
    found = gflow.escape_limit(objective, theta, model.random(1), problem=problem, model=model, agreement_tol=1e-2)
    assert found.verdict == "limit-exists" and found.path is not None and found.fitted_order is not None
    assert abs(found.path.losses[-1] - chain.saddles[2].loss) < 1e-6
    assert abs(found.fitted_order - 0.570) < 0.1


def polynomial(terms: dict[int, float]) -> gflow.Objective:
    """Return the sum of c x^n as a function of one variable."""
    return gflow.Objective(
        dim=1,
        value=lambda x: sum(c * float(x[0]) ** n for n, c in terms.items()),
        gradient=lambda x: np.array([sum(c * n * x[0] ** (n - 1) for n, c in terms.items())]),
        hvp=lambda x, v: np.array([sum(c * n * (n - 1) * x[0] ** (n - 2) for n, c in terms.items()) * v[0]]),
        hessian=lambda x: np.array([[sum(c * n * (n - 1) * x[0] ** (n - 2) for n, c in terms.items())]]),
    )


def test_one_variable_has_the_limit_of_its_formula_and_a_logarithm_has_none() -> None:
    """-x^3 / 3 + x^6 / 6: dt = dx / (x^2 - x^5), so x is 1/2 at -2 + int_0^(1/2) x / (1 - x^3) dx."""
    objective, alphas = polynomial({3: -1 / 3, 6: 1 / 6}), [1e-1, 1e-2]
    found = gflow.escape_limit(objective, np.zeros(1), np.ones(1), alphas=alphas, n_times=3)
    assert found.verdict == "limit-exists" and found.path is not None
    expected = -2.0 + sum(0.5 ** (3 * k + 2) / (3 * k + 2) for k in range(30))
    at = float(np.interp(0.5, found.path.states[:, 0], found.path.times))
    assert abs(at - expected) < 1e-2
    quartic = polynomial({3: -1.0, 4: 1.0})
    assert gflow.escape_limit(quartic, np.zeros(1), np.ones(1), alphas=alphas, n_times=3).verdict == "undecided"


def test_a_late_clock_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    _, model, objective = deep("fig3", 3)
    monkeypatch.setattr(degenerate.DegenerateEscape, "plateau_time", lambda self, alpha: 1.02 * self.time / alpha)
    found = gflow.escape_limit(objective, np.zeros(model.dim), model.random(0))
    assert found.verdict == "undecided"


def low_order() -> tuple[gflow.MatrixCompletion, gflow.Factorization, gflow.Objective]:
    """Return X2 at depth 3: 1 - sigma_2 / sigma_1 = .218 at the origin, 10 decades of alpha for two of the error."""
    problem = gflow.MatrixCompletion([[4, 1, np.nan], [2, np.nan, 3], [np.nan, 5, 1]])
    model = gflow.Factorization((3, 3), depth=3)
    return problem, model, gflow.Objective.of(problem, model)


@pytest.mark.slow
def test_an_escape_of_low_order_is_seen_from_starts_far_smaller_than_any_flow() -> None:
    problem, model, objective = low_order()
    start = model.random(0)
    found = gflow.escape_limit(objective, np.zeros(model.dim), start, problem=problem, model=model, n_times=4)
    assert found.verdict == "limit-exists" and found.alphas is not None and found.alphas[-1] < 1e-20
    assert found.agreement is not None and found.agreement < 1e-6 and found.errors is not None
    slope = np.log(found.errors[0] / found.errors[1]) / np.log(found.alphas[0] / found.alphas[1])
    assert found.predicted_order is not None and abs(slope - found.predicted_order) < 2e-3
    assert found.direct_error is not None and found.errors[-1] < 10.0 * found.direct_error
    given = gflow.escape_limit(
        objective, np.zeros(model.dim), start, problem=problem, model=model, alphas=[1e-2, 3e-3], n_times=4
    )
    assert given.verdict == "undecided"


def test_far_starts_turn_as_the_flow_of_the_homogeneous_part_does() -> None:
    problem, model, objective = low_order()
    far = channels.channel_starts(objective, problem, model, np.zeros(model.dim))
    start = model.random(1)
    length = float(np.linalg.norm(start))
    _, states = grown_to(far.slope, 3, start / length, 1.0, 1e4)
    delta, _ = far.near(start / length * 1e-7, 1e-3)
    np.testing.assert_allclose(delta, 1e-3 * states[-1] / np.linalg.norm(states[-1]), atol=1e-11)
    whole = gflow.degenerate_escape(objective, start)
    later, _ = grown_to(far.slope, 3, start / objective.theta_unit, 1.0, 1e3)
    assert np.allclose(far.near(start, 1e-3, -700.0)[0], 1e-3 * whole.direction, atol=1e-12)
    assert far_alphas(0.001)[-1] >= 1e-300 and np.allclose(far_alphas(0.5) ** 0.5, [1e-2, 10.0**-3.5, 1e-5])
    near = far.near(start, 1e3 * objective.theta_unit)[1]
    assert abs(later[-1] * objective.time_unit + near - whole.time) < 1e-8 * whole.time


def test_a_late_clock_of_far_starts_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, model, objective = low_order()
    near = FarStarts.near

    def late(self: FarStarts, *place: Any) -> tuple[np.ndarray, float]:
        delta, time = near(self, *place)
        return delta, 1.01 * time

    monkeypatch.setattr(FarStarts, "near", late)
    found = gflow.escape_limit(objective, np.zeros(model.dim), model.random(1), problem=problem, model=model, n_times=3)
    assert found.verdict == "undecided"


def test_the_direct_route_is_extrapolated_with_its_two_lowest_orders() -> None:
    """X2 at the origin: 1 - sigma_r / sigma_1 are .218 and .703, but twice the first comes before the second."""
    problem = gflow.MatrixCompletion([[4, 1, np.nan], [2, np.nan, 3], [np.nan, 5, 1]])
    model = gflow.Factorization((3, 3), depth=3)
    orders = homogeneous._orders(problem, model, np.zeros(model.dim))
    gaps = 1.0 - np.linalg.svd(np.where(problem.observed, problem.values, 0.0), compute_uv=False)[1:] / 5.5
    assert abs(orders[0] - 0.21827) < 1e-5 and abs(orders[1] - 2.0 * orders[0]) < 1e-12 < gaps[1] - orders[1]
    alphas, end, parts = np.array([1e-2, 3e-3, 1e-3]), np.ones((2, 3)), np.arange(12.0).reshape(2, 2, 3)
    runs = [end + parts[0] * alpha ** orders[0] + parts[1] * alpha ** orders[1] for alpha in alphas]
    whole, away = homogeneous._extrapolated(runs, alphas, orders)
    np.testing.assert_allclose(whole, end, atol=1e-12)
    assert away > 0.1
    with pytest.raises(AssertionError):  # one order alone leaves the second
        np.testing.assert_allclose(homogeneous._extrapolated(runs[1:], alphas[1:], orders)[0], end, atol=1e-3)
