"""Flat tails: a valley of fourth order, where W has a limit, and a run to infinity, where it has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import gflow
from gflow.flow import fading
from gflow.flow.fading import valley

RANK_ONE = np.outer([1.0, 0.8, -0.6, 0.5], [1.0, -0.7, 0.9, 0.4])
BUDGET, TOL = 6000, 1e-20


def flat(seed: int = 0, small: float = 3e-4, away: float = 0.05) -> tuple[gflow.Objective, gflow.Factorization, Any]:
    """Return a flow of full width to a matrix of rank 1, from near it, with small columns beside the large one."""
    rng = np.random.default_rng(seed)
    values = RANK_ONE.copy()
    values[rng.integers(4), rng.integers(4)] = np.nan
    model = gflow.Factorization((4, 4))
    A, B = small * rng.standard_normal((4, 4)), small * rng.standard_normal((4, 4))
    U, s, Vt = np.linalg.svd(RANK_ONE)
    A[:, 0], B[0] = U[:, 0] * np.sqrt(s[0]) * (1 + away), Vt[0] * np.sqrt(s[0]) * (1 + away)
    return gflow.Objective.of(gflow.MatrixCompletion(values), model), model, model.theta(A, B)


@pytest.mark.parametrize("seed", range(3))
def test_in_a_valley_w_stays_as_near_to_its_limit_as_is_said(seed: int) -> None:
    objective, model, start = flat(seed)
    path = gflow.gradient_flow(objective, start, method="RKC", max_evaluations=BUDGET)
    assert path.status == "converged" and "power of time" in path.message and path.final_loss > 1e-18
    far = gflow.gradient_flow(objective, start, loss_tol=1e-26, t_end=1e14)
    assert far.final_loss < 1e-3 * path.final_loss
    apart = np.abs(model.output(path.final) - model.output(far.final)).max()
    bound = float(path.message.split("moves W by ")[1].split()[0])
    assert 1e-9 < apart <= bound <= 1e-5 and path.error is not None and path.error >= bound


def test_without_this_ending_the_budget_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fading, "valley", lambda *_: None)
    objective, _, start = flat()
    assert gflow.gradient_flow(objective, start, method="RKC", max_evaluations=BUDGET).status == "budget"


@pytest.mark.parametrize("settings", [{"t_end": 1e12}, {"callback": lambda *_: False}])
def test_who_says_when_to_stop_is_obeyed(settings: dict[str, Any]) -> None:
    objective, _, start = flat()
    assert gflow.gradient_flow(objective, start, method="RKC", max_evaluations=BUDGET, **settings).status == "budget"


def test_a_run_to_infinity_is_no_valley() -> None:
    model = gflow.Factorization((2, 2))
    objective = gflow.Objective.of(gflow.MatrixCompletion([[np.nan, 1.0], [1.0, 0.0]]), model)
    rng, A, B = np.random.default_rng(0), np.zeros((2, 2)), np.zeros((2, 2))
    A[:, 0], B[0] = [3.0, 1 / 3.0], [3.0, 1 / 3.0]
    start, sizes = model.theta(A, B), []
    for t in (1e2, 1e4, 1e6):
        end = gflow.gradient_flow(objective, start, t_end=t, norm_limit=1e9).final
        sizes.append(float(np.abs(model.output(end)).max()))
        for small in (0.0, 1e-9, 1e-5, 1e-3):
            assert valley(objective, end + small * rng.standard_normal(8), TOL) is None
    assert sizes[2] > 1.5 * sizes[1] > 2.25 * sizes[0]
    for method in ("RKC", "DOP853"):
        long = gflow.gradient_flow(objective, start, method=method, max_evaluations=BUDGET)
        assert long.status == "budget" and "power of time" not in long.message


def test_what_has_not_settled_or_still_grows_is_no_valley() -> None:
    objective, model, start = flat(away=0.0)
    settled = gflow.gradient_flow(objective, start, t_end=1e4).final
    assert valley(objective, settled, TOL) is not None
    A, B = model.factors(settled)
    assert valley(objective, model.theta(A, B * (1 + 1e-4)), TOL) is None
    turned = replace(objective, drive=lambda theta: lambda Z: -objective.drive(theta)(Z))  # type: ignore[misc]
    assert valley(turned, settled, TOL) is None
    assert valley(replace(objective, columns=None), settled, TOL) is None


def test_columns_that_hold_more_of_w_than_may_be_left_out_are_no_valley() -> None:
    objective, _, start = flat(small=3e-3, away=0.0)
    settled = gflow.gradient_flow(objective, start, t_end=1e3).final
    assert valley(objective, settled, TOL) is None


def test_what_is_too_small_to_be_learned_yet_is_waited_for() -> None:
    values = np.full((5, 5), np.nan)
    values[:4, :4], values[4, 4] = RANK_ONE, 1e-8
    objective, narrow, start = flat(away=0.0)
    settled = gflow.gradient_flow(objective, start, t_end=1e4).final
    model, (A, B) = gflow.Factorization((5, 5), 4), narrow.factors(settled)
    tiny = model.theta(np.vstack([A, 1e-9 * np.ones(4)]), np.column_stack([B, 1e-9 * np.ones(4)]))
    whole = gflow.Objective.of(gflow.MatrixCompletion(values), model)
    assert valley(objective, settled, TOL) is not None and valley(whole, tiny, TOL) is None
    assert valley(whole, tiny, 1e-16) is not None


def test_columns_are_put_back_where_they_came_from() -> None:
    for model in (gflow.Factorization((3, 4), 2), gflow.SymmetricFactorization(3, 2)):
        theta = model.random(np.random.default_rng(0))
        assert np.array_equal(fading._theta(model.stacked, model.stacked(theta), model.dim), theta)
        assert fading._theta(lambda x, m=model: 2.0 * m.stacked(x), model.stacked(theta), model.dim) is None


def test_a_loss_that_will_reach_its_tolerance_is_waited_for() -> None:
    objective, _, start = flat()
    early = gflow.gradient_flow(objective, start, method="RKC", max_evaluations=BUDGET)
    enough = 0.7 * early.final_loss
    path = gflow.gradient_flow(objective, start, method="RKC", max_evaluations=10 * BUDGET, loss_tol=enough)
    assert path.status == "converged" and "the loss reached" in path.message
