"""The room of the limit: its families, and that orbits know nothing of the law."""

from __future__ import annotations

import ast
from pathlib import Path

import gflow
from gflow import limit

ROOM = Path(limit.__file__).parent


def imported(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def test_its_names_are_the_public_ones() -> None:
    assert all(getattr(limit, name) is getattr(gflow, name) for name in limit.__all__)


def test_orbits_and_law_import_no_walk() -> None:
    walks = {f"gflow.limit.{name}" for name in ("chain", "pairs", "deep", "symmetric", "limits", "infinity", "finite")}
    for path in (*ROOM.glob("orbit/*.py"), *ROOM.glob("law/*.py")):
        assert not imported(path) & walks, path.name
