"""The commands on tables with names: what is read is told, names are shown and kept, and completions are certified."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gflow
from gflow.cli import main, output

TABLE = "Stadt;Höhe;Fläche;X\nOslo;1,5;-;3\nRio;;2,25;1\nRom;1,25;2;4,5\n"
SYMMETRIC = "1 2 *\n2 * 3\n* 3 1\n"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    Path("table.csv").write_text(TABLE, encoding="utf-8")
    Path("symmetric.txt").write_text(SYMMETRIC, encoding="utf-8")
    Path("frame.csv").write_text(",0,1,2\n0,1.5,,3\n1,4,5,6\n", encoding="utf-8")
    Path("ratings.dat").write_text("a::x::1::9\na::y::2::9\nb::x::3::9\n", encoding="utf-8")

    def call(*argv: str) -> tuple[int, str, str]:
        code = main(list(argv))
        found = capsys.readouterr()
        return code, found.out, found.err

    return call


def test_what_was_decided_in_reading_is_told_on_standard_error_and_the_names_are_shown(run: Any) -> None:
    code, out, err = run("complete", "table.csv")
    assert code == 0
    assert err.count("\n") == 1 and "first row read as column names" in err and "commas read as decimal points" in err
    lines = out.split("W (")[1].splitlines()[1:]
    assert lines[0].split() == ["Höhe", "Fläche", "X"]
    assert [line.split()[0] for line in lines[2:]] == ["Oslo", "Rio", "Rom"]


@pytest.mark.parametrize("command", ["complete", "classify", "limit", "explain", "flow"])
def test_json_keeps_the_names(run: Any, command: str) -> None:
    code, out, _ = run(command, "table.csv", "--json")
    found = json.loads(out)
    assert (code, found["row_names"], found["column_names"]) == (0, ["Oslo", "Rio", "Rom"], ["Höhe", "Fläche", "X"])


def test_numbers_that_may_be_names_are_asked_about(run: Any) -> None:
    code, out, err = run("complete", "frame.csv")
    assert (code, out) == (2, "") and "--header yes" in err and "--index no" in err and err.count("\n") == 1
    code, out, err = run("complete", "frame.csv", "--header", "yes", "--index", "yes", "--json")
    assert (code, err) == (0, "") and json.loads(out)["shape"] == [2, 3]
    assert json.loads(run("classify", "frame.csv", "--header", "no", "--index", "no", "--json")[1])["shape"] == [3, 4]


def test_triplets_are_a_matrix_with_their_labels(run: Any) -> None:
    code, out, err = run("complete", "ratings.dat", "--triplets", "--json")
    found = json.loads(out)
    assert code == 0 and "columns after the third left out" in err
    assert (found["row_names"], found["column_names"], found["n_observed"]) == (["a", "b"], ["x", "y"], 3)
    assert found["matrix"][0] == [1.0, 2.0]


def test_rounding_is_shown_as_zero_and_small_data_as_they_are() -> None:
    problem = gflow.MatrixCompletion([[1.0, 0.0], [1e-12, np.nan]])
    shown = output.matrix("W", np.array([[1.0, -8e-11], [1e-12, -8e-7]]), problem=problem, zero=1e-6)
    assert [row[1:] for row in shown.rows] == [["1", "0"], ["1e-12", "0"]]
    assert [row[1:] for row in output.matrix("W", np.array([[1.0, -8e-7]])).rows] == [["1", "-8e-07"]]


def test_complete_is_the_certified_minimum_of_the_library(run: Any) -> None:
    problem = gflow.read_matrix("symmetric.txt")
    for by, least in (("nuclear-norm", gflow.minimum_nuclear_norm), ("trace", gflow.minimum_trace)):
        found, expected = json.loads(run("complete", "symmetric.txt", "--by", by, "--json")[1]), least(problem)
        assert found["by"] == by and found["lower"] <= found["upper"] * (1 + 1e-12)
        assert found["value"] == pytest.approx(expected.value, rel=1e-7)
        assert np.array(found["matrix"])[problem.observed] == pytest.approx(problem.targets)
    found = json.loads(run("complete", "symmetric.txt", "--by", "rank", "--json")[1])
    assert (found["lower"], found["upper"], found["closed"]) == (2, 2, True)
    assert np.linalg.matrix_rank(np.array(found["completion"]), tol=1e-9) == 2


def test_complete_says_why_there_is_no_trace(run: Any) -> None:
    code, out, err = run("complete", "table.csv", "--by", "trace")
    assert (code, out) == (2, "") and "no symmetric matrix fits" in err


def test_a_method_is_named_in_any_case(run: Any) -> None:
    code, out, _ = run("flow", "symmetric.txt", "--method", "lsoda", "--json")
    assert code == 0 and json.loads(out)["method"] == "LSODA"
    assert run("flow", "symmetric.txt", "--method", "lsodar")[0] == 2


SHAPES = {
    "a data frame": lambda pd: pd.DataFrame(
        {"a": pd.array([4, 6], dtype="Int64"), "b": pd.array([2, None], dtype="Float64")}
    ),
    "a masked array": lambda pd: np.ma.array([[4.0, 2.0], [6.0, 9.0]], mask=[[0, 0], [0, 1]]),
    "lists with None": lambda pd: [[4, 2], [6, None]],
}


@pytest.mark.parametrize("kind", SHAPES)
def test_every_function_of_a_problem_takes_what_people_have(kind: str, tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    data, problem = SHAPES[kind](pd), gflow.MatrixCompletion([[4, 2], [6, np.nan]])
    model = gflow.Factorization((2, 2))
    theta = model.random(0, 1e-2)
    asked = {
        "connectivity": gflow.connectivity,
        "minimum_rank": gflow.minimum_rank,
        "minimum_nuclear_norm": gflow.minimum_nuclear_norm,
        "saddle_to_saddle": gflow.saddle_to_saddle,
        "greedy_low_rank": gflow.greedy_low_rank,
        "objective": lambda p: gflow.Objective.of(p, model).gradient(theta).tolist(),
        "graded_flow": lambda p: gflow.graded_flow(p, theta),
        "nearest": lambda p: gflow.nearest_interpolant(p, np.zeros((2, 2))),
        "sensing": lambda p: gflow.MatrixSensing.of_completion(p).targets.tolist(),
        "evidence": lambda p: gflow.Evidence.of(p).problem.targets.tolist(),
        "report": lambda p: gflow.verify(p, statements=["thm3"], drawn=False),
    }
    for name, function in asked.items():
        assert repr(function(data)) == repr(function(problem)), name
    gflow.write_matrix(data, tmp_path / "m.csv")
    assert gflow.read_matrix(tmp_path / "m.csv") == problem


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gflow comp", {"complete"}),
        ("gflow complete --by ", {"nuclear-norm", "rank", "trace"}),
        ("gflow limit --example fig", {"fig3", "fig4"}),
        ("gflow figure bai2024-fig", {f"bai2024-fig{k}" for k in range(1, 6)}),
        ("gflow flow --method L", {"LSODA"}),
    ],
)
def test_a_shell_is_told_what_may_follow(tmp_path: Path, line: str, expected: set[str]) -> None:
    pytest.importorskip("argcomplete")
    told = tmp_path / "told"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9"}
    asked |= {"_ARGCOMPLETE_STDOUT_FILENAME": str(told), "_ARGCOMPLETE_IFS": "\n"}
    code = "import sys; from gflow.cli import main; sys.exit(main())"
    subprocess.run([sys.executable, "-c", code], env=os.environ | asked, timeout=60, check=False)
    assert {word.strip() for word in told.read_text().splitlines()} == expected
