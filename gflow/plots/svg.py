"""Vector graphics as text: the same bytes for the same drawing, safe to put into a page beside others."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

from gflow.plots.drawing import Drawing
from gflow.plots.style import INK

SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")

HOVER = "hover: "
"""An artist whose ``gid`` begins so has the rest as its title: text that appears under the pointer, no script."""

ElementTree.register_namespace("", SVG)


def figure_svg(
    draw: Callable[[Any], Any],
    *,
    alt: str,
    figsize: tuple[float, float] = (4.8, 3.2),
    panels: tuple[int, int] = (1, 1),
    projection: str | None = None,
) -> str:
    """Return an SVG image of a drawing as text, the same bytes for the same drawing.

    Parameters
    ----------
    draw : callable
        Called once with the axes: one ``Axes`` for a single panel, else a (rows, columns) array of them.
    alt : str
        What the figure shows, in one sentence, for readers who cannot see it.
    figsize : (width, height)
        In inches of 72 points; text is 9 points.
    panels : (rows, columns)
    projection : str, optional
        Such as ``"polar"``; of all panels.

    The image has a transparent background, and its ink is ``currentColor``, the colour of the text around it. Its ids
    carry a prefix made from the drawing, so different images in one page do not collide.

    Raises ``ValueError`` if ``alt`` is empty.
    """
    return drawing_svg(Drawing.of(draw, alt=alt, figsize=figsize, panels=panels, projection=projection))


def drawing_svg(drawing: Drawing, width: float | None = None) -> str:
    """Return a drawing as ``figure_svg`` does, of this width in inches if one is given."""
    return _polished(drawing.rendered("svg", width).decode(), drawing.alt)


def scoped_svg(svg: str, prefix: str) -> str:
    """Return the SVG text with every id, and every reference to one, led by ``prefix`` and a hyphen."""
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        if "id" in element.attrib:
            element.set("id", f"{prefix}-{element.get('id')}")
        if element.get("href", "").startswith("#"):
            element.set("href", f"#{prefix}-{element.get('href', '')[1:]}")
        for name, value in element.attrib.items():
            element.set(name, _REFERENCE.sub(rf"url(#{prefix}-\1)", value))
            if name == "aria-labelledby":
                element.set(name, f"{prefix}-{value}")
    return ElementTree.tostring(root, encoding="unicode")


def standalone_svg(svg: str) -> str:
    """Return the SVG text for a file of its own: black ink on white, whatever the reader's colour scheme."""
    root = ElementTree.fromstring(svg)
    root.set("style", f"{root.get('style', '')}; color: #16191d; background: #ffffff".lstrip("; "))
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _polished(svg: str, alt: str) -> str:
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style")]:
            parent.remove(child)
        if _HREF in parent.attrib:
            parent.set("href", parent.attrib.pop(_HREF))
        for name, value in parent.attrib.items():
            parent.set(name, value.replace(INK, "currentColor"))
    _title(root)
    _renumber(root)
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    root.set("role", "img")
    root.set("aria-labelledby", "title")
    title = ElementTree.Element(f"{{{SVG}}}title", {"id": "title"})
    title.text = alt
    root.insert(0, title)
    _tidy_space(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return scoped_svg(text, "f" + hashlib.sha256(text.encode()).hexdigest()[:8])


def _title(root: ElementTree.Element) -> None:
    """Give the artists that ask for it a title of their own."""
    for element in root.iter():
        if element.get("id", "").startswith(HOVER):
            title = ElementTree.Element(f"{{{SVG}}}title")
            title.text = element.attrib.pop("id").removeprefix(HOVER)
            element.insert(0, title)


def _renumber(root: ElementTree.Element) -> None:
    """Drop ids that nothing refers to and number the others in the order of their appearance."""
    referred = set(_references(root))
    names: dict[str, str] = {}
    for element in root.iter():
        old = element.attrib.pop("id", None)
        if old in referred:
            names[old] = f"i{len(names)}"
            element.set("id", names[old])
    for element in root.iter():
        if element.get("href", "").startswith("#"):
            element.set("href", f"#{names[element.get('href', '')[1:]]}")
        for name, value in element.attrib.items():
            element.set(name, _REFERENCE.sub(lambda match: f"url(#{names[match[1]]})", value))


def _references(root: ElementTree.Element) -> Iterator[str]:
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "href" and value.startswith("#"):
                yield value[1:]
            yield from _REFERENCE.findall(value)


def _tidy_space(root: ElementTree.Element) -> None:
    for element in root.iter():
        element.tail = "\n" if element.tail and "\n" in element.tail else element.tail
        if element.text and not element.text.strip():
            element.text = "\n"
        if "d" in element.attrib:
            element.set("d", " ".join(element.attrib["d"].split()))
