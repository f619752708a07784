"""Tables of records: their columns by name, and the names of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gflow
from gflow.statements.ledger import Ledger

Columns = tuple[Mapping[Any, Any], Sequence[str | None] | None]


def data_frame(columns: Mapping[Any, Any], index: Sequence[str | None] | None) -> Any:
    """Return a pandas data frame; ``ImportError`` with the remedy where pandas is not installed."""
    try:
        import pandas
    except ImportError:
        raise ImportError("a data frame needs pandas: pip install pandas, or use to_dict()") from None
    return pandas.DataFrame(dict(columns), index=index)


def problem(record: gflow.MatrixCompletion) -> Columns:
    """Return the entries, NaN where nothing is observed, by column."""
    names = [k if name is None else name for k, name in enumerate(record.column_names or [None] * record.shape[1])]
    values = record.with_gaps()
    return {name: values[:, j] for j, name in enumerate(names)}, record.row_names


def connectivity(record: gflow.Connectivity) -> Columns:
    """Return the components of the observation graph."""
    parts = record.components
    return {
        "rows": [part.rows for part in parts],
        "columns": [part.columns for part in parts],
        "complete_bipartite": [part.complete_bipartite for part in parts],
    }, None


def limit(record: gflow.Traversal) -> Columns:
    """Return the saddles of all components."""
    return _saddles(record, "component rank loss escape_rate gap index mu plateau_time mixing")


def deep_limit(record: gflow.DeepTraversal) -> Columns:
    """Return the saddles in the order of the visit."""
    return _saddles(record, "rank loss leaves inside_rate inside_unstable flat")


def symmetric_limit(record: gflow.SymmetricTraversal) -> Columns:
    """Return the saddles in the order of the visit."""
    return _saddles(record, "rank loss escape_rate gap inside_rate")


def trajectory(record: gflow.Trajectory) -> Columns:
    """Return time, loss and norm of the gradient."""
    return {"time": record.times, "loss": record.losses, "gradient_norm": record.gradient_norms}, None


def explanation(record: gflow.Explanation) -> Columns:
    """Return the matrix learned, by column; where it depends on the start, its mean."""
    W = record.limit.matrix
    if W is None:
        raise ValueError(f"there is no limit: {record.limit.reason}")
    names = record.problem.column_names or [None] * W.shape[1]
    return {k if name is None else name: W[:, k] for k, name in enumerate(names)}, record.problem.row_names


def completion(record: gflow.Completion) -> Columns:
    """Return the entries of the completion, by column."""
    return dict(enumerate(record.matrix.T)), None


def bracket(record: gflow.RankBracket) -> Columns:
    """Return the entries of the completion, by column."""
    return dict(enumerate(record.completion.T)), None


def critical_point(record: gflow.CriticalPoint) -> Columns:
    """Return the eigenvalues that are known, ascending."""
    return spectrum(record.spectrum)


def claim(record: gflow.Claim) -> Columns:
    """Return the claim as a table of one row."""
    return _claims([record])


def spectrum(record: gflow.Spectrum) -> Columns:
    """Return the eigenvalues, ascending."""
    return {"eigenvalue": record.values}, None


def claims(record: gflow.Report) -> Columns:
    """Return the claims of a report."""
    return _claims(list(record.claims))


def ledger(record: Ledger) -> Columns:
    """Return the statements with their verdicts."""
    return _claims(list(record.claims.values()))


def _claims(found: list[gflow.Claim]) -> Columns:
    keys = ("statement", "verdict", "measured", "allowed", "reason")
    described = [claim.to_dict() for claim in found]
    return {key: [each[key] for each in described] for key in keys}, [claim.id for claim in found]


def _saddles(record: Any, names: str) -> Columns:
    return {name: [getattr(saddle, name) for saddle in record.saddles] for name in names.split()}, None
