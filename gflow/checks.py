"""What arguments must be: each error names the argument, the rule and what was received."""

from __future__ import annotations

import numpy as np


def positive(value: int, name: str) -> int:
    """Return ``value`` as an int; raise ``ValueError`` unless it is a positive integer."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a positive integer; got {value!r}")
    return int(value)


def require_positive(**values: float) -> None:
    """Raise ``ValueError`` for the first number that is not positive; infinity is."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive; got {value!r}")


def require_tolerance(rtol: float) -> None:
    """Raise ``ValueError`` for a relative tolerance of steps that no solver keeps, or none wants."""
    if not 1e-13 <= rtol <= 1e-2:
        raise ValueError(f"rtol must lie between 1e-13 and 1e-2; got {rtol!r}")
