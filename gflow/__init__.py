"""What gradient flow from small starts learns of a partially observed matrix: limits, saddles, theorems with verdicts.

A problem and a model make an objective, the flow turns it into a trajectory, and the limit follows the saddles that
trajectories from ever smaller starts pass:

>>> import gflow
>>> problem = gflow.MatrixCompletion([[1.0, 2.0], [3.0, float("nan")]])
>>> limit = gflow.saddle_to_saddle(problem)
>>> limit.rank, limit.matrix.round(6).tolist()
(1, [[1.0, 2.0], [3.0, 6.0]])

``gflow.verify(problem)`` tests every published statement on the data and returns a report. The public names and their
modules are listed once, in ``__init__.pyi``, where type checkers and editors find them; ``import gflow`` loads none of
them: each module is imported when one of its names is first used (PEP 562).
"""

import ast
import sys
from importlib import import_module
from pkgutil import get_data, iter_modules
from types import ModuleType
from typing import Any

__version__ = "0.2.0"

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
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in _modules():
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_modules(), "__doc__", "__name__", "__path__", "__version__"})


def _modules() -> set[str]:
    return {module.name for module in iter_modules(__path__) if not module.name.startswith("_")}


sys.modules[__name__].__class__ = _Package
