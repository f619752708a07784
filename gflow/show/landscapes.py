"""Notebooks' view of a landscape and of its nodes, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import gflow
from gflow.report import format_number
from gflow.report.landscapes import HEAD, alt, drawn, level_rows, rows, summary
from gflow.show.elements import facts, page, picture, table


def landscape(record: gflow.Landscape) -> str:
    """Return the picture of a landscape, what is known of its completeness, and its nodes."""
    known = [
        ("completeness", record.sentence()),
        ("path", " → ".join(str(each + 1) for each in record.path) or "none"),
        ("limit", record.path_status),
        *(("note", note) for note in record.notes),
    ]
    small = picture(partial(drawn, record), alt(record), figsize=(6.4, 4.0))
    head, levels = level_rows(record)
    counts = table(head, [["" if cell is None else cell for cell in row] for row in levels], caption="counts")
    return page("Landscape", summary(record), small, facts(known), counts, table(HEAD, rows(record), caption="nodes"))


def node(record: gflow.Node) -> str:
    """Return one node."""
    known = [
        ("loss", format_number(record.value)),
        ("rank", format_number(record.rank)),
        ("index", f"{record.index}, {record.index_inside} of them inside"),
        ("zero modes", f"{record.n_zero} ({record.gauge} by symmetry)"),
        ("continuum", f"of dimension {record.flat}" if record.flat else "none: isolated"),
        ("found by", ", ".join(f"{how} ({count})" for how, count in record.found.items())),
    ]
    return page(f"Node {record.number + 1}", record.name.replace("-", " "), facts(known))


def columns(record: gflow.Landscape) -> tuple[dict[str, Sequence[Any]], None]:
    """Return the nodes as the columns of a table; the path marks its nodes in a column of its own."""
    listed = {name: [row[n] for row in rows(record)] for n, name in enumerate(HEAD)}
    listed["node"] = [each.number for each in record.nodes]
    listed["leads to"] = [
        ", ".join(map(str, sorted({arrow.target for arrow in record.leaving(each.number)}))) for each in record.nodes
    ]
    return {**listed, "on path": [each.number in record.path for each in record.nodes]}, None
