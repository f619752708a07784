"""Notebooks' view of problems, reference completions and components."""

from __future__ import annotations

from functools import partial

import numpy as np

import gflow
from gflow.report import format_number
from gflow.show import drawings
from gflow.show.elements import facts, matrix, page, picture, table

LARGEST_SHOWN_CELLS = 10**6
"""Matrices of more entries are described, not shown."""


def problem(record: gflow.MatrixCompletion) -> str:
    """Return the observed entries and what is known of the file they come from."""
    (d1, d2), n = record.shape, record.n_observed
    summary = f"{d1} × {d2}, {n} of {d1 * d2} entries observed" + "".join(f"; {note}" for note in record.notes)
    if d1 * d2 > LARGEST_SHOWN_CELLS:
        return page("Partially observed matrix", summary, facts([("largest entry", format_number(record.size))]))
    kinds = np.where(record.observed, "observed", "gap")
    return page(
        "Partially observed matrix",
        summary,
        matrix(record.with_gaps(), kinds, names=(record.row_names, record.column_names)),
    )


def sensing(record: gflow.MatrixSensing) -> str:
    """Return the sizes of linear measurements."""
    d1, d2 = record.shape
    risk = "mean" if record.normalization == "mean" else "sum"
    return page("Matrix sensing", f"{record.n_observed} measurements of a {d1} × {d2} matrix, {risk} of squares")


def completion(record: gflow.Completion) -> str:
    """Return the completion with the bounds that certify it."""
    unique = {True: "yes, certified", False: "no, certified", None: "not known"}[record.unique]
    known = [
        (f"least {record.objective}", format_number(record.value, 8)),
        ("certified bounds", f"{record.lower:.10g} to {record.upper:.10g}"),
        ("rank", str(record.rank)),
        ("the only one", unique),
        ("solver", record.solver),
    ]
    shown = "" if record.matrix.size > LARGEST_SHOWN_CELLS else _plain(record.matrix)
    return page("Completion", f"of least {record.objective}", shown, facts(known))


def bracket(record: gflow.RankBracket) -> str:
    """Return the bounds on the least rank with their reasons, and a completion."""
    ends = str(record.upper) if record.closed else f"between {record.lower} and {record.upper}"
    known = [
        (f"at least {record.lower}", record.lower_reason),
        (f"at most {record.upper}", record.upper_reason + ("" if record.certified else " (not certified)")),
    ]
    shown = "" if record.completion.size > LARGEST_SHOWN_CELLS else _plain(record.completion)
    return page("Least rank", ends, shown, facts(known))


def connectivity(record: gflow.Connectivity) -> str:
    """Return the kind of the data, the components, and the blocks that they couple."""
    d1, d2 = record.shape
    kind = str(record.kind).replace("-", ", ", 1).replace("-", " ")
    summary = f"{kind}; {d1} × {d2}, {record.n_observed} observed"
    rows = [(k + 1, _few(p.rows), _few(p.columns), p.complete_bipartite) for k, p in enumerate(record.components)]
    parts = table(
        ("component", "rows", "columns", "complete bipartite"), rows, caption="observation graph, counted from 1"
    )
    missing = [
        (name, _few(found))
        for name, found in (
            ("rows without observation", record.unobserved_rows),
            ("columns without observation", record.unobserved_columns),
        )
        if found
    ]
    blocks = f"Rows and columns joined by the {record.n_coupling_components} coupling components, by colour"
    shown = (
        picture(partial(drawings.connectivity, record), blocks, (2.6, 2.2)) if d1 * d2 <= LARGEST_SHOWN_CELLS else ""
    )
    return page("Connectivity", summary, parts + (facts(missing) if missing else ""), shown)


def _plain(values: np.ndarray) -> str:
    return matrix(values, np.full(values.shape, "entry"))


def _few(places: tuple[int, ...]) -> str:
    """Return places counted from 1, of more than 12 the first and their number."""
    shown = ", ".join(str(place + 1) for place in places[:12])
    return f"{shown}, … ({len(places)})" if len(places) > 12 else shown
