"""Long calls tell how far they are, end within the time they are given, and return what they have found."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gflow
from gflow import watch
from gflow.cli import main, watching
from gflow.completions import cone
from gflow.data import example
from gflow.fast import jit
from gflow.statements.claims import Verdict
from gflow.studies import run_sweep, study_named, study_report, sweep_named

SLACK = 20.0
"""Seconds after which something that should have ended hangs: without a limit it would take hours."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a hundredth of a second whenever it is looked at."""
    ticks = itertools.count()
    monkeypatch.setattr(watch, "_now", lambda: 0.01 * next(ticks))


@pytest.fixture(scope="module")
def slow() -> tuple[gflow.Objective, np.ndarray]:
    """A flow that would go on for hours: explicit steps on a plateau of the slow matrix."""
    problem = example("c4")
    model = gflow.Factorization(problem.shape)
    objective, start = gflow.Objective.of(problem, model), model.random(0, 1e-8)
    gflow.gradient_flow(objective, start, method="RK45", max_evaluations=100)  # loads what it needs
    return objective, start


ENDLESS: dict[str, Any] = {"method": "RK45", "max_evaluations": 10**9, "rtol": 1e-12}


def timed(call: Any) -> tuple[Any, float]:
    began = time.monotonic()
    return call(), time.monotonic() - began


def test_a_flow_ends_in_time_and_says_so(slow: Any, clock: None) -> None:
    path = gflow.gradient_flow(*slow, **ENDLESS, timeout=0.2)
    assert str(path.status) == "budget" and path.message == "the time allowed, 0.2 s, is over"
    assert len(path.times) > 1 and path.final_loss <= path.losses[0]
    assert path.n_steps <= 20


def test_a_callable_hears_of_the_progress_and_not_too_often(slow: Any, clock: None) -> None:
    heard: list[watch.Progress] = []
    gflow.gradient_flow(*slow, **ENDLESS, timeout=0.35, progress=heard.append)
    assert len(heard) == 4
    assert heard[0].stage == "flow" and heard[-1].done > heard[0].done and heard[-1].elapsed > heard[0].elapsed


