"""What the parameters of a study must be, said before anything is computed."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def require(name: str, values: Sequence[float], count: int, low: float, high: float = float("inf")) -> None:
    """Raise ``ValueError`` unless there are ``count`` different numbers or more, all from ``low`` to ``high``."""
    if len(set(values)) < max(1, count) or len(set(values)) < len(values) or not all(low <= v <= high for v in values):
        bound = f"from {low:g} on" if high == float("inf") else f"between {low:g} and {high:g}"
        raise ValueError(f"{name} must be {count} or more different numbers {bound}; got {', '.join(map(str, values))}")


def require_known(name: str, values: Sequence[float], known: Collection[float]) -> None:
    """Raise ``ValueError`` unless all values, one or more, are known ones."""
    if not values or not set(values) <= set(known):
        raise ValueError(
            f"{name} must be among {', '.join(map(str, known))}; got {', '.join(map(str, values)) or 'none'}"
        )
