"""The `gflow` command: what it prints, what it refuses, and the exit codes."""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import types
import warnings
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import gflow
from gflow import critical, files, flow
from gflow.cli import commands, inputs, main, survey, values, watching
from gflow.cli.arguments import Command, parsed
from gflow.cli.output import PLAIN_WIDTH, Outcome
from gflow.data import example, example_names
from gflow.report import Report, report_json
from gflow.statements.claims import Claim

ROOT = Path(__file__).resolve().parent.parent
SLOW = ["flow", "--example", "c4", "--method", "RK45", "--max-evaluations", "1000000000"]
"""A run that takes hours."""


class Ran(types.SimpleNamespace):
    """Exit code, standard output and standard error of a run."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        """The one JSON object that is all of the output."""
        said = [line for line in self.err.splitlines() if not re.fullmatch(r"gflow: .* \(\d+ s\)", line)]  # progress
        assert (self.code, said) == (0, [])
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that runs `gflow` in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(watching, "LINE_SECONDS", 1e6)  # a slow machine tells how far it is

    def call(*argv: object) -> Ran:
        code = main([str(word) for word in argv])
        return Ran(code=code, **capsys.readouterr()._asdict())

    return call


def process(*argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gflow", *argv]
    return subprocess.run(command, cwd=ROOT, text=True, timeout=60, **{"capture_output": True, **options})


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def saved(name: str, matrix: Any) -> str:
    np.save(name, np.asarray(matrix, dtype=float))
    return name


def saved_start(name: str, A: Any, B: Any) -> str:
    files.write_arrays(name, A=A, B=B)
    return name


def theta_of(shape: tuple[int, int], seed: int, scale: float) -> tuple[Any, np.ndarray]:
    model = gflow.Factorization(shape)
    return model, model.random(np.random.default_rng(seed), scale)


# classify


def test_classify_prints_exactly_the_agreed_object(run: Any) -> None:
    assert run("classify", "--example", "m2", "--json").result == {
        "kind": "disconnected-complete-bipartite",
        "components": [
            {"rows": [0, 1], "columns": [0, 1], "complete_bipartite": True},
            {"rows": [2], "columns": [2], "complete_bipartite": True},
        ],
        "coupling_components": [{"rows": [0, 1], "columns": [0, 1]}, {"rows": [2], "columns": [2]}],
        "unobserved_rows": [],
        "unobserved_columns": [],
        "shape": [3, 3],
        "n_observed": 5,
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [("fig3", "connected"), ("fig4", "disconnected-complete-bipartite"), ("m1", "disconnected"), ("m3", "connected")],
)
def test_the_published_matrices_are_of_their_published_kind(run: Any, name: str, kind: str) -> None:
    assert run("classify", "--example", name, "--json").result["kind"] == kind
    assert run("classify", "--example", name).out.split()[:2] == ["kind", kind]


def test_a_matrix_is_read_from_standard_input(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("1 2 *\n3 ? *\n"))
    found = run("classify", "-", "--json").result
    assert (found["kind"], found["shape"], found["unobserved_columns"]) == ("connected", [2, 3], [2])


@settings(max_examples=15)
@given(mask=st.lists(st.lists(st.sampled_from("*01"), min_size=3, max_size=3), min_size=1, max_size=4))
def test_classify_is_the_connectivity_of_the_file(mask: list[list[str]]) -> None:
    text = "\n".join(",".join(row) for row in mask)
    stdin, stdout = sys.stdin, sys.stdout
    sys.stdin, sys.stdout = io.StringIO(text), io.StringIO()
    try:
        code, printed = main(["classify", "-", "--json"]), sys.stdout.getvalue()
    finally:
        sys.stdin, sys.stdout = stdin, stdout
    if "0" in text or "1" in text:
        values = [[np.nan if cell == "*" else float(cell) for cell in row] for row in mask]
        assert code == 0 and json.loads(printed) == gflow.connectivity(gflow.MatrixCompletion(values)).to_dict()
    else:
        assert (code, printed) == (2, "")


# flow


def test_the_flow_of_a_full_matrix_passes_its_truncations_and_ends_at_it(run: Any) -> None:
    found = run("flow", saved("m.npy", [[2, 0], [0, 1]]), "--json").result
    assert [p["loss"] for p in found["plateaus"]] == pytest.approx([5 / 4, 1 / 4, 0], abs=1e-6)
    assert found["matrix"] == [pytest.approx([2, 0], abs=1e-8), pytest.approx([0, 1], abs=1e-8)]
    assert found["singular_values"] == pytest.approx([2, 1]) and found["nuclear_norm"] == pytest.approx(3)
    assert (found["status"], found["rank"], found["name"]) == ("converged", 2, "m.npy")
    assert found["conservation_drift"] < 1e-7 and found["n_gradients"] > 0 and found["plateaus"][-1]["end"] is None
    assert {"time", "loss", "method", "message", "seed", "scale"} <= set(found)


def test_seed_and_scale_name_the_start_of_the_library(run: Any) -> None:
    problem = example("m3")
    model, theta = theta_of(problem.shape, 7, 1e-3)
    path = gflow.gradient_flow(gflow.Objective.of(problem, model), theta)
    found = run("flow", "--json", "--seed", 7, "--example", "m3", "--scale", "1e-3").result
    assert found["matrix"] == model.output(path.final).tolist() and found["n_gradients"] == path.n_gradients
    other = run("flow", "--json", "--seed", 8, "--example", "m3", "--scale", "1e-3").result
    assert other["matrix"] != found["matrix"]


def test_a_start_from_a_file_replaces_the_random_one(run: Any) -> None:
    model, theta = theta_of((3, 3), 7, 1e-3)
    start = saved_start("start.npz", *model.factors(theta))
    read = run("flow", "--example", "m3", "--start", start, "--json").result
    drawn = run("flow", "--example", "m3", "--seed", 7, "--scale", "1e-3", "--json").result
    assert (read["seed"], read["scale"], drawn["seed"], drawn["scale"]) == (None, None, 7, 1e-3)
    assert read["matrix"] == drawn["matrix"]


def test_the_width_is_that_of_the_start_or_of_the_rank_option(run: Any) -> None:
    start = saved_start("start.npz", np.ones((3, 1)), np.ones((1, 3)))
    assert run("flow", "--example", "m3", "--start", start, "--json").result["width"] == 1
    found = run("flow", "--example", "m3", "--rank", 2, "--json").result
    assert found["width"] == 2 and found["singular_values"][2] < 1e-12


def test_out_holds_the_trajectory(run: Any, tmp_path: Path) -> None:
    found = run("flow", "--example", "m3", "--out", "path.npz", "--json").result
    path = gflow.Trajectory.load(tmp_path / "path.npz")
    assert gflow.Factorization((3, 3)).output(path.final).tolist() == found["matrix"]
    assert os.listdir(tmp_path) == ["path.npz"]


def test_options_reach_the_integration(run: Any) -> None:
    flowing = ("flow", "--example", "slides3", "--json", "--scale", "1e-2")
    assert run(*flowing, "--t-end", "0.5").result["time"] == 0.5
    assert run(*flowing, "--max-evaluations", 10).result["status"] == "budget"
    assert run(*flowing, "--method", "DOP853").result["method"] == "DOP853"
    loose, tight = (run(*flowing, "--rtol", tol).result["n_gradients"] for tol in ("1e-4", "1e-10"))
    assert loose < tight


@pytest.mark.parametrize(("scale", "graded"), [("1e-11", False), ("1e-13", True)])
def test_scales_below_1e_minus_12_are_integrated_in_graded_columns(run: Any, scale: str, graded: bool) -> None:
    matrix = saved("m.npy", [[1, 0.5], [0.75, np.nan]])
    found = run("flow", matrix, "--scale", scale, "--json").result
    assert found["graded"] is graded and ("graded" in found["method"]) is graded
    assert ("below 1e-12" in run("flow", matrix, "--scale", scale).out) is graded
    assert found["rank"] == 1 and found["plateaus"][0]["loss"] == pytest.approx((1 + 0.25 + 0.5625) / 3)


def test_a_tiny_start_from_a_file_is_graded_and_a_zero_one_stays_at_the_origin(run: Any) -> None:
    tiny = saved_start("tiny.npz", 1e-200 * np.array([[1.0, 2.0], [3.0, 1.0]]), 1e-200 * np.ones((2, 2)))
    found = run("flow", "--example", "slides3", "--start", tiny, "--json").result
    assert found["graded"] and found["matrix"][1][1] == pytest.approx(6)
    zero = saved_start("zero.npz", np.zeros((2, 2)), np.zeros((2, 2)))
    found = run("flow", "--example", "slides3", "--start", zero, "--json").result
    assert (found["graded"], found["status"], found["rank"]) == (False, "roundoff", 0)


def test_a_method_that_is_named_is_used_at_any_scale(run: Any) -> None:
    named = run("flow", "--example", "slides3", "--scale", "1e-14", "--method", "LSODA", "--json").result
    assert (named["method"], named["graded"]) == ("LSODA", False)
    graded = run("flow", "--example", "slides3", "--scale", "0.1", "--method", "graded")
    assert "asked for" in graded.out and "below" not in graded.out


@pytest.mark.parametrize("size", [1e-150, 1e-6, 1e6, 1e149])
def test_extreme_entries_are_completed_like_ordinary_ones(run: Any, size: float) -> None:
    found = run("flow", saved("m.npy", size * np.array([[1, 2], [3, np.nan]])), "--json").result
    assert (found["status"], found["rank"]) == ("converged", 1)
    assert found["nuclear_norm"] / size == pytest.approx(50**0.5, rel=1e-3)


@pytest.mark.parametrize("matrix", [[[0, 0, 0], [0, 0, 0]], [[1, 2, 3]], [[1], [2]], [[1, np.nan], [np.nan, np.nan]]])
def test_degenerate_matrices_have_correct_results(run: Any, matrix: list[list[float]]) -> None:
    name = saved("m.npy", matrix)
    found = run("flow", name, "--json").result
    assert (found["status"], found["rank"]) == ("converged", int(np.nan_to_num(matrix).any()))
    assert found["matrix"] == [pytest.approx(row, abs=1e-6) for row in np.nan_to_num(matrix).tolist()]
    assert run("critical", name, "--starts", 6, "--json").code == 0


# critical


def test_the_critical_points_of_one_number_are_those_on_paper(run: Any) -> None:
    """(a b - m)^2 has a saddle at 0, where the Hessian is -2 m [[0, 1], [1, 0]], and the minima a b = m."""
    found = run("critical", saved("m.npy", [[3.0]]), "--json").result
    saddle, minimum = found["saddles"]
    assert (saddle["loss"], saddle["escape_rate"]) == (pytest.approx(9), pytest.approx(6))
    assert (saddle["kind"], saddle["ranks"], saddle["index"], saddle["n_zero"]) == ("strict-saddle", [0, 0], 1, 0)
    assert (minimum["kind"], minimum["ranks"], minimum["n_zero"]) == ("global-minimum", [1, 1], 1)
    assert {tuple(orbit["ranks"]) for orbit in found["orbits"]} == {(0, 0), (1, 1)}


def test_zero_modes_meet_both_predictions_on_figure_3(run: Any) -> None:
    found = run("critical", "--example", "fig3", "--json").result
    losses = [point["loss"] for point in found["saddles"]]
    assert losses == pytest.approx([16.850667, 0.32652694, 0.05227755, 0], rel=1e-6, abs=1e-12)
    assert [point["zero_modes_on_omega"] for point in found["saddles"]] == [0, 7, 12, 17]
    assert [point["n_zero"] for point in found["saddles"]] == [0, 7, 12, 17]
    assert [point["zero_modes_bound"] for point in found["saddles"]] == [0, 7, 12, 15]
    assert all(orbit["n_zero"][0] >= orbit["zero_modes_bound"] for orbit in found["orbits"])
    assert {"strict-saddle", "global-minimum"} == {kind for orbit in found["orbits"] for kind in orbit["kinds"]}


def test_the_table_of_critical_points_shows_the_multiplicity_of_figure_4(run: Any) -> None:
    lines = run("critical", "--example", "fig4", "--starts", 3).out.splitlines()
    title = lines.index("critical points that the trajectory passes")
    assert [lines[title + n].split()[:2] for n in (3, 4)] == [["0", "25"], ["1", "5"]]
    assert lines[title + 4].split()[-2:] == ["2", "3"]


def test_orbits_are_listed_by_rank_and_falling_loss(run: Any) -> None:
    lines = run("critical", "--example", "fig3", "--starts", 20).out.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("orbits met by the survey")) + 3
    rows = [line.split()[:2] for line in lines[first : lines.index("", first)]]
    places = [(int(rank), -float(loss)) for rank, loss in rows]
    assert len(places) > 5 and places == sorted(places)


def test_a_plateau_without_a_critical_point_is_not_called_critical(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stalled(objective: Any, theta: np.ndarray, **_: Any) -> None:
        raise critical.NotConverged(1.0, 0.0, 1, theta)

    start = saved_start("start.npz", np.array([[1e-3, 0], [0, 1e-3]]), np.array([[1e-3, 0], [0, 1e-3]]))
    monkeypatch.setattr(gflow, "find_critical_point", stalled)
    found = run("critical", "--example", "slides3", "--start", start, "--starts", 1, "--json").result
    assert found["saddles"][0]["kind"] == "not-critical" and found["survey"] == {"seed": 0, "starts": 1}


# verify


def reported(*claims: Claim) -> types.ModuleType:
    """A stand-in of `gflow.report.verification` whose report holds the given claims."""
    module = types.ModuleType("gflow.report.verification")
    module.calls = []  # type: ignore[attr-defined]

    def verify(problem: gflow.MatrixCompletion, **options: Any) -> Report:
        module.calls.append(options)  # type: ignore[attr-defined]
        return Report(f"On {options['name']}", "α ≤ 1", claims, seed=options["seed"], versions={})

    module.verify = verify  # type: ignore[attr-defined]
    return module


HOLDS = Claim.bounded("sound", "one is at most two", 1.0, None, 2.0)
FALSE = Claim.bounded("false", "three is at most two", 3.0, None, 2.0)


@pytest.mark.parametrize(("claims", "code"), [([HOLDS], 0), ([HOLDS, FALSE], 1), ([], 0)])
def test_the_exit_code_says_whether_a_claim_is_contradicted(
    run: Any, monkeypatch: pytest.MonkeyPatch, claims: list[Claim], code: int
) -> None:
    monkeypatch.setitem(sys.modules, "gflow.report.verification", reported(*claims))
    ran = run("verify", "--example", "slides3")
    assert (ran.code, ran.err) == (code, "")
    assert ("three is at most two" in ran.out) is bool(code) and f"{code} contradicted" in ran.out


def test_verify_prints_the_content_of_the_report_it_writes(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = reported(HOLDS)
    monkeypatch.setitem(sys.modules, "gflow.report.verification", module)
    found = run("verify", "--example", "slides3", "--seed", 3, "--out", "new/report", "--json").result
    assert found == json.loads((tmp_path / "new/report/report.json").read_text(encoding="utf-8"))
    assert found["claims"][0]["id"] == "sound" and found["seed"] == 3
    assert (tmp_path / "new/report/report.html").exists()
    assert run("verify", "--example", "slides3", "--out", "again").out.endswith("report: again/report.html\n")


def test_verify_passes_on_what_was_asked_for(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = reported(HOLDS)
    monkeypatch.setitem(sys.modules, "gflow.report.verification", module)
    run("verify", "--example", "slides3", "--scale", "1e-3", "--seed", 2, "--rank", 1, "--rtol", "1e-6", "--t-end", 9)
    expected = {"name": "slides3", "seed": 2, "scale": 1e-3, "method": "auto", "rtol": 1e-6, "t_end": 9.0}
    assert module.calls == [expected | {"model": gflow.Factorization((2, 2), 1), "drawn": False}]
    start = saved_start("start.npz", np.ones((2, 2)), np.ones((2, 2)))
    run("verify", "--example", "slides3", "--start", start)
    assert module.calls[1]["start"].tolist() == [1.0] * 8 and "scale" not in module.calls[1]


def test_the_theorems_hold_on_a_small_matrix(run: Any, tmp_path: Path) -> None:
    ran = run("verify", "--example", "slides3", "--out", "report", "--json")
    found = ran.result
    assert {"holds"} <= {claim["verdict"] for claim in found["claims"]} and found["summary"]["contradicted"] == 0
    assert ran.out == json.dumps(json.loads((tmp_path / "report/report.json").read_text(encoding="utf-8"))) + "\n"


# refusals

TEXTS = {
    "ragged.csv": "1,2\n3\n",
    "cell.csv": "1,2\n3,x\n",
    "none.csv": "*,*\n",
    "inf.csv": "1,inf\n",
    "complex.csv": "1,2j\n",
    "empty.csv": "",
    "good.csv": "1,2\n3,*\n",
}
BAD_FILES = [
    ("missing.csv", "missing.csv: No such file or directory"),
    (".", ".: Is a directory"),
    ("ragged.csv", "ragged.csv: row 2 (line 2) has 1 cells"),
    ("cell.csv", "cell.csv: row 2, column 2 (line 2) holds 'x'"),
    ("none.csv", "no entry of the 1 x 2 matrix is observed"),
    ("inf.csv", "infinite"),
    ("complex.csv", "complex"),
    ("empty.csv", "empty"),
    ("objects.npy", "pickled objects are refused"),
    ("line.npy", "2 dimensions"),
]
FLOW, GOOD = ("flow", "good.csv"), ("good.csv",)
BAD_USAGE: list[tuple[tuple[str, ...], str]] = [
    ((), "required: COMMAND"),
    (("frobnicate",), "invalid choice: 'frobnicate'"),
    (("flow",), "one of the arguments FILE --example is required"),
    ((*FLOW, "--example", "fig3"), "not allowed with"),
    ((*FLOW, "--frobnicate"), "unrecognized arguments: --frobnicate"),
    (("flow", "--example", "fig33"), "fig3, fig4, m1"),
    *(
        ((*FLOW, "--scale", text), f"--scale: must be a positive finite number; got '{text}'")
        for text in ("0", "-1e-8", "-inf", "nan", "x")
    ),
    ((*FLOW, "--scale", "1e60"), "entries of the start must be at most"),
    ((*FLOW, "--seed", "-1"), "--seed: must be a non-negative integer; got '-1'"),
    ((*FLOW, "--seed", "0.5"), "--seed: must be a non-negative integer"),
    ((*FLOW, "--rank", "0"), "--rank: must be a positive integer; got '0'"),
    ((*FLOW, "--rank", "9" * 12), "not enough memory"),
    ((*FLOW, "--rtol", "1"), "--rtol: must lie between 1e-13 and 0.01; got '1'"),
    ((*FLOW, "--t-end", "-3"), "--t-end: must be a positive finite number"),
    ((*FLOW, "--max-evaluations", "0"), "--max-evaluations: must be a positive integer"),
    ((*FLOW, "--method", "Euler"), "'Euler' (choose from 'auto', 'graded', 'LSODA'"),
    ((*FLOW, "--start", "missing.npz"), "missing.npz: No such file"),
    ((*FLOW, "--start", "good.csv"), "good.csv is not a readable .npz archive"),
    ((*FLOW, "--start", "wide.npz"), "wide.npz: A and B must have shapes (2, 3) and (3, 2); got (4, 3) and (3, 2)"),
    ((*FLOW, "--start", "fit.npz", "--rank", "2"), "fit.npz: A and B must have shapes (2, 2) and (2, 2)"),
    ((*FLOW, "--start", "fit.npz", "--scale", "1"), "leave out --scale"),
    ((*FLOW, "--start", "half.npz"), "half.npz must hold an array named 'B'"),
    ((*FLOW, "--out", "trajectory.csv"), "--out: must be the name of an .npz file"),
    ((*FLOW, "--out", "nowhere/path.npz"), "cannot write nowhere/path.npz: No such file or directory"),
    ((*FLOW, "--out", "good.csv/path.npz"), "cannot write good.csv/path.npz: Not a directory"),
    ((*FLOW, "--out", "folder.npz"), "folder.npz: Is a directory"),
    (("verify", *GOOD, "--out", "good.csv"), "cannot write good.csv: Not a directory"),
    (("verify", *GOOD, "--out", "good.csv/report/deep"), "cannot write good.csv/report/deep: Not a directory"),
    (("verify", *GOOD, "--method", "graded"), "--method"),
    (("critical", *GOOD, "--rank", "300"), "r (d1 + d2) = 1200 exceeds 1000; choose a --rank of at most 250"),
    (("critical", *GOOD, "--starts", "0"), "--starts: must be a positive integer"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with good and bad files."""
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    np.save(tmp_path / "objects.npy", np.array([[None]]), allow_pickle=True)
    np.save(tmp_path / "line.npy", np.ones(3))
    saved_start(str(tmp_path / "wide.npz"), np.ones((4, 3)), np.ones((3, 2)))
    saved_start(str(tmp_path / "fit.npz"), np.ones((2, 3)), np.ones((3, 2)))
    files.write_arrays(tmp_path / "half.npz", A=np.ones((2, 2)))
    (tmp_path / "folder.npz").mkdir()
    return tmp_path