def test_progress_true_writes_to_standard_error_alone(slow: Any, capfd: pytest.CaptureFixture[str]) -> None:
    path = gflow.gradient_flow(*slow, **ENDLESS, timeout=0.2, progress=True)
    found = capfd.readouterr()
    assert str(path.status) == "budget" and found.out == ""


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan"), float("inf")])
def test_a_timeout_is_a_positive_number(slow: Any, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout must be a positive number of seconds"):
        gflow.gradient_flow(*slow, timeout=timeout)


def test_progress_is_true_or_a_function(slow: Any) -> None:
    with pytest.raises(TypeError, match="progress must be True or a function"):
        gflow.gradient_flow(*slow, progress="yes")


def test_results_do_not_depend_on_being_watched() -> None:
    fig3 = example("fig3")
    plain, watched = gflow.saddle_to_saddle(fig3), gflow.saddle_to_saddle(fig3, timeout=600.0, progress=lambda _: None)
    assert plain.to_dict() == watched.to_dict()


HASTE = 1e-9
"""A time that is over at once."""


def early() -> dict[str, Any]:
    """Return long calls by name, each with a time that is over at once."""
    fig3, fig4 = example("fig3"), example("fig4")
    model = gflow.Factorization(fig3.shape)
    objective, start = gflow.Objective.of(fig3, model), model.random(0, 1e-3)
    limit = gflow.saddle_to_saddle(fig3)
    origin = np.zeros(model.dim)
    return {
        "limit": lambda: gflow.saddle_to_saddle(fig3, timeout=HASTE),
        "two components": lambda: gflow.saddle_to_saddle(fig4, timeout=HASTE),
        "deep": lambda: gflow.saddle_to_saddle(fig3, depth=3, timeout=HASTE),
        "symmetric": lambda: gflow.symmetric_traversal([[2, 1], [1, 3]], timeout=HASTE),
        "graded": lambda: gflow.graded_flow(fig3, 1e-20 * start, timeout=HASTE),
        "descent": lambda: gflow.descent(objective, start, step=1e-3, timeout=HASTE),
        "flows": lambda: gflow.gradient_flows(fig3, [start, start], timeout=HASTE),
        "escape": lambda: gflow.escape_limit(objective, origin, start, timeout=HASTE),
        "rank": lambda: gflow.minimum_rank(fig3, timeout=HASTE),
        "certificates": lambda: gflow.certificates(fig3, limit.saddles, timeout=HASTE),
        "verify": lambda: gflow.verify(fig3, timeout=HASTE),
        "explain": lambda: gflow.explain(fig3, timeout=HASTE),
        "ledger": lambda: gflow.ledger(fig3, timeout=HASTE),
    }


@pytest.fixture(scope="module")
def ended() -> dict[str, tuple[Any, float]]:
    return {name: timed(call) for name, call in early().items()}


def test_every_long_call_returns_in_time(ended: dict[str, tuple[Any, float]]) -> None:
    assert [name for name, (_, took) in ended.items() if took > SLACK] == []


def test_what_is_not_known_is_not_claimed(ended: dict[str, tuple[Any, float]]) -> None:
    found = {name: result for name, (result, _) in ended.items()}
    sentence = "the time allowed, 1e-09 s, is over"
    for name in ("limit", "two components", "deep", "symmetric"):
        assert str(found[name].status) == "undecided" and sentence in found[name].reason, name
        assert found[name].saddles and found[name].matrix is None
    for name in ("graded", "descent"):
        assert (str(found[name].status), found[name].message) == ("budget", sentence), name
    assert [(str(end.status), sentence in end.message) for end in found["flows"]] == [("budget", True)] * 2
    assert str(found["escape"].verdict) == "undecided" and sentence in found["escape"].reason
    bracket = found["rank"]
    assert bracket.lower <= 3 <= bracket.upper and not (bracket.closed and sentence in bracket.upper_reason)
    assert all(not each.exists and sentence in each.reason for each in found["certificates"])
    for name in ("verify", "ledger"):
        claims = found[name].claims
        claims = claims.values() if hasattr(claims, "values") else claims
        assert claims and Verdict.CONTRADICTED not in {claim.verdict for claim in claims}, name
        assert any(sentence in claim.reason for claim in claims), name
    assert str(found["explain"].limit.status) == "undecided" and "no limit" in str(found["explain"])


def test_bounds_that_are_cut_are_bounds_and_say_so() -> None:
    fig3, sentence = example("fig3"), "the time allowed, 1e-09 s, is over"
    saddle = gflow.saddle_to_saddle(fig3).saddles[1]
    proof = gflow.certified_critical_point(fig3, saddle.A, saddle.B, timeout=HASTE)
    assert not proof.exists and sentence in proof.reason
    measured = gflow.MatrixSensing(np.random.default_rng(0).standard_normal((9, 3, 3)), np.ones(9))
    cut, whole = (gflow.restricted_isometry(measured, 1, timeout=limit) for limit in (HASTE, None))
    assert sentence in cut.method and "is over" not in whole.method
    assert cut.delta_lower <= whole.delta_lower <= whole.delta_upper <= cut.delta_upper
    model = gflow.TanhNetwork([0.0], 2)
    early = gflow.model_rank(model, model.random(0, 1.0), timeout=HASTE)
    assert (early.lower, early.numerical) == (0, early.upper) and sentence in early.note
    assert gflow.rank_fit(fig3, 1, timeout=HASTE).converged is False


def test_flows_that_are_cut_end_with_a_budget() -> None:
    fig3, sentence = example("fig3"), "the time allowed, 1e-09 s, is over"
    model = gflow.Factorization(fig3.shape, depth=3)
    deep = gflow.deep_flow(fig3, model.random(0, 1.0), -12.0, timeout=HASTE)
    whole = gflow.end_to_end_flow(fig3, 1e-3 * np.eye(4), 3, timeout=HASTE)
    for path in (deep, whole):
        assert str(path.status) == "budget" and sentence in path.message and len(path.times) >= 1


def test_what_serves_only_as_a_whole_ends_by_an_error_that_says_so() -> None:
    model = gflow.Factorization((30, 30))
    wide = gflow.Objective.of(gflow.MatrixCompletion(np.diag(np.arange(1.0, 31.0)) + 1e-3), model)
    deep = gflow.Factorization((4, 4), depth=3)
    objective = gflow.Objective.of(example("fig3"), deep)
    start = deep.random(0, 1.0)
    for call in (
        lambda: gflow.hessian_spectrum(wide, np.zeros(model.dim), 1, timeout=HASTE),
        lambda: gflow.classify(wide, np.zeros(model.dim), k=1, timeout=HASTE),
        lambda: gflow.degenerate_escape(objective, start, timeout=HASTE),
    ):
        with pytest.raises(watch.TimeIsUp, match="the time allowed, 1e-09 s, is over"):
            call()
    near = gflow.Objective.of(example("fig3"), gflow.Factorization((4, 4)))
    guess = gflow.saddle_to_saddle(example("fig3")).saddles[1].theta + 0.05
    with pytest.raises(gflow.NotConverged, match=r"after \d+ steps.*the time allowed, 0\.025 s, is over") as caught:
        with pytest.MonkeyPatch.context() as patch:
            ticks = itertools.count()
            patch.setattr(watch, "_now", lambda: 0.01 * next(ticks))
            gflow.find_critical_point(near, guess, timeout=0.025)
    assert caught.value.theta.shape == guess.shape


def test_compiling_ends_in_time_too() -> None:
    gate = threading.Event()

    def compiled() -> int:
        gate.wait(SLACK)
        return 7

    compiled.signatures = []  # type: ignore[attr-defined]
    with watch.watching(timeout=0.2), pytest.raises(watch.TimeIsUp, match="is over"):
        jit.in_time(compiled)
    gate.set()
    with watch.watching(timeout=SLACK):
        assert jit.in_time(compiled) == 7
        with pytest.raises(TypeError):
            jit.in_time(compiled, "an argument too many")


def test_a_survey_says_how_far_it_came() -> None:
    fig3 = example("fig3")
    model = gflow.Factorization(fig3.shape)
    objective = gflow.Objective.of(fig3, model)
    with pytest.warns(UserWarning, match=r"the time allowed, 0\.3 s, is over: \d+ of 100000 starts were made"):
        orbits, took = timed(
            lambda: gflow.critical_orbits(objective, model, np.random.default_rng(0), n_starts=100_000, timeout=0.3)
        )
    assert orbits and took < 0.3 + SLACK


@pytest.mark.parametrize("timeout", [0.05, 0.5, 2.0, 5.0, 20.0])
def test_no_claim_is_contradicted_wherever_a_verification_is_cut(timeout: float, clock: None) -> None:
    report = gflow.verify(example("fig4"), timeout=timeout, drawn=False)
    assert [claim.id for claim in report.claims if claim.verdict is Verdict.CONTRADICTED] == []


def test_the_outer_watch_bounds_the_inner_one(slow: Any) -> None:
    with watch.watching(timeout=0.1):
        path, took = timed(lambda: gflow.gradient_flow(*slow, **ENDLESS, timeout=50.0))
        assert "the time allowed, 0.1 s, is over" in path.message and took < 0.1 + SLACK
    assert watch.over() is None and watch.remaining() is None


def test_a_strict_watch_ends_by_an_error_that_says_so(slow: Any) -> None:
    with pytest.raises(watch.TimeIsUp, match="is over"), watch.watching(timeout=HASTE, strict=True):
        gflow.gradient_flow(*slow, **ENDLESS)


def test_stages_stand_before_what_is_reported_inside(clock: None, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr(watch, "EVERY", 0.001)
    with watch.watching(lambda progress: heard.append(progress.stage)), watch.stage("outer"):
        watch.tick("inner")
    assert heard == ["outer", "outer: inner"]


FOREVER = ("flow", "--example", "c4", "--method", "rk45", "--max-evaluations", "1000000000")


def test_a_command_shows_lines_where_there_is_no_terminal_and_ends_in_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LINE_SECONDS", 0.1)
    code, took = timed(lambda: main([*FOREVER, "--timeout", "0.5"]))
    found = capsys.readouterr()
    assert code == 0 and took < 0.5 + 2 * SLACK and "budget: the time allowed, 0.5 s, is over" in found.out
    lines = found.err.splitlines()
    assert lines and all(re.fullmatch(r"gflow: .* \(\d+ s\)", text) for text in lines)
    assert any("integrating: flow" in text for text in lines)
    assert main([*FOREVER, "--timeout", "0.3", "--quiet"]) == 0 and capsys.readouterr().err == ""


def test_commands_end_early_with_what_they_have(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, key, value in (
        (["limit", "--example", "fig3"], "status", "undecided"),
        (["complete", "--example", "fig3", "--by", "rank"], "lower", 3),
    ):
        assert main([*argv, "--timeout", "1e-9", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)[key] == value
    assert main(["figure", "limit-fig1", "--quick", "--out", "nowhere", "--timeout", "1e-9"]) == 2
    assert "the time allowed, 1e-09 s, is over, and nothing was found" in capsys.readouterr().err
    assert main(["limit", "--example", "fig3", "--timeout", "0"]) == 2


def test_a_sweep_keeps_what_it_has_and_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("gflow_studies")
    assert main(["sweep", "demo", "--store", "kept.sqlite", "--timeout", "1e-9"]) == 2
    told = capsys.readouterr().err
    assert "the time allowed, 1e-09 s, is over" in told
    main(["sweep", "demo", "--store", "kept.sqlite", "--resume", "--json"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) == 24 and not any("TimeIsUp" in (row["error"] or "") for row in rows)


def test_a_sweep_ends_in_time_with_the_rows_it_has_and_goes_on_with_them(tmp_path: Path, clock: None) -> None:
    sweep, store = sweep_named("demo"), tmp_path / "demo.sqlite"
    with pytest.warns(UserWarning, match=r"the time allowed, 0\.05 s, is over: \d+ of \d+ rows are there"):
        some = run_sweep(sweep, store, timeout=0.05)
    everything = run_sweep(sweep, store, resume=True)
    assert 0 < len(some.rows) < len(everything.rows)
    assert len(everything.rows) == len(list(sweep.configurations()))


def test_a_study_that_is_not_finished_in_time_says_so(clock: None) -> None:
    study = study_named("mixing")
    report = study_report(study, "mixing", study.QUICK, timeout=0.03)
    assert not report.claims and "Not finished: the time allowed, 0.03 s, is over" in report.lead
    assert "is over" in str(report.configuration["left out"])


def test_a_conic_solver_gets_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    A = np.random.default_rng(0).standard_normal((60, 20, 20))
    problem = gflow.MatrixSensing(A + A.swapaxes(1, 2), np.trace(A, axis1=1, axis2=2))
    monkeypatch.setitem(cone.OPTIONS, "scs", {"eps_abs": 1e-300, "eps_rel": 1e-300, "max_iters": 10**9})
    with watch.watching(timeout=0.2), pytest.raises(watch.TimeIsUp):
        gflow.minimum_trace(problem, solver="scs")


def test_a_call_ends_when_a_function_says_so_also_inside_other_watches() -> None:
    asked = itertools.count()
    with watch.watching(stopped=lambda: next(asked) >= 3), watch.watching(timeout=SLACK, strict=True):
        watch.tick()
        assert watch.over() is None
        with pytest.raises(watch.TimeIsUp, match="stopped"):
            for _ in range(9):
                watch.tick()
        assert watch.over() == "it was stopped"
    assert watch.over() is None
