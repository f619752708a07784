"""The tables of a verification: saddles, their certificates, components, completions, equations and chains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gflow import diagnostics, manifolds, symbolic
from gflow.policy import SHOWN_RANK_TOL
from gflow.report import Table
from gflow.report.certificates import certificate_table
from gflow.report.labels import line_labels
from gflow.statements import Evidence, VisitedSaddle, completions
from gflow.statements.spectrum import multiplicity, predicted_multiplicity, predicted_zero_modes

LARGEST_EQUATIONS = 50
"""Up to this dimension (5 x 5 at full width) the equations of the flow are listed."""


def tables(given: Evidence) -> list[Table]:
    """Return all tables of the evidence; indices of rows and columns are shown by their labels."""
    labels = line_labels(given.problem)
    made = (make(given) for make in TABLES)
    return [replace(table, lines=labels) for table in made if table is not None]


def chain_table(given: Evidence) -> Table:
    """Return one row for every saddle of the limit of small starts, chain by chain, in the units of the matrix."""
    limit = given.every_start
    columns: tuple[str, ...] = ("component", "rows", "columns", "rank", "loss", "escape rate", "index")
    rows = [
        [chain.end.component + 1, list(chain.rows), list(chain.columns), s.rank, s.loss, s.escape_rate, s.index]
        for chain in limit.chains
        for s in chain.saddles
    ]
    caption = (
        "The way of the limit of small starts: from the origin, at rank 0, each saddle is left along its steepest "
        "direction at the escape rate, and the next one has one rank more. The index counts falling directions."
    )
    if len(limit.chains) == 1:
        columns, rows = columns[3:], [row[3:] for row in rows]
    return Table("chain", caption, columns, rows)


def saddle_table(given: Evidence) -> Table:
    """Return one row for every saddle that the trajectory passes, in the units of the matrix."""
    columns = (
        *("loss", "from", "to", "k", "ranks of W, A, B", "kind", "index", "zero modes", "zero modes predicted"),
        *("residual singular values", "escape rate", "2 sigma_1 / n", "multiplicity", "multiplicity predicted"),
        *("Assumption 1", "Assumption 2"),
    )
    rows = [_saddle_row(given, saddle) for saddle in given.saddles]
    for plateau in given.unresolved:
        span = [given.matrix_loss(plateau.loss), *_span(given, plateau)]
        rows.append([*span, None, None, "no critical point found", *[None] * (len(columns) - 6)])
    caption = (
        "Saddles that the trajectory passes, polished by Newton's method within the smallest Omega_k that holds them. "
        "Zero modes are predicted from below: by the residual's rank, and by the symmetry orbit."
    )
    return Table("saddles", caption, columns, rows)


def _saddle_row(given: Evidence, saddle: VisitedSaddle) -> list[Any]:
    point, leaves = saddle.point, saddle.escape
    rank_a, rank_b, _ = manifolds.factor_ranks(given.model, point.theta) if saddle.rank else (0, 0, 0)
    rank = int(diagnostics.numerical_rank(given.model.output(point.theta), SHOWN_RANK_TOL**2)) if saddle.rank else 0
    return [
        given.matrix_loss(point.value),
        *_span(given, saddle.plateau),
        saddle.rank,
        [rank, rank_a, rank_b],
        str(point.kind),
        point.index,
        point.n_zero,
        [predicted_zero_modes(given, saddle), point.gauge_dimension],
        (leaves.singular_values * given.unit).tolist(),
        point.escape_rate * given.unit,
        leaves.rate * given.unit,
        multiplicity(given, saddle) if point.index else 0,
        predicted_multiplicity(given, saddle) if point.index else 0,
        leaves.assumption_1,
        leaves.assumption_2,
    ]


def _span(given: Evidence, plateau: Any) -> list[float | None]:
    return [plateau.start / given.unit, None if plateau.end is None else plateau.end / given.unit]


def component_table(given: Evidence) -> Table:
    graphs = (
        ("observation graph", given.connectivity.components),
        ("coupling graph", given.connectivity.coupling_components),
    )
    rows = [
        [name, list(part.rows), list(part.columns), part.complete_bipartite] for name, parts in graphs for part in parts
    ]
    caption = "Components of the graph of observed non-zero entries and of the graph of all observed entries."
    columns = ("graph", "rows", "columns", "complete bipartite")
    return Table("components", caption, columns, rows)


def completion_table(given: Evidence) -> Table:
    """Return the limit beside the reference completions."""
    return Table(**given.once(completions))


def equation_table(given: Evidence) -> Table | None:
    """Return the equations of the flow, one a row; None above dimension 50."""
    if given.model.dim > LARGEST_EQUATIONS:
        return None
    flow = symbolic.symbolic_flow(given.problem.observed, given.model.rank, given.problem.with_gaps())
    lines = symbolic.equations_text(flow).splitlines()
    rows, block = [], ""
    for line in filter(str.strip, lines):
        if line.startswith("  "):
            rows.append([block, line.strip()])
        elif line.startswith("constant"):
            rows.append(["constant", line.partition(": ")[2]])
        else:
            block = line.rstrip(":")
    return Table("equations", "The gradient flow, one block per coupling component.", ("block", "equation"), rows)


TABLES = (saddle_table, certificate_table, component_table, completion_table, equation_table, chain_table)
