"""Claims: a statement, the number that was measured, the interval it must lie in, and the verdict that follows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gflow.plain import plain
from gflow.showing import Drawn, Tabular

Interval = tuple[float | None, float | None]
"""A closed interval (low, high); ``None`` means unbounded on that side."""


FAILS = "fails on these data"
"""What is said of a premise or a conjecture that is not met: news about the data, and no error."""


class Verdict(StrEnum):
    """What became of a claim."""

    HOLDS = "holds"
    CONTRADICTED = "contradicted"
    HYPOTHESIS_NOT_MET = "hypothesis-not-met"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What became of a hypothesis: its name, whether it is met (None: not known), and what was found."""

    name: str
    met: bool | None
    found: str = ""

    def __str__(self) -> str:
        answer = {True: "yes", False: "no", None: "not known"}[self.met]
        return f"{self.name}: {answer} ({self.found})" if self.found else f"{self.name}: {answer}"


@dataclass(frozen=True, slots=True, eq=False)
class Claim(Drawn, Tabular):
    """One statement together with the evidence for or against it.

    Build it with ``Claim.bounded``, ``Claim.hypothesis``, ``Claim.unmet`` or ``Claim.undecided``. A statement that is
    true or false is measured too: by the number of counterexamples, which must lie in [0, 0].

    Parameters
    ----------
    id : str
        Short name, unique within a report, such as ``"theorem-1/saddle-2"``.
    statement : str
        One sentence that can be true or false.
    verdict : Verdict or its value
    measured : float, optional
        The number the verdict rests on.
    allowed : (low, high), optional
        Closed interval in which ``measured`` must lie; ``None`` at an end means unbounded.
    reason : str
        Why the verdict is what it is, or how the number was obtained.
    hypotheses : tuple of Finding
        What the statement asks for, each with whether it is met.

    Raises
    ------
    ValueError
        If the id or statement is empty, the verdict unknown, the interval empty or NaN, a number is not finite, or the
        verdict disagrees with the numbers: ``holds`` needs a number inside the interval, ``contradicted`` one outside
        it, as does ``hypothesis-not-met`` where both are given; it and ``undecided`` need a reason.
    """

    id: str
    statement: str
    verdict: Verdict
    measured: float | None = None
    allowed: Interval | None = None
    reason: str = ""
    hypotheses: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        for name in ("id", "statement"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name).strip():
                raise ValueError(f"{name} of a claim must be a non-empty string; got {getattr(self, name)!r}")
        object.__setattr__(self, "verdict", Verdict(self.verdict))
        object.__setattr__(self, "allowed", None if self.allowed is None else _interval(self.allowed, self.id))
        if self.measured is not None:
            object.__setattr__(self, "measured", _number(self.measured, f"measured value of claim '{self.id}'"))
            if not math.isfinite(self.measured):
                raise ValueError(f"measured value of claim '{self.id}' must be finite; got {self.measured}")
        self._check_verdict()

    def _check_verdict(self) -> None:
        settled = self.verdict in (Verdict.HOLDS, Verdict.CONTRADICTED)
        if not settled and not self.reason.strip():
            raise ValueError(f"claim '{self.id}' is {self.verdict} and must give a reason")
        if settled and (self.measured is None or self.allowed is None):
            raise ValueError(f"claim '{self.id}' cannot be '{self.verdict}' without a measured value and an interval")
        if self.measured is None or self.allowed is None or self.verdict is Verdict.UNDECIDED:
            return
        if _inside(self.measured, self.allowed) != (self.verdict is Verdict.HOLDS):
            where = "outside" if self.verdict is Verdict.HOLDS else "inside"
            raise ValueError(
                f"claim '{self.id}' cannot be '{self.verdict}': measured {self.measured!r} lies {where} {self.allowed}"
            )

    @classmethod
    def bounded(
        cls,
        id: str,
        statement: str,
        measured: float | None,
        low: float | None = None,
        high: float | None = None,
        *,
        reason: str = "",
    ) -> Claim:
        """Return the claim that ``low <= measured <= high``, with the verdict the numbers give.

        A ``measured`` of None, NaN or infinity is ``undecided`` and the reason says so. An end that is None or the
        infinity of its side is unbounded; ``ValueError`` if both ends are, or if the interval is empty.
        """
        allowed = _interval((low, high), id)
        if allowed == (None, None):
            raise ValueError(f"claim '{id}' needs a finite low or high: an unbounded interval cannot fail")
        number = None if measured is None else _number(measured, f"measured value of claim '{id}'")
        if number is None or not math.isfinite(number):
            found = "nothing was measured" if number is None else f"the measured value is {number}, not a finite number"
            return cls(id, statement, Verdict.UNDECIDED, None, allowed, f"{found}; {reason}" if reason else found)
        if _inside(number, allowed):
            return cls(id, statement, Verdict.HOLDS, number, allowed, reason)
        return cls(id, statement, Verdict.CONTRADICTED, number, allowed, reason or _excess(number, allowed))

    @classmethod
    def hypothesis(
        cls,
        id: str,
        statement: str,
        measured: float | None,
        low: float | None = None,
        high: float | None = None,
        *,
        reason: str = "",
    ) -> Claim:
        """Return the claim that data meet a premise or a conjecture, low <= measured <= high.

        A number outside the interval is ``hypothesis-not-met``, not ``contradicted``: it is ``news`` about the data,
        and no published result is refuted by it. Everything else is as in ``Claim.bounded``.
        """
        found = cls.bounded(id, statement, measured, low, high, reason=reason)
        if found.verdict is not Verdict.CONTRADICTED:
            return found
        return cls(id, statement, Verdict.HYPOTHESIS_NOT_MET, found.measured, found.allowed, found.reason)

    @classmethod
    def unmet(cls, id: str, statement: str, reason: str, measured: float | None = None) -> Claim:
        """Return a claim whose hypothesis does not hold; ``measured`` may show by how much."""
        return cls(id, statement, Verdict.HYPOTHESIS_NOT_MET, measured, None, reason)

    @classmethod
    def undecided(cls, id: str, statement: str, reason: str, measured: float | None = None) -> Claim:
        """Return a claim that the numbers neither support nor refute, with the reason."""
        return cls(id, statement, Verdict.UNDECIDED, measured, None, reason)

    @property
    def news(self) -> bool:
        """Return whether this is a premise or a conjecture that fails on the data."""
        tested = self.measured is not None and self.allowed is not None
        return self.verdict is Verdict.HYPOTHESIS_NOT_MET and tested

    @property
    def label(self) -> str:
        """Return the verdict in words, "fails on these data" for ``news``."""
        return FAILS if self.news else self.verdict.replace("-", " ")

    def to_dict(self) -> dict[str, Any]:
        """Return the claim as a JSON-ready dictionary; ``allowed`` is ``[low, high]`` or None."""
        return plain(self, "id statement verdict measured allowed reason")

    def __repr__(self) -> str:
        return f"Claim({self.id}: {self.verdict}, measured={self.measured}, allowed={self.allowed})"


