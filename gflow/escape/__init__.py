"""Escape directions of strict saddles and the escape limit alpha -> 0 (Bai et al. 2024, Theorem 2)."""

from gflow.escape.degenerate import DegenerateEscape, degenerate_escape
from gflow.escape.directions import EscapeDirections, escape_directions
from gflow.escape.growth import NoBlowUp
from gflow.escape.limit import escape_limit
from gflow.escape.pair import EscapePair, equations_gram, escape_pair
from gflow.escape.records import EscapeLimit, EscapeVerdict
from gflow.escape.residual import ResidualEscape, residual_escape

__all__ = [
    "DegenerateEscape",
    "EscapeDirections",
    "EscapeLimit",
    "EscapePair",
    "EscapeVerdict",
    "NoBlowUp",
    "ResidualEscape",
    "degenerate_escape",
    "equations_gram",
    "escape_directions",
    "escape_limit",
    "escape_pair",
    "residual_escape",
]
