"""Parameters of a study from text: NAME=VALUE, typed by the dataclass that is the study's configuration."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields, replace
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

_SIMPLE: dict[Any, str] = {int: "an integer, 0 or more", float: "a number", str: "text", bool: "yes or no"}
_MANY: dict[Any, str] = {int: "integers", float: "numbers", str: "names", bool: "yes or no"}
_BOOLEANS = {"yes": True, "true": True, "no": False, "false": False}


def changed(config: Any, assignments: Iterable[str]) -> Any:
    """Return a configuration with the parameters that the assignments ``NAME=VALUE`` name.

    Parameters
    ----------
    config : dataclass
    assignments : sequence of str
        The values of a sequence are separated by commas, as in ``variances=1e-4,1e-8``.

    Raises
    ------
    ValueError
        For what is no assignment, an unknown name, a value of another type, or one that the configuration refuses.
    """
    known, changes = settable(config), {}
    for text in assignments:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or name not in known:
            told = f"there is no parameter {name!r}" if equals else f"write NAME=VALUE, not {text!r}"
            listed = ", ".join(f"{each} ({_kind(hint)})" for each, hint in known.items()) or "none"
            raise ValueError(f"{told}; this study has {listed}")
        changes[name] = _parsed(name, value, known[name])
    return replace(config, **changes)


def settable(config: Any) -> dict[str, Any]:
    """Return the parameters that text can set, by name, with their types."""
    hints = get_type_hints(type(config))
    return {field.name: hints[field.name] for field in fields(config) if _kind(hints[field.name])}


def _kind(hint: Any) -> str:
    """Return in words what a type takes; empty for one that text cannot give."""
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if get_origin(hint) is tuple:
        first, *rest = get_args(hint)
        inner = _SIMPLE.get(first, "")
        return f"{_MANY[first]} separated by commas" if inner and rest == [...] else ""
    if isinstance(hint, UnionType):
        inner = _kind(_some(hint))
        return f"{inner}, or none" if inner else ""
    return ""


def _some(hint: UnionType) -> Any:
    """Return the type of X | None."""
    return next(each for each in get_args(hint) if each is not NoneType)


def _parsed(name: str, text: str, hint: Any) -> Any:
    try:
        return _value(text, hint)
    except ValueError:
        raise ValueError(f"{name} must be {_kind(hint)}; got {text!r}") from None


def _value(text: str, hint: Any) -> Any:
    if isinstance(hint, UnionType):
        return None if text.lower() == "none" else _value(text, _some(hint))
    if get_origin(hint) is tuple:
        return tuple(_value(part.strip(), get_args(hint)[0]) for part in text.strip("()[] ").split(","))
    if hint is bool:
        if text.lower() not in _BOOLEANS:
            raise ValueError
        return _BOOLEANS[text.lower()]
    found = hint(text)
    if (hint is float and not math.isfinite(found)) or (hint is int and found < 0) or (hint is str and not text):
        raise ValueError
    return found
