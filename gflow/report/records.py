"""What a report is made of: figures with their data, tables, a matrix with the status of its entries, claims."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module, metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from gflow.plots.style import EntryStatus
from gflow.report.numbers import json_ready
from gflow.showing import Tabular
from gflow.statements.claims import Claim, summary

if TYPE_CHECKING:
    from gflow.statements.statement import Statement

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z")
_LIBRARIES = ("numpy", "scipy", "matplotlib", "sympy", "networkx", "autograd", "cvxpy", "clarabel")


def versions() -> dict[str, str | None]:
    """Return the versions of Python, gflow and the libraries it rests on; None for one that is not installed."""
    gflow = getattr(import_module("gflow"), "__version__", None) or _installed("gflow")
    return {"python": platform.python_version(), "gflow": gflow} | {name: _installed(name) for name in _LIBRARIES}


def _installed(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A vector graphic with its caption and the numbers behind every point of it.

    Parameters
    ----------
    name : str
        Letters, digits, hyphens and underscores: also the name of its files.
    caption : str
    svg : str
        As ``gflow.plots.figure_svg`` returns it.
    data : mapping of str to (m,) or (m, k) array
        Columns of the CSV file; an (m, k) array becomes columns ``name_1`` ... ``name_k``.

    Raises
    ------
    ValueError
        If the name cannot be a file name, there is no data, an array has no or more than two dimensions, or the
        graphic is not a plain SVG image (scripts and references to other files are refused).
    """

    name: str
    caption: str
    svg: str
    data: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        _check_name(self.name, "figure")
        _check_svg(self.svg, self.name)
        if not self.data:
            raise ValueError(f"figure '{self.name}' must come with the data behind it; got none")
        object.__setattr__(self, "data", MappingProxyType({str(k): _frozen(v, k) for k, v in self.data.items()}))

    def __repr__(self) -> str:
        return f"Figure({self.name}: {', '.join(self.data)})"

    def to_dict(self) -> dict[str, Any]:
        """Return name, caption and the names of the data columns as a JSON-ready dictionary."""
        return {"name": self.name, "caption": self.caption, "columns": list(self.data)}


