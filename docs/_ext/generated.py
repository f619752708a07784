"""Pages that are written from the package itself: theorems, gallery, public names by task, command line."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
from collections import defaultdict
from html import escape
from pathlib import Path
from typing import Any

import gflow
from gflow.cli import main
from gflow.cli.commands import COMMANDS
from gflow.data import example
from gflow.statements.registry import statements
from gflow.studies import study_named, study_names, study_report

TASKS = {
    "problems": "State a problem",
    "files": "Read and write files",
    "connectivity": "Look at the mask",
    "models": "Choose a model",
    "objective": "Put them together",
    "flow": "Follow a trajectory",
    "graded": "Follow it from extreme scales",
    "descent": "Take discrete steps",
    "ensemble": "Follow many at once",
    "critical": "Find critical points and their spectra",
    "manifolds": "Stay on an invariant manifold",
    "escape": "Leave a saddle",
    "limit": "Take the limit of small starts",
    "traversal": "Take the limit of small starts",
    "symmetric_traversal": "Take the limit of small starts",
    "landscape": "See every critical orbit at once",
    "rank": "Measure the rank of a model",
    "completions": "Compare with reference completions",
    "operators": "Measure with general operators",
    "symbolic": "Check identities with sympy",
    "certify": "Prove by ball arithmetic",
    "statements": "State and check a claim",
    "report": "Explain, verify, report",
    "explore": "Explore by hand",
    "testing": "Test a model or problem of your own",
}
"""What the rooms of the package are for, in the order in which they are read; other rooms follow."""
CASES = ("fig3", "fig4", "m1", "slides3", "c1", "c4")
"""Matrices on which the page of a theorem shows its verdict."""


def room(name: str) -> str:
    """Return the room of the package in which a public name is at home."""
    value = getattr(gflow, name)
    home = inspect.getmodule(value) if not hasattr(value, "__module__") else None
    module = getattr(value, "__module__", None) or (home.__name__ if home else type(value).__module__)
    return module.split(".")[1] if "." in module else module


def api(folder: Path) -> None:
    """Write one list of public names for each task."""
    rooms = defaultdict(list)
    for name in gflow.__all__:
        rooms[room(name)].append(name)
    order = [*TASKS, *sorted(set(rooms) - set(TASKS))]
    titles = dict.fromkeys(TASKS.get(each, each.capitalize()) for each in order if each in rooms)
    lines = [
        "# The interface, by task",
        "",
        "Every name below is imported as `gflow.NAME`; nothing loads before it is used.",
        "",
    ]
    for title in titles:
        names = sorted(name for each in rooms if TASKS.get(each, each.capitalize()) == title for name in rooms[each])
        lines += [f"## {title}", "", "```{eval-rst}", ".. autosummary::", "   :toctree: names", "   :nosignatures:", ""]
        lines += [f"   gflow.{name}" for name in names] + ["```", ""]
    write(folder / "index.md", lines)


def command_line(path: Path) -> None:
    """Write what the commands say of themselves."""
    lines = [
        "# The command line",
        "",
        "As `--help` prints it. Exit codes: 0 nothing is contradicted, 1 a statement is, 2 bad input.",
        "",
    ]
    for command in COMMANDS:
        lines += [f"## gflow {command.name}", "", "```text", printed(command.name, "--help"), "```", ""]
    write(path, lines)


def printed(*arguments: str) -> str:
    """Return what a command prints."""
    os.environ["COLUMNS"] = "88"
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main(list(arguments))
    return out.getvalue().rstrip()


def theorems(folder: Path) -> None:
    """Write a page for each statement, with its verdict on some of the matrices that come with the package."""
    ledgers = {name: gflow.ledger(example(name)) for name in CASES}
    known = statements()
    for each in known:
        found = [(name, ledgers[name].claims[each.id]) for name in CASES if each.id in ledgers[name].claims]
        lines = [f"# {each.id}: {each.title}", "", f"*{each.kind.capitalize()}*. Source: {each.source}.", ""]
        if each.formula:
            lines += ["$$", each.formula, "$$", ""]
        if each.hypotheses:
            lines += ["It asks for:", ""] + [f"- **{h.name}**: {h.sentence}." for h in each.hypotheses] + [""]
        if found:
            lines += [
                "## On the matrices that come with gflow",
                "",
                "| matrix | verdict | why |",
                "| --- | --- | --- |",
            ]
            lines += [f"| `{name}` | {mark(claim.verdict)} | {cell(claim.reason)} |" for name, claim in found]
            lines += [""]
        lines += [
            "## How it is checked",
            "",
            paragraph(each.verify),
            "",
            "```{code-block} python",
            source(each.verify),
            "```",
        ]
        write(folder / f"{each.id}.md", lines)
    toc = ["```{toctree}", ":maxdepth: 1", "", *[each.id for each in known], "```"]
    write(
        folder / "index.md",
        ["# Every statement", "", "| statement | kind | what it says |", "| --- | --- | --- |"]
        + [f"| [{each.id}]({each.id}.md) | {each.kind} | {cell(each.title)} |" for each in known]
        + ["", *toc],
    )


def mark(verdict: str) -> str:
    """Return a verdict in its colour."""
    return f'<span class="verdict-{verdict}">{verdict}</span>'


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return escape(" ".join(text.split())).replace("|", "&#124;").replace("*", "&#42;").replace("_", "&#95;") or "-"


def paragraph(function: Any) -> str:
    """Return the docstring of the module in which a statement is checked."""
    module = inspect.getmodule(function)
    return inspect.cleandoc((module and module.__doc__) or function.__doc__ or "").replace("*", r"\*")


def source(function: Any) -> str:
    """Return the code of a function, or of what it wraps."""
    try:
        return inspect.getsource(inspect.unwrap(getattr(function, "func", function))).rstrip()
    except (OSError, TypeError):
        return "# written by a factory: see the module"


def gallery(folder: Path) -> None:
    """Run the quick version of every study and write its page: picture, claims, code."""
    tiles = []
    newest = max(path.stat().st_mtime for path in Path(gflow.__file__).parent.parent.rglob("g*/**/*.py"))
    for name in study_names():
        tile, page = folder / f"{name}.tile", folder / f"{name}.md"
        if tile.is_file() and page.is_file() and tile.stat().st_mtime > newest:
            tiles.append(tile.read_text(encoding="utf-8"))
            continue
        study = study_named(name)
        report = study_report(study, name, study.QUICK)
        for figure in report.figures:
            (folder / f"{figure.name}.svg").write_text(figure.svg, encoding="utf-8")
        lines = [f"# {report.title}", "", report.lead, ""]
        for figure in report.figures:
            lines += [
                '<figure class="drawn">',
                f'<img src="{figure.name}.svg" alt="{escape(figure.caption)}">',
                f"<figcaption>{escape(figure.caption)}</figcaption></figure>",
                "",
            ]
        lines += ["## Claims", "", "| claim | verdict | measured |", "| --- | --- | --- |"]
        lines += [f"| {cell(c.statement)} | {mark(c.verdict)} | {cell(str(c.measured))} |" for c in report.claims]
        lines += [
            "",
            "## Make it",
            "",
            "```console",
            f"$ gflow figure {name} --quick --out {name}",
            "```",
            "",
            "This page shows the quick version; without `--quick` the study is as in the publication.",
        ]
        write(folder / f"{name}.md", lines)
        if report.figures:
            first = report.figures[0]
            picture = f'<img src="{first.name}.svg" alt="{escape(first.caption)}">'
            tiles.append(f'<a href="{name}.html">{picture}<span>{escape(report.title)}</span></a>')
            tile.write_text(tiles[-1], encoding="utf-8")
    toc = ["```{toctree}", ":hidden:", "", *study_names(), "```"]
    write(
        folder / "index.md",
        [
            "# Gallery",
            "",
            "Every study, in its quick version, run when this site was built.",
            "",
            '<div class="gallery">',
            *tiles,
            "</div>",
            "",
            *toc,
        ],
    )


def write(path: Path, lines: list[str]) -> None:
    """Write a page, unless it has not changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def pages(app: Any) -> None:
    """Write all of them below the folder of the site."""
    docs = Path(app.srcdir)
    for folder in (docs / "gallery" / "generated", docs / "theorems" / "generated"):
        folder.mkdir(parents=True, exist_ok=True)
    api(docs / "reference" / "api")
    command_line(docs / "reference" / "command-line.md")
    theorems(docs / "theorems" / "generated")
    gallery(docs / "gallery" / "generated")


def copied(app: Any, error: Exception | None) -> None:
    """Copy the pictures of the gallery, to which its pages point by name."""
    if error is None and app.builder.format == "html":
        import shutil

        target = Path(app.outdir) / "gallery" / "generated"
        for path in (Path(app.srcdir) / "gallery" / "generated").glob("*.svg"):
            shutil.copy(path, target / path.name)


def setup(app: Any) -> dict[str, Any]:
    """Write the pages before the site is read, copy the pictures after it is built."""
    app.connect("builder-inited", pages, priority=100)
    app.connect("build-finished", copied)
    return {"parallel_read_safe": True}
