"""What a report is made of: figures with their data, tables, a matrix with the status of its entries, claims."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module, metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.plots import Drawing, EntryStatus
from gflow.report.figures import Figure, check_name, frozen
from gflow.report.groups import TheoremGroup, grouped
from gflow.report.numbers import json_ready
from gflow.showing import Drawn, Tabular
from gflow.statements.claims import Claim, summary

if TYPE_CHECKING:
    from gflow.report.explanation import Explanation
    from gflow.statements.statement import Statement

COUNTING = "rows and columns are counted from 0, in sentences and captions from 1"
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
class Table:
    """A table: its rows hold numbers, text, None or short sequences of them.

    Columns that ``lines`` names hold indices of rows or columns of a matrix, counted from 0; people see its labels.

    Raises ``ValueError`` if a row does not have as many cells as there are columns or the name is no identifier.
    """

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        check_name(self.name, "table")
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
        values, statuses = frozen(self.values, "values"), np.asarray(self.statuses)
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
class Report(Drawn, Tabular):
    """Everything a report shows.

    Parameters
    ----------
    title, lead : str
        Heading and opening paragraph.
    claims : sequence of Claim
    statements : sequence of Statement
        Those that were checked: pages say who says so, and under which hypotheses.
    claim_ids : mapping of str to sequence of str
        The ids of the claims of each statement by its own id; by default those that begin with it.
    formula : str
        TeX of what it is about, shown by pages; the empty text for none.
    answer : Explanation, optional
        What is learned: pages and the command line begin with it.
    figures : sequence of Figure
    tables : sequence of Table
    composites : mapping of str to Drawing
        Several figures as one with lettered panels, by name.
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
    claim_ids: Mapping[str, Sequence[str]] = field(default_factory=dict, kw_only=True)
    formula: str = field(default="", kw_only=True)
    answer: Explanation | None = field(default=None, kw_only=True)
    figures: Sequence[Figure] = field(default=(), kw_only=True)
    tables: Sequence[Table] = field(default=(), kw_only=True)
    composites: Mapping[str, Drawing] = field(default_factory=dict, kw_only=True)
    configuration: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    matrix: MatrixView | None = field(default=None, kw_only=True)
    seed: int | None = field(default=None, kw_only=True)
    versions: Mapping[str, str | None] = field(default_factory=versions, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("claims", "statements", "figures", "tables"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("configuration", "versions", "claim_ids"):
            object.__setattr__(self, name, MappingProxyType(json_ready(getattr(self, name))))
        _check_distinct((claim.id for claim in self.claims), "claim")
        names = [figure.name for figure in self.figures] + [table.name for table in self.tables]
        _check_distinct((name.lower() for name in names), "figure or table")

    @property
    def groups(self) -> tuple[TheoremGroup, ...]:
        """Return the statements by theorem, each with its claims."""
        return grouped(self.statements, self.claims, self.claim_ids)[0]

    @property
    def loose(self) -> tuple[Claim, ...]:
        """Return the claims that belong to no statement, as those of a study."""
        return grouped(self.statements, self.claims, self.claim_ids)[1]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a JSON-ready dictionary; figures by name, their data being in the CSV files.

        Rows and columns are counted from 0, in sentences and captions from 1.
        """
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
            "counting": COUNTING,
            "answer": None if self.answer is None else json_ready(self.answer.to_dict()),
            "statements": [entry.to_dict() for group in self.groups for entry in group.entries],
        }

    def __repr__(self) -> str:
        return f"Report({self.title!r}, {len(self.claims)} claims, {len(self.figures)} figures)"


def _check_distinct(names: Iterable[str], kind: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"every {kind} of a report must have its own name; got '{name}' twice")
        seen.add(name)
