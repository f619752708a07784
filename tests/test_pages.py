"""Reports in a real browser: quiet, self-contained, legible in both schemes, on a phone and on paper."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from browser import INSPECTION, NAMES, Browser, Look, browser, executable

from gflow.cli import main
from gflow.report import write_index

pytestmark = pytest.mark.skipif(executable() is None, reason=f"none of {', '.join(NAMES)} is installed")

PAGES = ("figure", "verify", "index")
PHONE, LAPTOP = 390, 1200
LEGIBLE = 4.5
SMALLEST_FIGURE = 100.0


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write a study's report, a verification and an index that leads to both."""
    folder = tmp_path_factory.mktemp("pages")
    with redirect_stdout(StringIO()):
        assert main(["figure", "bai2024-fig2", "--quick", "--out", str(folder / "figure"), "--json"]) == 0
        assert main(["verify", "--example", "fig3", "--out", str(folder / "verify"), "--json"]) == 0
    entries = [(name, f"{name}/report.html", {"holds": 3, "contradicted": k}) for k, name in enumerate(PAGES[:2])]
    found = {name: folder / name / "report.html" for name in PAGES[:2]}
    return found | {"index": write_index(entries, folder, title="Two reports")}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wanted = os.environ.get("GFLOW_ARTEFACTS")
    folder = Path(wanted) if wanted else tmp_path_factory.mktemp("artefacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def defects(look: Look) -> set[str]:
    """Return the kinds of defects that a page shows."""
    small = [size for size in look.sizes if min(size[:2]) < SMALLEST_FIGURE or min(size[2:]) <= 0]
    found = {
        "error": look.errors,
        "request": look.requests,
        "figure without size": small,
        "overflow": look.overflow > 0 or look.wide,
        "contrast": [pair for pair in look.contrasts if pair[0] < LEGIBLE],
        "unsorted": look.unsorted,
        "empty": look.text < 20,
    }
    return {name for name, shown in found.items() if shown}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [LAPTOP, PHONE])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_quiet_self_contained_and_legible(
    pages: dict[str, Path], chromium: Browser, artefacts: Path, name: str, width: int, dark: bool
) -> None:
    look = chromium.open(pages[name], width=width, dark=dark)
    scheme = "dark" if dark else "light"
    (artefacts / f"{name}-{width}-{scheme}.png").write_bytes(chromium.screenshot())
    assert defects(look) == set(), look
    assert look.contrasts and (max(look.paper) < 60) is dark
    assert len(look.sizes) == {"figure": 3, "index": 0}.get(name, len(look.sizes)) and (name != "verify" or look.sizes)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_prints_dark_on_white_whatever_the_scheme(
    pages: dict[str, Path], chromium: Browser, artefacts: Path, name: str
) -> None:
    look = chromium.open(pages[name], dark=True, media="print")
    assert look.paper == [255, 255, 255] and not {"contrast", "error"} & defects(look)
    printed = chromium.pdf()
    (artefacts / f"{name}.pdf").write_bytes(printed)
    assert printed.startswith(b"%PDF-") and len(printed) > 8000 and re.search(rb"/Type\s*/Pages?\b", printed)


@pytest.mark.parametrize("name", PAGES)
def test_the_keyboard_finds_the_skip_link_first_and_sees_where_it_is(
    pages: dict[str, Path], chromium: Browser, name: str
) -> None:
    chromium.open(pages[name])
    first = chromium.press_tab()
    assert (first["tag"], first["kind"]) == ("A", "skip") and first["left"] >= 0 and first["top"] >= 0
    after = chromium.press_tab()
    assert after["kind"] != "skip" and after["right"] > 0
    assert all(each["outline"] != "none" and each["width"] >= 2 for each in (first, after))


BOXES = """(selector => JSON.stringify([...document.querySelectorAll(selector)].map(e => {
    const box = e.getBoundingClientRect(); return [box.width, box.height]; })))"""


def boxes(chromium: Browser, selector: str) -> list[list[float]]:
    """Return width and height of everything a selector finds."""
    return json.loads(chromium.evaluate(f"{BOXES}({json.dumps(selector)})"))


def test_formulas_are_typeset_by_the_browser_without_a_script(pages: dict[str, Path], chromium: Browser) -> None:
    chromium.open(pages["figure"])
    assert boxes(chromium, "header math")
    chromium.open(pages["verify"])
    formulas = boxes(chromium, "math")
    assert len(formulas) >= 15 and all(width > 20 and height > 8 for width, height in formulas)
    assert not boxes(chromium, ".tex") and not boxes(chromium, "script")
    under = json.loads(chromium.evaluate(LOWER))
    assert under and all(below > 0 for below in under), "the index of a limit stands below it"


