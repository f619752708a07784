"""Words for people: sentences with their mathematics, formulas, intervals, and tables without empty columns."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, strategies as st

from gflow.plots import Drawing, composite
from gflow.report import Figure, Report, Table, format_interval, write_report
from gflow.report.formulas import mathml
from gflow.report.labels import column_label, line_labels, row_label
from gflow.report.numbers import format_measured
from gflow.report.views import grid
from gflow.report.words import evidence, measure, typeset
from gflow.statements import statements
from gflow.statements.claims import Claim, Finding


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Omega_k lies in Omega_(k+1)", "Ω<sub><i>k</i></sub> lies in Ω<sub>k+1</sub>"),
        ("A^T A - B B^T", "<i>A</i><sup>T</sup> A − B <i>B</i><sup>T</sup>"),
        ("alpha below 10^-5.83", "<i>α</i> below 10<sup>−5.83</sup>"),
        ("max|P o (W - M)| = 8.9e-15", "max|<i>P</i> ∘ (W − M)| = 8.9\u00a0×\u00a010⁻¹⁵"),
        ("4 x 4, sigma_1 <= 2 lambda_max", "4 × 4, <i>σ</i><sub>1</sub> ≤ 2 <i>λ</i><sub>max</sub>"),
        ("n_steps, row_names, sub-total, deltas", "n_steps, row_names, sub-total, deltas"),
        ("<b>W_0</b> & co", "&lt;b&gt;<i>W</i><sub>0</sub>&lt;/b&gt; &amp; co"),
    ],
)
def test_sentences_are_set_as_on_paper(said: str, shown: str) -> None:
    assert str(typeset(said)) == shown


@given(st.text(alphabet="<>&\"'_^()-+ ABeTk10xOmegalphsi.", max_size=40))
def test_whatever_is_said_is_inert(said: str) -> None:
    root = ElementTree.fromstring(f"<p>{typeset(said)}</p>")
    assert {element.tag for element in root.iter()} <= {"p", "i", "sub", "sup"} and not any(
        e.attrib for e in root.iter()
    )


def test_every_formula_of_ours_is_typeset() -> None:
    for each in statements():
        assert not each.formula or str(mathml(each.formula)).startswith('<math display="block">'), each.id


@pytest.mark.parametrize(
    "tex",
    [r"\href{javascript:alert(1)}{x}", r"\text{<b>}", r"\class{a}{b}", r"\style{color:red}{x}", "a_b_c", "{", "&", ""],
)
def test_a_formula_that_links_restyles_or_cannot_be_read_is_inert(tex: str) -> None:
    root = ElementTree.fromstring(f"<p>{mathml(tex)}</p>")
    assert not {"a", "b", "script"} & {element.tag for element in root.iter()}
    assert not {"href", "class", "style", "id"} & {key for e in root.iter() if e.tag != "code" for key in e.attrib}


def test_signs_and_indices_of_a_formula_stand_where_they_belong() -> None:
    root = ElementTree.fromstring(str(mathml(r"\lim_{\alpha \to 0} W = -|\nabla R|")))
    assert root.find(".//munder") is not None
    (sign,) = (each for each in root.iter("mo") if each.text == "−")
    assert sign.get("form") == "prefix" and {e.get("stretchy") for e in root.iter("mo") if e.text == "|"} == {"false"}


@pytest.mark.parametrize(
    ("allowed", "measured", "shown"),
    [
        ((16.8506665, 16.8506675), 16.850667, ("16.850667", "[16.8506665, 16.8506675]")),
        ((0.95, None), 1.00001, ("1.00001", "≥\u00a00.95")),
        ((None, 1.0), 1.0 + 1e-9, ("1.000000001", "≤\u00a01")),
        ((3, 3), 3, ("3", "=\u00a03")),
        ((0.0, 1.0), 0.0707049691, ("0.070705", "[0, 1]")),
    ],
)
def test_numbers_print_the_digits_in_which_they_differ(allowed: tuple, measured: float, shown: tuple) -> None:
    assert (format_measured(measured, allowed), format_interval(allowed, measured)) == shown


def test_what_was_found_and_what_is_asked_have_their_own_words() -> None:
    def words(measured: float, low: float | None, high: float | None, reason: str = "of 3") -> list[str]:
        return [name for name, _ in measure(Claim.bounded("c", "s", measured, low, high, reason=reason))]

    assert words(0.1, 0, 1, "in units of rounding") == ["error in units of its bound", "allowed"]
    assert words(0, 0, 0) == ["counterexamples", "allowed"] and words(3, 3, 3) == ["found", "expected"]
    assert words(1, 0.95, None) == ["found", "at least"] and words(0.5, 0, 1) == ["found", "at most"]
    assert words(0.6, 0.5, 1) == ["found", "allowed"] and measure(Claim.unmet("c", "s", "r")) == []


def test_hypotheses_are_told_once() -> None:
    findings = (Finding("connected", False, "in two parts"), Finding("full width", True))
    listed = "; ".join(map(str, findings))
    claim = Claim(
        "c", "s", "hypothesis-not-met", 3, None, f"not met: connected; rank 3; hypotheses: {listed}", findings
    )
    assert evidence(claim) == "rank 3"
    assert evidence(Claim.unmet("c", "s", "not met: connected; rank 3")) == "not met: connected; rank 3"


def test_columns_that_say_nothing_shrink_to_a_note_and_lines_have_their_labels() -> None:
    rows = [[[0, 2], 1.0, None, "flint is missing"], [[1], 2.0, None, "flint is missing"]]
    found = grid(Table("t", "c", ("rows", "loss", "radius", "reason"), rows, lines={"rows": ("a", "b", "3")}))
    assert [name for name, _ in found.columns] == ["rows", "loss"] and found.rows == (("a, 3", "1"), ("b", "2"))
    assert found.notes == ("reason: flint is missing",)
    assert len(grid(Table("t", "c", ("x", "y"), [[1, "same"]])).columns) == 2, "one row has no columns in common"
    assert [name for name, _ in grid(Table("t", "c", ("n",), [[3], [3]])).columns] == ["n"], "numbers stay"


def test_lines_are_called_by_their_names_or_counted_from_1() -> None:
    class Named:
        shape, row_names, column_names = (2, 2), ("Ann", None), None

    assert [row_label(Named(), 0), row_label(Named(), 1), column_label(Named(), 1)] == ["Ann", "2", "2"]
    assert line_labels(Named()) == {"rows": ("Ann", "2"), "columns": ("1", "2")} and row_label(None, 4) == "5"


def drawing(figsize: tuple[float, float] = (3.0, 2.0), panels: tuple[int, int] = (1, 1)) -> Drawing:
    def draw(axes: object) -> None:
        for ax in np.ravel(axes):
            ax.plot([0, 1], [1, 2])

    return Drawing.of(draw, alt="A line.", figsize=figsize, panels=panels)


def test_figures_are_written_in_every_format_at_the_width_of_a_paper(tmp_path: Path) -> None:
    figure = Figure.drawn("line", "A line.", drawing(), {"x": np.arange(2)})
    report = Report("T", "", [], figures=[figure], composites={"both": drawing()}, versions={})
    page = write_report(report, tmp_path, formats=("pdf",), width=5.5, lettered=True)
    names = {path.name for path in page.parent.iterdir()}
    assert {f"{name}.{kind}" for name in ("line", "both-composite") for kind in ("svg", "pdf")} <= names
    root = ElementTree.parse(page.parent / "line.svg").getroot()
    assert root.get("width") == "396pt" and root.get("height") == "264pt"
    assert (page.parent / "line.pdf").read_bytes() == drawing().rendered("pdf", 5.5)
    assert 'href="line.pdf"' in page.read_text() and 'href="both-composite.pdf"' in page.read_text()
    header = drawing().rendered("png", 2.0)[:24]
    assert header[:4] == b"\x89PNG" and int.from_bytes(header[16:20], "big") == 600


def test_the_axes_of_a_composite_have_their_letters_and_do_not_overlap() -> None:
    from matplotlib.figure import Figure as Canvas

    whole = composite({"a": drawing(), "b": drawing(), "c-d": drawing((6.4, 2.0), (1, 2))}, "Lines.")
    canvas = Canvas(figsize=whole.figsize)
    axes = whole.paint(canvas)
    assert [ax.get_title(loc="left") for ax in axes] == ["(a)", "(b)", "(c)", "(d)"]
    boxes = [ax.get_position() for ax in axes]
    assert not any(boxes[i].overlaps(boxes[j]) for i in range(4) for j in range(i))
    assert all(0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1 for box in boxes)


def test_formats_widths_and_empty_composites_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    svg = Figure.drawn("f", "c", drawing(), {"x": np.arange(2)}).svg
    bare = Report("T", "", [], figures=[Figure("f", "c", svg, {"x": np.arange(2)})], versions={})
    for act, message in (
        (lambda: drawing().rendered("gif"), "must be one of svg, pdf, png; got 'gif'"),
        (lambda: drawing().rendered("pdf", -1.0), "width of a figure must be positive"),
        (lambda: composite({}, "None."), "at least one drawing"),
        (lambda: write_report(bare, tmp_path, formats=("pdf",)), "'f' has only its SVG"),
    ):
        with pytest.raises(ValueError, match=message):
            act()