def exit_code(claims: Iterable[Claim]) -> int:
    """Return 1 if a claim is contradicted, else 0; a premise or a conjecture that fails on the data never is."""
    return int(any(claim.verdict is Verdict.CONTRADICTED for claim in claims))


def summary(claims: Iterable[Claim]) -> dict[str, int]:
    """Return the number of claims per verdict; every verdict is a key, in the order of ``Verdict``."""
    counts = {str(verdict): 0 for verdict in Verdict}
    for claim in claims:
        counts[claim.verdict] += 1
    return counts


def tally(claims: Iterable[Claim]) -> str:
    """Return the number of claims per verdict in one line, with the premises and conjectures that fail on the data."""
    claims = tuple(claims)
    line = ", ".join(f"{count} {verdict}" for verdict, count in summary(claims).items())
    news = ", ".join(claim.id for claim in claims if claim.news)
    return f"{line} ({FAILS}: {news})" if news else line


def _number(value: Any, name: str) -> float:
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be a number; got {value!r}")
    try:
        return float(value)
    except TypeError:
        raise TypeError(f"{name} must be a number; got {type(value).__name__}") from None


def _interval(allowed: Any, id: str) -> Interval:
    if len(allowed) != 2:
        raise ValueError(f"allowed interval of claim '{id}' must be (low, high); got {allowed!r}")
    name = f"allowed interval of claim '{id}'"
    low, high = (None if end is None else _number(end, name) for end in allowed)
    low = None if low == -math.inf else low
    high = None if high == math.inf else high
    if not all(math.isfinite(end) for end in (low, high) if end is not None):
        raise ValueError(f"{name} must have finite or open ends; got {allowed!r}")
    if low is not None and high is not None and low > high:
        raise ValueError(f"{name} is empty: low {low!r} exceeds high {high!r}")
    return low, high


def _inside(measured: float, allowed: Interval) -> bool:
    low, high = allowed
    return (low is None or measured >= low) and (high is None or measured <= high)


def _excess(measured: float, allowed: Interval) -> str:
    low, high = allowed
    if high is not None and measured > high:
        return f"the measured value exceeds the largest allowed one by {measured - high:.3g}"
    assert low is not None
    return f"the measured value falls short of the smallest allowed one by {low - measured:.3g}"
