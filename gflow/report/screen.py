"""The lines of an answer: the matrix, what is known of it, and the chain of saddles, on a screen of 80 characters."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

import gflow
from gflow.policy import PER_CENT, ROUNDED_LOSS
from gflow.report.labels import clipped, column_label, row_label

if TYPE_CHECKING:
    from gflow.report.explanation import Explanation

WIDTH, HEIGHT = 80, 24
"""The screen that every explanation fits."""
FEWEST_ROWS = 2
LONGEST_LABEL = 16


def screen(found: Explanation, beside: Sequence[str] = ()) -> str:
    """Return what is learned, and below it the lines ``beside``; the matrix has the rows that the screen leaves."""
    head, told, rest = [*wrapped(_title(found)), ""], answer(found), ["", *beside] if beside else []
    rows = found.problem.shape[0]
    room = HEIGHT - len(head) - len(rest)
    shown = matrix(found, rows)
    if (excess := len(shown) + len(told) - room) > 0:
        shown = matrix(found, min(rows, max(rows - excess, FEWEST_ROWS)))
    if len(shown) + len(told) > room:
        told = [*told[: room - len(shown) - 1], "... more: gflow limit"]
    return "\n".join([*head, *shown, *told, *rest])


def _title(found: Explanation) -> str:
    (d1, d2), depth = found.problem.shape, found.depth
    count = len(found.connectivity.coupling_components)
    kind = str(found.connectivity.kind).replace("-", " ", 1).replace("-", " ")
    parts = "" if count == 1 else f", {count} coupling components"
    factors = "" if depth == 2 else f", {depth} factors"
    return f"{found.name}: {d1} x {d2}, {found.problem.n_observed} of {d1 * d2} observed, {kind}{parts}{factors}"


def matrix(found: Explanation, rows: int) -> list[str]:
    """Return the first rows of the matrix, its entries told apart, with as many columns as fit, and a blank line."""
    W = found.limit.matrix
    if W is None:
        return [*wrapped(f"no limit: {found.limit.status}: {found.limit.reason}"), ""]
    cells, columns = _cells(found), W.shape[1]
    heads = clipped([column_label(found.problem, j) for j in range(columns)], LONGEST_LABEL)
    sides = clipped([row_label(found.problem, i) for i in range(rows)], LONGEST_LABEL)
    side = max(5, *map(len, sides))
    widths = [max(len(heads[j]), *(len(row[j]) for row in cells[:rows])) for j in range(columns)]
    while columns > 1 and side + sum(width + 2 for width in widths[:columns]) > WIDTH:
        columns -= 1
    lines = [" " * side + "".join(f"{heads[j]:>{widths[j] + 2}}" for j in range(columns))]
    for i in range(rows):
        lines.append(f"{sides[i]:>{side}}" + "".join(f"{cells[i][j]:>{widths[j] + 2}}" for j in range(columns)))
    told = [] if (rows, columns) == W.shape else [f"the first {rows} rows and {columns} columns"]
    return [*lines, *wrapped("; ".join([*told, *legend(found)])), ""]


def legend(found: Explanation) -> list[str]:
    """Return what the marks of the entries mean, and the law of those that depend on the start."""
    fixed, seen = found.limit.determined, found.problem.observed
    said = ["[ ] learned, the same from every start"] if (fixed & ~seen).any() else []
    if not fixed.all():
        said.append(f"mean ± deviation: depends on the start, {found.limit.law}")
    return said or ["every entry is observed"]


def _cells(found: Explanation) -> list[list[str]]:
    """Return the entries as text: observed ones plain, learned ones in brackets, others with their deviation."""
    W, std, fixed, seen = found.limit.matrix, found.limit.std, found.limit.determined, found.problem.observed
    assert W is not None
    small = 1e-9 * float(np.abs(W).max(initial=0.0))

    def cell(i: int, j: int) -> str:
        value = f"{W[i, j] if abs(W[i, j]) > small else 0.0:.4g}"
        if seen[i, j]:
            return value
        return f"[{value}]" if fixed[i, j] else f"{value} ± {std[i, j]:.2g}"

    return [[cell(i, j) for j in range(W.shape[1])] for i in range(W.shape[0])]


def answer(found: Explanation) -> list[str]:
    """Return rank and norm beside their minima, the chain of saddles, and how small alpha must be."""
    limit, lines = found.limit, []
    if limit.matrix is not None:
        rank, norm = "rank not known" if limit.rank is None else f"rank {limit.rank}", "nuclear norm: by the start"
        if found.least_rank is not None:
            low, high = found.least_rank.lower, found.least_rank.upper
            rank += f" (least {low})" if low == high else f" (least {low} to {high})"
        if limit.nuclear_norm is not None:
            norm = f"nuclear norm {limit.nuclear_norm:.6g}"
        if found.least_norm is not None:
            norm += f" (least {found.least_norm.nuclear_norm:.6g})"
        lines.append(f"{rank}, {norm}")
    chains = chains_of(limit)
    for k, saddles in enumerate(chains):
        where = "loss" if len(chains) == 1 else f"component {k + 1}, loss"
        lines += wrapped(f"{where}: " + " -> ".join(_stop(saddle, saddles[0].loss) for saddle in saddles))
    if limit.matrix is not None:
        lines += wrapped(approach(limit))
    return lines


def chains_of(limit: gflow.Traversal | gflow.DeepTraversal) -> list[tuple[Any, ...]]:
    """Return the saddles of every chain: from three factors on all components go along one."""
    return [each.saddles for each in limit.chains] if isinstance(limit, gflow.Traversal) else [limit.saddles]


def _stop(saddle: gflow.Saddle | gflow.DeepSaddle, first: float) -> str:
    loss = saddle.loss if saddle.loss > ROUNDED_LOSS * first else 0.0
    rate = getattr(saddle, "escape_rate", 0.0)
    return f"{loss:.3g} (rank {saddle.rank}" + (f", rate {rate:.3g})" if rate and loss else ")")


def approach(limit: gflow.Traversal | gflow.DeepTraversal) -> str:
    """Return how small alpha must be for 1 %, in words."""
    if isinstance(limit, gflow.Traversal) and limit.exact:
        return "every start that is small enough ends at the limit itself"
    if (exponent := limit.log10_alpha(PER_CENT)) is not None:
        return f"1 % of the limit is reached from starts of size alpha below about 10^{exponent:.3g}"
    if isinstance(limit, gflow.DeepTraversal) and limit.order is not None:
        return f"the error falls as alpha^{limit.order:.3g}; the alpha that 1 % needs is not known"
    return "the size alpha of the start that 1 % needs is not known"


def wrapped(text: str) -> list[str]:
    """Return a text in lines of a screen."""
    return wrap(text, WIDTH, subsequent_indent="  ")
