"""What notebooks show: every record as HTML that is whole, harmless and says what the record says."""

from __future__ import annotations

import builtins
import re
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

import gflow
from gflow import show
from gflow.data import example
from gflow.show.drawings import staircase

matplotlib.use("Agg")
HOSTILE = "<script>x()</script>"


@pytest.fixture(scope="module")
def records() -> dict[str, Any]:
    """One record of every kind that shows itself."""
    fig3, fig4 = example("fig3"), example("fig4")
    named = gflow.MatrixCompletion(fig3.with_gaps(), row_names=["a", "b", HOSTILE, ""], column_names=list("wxyz"))
    model = gflow.Factorization(fig3.shape)
    objective = gflow.Objective.of(fig3, model)
    limit = gflow.saddle_to_saddle(named)
    point = gflow.classify(objective, limit.saddles[1].theta)
    report = gflow.verify(fig3, statements=["prop2", "thm4"], drawn=False)
    landscape = gflow.landscape([[3.0, 0.0], [0.0, 1.0]])
    return {
        "Landscape": landscape,
        "Node": landscape.nodes[0],
        "Explanation": gflow.explain(named, name=HOSTILE),
        "MatrixCompletion": named,
        "MatrixSensing": gflow.MatrixSensing.of_completion(fig3),
        "Completion": gflow.minimum_nuclear_norm(fig3),
        "RankBracket": gflow.minimum_rank(fig3),
        "Connectivity": gflow.connectivity(fig4),
        "Traversal": limit,
        "DeepTraversal": gflow.saddle_to_saddle(fig4, depth=3),
        "SymmetricTraversal": gflow.symmetric_traversal([[2, 1, np.nan], [1, np.nan, 1], [np.nan, 1, 3]]),
        "Trajectory": gflow.gradient_flow(objective, model.random(0, 1e-3)),
        "CriticalPoint": point,
        "Spectrum": point.spectrum,
        "Claim": report.claims[0],
        "Report": report,
        "Ledger": gflow.Ledger({claim.id: claim for claim in report.claims}, {}, 0),
    }


def words(html: str) -> str:
    """Return the text of a fragment, which must be well-formed."""
    return " ".join(" ".join(ElementTree.fromstring(f"<div>{html}</div>").itertext()).split())


def shades(html: str, kind: str) -> list[str]:
    """Return the entries of a matrix that have the look of one kind."""
    return re.findall(rf"<td [^>]*{re.escape(show.elements.TINTS[kind])}[^>]*>([^<]*)</td>", html)


@pytest.mark.parametrize("kind", show.RENDERERS)
def test_every_record_is_shown_without_scripts_or_anything_to_load(records: dict[str, Any], kind: str) -> None:
    html = records[kind]._repr_html_()
    assert words(html)
    assert HOSTILE not in html and not re.search(
        r"<(script|style|link|iframe|img)|https?://(?!www\.w3\.org)|url\((?!#)", html
    )


def test_observed_learned_and_open_entries_are_told_apart(records: dict[str, Any]) -> None:
    html = records["Traversal"]._repr_html_()
    assert shades(html, "determined") == ["1.2"] and len(shades(html, "observed")) == 15
    text = words(html)
    assert HOSTILE in text and "rank 3" in text and "nuclear norm 18.7832" in text and "16.8507" in text
    opened = gflow.saddle_to_saddle(example("fig4"))._repr_html_()
    assert len(shades(opened, "depends")) == 4 and "0 ± 1.29" in shades(opened, "depends")
    assert shades(opened, "determined") == []
    assert len(shades(records["MatrixCompletion"]._repr_html_(), "gap")) == 1


def test_a_given_start_leaves_nothing_open() -> None:
    html = gflow.saddle_to_saddle(example("fig4"), rng=np.random.default_rng(0))._repr_html_()
    assert shades(html, "depends") == [] and len(shades(html, "determined")) == 4


def test_large_matrices_and_tables_are_cut_and_say_so() -> None:
    html = gflow.MatrixCompletion(np.ones((60, 50)))._repr_html_()
    assert "60 × 50 in all" in words(html) and html.count("<td") < 400
    assert "1 more" in words(show.elements.table(("x",), [(k,) for k in range(21)]))


@pytest.mark.parametrize("kind", show.DRAWINGS)
def test_plots_draw_on_the_axes_they_are_given_and_return_them(records: dict[str, Any], kind: str) -> None:
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert records[kind].plot(ax) is ax and ax.has_data()
    assert pyplot.get_fignums() == []


def test_a_plot_without_axes_is_a_new_figure_and_leaves_the_settings_alone(records: dict[str, Any]) -> None:
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    ax = records["Traversal"].plot(color="black")
    assert pyplot.get_fignums() == [ax.figure.number] and ax.lines[0].get_color() == "black"
    pyplot.close(ax.figure)
    assert dict(matplotlib.rcParams) == before


def test_the_staircase_is_the_sum_of_the_chains() -> None:
    times, losses = staircase(gflow.saddle_to_saddle(example("fig4")))
    assert times == pytest.approx([0.0, 0.25, 0.5]) and losses == pytest.approx([25.0, 5.0, 0.0])


@pytest.mark.parametrize("kind", show.TABLES)
def test_tables_are_data_frames(records: dict[str, Any], kind: str) -> None:
    pandas = pytest.importorskip("pandas")
    frame = records[kind].to_frame()
    assert isinstance(frame, pandas.DataFrame) and len(frame)


def test_frames_hold_what_the_records_hold(records: dict[str, Any]) -> None:
    pytest.importorskip("pandas")
    problem, limit, report = (records[kind] for kind in ("MatrixCompletion", "Traversal", "Report"))
    frame = problem.to_frame()
    assert gflow.MatrixCompletion(frame) == problem and list(frame.columns) == list("wxyz")
    assert limit.to_frame()["loss"].tolist() == [saddle.loss for saddle in limit.saddles]
    assert report.to_frame().loc["thm4", "verdict"] == "hypothesis-not-met"


def test_a_frame_without_pandas_says_what_to_install(records: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install pandas, or use to_dict\(\)"):
        records["Spectrum"].to_frame()


def test_the_saddles_of_a_limit_are_points_of_the_whole_model(records: dict[str, Any]) -> None:
    fig3 = example("fig3")
    model = gflow.Factorization(fig3.shape)
    objective = gflow.Objective.of(fig3, model)
    limit = records["Traversal"]
    for saddle in limit.saddles:
        assert saddle.theta.shape == (model.dim,)
        assert objective.value(saddle.theta) == pytest.approx(saddle.loss, abs=1e-12)
        assert np.abs(objective.gradient(saddle.theta)).max() < 1e-7
    with pytest.raises(ValueError, match=r"take it from limit\.saddles"):
        _ = limit.chains[0].saddles[0].theta


def test_a_limit_keeps_the_names_and_the_mask_through_a_file(records: dict[str, Any], tmp_path: Any) -> None:
    records["Traversal"].save(tmp_path / "limit.npz")
    found = gflow.Traversal.load(tmp_path / "limit.npz")
    assert found._repr_html_() == records["Traversal"]._repr_html_()
    assert found.row_names == ("a", "b", HOSTILE, None)


def test_a_problem_is_ready_for_json(records: dict[str, Any]) -> None:
    import json

    found = json.loads(json.dumps(records["MatrixCompletion"].to_dict()))
    assert (found["shape"], found["n_observed"], found["values"][:2]) == ([4, 4], 15, [4.0, 0.6])
    assert found["row_names"][:2] == ["a", "b"] and len(found["rows"]) == 15
