"""What the limit is compared with: certified minima of rank and nuclear norm, and a verdict for each theorem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gflow
from gflow import watch
from gflow.explore.answers import limit_of
from gflow.explore.state import State
from gflow.report.groups import SHORT
from gflow.statements import Evidence, checked
from gflow.statements.ledger import aggregated
from gflow.statements.registry import statement_named

ASKED = {
    2: ("thm3_premise", "thm3", "thm4", "prop2", "prop1", "thm1", "thm2"),
    3: ("deep_rank", "deep_norm", "deep_saddles", "deep_omega", "deep_sub_omega"),
}
"""The statements whose verdicts are shown, the quick ones first; from three factors on those of the second line."""
NAMES = {
    "prop1": "Proposition 1",
    "prop2": "Proposition 2",
    "thm1": "Theorem 1",
    "thm2": "Theorem 2",
    "thm3_premise": "Premise of 3",
    "thm3": "Theorem 3",
    "thm4": "Theorem 4",
    "deep_rank": "Least rank",
    "deep_norm": "Least norm",
    "deep_saddles": "Saddles",
    "deep_omega": "Manifolds",
    "deep_sub_omega": "Components",
}
DEEP_SCALE = 1e-4
SAME_VALUE = 1e-6
"""Nuclear norms that agree within this fraction are one value."""


def minima(state: State) -> dict[str, Any]:
    """Return the least rank and nuclear norm of all completions, as certified, beside those of the limit."""
    problem, found = state.problem(), limit_of(state)
    watch.tick("certified minima")
    bracket, norm = gflow.minimum_rank(problem), gflow.minimum_nuclear_norm(problem)
    rank, size = found.rank, found.nuclear_norm
    return {
        "rank": rank,
        "least_rank": [bracket.lower, bracket.upper],
        "rank_is_least": None if rank is None or bracket.lower != bracket.upper else rank == bracket.lower,
        "nuclear_norm": size,
        "least_norm": [norm.lower, norm.upper],
        "norm_is_least": None
        if size is None
        else bool(size <= norm.upper * (1.0 + SAME_VALUE) + SAME_VALUE * problem.unit * 1e-6),
        "unique": norm.unique,
    }


def verdicts(state: State, emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Return the verdict of each theorem with its reason, and give what is known to ``emit`` on the way."""
    problem = state.problem()
    model = gflow.Factorization(problem.shape, depth=state.depth)
    scale = {} if state.depth == 2 else {"scale": DEEP_SCALE * min(1.0, problem.unit ** (1.0 / state.depth))}
    given = Evidence.of(problem, model, **scale)
    listed: list[dict[str, Any]] = []
    for id in ASKED[min(state.depth, 3)]:
        watch.tick(NAMES[id])
        with watch.stage(NAMES[id]):
            found = checked(given, [statement_named(id)])
        for statement, claims in found.items():
            claim = aggregated(statement.id, statement.title, claims)
            about = {"id": id, "name": NAMES[id], "says": typed(SHORT[id]), "source": statement.source}
            listed.append(about | {"verdict": str(claim.verdict), "word": claim.label, "reason": typed(claim.reason)})
        emit({"verdicts": in_order(listed), "done": False})
    return {"verdicts": in_order(listed), "done": True}


def typed(text: str) -> str:
    """Return a sentence with its manifolds as on paper, in letters that every page has."""
    return text.replace("Omega_(k+1)", "Ω\u2096₊₁").replace("Omega_k", "Ω\u2096")


def in_order(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return verdicts in the order of the paper, in which they are read."""
    order = list(NAMES)
    return sorted(listed, key=lambda each: order.index(each["id"]))
