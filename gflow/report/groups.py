"""The statements of a report grouped by theorem, each in a few words and with one verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gflow.plain import plain
from gflow.statements.claims import Claim, Finding
from gflow.statements.ledger import aggregated
from gflow.statements.statement import Statement

BAI = "Bai et al. 2024"
GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Proposition 1: invariant manifolds", BAI, ("prop1",)),
    ("Proposition 2: invariant manifolds of disconnected data", BAI, ("prop2",)),
    ("Theorem 1: the landscape", BAI, ("thm1",)),
    ("Theorem 2: escape from saddles", BAI, ("assumption1", "assumption2", "mixing", "thm2")),
    ("Theorem 3: minimum rank", BAI, ("thm3_premise", "thm3")),
    ("Theorem 4: minimum nuclear norm", BAI, ("thm4",)),
    ("Commuting measurements", "Gunasekar et al. 2017", ("commuting", "gunasekar_thm1", "gunasekar_cor2")),
    ("The conjecture on the nuclear norm", "Gunasekar et al. 2017", ("gunasekar_conjecture",)),
    ("Restricted isometry", "Jin et al. 2023", ("rip", "rip_thm3")),
    (
        "Three factors and more",
        "",
        (
            *("deep_rank", "deep_norm", "deep_closed_form", "deep_saddles", "deep_escape", "deep_omega"),
            *("deep_sub_omega", "deep_gaps", "deep_coupling", "deep_balanced", "deep_orbits", "deep_sign"),
            *("deep_clock", "deep_identities"),
        ),
    ),
    (
        "Networks",
        "",
        (
            *("network_origin", "network_limit", "network_condensed", "network_ratio", "network_embedding"),
            *("network_plateaus", "network_escape", "network_samples"),
        ),
    ),
    (
        "Attention",
        "",
        ("attention_ranks", "attention_origin", "attention_saddle", "attention_escape", "attention_minimum"),
    ),
    ("Model rank", "", ("rank_formula", "rank_scale")),
    ("Laws of the flow", "", ("conservation", "balanced", "decoupling", "general.descent", "general.conserved")),
    (
        "Discrete steps",
        "",
        ("steps.keep", "steps.leave", "steps.drift", "steps.escape", "steps.stability"),
    ),
    (
        "Checks of the numbers",
        "",
        ("spectrum", "derivatives", "identities", "general.derivatives", "general.critical"),
    ),
)
"""Heading, who says so, and the ids of the statements; all other statements stand under their source."""
SHORT = {
    "prop1": "the Omega_k, matrices of rank k, are invariant",
    "prop2": "the sub-Omega_k, one component each, are invariant",
    "thm1": "critical points are strict saddles or global minima",
    "assumption1": "Assumption 1: one top singular pair at every saddle",
    "assumption2": "Assumption 2: saddles are minima within Omega_k",
    "mixing": "what arrives is generic: the top singular pair escapes",
    "thm2": "escapes have a limit, which lies on an Omega_(k+1)",
    "thm3_premise": "premise: each saddle is the best point of its Omega_k",
    "thm3": "the completion has the minimum rank",
    "thm4": "the completion has the minimum nuclear norm",
    "commuting": "the completion has the minimum nuclear norm",
    "gunasekar_thm1": "the limit from alpha I has the minimum trace",
    "gunasekar_cor2": "the limit from alpha I has the minimum nuclear norm",
    "gunasekar_conjecture": "the completion has the minimum nuclear norm",
    "rip": "the completion has the minimum rank",
    "rip_thm3": "the completion has the minimum rank",
    "deep_rank": "the completion has the minimum rank, connected or not",
    "deep_norm": "complete bipartite data: minimum nuclear norm as well",
    "deep_closed_form": "mode i of all components shares channel i",
    "deep_saddles": "saddles are not strict",
    "deep_escape": "the origin is left at the blow-up time of the start",
    "deep_omega": "Omega_k at any depth is invariant",
    "deep_sub_omega": "its part on one component is invariant",
    "deep_gaps": "|W1[I]|^2 - |WL[:, J]|^2 is constant per component",
    "deep_coupling": "components share the hidden layers and move together",
    "deep_balanced": "balanced factors: W follows an equation of its own",
    "deep_orbits": "the orbits of the limit are those of that equation",
    "deep_sign": "from a balanced square start det W keeps its sign",
    "deep_clock": "plateaus end at the blow-up times predicted",
    "deep_identities": "these laws hold as symbolic identities",
    "network_origin": "the origin has eigenvalues +-|g| for each neuron",
    "network_limit": "the limit depends on a_i |g| + w_i . g alone",
    "network_condensed": "at most k distinct neurons stay at most k",
    "network_ratio": "neurons of equal inner weights alone part",
    "network_embedding": "a split neuron gives a critical point",
    "network_plateaus": "neurons do not appear one by one",
    "network_escape": "a degenerate origin is left at its blow-up time",
    "network_samples": "R samples need not recover a neuron of model rank R",
    "attention_ranks": "common subspaces of the weights are kept",
    "attention_origin": "values and outputs alone escape the origin",
    "attention_saddle": "queries and keys escape the first saddle",
    "attention_escape": "linear attention leaves at its blow-up time",
    "attention_minimum": "softmax attention has no minimum to converge to",
    "rank_formula": "the model rank is that of its closed form",
    "rank_scale": "the model rank does not depend on outer sizes",
    "conservation": "A^T A - B B^T is conserved, and the loss never rises",
    "balanced": "from a balanced square start det W keeps its sign",
    "decoupling": "components flow apart, each as if it were alone",
    "spectrum": "escape rates and zero modes are those predicted",
    "derivatives": "loss, gradient and Hessian agree with each other",
    "identities": "the equations hold as symbolic identities",
    "steps.keep": "steps along the gradient keep Omega_k",
    "steps.leave": "sign descent, Adam and AdaGrad leave Omega_k",
    "steps.drift": "a step drifts by the square of its length alone",
    "steps.escape": "the origin is left in 1 / log r steps a factor e",
    "steps.stability": "minima are stable for steps below 2 / lambda_max",
    "general.descent": "the loss falls as fast as |grad R|^2",
    "general.conserved": "what the model conserves is conserved",
    "general.derivatives": "value, gradient and Hessian agree with each other",
    "general.critical": "saddles have the negative curvature they claim",
}
"""The statements in so few words that a line of 80 characters holds them beside their verdict."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A statement with its claims, and one claim for all of them: the worst verdict with its numbers."""

    statement: Statement
    claims: tuple[Claim, ...]
    whole: Claim

    @property
    def short(self) -> str:
        """Return the statement in a few words; those of users and packages in their own."""
        return SHORT.get(self.statement.id, self.statement.title)

    @property
    def hypotheses(self) -> tuple[tuple[str, Finding], ...]:
        """Return what the statement asks for, in full, each with what was found; once for all of its claims."""
        asked = {each.name: each.sentence for each in self.statement.hypotheses}
        return tuple((asked.get(found.name, found.name), found) for found in self.whole.hypotheses)

    def to_dict(self) -> dict[str, Any]:
        """Return what was checked, by whom it is said, what it asks for, and its verdict, JSON-ready."""
        said, whole = self.statement, self.whole
        return {
            **plain(said, "id title source kind formula"),
            **plain(whole, "verdict"),
            "hypotheses": [plain(finding, "name met found") for finding in whole.hypotheses],
            "claims": [claim.id for claim in self.claims],
        }


