"""Numbers as a reader wants them, and as JSON allows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from gflow.statements.claims import Interval

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_MINUS = "\N{MINUS SIGN}"
_NO_BREAK = "\N{NO-BREAK SPACE}"
MISSING = "\N{EN DASH}"


def format_number(value: Any, digits: int = 6) -> str:
    """Return a number as text with ``digits`` significant digits, trailing zeros dropped.

    Sizes from 1e-4 up to 1e6 are written out, others as a multiple of a power of ten: ``2.5 × 10⁻⁸``, ``10⁻⁸``.
    Integers are exact below 1e15. None and NaN give a dash, booleans yes and no.
    """
    if value is None:
        return MISSING
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)) and abs(int(value)) < 10**15:
        return str(int(value)).replace("-", _MINUS)
    number = float(value)
    if math.isnan(number):
        return MISSING
    if math.isinf(number):
        return "∞" if number > 0 else f"{_MINUS}∞"
    mantissa, exponent = f"{number:.{digits - 1}e}".split("e")
    if number == 0 or -4 <= int(exponent) < 6:
        text = f"{number:.{digits}g}"
        plain = text if "e" not in text else f"{float(text):.0f}"
        return plain.replace("-", _MINUS) if number else "0"
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPTS)
    lead = {"1": "", "-1": _MINUS}.get(mantissa, f"{mantissa}{_NO_BREAK}×{_NO_BREAK}".replace("-", _MINUS))
    return lead + power


def format_interval(allowed: Interval | None, measured: float | None = None) -> str:
    """Return an interval as text: ``[0, 1]``, ``≤ 1``, ``≥ 0``, ``= 1``, or a dash for None and for no bound at all.

    Its ends have as many digits as they need to differ, from each other and from what was measured.
    """
    low, high = allowed or (None, None)
    digits = digits_of(measured, allowed)
    if low is None and high is None:
        return MISSING
    if low is None:
        return f"≤{_NO_BREAK}{format_number(high, digits)}"
    if high is None:
        return f"≥{_NO_BREAK}{format_number(low, digits)}"
    if low == high:
        return f"={_NO_BREAK}{format_number(low, digits)}"
    return f"[{format_number(low, digits)}, {format_number(high, digits)}]"


def format_measured(measured: float | None, allowed: Interval | None) -> str:
    """Return a number with the digits that show where it lies in its interval: inside, or beyond which end."""
    return format_number(measured, digits_of(measured, allowed))


def digits_of(measured: float | None, allowed: Interval | None) -> int:
    """Return how many significant digits tell what was measured and the ends of its interval apart."""
    points = [point for point in (measured, *(allowed or ())) if point is not None]
    return max((digits_apart(one, other) for one, other in combinations(points, 2)), default=6)


def digits_apart(one: float, other: float, least: int = 6) -> int:
    """Return how many significant digits show the difference of two numbers within a tenth, at least ``least``."""
    size, apart = max(abs(one), abs(other)), abs(other - one)
    if not (size > 0 and apart > 0 and math.isfinite(apart)):
        return least
    return min(17, max(least, math.ceil(math.log10(size) - math.log10(apart)) + 2))


def format_cell(value: Any) -> str:
    """Return a table cell as text: numbers as ``format_number``, sequences joined by commas, anything else as it is."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return ", ".join(format_cell(item) for item in value) or MISSING
    return (
        format_number(value) if value is None or is_number(value) or isinstance(value, (bool, np.bool_)) else str(value)
    )


def is_number(value: Any) -> bool:
    """Return whether a value is a real number (booleans are not)."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def json_ready(value: Any) -> Any:
    """Return a value made of what JSON knows: arrays become lists, numbers that are not finite None.

    Raises ``TypeError`` for anything else than numbers, text, None, mappings, sequences and arrays.
    """
    if value is None or isinstance(value, (bool, str)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    if isinstance(value, np.ndarray):
        return json_ready(value.tolist())
    raise TypeError(f"a report holds numbers, text, None, mappings, sequences and arrays; got {type(value).__name__}")
