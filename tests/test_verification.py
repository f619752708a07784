"""The main job on the published matrices: the numbers of the paper, the same bytes every time, red when it must be."""

from __future__ import annotations

import json
import runpy
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles import TRAJECTORY

import gflow
import gflow.data
from gflow.data import example
from gflow.plots import EntryStatus
from gflow.report import Report, report_html, report_json, report_markdown
from gflow.report.tables import saddle_table
from gflow.report.verification import matrix_view, verify
from gflow.statements import Evidence, Statement, StatementKind, assumption1, conservation, derivatives
from gflow.statements.claims import Claim, Verdict, exit_code

FEW = (assumption1.STATEMENT, conservation.STATEMENT)
GAP = np.nan
SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "verify_theorems.py"


@cache
def verified(name: str) -> Report:
    return verify(example(name), name=name, statements=TRAJECTORY)


def column(source: Report | Evidence, name: str) -> list[Any]:
    """Return a column of the table of saddles."""
    table = saddle_table(source) if isinstance(source, Evidence) else source.tables[0]
    return [row[table.columns.index(name)] for row in table.rows]


def verdict_of(report: Report, id: str) -> str:
    return str(next(claim.verdict for claim in report.claims if claim.id == id))


def test_the_saddles_of_figure_3_have_the_published_losses() -> None:
    report = verified("fig3")
    assert column(report, "loss") == pytest.approx([16.850667, 0.32652694, 0.05227755], rel=1e-6)
    assert column(report, "k") == [0, 1, 2]
    assert column(report, "ranks of W, A, B") == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]
    assert column(report, "zero modes") == [0, 7, 12]


def test_figure_3_ends_at_rank_3_with_the_missing_entry() -> None:
    report = verified("fig3")
    assert report.matrix is not None
    W = report.matrix.values
    assert W[1, 3] == pytest.approx(1.2, abs=1e-6)
    expected = [15.7792471, 2.0950802, 0.9088445, 0.0]
    assert np.linalg.svd(W, compute_uv=False) == pytest.approx(expected, abs=1e-6)
    assert report.matrix.statuses[1][3] is EntryStatus.DETERMINED
    assert report.matrix.counts()[EntryStatus.OBSERVED] == 15


def test_the_saddles_of_figure_4_have_the_published_losses_and_multiplicity() -> None:
    report = verified("fig4")
    assert column(report, "loss") == pytest.approx([25.0, 5.0], rel=1e-9)
    assert column(report, "multiplicity") == column(report, "multiplicity predicted") == [3, 3]
    assert report.matrix is not None
    assert report.matrix.counts() == {EntryStatus.OBSERVED: 5, EntryStatus.SEED_DEPENDENT: 4}
    W = report.matrix.values
    assert W[0, 1] == pytest.approx(W[1, 0], abs=1e-5)
    assert np.linalg.svd(W, compute_uv=False).sum() == pytest.approx(15.0, abs=1e-5)


@pytest.mark.parametrize("name", ["fig3", "fig4"])
def test_no_claim_of_a_published_figure_is_contradicted(name: str) -> None:
    report = verified(name)
    assert exit_code(report.claims) == 0
    assert {claim.verdict for claim in report.claims} <= {Verdict.HOLDS, Verdict.HYPOTHESIS_NOT_MET}
    assert verdict_of(report, "prop2.1") == ("holds" if name == "fig4" else "hypothesis-not-met")


def test_the_report_has_the_figures_tables_and_keys_that_readers_rely_on() -> None:
    report = verified("fig4")
    data = json.loads(report_json(report))
    assert {"claims", "seed", "versions"} <= set(data) and data["seed"] == 0
    assert set(data["claims"][0]) == {"id", "statement", "verdict", "measured", "allowed", "reason"}
    trajectory = {"observation-graph", "loss", "gradient-norm", "singular-values"}
    limit = {"limit-convergence", "plateau-times", "chain-of-losses", "polar-view"}
    assert trajectory | limit <= set(data["figures"]) and data["configuration"]["figures_left_out"] == {}
    completions = next(table["rows"] for table in data["tables"] if table["name"] == "completions")
    assert {"limit", "greedy low rank"} <= {row[0] for row in completions}
    assert {"saddles", "components", "equations"} <= {table["name"] for table in data["tables"]}
    page = report_html(report)
    assert "prop2 · theorem<br>Bai et al. 2024, Proposition 2" in page and "the observation graph has" in page
    (asked,) = (each for each in data["statements"] if each["id"] == "prop2")
    assert asked["verdict"] == "holds" and asked["claims"][0] == "prop2.1" and asked["formula"]
    assert "counted from 0" in data["counting"] and data["answer"]["rank"] == 2
    graphs = next(table["rows"] for table in data["tables"] if table["name"] == "components")
    assert graphs[0][1:3] == [[0, 2], [0, 2]] and "<td>1, 3</td>" in page
    assert "| thm1 | theorem | Bai et al. 2024, Theorem 1 |" in report_markdown(report)
    equations = next(table["rows"] for table in data["tables"] if table["name"] == "equations")
    assert {block for block, _ in equations} == {"rows 1, 3; columns 1, 3", "rows 2; columns 2"}
    assert len(equations) == 18


