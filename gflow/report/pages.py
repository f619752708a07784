"""The files of a report: rendered in memory, written to one side, then moved into place."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import jinja2
import numpy as np

from gflow.report import views
from gflow.report.figures import drawing_file, figure_file
from gflow.report.formulas import mathml
from gflow.report.numbers import format_cell, format_interval, format_number, is_number
from gflow.report.records import MatrixView, Report
from gflow.report.words import evidence, measure, typeset
from gflow.statements.claims import Verdict

_TEMPLATES = Path(__file__).parent / "templates"
_MARKDOWN_MARKS = re.compile(r"([\\`*_{}\[\]<>&|~$#])")


def write_report(
    report: Report,
    folder: str | os.PathLike[str],
    *,
    formats: Sequence[str] = ("svg",),
    width: float | None = None,
    lettered: bool = False,
) -> Path:
    """Write the report into ``folder`` and return the path of its page.

    Parameters
    ----------
    report : Report
    folder : path
        Made where it does not exist.
    formats : sequence of 'svg', 'pdf' and 'png'
        Of the files of the figures; SVG is always among them.
    width : float, optional
        Of the figures in their files, in inches. Default: their own.
    lettered : bool
        Whether all figures of a study are written as one, with lettered panels, too.

    Written are ``report.html`` (one self-contained page), ``report.json``, ``report.md``, ``<figure>.csv`` and
    ``<figure>.svg`` for every figure and ``matrix-entries.csv``. Equal reports give equal bytes. Other files in the
    folder are left alone. Nothing appears in the folder before all of it is written.

    Raises
    ------
    ValueError
        For another format or width, or a figure that has only its SVG.
    OSError
        If the folder cannot be written, in one sentence.
    """
    files = report_files(report, formats=formats, width=width, lettered=lettered)
    _write(files, Path(folder), "the report")
    return Path(folder) / "report.html"


def report_files(
    report: Report, *, formats: Sequence[str] = ("svg",), width: float | None = None, lettered: bool = False
) -> dict[str, str | bytes]:
    """Return what the files of a report hold, by name; parameters and errors as for ``write_report``."""
    kinds = tuple(dict.fromkeys(("svg", *formats)))
    files: dict[str, str | bytes] = {f"{figure.name}.csv": _csv(figure.data) for figure in report.figures}
    files |= {f"{f.name}.{kind}": figure_file(f, kind, width) for f in report.figures for kind in kinds}
    if lettered:
        files |= {
            f"{name}-composite.{kind}": drawing_file(drawing, kind, width)
            for name, drawing in report.composites.items()
            for kind in kinds
        }
    if report.matrix is not None:
        files["matrix-entries.csv"] = _csv(_entries(report.matrix))
    files |= {"report.json": report_json(report), "report.md": report_markdown(report)}
    files["report.html"] = report_html(report, formats=kinds, lettered=lettered)
    return files


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


def report_html(report: Report, *, formats: Sequence[str] = ("svg",), lettered: bool = False) -> str:
    """Return the report as one HTML page that needs no script and asks for nothing from elsewhere.

    It links to the files of the figures in these ``formats``, and to those of the composites if ``lettered``.
    """
    return _environment(True).get_template("report.html.j2").render(**_context(report, formats, lettered))


def report_markdown(report: Report) -> str:
    """Return the report as Markdown; its figures are the SVG files beside it."""
    return _environment(False).get_template("report.md.j2").render(**_context(report, ("svg",), False))


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
    environment.filters.update(typeset=typeset, measure=measure, evidence=evidence, mathml=mathml)
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


def _context(report: Report, formats: Sequence[str], lettered: bool) -> dict[str, Any]:
    parts = views.context(report)
    sections = (
        ("matrix", "The matrix", parts["entries"]),
        ("course", "From saddle to saddle", parts["course"] or (parts["chain"] and parts["answer"])),
        ("statements", "Theorems", report.groups),
        ("claims", "Claims", report.loose),
        ("figures", "More figures" if parts["answer"] else "Figures", parts["images"]),
        ("tables", "Tables", parts["grids"]),
        ("provenance", "Methods, versions, data", True),
    )
    contents = [(anchor, name) for anchor, name, there in sections if there]
    if not parts["answer"]:
        contents.sort(key=lambda pair: pair[0] != "figures")
    composites = list(report.composites) if lettered else []
    made = {"anchors": _anchors(report), "contents": contents, "formats": formats, "composites": composites}
    return parts | made | {"largest": views.SHOWN_SIDE}


def _anchors(report: Report) -> dict[str, str]:
    """Return where the page tells of each claim."""
    owned = {c.id: f"statement-{e.statement.id}" for g in report.groups for e in g.entries for c in e.claims}
    return {claim.id: f"claim-{k + 1}" for k, claim in enumerate(report.loose)} | owned


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


def _write(files: Mapping[str, str | bytes], folder: Path, what: str) -> None:
    """Write all files beside their destination, then move them there; on failure remove what was written."""
    try:
        exists = folder.is_dir()
        home = folder if exists else _existing(folder.parent)
        aside = home / f".{folder.name or 'report'}-{secrets.token_hex(6)}"
        aside.mkdir()
        try:
            for name, text in files.items():
                (aside / name).write_bytes(text if isinstance(text, bytes) else text.encode())
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
