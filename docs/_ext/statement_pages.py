"""A page for each statement: what it says, three cases that are run here, and the code that checks it."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pages import mark, plain, readable, table, write

import gflow
from gflow.statements import Claim, Statement, statements
from gflow.statements.ledger import aggregated
from gflow.statements.registry import BUILT_IN

CASES = Path(__file__).parent.parent / "theorems" / "cases.toml"
WHEN = {
    "holds": ("A case where it holds", "holds"),
    "lacks": ("A case where a hypothesis fails", "hypothesis-not-met"),
    "premise": ("A case where its premise is contradicted", "hypothesis-not-met"),
    "fails": ("A case where it fails", "hypothesis-not-met"),
    "contradicted": ("A case where it is contradicted", "contradicted"),
    "fault": ("A planted fault, which the check must see", "contradicted"),
}
"""The heading of a case, and the verdict that it must end in."""
PREMISES = {
    *("Assumptions 1 and 2 where they are tested", "optimal within every Omega_k visited", "a minimum"),
    *("limit exists", "limit interpolates", "limit exists and interpolates", "the limit exists", "it interpolates"),
}
"""Hypotheses on the course of the flow, by name; all others are about data, model or start."""
GROUPS = {
    "The paper": ("Bai et al. 2024", "what Theorem 2"),
    "Before it": ("Gunasekar", "Jin et al.", "the conserved quantity of the flow"),
    "At depth three and more": ("deep_",),
    "Networks": ("network_",),
    "Attention": ("attention_",),
    "What every model must do": ("",),
}
"""Groups of statements, by how the source or the id begins."""
SPECIAL = {
    "mixing": "Mixing of modes",
    "thm3_premise": "Premise of Theorem 3",
    "commuting": "Commuting measurements",
    "rip": "Restricted isometry",
    "rip_thm3": "Jin et al., Theorem 3",
    "gunasekar_thm1": "Gunasekar et al., Theorem 1",
    "gunasekar_cor2": "Gunasekar et al., Corollary 2",
    "gunasekar_conjecture": "Gunasekar et al., conjecture",
}
MATRICES = ("fig3", "fig4", "m1", "slides1", "zero_coupled")
DERIVED = "docs/develop/mathematics.md"
"""Where our own derivations stand."""
LONGEST = 400
"""A reason on a page has at most so many characters."""


class Cases:
    """The cases that were chosen by hand; evidence on the same data is computed once."""

    def __init__(self, path: Path = CASES) -> None:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        self.setups: dict[str, str] = {name: code.strip() for name, code in found.pop("data").items()}
        self.without: dict[str, str] = found.pop("without")
        self.chosen: dict[str, dict[str, list[str]]] = found
        self._evidence: dict[str, gflow.Evidence] = {}

    def evidence(self, name: str) -> gflow.Evidence:
        """Return the evidence that the code of this name makes."""
        if name not in self._evidence:
            names: dict[str, Any] = {}
            exec(self.code(name), names)
            self._evidence[name] = names["given"]
        return self._evidence[name]

    def code(self, name: str, *last: str) -> str:
        """Return the code of a case as it is shown."""
        imports = [line for line in self.setups[name].splitlines() if line.startswith("import ")]
        body = [line for line in self.setups[name].splitlines() if line not in imports]
        ours = ["import gflow", *(["from gflow.statements import statement_named"] if last else [])]
        return "\n".join([*imports, *ours, "", *body, *last]).replace("\n\n\n", "\n\n")

    def lines(self, each: Statement) -> list[str]:
        """Return the cases of a statement, run; raises ``AssertionError`` where one does not end as it says."""
        lines: list[str] = []
        for name, (when, says) in self.chosen[each.id].items():
            claims = tuple(each.claims(self.evidence(name)))
            heading, expected = WHEN[when]
            found = aggregated(each.id, each.title, claims)
            assert found.verdict == expected and (when != "fails" or found.news), (each.id, name, found)
            unmet = {finding.name in PREMISES for claim in claims for finding in claim.hypotheses if not finding.met}
            assert when not in ("lacks", "premise") or (when == "premise") in unmet, (each.id, name, when, found)
            code = self.code(name, f'statement_named("{each.id}").claims(given)')
            lines += [f"## {heading}", "", says, "", "```python", code, "```", "", *map(told, claims), ""]
        silent = self.silent(each)
        return [*lines, *(["## Cases that do not exist", "", *silent, ""] if silent else [])]

    def silent(self, each: Statement) -> list[str]:
        """Return a sentence for each kind of case that a statement cannot have; ``AssertionError`` where one is due."""
        kinds = {when for when, _ in self.chosen[each.id].values()}
        asks = {hypothesis.name in PREMISES for hypothesis in each.hypotheses}
        assert False not in asks or "lacks" in kinds, f"{each.id} needs a case in which a hypothesis fails"
        lines = []
        if not asks:
            lines = ["It asks for nothing: there is no hypothesis that could fail, and no premise to be contradicted."]
        elif False not in asks:
            lines = ["Beyond its premises, which concern the course of the flow, it asks for nothing that could fail."]
        elif True not in asks:
            lines = ["All it asks for is seen on data, model and start: there is no premise to be contradicted."]
        if True in asks and "premise" not in kinds:
            lines.append(f"No data contradict its premises. {self.without[each.id]}")
        if each.kind == "conjecture" and not kinds & {"fails", "contradicted"}:
            lines.append("It is a conjecture: data on which it fails, with all it asks for, are not known here.")
        return [" ".join(lines)] if lines else []


def told(claim: Claim) -> str:
    """Return one claim with its numbers, its hypotheses and its reason."""
    number = "" if claim.measured is None else f"measured {claim.measured:.4g}"
    number += f" (allowed: {interval(claim.allowed)})" if claim.allowed and number else ""
    lines = [f"- {mark(claim.verdict)} `{claim.id}` {number}{': ' if number else ''}{plain(shortened(claim.reason))}"]
    lines += [f"  - {'✓✗?'[(True, False, None).index(each.met)]} {plain(_finding(each))}" for each in claim.hypotheses]
    return "\n".join(lines)


def shortened(reason: str) -> str:
    """Return a reason without the hypotheses, which are listed by themselves, and not too long."""
    reason, *_ = reason.split("; hypotheses:")
    return reason if len(reason) <= LONGEST else reason[: reason.rindex(" ", 0, LONGEST)] + " ..."


def _finding(each: gflow.Finding) -> str:
    return f"{each.name} ({each.found})" if each.found else each.name


def interval(allowed: tuple[float | None, float | None]) -> str:
    """Return a closed interval, or the one number that it holds."""
    low, high = ("" if end is None else f"{end:.4g}" for end in allowed)
    if low == high:
        return low
    return f"at least {low}" if not high else (f"at most {high}" if not low else f"{low} to {high}")


def named(id: str) -> str:
    """Return what people call a statement."""
    for short, word in {"prop": "Proposition ", "thm": "Theorem ", "assumption": "Assumption "}.items():
        if id.startswith(short) and id[len(short) :].isdigit():
            return word + id[len(short) :]
    return SPECIAL.get(id) or id.replace(".", ": ").replace("_", " ").capitalize()


def group(each: Statement) -> str:
    """Return the group in which a statement is listed."""
    return next(name for name, starts in GROUPS.items() if each.id.startswith(starts) or each.source.startswith(starts))


def write_statements(folder: Path) -> None:
    """Write a page for each statement, and the list of all."""
    cases = Cases()
    known = [each for each in statements() if each.id in own(statements())]
    for each in known:
        write(folder / f"{each.id}.md", page(each, cases))
    lines = []
    for name in GROUPS:
        rows = [
            [f"[{named(each.id)}](generated/{each.id}.md)", plain(each.title), _kinds(cases.chosen[each.id])]
            for each in known
            if group(each) == name
        ]
        lines += [f"## {name}", "", *table(["statement", "says", "cases"], rows)]
    toc = [f"{named(each.id)} <generated/{each.id}>" for each in known]
    write(folder / "list.txt", [*lines, "```{toctree}", ":hidden:", "", *toc, "```"])


def own(known: Iterable[Statement]) -> set[str]:
    """Return the ids of gflow's own statements, those of installed packages and of users aside."""
    return {each.id for each in known} & {each.id for each in BUILT_IN}


