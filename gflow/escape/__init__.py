"""Escape directions of strict saddles and the escape limit alpha -> 0 (Bai et al. 2024, Theorem 2)."""

from gflow.escape.directions import EscapeDirections, ResidualEscape, escape_directions, residual_escape
from gflow.escape.limit import EscapeLimit, EscapeVerdict, escape_limit

__all__ = [
    "EscapeDirections",
    "EscapeLimit",
    "EscapeVerdict",
    "ResidualEscape",
    "escape_directions",
    "escape_limit",
    "residual_escape",
]
