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
    asking = {id for id in kinds if known[id].kind == "theorem" and known[id].hypotheses}
    assert {id for id in asking if not kinds[id] & {"lacks", "premise"}} == {"network_origin"}
    assert {name for chosen in cases.chosen.values() for name in chosen} == set(cases.setups)


def test_a_case_that_ends_otherwise_than_it_says_stops_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(DOCS / "_ext"), *sys.path])
    import statement_pages

    cases = statement_pages.Cases()
    cases.chosen = {"commuting": {"diagonal": ["lacks", "It holds."]}}
    with pytest.raises(AssertionError, match="diagonal"):
        cases.lines(statement_named("commuting"))
