"""Pages that are written from the package itself, before the site is read: statements, studies, names, commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from number_pages import write_numbers
from reference_pages import write_commands, write_names
from schema_pages import write_schemas
from statement_pages import write_statements
from study_pages import copied, write_studies


def pages(app: Any) -> None:
    """Write all of them below the folder of the site."""
    docs = Path(app.srcdir)
    for room in ("gallery", "theorems", "reference"):
        (docs / room / "generated").mkdir(exist_ok=True)
    write_names(docs / "reference" / "api")
    write_commands(docs / "reference" / "command-line.md")
    write_numbers(docs / "benchmarks.json", docs / "reference" / "generated" / "speed.txt")
    write_schemas(docs / "reference" / "generated")
    write_statements(docs / "theorems" / "generated")
    write_studies(docs / "gallery" / "generated")


def mapped(app: Any, error: Exception | None) -> None:
    """Write a map of the site where its address is known."""
    if error is None and app.config.html_baseurl:
        pages = sorted(path.relative_to(app.outdir).as_posix() for path in Path(app.outdir).rglob("*.html"))
        base = app.config.html_baseurl.rstrip("/")
        (Path(app.outdir) / "sitemap.txt").write_text("".join(f"{base}/{page}\n" for page in pages), encoding="utf-8")


def escaped(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Keep |A| and a* of docstrings, which are plain text, from being read as markup."""
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = line.split("``")
            parts[::2] = [
                re.sub(r"\||(?<=\w)\*(?!\w)|(?<=[(\[ ])\*(?=[\w\],)])", r"\\\g<0>", part) for part in parts[::2]
            ]
            lines[number] = "``".join(parts)


def setup(app: Any) -> dict[str, Any]:
    """Write the pages before the site is read, copy the pictures after it is built."""
    app.connect("builder-inited", pages, priority=100)
    app.connect("autodoc-process-docstring", escaped, priority=100)
    app.connect("build-finished", copied)
    app.connect("build-finished", mapped)
    return {"parallel_read_safe": True}
