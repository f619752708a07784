"""What a page shows of a report, in the order in which it shows it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np

from gflow.plots.drawing import WIDE
from gflow.plots.style import EntryStatus
from gflow.plots.svg import scoped_svg
from gflow.report.answer import paragraph
from gflow.report.explanation import Explanation
from gflow.report.figures import Figure
from gflow.report.labels import column_label, row_label
from gflow.report.numbers import MISSING, format_cell, format_number, is_number
from gflow.report.records import MatrixView, Report, Table
from gflow.statements.claims import Verdict, summary

SHOWN_SIDE = 24
"""Rows and columns of a matrix shown in the page; all entries are in the CSV file beside it."""
COLUMN = 432.0
"""Drawings wider than this, in points, have the width of the page: panels in half a column cannot be read."""
MAGNIFIED, LARGEST_WIDTH = 1.75, 1054.0
"""Wide drawings are shown so much larger than they are, and no wider, in pixels."""
_SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z])")
GRAPH, COURSE, CHAIN = "observation-graph", ("loss", "learned-values"), "chain"
"""The figure beside the matrix, those that show the course of the flow, and the table of its saddles."""
WORDS = {
    EntryStatus.OBSERVED: "observed",
    EntryStatus.DETERMINED: "learned, the same from every start",
    EntryStatus.SEED_DEPENDENT: "depends on the start",
    EntryStatus.UNDECIDED: "undecided",
}


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A figure with its number and its graphic."""

    number: int
    figure: Figure
    wide: bool
    width: float

    @property
    def svg(self) -> Any:
        """Return the graphic, made ready to stand beside others in one page."""
        from markupsafe import Markup

        return Markup(scoped_svg(self.figure.svg, self.figure.name))


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A table as people read it: without columns that say nothing, which a note replaces."""

    name: str
    caption: str
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[Any, ...], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ShownEntries:
    """A matrix with its labels, its cells as text with the status of each, and what the statuses mean."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, EntryStatus], ...]], ...]
    key: tuple[tuple[EntryStatus, str, int], ...]


def context(report: Report) -> dict[str, Any]:
    """Return everything that the templates of a report ask for."""
    images = {each.figure.name: each for each in _images(report.figures)}
    course = [images.pop(name) for name in COURSE if name in images and report.answer is not None]
    graph = images.pop(GRAPH, None) if report.answer is not None else None
    grids = {table.name: grid(table) for table in report.tables}
    everything = list(grids.values())
    chain = grids.pop(CHAIN, None)
    return {
        "report": report,
        "answer": None if report.answer is None else paragraph(report.answer),
        "opening": opening(report),
        "counts": summary(report.claims),
        "contradicted": [claim for claim in report.claims if claim.verdict is Verdict.CONTRADICTED],
        "news": [claim for claim in report.claims if claim.news],
        "entries": entries(report),
        "graph": graph,
        "course": course,
        "chain": chain,
        "images": list(images.values()),
        "grids": list(grids.values()),
        "all_grids": everything,
        "settings": list(_flattened(report.configuration)),
        "versions": [(name, version or "not installed") for name, version in report.versions.items()],
    }


def opening(report: Report) -> str:
    """Return the paragraph under a title without an answer: what is done, and how the claims of a study came out."""
    if not report.figures:
        return report.lead
    first, counts = _SENTENCE.split(report.lead)[0], {**summary(report.claims)}
    held, count = counts.pop("holds"), len(report.claims)
    others = ", ".join(f"{found} {name.replace('-', ' ')}" for name, found in counts.items() if found)
    said = f"Of {count} claims {held} hold; {others}." if held < count else f"All {count} claims hold."
    return f"{first} {'Its one claim holds.' if held == count == 1 else said}" if count else first


def _images(figures: Sequence[Figure]) -> Iterator[Image]:
    """Yield the figures, numbered in the order in which a page shows them."""
    first = [GRAPH, *COURSE]
    ordered = sorted(figures, key=lambda each: first.index(each.name) if each.name in first else len(first))
    for number, figure in enumerate(ordered, 1):
        _, root = next(iter(ElementTree.iterparse(io.StringIO(figure.svg), ("start",))))
        box = root.get("viewBox", "0 0 1 1").replace(",", " ").split()
        wide = float(box[2]) > min(COLUMN, WIDE * float(box[3]))
        width = min(LARGEST_WIDTH, MAGNIFIED * float(box[2]))
        yield Image(number, figure, wide, width)