def _kinds(chosen: dict[str, list[str]]) -> str:
    return ", ".join(dict.fromkeys(when for when, _ in chosen.values()))


def page(each: Statement, cases: Cases) -> list[str]:
    """Return the page of a statement."""
    says = plain(each.title)
    lines = [f"# {named(each.id)}", "", f"**{says[0].upper()}{says[1:]}.**", ""]
    lines += ["$$", each.formula, "$$", ""] if each.formula else []
    origin = plain(each.source).replace(DERIVED, f"[Mathematics](../../{DERIVED.removeprefix('docs/')})")
    lines += [f"{each.kind.capitalize()} `{each.id}`. Source: {origin}.", ""]
    if each.hypotheses:
        lines += ["It asks for:", "", *[f"- **{plain(h.name)}**: {plain(h.sentence)}." for h in each.hypotheses], ""]
    lines += ["## What is checked, and how", "", *explained(each.verify), ""]
    lines += cases.lines(each)
    evidence = [(name, cases.evidence(name)) for name in MATRICES]
    seen = [(name, given) for name, given in evidence if each.applies(given.problem, given.model)]
    if seen:
        found = [(name, aggregated(each.id, each.title, tuple(each.claims(given)))) for name, given in seen]
        rows = [[f"`{name}`", mark(claim.verdict), plain(shortened(claim.reason))] for name, claim in found]
        shown = table(["matrix", "verdict", "why"], rows)
        lines += ["## On matrices that come with gflow", "", "::::{div} wordy", *shown, "::::", ""]
    return [*lines, "## The code that does it", "", "```python", source(each.verify), "```"]


def explained(function: Any) -> list[str]:
    """Return the docstring of the module in which a statement is checked, as it is written."""
    module = inspect.getmodule(inspect.unwrap(getattr(function, "func", function)))
    text = inspect.cleandoc((module and module.__doc__) or function.__doc__ or "").replace("``", "`")
    parts = text.split("`")
    parts[::2] = [readable(part).replace("*", r"\*").replace("_", r"\_") for part in parts[::2]]
    return [line for line in "`".join(parts).splitlines() if not line.startswith("Source: ")]


def source(function: Any) -> str:
    """Return the code of a function, or of what it wraps."""
    return inspect.getsource(inspect.unwrap(getattr(function, "func", function))).rstrip()
