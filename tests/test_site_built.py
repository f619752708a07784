"""The site as it was built: links lead somewhere, all code ran, nothing is fetched, search works from a folder.

``.ci/run`` builds it and names its folder in GFLOW_SITE; elsewhere these tests are skipped, and say so.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from browser import browser, executable

import gflow
from gflow.cli import main

DOCS = Path(__file__).resolve().parent.parent / "docs"
SITE = Path(os.environ.get("GFLOW_SITE", DOCS / "_build"))
pytestmark = pytest.mark.skipif("GFLOW_SITE" not in os.environ, reason="no site was built: .ci/run builds it")
SHOWING = ("start/", "concepts/", "tutorials/", "howto/", "theorems/generated/", "gallery/generated/")
"""Rooms in which every page has code or a picture, lists of pages aside."""
LISTS = {"index.html", "tutorials/index.html", "howto/index.html", "concepts/index.html"}
SEARCHED = {
    "nuclear norm": "theorems/generated/thm4.html",
    "saddle_to_saddle": "reference/api/names/gflow.saddle_to_saddle.html",
}


class Read(HTMLParser):
    """What a page holds: ids, links, what it loads, and how often each tag stands in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.tags: dict[str, int] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Note one tag."""
        found = dict(attrs)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.ids |= {found["id"]} if "id" in found else set()
        if tag == "a" and found.get("href"):
            self.links.add(found["href"])
        named = found.get("href") if tag == "link" and found.get("rel") == "stylesheet" else found.get("src")
        self.loaded |= {named} if named else set()


@cache
def pages() -> dict[str, Read]:
    """Return every page of the site by its place."""
    found = sorted(SITE.rglob("*.html"))
    return {
        path.relative_to(SITE).as_posix(): Read(path.read_text("utf-8"))
        for path in found
        if "_static" not in path.parts
    }


def dead(place: str, target: str) -> bool:
    """Return whether a link of a page leads nowhere within the site."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return False
    path = (SITE / place).parent / unquote(parts.path) if parts.path else SITE / place
    path = Path(os.path.normpath(path))
    if not path.is_file():
        return True
    named = path.relative_to(SITE).as_posix()
    return bool(parts.fragment) and named in pages() and unquote(parts.fragment) not in pages()[named].ids


def test_every_link_leads_somewhere() -> None:
    assert len(pages()) > 200
    assert {
        (place, link) for place, page in pages().items() for link in page.links | page.loaded if dead(place, link)
    } == set()


def test_a_dead_link_is_found() -> None:
    assert dead("index.html", "nowhere.html") and dead("index.html", "start/index.html#nowhere")
    assert not dead("index.html", "start/index.html#install") and not dead("index.html", "https://example.org")


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert {(place, each) for place, page in pages().items() for each in page.loaded if "://" in each} == set()


def test_every_page_has_one_heading_and_code_or_a_picture_where_they_are_due() -> None:
    assert {place for place, page in pages().items() if page.tags.get("h1") != 1} <= {"search.html"}
    due = [(place, page) for place, page in pages().items() if place.startswith(SHOWING) and place not in LISTS]
    assert len(due) > 100
    assert [place for place, page in due if not {"pre", "img", "svg"} & set(page.tags)] == []


def test_every_public_name_has_a_page() -> None:
    names = {place.removeprefix("reference/api/names/gflow.").removesuffix(".html") for place in pages()}
    assert set(gflow.__all__) <= names


def executed() -> Iterator[tuple[str, int, Any]]:
    """Return of every page with code: its name, the number of its cells in the source, and the notebook as it ran."""
    for path in [*DOCS.rglob("*.md"), *DOCS.rglob("*.ipynb")]:
        name = path.relative_to(DOCS)
        if {"_build", "jupyter_execute", "generated"} & set(name.parts):
            continue
        text = path.read_text(encoding="utf-8")
        cells = len(re.findall(r"^```\{code-cell\}", text, re.MULTILINE)) if path.suffix == ".md" else None
        cells = sum(c["cell_type"] == "code" for c in json.loads(text)["cells"]) if cells is None else cells
        if cells:
            ran = SITE.parent / "jupyter_execute" / name.with_suffix(".ipynb")
            ran = ran if ran.is_file() else SITE / "jupyter_execute" / name.with_suffix(".ipynb")
            yield name.as_posix(), cells, json.loads(ran.read_text(encoding="utf-8"))


def test_the_code_of_every_page_ran() -> None:
    found = list(executed())
    assert len(found) > 25
    for name, cells, notebook in found:
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        assert len(code) == cells and all(cell["execution_count"] for cell in code), name
        assert all(out["output_type"] != "error" for cell in code for out in cell["outputs"]), name


def shown(name: str) -> str:
    """Return what the cells of a page print and show, as text."""
    (notebook,) = [ran for page, _, ran in executed() if page == name]
    outs = [out for cell in notebook["cells"] for out in cell.get("outputs", ())]
    texts = [out.get("text", "") or out.get("data", {}).get("text/plain", "") for out in outs]
    return "\n".join("".join(text) for text in texts)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("start/classify.md", ("disconnected", "converged", "'connected', 1")),
        ("start/report.md", ("48 claims", "'holds', 15.0", "full-rank W_0: yes", "thm3_premise")),
        ("start/statement.md", ("positive", "'hypothesis-not-met': 4", "symmetric: holds")),
        ("start/model.md", ("degenerate-saddle", "strict-saddle", "global-minimum")),
    ],
)
def test_a_newcomer_gets_what_the_first_steps_promise(page: str, words: tuple[str, ...]) -> None:
    assert [word for word in words if word not in shown(page)] == []


@pytest.mark.parametrize("command", ["classify", "limit", "complete"])
def test_json_meets_the_schemas_that_the_site_shows(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    (path,) = SITE.rglob(f"{command}.schema.json")
    assert main([command, "--example", "slides3", "--json", "--quiet"]) == 0
    printed = json.loads(capsys.readouterr().out)
    schema = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(printed, schema)
    del printed[schema["required"][0]]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(printed, schema)


@pytest.mark.skipif(executable() is None, reason="there is no Chromium")
def test_pages_fit_a_phone_and_search_works_from_a_folder(tmp_path: Path) -> None:
    with browser(tmp_path) as opened:
        for place in ("index", "start/index", "theorems/generated/thm3", "gallery/index", "reference/api/index"):
            for width in (390, 1280):
                look = opened.open(SITE / f"{place}.html", width=width)
                assert look.overflow <= 0 and look.text > 200, (place, width)
                assert [each for each in look.requests if not each.startswith("file:")] == []
        for words, place in SEARCHED.items():
            opened.send("Page.navigate", url=f"{(SITE / 'search.html').as_uri()}?q={words.replace(' ', '+')}")
            wait = "new Promise(done => setTimeout(done, 200))"
            for _ in range(150):
                opened.send("Runtime.evaluate", expression=wait, awaitPromise=True)
                links = (
                    opened.evaluate("[...document.querySelectorAll('#search-results a')].map(a => a.href).join(' ')")
                    or ""
                )
                if place in links:
                    break
            assert place in links, words
