"""Tests of the goals of the benchmark: what passes, is short or a regression, and that wrong answers stop it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gflow_studies.benchmarks import goal_list, store, user_functions
from gflow_studies.benchmarks.goals import YARDSTICK, Goal, GoalRow, Spent, reached, stored_ratios, told

import gflow


def row(ratio: float, allowed: float = 1.0, stored: float | None = None, **memory: float) -> GoalRow:
    return GoalRow("one", "a goal", 0.1, ratio, allowed, stored, **memory)


def test_a_goal_passes_up_to_its_ratio_and_within_its_memory() -> None:
    assert row(1.0).verdict == "PASS" and row(1.01).verdict == "short"
    assert row(0.5, megabytes=300.0, most_megabytes=250.0).verdict == "short of memory"
    assert row(0.5, megabytes=200.0, most_megabytes=250.0).verdict == "PASS"


def test_a_ratio_of_more_than_a_fifth_above_the_stored_one_is_flagged() -> None:
    assert row(1.19, stored=1.0).slower is None and row(5.0).slower is None
    assert row(1.5, stored=1.0).slower == pytest.approx(1.5)
    assert "1.50 times the stored ratio: REGRESSION" in told([row(1.5, stored=1.0)])
    assert "REGRESSION" not in told([row(1.1, stored=1.0), row(2.0)])


def test_ratios_are_to_the_yardstick_and_per_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    def clock(run: Callable[[], Any]) -> tuple[float, Any]:
        found = run()
        return (0.05 if found == "yardstick" else 0.1), found

    monkeypatch.setattr("gflow_studies.benchmarks.goals.user_seconds", clock)
    inside = Goal("inside", "t", 1.0, lambda: Spent(4), 1)
    outside = Goal("outside", "t", 0.2, lambda: Spent(seconds=0.3, megabytes=7.0), 1)
    found = reached([inside, outside], lambda: "yardstick", {"inside": 0.01})
    assert found[0].seconds == pytest.approx(0.025) and found[0].ratio == pytest.approx(0.5)
    assert found[0].allowed == pytest.approx(1.0 / YARDSTICK) and found[0].slower is not None
    assert (found[1].seconds, found[1].megabytes, found[1].stored) == (0.3, 7.0, None)
    assert json.loads(json.dumps([each.to_dict() for each in found], allow_nan=False))[0]["verdict"] == "PASS"


def out_of_the_escape_space() -> tuple[gflow.TanhNetwork, gflow.Regression, np.ndarray]:
    """Return the small network with a direction in which the loss rises from the origin."""
    model, problem, _ = goal_list.one_neuron()
    g = model.features.T @ (problem.shares * problem.values)
    return model, problem, model.theta([1.0, 0.0], [-g / np.linalg.norm(g), [0.0, 0.0]])


def test_a_wrong_answer_has_no_time() -> None:
    with pytest.raises(ValueError, match="ended with 3"):
        reached([Goal("bad", "t", 1.0, partial(goal_list.command, "-c", "raise SystemExit(3)"), 1)], lambda: None, {})
    with pytest.raises(ValueError, match="wrong answer"):
        goal_list.escape(out_of_the_escape_space)


def test_stored_ratios_are_of_known_goals_and_are_written_beside_the_others(tmp_path: Path) -> None:
    names = [goal.name for goal in (*goal_list.GOALS, *goal_list.LARGE_GOALS)]
    assert len(set(names)) == len(names) and set(stored_ratios()) <= set(names)
    store([row(2.0).to_dict()], tmp_path / "ratios.json")
    store([GoalRow("two", "t", 1.0, 3.0, 1.0, None).to_dict()], tmp_path / "ratios.json")
    assert json.loads((tmp_path / "ratios.json").read_text()) == {"one": 2.0, "two": 3.0}


def test_a_goal_of_two_sides_has_their_ratio_and_a_wrong_answer_none(monkeypatch: pytest.MonkeyPatch) -> None:
    sided = Goal("sided", "t", 0.0, lambda: Spent(seconds=2.0, ratio=1.5), 1, most=1.3)
    (found,) = reached([sided], lambda: None, {})
    assert (found.seconds, found.ratio, found.allowed, found.verdict) == (2.0, 1.5, 1.3, "short")
    assert user_functions.hessian_columns().ratio is not None
    whole = user_functions.network()
    bent = replace(whole[0], hessian=lambda theta: np.eye(18))
    monkeypatch.setattr(user_functions, "network", lambda: (bent, *whole[1:]))
    with pytest.raises(ValueError, match="the two Hessians"):
        user_functions.hessian_columns()


def test_the_small_network_passes_its_check_and_the_yardstick_converges() -> None:
    assert goal_list.escape(goal_list.one_neuron) == Spent()
    assert np.abs(goal_list.yardstick()[0, 0]) > 0.1
