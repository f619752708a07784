"""Words for people: sentences with their mathematics typeset, and what the numbers of a claim mean."""

from __future__ import annotations

import re
from typing import Any

from gflow.report.numbers import digits_of, format_interval, format_number
from gflow.statements.claims import Claim

_GREEK = {
    **{"alpha": "α", "beta": "β", "delta": "δ", "epsilon": "ε", "eta": "η", "theta": "θ", "lambda": "λ", "sigma": "σ"},
    **{"phi": "φ", "omega": "ω", "Omega": "Ω"},
}
_SYMBOLS = {"<=": "≤", ">=": "≥", "->": "→", "+-": "±"}
_UPRIGHT = ("T", "max", "min", "inf", "*")
_INDEX = r"max|min|inf|[A-Za-z](?![A-Za-z])|[0-9]+|\*|\([^()\s][^()]*\)"
_TOKEN = re.compile(
    r"(?P<power>\b(?:\d+(?:\.\d+)?)e(?P<exponent>[+-]?\d+)\b)"
    rf"|(?<![\w.])(?P<base>{'|'.join(_GREEK)}|d?[A-Za-z]|10)(?P<marks>(?:[_^](?:-?[0-9.]*[0-9]|{_INDEX}))+)(?![\w])"
    rf"|(?<![\w-])(?P<greek>{'|'.join(_GREEK)})(?![\w-])"
    r"|(?P<grad>\bgrad (?=R\b))|(?P<hole>\bP o (?=[(W]))|(?P<root>\bsqrt(?=\())"
    r"|(?P<minus>(?<=[\w)\]|'] )-(?= [\w(|]))|(?P<times>(?<=\d )x(?= \d))|(?P<symbol><=|>=|->|\+-)"
)
_RATIO = re.compile(r"\b(units?|ratios?|rounding)\b")
"""How the reason of a claim says that an error is measured in units of its bound."""
_MARK = re.compile(rf"([_^])(-?[0-9.]*[0-9]|{_INDEX})")


def typeset(text: Any) -> Any:
    """Return a sentence as HTML, its mathematics as on paper: Omega_(k+1), A^T, 1e-08, sigma_1, W - M.

    Everything else is inert. The words stay the same, so that a reader who hears the page hears the sentence.
    """
    from markupsafe import Markup, escape

    text, parts, place = str(text), [], 0
    for match in _TOKEN.finditer(text):
        parts += [escape(text[place : match.start()]), Markup(_set(match))]
        place = match.end()
    return Markup("").join([*parts, escape(text[place:])])


def _set(match: re.Match[str]) -> str:
    """Return the HTML of one token; it holds nothing but letters, digits, brackets and signs."""
    kind = match.lastgroup
    if match["power"]:
        return format_number(float(match["power"]), 15)
    if match["base"]:
        return _letter(match["base"]) + "".join(map(_marked, _MARK.findall(match["marks"])))
    if match["greek"]:
        return _letter(match["greek"])
    signs = {"grad": "∇", "hole": "<i>P</i> ∘ ", "root": "√", "minus": "−", "times": "×"}
    return signs.get(kind or "", "") or _SYMBOLS[match["symbol"]].replace("<", "&lt;")


def _letter(text: str) -> str:
    letter = _GREEK.get(text, text)
    return letter if letter.isdigit() or letter == "Ω" else f"<i>{letter}</i>"


def _marked(mark: tuple[str, str]) -> str:
    tag, text = ("sub" if mark[0] == "_" else "sup"), mark[1]
    inner = text.removeprefix("(").removesuffix(")") if text.startswith("(") else text
    plain = inner in _UPRIGHT or not inner.isalpha()
    inner = inner.replace("-", "−").replace("inf", "∞")
    return f"<{tag}>{inner if plain else f'<i>{inner}</i>'}</{tag}>"


def measure(claim: Claim) -> list[tuple[str, str]]:
    """Return what was found and what is asked, each under the word for what it means.

    An interval [0, 1] is that of an error in units of its bound, and [0, 0] that of a count of counterexamples.
    """
    (low, high), digits = claim.allowed or (None, None), digits_of(claim.measured, claim.allowed)
    value = format_number(claim.measured, digits)
    if (low, high) == (None, None):
        return [] if claim.measured is None else [("found", value)]
    if (low, high) == (0.0, 1.0) and _RATIO.search(claim.reason):
        return [("error in units of its bound", value), ("allowed", "at most 1")]
    if (low, high) == (0.0, 0.0):
        return [("counterexamples", value), ("allowed", "none")]
    if low == high:
        return [("found", value), ("expected", format_number(low, digits))]
    if high is None:
        return [("found", value), ("at least", format_number(low, digits))]
    if low is None or (low == 0.0 and claim.measured is not None and claim.measured >= 0.0):
        return [("found", value), ("at most", format_number(high, digits))]
    return [("found", value), ("allowed", format_interval(claim.allowed, claim.measured))]


def evidence(claim: Claim) -> str:
    """Return the reason of a claim without its hypotheses, which are listed beside it."""
    listed = "; ".join(map(str, claim.hypotheses))
    text = claim.reason.replace(f"; hypotheses: {listed}", "") if listed else claim.reason
    for met, word in ((False, "not met"), (None, "not known")):
        names = ", ".join(finding.name for finding in claim.hypotheses if finding.met is met)
        text = text.removeprefix(f"{word}: {names}; ") if names else text
    return text.strip()
