"""The answer on one screen: what gradient flow from small starts learns of a matrix, and what theorems say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import Any

import numpy as np

import gflow
from gflow import watch
from gflow.report.answer import ASKED, PREMISE, sentences
from gflow.report.labels import clipped, column_label, counted, row_label
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.ledger import aggregated
from gflow.statements.registry import checked, statement_named

WIDTH, HEIGHT = 80, 24
"""The screen that every explanation fits."""
CHECKED_ENTRIES = 10_000
"""Up to this number of entries the statements are checked."""
PER_CENT = 0.01
LONGEST_LABEL = 16


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """What ``explain`` found; it prints as one screen of at most 24 lines of 80 characters.

    Attributes
    ----------
    problem : MatrixCompletion
    name : str
    connectivity : Connectivity
    limit : Traversal
        Over all starts: entries that depend on the start are known by their law.
    least_rank : RankBracket or None
    least_norm : Completion or None
        None where they are not computed: above 10000 entries.
    claims : mapping of str to Claim
        By the id of the statement; empty above 10000 entries.
    """

    problem: gflow.MatrixCompletion
    name: str
    connectivity: gflow.Connectivity
    limit: gflow.Traversal
    least_rank: gflow.RankBracket | None
    least_norm: gflow.Completion | None
    claims: Mapping[str, Claim]

    @property
    def sentences(self) -> tuple[str, ...]:
        """Return one plain sentence for each statement that was checked."""
        return sentences(self.claims)

    def to_dict(self) -> dict[str, Any]:
        """Return everything that is shown, for JSON; rows and columns are counted from 0."""
        limit = self.limit
        return {
            "name": self.name,
            "shape": list(self.problem.shape),
            "n_observed": self.problem.n_observed,
            "row_names": self.problem.row_names and list(self.problem.row_names),
            "column_names": self.problem.column_names and list(self.problem.column_names),
            "connectivity": self.connectivity.to_dict(),
            "status": str(limit.status),
            "reason": limit.reason,
            "matrix": None if limit.matrix is None else limit.matrix.tolist(),
            "determined": limit.determined.tolist(),
            "std": limit.std.tolist(),
            "rank": limit.rank,
            "least_rank": None if self.least_rank is None else [self.least_rank.lower, self.least_rank.upper],
            "nuclear_norm": limit.nuclear_norm,
            "least_nuclear_norm": None if self.least_norm is None else self.least_norm.nuclear_norm,
            "error": limit.error,
            "saddles": [
                {key: getattr(saddle, key) for key in ("component", "rank", "loss", "escape_rate")}
                for saddle in limit.saddles
            ],
            "log10_alpha": limit.log10_alpha(PER_CENT) if limit.matrix is not None else None,
            "statements": {id: {"verdict": str(c.verdict), "reason": c.reason} for id, c in self.claims.items()},
            "sentences": list(self.sentences),
        }

    def __str__(self) -> str:
        return self.answer([*_cut(self.sentences), *_left_out(self)])

    def answer(self, beside: Sequence[str] = ()) -> str:
        """Return what is learned, and below it the lines ``beside``; the matrix has the rows that the screen leaves."""
        title, rest = _title(self), [*_answer(self), *([""] if beside else []), *beside]
        room = HEIGHT - len(rest) - len(title.splitlines()) - 4
        return "\n".join([title, "", *_matrix(self, room), *rest])

    def __repr__(self) -> str:
        return f"Explanation({self.name}: {self.limit.status}, rank {self.limit.rank})"

    def _repr_html_(self) -> str:
        title = _title(self)
        lines = "".join(f"<li>{escape(line)}</li>" for line in self.sentences)
        answer = "<br>".join(map(escape, _answer(self)))
        return f"<h4>{escape(title)}</h4>{_html_matrix(self)}<p>{answer}</p><ul>{lines}</ul>"


@watch.watched
def explain(
    problem: Any,
    *,
    name: str = "the matrix",
    rank: int | None = None,
    progress: watch.Wish = None,
    timeout: float | None = None,
) -> Explanation:
    """Return what gradient flow from small starts learns of a matrix: the answer, and one sentence a statement.

    Parameters
    ----------
    problem : MatrixCompletion, or an array with NaN, a data frame or a sparse array
    name : str
        What it is called.
    rank : int, optional
        Inner width. Default: full.
    progress, timeout : see ``gflow.watch.watching``

    Raises
    ------
    TypeError, ValueError
        As ``MatrixCompletion`` for what is no matrix, and ``saddle_to_saddle`` for the rank.

    Norms and losses scale with M; the sentences do not change. Bai et al. 2024.

    Examples
    --------
    >>> print(explain([[1, 2], [3, float("nan")]]).sentences[-2])
    Theorem 3 holds: the completion has the minimum rank; its premise holds.
    """
    matrix = gflow.as_completion(problem)
    if _small(matrix):
        return explained(Evidence.of(matrix, rank=rank), name)
    limit = gflow.saddle_to_saddle(matrix, rank=rank)
    return Explanation(matrix, name, gflow.connectivity(matrix), limit, None, None, MappingProxyType({}))


def explained(given: Evidence, name: str) -> Explanation:
    """Return the answer on evidence that is at hand; what a verification has computed is not computed again."""
    matrix, limit = given.problem, given.once(every_start)
    claims: dict[str, Claim] = {}
    bracket = norm = None
    if _small(matrix):
        found = checked(given, [statement_named(id) for id in (*ASKED, PREMISE)])
        claims = {s.id: aggregated(s.id, s.title, parts) for s, parts in found.items()}
        with suppress(watch.TimeIsUp):
            watch.tick("certified minima")
            bracket, norm = given.bracket, given.nuclear
    return Explanation(matrix, name, given.connectivity, limit, bracket, norm, MappingProxyType(claims))


def _small(problem: gflow.MatrixCompletion) -> bool:
    return problem.shape[0] * problem.shape[1] <= CHECKED_ENTRIES


def every_start(given: Evidence) -> gflow.Traversal:
    """Return the limit over all starts, in which entries that depend on the start have a law."""
    return gflow.saddle_to_saddle(given.problem, rank=given.model.rank)


def _title(found: Explanation) -> str:
    d1, d2 = found.problem.shape
    count = len(found.connectivity.coupling_components)
    kind = str(found.connectivity.kind).replace("-", " ", 1).replace("-", " ")
    parts = "" if count == 1 else f", {count} coupling components"
    text = f"{found.name}: {d1} x {d2}, {found.problem.n_observed} of {d1 * d2} observed, {kind}{parts}"
    return "\n".join(_wrapped(text))


def _matrix(found: Explanation, room: int) -> Iterator[str]:
    """Yield the matrix with its entries told apart, as far as it fits."""
    W = found.limit.matrix
    if W is None:
        reason = counted(found.limit.reason)
        yield from _wrapped(f"no limit: {found.limit.status}: {reason}")
        yield ""
        return
    cells = _cells(found)
    rows, columns = min(len(W), max(room, 2)), W.shape[1]
    heads = clipped([column_label(found.problem, j) for j in range(columns)], LONGEST_LABEL)
    sides = clipped([row_label(found.problem, i) for i in range(rows)], LONGEST_LABEL)
    side = max(5, *map(len, sides))
    widths = [max(len(heads[j]), *(len(row[j]) for row in cells[:rows])) for j in range(columns)]
    while columns > 1 and side + sum(width + 2 for width in widths[:columns]) > WIDTH:
        columns -= 1
    yield " " * side + "".join(f"{heads[j]:>{widths[j] + 2}}" for j in range(columns))
    for i in range(rows):
        yield f"{sides[i]:>{side}}" + "".join(f"{cells[i][j]:>{widths[j] + 2}}" for j in range(columns))
    fixed, seen = found.limit.determined, found.problem.observed
    legend = "; ".join(
        text
        for text, some in (
            ("[ ] learned, the same from every start", (fixed & ~seen).any()),
            ("mean ± deviation: depends on the start", not fixed.all()),
        )
        if some
    )
    if (rows, columns) != W.shape:
        legend = f"the first {rows} rows and {columns} columns; {legend}"
    yield from _wrapped(legend or "every entry is observed")
    yield ""


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


def _answer(found: Explanation) -> list[str]:
    """Return rank and norm beside their minima, the chain of saddles, and how small alpha must be."""
    limit = found.limit
    lines = []
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
    for chain in limit.chains:
        stops = [f"{s.loss:.3g} (rank {s.rank}, rate {s.escape_rate:.3g})" for s in chain.saddles[:-1]]
        last = chain.saddles[-1]
        end = f"{0.0 if last.loss < 1e-15 * chain.saddles[0].loss else last.loss:.3g} (rank {last.rank})"
        where = "loss" if len(limit.chains) == 1 else f"component {chain.saddles[0].component + 1}, loss"
        lines += _wrapped(f"{where}: " + " -> ".join([*stops, end]))
    if limit.matrix is not None:
        exponent = limit.log10_alpha(PER_CENT)
        told = "not known" if exponent is None else f"below about 10^{exponent:.3g}"
        lines.append(f"1 % of the limit is reached from starts of size alpha {told}")
    return lines if len(lines) <= HEIGHT // 3 else [*lines[: HEIGHT // 3 - 1], "... more: gflow limit"]


def _cut(sentences: tuple[str, ...]) -> list[str]:
    return [line for sentence in sentences for line in _wrapped(sentence)[:2]]


def _wrapped(text: str) -> list[str]:
    from textwrap import wrap

    return wrap(text, WIDTH, subsequent_indent="  ")


def _left_out(found: Explanation) -> list[str]:
    if not found.claims:
        return [f"statements are checked up to {CHECKED_ENTRIES} entries: gflow verify goes on"]
    return ["Theorem 2 and every detail: gflow verify"]


def _html_matrix(found: Explanation) -> str:
    if found.limit.matrix is None:
        return f"<p>no limit: {escape(found.limit.reason)}</p>"
    style = {"seen": "", "fixed": "background:#dceefb", "open": "background:#fde8d0"}
    rows = []
    for i, row in enumerate(_cells(found)):
        kinds = [
            "seen" if found.problem.observed[i, j] else "fixed" if found.limit.determined[i, j] else "open"
            for j in range(len(row))
        ]
        cells = "".join(f'<td style="{style[kind]}">{escape(text)}</td>' for kind, text in zip(kinds, row, strict=True))
        rows.append(f"<tr><th>{i + 1}</th>{cells}</tr>")
    return f"<table>{''.join(rows)}</table>"
