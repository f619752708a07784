"""A landscape as a picture, as rows of numbers, and as a report."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import gflow
from gflow.plots import Drawing, GraphNode, draw_landscape
from gflow.report.figures import Figure
from gflow.report.records import Report, Table
from gflow.statements.claims import Claim

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VANISHING = 1e-14
"""Losses below this fraction of the largest are shown as zero."""
SIDEWAYS = 0.34
"""Nodes of one rank are spread so far to both sides, by falling loss."""
FLOOR = 0.2
"""Where loss zero is drawn, as a fraction of the least positive loss."""
CONNECTIONS = (
    "Where orbits end that leave along one unstable class: found by following the flow, with the share of the "
    "directions tried; border: on the border of two basins, found by halving. Chains of connections lead to all that a "
    "node reaches where stable and unstable manifolds cross transversally, which is not tested."
)
HEAD = ("node", "rank", "loss", "kind", "index", "inside", "zero modes", "gauge", "continuum", "Omega", "leads to")


def shown_loss(record: gflow.Landscape, node: gflow.Node) -> float:
    """Return the loss of a node, 0.0 where it is rounding."""
    largest = max(each.value for each in record.nodes)
    return node.value if node.value > VANISHING * largest or record.width is None else 0.0


def rows(record: gflow.Landscape) -> list[tuple[Any, ...]]:
    """Return one row for each node, as ``HEAD`` says; nodes are numbered from 1."""
    found = []
    for node in record.nodes:
        targets = sorted({arrow.target + 1 for arrow in record.leaving(node.number)})
        mark = " *" if node.number in record.path else ""
        counts = (None,) * 4 if node.at_infinity else (node.index, node.index_inside, node.n_zero, node.gauge)
        found.append(
            (
                f"{node.number + 1}{mark}",
                node.rank,
                shown_loss(record, node),
                node.name,
                *counts,
                node.flat or None,
                node.omega,
                ", ".join(map(str, targets)),
            )
        )
    return found


def summary(record: gflow.Landscape) -> str:
    """Return the numbers of orbits, of runs to infinity and of connections, in words."""
    ends = len(record.nodes) - len(record.orbits)
    runs = f", {ends} run{'s' * (ends != 1)} to infinity" if ends else ""
    return f"{len(record.orbits)} critical orbits{runs}, {len(record.arrows)} connections"


def alt(record: gflow.Landscape) -> str:
    """Return what the picture shows."""
    return f"Critical orbits by rank and loss with the flow between them: {summary(record)}"


def drawn(record: gflow.Landscape, ax: Axes, **style: Any) -> Axes:
    """Return ``ax`` with the graph of a landscape; without ranks the index takes their place."""
    losses = [shown_loss(record, node) for node in record.nodes]
    positive = [loss for loss in losses if loss > 0.0]
    floor = FLOOR * min(positive, default=1.0)
    across = [node.index if node.rank is None else node.rank for node in record.nodes]
    nodes = [
        GraphNode(
            across[n] + _offset(across, n),
            loss if loss > 0.0 else floor,
            str(node.number + 1),
            node.name,
            node.flat > 0,
            node.number in record.path,
            _node_title(node, loss),
        )
        for n, (node, loss) in enumerate(zip(record.nodes, losses, strict=True))
    ]
    fastest = max((arrow.rate for arrow in record.arrows), default=1.0)
    arrows = [
        (a.source, a.target, float(np.sqrt(a.rate / fastest)), a.outside, a.on_path, _arrow_title(a))
        for a in record.arrows
    ]
    label = "negative eigenvalues" if record.width is None else "rank of W"
    return draw_landscape(nodes, arrows, ax, floor=floor if 0.0 in losses else None, label=label, **style)


def _offset(across: list[int], n: int) -> float:
    same = [k for k, each in enumerate(across) if each == across[n]]
    return 0.0 if len(same) == 1 else SIDEWAYS * (2.0 * same.index(n) / (len(same) - 1) - 1.0)


def _node_title(node: gflow.Node, loss: float) -> str:
    rank = "" if node.rank is None else f", rank {node.rank}"
    where = f", on a continuum of dimension {node.flat}" if node.flat else ""
    index = "" if node.at_infinity else f", index {node.index} ({node.index_inside} inside)"
    return f"{node.number + 1}: {node.name.replace('-', ' ')}{rank}, loss {loss:.6g}{index}{where}"


def _arrow_title(arrow: gflow.Arrow) -> str:
    way = "raises the rank" if arrow.outside else "within the rank"
    many = f", {arrow.share:.0%} of the directions" if arrow.start_dependent else ""
    many = ", on the border of two basins" if arrow.border else many
    return f"{arrow.source + 1} to {arrow.target + 1}: rate {arrow.rate:.6g}, {way}{many}"


def landscape_report(record: gflow.Landscape, name: str) -> Report:
    """Return the page of a landscape: its picture, its nodes and connections, and the claims that it is sound.

    Parameters
    ----------
    record : Landscape
    name : str
        Of the matrix.
    """
    drawing = Drawing.of(partial(drawn, record), alt=alt(record), figsize=(8.4, 4.8))
    data = {
        "rank": np.array([np.nan if node.rank is None else node.rank for node in record.nodes]),
        "loss": np.array([shown_loss(record, node) for node in record.nodes]),
        "index": np.array([node.index for node in record.nodes]),
        "on_path": np.array([node.number in record.path for node in record.nodes]),
    }
    caption = (
        "Every critical orbit by rank and loss. Arrows: orbits of the flow that leave along one unstable class, or on "
        "the border of two basins, wider where they grow faster, dashed where the rank stays; in colour the path of "
        "small starts. Pointing at a node or an arrow tells its numbers."
    )
    return Report(
        f"Landscape of {name}",
        f"{summary(record)}. {record.sentence()[0].upper()}{record.sentence()[1:]}.",
        landscape_claims(record),
        figures=[Figure.drawn("landscape", caption, drawing, data)],
        tables=[
            Table("nodes", "Critical orbits and runs to infinity; * on the path of small starts.", HEAD, rows(record)),
            Table("connections", CONNECTIONS, *_arrow_rows(record)),
            Table("counts", "What is known of the number of orbits.", *level_rows(record)),
        ],
        configuration={
            "matrix": name,
            "shape": record.shape,
            "width": record.width,
            "path": record.path_status,
            "notes": record.notes,
        },
    )


def landscape_claims(record: gflow.Landscape) -> list[Claim]:
    """Return the claims that nothing contradicts the record, and that it is complete."""
    sound = "losses fall along connections, spectra fit their parts and ball arithmetic, and the path is connected"
    said = "; ".join(record.faults[:3])
    whole = "no critical orbit is missing"
    missing = sum(
        level.expected - len(record.at_rank(level.rank)) for level in record.levels if level.expected is not None
    )
    claims = [
        Claim.bounded("landscape-sound", sound, len(record.faults), 0, 0, reason=said or "counted: what does not")
    ]
    if record.complete or missing:
        how = "; ".join(f"rank {level.rank}: {level.how}" for level in record.levels)
        return [*claims, Claim.bounded("landscape-complete", whole, missing, 0, 0, reason=how)]
    return [*claims, Claim.undecided("landscape-complete", whole, record.sentence())]


def level_rows(record: gflow.Landscape) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Return the columns and rows of what is known of the counts."""
    head = ("rank", "orbits", "proven", "estimate of missing", "how it is known, or why not")
    listed = [
        (each.rank, len(record.at_rank(each.rank)), each.expected, None if each.expected else each.unseen, each.how)
        for each in record.levels
    ]
    return head, listed


def _arrow_rows(record: gflow.Landscape) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    head = ("from", "to", "rate", "class", "multiplicity", "way", "share", "path")
    listed = [
        (
            arrow.source + 1,
            arrow.target + 1,
            arrow.rate,
            arrow.label + 1,
            arrow.multiplicity,
            "raises the rank" if arrow.outside else "within the rank",
            "border" if arrow.border else arrow.share,
            "*" if arrow.on_path else "",
        )
        for arrow in record.arrows
    ]
    return head, listed
