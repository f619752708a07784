"""Names that moved: the old one still works for one version, and says what to write instead."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def old_names(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package whose ``names``, old to new, warn with ``DeprecationWarning``."""

    def attribute(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        told = f"{package}.{name} is called {package}.{names[name]}; the old name goes in the next version"
        warnings.warn(told, DeprecationWarning, stacklevel=2)
        return getattr(import_module(package), names[name])

    return attribute


def moved(package: str, to: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package that is called ``to``: its names warn with ``DeprecationWarning``."""

    def attribute(name: str) -> Any:
        new = import_module(to)
        if name.startswith("__") or not hasattr(new, name):
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        told = f"{package} is called {to}; the old name goes in the next version"
        warnings.warn(told, DeprecationWarning, stacklevel=2)
        return getattr(new, name)

    return attribute