def test_a_figure_that_is_left_out_is_named_in_the_configuration_with_its_reason() -> None:
    nearly = gflow.MatrixCompletion([[0, 1], [1 + 1e-12, np.nan]])
    report = verify(nearly, name="nearly equal rates", statements=FEW)
    assert "limit-convergence" not in {figure.name for figure in report.figures}
    left_out = report.configuration["figures_left_out"]
    assert set(left_out) == {"limit-convergence", "plateau-times", "chain-of-losses", "polar-view"}
    assert all("there is no limit: the traversal is degenerate" in reason for reason in left_out.values())


def test_what_is_too_large_to_be_shown_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gflow.report.trajectory_figures.MOST_EDGES", 4)
    monkeypatch.setattr("gflow.report.trajectory_figures.MOST_WORK", 1e2)
    monkeypatch.setattr("gflow.report.verification.LARGEST_VIEW", 8)
    report = verify(example("fig4"), name="fig4", statements=FEW)
    left_out = report.configuration["figures_left_out"]
    assert left_out["observation-graph"] == "not drawn with 5 edges, which exceed 4"
    assert "states of 3 x 3 take too long" in left_out["singular-values"]
    assert left_out["matrix"] == "not listed with 9 entries, which exceed 8" and report.matrix is None
    assert {"loss", "gradient-norm"} <= {figure.name for figure in report.figures} and len(left_out) == 4
    assert "not drawn with 5 edges" in report_html(report)


@pytest.mark.slow
def test_of_many_singular_values_the_largest_are_drawn_and_all_are_data(monkeypatch: pytest.MonkeyPatch) -> None:
    from gflow.report import trajectory_figures

    widths, draw = [], trajectory_figures.draw_singular_values

    def watched(times: Any, values: Any, ax: Any, **style: Any) -> Any:
        widths.append(values.shape[1])
        return draw(times, values, ax, **style)

    monkeypatch.setattr(trajectory_figures, "draw_singular_values", watched)
    monkeypatch.setattr(trajectory_figures, "MOST_LINES", 2)
    report = verify(example("fig4"), name="fig4", statements=FEW)
    figure = next(figure for figure in report.figures if figure.name == "singular-values")
    assert widths.count(2) >= 4 and figure.data["sigma_A"].shape[1] == 3
    assert figure.caption.startswith("The 2 largest singular values along the trajectory")


def test_a_report_that_is_not_written_has_no_figures_and_the_same_claims() -> None:
    plain, whole = verify(example("fig4"), name="fig4", statements=TRAJECTORY, drawn=False), verified("fig4")
    assert plain.figures == () and len(whole.figures) == 9
    assert [claim.to_dict() for claim in plain.claims] == [claim.to_dict() for claim in whole.claims]
    assert set(plain.configuration["figures_left_out"]) == {figure.name for figure in whole.figures}


def test_greedy_learning_and_the_limit_differ_on_disconnected_data_alone() -> None:
    for name, apart in (("fig3", False), ("fig4", True)):
        table = next(table for table in verified(name).tables if table.name == "completions")
        row = next(row for row in table.rows if row[0] == "greedy low rank")
        distance = row[list(table.columns).index("distance to limit")]
        assert (distance > 0.1) is apart and (apart or distance < 1e-6)


def test_the_data_of_the_figures_are_those_of_the_trajectory_in_the_units_of_the_matrix() -> None:
    report = verified("fig3")
    loss = next(figure.data for figure in report.figures if figure.name == "loss")
    values = next(figure.data for figure in report.figures if figure.name == "singular-values")
    assert loss["loss"][0] == pytest.approx(16.850667, rel=1e-6)
    assert values["sigma_W"][-1][:3] == pytest.approx([15.7792471, 2.0950802, 0.9088445], abs=1e-6)
    assert values["sigma_A"][-1] == pytest.approx(np.sqrt(values["sigma_W"][-1]), abs=1e-3)  # balanced
    assert len(loss["time"]) == len(values["time"]) <= 1500


@pytest.mark.slow
def test_equal_arguments_give_equal_bytes() -> None:
    options: dict[str, Any] = {"name": "slides3", "seed": 7, "statements": FEW}
    first, second = (verify(example("slides3"), **options) for _ in range(2))
    for render in (report_html, report_json, report_markdown):
        assert render(first) == render(second)


