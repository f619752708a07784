"""What a statement is: what it says and who says so, under which hypotheses, and how it is checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from gflow.statements.claims import Claim, Finding, Interval, Verdict
from gflow.statements.evidence import Evidence, factored_completion

_FAILING = ((False, "not met", Claim.unmet), (None, "not known", Claim.undecided))
"""What becomes of a claim one of whose hypotheses is not met, or not known."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")


class StatementKind(StrEnum):
    """What a statement is. A premise or a conjecture may fail on the data; that contradicts nothing."""

    THEOREM = "theorem"
    PREMISE = "premise"
    CONJECTURE = "conjecture"
    CHECK = "check"


class Page(StrEnum):
    """Where a statement is shown: claim by claim by ``verify``, in one line by ``ledger``."""

    REPORT = "report"
    LEDGER = "ledger"


Answer = bool | None | tuple[bool | None, str]
Verify = Callable[[Evidence], Claim | Iterable[Claim]]


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """A named predicate that a statement asks for.

    Parameters
    ----------
    name : str
        A few words, by which claims call it.
    sentence : str
        What is asked, in full.
    check : function of Evidence
        Returns whether it is met (None: not known), or that and what was found as text.
    """

    name: str
    sentence: str
    check: Callable[[Evidence], Answer]

    def of(self, given: Evidence) -> Finding:
        """Return whether the evidence meets it; checked once for each evidence."""
        answer = given.once(self.check)
        met, found = answer if isinstance(answer, tuple) else (answer, "")
        return Finding(self.name, None if met is None else bool(met), found)


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """A statement that is checked on data.

    Parameters
    ----------
    id : str
        Letters, digits, points, hyphens and underscores, and unique; those of its claims begin with it.
    title : str
        One sentence that can be true or false.
    verify : function of Evidence
        Returns the claim or claims that follow. They may be undecided; where a hypothesis is not met, none is
        contradicted.
    source : str
        Who says so, and where.
    kind : StatementKind or its value
    formula : str
        The sentence in TeX.
    hypotheses : sequence of Hypothesis
    applies : (problem, model) -> bool
        What the statement is about; elsewhere it is left out. Default: matrix completion by W = A B.
    pages : sequence of Page or their values
        Default: all of them.

    Raises
    ------
    TypeError, ValueError
        For a part of another kind, in one sentence.
    """

    id: str
    title: str
    verify: Verify
    source: str
    kind: str
    formula: str = ""
    hypotheses: Collection[Hypothesis] = ()
    applies: Callable[[Any, Any], bool] = factored_completion
    pages: Collection[Page] = tuple(Page)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not _ID.match(self.id):
            raise ValueError(
                f"id of a statement must be letters, digits, points, hyphens and underscores; got {self.id!r}"
            )
        for name in ("title", "source", "formula"):
            text = getattr(self, name)
            if not isinstance(text, str) or not (text.strip() or name == "formula"):
                raise TypeError(f"{name} of statement '{self.id}' must be a sentence; got {text!r}")
        for name in ("verify", "applies"):
            if not callable(getattr(self, name)):
                raise TypeError(f"{name} of statement '{self.id}' must be a function; got {getattr(self, name)!r}")
        for name in ("hypotheses", "pages"):
            if isinstance(getattr(self, name), str) or not isinstance(getattr(self, name), Iterable):
                raise TypeError(f"{name} of statement '{self.id}' must be a sequence; got {getattr(self, name)!r}")
        object.__setattr__(self, "hypotheses", tuple(self.hypotheses))
        for each in self.hypotheses:
            if not isinstance(each, Hypothesis):
                raise TypeError(f"hypotheses of statement '{self.id}' must be of type Hypothesis; got {each!r}")
        object.__setattr__(self, "kind", self._member(StatementKind, self.kind, "kind"))
        object.__setattr__(self, "pages", frozenset(self._member(Page, page, "page") for page in self.pages))

    def _member(self, kinds: type[StrEnum], value: Any, name: str) -> StrEnum:
        if value not in list(kinds):
            known = ", ".join(kinds)
            raise ValueError(f"{name} of statement '{self.id}' must be one of {known}; got {value!r}")
        return kinds(value)

    def claims(self, given: Evidence) -> tuple[Claim, ...]:
        """Return the claims that follow, each with what became of the hypotheses; found once for each evidence.

        Raises ``TypeError`` if ``verify`` returns anything but claims.
        """
        return given.once(self._claims)

    def _claims(self, given: Evidence) -> tuple[Claim, ...]:
        found = self.verify(given)
        claims = tuple(found) if isinstance(found, Iterable) else (found,)
        if not claims or not all(isinstance(claim, Claim) for claim in claims):
            raise TypeError(f"verify of statement '{self.id}' must return claims; got {found!r}")
        findings = tuple(hypothesis.of(given) for hypothesis in self.hypotheses)
        return tuple(self._excused(replace(claim, hypotheses=findings)) for claim in claims)

    def judged(
        self,
        given: Evidence,
        measured: tuple[float | None, str],
        conclusion: Callable[[str], Claim] | Interval | None = None,
        beside: Sequence[Finding] = (),
    ) -> Claim:
        """Return the conclusion's claim where every hypothesis is met, else a claim that says which is not.

        Parameters
        ----------
        measured : (number, text)
            What the conclusion speaks of, shown also where the theorem does not apply.
        conclusion : function from the text on the hypotheses to the claim, or (low, high)
            Where the number must lie. Default: it is undecided.
        beside : sequence of Finding
            What the theorem does not ask for but a reader should know; they have no part in the verdict.
        """
        value, found = measured
        findings = [hypothesis.of(given) for hypothesis in self.hypotheses]
        text = f"{found}; hypotheses: {'; '.join(map(str, findings))}"
        text += f"; beside them: {'; '.join(map(str, beside))}" if beside else ""
        for met, word, build in _FAILING:
            names = ", ".join(finding.name for finding in findings if finding.met is met)
            if names:
                return build(self.id, self.title, f"{word}: {names}; {text}", value)
        if conclusion is None:
            return Claim.undecided(self.id, self.title, text, value)
        if callable(conclusion):
            return conclusion(text)
        return Claim.bounded(self.id, self.title, value, *conclusion, reason=text)

    def _excused(self, claim: Claim) -> Claim:
        """Return a claim that is not contradicted where a premise or a conjecture fails, or a hypothesis is not met."""
        if claim.verdict is not Verdict.CONTRADICTED:
            return claim
        if self.kind in (StatementKind.PREMISE, StatementKind.CONJECTURE):
            return replace(claim, verdict=Verdict.HYPOTHESIS_NOT_MET)
        for met, word, build in _FAILING:
            names = ", ".join(finding.name for finding in claim.hypotheses if finding.met is met)
            if names:
                excused = build(claim.id, claim.statement, f"{word}: {names}; {claim.reason}", claim.measured)
                return replace(excused, hypotheses=claim.hypotheses)
        return claim

    def __repr__(self) -> str:
        return f"Statement({self.id}: {self.title})"