def grid(table: Table) -> Grid:
    """Return a table as people read it; columns of one text in every row, or of nothing, become notes."""
    names, notes = [], []
    for k, name in enumerate(table.columns):
        cells = [row[k] for row in table.rows]
        texts = {shown(table, name, cell) for cell in cells}
        if len(cells) > 1 and len(texts) == 1 and (all(c is None or isinstance(c, str) for c in cells)):
            (text,) = texts
            notes += [] if text == MISSING else [f"{name}: {text}"]
        else:
            names.append(k)
    columns = tuple((table.columns[k], _numeric(table, k)) for k in names)
    rows = tuple(tuple(shown(table, table.columns[k], row[k]) for k in names) for row in table.rows)
    return Grid(table.name, table.caption, columns, rows, tuple(dict.fromkeys(notes)))


def shown(table: Table, column: str, value: Any) -> str:
    """Return a cell as text; indices of lines by their labels."""
    if column in table.lines and isinstance(value, (list, tuple)):
        return ", ".join(table.lines[column][k] for k in value) or MISSING
    return format_cell(value)


def _numeric(table: Table, k: int) -> bool:
    return table.columns[k] not in table.lines and any(is_number(row[k]) for row in table.rows)


def entries(report: Report) -> ShownEntries | None:
    """Return the matrix of the answer, or where it has none that of the report; None where there is neither."""
    if report.answer is not None and report.answer.limit.matrix is not None:
        return _learned(report.answer)
    return None if report.matrix is None else _given(report.matrix, report.answer)


def _learned(found: Explanation) -> ShownEntries:
    W, std, fixed = found.limit.matrix, found.limit.std, found.limit.determined
    assert W is not None
    statuses = np.full(W.shape, EntryStatus.DETERMINED, dtype=object)
    statuses[~fixed] = EntryStatus.SEED_DEPENDENT
    statuses[found.problem.observed] = EntryStatus.OBSERVED
    tiny = 1e-9 * float(np.abs(W).max(initial=0.0))

    def cell(i: int, j: int) -> str:
        value = format_number(W[i, j] if abs(W[i, j]) > tiny else 0.0, 4)
        return value if statuses[i, j] != EntryStatus.SEED_DEPENDENT else f"{value} ± {format_number(std[i, j], 2)}"

    caption = "The matrix that gradient flow from smaller and smaller starts tends to."
    if not fixed.all():
        caption += (
            " Where it depends on the start: mean ± standard deviation over random starts; the law of such an entry is "
            f"{found.limit.law}."
        )
    return _entries(caption, statuses, cell, found.problem)


def _given(matrix: MatrixView, found: Explanation | None) -> ShownEntries:
    statuses = np.array([[str(status) for status in row] for row in matrix.statuses]).reshape(matrix.values.shape)
    caption = matrix.caption.rstrip(".") + "."
    problem = None if found is None else found.problem
    return _entries(caption, statuses, lambda i, j: format_number(matrix.values[i, j]), problem)


def _entries(caption: str, statuses: np.ndarray, cell: Any, problem: Any) -> ShownEntries:
    d1, d2 = statuses.shape
    n1, n2 = min(d1, SHOWN_SIDE), min(d2, SHOWN_SIDE)
    if (n1, n2) != (d1, d2):
        caption += f" Shown are the first {n1} rows and {n2} columns of {d1} and {d2}."
    rows = tuple(
        (row_label(problem, i), tuple((cell(i, j), EntryStatus(str(statuses[i, j]))) for j in range(n2)))
        for i in range(n1)
    )
    counts = [(status, WORDS[status], int((statuses == status).sum())) for status in EntryStatus]
    columns = tuple(column_label(problem, j) for j in range(n2))
    return ShownEntries(caption, columns, rows, tuple(each for each in counts if each[2]))


def _flattened(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", format_cell(value)
