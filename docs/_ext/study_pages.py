"""A page for each study: its pictures, its claims, and the code; the gallery shows them all."""

from __future__ import annotations

import inspect
import re
import shutil
from html import escape, unescape
from pathlib import Path
from typing import Any

from pages import mark, plain, table, write

import gflow
from gflow.studies import study_named, study_names, study_report

GROUPS = {
    "The paper": "bai2024",
    "Before it": ("gunasekar2017", "jin2023", "arora2019"),
    "The limit of small starts": ("limit", "premise", "mixing", "recovery"),
    "Depth, networks, attention": ("depth", "plateau", "sign", "model", "networks", "attention"),
    "Discrete steps": ("optimizer", "step", "plasticity"),
    "More": "",
}
"""Groups of the gallery, by how the names of studies begin."""


def write_studies(folder: Path) -> None:
    """Run the quick version of every study and write its page; what is newer than all code is kept."""
    newest = max(path.stat().st_mtime for path in Path(gflow.__file__).parent.parent.rglob("g*/**/*.py"))
    newest = max(newest, Path(__file__).stat().st_mtime)
    tiles = {}
    for name in study_names():
        tile, page = folder / f"{name}.tile", folder / f"{name}.md"
        if not (tile.is_file() and page.is_file() and tile.stat().st_mtime > newest):
            tile.write_text(_study(folder, name), encoding="utf-8")
        tiles[name] = tile.read_text(encoding="utf-8")
    lines = []
    left = dict(tiles)
    for title, starts in GROUPS.items():
        chosen = [name for name in left if name.startswith(starts)]
        if chosen:
            lines += [f"## {title}", "", '<div class="gallery">', *[left.pop(name) for name in chosen], "</div>", ""]
    toc = [f"{_short(tile)} <generated/{name}>" for name, tile in tiles.items()]
    write(folder / "tiles.txt", [*lines, "```{toctree}", ":hidden:", "", *toc, "```"])


def _short(tile: str) -> str:
    """Return the title of a tile up to its first colon, for a list beside the page."""
    return unescape(re.sub("<[^>]*>", "", tile)).split(":")[0]


def _study(folder: Path, name: str) -> str:
    """Write the page of a study and its pictures; return its tile."""
    study = study_named(name)
    report = study_report(study, name, study.QUICK)
    for figure in report.figures:
        (folder / f"{figure.name}.svg").write_text(figure.svg, encoding="utf-8")
    pictures = [
        f'<img src="{figure.name}.svg" alt="{escape(figure.caption)}" loading="lazy">' for figure in report.figures
    ]
    lines = [f"# {plain(report.title)}", "", plain(report.lead), ""]
    for figure, picture in zip(report.figures, pictures, strict=True):
        lines += [f'<figure class="drawn">{picture}<figcaption>{escape(figure.caption)}</figcaption></figure>', ""]
    rows = [[mark(claim.verdict), plain(claim.statement), _measured(claim)] for claim in report.claims]
    lines += ["## What is claimed, and found", "", *table(["verdict", "claim", "measured"], rows)]
    write(folder / f"{name}.md", [*lines, *_code(study, name)])
    first = pictures[0].replace('src="', 'src="generated/') if pictures else ""
    return f'<a href="generated/{name}.html">{first}<span>{escape(report.title)}</span></a>'


def _measured(claim: gflow.Claim) -> str:
    return "" if claim.measured is None else f"{claim.measured:.4g}"


def _code(study: Any, name: str) -> list[str]:
    """Return how a study is run, and how it is written."""
    shown = inspect.getsource(study.run) + "\n\n" + inspect.getsource(study.claims)
    return [
        "## Make it",
        "",
        "```console",
        f"$ gflow figure {name} --quick --out {name}",
        "```",
        "",
        "This page shows the quick version, run when the site was built; without `--quick` the study is as in the",
        "publication. In Python:",
        "",
        "```python",
        "from gflow.studies import study_named, study_report",
        "",
        f'study = study_named("{name}")',
        f'study_report(study, "{name}", study.QUICK).save("{name}")',
        "```",
        "",
        "## The code",
        "",
        f"From `{Path(inspect.getfile(study)).name}`: what is run, and what is claimed of it.",
        "",
        "```python",
        shown.rstrip(),
        "```",
    ]


def copied(app: Any, error: Exception | None) -> None:
    """Copy the pictures of the gallery, to which its pages point by name."""
    if error is None and app.builder.format == "html":
        target = Path(app.outdir) / "gallery" / "generated"
        for path in (Path(app.srcdir) / "gallery" / "generated").glob("*.svg"):
            shutil.copy(path, target / path.name)