def assert_refused(ran: Ran, message: str, code: int = 2) -> None:
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("gflow: ") and ran.err.count("\n") == 1 and ran.err.endswith("\n")
    assert message in ran.err


@pytest.mark.parametrize(("name", "message"), BAD_FILES, ids=[name for name, _ in BAD_FILES])
@pytest.mark.parametrize("command", [command.name for command in commands.COMMANDS if command.on_matrix])
def test_a_bad_file_is_refused_in_one_line(run: Any, folder: Path, command: str, name: str, message: str) -> None:
    ran = run(command, name, "--json")
    assert_refused(ran, message)
    assert ran.err.count(name) == 1


@pytest.mark.parametrize(("argv", "message"), BAD_USAGE, ids=[" ".join(argv) or "nothing" for argv, _ in BAD_USAGE])
def test_bad_usage_is_refused_in_one_line_and_leaves_nothing(
    run: Any, folder: Path, argv: tuple[str, ...], message: str
) -> None:
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    assert_refused(run(*argv), message)
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before


def test_a_file_name_with_a_line_break_is_still_one_line(run: Any) -> None:
    assert_refused(run("classify", "two\nlines.csv"), "two lines.csv: No such file")


@pytest.mark.parametrize("argv", [("flow", "--out", "nowhere/x.npz"), ("verify", "--out", "good.csv")])
def test_an_output_is_checked_before_anything_is_computed(
    run: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    monkeypatch.setattr(inputs.TrajectoryRequest, "of", lambda *_: pytest.fail("the computation began"))
    assert_refused(run(*argv, "--example", "fig3"), "cannot write")


def test_an_output_that_fails_at_the_end_is_refused(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any, path: str) -> None:
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr(gflow.Trajectory, "save", full)
    assert_refused(run("flow", "--example", "slides3", "--out", "x.npz"), "x.npz: No space left on device")


def test_a_failed_integration_is_one_line_with_advice(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise flow.IntegrationFailed("LSODA gave up at t = 3:\nstep too small")

    monkeypatch.setattr(gflow, "gradient_flow", failing)
    assert_refused(run("flow", "--example", "fig3"), "LSODA gave up at t = 3: step too small; try another --method")


@pytest.mark.parametrize("error", [ValueError("defect"), RuntimeError("defect"), AttributeError("defect")])
def test_a_defect_of_the_program_keeps_its_traceback(
    run: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def defective(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(gflow, "gradient_flow", defective)
    with pytest.raises(type(error), match="defect"):
        run("flow", "--example", "fig3")


def test_ctrl_c_is_one_line(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gflow, "gradient_flow", interrupted)
    assert_refused(run("flow", "--example", "fig3"), "gflow: interrupted", 130)


@given(value=st.one_of(st.floats(), st.integers(), st.text(max_size=6)))
def test_exactly_the_positive_finite_numbers_are_scales(value: Any) -> None:
    try:
        usable = 0 < float(str(value)) < np.inf
    except ValueError:
        usable = False
    if usable:
        assert values.positive(str(value)) == float(str(value))
    else:
        with pytest.raises(values.argparse.ArgumentTypeError, match="must be a positive finite number"):
            values.positive(str(value))


# agreement with the library


def test_the_options_admit_what_the_library_admits() -> None:
    assert {"auto", "graded", *flow.integration.METHODS} == set(values.METHODS)
    assert commands.LARGEST_DIMENSION == critical.spectra.DENSE_LIMIT
    model, theta = theta_of((2, 2), 0, 1.0)
    objective = gflow.Objective.of(example("slides3"), model)
    for rtol in (values.SMALLEST_RTOL, values.LARGEST_RTOL):
        gflow.gradient_flow(objective, theta, rtol=rtol, t_end=1e-3)
    for rtol in (values.SMALLEST_RTOL / 2, values.LARGEST_RTOL * 2):
        with pytest.raises(ValueError, match="rtol"):
            gflow.gradient_flow(objective, theta, rtol=rtol)


def test_every_shipped_matrix_is_an_example(run: Any) -> None:
    for name in example_names():
        assert run("classify", "--example", name, "--json").result["n_observed"] == example(name).n_observed


# output


def test_a_new_subcommand_is_one_entry_of_the_table() -> None:
    command = Command(
        "double", "print twice the number of starts", lambda given: Outcome({}, list), ("--starts",), False
    )
    given_arguments = parsed((*commands.COMMANDS, command), ["double", "--starts", "4", "--json"])
    assert (given_arguments.starts, given_arguments.json) == (4, True) and given_arguments.run is command.run


def test_json_holds_null_where_a_number_is_not_finite() -> None:
    payload = {
        "a": np.array([1.0, np.nan]),
        "b": (np.inf, True, None),
        "c": np.float64(2.0),
        "d": {"e": flow.Status.BUDGET},
    }
    expected = {"a": [1.0, None], "b": [None, True, None], "c": 2.0, "d": {"e": "budget"}}
    assert json.loads(Outcome(payload, list).json()) == expected


def test_warnings_are_shown_in_one_line_after_the_results(
    run: Any, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    def warned(given_arguments: Namespace) -> Outcome:
        for _ in range(2):
            warnings.warn("the step\nis small", RuntimeWarning, stacklevel=1)
        return Outcome({}, list)

    warnings.simplefilter("always")
    monkeypatch.setattr("gflow.cli.COMMANDS", (Command("warn", "warn", warned, (), False),))
    ran = run("warn", "--json")
    assert (ran.code, ran.out, ran.err) == (0, "{}\n", "gflow: warning: the step is small\n")


def test_plain_tables_depend_on_columns_alone(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    printed = run("critical", "--example", "m2").out
    narrow = run("limit", "--example", "fig3").out
    assert "left out" not in narrow
    for columns, dropped in (("80", True), ("120", False), ("0", False), ("wide", False)):
        monkeypatch.setenv("COLUMNS", columns)
        said = run("limit", "--example", "fig3").out
        assert ("left out at 80 characters a line: plateau time, exponents" in said) == dropped
        assert max(map(len, said.splitlines())) <= (int(columns) if dropped else PLAIN_WIDTH)
    monkeypatch.delenv("COLUMNS")
    for name, value in {"FORCE_COLOR": "1", "TERM": "dumb", "TTY_COMPATIBLE": "1"}.items():
        monkeypatch.setenv(name, value)
    assert run("critical", "--example", "m2").out == printed
    assert printed.isascii() and "\x1b" not in printed
    assert all(len(line) <= PLAIN_WIDTH and line == line.rstrip() for line in printed.splitlines())


def test_a_large_matrix_is_left_to_json(run: Any) -> None:
    name = saved("m.npy", np.outer(np.arange(1, 13), np.ones(12)))
    assert "12 x 12, see --json" in run("flow", name, "--rank", 1).out
    assert len(run("flow", name, "--rank", 1, "--json").result["matrix"]) == 12


def test_a_matrix_that_is_not_printed_is_kept_by_the_option_that_is_named(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "LARGEST_MATRIX", 3)
    assert "W has more than 3 entries; --out FILE keeps its factors" in run("flow", "--example", "slides3").out
    run("flow", "--example", "slides3", "--out", "path.npz")
    assert Path("path.npz").exists()


def test_a_matrix_too_large_for_a_survey_at_any_width_is_not_advised_a_smaller_one(run: Any) -> None:
    name = saved("long.npy", np.ones((1, 1000)))
    assert_refused(run("critical", name), "the matrix is too large for a survey even at --rank 1")


def test_a_survey_shows_which_start_it_is_at(run: Any) -> None:
    arguments = parsed(commands.COMMANDS, ["critical", "--example", "slides3", "--starts", "3"])
    asked, told = inputs.TrajectoryRequest.of(arguments), []
    survey.surveyed(asked, asked.trajectory(), 3, told.append)
    assert told == ["start 1 of 3", "start 2 of 3", "start 3 of 3"]


@pytest.mark.parametrize("command", ["flow", "verify", "ledger"])
def test_the_cost_of_a_large_default_width_is_said_before_it_is_spent(
    run: Any, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(inputs, "COSTLY", 7)
    monkeypatch.setattr(inputs, "ADVISED", 1)
    monkeypatch.setitem(sys.modules, "gflow.report.verification", reported(HOLDS))
    said = run(command, "--example", "slides3", "--json").err
    assert re.fullmatch(
        r"gflow: width 2: 8 numbers, one evaluation takes about \S+ s; try --rank 1, or gflow limit\n", said
    )
    assert run(command, "--example", "slides3", "--rank", "2").err == ""
    monkeypatch.setattr(inputs, "COSTLY", 8)
    assert run(command, "--example", "slides3").err == ""


def test_help_and_version_need_no_numpy_and_classify_no_scipy() -> None:
    code = "import sys; from gflow.cli import main; print(main({}), [m for m in {} if m in sys.modules])"
    heavy = ["numpy", "rich", "gflow.files", "networkx", "matplotlib", "scipy"]
    said = python("; ".join(code.format(argv, heavy) for argv in (["--help"], ["flow", "--help"], ["--version"])))
    assert said.endswith("\n0 []\n") and said.splitlines().count("0 []") == 3
    classified = ["classify", "--example", "fig3", "--json"]
    assert python(code.format(classified, ["rich", "matplotlib", "scipy.integrate", "sympy"])).endswith("\n0 []\n")
    flow = ["flow", "--example", "fig4"]
    absent = ["gflow.statements", "gflow.report.pages", "gflow.explore", "asyncio", "matplotlib", "cvxpy", "sympy"]
    assert python(code.format(flow, absent)).endswith("\n0 []\n")
    verify = ["verify", "--example", "slides2", "--json"]
    assert python(code.format(verify, ["matplotlib", "gflow.explore", "tornado"])).endswith("\n0 []\n")


def test_help_states_the_exit_codes(run: Any) -> None:
    ran = run("--help")
    assert ran.code == 0 and "2 bad usage or input" in " ".join(ran.out.split())
    assert run("--version").out == f"gflow {gflow.__version__}\n"


# processes


def test_the_entry_point_runs_and_reads_standard_input() -> None:
    done = process("classify", "-", "--json", input="1,2\n3,*\n")
    assert (done.returncode, done.stderr) == (0, "") and json.loads(done.stdout)["kind"] == "connected"
    done = process("classify", "-", input="1,x\n")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_an_interrupt_of_a_long_run_is_one_line_and_leaves_no_file(tmp_path: Path) -> None:
    out = tmp_path / "path.npz"
    code = (
        "import signal, sys, gflow.flow, scipy.integrate\n"
        "from gflow.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "step = gflow.flow.run.Run.step\n"
        "def announced(self):\n"
        "    gflow.flow.run.Run.step = step\n"
        "    print('running', flush=True)\n"
        "    step(self)\n"
        "gflow.flow.run.Run.step = announced\n"
        f"sys.exit(main({[*SLOW, '--out', str(out)]}))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None and running.stdout.readline() == "running\n"
        running.send_signal(signal.SIGINT)
        rest, err = running.communicate(timeout=60)
    assert (running.returncode, rest, err) == (130, "", "gflow: interrupted\n")
    assert os.listdir(tmp_path) == []


def test_an_interrupt_while_the_command_loads_is_one_line() -> None:
    code = (
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'gflow.cli.arguments':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "import gflow.cli\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "gflow: interrupted\n")


def test_a_reader_that_went_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    for argv in (["classify", "--example", "fig3"], ["--help"]):
        done = process(*argv, capture_output=False, stdout=writing, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr) == (0, "")
    os.close(writing)


@pytest.mark.parametrize("target", ["&-", "/dev/full"])
def test_an_output_that_cannot_be_written_is_one_line(target: str) -> None:
    if target == "/dev/full" and not os.path.exists(target):
        pytest.skip("no such device")
    command = f'"{sys.executable}" -m gflow classify --example fig3 >{target}'
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.startswith("gflow: standard output") and done.stderr.count("\n") == 1


def test_an_output_that_knows_only_ascii_gets_the_same_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gflow.report.verification", reported(HOLDS))
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["verify", "--example", "slides3", "--json"]) == 0
    printed = stream.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert json.loads(printed)["lead"] == "α ≤ 1"
    assert json.loads(printed) == json.loads(report_json(Report("On slides3", "α ≤ 1", [HOLDS], seed=0, versions={})))


# the recipe


def test_the_recipe_prints_the_escape_of_every_saddle(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = runpy.run_path(str(ROOT / "scripts" / "escape_directions.py"))["main"]
    recipe(["--example", "fig4"])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("saddle")] == [
        "saddle of rank 0 and loss 25",
        "saddle of rank 1 and loss 5",
    ]
    assert lines[2] == "  lambda_1 = 2 sigma_1 / n = 4; from the Hessian 4"
    assert lines[8] == "  multiplicity r - dim S = 3; from the Hessian 3"
    with pytest.raises(SystemExit, match="2"):
        recipe(["missing.csv"])
