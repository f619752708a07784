"""A figure of a report: a vector graphic with its caption and the numbers behind every point of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar
from xml.etree import ElementTree

import numpy as np

from gflow.plots import Drawing, drawing_svg, standalone_svg

Given = TypeVar("Given")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z")


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A vector graphic with its caption and the numbers behind every point of it.

    Parameters
    ----------
    name : str
        Letters, digits, hyphens and underscores: also the name of its files.
    caption : str
    svg : str
        As ``gflow.plots.figure_svg`` returns it.
    data : mapping of str to (m,) or (m, k) array
        Columns of the CSV file; an (m, k) array becomes columns ``name_1`` ... ``name_k``.
    drawing : Drawing, optional
        Of which the graphic was made; without it there are no other formats and widths.

    Raises
    ------
    ValueError
        If the name cannot be a file name, there is no data, an array has no or more than two dimensions, or the
        graphic is not a plain SVG image (scripts and references to other files are refused).
    """

    name: str
    caption: str
    svg: str
    data: Mapping[str, np.ndarray]
    drawing: Drawing | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "figure")
        _check_svg(self.svg, self.name)
        if not self.data:
            raise ValueError(f"figure '{self.name}' must come with the data behind it; got none")
        object.__setattr__(self, "data", MappingProxyType({str(k): frozen(v, k) for k, v in self.data.items()}))

    @classmethod
    def drawn(cls, name: str, caption: str, drawing: Drawing, data: Mapping[str, Any]) -> Figure:
        """Return the figure of a drawing."""
        return cls(name, caption, drawing_svg(drawing), data, drawing)

    def __repr__(self) -> str:
        return f"Figure({self.name}: {', '.join(self.data)})"

    def to_dict(self) -> dict[str, Any]:
        """Return name, caption and the names of the data columns as a JSON-ready dictionary."""
        return {"name": self.name, "caption": self.caption, "columns": list(self.data)}


@dataclass(frozen=True, slots=True, eq=False)
class FigureSet:
    """The figures that are drawn, and for each of the others one sentence that says why not."""

    figures: tuple[Figure, ...]
    left_out: Mapping[str, str]

    def __repr__(self) -> str:
        drawn = ", ".join(figure.name for figure in self.figures) or "none"
        return f"FigureSet({drawn}; left out: {', '.join(self.left_out) or 'none'})"


class LeftOut(RuntimeError):
    """A figure cannot be drawn; the message is the reason, in one sentence."""


def drawn_figures(given: Given, makers: Mapping[str, Callable[[Given], Figure]]) -> FigureSet:
    """Return what the makers draw of the evidence, by name; one that raises ``LeftOut`` says why it does not."""
    figures, left_out = [], {}
    for name, make in makers.items():
        try:
            figures.append(make(given))
        except LeftOut as reason:
            left_out[name] = str(reason)
    return FigureSet(tuple(figures), MappingProxyType(left_out))


def figure_file(figure: Figure, kind: str, width: float | None = None) -> str | bytes:
    """Return the content of the file of a figure, one of ``gflow.plots.FORMATS``, of a width in inches.

    Raises ``ValueError`` for another format, or for a figure without a drawing if more than its SVG is asked for.
    """
    if figure.drawing is not None and (kind != "svg" or width is not None):
        return drawing_file(figure.drawing, kind, width)
    if kind != "svg" or width is not None:
        raise ValueError(f"figure '{figure.name}' has only its SVG, at its own width")
    return standalone_svg(figure.svg)


def drawing_file(drawing: Drawing, kind: str, width: float | None = None) -> str | bytes:
    """Return the content of a file with this drawing alone."""
    if kind == "svg":
        return standalone_svg(drawing_svg(drawing, width))
    return drawing.rendered(kind, width)


def frozen(values: Any, name: Any) -> np.ndarray:
    """Return a read-only copy of an array of numbers or text; raise ``ValueError`` for anything else."""
    array = np.array(values)
    if array.ndim not in (1, 2) or array.dtype.kind not in "biufUS":
        raise ValueError(
            f"'{name}' must be an array of numbers or text with one or two dimensions; "
            f"got shape {array.shape}, dtype {array.dtype}"
        )
    array.setflags(write=False)
    return array


def check_name(name: str, kind: str) -> None:
    """Raise ``ValueError`` unless a name can be that of a file."""
    if not isinstance(name, str) or not _NAME.match(name):
        raise ValueError(f"name of a {kind} must be letters, digits, hyphens and underscores; got {name!r}")


def _check_svg(svg: str, name: str) -> None:
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise ValueError(f"svg of figure '{name}' must be well-formed; {error}") from None
    if not root.tag.endswith("}svg"):
        raise ValueError(f"svg of figure '{name}' must be an SVG image in its namespace; got <{root.tag}>")
    for element in root.iter():
        tag = str(element.tag).rpartition("}")[2]
        outward = [key for key, text in element.attrib.items() if _reaches_out(key.rpartition("}")[2], text)]
        if tag in ("script", "foreignObject", "style", "a", "image") or outward:
            found = f"<{tag} {outward[0]}>" if outward else f"<{tag}>"
            raise ValueError(f"svg of figure '{name}' must hold neither scripts nor references; got {found}")


def _reaches_out(attribute: str, text: str) -> bool:
    link = attribute in ("href", "src") and not text.startswith("#")
    return attribute.startswith("on") or link or bool(re.search(r"url\((?!#)", text))
