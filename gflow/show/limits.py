"""Notebooks' view of limits alpha -> 0: the matrix with what is known of each entry, and the chain of saddles."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import Any

import numpy as np

import gflow
from gflow.policy import PER_CENT, ROUNDED_LOSS
from gflow.report import format_number
from gflow.report.answer import paragraph
from gflow.show import drawings
from gflow.show.elements import facts, matrix, page, picture, table
from gflow.show.matrices import LARGEST_SHOWN_CELLS

SMALLEST_EXPONENT = -300.0
"""Powers of ten above this are written as numbers."""
CHAIN = "Loss of the limit as it steps from saddle to saddle"


def limit(record: gflow.Traversal) -> str:
    """Return the limit, its law, its order and its saddles."""
    known = [
        ("rank", format_number(record.rank)),
        ("nuclear norm", format_number(record.nuclear_norm)),
        ("error", format_number(record.error, 2)),
        ("order q", format_number(record.order, 4)),
    ]
    known += _scale(record) if record.factors is not None else []
    known += [("law", f"of what the start decides: {record.law}")] if record.law else []
    known += [("note", text) for text in record.warnings]
    several = len(record.chains) > 1
    head = ("component", "rank", "loss", "escape rate", "plateau time")
    rows = [
        (s.component + 1, s.rank, _loss(s.loss, record.saddles[0].loss), s.escape_rate or None, s.plateau_time)
        for s in record.saddles
    ]
    chain = table(head if several else head[1:], [row if several else row[1:] for row in rows], caption="saddles")
    shown = ""
    if record.factors is not None and np.prod(record.shape) <= LARGEST_SHOWN_CELLS:
        W = record.factors[0] @ record.factors[1]
        std = None if record.from_start else record.std
        shown = _matrix(record, W, record.determined | record.from_start, std)
    return _page("Limit alpha → 0", record, shown, known, chain, partial(drawings.limit, record))


def explanation(record: gflow.Explanation) -> str:
    """Return the answer: what is learned in a few sentences, the matrix, its chain, and a sentence a statement."""
    limit = record.limit
    shown = "" if limit.matrix is None else _matrix(limit, limit.matrix, limit.determined, limit.std)
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in record.sentences)
    small = picture(partial(drawings.explanation, record), CHAIN) if len(limit.saddles) > 1 else ""
    return page(record.name, paragraph(record), shown, small, f'<ul style="margin:.2em 0">{said}</ul>')


def deep_limit(record: gflow.DeepTraversal) -> str:
    """Return the limit at depth three or more, the law of its signs and its saddles."""
    known = [
        ("depth", str(record.depth)),
        ("rank", format_number(record.rank)),
        ("nuclear norm", format_number(record.nuclear_norm)),
        ("independent signs", str(len(record.reflections))),
        ("order q", format_number(record.order, 4)),
        *_scale(record),
    ]
    rows = [(s.rank, _loss(s.loss, record.saddles[0].loss), s.leaves or "", s.inside_rate) for s in record.saddles]
    chain = table(("rank", "loss", "left by", "inside rate"), rows, caption="saddles")
    shown = "" if record.matrix is None else _matrix(record, record.matrix, record.determined, record.std)
    return _page("Limit alpha → 0", record, shown, known, chain, partial(drawings.chain, record))


def symmetric_limit(record: gflow.SymmetricTraversal) -> str:
    """Return the limit of X = U U^T and its saddles."""
    known = [
        ("rank", format_number(record.rank)),
        ("trace", format_number(record.nuclear_norm)),
        ("loss", format_number(record.loss and _loss(record.loss, record.saddles[0].loss), 3)),
    ]
    left = record.saddles if record.matrix is None else record.saddles[:-1]
    first = record.saddles[0].loss
    rows: list[tuple[Any, ...]] = [(s.rank, _loss(s.loss, first), s.escape_rate, s.gap) for s in left]
    rows += [(s.rank, _loss(s.loss, first), None, None) for s in record.saddles[len(left) :]]
    chain = table(("rank", "loss", "escape rate", "gap"), rows, caption="saddles")
    shown = "" if record.matrix is None else matrix(record.matrix, np.full(record.matrix.shape, "entry"))
    return _page("Limit alpha → 0 of U Uᵀ", record, shown, known, chain, partial(drawings.chain, record))


def _scale(record: gflow.Traversal | gflow.DeepTraversal) -> list[tuple[str, str]]:
    exponent = record.log10_alpha(PER_CENT)
    if exponent is None:
        return []
    small = format_number(10.0**exponent, 2) if exponent > SMALLEST_EXPONENT else f"10^{exponent:.4g}"
    return [("1 % below", f"alpha = {small}")]


def _page(title: str, record: Any, shown: str, known: list[tuple[str, str]], chain: str, draw: Any) -> str:
    small = picture(draw, CHAIN) if len(record.saddles) > 1 else ""
    return page(title, f"{record.status}: {record.reason}", shown, facts(known), chain, small)


def _matrix(record: Any, values: np.ndarray, determined: np.ndarray, std: np.ndarray | None) -> str:
    """Return the matrix; entries are told apart as far as the limit knows which were observed."""
    kinds = np.where(determined, "determined", "depends")
    if record.observed is not None:
        kinds[record.observed] = "observed"
    return matrix(values, kinds, std=std, names=(record.row_names, record.column_names))


def _loss(loss: float, first: float) -> float:
    """Return the loss, 0 where it is rounding."""
    return loss if loss > ROUNDED_LOSS * first else 0.0
