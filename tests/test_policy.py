"""One name for one number: constants that several rooms define, and what is shared although one room needs it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from gflow import policy

ROOT = Path(__file__).resolve().parent.parent / "gflow"


def constants(source: str) -> Iterator[str]:
    """Yield the names in capitals that a module assigns to an expression with numbers in it, and to no text."""
    for node in ast.parse(source).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = getattr(node, "value", None)
        held = [child.value for child in ast.walk(value) if isinstance(child, ast.Constant)] if value else []
        numbers = [item for item in held if isinstance(item, int | float) and not isinstance(item, bool)]
        if not any(isinstance(item, str) for item in held) and (numbers or "finfo" in ast.unparse(value or node)):
            names = (name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))
            yield from (name for name in names if name.isupper())


def rooms_by_constant(sources: dict[str, str]) -> dict[str, set[str]]:
    """Return the rooms in which each constant is defined; ``sources`` are the texts by path inside the package."""
    found: dict[str, set[str]] = defaultdict(set)
    for path, source in sources.items():
        for name in constants(source):
            found[name].add(path.split("/")[0].removesuffix(".py"))
    return found


def shared_by_several(sources: dict[str, str]) -> dict[str, set[str]]:
    return {name: rooms for name, rooms in rooms_by_constant(sources).items() if len(rooms) > 1}


BESIDE_OTHERS = {"LIMIT_RANK_TOL"}
"""Of one room, and told beside those of the same kind that other rooms need, so that they can be compared."""
OF_THE_FLOW = {"flow", "graded", "descent", "fast", "ensemble"}
"""Rooms of the dynamics have small constants of one name, each with its own docstring: they are told apart by it."""


def test_a_number_that_two_rooms_need_is_defined_once() -> None:
    sources = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in sorted(ROOT.rglob("*.py"))}
    twice = shared_by_several(sources)
    assert {name: rooms for name, rooms in twice.items() if "policy" in rooms} == {}
    assert {name: rooms for name, rooms in twice.items() if len(rooms - OF_THE_FLOW) > 1} == {}


def test_a_second_definition_is_seen() -> None:
    sources = {
        "policy.py": "TOL = 1e-3\nEPS = float(np.finfo(float).eps)",
        "flow/run.py": "A, TOL = 1, 2.0",
        "x.py": "A = 'a'",
    }
    assert shared_by_several(sources) == {"TOL": {"policy", "flow"}}


def test_every_shared_number_is_used_in_two_folders_or_more_and_says_why() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py") if path.name != "policy.py"}
    source = (ROOT / "policy.py").read_text(encoding="utf-8")
    names = [name for name in vars(policy) if name.isupper()]
    body = ast.parse(source).body
    told = {
        node.targets[0].id
        for node, after in pairwise(body)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(after, ast.Expr)
    }
    assert set(names) == told
    for name in names:
        users = {
            str(path.relative_to(ROOT).parent if path.parent != ROOT else path.stem)
            for path, text in texts.items()
            if f" {name}" in text and "policy" in text
        }
        assert len(users) > 1 or name in BESIDE_OTHERS, f"{name} is used in {sorted(users)}"


def test_the_policy_knows_the_machine() -> None:
    assert 1.0 + policy.EPS > 1.0 == 1.0 + policy.EPS / 2
