"""Formulas as MathML, written when the site is built: no script and no network is needed to read them."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

BELOW = re.compile(r"<msub>(<mo>(?:lim|min|max|sup|inf)</mo>.*?)</msub>")
"""A limit with what stands below it, without an index inside."""


def written(tex: str, display: str) -> str:
    """Return a formula in TeX as MathML; set apart, limits stand above what they are taken over."""
    found = convert(tex.strip(), display=display).replace("<mo>&#x0221E;</mo>", "<mi>&#x0221E;</mi>")
    return BELOW.sub(r"<munder>\1</munder>", found) if display == "block" else found


def inline(self: Any, node: nodes.math) -> None:
    self.body.append(written(node.astext(), "inline"))
    raise nodes.SkipNode


def block(self: Any, node: nodes.math_block) -> None:
    self.body.append(f'<div class="formula">{written(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, Any]:
    """Register the renderer ``mathml``."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True}
