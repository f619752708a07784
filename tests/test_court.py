"""Tests of the court that judges limit, graded flow and flow: it must be able to say that one of them is wrong."""

from __future__ import annotations

from dataclasses import replace

import court
import numpy as np
import pytest
from court import Court, Outcome

import gflow

GAP = np.nan


@pytest.mark.parametrize("kind", court.KINDS)
def test_problems_of_every_kind_have_a_gap_and_an_entry_that_is_not_zero(kind: str) -> None:
    for seed in range(5):
        M = court.KINDS[kind](np.random.default_rng(seed))
        assert np.isnan(M).any() and np.nanmax(np.abs(M)) >= 0.0


def test_a_right_limit_agrees_and_a_wrong_one_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    M = np.array([[1, 2], [3, GAP]])
    assert Court(M, np.random.default_rng(0)).limit() == (Outcome.AGREE, "")
    true = gflow.saddle_to_saddle(gflow.MatrixCompletion(M))
    assert true.factors is not None
    A, B = true.factors
    false = replace(true, factors=(A, B * np.array([1.0, 1.01])))
    monkeypatch.setattr(gflow, "saddle_to_saddle", lambda *_: false)
    assert Court(M, np.random.default_rng(0)).limit()[0] is Outcome.WRONG


def test_a_flow_that_calls_a_plateau_its_end_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    M = np.array([[1, 2], [3, GAP]])
    judge = Court(M, np.random.default_rng(0))
    assert judge.flow(np.random.default_rng(0))[0] is Outcome.AGREE
    true = gflow.gradient_flow
    monkeypatch.setattr(gflow, "gradient_flow", lambda f, x: replace(true(f, x), states=np.zeros((2, f.dim))))
    assert judge.flow(np.random.default_rng(0))[0] is Outcome.WRONG
