"""Pages that are written from the package itself, before the site is read: statements, studies, names, commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reference_pages import write_commands, write_names
from statement_pages import write_statements
from study_pages import copied, write_studies


def pages(app: Any) -> None:
    """Write all of them below the folder of the site."""
    docs = Path(app.srcdir)
    for folder in (docs / "gallery" / "generated", docs / "theorems" / "generated"):
        folder.mkdir(parents=True, exist_ok=True)
    write_names(docs / "reference" / "api")
    write_commands(docs / "reference" / "command-line.md")
    write_statements(docs / "theorems" / "generated")
    write_studies(docs / "gallery" / "generated")


def setup(app: Any) -> dict[str, Any]:
    """Write the pages before the site is read, copy the pictures after it is built."""
    app.connect("builder-inited", pages, priority=100)
    app.connect("build-finished", copied)
    return {"parallel_read_safe": True}
