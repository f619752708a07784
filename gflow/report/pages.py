"""The files of a report: rendered in memory, written to one side, then moved into place."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

import jinja2
import numpy as np

from gflow.plots.svg import scoped_svg, standalone_svg
from gflow.report.numbers import format_cell, format_interval, format_number, is_number
from gflow.report.records import Figure, MatrixView, Report
from gflow.statements.claims import Verdict, summary

_TEMPLATES = Path(__file__).parent / "templates"
_MARKDOWN_MARKS = re.compile(r"([\\`*_{}\[\]<>&|~$#])")
SHOWN_SIDE = 24
"""Rows and columns of a matrix shown in the page; all entries are in the CSV file beside it."""


def write_report(report: Report, folder: str | os.PathLike[str]) -> Path:
    """Write the report into ``folder`` and return the path of its page.

    Parameters
    ----------
    report : Report
    folder : path
        Made where it does not exist.

    Written are ``report.html`` (one self-contained page), ``report.json``, ``report.md``, ``<figure>.csv`` and
    ``<figure>.svg`` for every figure and ``matrix-entries.csv``. Equal reports give equal bytes. Other files in the
    folder are left alone. Nothing appears in the folder before all of it is written.

    Raises
    ------
    OSError
        If the folder cannot be written, in one sentence.
    """
    files = {f"{figure.name}.csv": _csv(figure.data) for figure in report.figures}
    files |= {f"{figure.name}.svg": standalone_svg(figure.svg) for figure in report.figures}
    if report.matrix is not None:
        files["matrix-entries.csv"] = _csv(_entries(report.matrix))
    files |= {"report.json": report_json(report), "report.md": report_markdown(report)}
    files["report.html"] = report_html(report)
    _write(files, Path(folder), "the report")
    return Path(folder) / "report.html"


def write_index(
    entries: Iterable[tuple[str, str, Mapping[str, int]]], folder: str | os.PathLike[str], title: str = "Reports"
) -> Path:
    """Write ``index.html``, a page that leads to many reports, into ``folder`` and return its path.

    Parameters
    ----------
    entries : sequence of (title, link, counts)
        The link is a path relative to the folder, the counts are ``summary(claims)``.
    folder : path
    title : str

    Raises ``ValueError`` for a link that is not relative and ``OSError`` if the folder cannot be written.
    """
    listed = [(name, _relative(link), counts) for name, link, counts in entries]
    total = {str(verdict): sum(counts.get(verdict, 0) for _, _, counts in listed) for verdict in Verdict}
    text = _environment(True).get_template("index.html.j2").render(title=title, entries=listed, total=total)
    _write({"index.html": text}, Path(folder), "the index")
    return Path(folder) / "index.html"


def report_json(report: Report) -> str:
    """Return the report as one JSON object, the text of ``report.json``."""
    return json.dumps(report.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def report_html(report: Report) -> str:
    """Return the report as one HTML page that needs no script and asks for nothing from elsewhere."""
    return _environment(True).get_template("report.html.j2").render(**_context(report))


def report_markdown(report: Report) -> str:
    """Return the report as Markdown; its figures are the SVG files beside it."""
    return _environment(False).get_template("report.md.j2").render(**_context(report))


def _environment(html: bool) -> jinja2.Environment:
    """Return the templates' environment, which makes every inserted text inert in the language of the output."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=html,
        finalize=None if html else _markdown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(number=format_number, interval=format_interval, cell=format_cell)
    environment.filters["verbatim"] = _Verbatim
    environment.tests["quantity"] = is_number
    environment.globals.update(wording={str(verdict): str(verdict).replace("-", " ") for verdict in Verdict})
    return environment


class _Verbatim(str):
    """Text that Markdown takes as it is: the name of a figure, checked when the figure was made."""


def _markdown(value: Any) -> str:
    if isinstance(value, _Verbatim):
        return value
    return _MARKDOWN_MARKS.sub(r"\\\1", " ".join(str(value).split("\n")).replace("\r", " "))


def _context(report: Report) -> dict[str, Any]:
    return {
        "report": report,
        "counts": summary(report.claims),
        "contradicted": [claim for claim in report.claims if claim.verdict is Verdict.CONTRADICTED],
        "news": [claim for claim in report.claims if claim.news],
        "figures": [(figure, _inline(figure), _is_wide(figure)) for figure in report.figures],
        "settings": list(_flattened(report.configuration)),
        "versions": [(name, version or "not installed") for name, version in report.versions.items()],
        "largest": SHOWN_SIDE,
    }


def _inline(figure: Figure) -> Any:
    from markupsafe import Markup

    return Markup(scoped_svg(figure.svg, figure.name))  # its content was checked when the figure was made


def _is_wide(figure: Figure) -> bool:
    box = ElementTree.fromstring(figure.svg).get("viewBox", "0 0 1 1").replace(",", " ").split()
    return float(box[2]) > 1.9 * float(box[3])


def _flattened(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", format_cell(value)


def _entries(matrix: MatrixView) -> dict[str, np.ndarray]:
    rows, columns = np.indices(matrix.values.shape).reshape(2, -1)
    statuses = np.array([str(status) for row in matrix.statuses for status in row])
    return {"row": rows + 1, "column": columns + 1, "value": matrix.values.ravel(), "status": statuses}


def _csv(data: Mapping[str, np.ndarray]) -> str:
    """Return columns as CSV with numbers that read back bit for bit; shorter columns end in empty cells."""
    columns: dict[str, list[Any]] = {}
    for name, array in data.items():
        parts = {name: array} if array.ndim == 1 else {f"{name}_{k + 1}": part for k, part in enumerate(array.T)}
        columns |= {key: part.tolist() for key, part in parts.items()}
    length = max(len(column) for column in columns.values())
    padded = [column + [""] * (length - len(column)) for column in columns.values()]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*padded, strict=True))
    return text.getvalue()


def _relative(link: str) -> str:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or link.startswith(("/", "\\")) or not link:
        raise ValueError(f"link of an index entry must be a relative path; got {link!r}")
    return quote(link)


def _write(files: Mapping[str, str], folder: Path, what: str) -> None:
    """Write all files beside their destination, then move them there; on failure remove what was written."""
    try:
        exists = folder.is_dir()
        home = folder if exists else _existing(folder.parent)
        aside = home / f".{folder.name or 'report'}-{secrets.token_hex(6)}"
        aside.mkdir()
        try:
            for name, text in files.items():
                (aside / name).write_bytes(text.encode())
            if exists:
                for name in files:
                    os.replace(aside / name, folder / name)
            else:
                folder.parent.mkdir(parents=True, exist_ok=True)
                os.rename(aside, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise OSError(f"cannot write {what} into '{folder}': {error.strerror or error}") from error


def _existing(folder: Path) -> Path:
    """Return the nearest folder above that exists, so that the move stays within one file system."""
    while not folder.exists():
        folder = folder.parent
    return folder
