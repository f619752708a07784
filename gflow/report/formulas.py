"""Formulas in TeX as MathML, which browsers typeset without a script."""

from __future__ import annotations

from html import unescape
from typing import Any
from xml.etree import ElementTree

UNDER = ("lim", "min", "max", "argmin", "sup", "inf")
"""Operators with their index below them."""
_ELEMENTS = {
    *("math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "mstyle", "mpadded", "mphantom"),
    *("msub", "msup", "msubsup", "munder", "mover", "munderover", "mtable", "mtr", "mtd", "menclose"),
}
_ATTRIBUTES = {"display", "stretchy", "form", "fence", "width", "accent", "mathvariant", "displaystyle"}
"""What a formula may hold: nothing that links, runs or restyles the page."""
_CLOSING = (")", "]", "|", "‖", "}")
_UNSIGNED = "−+±"


def mathml(tex: str) -> Any:
    """Return a formula as MathML in display style; as the TeX itself, marked as code, where it cannot be read.

    Parameters
    ----------
    tex : str
        Anything: what is no formula is inert in the page.
    """
    from latex2mathml import exceptions
    from latex2mathml.converter import convert_to_element
    from markupsafe import Markup, escape

    refused: tuple[Any, ...] = tuple(each for each in vars(exceptions).values() if isinstance(each, type))
    try:
        tree = convert_to_element(tex, display="block")
        polished = _polished(tree)
    except (*refused, ValueError, LookupError) as error:
        return Markup('<code class="tex" title="{}">{}</code>').format(type(error).__name__, escape(tex))
    return Markup(ElementTree.tostring(polished, encoding="unicode"))


def _polished(tree: Any) -> ElementTree.Element:
    """Return a copy with known elements and attributes alone, and spaces as on paper.

    Raises ``ValueError`` for an element that no formula has.
    """
    if tree.tag not in _ELEMENTS:
        raise ValueError(f"no element of a formula: {tree.tag}")
    kept = {key: value for key, value in tree.attrib.items() if key in _ATTRIBUTES}
    found = ElementTree.Element(tree.tag, kept)
    found.text = unescape(tree.text) if tree.text else None
    found.extend(_polished(child) for child in tree)
    if found.tag == "mo" and (found.text or "").isalpha() and len(found.text or "") > 1:
        found.attrib |= {"form": "prefix", "lspace": "0.1em", "rspace": "0.17em", "movablelimits": "false"}
    elif found.tag == "mo" and found.text in ("|", "‖", "∥"):
        found.attrib |= {"stretchy": "false", "lspace": "0", "rspace": "0"}
    elif found.tag == "msub" and found[0].text in UNDER:
        found.tag = "munder"
    elif found.text == "∇":
        found.tag, found.attrib = "mi", {"mathvariant": "normal"}
    elif found.tag == "mi" and found.text == "Ω":
        found.set("mathvariant", "normal")
    if found.tag == "mrow":
        _mark_signs(found)
    return found


def _mark_signs(row: ElementTree.Element) -> None:
    """Mark a minus or plus that follows another operator as a sign, which stands close to its term."""
    for before, here in zip([None, *row], row, strict=False):
        opens = before is None or (before.tag == "mo" and before.text not in _CLOSING)
        if here.tag == "mo" and (here.text or " ") in _UNSIGNED and opens:
            here.attrib |= {"form": "prefix", "lspace": "0", "rspace": "0"}
