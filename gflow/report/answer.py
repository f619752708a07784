"""The answer in sentences: one for each theorem, and one paragraph on what is learned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import gflow
from gflow.report.groups import SHORT
from gflow.report.screen import approach, chains_of
from gflow.statements.claims import Claim, Verdict
from gflow.statements.registry import statement_named

if TYPE_CHECKING:
    from gflow.report.explanation import Explanation

ASKED = ("prop1", "prop2", "thm1", "thm3", "thm4")
"""The statements that take seconds; the escape limit of Theorem 2 takes longer."""
PREMISE = "thm3_premise"
ASKED_DEEP = ("deep_omega", "deep_saddles", "deep_rank", "deep_norm")
"""The same for three factors and more."""
KINDS = {
    gflow.Kind.CONNECTED: "connected",
    gflow.Kind.DISCONNECTED: "disconnected",
    gflow.Kind.COMPLETE_BIPARTITE: "disconnected, with complete bipartite components",
}
_PREMISES = {
    Verdict.HOLDS: "; its premise holds",
    Verdict.HYPOTHESIS_NOT_MET: "; its premise fails on these data",
    Verdict.UNDECIDED: "; its premise is undecided",
}


def sentences(claims: Mapping[str, Claim]) -> tuple[str, ...]:
    """Return one plain sentence for each statement that was checked, by its claim."""
    return tuple(_sentence(id, claim, claims) for id, claim in claims.items() if id != PREMISE)


def paragraph(found: Explanation) -> str:
    """Return what is learned, on which way, and how small the start must be, in a few sentences."""
    (d1, d2), limit, graphs = found.problem.shape, found.limit, found.connectivity
    kind, parts = KINDS[graphs.kind], len(graphs.coupling_components)
    where = "" if parts == 1 else f", in {parts} coupling components"
    seen = f"{found.problem.n_observed} of {d1 * d2} entries observed"
    said = [f"{found.name} is {d1} x {d2} with {seen}; they are {kind}{where}."]
    if limit.matrix is None:
        return " ".join([*said, f"Gradient flow from small starts has no limit that is known: {limit.status}."])
    factors = "" if found.depth == 2 else f" of {found.depth} factors"
    said.append(f"Gradient flow{factors} from small starts completes it to {_size(found)}.")
    count = int((~limit.determined).sum())
    if count:
        some = f"{count} entries depend" if count > 1 else "One entry depends"
        said.append(f"{some} on the start, however small it is; the law: {limit.law}.")
    ranks = [str(saddle.rank) for saddles in chains_of(limit) for saddle in saddles[:-1]]
    if ranks:
        some = f"saddles of rank {_listed(ranks)}" if len(set(ranks)) > 1 else f"a saddle of rank {ranks[0]}"
        said.append(f"On the way it passes {some}.")
    known = approach(limit)
    return " ".join([*said, f"{known[0].upper()}{known[1:]}."])


def _size(found: Explanation) -> str:
    limit, least = found.limit, found.least_rank
    rank = "a matrix whose rank is not known" if limit.rank is None else f"rank {limit.rank}"
    if least is not None and limit.rank is not None:
        low, high = least.lower, least.upper
        ends = f"{low}" if low == high else f"{low} to {high}"
        rank += ", the least possible," if limit.rank == low == high else f" (the least possible is {ends})"
    if limit.nuclear_norm is None:
        return f"{rank} and a nuclear norm that depends on the start".replace(",,", ",")
    text = f"{rank} and nuclear norm {limit.nuclear_norm:.6g}"
    if found.least_norm is None:
        return text
    lowest = found.least_norm.nuclear_norm
    reached = f"{limit.nuclear_norm:.6g}" == f"{lowest:.6g}"
    return f"{text}, the least possible" if reached else f"{text} (the least possible is {lowest:.6g})"


def _listed(words: Iterable[str]) -> str:
    """Return words joined as in a sentence."""
    *first, last = dict.fromkeys(words)
    return f"{', '.join(first)} and {last}" if first else last


def _sentence(id: str, claim: Claim, claims: Mapping[str, Claim]) -> str:
    statement, says = statement_named(id), SHORT[id]
    label = f"Our {statement.kind}" if id in ASKED_DEEP else statement.source.split(", ")[-1]
    premise = _PREMISES.get(claims[PREMISE].verdict, "") if id == "thm3" else ""
    if claim.verdict is Verdict.HOLDS:
        return f"{label} holds: {says}{premise}."
    if claim.verdict is Verdict.CONTRADICTED:
        return f"{label} IS CONTRADICTED ({says}): {_first(claim.reason)}."
    if claim.verdict is Verdict.UNDECIDED:
        return f"{label} is undecided ({says}){premise}."
    if claim.news:
        return f"{label} fails on these data ({says}): {_first(claim.reason)}."
    unmet = ", ".join(finding.name for finding in claim.hypotheses if finding.met is False)
    asked = f"{says}; asks for: {unmet}" if id in ASKED_DEEP else f"asks for: {unmet}"
    return f"{label} does not apply{premise or f' ({asked})'}."


def _first(reason: str) -> str:
    """Return the first clause of a reason."""
    return reason.split("; ")[0].rstrip(".")
