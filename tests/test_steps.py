"""Discrete steps: recurrences on paper, reference numbers, what optimizers keep, endings, noise, and planted bugs."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import test_cli

import gflow
from gflow.data import example
from gflow.descent import gradient_descent, optimizers
from gflow.descent.optimizers import OPTIMIZERS
from gflow.statements import registry, steps
from gflow.statements.claims import Claim, Verdict
from gflow.statements.evidence import Evidence

run, folder = test_cli.run, test_cli.folder
NAN = np.nan
SL = gflow.MatrixCompletion([[1.0, 2.0], [3.0, NAN]])
FIG3 = example("fig3")
Rule = gflow.Optimizer


def loss_of(problem: gflow.MatrixCompletion, depth: int = 2) -> tuple[gflow.Factorization, gflow.Objective]:
    model = gflow.Factorization(problem.shape, depth=depth)
    return model, gflow.Objective.of(problem, model)


def bowl(curvatures: Any) -> gflow.Objective:
    """Return sum_i h_i theta_i^2 / 2."""
    h = np.asarray(curvatures, dtype=float)
    return gflow.Objective(
        dim=len(h),
        value=lambda theta: 0.5 * float(h @ theta**2),
        gradient=lambda theta: h * theta,
        hvp=lambda theta, v: h * v,
        hessian=lambda theta: np.diag(h),
        lower_bound=0.0 if h.min() >= 0 else None,
    )


# The rules


def on_paper(name: str, theta: np.ndarray, h: np.ndarray, n: int) -> np.ndarray:
    """Return the n-th iterate as the papers write it, step 0.1, with lists of all gradients and iterates."""
    xs, gs, look = [theta], [], theta
    for t in range(1, n + 1):
        x = xs[-1]
        g = h * (look if name == "nesterov" else x)
        gs.append(g)
        if name == "gradient":
            new = x - 0.1 * g
        elif name == "heavy-ball":
            new = x - 0.1 * g + (0.9 * (x - xs[-2]) if t > 1 else 0.0)
        elif name == "nesterov":
            new = look - 0.1 * g
            look = new + 0.9 * (new - x)
        elif name == "weight-decay":
            new = x - 0.1 * (g + 0.3 * x)
        elif name == "normalized":
            new = x - 0.1 * g / np.linalg.norm(g)
        elif name == "sign":
            new = x - 0.1 * np.where(g > 0, 1.0, np.where(g < 0, -1.0, 0.0))
        elif name == "adagrad":
            new = x - 0.1 * g / (np.sqrt(sum(old**2 for old in gs)) + 1e-10)
        else:
            mean = sum(0.1 * 0.9 ** (t - 1 - i) * gs[i] for i in range(t)) / (1 - 0.9**t)
            square = sum(0.001 * 0.999 ** (t - 1 - i) * gs[i] ** 2 for i in range(t)) / (1 - 0.999**t)
            new = x - 0.1 * mean / (np.sqrt(square) + 1e-8)
        xs.append(new)
    return look if name == "nesterov" else xs[-1]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_follows_its_recurrence_on_paper(name: str) -> None:
    h, start = np.array([1.0, 0.2, 3.0]), np.array([1.0, -2.0, 0.5])
    more = {"decay": 0.3} if name == "weight-decay" else {}
    path = gflow.descent(bowl(h), start, name, step=0.1, max_steps=25, **more)
    assert path.times.tolist() == list(range(26)) and path.n_steps == 25
    assert path.method.startswith(OPTIMIZERS[name].__name__)
    for n in (1, 2, 25):
        assert np.allclose(path.states[n], on_paper(name, start, h, n), rtol=1e-13, atol=1e-14)


def test_a_user_s_own_rule_is_an_optimizer() -> None:
    h, start = np.array([1.0, 0.2]), np.array([1.0, -2.0])
    plain = gflow.descent(bowl(h), start, lambda state, gradient: (state[0] - 0.5 * gradient,), max_steps=20)
    named = gflow.descent(bowl(h), start, gflow.GradientStep(0.5), max_steps=20)
    assert np.array_equal(plain.states, named.states) and plain.status == named.status == "budget"


def test_the_public_name_is_the_function_and_the_package_can_be_imported_from() -> None:
    code = (
        "import gflow.descent.quartic, gflow; from gflow.descent import gradient_descent, descent; "
        "assert gflow.descent is descent and gflow.gradient_descent is gradient_descent"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Reference numbers


@pytest.mark.parametrize(
    ("depth", "scale", "drifts"),
    [(2, 1e-2, (2.4644e-4, 1.2418e-4)), (3, 0.1, (4.44886e-3, 2.18910e-3))],
)
def test_the_drift_of_what_the_flow_conserves_is_of_first_order_in_the_step(
    depth: int, scale: float, drifts: tuple[float, ...]
) -> None:
    model, objective = loss_of(FIG3, depth)
    start = model.random(np.random.default_rng(0), scale)
    for step, drift in zip((0.02, 0.01), drifts, strict=True):
        end = gflow.descent(objective, start, step=step, max_steps=round(150 / step)).final
        assert np.abs(model.conserved(end) - model.conserved(start)).max() == pytest.approx(drift, rel=2e-4)


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_one_step_moves_the_conserved_quantity_by_its_square_alone(depth: int, decay: float) -> None:
    model, objective = loss_of(FIG3, depth)
    theta, step = model.random(3), 0.05
    rule: Rule = gflow.WeightDecay(step, decay) if decay else gflow.GradientStep(step)
    after = gflow.descent(objective, theta, rule, max_steps=1).final
    layers = model.factors(objective.gradient(theta))
    bends = np.concatenate([(one.T @ one - two @ two.T).ravel() for one, two in pairwise(layers)])
    expected = (1 - step * decay) ** 2 * model.conserved(theta) + step**2 * bends
    assert np.allclose(model.conserved(after), expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("rule", "per_log"), [(gflow.GradientStep(0.05), 10.0703), (gflow.HeavyBall(0.05, 0.9), 3.5505)]
)
def test_the_origin_is_left_after_log_1_over_alpha_steps(rule: Any, per_log: float) -> None:
    model, objective = loss_of(FIG3)
    rate = 2 / FIG3.n_observed * float(np.linalg.norm(FIG3.values, 2))
    assert 1 / np.log(rule.growth(rate)) == pytest.approx(per_log, rel=1e-5)
    direction, left = model.random(np.random.default_rng(0)), []
    for alpha in (1e-10, 1e-20):
        path = gflow.descent(objective, alpha * direction, rule, callback=lambda t, theta, loss: loss < half(objective))
        left.append(path.n_steps)
    # whole steps, of which there are 230 or 82
    assert (left[1] - left[0]) / np.log(1e10) == pytest.approx(per_log, rel=2e-2)


def half(objective: gflow.Objective) -> float:
    return 0.5 * float(objective.value(np.zeros(objective.dim)))


def test_the_counterexample_of_sign_descent() -> None:
    model, objective = loss_of(SL)
    q = np.array([1.0, 2.0]) / np.sqrt(5.0)
    start = model.theta(np.outer([1.0, -1.0], q), np.outer(q, [1.0, 2.0]))
    sizes = {
        name: np.linalg.svd(
            model.stacked(gflow.descent(objective, start, name, step=0.1, max_steps=1).final), compute_uv=False
        )
        for name in ("gradient", "sign")
    }
    assert np.allclose(sizes["gradient"], [2.4648642063, 0.0], rtol=0, atol=1e-10)
    assert np.allclose(sizes["sign"], [2.7094228506, 0.0857669746], rtol=0, atol=1e-10)


def omega_point(model: gflow.Factorization, k: int) -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(7)
    spans = [np.linalg.qr(rng.standard_normal((model.rank, k)))[0] for _ in range(model.depth - 1)]
    return spans, steps.inside(model, spans, 0.5 * rng.standard_normal(model.dim))


KEEPING = {
    "gradient": gflow.GradientStep(0.02),
    "heavy ball": gflow.HeavyBall(0.005),
    "Nesterov": gflow.Nesterov(0.005),
    "weight decay": gflow.WeightDecay(0.02, 0.1),
    "normalised": gflow.NormalizedGradient(0.01),
}
NOISY = {"one entry": (1, 0.0), "three entries": (3, 0.0), "label noise": (None, 0.1)}


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("k", [1, 2])
def test_linear_optimizers_and_noise_on_entries_keep_omega(depth: int, k: int) -> None:
    model, objective = loss_of(FIG3, depth)
    spans, start = omega_point(model, k)
    if depth == 2:
        assert gflow.omega_distance(model, start, k) <= 1e-15 * np.linalg.norm(start)
    ends = [gflow.descent(objective, start, rule, max_steps=200).final for rule in KEEPING.values()]
    for batch, noise in NOISY.values():
        loss = gflow.StochasticLoss(FIG3, model, batch, noise)
        ends.append(gflow.descent(loss, start, step=0.01, max_steps=200, rng=0).final)
    assert all(np.linalg.norm(end - start) > 0.1 for end in ends)
    assert max(steps.outside(model, spans, end) for end in ends) <= 1e-13


@pytest.mark.parametrize("name", ["sign", "adam", "adagrad"])
def test_optimizers_that_act_entry_by_entry_leave_omega(name: str) -> None:
    model, objective = loss_of(FIG3)
    spans, start = omega_point(model, 1)
    once, often = (gflow.descent(objective, start, name, step=0.02, max_steps=n).final for n in (1, 200))
    assert steps.outside(model, spans, once) > 5e-3 and steps.outside(model, spans, often) > 0.1


def test_adam_ends_at_another_completion_than_the_flow() -> None:
    model, objective = loss_of(SL)
    ends = []
    for seed, rule in ((0, "adam"), (1, "adam"), (1, "sign"), (1, "gradient")):
        more: dict[str, Any] = {"step": 0.05} if rule == "gradient" else {"step": 1e-3, "max_steps": 4000}
        more |= {"epsilon": 1e-30, "max_steps": 20_000} if rule == "adam" else {}
        path = gflow.descent(objective, model.random(np.random.default_rng(seed), 1e-8), rule, **more)
        ends.append(float(model.output(path.final)[1, 1]))
        assert path.final_loss <= 1e-4
    assert ends[0] == pytest.approx(5.99975, abs=1e-5) and ends[1] == pytest.approx(0.20183, abs=1e-5)
    assert abs(ends[2] - 6.0) > 1.0 and ends[3] == pytest.approx(6.0, abs=2e-3)


@pytest.mark.parametrize(("depth", "top"), [(2, 4.17035453), (3, 15.67311915)])
def test_a_minimum_is_stable_below_the_threshold_and_left_above(depth: int, top: float) -> None:
    given = Evidence.of(FIG3, gflow.Factorization(FIG3.shape, depth=depth), scale=1e-4)
    assert given.end is not None
    assert given.end.spectrum.values[-1] / given.time_unit == pytest.approx(top, rel=1e-7)
    (claim,) = steps.STABILITY.claims(given)
    assert claim.verdict is Verdict.HOLDS


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("method", [gflow.HeavyBall, gflow.Nesterov])
def test_the_stable_curvature_is_where_minus_one_is_a_root(method: Any, momentum: float) -> None:
    rule = method(0.1, momentum)
    for factor, stable in ((0.98, True), (1.02, False)):
        path = gflow.descent(bowl([factor * rule.stable_curvature]), np.ones(1), rule, max_steps=400, norm_limit=1e30)
        assert bool(abs(path.final[0]) < 0.1) is stable
    p, q = rule.characteristic(rule.stable_curvature)
    assert 1 + p + q == pytest.approx(0.0, abs=1e-12)


# Endings


def test_a_step_beyond_the_threshold_runs_and_says_that_it_is_too_long() -> None:
    model, objective = loss_of(FIG3)
    start = model.random(np.random.default_rng(0), 0.1)
    far = gflow.descent(objective, start, step=3.0)
    assert far.status == "diverging" and "too long" in far.message and np.isfinite(far.states).all()
    edge = gflow.descent(objective, start, step=1.02 * 2 / 4.17035453, max_steps=1500)
    assert edge.status == "budget" and "minima are stable up to curvature 4.08858" in edge.message
    assert "the step is too long there" in edge.message
    fine = gflow.descent(objective, start, step=0.1, max_steps=500)
    assert fine.status == "budget" and "short enough" in fine.message


def test_a_rule_that_fails_leaves_the_last_state_that_is_finite() -> None:
    path = gflow.descent(bowl([1.0]), np.ones(1), lambda state, gradient: (np.log(state[0] - 0.4),))
    assert path.status == "diverging"
    assert np.isfinite(path.states).all() and "not finite" in path.message


def test_what_has_momentum_may_pass_a_minimum_without_having_converged() -> None:
    path = gflow.descent(bowl([1.0]), np.ones(1), "heavy-ball", step=1.0, momentum=0.5, max_states=3000)
    assert path.states[1, 0] == 0.0 and path.n_steps > 30 and path.status == "converged"
    assert gflow.descent(bowl([1.0]), np.ones(1), "sign", step=0.4, max_steps=50).status == "budget"


def test_a_descent_that_stalls_on_a_slope_has_not_converged() -> None:
    for path in (
        gflow.descent(bowl([1.0]), np.ones(1), step=1e-30),
        gradient_descent(bowl([1.0]), np.ones(1), step=1e-30),
    ):
        assert path.status == "budget" and "no critical point" in path.message
    decayed = gflow.descent(bowl([-1.0, 1.0]), np.array([0.0, 1.0]), "weight-decay", step=0.1, decay=2.0)
    assert decayed.status in ("roundoff", "budget")


def test_saddles_are_no_ends_and_minima_without_a_bound_are() -> None:
    assert gflow.descent(bowl([-1.0, 1.0]), np.zeros(2), step=0.1).status == "roundoff"
    assert gflow.descent(bowl([-1.0, 1.0]), np.array([1e-9, 1.0]), step=0.1).status == "diverging"
    model, objective = loss_of(SL, 3)
    assert gflow.descent(objective, np.zeros(model.dim), "heavy-ball", step=0.1).status == "roundoff"


def test_the_callback_stops_and_few_states_are_kept() -> None:
    seen: list[float] = []
    path = gflow.descent(
        bowl([1.0]), np.ones(1), step=0.01, max_states=10, callback=lambda t, *_: seen.append(t) or t >= 200
    )
    assert path.status == "horizon" and seen == list(range(1, 201)) and path.times[-1] == 200
    assert len(path.times) <= 11 and (np.diff(path.times) > 0).all()


@pytest.mark.parametrize("name", ["gradient", "heavy-ball", "nesterov", "normalized", "sign", "adagrad", "adam"])
@pytest.mark.parametrize("size", [4.0**200, 4.0**-200])
def test_huge_and_tiny_units_change_nothing_but_the_units(name: str, size: float) -> None:
    model, objective = loss_of(SL)
    _, other = loss_of(SL.rescaled(size))
    start, root = model.random(0, 0.3), np.sqrt(size)
    scale = 1 / size if isinstance(OPTIMIZERS[name](1.0), gflow.LinearOptimizer) else root
    more = {"epsilon": 1e-300} if name.startswith("ada") else {}
    one = gflow.descent(objective, start, name, step=0.01, max_steps=40, **more)
    two = gflow.descent(other, root * start, name, step=0.01 * scale, max_steps=40, **more)
    assert np.allclose(two.states / root, one.states, rtol=1e-13) and two.status == one.status


# Noise


@pytest.mark.parametrize("depth", [2, 3])
def test_the_mean_of_the_draws_is_the_gradient(depth: int) -> None:
    model, objective = loss_of(FIG3, depth)
    theta, gradient = model.random(1), objective.gradient(model.random(1))
    single = gflow.StochasticLoss(FIG3, model, 1)
    rng, draws = np.random.default_rng(0), {}
    while len(draws) < FIG3.n_observed:
        draw = single.draw(theta, rng)
        draws[draw.round(9).tobytes()] = draw
    assert np.allclose(np.mean(list(draws.values()), axis=0), gradient, rtol=0, atol=1e-11)
    assert np.allclose(gflow.StochasticLoss(FIG3, model).draw(theta, rng), gradient, rtol=1e-13, atol=1e-13)
    noisy = gflow.StochasticLoss(FIG3, model, label_noise=0.5)
    many = np.array([noisy.draw(theta, rng) for _ in range(4000)])
    error = many.std(axis=0) / np.sqrt(len(many))
    assert (np.abs(many.mean(axis=0) - gradient) <= 5 * error + 1e-13).all() and error.max() > 1e-3


def test_the_spread_of_label_noise_is_that_of_the_labels() -> None:
    model = gflow.DirectMatrix((2, 2))
    draws = np.array(
        [gflow.StochasticLoss(SL, model, label_noise=0.5).draw(np.zeros(4), rng) for rng in generators(3000)]
    )
    assert np.allclose(draws.std(axis=0)[:3], 2 / 3 * 0.5, rtol=0.06) and (draws[:, 3] == 0).all()


def generators(count: int) -> list[np.random.Generator]:
    return np.random.default_rng(0).spawn(count)


def test_single_entries_end_at_a_completion_and_a_seed_repeats_the_run() -> None:
    model = gflow.Factorization((2, 2))
    loss, start = gflow.StochasticLoss(SL, model, 1), model.random(0, 1e-3)
    paths = [gflow.descent(loss, start, step=0.03, rng=seed) for seed in (5, 5, 6)]
    assert paths[0].status == "converged" and np.array_equal(paths[0].states, paths[1].states)
    assert not np.array_equal(paths[0].final, paths[2].final)
    assert np.abs(SL.residual(model.output(paths[0].final))).max() < 1e-8


def test_draws_of_large_sparse_data_are_those_of_whole_matrices() -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.random((310, 300)) < 0.02, rng.standard_normal((310, 300)), NAN)
    problem, model = gflow.MatrixCompletion(values), gflow.Factorization((310, 300), 2)
    loss, theta = gflow.StochasticLoss(problem, model, 7, 0.1), gflow.Factorization((310, 300), 2).random(1)
    assert type(loss._parts[0]).__name__ == "EntriesProblem"
    kept = loss.draw(theta, np.random.default_rng(3))
    vars(loss)["_parts"] = (problem, model)
    assert np.allclose(kept, loss.draw(theta, np.random.default_rng(3)), rtol=1e-12, atol=1e-15)


# Bad input


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"step": 0}, ValueError, "step must be a positive finite number; got 0"),
        ({"step": -0.1}, ValueError, "step must be a positive finite number"),
        ({"step": NAN}, ValueError, "step must be a positive finite number"),
        ({"step": "0.1"}, ValueError, "step must be a positive finite number"),
        ({}, ValueError, "optimizer 'gradient' needs step"),
        ({"optimizer": "heavy-ball", "step": 0.1, "momentum": 1.0}, ValueError, r"momentum must lie in \[0, 1\)"),
        ({"optimizer": "nesterov", "step": 0.1, "momentum": -0.1}, ValueError, r"momentum must lie in \[0, 1\)"),
        ({"optimizer": "adam", "step": 0.1, "beta2": 1}, ValueError, r"beta2 must lie in \[0, 1\)"),
        ({"optimizer": "adam", "step": 0.1, "epsilon": 0.0}, ValueError, "epsilon must be a positive"),
        ({"optimizer": "weight-decay", "step": 0.1}, ValueError, "optimizer 'weight-decay' needs decay"),
        ({"optimizer": "sgd", "step": 0.1}, ValueError, "optimizer must be one of gradient, heavy-ball, .*; got 'sgd'"),
        ({"step": 0.1, "momentum": 0.5}, ValueError, "optimizer 'gradient' takes step; got momentum"),
        ({"optimizer": 3}, TypeError, "optimizer must be a name or a rule"),
        ({"optimizer": gflow.Adam}, TypeError, "optimizer must be a name or a rule"),
        ({"optimizer": gflow.Adam(0.1), "step": 0.1}, ValueError, "step: an optimizer that is an object has its own"),
        ({"optimizer": lambda state, gradient: [state[0]]}, TypeError, "an optimizer must return a tuple of arrays"),
        ({"optimizer": lambda state, gradient: (state[0][:2],)}, TypeError, "an optimizer must return a tuple of"),
        ({"step": 0.1, "start": np.ones(3)}, ValueError, r"start must be finite numbers of shape \(8,\); got shape"),
        ({"step": 0.1, "start": np.full(8, NAN)}, ValueError, "start must be finite numbers"),
        ({"step": 0.1, "max_steps": 0}, ValueError, "max_steps must be an integer of at least 1; got 0"),
        ({"step": 0.1, "max_states": 1}, ValueError, "max_states must be an integer of at least 2; got 1"),
        ({"step": 0.1, "move_tol": 0.0}, ValueError, "move_tol must be positive; got 0.0"),
        ({"step": 0.1, "rng": 0}, ValueError, "rng is for a StochasticLoss"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(given: dict[str, Any], error: type[Exception], message: str) -> None:
    _, objective = loss_of(SL)
    with pytest.raises(error, match=message) as refusal:
        gflow.descent(objective, **({"start": np.ones(8)} | given))
    assert "\n" not in str(refusal.value).split("returned")[0]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"batch": 0}, "batch must be an integer between 1 and the number of observations, 3; got 0"),
        ({"batch": 4}, "batch must be an integer between 1"),
        ({"batch": 1.0}, "batch must be an integer between 1"),
        ({"batch": True}, "batch must be an integer between 1"),
        ({"label_noise": -1.0}, "label_noise must be finite and not negative; got -1.0"),
        ({"label_noise": NAN}, "label_noise must be finite and not negative"),
        ({"model": gflow.Factorization((3, 2))}, "problem and model must have the same shape"),
    ],
)
def test_a_bad_stochastic_loss_is_refused(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gflow.StochasticLoss(SL, **({"model": gflow.Factorization((2, 2))} | parts))


def test_a_stochastic_loss_needs_a_generator() -> None:
    loss = gflow.StochasticLoss(SL, gflow.Factorization((2, 2)), 1)
    with pytest.raises(ValueError, match="a stochastic loss needs rng"):
        gflow.descent(loss, np.ones(8), step=0.1)


# Statements and planted bugs


def claims_of(problem: gflow.MatrixCompletion, depth: int = 2, **settings: Any) -> dict[str, Claim]:
    given = Evidence.of(problem, gflow.Factorization(problem.shape, settings.pop("rank", None), depth), **settings)
    listed = [each for each in registry.statements() if each.id.startswith("steps.")]
    return {claim.id: claim for claims in registry.checked(given, listed).values() for claim in claims}


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("name", ["fig3", "fig4"])
def test_every_statement_on_steps_holds(name: str, depth: int) -> None:
    found = claims_of(example(name), depth)
    assert set(found) == {statement.id for statement in steps.STATEMENTS if depth == 2 or statement is not steps.ESCAPE}
    assert {claim.verdict for claim in found.values()} == {Verdict.HOLDS}
    assert found["steps.keep"].measured is not None and found["steps.keep"].measured <= 1e-13


def test_where_nothing_is_observed_but_zeros_or_the_width_is_one_hypotheses_fail() -> None:
    zero = claims_of(gflow.MatrixCompletion(np.zeros((2, 2))))
    assert zero["steps.escape"].verdict is Verdict.HYPOTHESIS_NOT_MET
    assert zero["steps.stability"].verdict in (Verdict.HYPOTHESIS_NOT_MET, Verdict.UNDECIDED)
    thin = claims_of(SL, rank=1)
    assert thin["steps.keep"].verdict is thin["steps.leave"].verdict is Verdict.HYPOTHESIS_NOT_MET


def red(monkeypatch: pytest.MonkeyPatch, method: type, rule: Any, **settings: Any) -> set[str]:
    monkeypatch.setattr(method, "__call__", rule)
    return {id for id, claim in claims_of(FIG3, **settings).items() if claim.verdict is Verdict.CONTRADICTED}


def test_a_momentum_of_the_wrong_sign_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def backwards(self: Any, state: Any, gradient: np.ndarray) -> Any:
        theta, velocity = optimizers.remembered(state, 1)
        velocity = -self.momentum * velocity + gradient
        return theta - self.step * velocity, velocity

    assert red(monkeypatch, gflow.HeavyBall, backwards) == {"steps.escape", "steps.stability"}


def test_a_gradient_step_entry_by_entry_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_entry(self: Any, state: Any, gradient: np.ndarray) -> Any:
        return (state[0] - self.step * gradient * np.linspace(0.9, 1.1, gradient.size),)

    assert red(monkeypatch, gflow.GradientStep, by_entry) == {"steps.keep", "steps.drift", "steps.escape"}


def test_a_sign_that_is_none_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert red(monkeypatch, gflow.SignDescent, lambda self, state, g: (state[0] - self.step * g,)) == {"steps.leave"}


def test_a_gradient_that_is_wrong_in_one_layer_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Doubled(gflow.Factorization):
        """A product whose first layer has twice its gradient."""

        def pullback(self, theta: np.ndarray, G: Any) -> np.ndarray:
            found = super().pullback(theta, G)
            self.factors(found)[0][...] *= 2.0
            return found

    given = Evidence.of(FIG3, Doubled(FIG3.shape, depth=3))
    (claim,) = steps.DRIFT.claims(given)
    assert claim.verdict is Verdict.CONTRADICTED


# The command line


def test_the_command_line_follows_an_optimizer(run: Any) -> None:
    found = run(*"flow --example slides3 --optimizer heavy-ball --step 0.05 --json".split()).result
    model, objective = loss_of(example("slides3"))
    path = gflow.descent(objective, model.random(np.random.default_rng(0), 1e-8), "heavy-ball", step=0.05)
    assert found["method"] == "HeavyBall(step=0.05, momentum=0.9)" and found["graded"] is False
    assert (found["status"], found["time"], found["loss"]) == ("converged", path.n_steps, path.final_loss)
    deep = "flow --example fig3 --depth 3 --optimizer weight-decay --step 0.1 --decay 0.1 --max-evaluations 50"
    said = run(*deep.split()).out
    assert "budget: 50 steps were made" in said and "\nstep " in said and "\ntime " not in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--step 0.1", "--step is for an optimizer: name one with --optimizer"),
        ("--momentum 0.5", "--momentum is for an optimizer"),
        ("--optimizer sgd --step 0.1", "--optimizer: optimizer must be one of gradient, heavy-ball"),
        ("--optimizer gradient", "--optimizer: optimizer 'gradient' needs step"),
        ("--optimizer heavy-ball --step 0.1 --momentum 1", r"--optimizer: momentum must lie in \[0, 1\)"),
        ("--optimizer adam --step 0.1 --rtol 1e-6", "--method, --rtol and --t-end are for the flow"),
        ("--optimizer adam --step 0.1 --method graded", "--method, --rtol and --t-end are for the flow"),
        ("--optimizer adam --step 0", "must be a positive finite number"),
    ],
)
def test_the_command_line_refuses_what_does_not_fit(options: str, message: str, run: Any) -> None:
    found = run("flow", "--example", "slides3", *options.split())
    assert (found.code, found.out, found.err.count("\n")) == (2, "", 1) and re.search(message, found.err)
