"""Formulas as MathML, written when the site is built: no script and no network is needed to read them."""

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert


def written(tex: str, display: str) -> str:
    """Return a formula in TeX as MathML."""
    return convert(tex.strip(), display=display)


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
