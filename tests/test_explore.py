"""What the explorer answers, without a browser: states, links, laws, chains, trajectories, sweeps, programs."""

from __future__ import annotations

import io
import json
import zipfile
from base64 import b64decode
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import gflow
from gflow.explore import answers, cells, courses, program, stages, sweeping, theorems, worker
from gflow.explore.state import BadState, State, Swept, of_link, of_page, of_problem, of_text

FIG3 = of_problem(gflow.data.example("fig3"), "fig3")
FIG4 = of_problem(gflow.data.example("fig4"), "fig4")
ROOT5 = np.sqrt(5.0)


def asked(values: Any, seen: Any = None, **more: Any) -> dict[str, Any]:
    return {"values": values, "seen": seen or [[True] * len(row) for row in values], **more}


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.5", 1.5), ("-2", -2.0), ("1,5", 1.5), ("1/4", 0.25), ("−3", -3.0), ("2e-3", 2e-3), ("*", None), (" ", None)],
)
def test_numbers_are_read_as_people_write_them(text: str, value: float | None) -> None:
    assert cells.number(text) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        *(("4x", "is not a number"), ("1/0", "divides by zero"), ("1e999", "too large"), ("1e-999", "too small")),
        *(("inf", "is not a number"), ("1" * 41, "at most 40 characters"), ("__import__('os')", "is not a number")),
    ],
)
def test_what_is_no_number_is_told_in_a_sentence(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        cells.number(text)


entries = st.one_of(st.none(), st.floats(-1e12, 1e12).filter(lambda x: abs(x) > 1e-12), st.just(0.0))


@settings(max_examples=60)
@given(st.data())
def test_a_link_reads_back_exactly(data: Any) -> None:
    d1, d2 = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    values = [[data.draw(entries) for _ in range(d2)] for _ in range(d1)]
    values[0][0] = 1e16
    seen = [[x is not None and data.draw(st.booleans()) for x in row] for row in values]
    seen[0][0] = True
    low = data.draw(st.floats(-1e9, 1e9))
    state = State(
        tuple(map(tuple, values)),
        tuple(map(tuple, seen)),
        data.draw(st.sampled_from((2, 3, 4))),
        data.draw(st.floats(-16, -1)),
        data.draw(st.integers(0, 10**9)),
        data.draw(st.integers(0, 50)),
        data.draw(st.sampled_from((None, Swept(0, 0, d1 - 1, d2 - 1, low, low + 1.0)))),
    )
    assert of_link(state.link()) == state == of_link("http://127.0.0.1:1234/token/#" + state.link())


@pytest.mark.parametrize(
    ("values", "more", "says"),
    [
        ([["1", "x"]], {}, r"row 1, column 2: 'x' is not a number"),
        ([["*"]], {}, "nothing is observed"),
        ([["1"]], {"depth": 5}, "depth must be 2, 3 or 4"),
        ([["1"]], {"exponent": -17}, "alpha must lie between"),
        ([["1"]], {"seed": -1}, "seed must lie between"),
        ([["1"]], {"draws": 51}, "at most 50 starts"),
        ([["1"] * 13], {}, "a state has cells"),
        ([["1", "2"], ["3"]], {}, "the same number of cells"),
        ([["1e200"]], {}, "max|M| must lie in"),
        ([["1", "*"]], {"sweep": [0, 1, 0, 0, 0, 1]}, "only an observed entry is swept"),
        ([["1", "*"]], {"sweep": [0, 0, 0, 1, 1, 1]}, "from a lower to a higher"),
        ([["1", "*"]], {"sweep": [0, 0, 2, 1, 0, 1]}, "rows from 1 to 1"),
        ([["1", {}]], {}, "a state has cells"),
    ],
)
def test_a_state_that_cannot_be_is_refused_with_its_place(values: Any, more: Any, says: str) -> None:
    with pytest.raises(BadState) as refused:
        of_page(asked(values, **more)).problem()
    assert says in str(refused.value)


def test_what_is_hidden_keeps_its_value_and_does_not_count() -> None:
    state = of_page(asked([["1", "2"], ["3", "7"]], [[True, True], [True, False]]))
    assert state.values[1][1] == 7.0 and state.problem().n_observed == 3
    assert state.link() == "m=1,2;3,~7"


@pytest.mark.parametrize("text", ["1\t2\n3\t*", "1;2\n3;*", "1, 2\n3, nan", "[[1, 2], [3, *]]", "1,5;2\n3;*"])
def test_pasted_tables_are_read(text: str) -> None:
    state = of_text(text)
    assert state.shape == (2, 2) and state.seen == ((True, True), (True, False))
    assert state.values[0][0] == (1.5 if "1,5" in text else 1.0)


@pytest.mark.parametrize("text", ["1\t2\n3", "", "a\tb", "1 " * 11_000])
def test_pasted_texts_that_are_no_table_are_refused(text: str) -> None:
    with pytest.raises(BadState):
        of_text(text)


@pytest.mark.parametrize("link", ["m=1,2&code=1", "depth=2", "m=1,2;3", "m=" + "1," * 13 + "1", "m=1&depth=x"])
def test_links_that_are_none_are_refused(link: str) -> None:
    with pytest.raises(BadState):
        of_link(link)


def test_figure_3_is_answered_as_published() -> None:
    found = answers.limit(FIG3)
    assert found["kind"] == "connected" and found["status"] == "converged" and found["rank"] == 3
    assert found["matrix"][1][3] == pytest.approx(1.2, abs=1e-8) and found["depends"] == 0
    losses = [stop["loss"] for stop in found["chain"]["stops"]]
    assert losses == pytest.approx([16.850667, 0.32652694, 0.05227755, 0.0], rel=1e-6)
    assert [stop["rank"] for stop in found["chain"]["stops"]] == [0, 1, 2, 3]
    times = [stop["time"] for stop in found["chain"]["stops"]]
    assert times[0] == 0.0 and times == sorted(times)


def test_figure_4_has_the_law_of_an_inner_product_on_the_sphere() -> None:
    found = answers.limit(FIG4)
    assert found["kind"] == "disconnected-complete-bipartite" and found["nuclear_norm"] == pytest.approx(15.0)
    laws = {(law["row"], law["column"]): law for law in found["laws"]}
    assert set(laws) == {(0, 1), (1, 0), (1, 2), (2, 1)}
    assert laws[0, 1]["half"] == pytest.approx(ROOT5)
    heights = [height for _, height in laws[0, 1]["points"]]
    assert heights == pytest.approx([0.5 / ROOT5] * len(heights))  # uniform, as r = 3
    assert [stop["loss"] for stop in found["chain"]["stops"]] == pytest.approx([25.0, 5.0, 0.0])


@pytest.mark.parametrize("width", [3, 4, 6])
def test_a_density_has_mass_one_and_the_standard_deviation(width: int) -> None:
    x, y = np.array(answers.density(0.7, width)["points"]).T
    assert np.trapezoid(y, x) == pytest.approx(1.0, abs=0.01)
    assert np.sqrt(np.trapezoid(y * x * x, x)) == pytest.approx(0.7, rel=0.01)


@pytest.mark.parametrize("width", [2, 4])
def test_draws_of_the_limit_follow_the_density(width: int) -> None:
    values = np.full((width, width), np.nan)
    values[0, 0], values[1, 1] = 2.0, 3.0
    limit = gflow.saddle_to_saddle(gflow.MatrixCompletion(values))
    x, y = np.array(answers.density(float(limit.std[0, 1]), width)["points"]).T
    drawn = np.sort(limit.sample(np.random.default_rng(0), 4000)[:, 0, 1])
    mass = np.concatenate([[0.0], np.cumsum(np.diff(x) * (y[1:] + y[:-1]) / 2)])
    share = np.interp(drawn, x, mass / mass[-1])
    assert np.abs(share - (np.arange(4000) + 0.5) / 4000).max() < 0.06


def test_with_one_inner_direction_the_law_is_a_coin() -> None:
    assert answers.density(2.0, 1) == {"kind": "values", "values": [[-2.0, 0.5], [2.0, 0.5]]}


def test_three_factors_complete_figure_4_at_rank_one_up_to_a_coin() -> None:
    found = answers.limit(replace(FIG4, depth=3))
    assert found["rank"] == 1
    law = next(law for law in found["laws"] if (law["row"], law["column"]) == (0, 1))
    assert law["values"] == [[pytest.approx(-ROOT5), 0.5], [pytest.approx(ROOT5), 0.5]]
    assert [stop["leaves"] for stop in found["chain"]["stops"]] == ["rank", "inside", None]


@pytest.mark.parametrize("depth", [2, 3])
def test_an_escape_goes_where_the_loss_falls(depth: int) -> None:
    state = replace(FIG3, depth=depth)
    problem = state.problem()
    for stop in answers.limit(state)["chain"]["stops"][:-1]:
        W, growth = np.array(stop["matrix"]), np.outer(stop["u"], stop["v"])
        assert problem.risk(W + 1e-3 * growth) < problem.risk(W) - 1e-6
        assert problem.risk(W - 1e-3 * growth) > problem.risk(W)


def test_draws_are_the_limits_of_their_seeds() -> None:
    state = replace(FIG4, seed=5, draws=3)
    found = answers.draws(state, 3)
    assert [each["seed"] for each in found] == [5, 6, 7]
    alone = gflow.saddle_to_saddle(state.problem(), rng=np.random.default_rng(6)).matrix
    assert np.array_equal(found[1]["matrix"], alone)
    assert abs(found[0]["matrix"][0][1] - found[2]["matrix"][0][1]) > 1e-3


def test_where_modes_escape_together_every_start_has_a_limit_of_its_own() -> None:
    state = of_text("0,1\n1,*")
    assert answers.limit(state)["matrix"] is None
    drawn = [each["matrix"][1][1] for each in answers.draws(state, 3)]
    assert np.ptp(drawn) > 1e-3


@pytest.mark.parametrize(("exponent", "near"), [(-6.0, 0.4), (-16.0, 0.15)])
def test_a_trajectory_comes_nearer_to_the_limit_and_its_times_the_smaller_alpha_is(
    exponent: float, near: float
) -> None:
    found = courses.course(replace(FIG4, exponent=exponent))
    ends = [each["end"] for each in found["plateaus"][:-1]]
    assert found["predicted"] == pytest.approx([0.25, 0.5])
    assert ends == pytest.approx(found["predicted"], abs=near / 4)
    assert [each["rank"] for each in found["plateaus"]] == [0, 1, 2]
    assert found["distance"] < 10.0 ** (0.8 * exponent) + 1e-6
    assert set(found["values"]) == {"W", "A", "B", "[A; Bᵀ]"} and min(found["times"]) == 0.0


@pytest.mark.parametrize(("exponent", "method"), [(-2.0, "LSODA"), (-8.0, "channels and what is outside them apart")])
def test_a_deep_trajectory_leaves_the_origin_when_its_start_says(exponent: float, method: str) -> None:
    found = courses.course(replace(FIG4, depth=3, exponent=exponent))
    assert found["method"] == method and set(found["values"]) == {"W", "W1", "W2", "W3"}
    assert found["plateaus"][0]["end"] == pytest.approx(found["predicted"][0], rel=30 * 10.0**exponent + 1e-3)


def test_a_sweep_follows_the_law_and_marks_where_the_class_changes() -> None:
    """The data diag(x, 3) leave W_12 = sqrt(3 x) <e, f> to the start; at x = 0 alone one entry is left to observe."""
    state = replace(of_text("1,*\n*,3"), sweep=Swept(0, 0, 0, 1, -1.0, 2.0))
    steps: list[int] = []
    found = sweeping.sweep(state, lambda some: steps.append(len(some["points"])))
    for point in found["points"]:
        assert point["y"] == 0.0 and point["std"] == pytest.approx(np.sqrt(1.5 * abs(point["x"])), abs=1e-9)
    assert found["done"] and steps == sorted(steps) and steps[0] == 1
    (jump,) = found["jumps"]
    assert jump["low"] < 0.0 < jump["high"] and jump["high"] - jump["low"] < 1e-3
    assert jump["says"] == "at 0 alone, the class changes: disconnected-complete-bipartite to connected"


def test_a_jump_of_the_limit_is_found_where_the_classes_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that steps from 0 to 1 at 0.3, and one that only bends there, with the same class and chain."""

    def at(shape: Any) -> Any:
        return lambda state, what, x: sweeping.SweptPoint(
            x, shape(x), 0.0, "k", (0, 1), "converged", np.array([[shape(x), 1]])
        )

    state = replace(of_text("1,2\n3,*"), sweep=Swept(0, 0, 1, 1, 0.0, 1.0))
    monkeypatch.setattr(sweeping, "at", at(lambda x: float(x > 0.3)))
    (jump,) = sweeping.sweep(state, lambda some: None)["jumps"]
    assert jump["low"] <= 0.3 <= jump["high"] and jump["size"] == 1.0 and jump["high"] - jump["low"] < 1e-4
    monkeypatch.setattr(sweeping, "at", at(lambda x: float(np.tanh(20 * (x - 0.3)))))
    assert sweeping.sweep(state, lambda some: None)["jumps"] == []


def test_a_sweep_without_a_jump_marks_none() -> None:
    """The limit of [[x, 2], [3, *]] is 6 / x."""
    state = replace(of_text("1,2\n3,*"), sweep=Swept(0, 0, 1, 1, 1.0, 2.0))
    found = sweeping.sweep(state, lambda some: None)
    assert found["jumps"] == [] and all(p["y"] == pytest.approx(6.0 / p["x"], rel=1e-5) for p in found["points"])


def test_minima_are_told_beside_the_limit() -> None:
    three, four = theorems.minima(FIG3), theorems.minima(FIG4)
    assert three["least_rank"] == [3, 3] and three["rank_is_least"]
    assert four["rank_is_least"] is False and four["norm_is_least"]


@pytest.mark.parametrize(
    "state",
    [
        replace(FIG4, draws=2, sweep=Swept(0, 0, 0, 1, 1.5, 2.0)),
        replace(FIG3, exponent=-16.0),
        replace(FIG4, depth=3, draws=2, exponent=-6.0),
    ],
    ids=["draws-and-sweep", "graded", "deep"],
)
def test_the_program_of_a_state_computes_what_is_shown(state: State) -> None:
    space: dict[str, Any] = {}
    exec(program.program(state), space)
    assert np.allclose(space["limit"].matrix, np.array(answers.limit(state)["matrix"]), atol=1e-12)
    assert space["path"].method == courses.course(state)["method"]
    if state.draws:
        assert np.allclose(space["draws"], [each["matrix"] for each in answers.draws(state, state.draws)])
    assert ("swept" in space) == (state.sweep is not None)


def test_only_what_has_changed_is_computed_again() -> None:
    visit, told = stages.Memory(), []
    quick = tuple(part for part in stages.PARTS if part.name in ("limit", "draws", "course", "sweep"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stages, "PARTS", quick)
        for state in (FIG4, replace(FIG4, seed=1), replace(FIG4, seed=1, exponent=-6.0), FIG4):
            told.append([])
            for _ in visit.answer(state, lambda name, answer: told[-1].append(name)):
                pass
        assert visit.unchanged(replace(FIG4, depth=3)) == []
    assert told == [["limit", "draws", "course", "sweep"], ["draws", "course"], ["course"], ["draws", "course"]]


class Letters:
    """An inbox that holds some messages; ``after`` asks until a newer one is said to have come."""

    def __init__(self, *messages: dict[str, Any], after: float = np.inf) -> None:
        self.messages, self.asked, self.after = list(messages), 0, after

    def take(self) -> dict[str, Any] | None:
        return self.messages.pop(0) if self.messages else None

    def waiting(self) -> bool:
        self.asked += 1
        return self.asked > self.after


def spoken(letters: Letters) -> list[dict[str, Any]]:
    out = io.StringIO()
    worker.Calculation(letters, out).serve()  # type: ignore[arg-type]
    return [json.loads(line.partition(" ")[2]) for line in out.getvalue().splitlines()]


def test_a_process_names_bad_cells_and_goes_on() -> None:
    bad, link = asked([["1", "y"]]), {"run": 2, "stop": True}
    said = spoken(Letters({"run": 1, "ask": bad}, {"run": 3, "example": "nothing"}, link))
    assert said[1] == {
        "run": 1,
        "bad": {
            "says": "row 1, column 2: 'y' is not a number; * stands for what is not observed",
            "cells": [{"row": 0, "column": 1, "says": "'y' is not a number; * stands for what is not observed"}],
        },
    }
    assert said[2]["run"] == 3 and "name must be one of" in said[2]["bad"]["says"]
    assert said[3] == {"run": 2, "over": True, "stopped": True}


def test_a_newer_message_ends_an_older_run() -> None:
    with pytest.MonkeyPatch.context() as patched:  # limits that are kept would be told without a look at the inbox
        patched.setattr(answers, "traversal", answers.traversal.__wrapped__)
        said = spoken(Letters({"run": 1, "open": FIG3.link()}, after=20))
    assert said[-1].get("over") is None and {each["part"] for each in said if "part" in each} == {"state"}


def test_a_matrix_that_is_too_large_is_summarised() -> None:
    from gflow.explore import first_message

    rng = np.random.default_rng(0)
    values = np.outer(rng.standard_normal(14), rng.standard_normal(13))
    values[0, 0] = np.nan
    first = first_message(gflow.MatrixCompletion(values), "large")
    said = spoken(Letters(json.loads(json.dumps({**first, "run": 1}))))
    told = [each["answer"] for each in said if each.get("part") == "summary"]
    assert told[0]["shape"] == [14, 13] and told[0]["words"] == "connected" and told[0]["text"] is None
    assert "large: 14 x 13" in told[-1]["text"]


def test_the_report_comes_as_one_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gflow, "verify", partial(gflow.verify, statements=["thm3"], drawn=False))
    small = of_text("1,2\n3,*")
    said = spoken(Letters({"run": 1, "report": asked([["1", "2"], ["3", "*"]], name=small.name)}))
    archive = zipfile.ZipFile(io.BytesIO(b64decode(said[-1]["report"]["data"])))
    assert {"report/report.html", "report/report.json"} <= set(archive.namelist())
    assert "Theorem 3" in archive.read("report/report.html").decode()