@dataclass(frozen=True, slots=True, eq=False)
class FigureSet:
    """The figures that are drawn, and for each of the others one sentence that says why not."""

    figures: tuple[Figure, ...]
    left_out: MappingProxyType[str, str]

    def __repr__(self) -> str:
        drawn = ", ".join(figure.name for figure in self.figures) or "none"
        return f"FigureSet({drawn}; left out: {', '.join(self.left_out) or 'none'})"


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table: its rows hold numbers, text, None or short sequences of them.

    Raises ``ValueError`` if a row does not have as many cells as there are columns or the name is no identifier.
    """

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def __post_init__(self) -> None:
        _check_name(self.name, "table")
        object.__setattr__(self, "columns", tuple(str(column) for column in self.columns))
        object.__setattr__(self, "rows", tuple(tuple(row) for row in self.rows))
        for k, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"row {k + 1} of table '{self.name}' must have {len(self.columns)} cells; got {len(row)}"
                )

    def __repr__(self) -> str:
        return f"Table({self.name}: {len(self.rows)} rows of {', '.join(self.columns)})"

    def to_dict(self) -> dict[str, Any]:
        """Return the table as a JSON-ready dictionary."""
        return json_ready({"name": self.name, "caption": self.caption, "columns": self.columns, "rows": self.rows})


@dataclass(frozen=True, slots=True, eq=False)
class MatrixView:
    """The learned matrix with what is known of each entry.

    Parameters
    ----------
    values : (d1, d2) array
        NaN where there is no value.
    statuses : (d1, d2) array of ``EntryStatus`` or their values
    caption : str

    Raises ``ValueError`` if the shapes differ or a status is unknown.
    """

    values: np.ndarray
    statuses: Any
    caption: str = "The learned matrix"

    def __post_init__(self) -> None:
        values, statuses = _frozen(self.values, "values"), np.asarray(self.statuses)
        if values.ndim != 2 or values.shape != statuses.shape:
            raise ValueError(
                f"values and statuses must be matrices of one shape; got {values.shape} and {statuses.shape}"
            )
        object.__setattr__(self, "values", values.astype(float))
        self.values.setflags(write=False)
        rows = tuple(tuple(EntryStatus(str(status)) for status in row) for row in statuses.tolist())
        object.__setattr__(self, "statuses", rows)

    def counts(self) -> dict[EntryStatus, int]:
        """Return the number of entries per status, in the order of ``EntryStatus``, without those that do not occur."""
        found = [status for row in self.statuses for status in row]
        return {status: found.count(status) for status in EntryStatus if status in found}

    def to_dict(self) -> dict[str, Any]:
        """Return values and statuses as a JSON-ready dictionary."""
        return json_ready({"caption": self.caption, "values": self.values, "statuses": self.statuses})

    def __repr__(self) -> str:
        return f"MatrixView({self.values.shape[0]} x {self.values.shape[1]}, {self.counts()})"


@dataclass(frozen=True, slots=True, eq=False)
class Report(Tabular):
    """Everything a report shows.

    Parameters
    ----------
    title, lead : str
        Heading and opening paragraph.
    claims : sequence of Claim
    statements : sequence of Statement
        Those that were checked: pages say who says so, and under which hypotheses.
    figures : sequence of Figure
    tables : sequence of Table
    configuration : mapping
        The settings of the run: numbers, text, None, sequences, and mappings of them.
    matrix : MatrixView, optional
    seed : int, optional
    versions : mapping of str to str, optional
        Default: ``versions()``.

    Raises ``ValueError`` if two claims, or two figures or tables, have the same name.
    """

    title: str
    lead: str
    claims: Sequence[Claim]
    statements: Sequence[Statement] = field(default=(), kw_only=True)
    figures: Sequence[Figure] = field(default=(), kw_only=True)
    tables: Sequence[Table] = field(default=(), kw_only=True)
    configuration: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    matrix: MatrixView | None = field(default=None, kw_only=True)
    seed: int | None = field(default=None, kw_only=True)
    versions: Mapping[str, str | None] = field(default_factory=versions, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("claims", "statements", "figures", "tables"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("configuration", "versions"):
            object.__setattr__(self, name, MappingProxyType(json_ready(getattr(self, name))))
        _check_distinct((claim.id for claim in self.claims), "claim")
        names = [figure.name for figure in self.figures] + [table.name for table in self.tables]
        _check_distinct((name.lower() for name in names), "figure or table")

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a JSON-ready dictionary; figures by name, their data being in the CSV files."""
        return {
            "title": self.title,
            "lead": self.lead,
            "summary": summary(self.claims),
            "claims": [claim.to_dict() for claim in self.claims],
            "seed": json_ready(self.seed),
            "versions": dict(self.versions),
            "configuration": dict(self.configuration),
            "matrix": None if self.matrix is None else self.matrix.to_dict(),
            "tables": [table.to_dict() for table in self.tables],
            "figures": [figure.name for figure in self.figures],
        }

    def __repr__(self) -> str:
        return f"Report({self.title!r}, {len(self.claims)} claims, {len(self.figures)} figures)"


def _frozen(values: Any, name: Any) -> np.ndarray:
    array = np.array(values)
    if array.ndim not in (1, 2) or array.dtype.kind not in "biufUS":
        raise ValueError(
            f"'{name}' must be an array of numbers or text with one or two dimensions; "
            f"got shape {array.shape}, dtype {array.dtype}"
        )
    array.setflags(write=False)
    return array


def _check_name(name: str, kind: str) -> None:
    if not isinstance(name, str) or not _NAME.match(name):
        raise ValueError(f"name of a {kind} must be letters, digits, hyphens and underscores; got {name!r}")


def _check_distinct(names: Iterable[str], kind: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"every {kind} of a report must have its own name; got '{name}' twice")
        seen.add(name)


def _check_svg(svg: str, name: str) -> None:
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise ValueError(f"svg of figure '{name}' must be well-formed; {error}") from None
    if not root.tag.endswith("}svg"):
        raise ValueError(f"svg of figure '{name}' must be an SVG image in its namespace; got <{root.tag}>")
    for element in root.iter():
        tag = str(element.tag).rpartition("}")[2]
        outward = [key for key, text in element.attrib.items() if _reaches_out(key.rpartition("}")[2], text)]
        if tag in ("script", "foreignObject", "style", "a", "image") or outward:
            found = f"<{tag} {outward[0]}>" if outward else f"<{tag}>"
            raise ValueError(f"svg of figure '{name}' must hold neither scripts nor references; got {found}")


def _reaches_out(attribute: str, text: str) -> bool:
    link = attribute in ("href", "src") and not text.startswith("#")
    return attribute.startswith("on") or link or bool(re.search(r"url\((?!#)", text))
