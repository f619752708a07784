"""The parts of what notebooks show: heads, facts, tables, matrices with the status of their entries, pictures.

Colours are translucent and text has the colour of the page, so that light and dark notebooks read alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

from gflow.plots import figure_svg
from gflow.report import format_number
from gflow.report.labels import clipped

MOST_ROWS, MOST_COLUMNS = 20, 12
"""Rows and columns of a matrix that are shown; of a table, ``MOST_ROWS``."""
NAME = 24
"""Characters of a name that are shown."""
TINTS = {
    "observed": "background:rgba(128,128,128,.16)",
    "determined": "background:rgba(31,119,196,.28)",
    "depends": "background:rgba(213,94,0,.28)",
    "gap": "opacity:.45",
    "entry": "",
}
"""The look of an entry: observed; the same from every start; left to the start; not observed; nothing to tell."""
MEANINGS = {
    "observed": "observed",
    "determined": "learned, the same from every start",
    "depends": "depends on the start: mean ± deviation",
    "gap": "· not observed",
}
VERDICTS = {
    "holds": "background:rgba(0,146,106,.26)",
    "contradicted": "background:rgba(200,30,30,.45);font-weight:bold",
    "hypothesis-not-met": "background:rgba(166,118,29,.26)",
    "undecided": "background:rgba(31,119,196,.26)",
}
_CELL = "padding:.15em .55em;text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums"
_HEAD = "padding:.15em .55em;font-weight:600;opacity:.75"
_TEXT = "padding:.15em .55em;text-align:left;vertical-align:top"
_TABLE = "border-collapse:collapse;border:0;margin:.2em 0"


def page(title: str, summary: str, *parts: str) -> str:
    """Return what a notebook shows: a title, a line about the record, and the parts side by side as far as they fit."""
    row = "".join(f'<div style="min-width:0;max-width:100%;overflow-x:auto">{part}</div>' for part in parts if part)
    return (
        '<div style="line-height:1.4;max-width:72em"><div style="margin:.2em 0">'
        f'<b>{escape(title)}</b> <span style="opacity:.85">{escape(summary)}</span></div>'
        f'<div style="display:flex;flex-wrap:wrap;gap:.4em 2em;align-items:flex-start">{row}</div></div>'
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return names and values, one pair a line."""
    rows = "".join(
        f'<tr style="background:none"><th style="{_HEAD};text-align:left">{escape(name)}</th>'
        f'<td style="{_TEXT}">{escape(value)}</td></tr>'
        for name, value in pairs
    )
    return f'<table style="{_TABLE}">{rows}</table>'


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, caption: str = "") -> str:
    """Return a table; numbers stand right, text left, and what is too long for a page is counted."""
    listed = [list(row) for row in rows]
    text = [any(isinstance(row[k], str) for row in listed) for k in range(len(columns))]
    head = "".join(
        f'<th style="{_HEAD};text-align:{"left" if left else "right"}">{escape(name)}</th>'
        for name, left in zip(columns, text, strict=True)
    )
    body = "".join(
        '<tr style="background:none">'
        + "".join(_cell(cell, left) for cell, left in zip(row, text, strict=True))
        + "</tr>"
        for row in listed[:MOST_ROWS]
    )
    more = f"… {len(listed) - MOST_ROWS} more" if len(listed) > MOST_ROWS else ""
    top = f'<div style="opacity:.75">{escape(caption)}</div>' if caption else ""
    return f'{top}<table style="{_TABLE}"><tr style="background:none">{head}</tr>{body}</table>{more}'


def _cell(cell: Any, left: bool) -> str:
    if isinstance(cell, Marked):
        return f'<td style="{_TEXT};{cell.style}">{escape(cell)}</td>'
    shown = cell if isinstance(cell, str) else format_number(cell)
    return f'<td style="{_TEXT if left else _CELL}">{escape(shown)}</td>'


class Marked(str):
    """Text of a cell with a look of its own."""

    style: str

    def __new__(cls, text: str, style: str) -> Marked:
        """Return the text with its look."""
        marked = super().__new__(cls, text)
        marked.style = style
        return marked


def verdict(claim: Any) -> Marked:
    """Return the verdict of a claim in words, in its colour."""
    return Marked(claim.label, VERDICTS[str(claim.verdict)])


def matrix(
    values: np.ndarray,
    kinds: np.ndarray,
    *,
    std: np.ndarray | None = None,
    names: tuple[Sequence[str | None] | None, Sequence[str | None] | None] = (None, None),
) -> str:
    """Return a matrix as a table whose cells are coloured by what is known of them, with a legend.

    Parameters
    ----------
    values : (d1, d2) array
    kinds : (d1, d2) array of the keys of ``TINTS``
    std : (d1, d2) array, optional
        Standard deviations, shown where they are positive.
    names : names of the rows and of the columns
        Default: numbers counted from 1.
    """
    d1, d2 = min(values.shape[0], MOST_ROWS), min(values.shape[1], MOST_COLUMNS)
    rows, columns = (_names(given, size) for given, size in zip(names, (d1, d2), strict=True))
    small = 1e-9 * float(np.abs(np.nan_to_num(values)).max(initial=0.0))
    wider = values.shape[1] > d2

    def cell(i: int, j: int) -> str:
        kind = str(kinds[i, j])
        text = "·" if np.isnan(values[i, j]) else format_number(values[i, j] if abs(values[i, j]) > small else 0.0, 5)
        if std is not None and std[i, j] > small:
            text += f" ± {format_number(std[i, j], 3)}"
        return f'<td style="{_CELL};border:1px solid rgba(128,128,128,.35);{TINTS[kind]}">{escape(text)}</td>'

    dots = f'<td style="{_CELL}">…</td>' if wider else ""
    head = "".join(f'<th style="{_HEAD};text-align:right">{escape(name)}</th>' for name in columns)
    body = "".join(
        f'<tr style="background:none"><th style="{_HEAD};text-align:right">{escape(rows[i])}</th>'
        + "".join(cell(i, j) for j in range(d2))
        + f"{dots}</tr>"
        for i in range(d1)
    )
    cut = f"{values.shape[0]} × {values.shape[1]} in all" if wider or values.shape[0] > d1 else ""
    return (
        f'<table style="{_TABLE}"><tr style="background:none"><th></th>{head}</tr>{body}</table>'
        f'<div style="font-size:.88em">{_legend(kinds)}{cut}</div>'
    )


def _legend(kinds: np.ndarray) -> str:
    present = [kind for kind in MEANINGS if (kinds == kind).any()]
    return "".join(
        f'<span style="padding:.05em .4em;margin-right:.7em;{TINTS[kind]}">{escape(MEANINGS[kind])}</span>'
        for kind in present
    )


def _names(given: Sequence[str | None] | None, size: int) -> list[str]:
    """Return short names, numbers from 1 where there is none."""
    return clipped(
        [name or str(k + 1) for k, name in enumerate([None] * size if given is None else given[:size])], NAME
    )


def picture(draw: Callable[[Any], Any], alt: str, figsize: tuple[float, float] = (3.6, 2.2)) -> str:
    """Return a small drawing in the colours of the page."""
    return f'<div style="max-width:{figsize[0] * 96:.0f}px">{figure_svg(draw, alt=alt, figsize=figsize)}</div>'