@dataclass(frozen=True, slots=True, eq=False)
class TheoremGroup:
    """Statements that belong to one theorem: a heading, who says so, and the entries."""

    heading: str
    source: str
    entries: tuple[Entry, ...]


def grouped(
    statements: Iterable[Statement], claims: Iterable[Claim], ids: Mapping[str, Sequence[str]]
) -> tuple[tuple[TheoremGroup, ...], tuple[Claim, ...]]:
    """Return the statements by theorem, each with its claims, and the claims that belong to none.

    Parameters
    ----------
    statements : sequence of Statement
    claims : sequence of Claim
    ids : mapping of str to sequence of str
        The ids of the claims of each statement by its own id; where it is missing, those that begin with it.
    """
    listed = list(claims)
    entries, owned = {}, set()
    for each in statements:
        found = tuple(claim for claim in listed if _belongs(claim.id, each.id, ids))
        if found:
            entries[each.id] = Entry(each, found, aggregated(each.id, each.title, found))
            owned |= {claim.id for claim in found}
    groups = [
        TheoremGroup(head, by, tuple(entries.pop(id) for id in known if id in entries)) for head, by, known in GROUPS
    ]
    groups += [TheoremGroup("Further statements", entry.statement.source, (entry,)) for entry in entries.values()]
    return tuple(group for group in groups if group.entries), tuple(c for c in listed if c.id not in owned)


def _belongs(claim: str, statement: str, ids: Mapping[str, Sequence[str]]) -> bool:
    if statement in ids:
        return claim in ids[statement]
    return claim == statement or claim.startswith((f"{statement}.", f"{statement}/"))
