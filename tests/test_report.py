"""Reports: everything that goes in comes out, in the same bytes, inert, accessible and complete or not at all."""

import csv
import json
import math
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from test_plots import contrast

from gflow.plots import draw_loss, figure_svg
from gflow.report import (
    Figure,
    MatrixView,
    Report,
    Table,
    format_interval,
    format_number,
    json_ready,
    report_html,
    report_json,
    report_markdown,
    versions,
    write_index,
    write_report,
)
from gflow.statements.claims import Claim

TIMES = np.array([0.0, 0.1, 1 / 3, 1e-300])
SVG = figure_svg(lambda ax: draw_loss([0, 1], [1, 0.1], ax), alt="Loss against time.")
CLAIMS = [
    Claim.bounded("drift", "The invariant is conserved.", 4.4e-12, high=1e-8, reason="largest over the run"),
    Claim.bounded("saddle", "The loss is 5.", 6.0, 4.9, 5.1),
    Claim.unmet("theorem-4", "The nuclear norm is minimal.", "the data are connected"),
    Claim.undecided("exponent", "The order is 1.549.", "still rising", 1.43),
    Claim.hypothesis("premise", "Each saddle is the best point.", 2, 0, 0, reason="a better one is known"),
]
HOSTILE = '<script>alert("x")</script> | *b* `c` [d](javascript:e) &amp;'


def sample(lead: str = "A lead.", **changes: Any) -> Report:
    parts: dict[str, Any] = {
        "figures": [
            Figure("loss", "Loss.", SVG, {"time": TIMES, "sigma": np.outer(TIMES, [1, 2])}),
            Figure("loss-again", "The same drawing.", SVG, {"step": np.arange(2), "name": np.array(["a", "b,c"])}),
        ],
        "tables": [Table("saddles", "Saddles.", ("rank", "loss", "sigma"), [(0, 5.0, []), (1, math.nan, [2.0, 1.0])])],
        "configuration": {"scale": 1e-8, "flow": {"method": "LSODA", "budget": None}},
        "matrix": MatrixView([[1.0, np.nan]], [["observed", "seed-dependent"]]),
        "seed": 3,
        "versions": {"python": "3", "gflow": None},
    }
    return Report("A title", lead, CLAIMS, **{**parts, **changes})


