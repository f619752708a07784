"""Gradient flow of matrix factorisation models on partially observed matrices.

The public names and their modules are listed once, in ``__init__.pyi``, where type checkers and editors find them.
``import gflow`` loads none of them: each module is imported when one of its names is first used (PEP 562).
"""

import ast
import sys
from importlib import import_module
from pkgutil import get_data
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_STUB = ast.parse(get_data(__name__, "__init__.pyi"))
_HOMES = {name.name: node.module for node in _STUB.body if isinstance(node, ast.ImportFrom) for name in node.names}
__all__ = sorted(_HOMES)


class _Package(ModuleType):
    """The package as a module that prefers a public name to the submodule of the same name.

    The import system binds every imported submodule as an attribute of its package; ``gflow.connectivity`` must
    stay the function whoever imported the submodule first.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and value.__name__ == _HOMES.get(name) == f"{__name__}.{name}":
            value = getattr(value, name)
        super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


sys.modules[__name__].__class__ = _Package