def test_a_given_start_and_a_seed_with_a_scale_lead_to_the_same_study() -> None:
    problem = example("slides3")
    start = gflow.Factorization(problem.shape).random(np.random.default_rng(3), 1e-6)
    given, drawn = Evidence.of(problem, start=start, seed=3), Evidence.of(problem, scale=1e-6, seed=3)
    assert saddle_table(given).to_dict() == saddle_table(drawn).to_dict()
    assert np.array_equal(given.trajectory.states, drawn.trajectory.states)
    assert not np.array_equal(given.start, Evidence.of(problem, scale=1e-6, seed=4).start)


def test_a_statement_of_a_user_joins_the_report_without_the_registry() -> None:
    def own(given: Evidence) -> Claim:
        return Claim.bounded("own", "the trajectory has an end", len(given.trajectory.times), 1.0)

    mine = Statement("own", "the trajectory has an end", own, "me", StatementKind.CHECK)
    report = verify(example("slides2"), statements=["assumption1", conservation.STATEMENT, mine], drawn=False)
    assert [claim.id for claim in report.claims][-2:] == ["conservation.loss", "own"]
    assert len(report.claims) == 5
    with pytest.raises(ValueError, match="unknown statement 'thm9'; known are prop1, "):
        verify(example("slides2"), statements=["thm9"])


def test_a_wrong_gradient_makes_the_exit_code_one() -> None:
    def wrong(problem: Any, model: Any) -> gflow.Objective:
        true = gflow.Objective.of(problem, model)
        return replace(true, gradient=lambda theta: 0.5 * true.gradient(theta))

    claims = derivatives.STATEMENT.claims(Evidence.of(example("slides2"), objective=wrong))
    assert exit_code(claims) == 1
    assert [claim.id for claim in claims if claim.verdict is Verdict.CONTRADICTED] == ["derivatives.gradient"]


EDGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "all zero": (np.zeros((2, 3)), {}),
    "large entries": (np.array([[1.0, 2.0], [3.0, GAP]]) * 3e149, {"scale": 1e67}),
    "small entries": (np.array([[1.0, 2.0], [3.0, GAP]]) * 1e-150, {}),
    "one step": (np.array([[1.0, 2.0], [3.0, GAP]]), {"max_evaluations": 1}),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", EDGES)
def test_a_report_can_be_rendered_at_the_edges(case: str) -> None:
    values, options = EDGES[case]
    report = verify(gflow.MatrixCompletion(values), name=case, statements=FEW, **options)
    assert exit_code(report.claims) == 0
    assert case in report_html(report) and json.loads(report_json(report))["matrix"]["values"]


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_a_rescaled_matrix_gives_rescaled_tables(factor: float) -> None:
    problem = example("slides3")
    plain = Evidence.of(problem, scale=1e-8)
    scaled = Evidence.of(problem.rescaled(factor), scale=1e-8 * np.sqrt(factor))
    assert np.array(column(scaled, "loss")) == pytest.approx(np.array(column(plain, "loss")) * factor**2, rel=1e-9)
    assert np.array(column(scaled, "escape rate")) == pytest.approx(
        np.array(column(plain, "escape rate")) * factor, rel=1e-9
    )
    assert matrix_view(scaled).values == pytest.approx(matrix_view(plain).values * factor, rel=1e-5)


def test_entries_whose_hypotheses_fail_are_left_undecided() -> None:
    assert matrix_view(Evidence.of(example("zero_coupled"))).statuses[1][1] is EntryStatus.SEED_DEPENDENT
    assert matrix_view(Evidence.of(example("slides3"))).statuses[1][1] is EntryStatus.DETERMINED
    assert matrix_view(Evidence.of(example("slides3"), max_evaluations=9)).statuses[1][1] is EntryStatus.UNDECIDED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "Euler"}, "method must be"),
        ({"scale": -1.0}, "scale must be a positive finite number"),
        ({"rank": 0}, "rank must be a positive integer"),
        ({"start": np.zeros(3)}, r"start must have shape \(8,\)"),
        ({"rtol": 1.0}, "rtol must lie between"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        verify(example("slides2"), statements=FEW, **options)


def test_the_script_writes_a_report_for_every_matrix_and_a_page_that_leads_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) <= 40
    monkeypatch.setattr(gflow.data, "example_names", lambda: ("slides2",))
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert ended.value.code == 0
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "slides2/report.html" in page and (tmp_path / "out" / "slides2" / "report.json").is_file()
    assert capsys.readouterr().out.startswith("slides2 ")
