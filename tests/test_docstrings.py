"""Every public docstring names its parameters, the shapes of arrays, and what is raised."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gflow

SECTIONS = re.compile(r"^(Parameters|Returns|Raises|Attributes|Examples|Notes)\n-+$", re.MULTILINE)
FUNCTIONS = {name: getattr(gflow, name) for name in gflow.__all__ if inspect.isfunction(getattr(gflow, name))}
FEW = 1
"""Functions of so few parameters may describe them in the text."""


def sections(text: str) -> dict[str, str]:
    """Return the text before the first section as "", and every section by its name."""
    parts = SECTIONS.split(text)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def entries(section: str) -> dict[str, str]:
    """Return the described names with the text that follows each, "a, b : float" as two."""
    found: dict[str, str] = {}
    for block in re.split(r"\n(?=\S)", section.strip()):
        head, _, kind = block.partition(" : ")
        for name in head.split("\n")[0].split(","):
            found[name.strip().lstrip("*")] = kind or block
    return found


def raises(function: Callable[..., Any]) -> set[str]:
    """Return the names of the exceptions that the body itself raises."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None]
    return {ast.unparse(call.func) for call in calls if isinstance(call, ast.Call)}


def faults(name: str, function: Callable[..., Any]) -> Iterator[str]:
    """Yield what the docstring of a function lacks."""
    text = inspect.getdoc(function) or ""
    found = sections(text)
    described = entries(found.get("Parameters", ""))
    parameters = [key for key in inspect.signature(function).parameters if not key.startswith("_")]
    if len(parameters) > FEW or "Parameters" in found:
        yield from (f"{name}: {key} is not described" for key in parameters if key not in described)
    for key, kind in described.items():
        if re.match(r"(float |int |bool )?arrays?\b", kind):
            yield f"{name}: the shape of {key} is not given"
    for error in raises(function):
        if error[0].isupper() and error not in text:
            yield f"{name}: {error} is raised and not named"
    if not text or not re.search(r"\b(Return|Write|Yield|Read)", text.split("\n\n")[0]):
        yield f"{name}: the first sentence does not say what is returned"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_is_described(name: str) -> None:
    assert list(faults(name, FUNCTIONS[name])) == []


def undescribed(x: np.ndarray, tol: float) -> np.ndarray:
    """Compute it.

    Parameters
    ----------
    x : array
    """
    if tol < 0:
        raise ValueError("negative")
    return x


def test_a_bare_docstring_is_found() -> None:
    assert list(faults("undescribed", undescribed)) == [
        "undescribed: tol is not described",
        "undescribed: the shape of x is not given",
        "undescribed: ValueError is raised and not named",
        "undescribed: the first sentence does not say what is returned",
    ]