LOWER = """JSON.stringify([...document.querySelectorAll('munder')].map(e =>
    e.children[1].getBoundingClientRect().top - e.children[0].getBoundingClientRect().top))"""


def visible(chromium: Browser, selector: str) -> list[bool]:
    """Return of everything a selector finds whether it can be seen."""
    found = f"[...document.querySelectorAll({json.dumps(selector)})].map(each => each.checkVisibility())"
    return json.loads(chromium.evaluate(f"JSON.stringify({found})"))


def test_evidence_is_folded_until_it_is_asked_for_and_open_on_paper(pages: dict[str, Path], chromium: Browser) -> None:
    reasons = "article details .reason"
    chromium.open(pages["verify"], width=PHONE)
    seen = visible(chromium, reasons)
    assert seen and not any(seen)
    chromium.evaluate("document.querySelectorAll('details > summary').forEach(each => each.click())")
    assert all(visible(chromium, reasons))
    unfolded = json.loads(chromium.evaluate(INSPECTION))
    assert unfolded["overflow"] <= 0 and not unfolded["wide"]
    assert min(ratio for ratio, _ in unfolded["contrasts"]) >= LEGIBLE
    chromium.open(pages["verify"], media="print")
    assert all(visible(chromium, reasons))


def test_the_answer_stands_first_and_the_figures_of_a_study_before_its_claims(
    pages: dict[str, Path], chromium: Browser
) -> None:
    order = "[...document.querySelectorAll('main h2')].map(each => each.textContent).join()"
    chromium.open(pages["verify"])
    assert chromium.evaluate(order) == (
        "The matrix,From saddle to saddle,What the theorems say,More figures,Tables,Methods, versions, data"
    )
    assert "completes it to rank 3, the least possible" in chromium.evaluate(
        "document.querySelector('.lead').innerText"
    )
    assert len(boxes(chromium, "#course ~ .beside figure")) == 2
    chromium.open(pages["figure"])
    assert chromium.evaluate(order).startswith("Figures,Claims,")


def test_captions_stay_where_tables_scroll_and_panels_have_room(pages: dict[str, Path], chromium: Browser) -> None:
    chromium.open(pages["verify"], width=PHONE)
    assert not boxes(chromium, ".scroll .caption, .scroll caption")
    assert all(width <= PHONE for width, _ in boxes(chromium, ".caption, figcaption, summary"))
    chromium.open(pages["verify"], width=LAPTOP)
    ((width, _),) = boxes(chromium, "#figure-singular-values svg")
    assert width > 0.75 * LAPTOP


PLANTED = {
    "error": ("</body>", "<script>console.error('planted')</script></body>"),
    "request": ("</body>", "<img src='http://example.invalid/pixel.png' alt=''></body>"),
    "figure without size": ("<svg xmlns=", "<svg height='0' style='width: 0; height: 0' xmlns="),
    "overflow": ("</body>", "<p style='width: 2000px; max-width: none'>planted</p></body>"),
    "contrast": ("</body>", "<p style='color: #999; background: #aaa'>planted</p></body>"),
    "unsorted": (
        "</body>",
        "<table><thead><tr><th aria-sort=ascending>x</th></tr></thead>"
        "<tbody><tr><td>2</td></tr><tr><td>1</td></tr></tbody></table></body>",
    ),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_defect_is_seen(pages: dict[str, Path], chromium: Browser, tmp_path: Path, kind: str) -> None:
    text = re.sub(r"<meta http-equiv=[^>]*>\n", "", pages["figure"].read_text())
    before, after = PLANTED[kind]
    assert before in text
    spoiled = tmp_path / "spoiled.html"
    spoiled.write_text(text.replace(before, after, 1))
    # a picture that cannot be loaded is an error of the console too
    assert defects(chromium.open(spoiled)) - ({"error"} if kind == "request" else set()) == {kind}


def test_the_policy_of_the_page_stops_what_someone_plants(
    pages: dict[str, Path], chromium: Browser, tmp_path: Path
) -> None:
    text = pages["figure"].read_text()
    spoiled = tmp_path / "spoiled.html"
    spoiled.write_text(text.replace("</body>", "<script>document.title = 'planted'</script></body>"))
    assert "error" in defects(chromium.open(spoiled))
    assert chromium.evaluate("document.title") != "planted"


def test_a_sorted_table_that_says_so_passes(pages: dict[str, Path], chromium: Browser, tmp_path: Path) -> None:
    before, after = PLANTED["unsorted"]
    page = tmp_path / "sorted.html"
    page.write_text(pages["figure"].read_text().replace(before, after.replace("ascending", "descending"), 1))
    assert defects(chromium.open(page)) == set()
