"""The answer on one screen: what gradient flow from small starts learns of a matrix, and what theorems say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import gflow
from gflow import watch
from gflow.plain import plain
from gflow.policy import PER_CENT
from gflow.report.answer import ASKED, ASKED_DEEP, PREMISE, sentences
from gflow.report.screen import screen, wrapped
from gflow.showing import Drawn, Tabular
from gflow.statements import deep
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.ledger import aggregated
from gflow.statements.registry import checked, statements_named

CHECKED_ENTRIES = 10_000
"""Up to this number of entries the statements are checked."""


@dataclass(frozen=True, slots=True, eq=False)
class Explanation(Drawn, Tabular):
    """What ``explain`` found; it prints as one screen of at most 24 lines of 80 characters.

    Attributes
    ----------
    problem : MatrixCompletion
    name : str
    connectivity : Connectivity
    limit : Traversal, or DeepTraversal from three factors on
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
    limit: gflow.Traversal | gflow.DeepTraversal
    least_rank: gflow.RankBracket | None
    least_norm: gflow.Completion | None
    claims: Mapping[str, Claim]

    @property
    def depth(self) -> int:
        """Return the number of factors."""
        return 2 if isinstance(self.limit, gflow.Traversal) else self.limit.depth

    @property
    def sentences(self) -> tuple[str, ...]:
        """Return one plain sentence for each statement that was checked."""
        return sentences(self.claims)

    def to_dict(self) -> dict[str, Any]:
        """Return everything that is shown, for JSON; rows and columns are counted from 0."""
        limit, pairs = self.limit, isinstance(self.limit, gflow.Traversal)
        keys = "component rank loss escape_rate" if pairs else "rank loss leaves inside_rate"
        return {
            **plain(self, "name depth"),
            "shape": list(self.problem.shape),
            "n_observed": self.problem.n_observed,
            "row_names": self.problem.row_names and list(self.problem.row_names),
            "column_names": self.problem.column_names and list(self.problem.column_names),
            **plain(self, "connectivity"),
            **plain(limit, "status reason matrix determined std law rank"),
            "least_rank": None if self.least_rank is None else [self.least_rank.lower, self.least_rank.upper],
            "nuclear_norm": limit.nuclear_norm,
            "least_nuclear_norm": None if self.least_norm is None else self.least_norm.nuclear_norm,
            "error": limit.error,
            "saddles": [plain(saddle, keys) for saddle in limit.saddles],
            "order": limit.order,
            "log10_alpha": limit.log10_alpha(PER_CENT),
            "statements": {id: plain(claim, "verdict reason") for id, claim in self.claims.items()},
            "sentences": list(self.sentences),
        }

    def __str__(self) -> str:
        return self.answer([*(line for said in self.sentences for line in wrapped(said)[:2]), _left_out(self)])

    def answer(self, beside: Sequence[str] = ()) -> str:
        """Return what is learned, and below it the lines ``beside``; the matrix has the rows that the screen leaves."""
        return screen(self, beside)

    def __repr__(self) -> str:
        return f"Explanation({self.name}: {self.limit.status}, rank {self.limit.rank})"


@watch.watched
def explain(
    problem: Any,
    *,
    name: str = "the matrix",
    rank: int | None = None,
    depth: int = 2,
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
    depth : int
        The number of factors, two or more.
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
    if _small(matrix) and depth > 1:
        return explained(Evidence.of(matrix, gflow.Factorization(matrix.shape, rank, depth)), name)
    limit = gflow.saddle_to_saddle(matrix, rank=rank, depth=depth)
    return Explanation(matrix, name, gflow.connectivity(matrix), limit, None, None, MappingProxyType({}))


def explained(given: Evidence, name: str) -> Explanation:
    """Return the answer on evidence that is at hand; what a verification has computed is not computed again."""
    pairs = given.n_factors == 2
    with watch.stage("the limit for every start"):
        matrix, limit = given.problem, given.every_start if pairs else given.once(deep.limit)
    claims: dict[str, Claim] = {}
    bracket = norm = None
    if _small(matrix):
        found = checked(given, statements_named((*ASKED, PREMISE) if pairs else ASKED_DEEP))
        claims = {s.id: aggregated(s.id, s.title, parts) for s, parts in found.items()}
        with suppress(watch.TimeIsUp):
            watch.tick("certified minima")
            bracket, norm = given.bracket, given.nuclear
    return Explanation(matrix, name, given.connectivity, limit, bracket, norm, MappingProxyType(claims))


def _small(problem: gflow.MatrixCompletion) -> bool:
    return problem.shape[0] * problem.shape[1] <= CHECKED_ENTRIES


def _left_out(found: Explanation) -> str:
    if not found.claims:
        return f"statements are checked up to {CHECKED_ENTRIES} entries: gflow verify goes on"
    return "Theorem 2 and every detail: gflow verify" if found.depth == 2 else "every detail: gflow verify"
