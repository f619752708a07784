"""Packages that load a module when one of its names is first used (PEP 562).

The public names and their modules are listed once, in the package's ``__init__.pyi``, where type checkers and editors
find them; its ``__init__.py`` says ``attach(__name__)``.
"""

import ast
import sys
from importlib import import_module
from importlib.util import find_spec
from pkgutil import get_data, iter_modules
from types import ModuleType
from typing import Any


class LazyPackage(ModuleType):
    """A package as a module that loads its names, and prefers a public name to the submodule of the same name.

    The import system binds every imported submodule as an attribute of its package; ``gflow.connectivity`` must
    stay the function whoever imported the submodule first.
    """

    _homes: dict[str, str]

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and value.__name__ == self._homes.get(name) == f"{self.__name__}.{name}":
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name in self._homes:
            value = getattr(import_module(self._homes[name]), name)
        elif not name.startswith("_") and find_spec(f"{self.__name__}.{name}"):
            value = import_module(f"{self.__name__}.{name}")
        else:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        modules = (module.name for module in iter_modules(self.__path__) if not module.name.startswith("_"))
        return sorted({*self._homes, *modules, *(name for name in vars(self) if name.startswith("__"))})


def attach(package: str) -> None:
    """Add the names of a package's stub to it, each loaded when it is first used, and its ``__all__``."""
    stub = ast.parse(get_data(package, "__init__.pyi") or b"")
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    module = sys.modules[package]
    vars(module)["_homes"] = {name.name: node.module for node in imports for name in node.names}
    vars(module)["__all__"] = sorted(vars(module)["_homes"])
    module.__class__ = LazyPackage
