"""The site: every public name has a page, links lead somewhere, and releases say one version."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import gflow
from gflow.statements import statement_named, statements

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
MADE = {"_build", "jupyter_execute", "generated", "api", "command-line.md"}
PAGES = sorted(path for path in DOCS.rglob("*.md") if not MADE & set(path.parts))
WRITTEN = ("theorems/generated", "gallery/generated", "reference/api", "reference/generated", "reference/command-line")
"""Pages that exist once the site is built."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_page_has_one_title_and_its_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    if "{include}" not in page.read_text(encoding="utf-8"):
        assert len(re.findall(r"^# \S", text, re.MULTILINE)) == 1
    for target in re.findall(r"\]\(([^)#\s]+)\)", text):
        if "://" in target:
            continue
        place = (page.parent / target).resolve()
        assert place.is_file() or any(name in str(place) for name in WRITTEN), f"{page}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_page_is_in_a_table_of_contents(page: Path) -> None:
    if page == DOCS / "index.md":
        return
    index = page.parent / "index.md" if page.name != "index.md" and page.parent != DOCS else DOCS / "index.md"
    listed = "\n".join(re.findall(r"```\{toctree\}(.*?)```", index.read_text(encoding="utf-8"), re.DOTALL))
    assert page.relative_to(index.parent).with_suffix("").as_posix() in listed.split()


def test_every_public_name_is_listed_under_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(DOCS / "_ext"), *sys.path])
    import reference_pages

    reference_pages.write_names(tmp_path)
    text = (tmp_path / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^   gflow\.(\w+)$", text, re.MULTILINE)) == set(gflow.__all__)


def test_the_citation_and_the_changelog_name_the_version() -> None:
    assert f"\nversion: {gflow.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {gflow.__version__} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_statement_has_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(DOCS / "_ext"), *sys.path])
    import statement_pages

    cases, known = statement_pages.Cases(), {each.id: each for each in statements()}
    assert set(cases.chosen) == set(statement_pages.own(known.values()))
    kinds = {id: {when for when, _ in chosen.values()} for id, chosen in cases.chosen.items()}
    assert {id for id, found in kinds.items() if "holds" not in found} == {
        "rip_thm3"
    }  # no completion has its hypothesis
    for id in kinds:
        cases.silent(known[id])  # raises where a case is due
    assert {id for id in kinds if known[id].kind == "premise" and "fails" not in kinds[id]} == set()
    assert {name for chosen in cases.chosen.values() for name in chosen} == set(cases.setups)


def test_a_case_that_ends_otherwise_than_it_says_stops_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(DOCS / "_ext"), *sys.path])
    import statement_pages

    cases = statement_pages.Cases()
    for name, when, id in (
        ("diagonal", "lacks", "commuting"),  # it holds
        ("m1", "premise", "thm4"),  # what is not met there is no premise
        ("narrow", "lacks", "gunasekar_conjecture"),  # what is not met there is one
    ):
        cases.chosen = {id: {name: [when, ""]}}
        with pytest.raises(AssertionError, match=name):
            cases.lines(statement_named(id))


def test_a_case_that_is_due_stops_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(DOCS / "_ext"), *sys.path])
    import statement_pages

    cases = statement_pages.Cases()
    cases.chosen["thm1"] = {"fig3": ["holds", ""]}
    with pytest.raises(AssertionError, match="thm1 needs"):
        cases.silent(statement_named("thm1"))
    del cases.chosen["rip"]["narrow_full"]
    with pytest.raises(KeyError, match="rip"):
        cases.silent(statement_named("rip"))


def test_the_table_of_times_tells_where_another_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(DOCS / "_ext"), *sys.path])
    import number_pages

    def row(side: str, cpu: float, error: float = 0.0) -> dict[str, object]:
        return {"case": "P2", "side": side, "cpu": cpu, "wall": 9.0, "evaluations": 0, "error": error}

    peers = [row("solve_ivp LSODA, same Jacobian", 2.0), row("fast and wrong", 1e-3, 1.0), row("fast", 0.5)]
    found = {"repeats": 3, "machine": "M", "cores": 2, "date": "D", "versions": {"numpy": "1"}, "texts": {}}
    text = "\n".join(number_pages.speed(found | {"rows": [row("gflow", 1.0), row("gflow, compiled", 0.1), *peers]}))
    assert "| gflow: 1 s | 0.50 × solve&#95;ivp LSODA, same Jacobian (2 s) | 2.00 × fast (500 ms) |" in text
    assert "| P2 | gflow, compiled: 100 ms |" in text and "| 0.20 × fast (500 ms) |" in text
    assert "**Another is faster** in 1 of 2 lines: P2 (gflow)." in text
    assert "| fast and wrong | 1 ms | 0.00 | – | 1.0e+00 |" in text


def test_every_tutorial_ends_with_exercises_that_have_answers() -> None:
    pages = [path for path in PAGES if path.parent.name == "tutorials" and path.name != "index.md"]
    assert len(pages) == 8
    for page in pages:
        *_, last = re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        asked = re.findall(r"^\*\*\d\.\*\*.*?(?=^\*\*\d\.\*\*|\Z)", last, re.MULTILINE | re.DOTALL)
        assert last.startswith("Exercises\n") and len(asked) > 1, page
        assert all("hide-cell" in each or "{dropdown}" in each for each in asked), page