class Page(HTMLParser):
    """The elements of a page, its text, and what is wrong with its nesting, its ids and its headings."""

    VOID = frozenset({"meta", "link", "br", "hr", "img", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def values(self, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for _, attrs in self.elements if attribute in attrs]

    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]


@pytest.mark.parametrize(
    "value, text",
    [
        (0, "0"),
        (0.0, "0"),
        (-0.0, "0"),
        (1.2, "1.2"),
        (-3, "−3"),
        (1000000, "1000000"),
        (15.7792471, "15.7792"),
        (0.05227758, "0.0522776"),
        (1e-4, "0.0001"),
        (999999.7, "10⁶"),
        (123456.0, "123456"),
        (2.5e-8, "2.5\u00a0×\u00a010⁻⁸"),
        (1e-16, "10⁻¹⁶"),
        (-1e-6, "−10⁻⁶"),
        (-1.234567e150, "−1.23457\u00a0×\u00a010¹⁵⁰"),
        (np.float64(0.5), "0.5"),
        (np.int64(7), "7"),
        (True, "yes"),
        (np.False_, "no"),
        (None, "–"),
        (math.nan, "–"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_are_written_as_on_paper(value: Any, text: str) -> None:
    assert format_number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_six_digits_of_every_number_survive(value: float) -> None:
    text = format_number(value).replace("−", "-").replace("\u00a0", "")
    match = re.fullmatch(r"(-?[\d.]*)(×?10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+))?", text)
    assert match
    power = match[3].translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")) if match[3] else "0"
    mantissa = match[1] if match[1] not in ("", "-") else match[1] + "1"
    assert float(f"{mantissa}e{power}") == pytest.approx(value, rel=5.0001e-6, abs=5e-324)


def test_intervals_are_written_as_on_paper() -> None:
    shown = [format_interval(ends) for ends in ((0, 1), (None, 1e-8), (2, None), (3, 3), (None, None), None)]
    assert shown == ["[0, 1]", "≤\u00a010⁻⁸", "≥\u00a02", "=\u00a03", "–", "–"]


def test_json_holds_no_number_that_is_not_finite() -> None:
    value = {"a": np.array([1.0, np.inf]), 2: (np.nan, np.int64(3), np.True_, "x", None)}
    assert json_ready(value) == {"a": [1.0, None], "2": [None, 3, True, "x", None]}
    with pytest.raises(TypeError, match="got object"):
        json_ready([object()])


def test_every_file_is_written_and_the_json_has_the_published_keys(tmp_path: Path) -> None:
    page = write_report(sample(), tmp_path / "new" / "folder")
    assert page == tmp_path / "new" / "folder" / "report.html"
    assert sorted(os.listdir(page.parent)) == sorted(
        ["report.html", "report.json", "report.md", "matrix-entries.csv"]
        + [f"{name}.{kind}" for name in ("loss", "loss-again") for kind in ("csv", "svg")]
    )
    assert os.listdir(tmp_path) == ["new"] and os.listdir(tmp_path / "new") == ["folder"]
    content = json.loads((page.parent / "report.json").read_text())
    assert content["claims"] == [claim.to_dict() for claim in CLAIMS]
    assert content["claims"][0]["allowed"] == [None, 1e-8]
    assert (content["seed"], content["versions"]) == (3, {"python": "3", "gflow": None})
    assert content["figures"] == ["loss", "loss-again"]
    assert content["tables"][0]["rows"] == [[0, 5.0, []], [1, None, [2.0, 1.0]]]
    assert content["matrix"]["values"] == [[1.0, None]]
    assert content["configuration"]["flow"]["method"] == "LSODA"


def test_equal_reports_give_equal_bytes(tmp_path: Path) -> None:
    first, second = (write_report(sample(), tmp_path / name).parent for name in "ab")
    write_report(sample(seed=4), first)
    assert (first / "report.json").read_bytes() != (second / "report.json").read_bytes()
    write_report(sample(), first)
    assert sorted(os.listdir(first)) == sorted(os.listdir(second))
    for name in os.listdir(first):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@settings(max_examples=30)
@given(st.lists(st.floats(), min_size=1, max_size=5))
def test_the_data_of_a_figure_read_back_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, values: list) -> None:
    folder = tmp_path_factory.mktemp("data")
    write_report(sample(figures=[Figure("f", "c", SVG, {"x": np.array(values)})]), folder)
    with open(folder / "f.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["x"]
    read = np.array([float(row[0]) for row in rows[1:]])
    assert np.array_equal(read, values, equal_nan=True)
    assert np.array_equal(np.signbit(read), np.signbit(values)) or np.isnan(read).any()


def test_columns_of_arrays_are_numbered_and_short_columns_end_in_empty_cells(tmp_path: Path) -> None:
    data = {"t": np.arange(3), "sigma": np.array([[1.5, 2.5]]), "name": np.array(["a,b"])}
    write_report(sample(figures=[Figure("f", "c", SVG, data)]), tmp_path)
    assert (tmp_path / "f.csv").read_text() == 't,sigma_1,sigma_2,name\n0,1.5,2.5,"a,b"\n1,,,\n2,,,\n'
    assert (tmp_path / "matrix-entries.csv").read_text() == (
        "row,column,value,status\n1,1,1.0,observed\n1,2,nan,seed-dependent\n"
    )


def test_the_page_shows_every_claim_with_its_number_interval_and_reason() -> None:
    page = Page(report_html(sample()))
    for claim in CLAIMS:
        assert claim.statement in page.text
        assert claim.reason in page.text
        assert claim.label in page.text
    words = " ".join(page.text.split())
    assert "found4.4 × 10⁻¹² at most10⁻⁸" in words.replace("\u00a0", " ") and "found6 allowed[4.9, 5.1]" in words
    assert page.text.index("Verdicts") < page.text.index("Figure 1.") < page.text.index("The invariant is conserved.")
    assert re.search(r"Contradicted:\s*saddle\.", page.text)
    assert re.search(r"Fails on these data, without contradicting a theorem:\s*premise\.", page.text)
    for shown in ("depends on the start (1)", "flow.method", "LSODA", "not installed", "2, 1"):
        assert shown in page.text


def test_the_page_is_well_formed_accessible_and_asks_for_nothing() -> None:
    html = report_html(sample())
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>\n") and ("html", {"lang": "en"}) in page.elements
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.values("href") if link.startswith("#")} <= set(ids)
    assert set(page.values("aria-labelledby")) <= set(ids)
    links = [link for link in page.values("href") if not link.startswith("#")]
    assert all(re.fullmatch(r"data:,|[a-z-]+\.(csv|svg|json|md)", link) for link in links)
    assert not page.values("src") and not {"script", "img", "iframe", "object"} & set(page.tags())
    assert page.tags().count("h1") == 1 and {"main", "nav", "header", "footer", "figure", "figcaption"} <= set(
        page.tags()
    )
    assert page.elements[page.tags().index("body") + 1] == ("a", {"class": "skip", "href": "#content"})
    assert all(
        "alt" in attrs or "role" in attrs or "aria-hidden" in attrs for tag, attrs in page.elements if tag == "svg"
    )
    for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 46rem", "default-src 'none'"):
        assert rule in html
    assert "url(" not in re.sub(r"url\(#", "", html) and "@import" not in html


def heading_jumps(page: Page) -> list[tuple[str, str]]:
    """Return neighbouring headings of which the later lies more than one level deeper, and a first one below h1."""
    levels = ["h0", *(tag for tag in page.tags() if re.fullmatch(r"h[1-6]", tag))]
    return [pair for pair in pairwise(levels) if int(pair[1][1]) > int(pair[0][1]) + 1]


def nameless(page: Page) -> list[str]:
    """Return the tags of landmarks, regions and graphics without a name, and of links without text or label."""
    named = ("aria-labelledby", "aria-label", "aria-hidden")
    needing = [(tag, attrs) for tag, attrs in page.elements if tag in ("section", "nav", "svg") or "role" in attrs]
    return [tag for tag, attrs in needing if not any(attrs.get(name) for name in named)]


def test_headings_descend_step_by_step_and_everything_has_a_name(tmp_path: Path) -> None:
    index = write_index([("One", "one/report.html", {"holds": 2})], tmp_path).read_text()
    for html in (report_html(sample()), report_html(Report("Nothing", "", [], versions={})), index):
        page = Page(html)
        assert heading_jumps(page) == [] and nameless(page) == []
        assert page.elements[page.tags().index("body") + 1] == ("a", {"class": "skip", "href": "#content"})
        assert "content" in page.values("id") and page.tags().count("h1") == page.tags().count("main") == 1
        cells = [attrs for tag, attrs in page.elements if tag == "th"]
        assert all(attrs.get("scope") in ("col", "row") for attrs in cells)
        assert not any(int(order) > 0 for order in page.values("tabindex"))
    assert re.search(r":focus-visible \{ outline: [2-9]px solid", index) and "outline: none" not in index


def test_a_jump_of_headings_and_a_nameless_graphic_are_seen() -> None:
    page = Page("<body><h1>a</h1><h3>b</h3><svg></svg><nav></nav><h2>c</h2></body>")
    assert heading_jumps(page) == [("h1", "h3")] and nameless(page) == ["svg", "nav"]
    assert heading_jumps(Page("<h2>a</h2>")) == [("h0", "h2")]


def test_text_of_the_user_is_inert_in_the_page_and_in_markdown(tmp_path: Path) -> None:
    claim = Claim.unmet(HOSTILE, HOSTILE, HOSTILE)
    table = Table("t", HOSTILE, [HOSTILE], [[HOSTILE]])
    figure = Figure("f", HOSTILE, SVG, {HOSTILE: TIMES})
    report = Report(
        HOSTILE, HOSTILE, [claim], figures=[figure], tables=[table], configuration={HOSTILE: HOSTILE}, versions={}
    )
    page = Page(report_html(report))
    assert "script" not in page.tags() and page.text.count(HOSTILE) >= 10
    markdown = report_markdown(report)
    assert "<script" not in markdown.replace("\\<", "") and "](javascript" not in markdown.replace("\\]", "")
    assert markdown.count("\\<script\\>") >= 10
    write_index([(HOSTILE, "a/report.html", {})], tmp_path, title=HOSTILE)
    assert "script" not in Page((tmp_path / "index.html").read_text()).tags()


def test_a_study_opens_with_a_sentence_its_claims_and_its_formula_and_folds_long_evidence() -> None:
    long = Claim.bounded("long", "One is one", 1.0, 1.0, 1.0, reason="counted " * 12)
    page = report_html(sample(lead="It counts. Then more.", formula=r"\theta(0) = \alpha \theta_0"))
    assert "It counts. Of " in page and "<math" in page and "Then more." in page.partition("Methods, versions")[2]
    one = replace(sample(lead="It counts."), claims=(long,), statements=(), claim_ids={})
    assert "It counts. Its one claim holds." in report_html(one) and "<summary>Evidence</summary>" in report_html(one)
    assert "<summary>Evidence</summary>" not in report_html(replace(one, claims=(replace(long, reason="short"),)))


def test_markdown_has_the_claims_the_tables_and_the_images() -> None:
    text = report_markdown(sample(lead="two\nlines"))
    assert "# A title\n" in text and "two lines" in text
    assert "| saddle | contradicted | The loss is 5. | 6 | [4.9, 5.1]".replace("[", "\\[").replace("]", "\\]") in text
    assert "![Figure 2](loss-again.svg)" in text and "[CSV](loss-again.csv)" in text
    assert "| 1 | 1 (observed) | – (seed-dependent) |\n" in text
    assert "| 1 | – | 2, 1 |\n" in text
    assert "\n\n\n" not in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1


def test_an_empty_report_is_still_a_page() -> None:
    report = Report("Nothing", "", [], versions={})
    page = Page(report_html(report))
    assert "makes no claim" in page.text and "Figures" not in page.text
    assert "# Nothing" in report_markdown(report)
    assert json.loads(report_json(report))["seed"] is None


def test_a_large_matrix_is_cut_in_the_page_and_whole_in_the_data(tmp_path: Path) -> None:
    values = np.arange(30 * 40.0).reshape(30, 40)
    write_report(sample(matrix=MatrixView(values, np.full((30, 40), "determined"))), tmp_path)
    assert "first 24 rows and 24 columns" in (tmp_path / "report.html").read_text()
    assert len((tmp_path / "matrix-entries.csv").read_text().splitlines()) == 1201
    assert len(json.loads((tmp_path / "report.json").read_text())["matrix"]["values"][0]) == 40


def palettes() -> dict[str, dict[str, str]]:
    style = (Path(__file__).parent.parent / "gflow" / "report" / "templates" / "style.css").read_text()
    light, dark = re.findall(r":root \{\n(.*?)\}", style, re.DOTALL)[:2]
    return {
        name: dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", text)) for name, text in (("light", light), ("dark", dark))
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_the_contrast_of_level_aa(scheme: str) -> None:
    colors = palettes()[scheme]
    pairs = [(text, paper) for text in ("ink", "soft", "link") for paper in ("page", "card")]
    pairs += [(name, f"{name}-tint") for name in ("holds", "contradicted", "hypothesis-not-met", "undecided", "news")]
    pairs += [("ink", cell) for cell in ("observed", "determined", "seed-dependent", "undecided-cell")]
    for text, paper in pairs:
        assert contrast(colors[text], colors[paper]) >= 4.5, (text, paper)
    assert contrast(colors["line"], colors["page"]) < 4.5  # the check itself can fail


def test_a_folder_that_cannot_be_written_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("mine")
    for target in (blocked, blocked / "below"):
        with pytest.raises(OSError, match=f"^cannot write the report into '{target}': [A-Z][a-z ]+$"):
            write_report(sample(), target)
    with pytest.raises(OSError, match=r"^cannot write the index into"):
        write_index([], blocked)
    assert os.listdir(tmp_path) == ["file"] and blocked.read_text() == "mine"


@pytest.mark.parametrize("exists", [False, True])
def test_a_disk_that_fills_up_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    folder = tmp_path / "out"
    if exists:
        folder.mkdir()
        (folder / "report.html").write_text("old")
    before = sorted(tmp_path.rglob("*"))
    write_bytes, written = Path.write_bytes, []

    def full(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"cannot write the report into '.*out': No space left on device"):
        write_report(sample(), folder)
    assert len(written) == 4 and sorted(tmp_path.rglob("*")) == before
    assert not exists or (folder / "report.html").read_text() == "old"


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write_report(sample(), tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_the_index_leads_to_every_report_and_adds_the_verdicts_up(tmp_path: Path) -> None:
    entries = [("One", "one/report.html", {"holds": 2}), ("Two", "a b/#1.html", {"holds": 1, "contradicted": 4})]
    page = Page(write_index(entries, tmp_path).read_text())
    assert {"one/report.html", "a%20b/%231.html"} <= set(page.values("href"))
    assert re.search(r"3\s+holds\s+4\s+contradicted\s+0\s+hypothesis not met", page.text)
    for link in ("https://example.org", "//example.org", "/etc", "javascript:alert(1)", ""):
        with pytest.raises(ValueError, match="must be a relative path"):
            write_index([("x", link, {})], tmp_path)


@pytest.mark.parametrize("name", ["", "../up", "a b", "a/b", ".hidden", "<b>", "-x", "é", "a\n"])
def test_a_figure_whose_name_cannot_be_a_file_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name of a figure must be"):
        Figure(name, "c", SVG, {"x": TIMES})


@pytest.mark.parametrize(
    "inner",
    ["<script>1</script>", '<image href="x.png"/>', '<g onload="1"/>', '<use href="b.svg#x"/>', '<g fill="url(x)"/>'],
)
def test_a_graphic_that_runs_or_reaches_out_is_refused(inner: str) -> None:
    with pytest.raises(ValueError, match="neither scripts nor references"):
        Figure("f", "c", f'<svg xmlns="http://www.w3.org/2000/svg">{inner}</svg>', {"x": TIMES})


def test_parts_that_do_not_fit_are_refused() -> None:
    figure = Figure("f", "c", SVG, {"x": TIMES})
    for build, message in (
        (lambda: Figure("f", "c", "<svg", {"x": TIMES}), "must be well-formed"),
        (lambda: Figure("f", "c", "<p/>", {"x": TIMES}), "must be an SVG image"),
        (lambda: Figure("f", "c", SVG, {}), "must come with the data"),
        (lambda: Figure("f", "c", SVG, {"x": np.float64(1)}), "'x' must be an array"),
        (lambda: Table("t", "c", ["a", "b"], [[1]]), "row 1 of table 't' must have 2 cells; got 1"),
        (lambda: MatrixView([[1.0]], [["observed", "observed"]]), "matrices of one shape"),
        (lambda: MatrixView([[1.0]], [["known"]]), "not a valid EntryStatus"),
        (lambda: sample(figures=[figure, figure]), "own name; got 'f' twice"),
        (lambda: Report("t", "l", [CLAIMS[0], CLAIMS[0]]), "every claim of a report must have its own name"),
    ):
        with pytest.raises(ValueError, match=message):
            build()


def test_records_are_read_only_and_keep_their_own_copy_of_the_data() -> None:
    data = np.arange(3.0)
    figure = Figure("f", "c", SVG, {"x": data})
    data[0] = 9
    assert figure.data["x"][0] == 0
    with pytest.raises(ValueError, match="read-only"):
        figure.data["x"][0] = 1
    with pytest.raises(TypeError):
        figure.data["y"] = data  # type: ignore[index]
    assert repr(figure) == "Figure(f: x)"
    assert repr(sample()) == "Report('A title', 5 claims, 2 figures)"


def test_versions_name_python_and_the_libraries() -> None:
    found = versions()
    assert found["numpy"] == np.__version__
    assert found["gflow"] is not None
    assert list(found)[:2] == ["python", "gflow"]
