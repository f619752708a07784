"""What the values of options are: each function returns what a text means, or says in one sentence what it must be."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from typing import Any

SMALLEST_RTOL, LARGEST_RTOL = 1e-13, 1e-2
METHODS = ("auto", "graded", "LSODA", "Radau", "BDF", "DOP853", "RK45", "RKC")
FORMATS = ("svg", "pdf", "png")
UNITS = {"in": 1.0, "": 1.0, "cm": 2.54, "mm": 25.4, "pt": 72.0}
NARROWEST, WIDEST = 1.0, 40.0
"""Widths of figures, in inches."""


def positive(text: str) -> float:
    """Return a positive finite number."""
    number = _parsed(float, text)
    if number is None or not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"must be a positive finite number; got {text!r}")
    return number


def tolerance(text: str) -> float:
    """Return a relative tolerance that the solvers accept."""
    number = _parsed(float, text)
    if number is None or not SMALLEST_RTOL <= number <= LARGEST_RTOL:
        raise argparse.ArgumentTypeError(f"must lie between {SMALLEST_RTOL:g} and {LARGEST_RTOL:g}; got {text!r}")
    return number


def seed(text: str) -> int:
    """Return a non-negative integer."""
    return _integer(text, 0, "a non-negative integer")


def count(text: str) -> int:
    """Return a positive integer."""
    return _integer(text, 1, "a positive integer")


def port(text: str) -> int:
    """Return the number of a port that a user may take."""
    number = _integer(text, 1024, "a number from 1024 to 65535")
    if number > 65535:
        raise argparse.ArgumentTypeError(f"must be a number from 1024 to 65535; got {text!r}")
    return number


def method(text: str) -> str:
    """Return the name of a method as it is written, in whatever case it was given."""
    return {name.lower(): name for name in METHODS}.get(text.lower(), text)


def archive(text: str) -> str:
    """Return a file name that ends in ``.npz``."""
    if not text.lower().endswith(".npz"):
        raise argparse.ArgumentTypeError(f"must be the name of an .npz file; got {text!r}")
    return text


def formats(text: str) -> tuple[str, ...]:
    """Return the formats of figures that a list such as ``svg,pdf`` names."""
    found = tuple(part.strip().lower() for part in text.split(","))
    unknown = [part for part in found if part not in FORMATS]
    if unknown:
        raise argparse.ArgumentTypeError(f"must be some of {', '.join(FORMATS)}, separated by commas; got {text!r}")
    return found


def inches(text: str) -> float:
    """Return a length such as ``5.5in``, ``14cm``, ``140mm`` or ``396pt`` in inches; a bare number is in inches."""
    match = re.fullmatch(r"([0-9.]+)\s*([a-z]*)", text.strip().lower())
    size = None if match is None or match[2] not in UNITS else _parsed(float, match[1])
    length = None if size is None or match is None else size / UNITS[match[2]]
    if length is None or not NARROWEST <= length <= WIDEST:
        rule = f"a length between {NARROWEST:g}in and {WIDEST:g}in, as 5.5in, 14cm, 140mm or 396pt"
        raise argparse.ArgumentTypeError(f"must be {rule}; got {text!r}")
    return length


def _integer(text: str, least: int, rule: str) -> int:
    number = _parsed(int, text)
    if number is None or number < least:
        raise argparse.ArgumentTypeError(f"must be {rule}; got {text!r}")
    return number


def _parsed(kind: Callable[[str], Any], text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        return None
