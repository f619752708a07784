"""The rules of the architecture as data, a checker that reads source text, and planted violations that it must flag."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOP_LEVEL = {
    *("setup.cfg", "README.md", "gflow", "analysis", "scripts", "tests"),
    *("docs", "pyproject.toml", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", ".gitignore", ".ci"),
    *(".pre-commit-config.yaml", "CITATION.cff", ".github"),
}


@dataclass(frozen=True)
class Room:
    """What a module may import: of this project, and of outside packages (the standard library and numpy always)."""

    ours: frozenset[str]
    outside: frozenset[str]


GROUND = frozenset(
    "gflow.checks gflow.lazy gflow.memory gflow.plain gflow.policy gflow.renamed gflow.showing gflow.watch".split()
)
"""What every room may import: it imports no room itself."""


def room(ours: str = "", outside: str = "") -> Room:
    return Room(frozenset(ours.split()) | GROUND, frozenset(outside.split()) | {"numpy"})


ROOMS = {
    "gflow": room(),
    "gflow.__main__": room("gflow.cli"),
    **dict.fromkeys(sorted(GROUND), Room(frozenset(), frozenset({"numpy"}))),
    "gflow.problems": room(outside="scipy"),
    "gflow.files": room("gflow.problems", "scipy"),
    "gflow.connectivity": room("gflow.problems", "networkx scipy"),
    "gflow.models": room(outside="autograd"),
    "gflow.fast.jit": room(outside="numba"),
    "gflow.fast.lanes": room("gflow.fast.jit", "llvmlite numba"),
    "gflow.fast.sampled": room("gflow.fast.jit"),
    "gflow.objective": room("gflow.problems gflow.models gflow.fast.jit gflow.fast.sampled", "autograd jax scipy"),
    "gflow.testing": room("gflow.problems gflow.models", "scipy"),
    "gflow.flow": room("gflow.files gflow.critical gflow.objective", "scipy"),
    "gflow.fast": room("gflow.flow gflow.fast.jit gflow.fast.lanes", "scipy"),
    "gflow.ensemble": room(
        "gflow.fast gflow.fast.jit gflow.flow gflow.models gflow.objective gflow.problems gflow.workers", "joblib"
    ),
    "gflow.workers": room(outside="joblib scipy threadpoolctl"),
    "gflow.descent": room("gflow.critical gflow.flow gflow.objective", "scipy"),
    "gflow.graded": room(
        "gflow.problems gflow.connectivity gflow.models gflow.objective gflow.flow gflow.critical", "scipy"
    ),
    "gflow.critical": room(outside="scipy"),
    "gflow.manifolds": room(),
    "gflow.escape": room("gflow.problems gflow.connectivity gflow.objective gflow.flow gflow.critical", "scipy"),
    "gflow.limit": room(
        "gflow.problems gflow.files gflow.connectivity gflow.models gflow.objective gflow.fast gflow.fast.jit "
        "gflow.flow "
        "gflow.critical gflow.escape"
    ),
    "gflow.traversal": room(),
    "gflow.completions": room("gflow.problems gflow.connectivity", "clarabel cvxpy scipy sympy"),
    "gflow.operators": room("gflow.problems", "scipy"),
    "gflow.certify": room("gflow.problems gflow.models", "flint"),
    "gflow.rank": room("gflow.problems gflow.models gflow.objective gflow.certify"),
    "gflow.landscape": room(
        "gflow.problems gflow.connectivity gflow.models gflow.objective gflow.flow gflow.critical gflow.certify "
        "gflow.limit",
        "scipy",
    ),
    "gflow.symbolic": room(outside="sympy"),
    "gflow.diagnostics": room(),
    "gflow.data": room("gflow"),
    "gflow.plugins": room(),
    "gflow.statements": room("gflow gflow.plugins"),
    "gflow.plots": room(outside="matplotlib cycler"),
    "gflow.report": room("gflow gflow.statements gflow.plots", "jinja2 latex2mathml markupsafe matplotlib"),
    "gflow.show": room("gflow gflow.statements gflow.plots gflow.report", "IPython matplotlib pandas rich"),
    "gflow.studies": room(
        "gflow gflow.plugins gflow.statements gflow.plots gflow.report gflow.workers",
        "joblib threadpoolctl scipy distributed",
    ),
    "gflow.explore": room("gflow gflow.data gflow.statements gflow.report", "scipy threadpoolctl tornado"),
    "gflow.cli": room(
        "gflow gflow.data gflow.explore gflow.show gflow.statements gflow.plots gflow.report gflow.studies "
        "gflow.workers",
        "argcomplete rich scipy threadpoolctl",
    ),
    "gflow_studies": room(
        "gflow gflow.data gflow.explore gflow.statements gflow.plots gflow.report gflow.studies gflow.workers",
        "joblib threadpoolctl scipy autograd cvxpy diffrax heyoka jax sksundae",
    ),
    "scripts": room(
        "gflow gflow.cli gflow.data gflow.statements gflow.plots gflow.report gflow.studies gflow_studies",
        "court looks machines publishing pythons reproduction threadpoolctl distributed",
    ),
}
"""Who may import whom. A module grown into a package obeys the row of its name; `gflow` means the public names."""
UPPER = {
    "gflow.workers",
    "gflow.data",
    "gflow.statements",
    "gflow.plots",
    "gflow.report",
    "gflow.show",
    "gflow.studies",
    "gflow.explore",
    "gflow.cli",
}
"""Rooms that use the toolkit as any user does, by its public names."""

UNSAFE = {"pickle", "cloudpickle", "dill", "marshal", "shelve"}
SPEAKING = {"argparse", "rich", "matplotlib", "random"}
OWNED_GENERATORS = {"Generator", "default_rng", "SeedSequence", "BitGenerator", "PCG64"}
ACTIONS = {"Add", "Check", "Keep", "Raise", "Save", "Write", "Yield"}
MODULE_LINES, FUNCTION_LINES, SCRIPT_LINES = 299, 40, 40

Function = ast.FunctionDef | ast.AsyncFunctionDef


def row(module: str) -> str | None:
    """Return the name of the row that governs a module (a package's own file ends in `__init__`), or None."""
    parts = module.removesuffix(".__init__").split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 1, -1))
    whole = parts[0] if len(parts) == 1 or parts[0] in ("scripts", "gflow_studies") else None
    return next((name for name in (*names, whole) if name in ROOMS), None)


def is_lower(module: str) -> bool:
    """Return whether a module is of the toolkit below its public names."""
    return module.split(".")[0] == "gflow" and row(module) not in UPPER


def run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements except those under ``if TYPE_CHECKING``, which never run."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test).split(".")[-1] == "TYPE_CHECKING":
            children: list[ast.AST] = list(child.orelse)
        else:
            children = [child]
        for kept in children:
            yield kept
            yield from run_time_nodes(kept)


def imported(module: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of every import; `from gflow import name` outside gflow is an import of `gflow`."""
    for node in run_time_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            source = ".".join([*parents, *filter(None, [node.module])])
            inside = source == "gflow" and is_lower(module)
            yield from ((node.lineno, f"{source}.{name.name}" if inside else source) for name in node.names)


def import_violations(module: str, tree: ast.Module) -> Iterator[str]:
    here = row(module)
    if here is None:
        yield f"{module} has no row in the table"
        return
    for line, name in imported(module, tree):
        first = name.split(".")[0]
        if first in UNSAFE or (first in SPEAKING and is_lower(module)):
            yield f"{module}:{line} imports {name}"
        elif first in ("gflow", "gflow_studies", "scripts", "tests"):
            target = row(name) or name
            target = target if first != "gflow" or is_lower(module) or target in UPPER else name
            if target != here and target not in ROOMS[here].ours:
                yield f"{module}:{line} may not import {name}"
        elif first not in sys.stdlib_module_names and first not in ROOMS[here].outside:
            yield f"{module}:{line} may not use {name}"


def call_violations(module: str, tree: ast.Module) -> Iterator[str]:
    lower = is_lower(module)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if any(key.arg == "allow_pickle" and ast.unparse(key.value) != "False" for key in node.keywords):
                yield f"{module}:{node.lineno} allows pickled arrays"
            if lower and ast.unparse(node.func) in ("print", "sys.stdout.write"):
                yield f"{module}:{node.lineno} prints"
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "numpy.random"):
            if node.attr not in OWNED_GENERATORS:
                yield f"{module}:{node.lineno} touches global random state: {ast.unparse(node)}"
        elif isinstance(node, ast.ImportFrom) and node.module == "numpy.random":
            names = {name.name for name in node.names} - OWNED_GENERATORS
            yield from (f"{module}:{node.lineno} touches global random state: {name}" for name in sorted(names))


def public(body: list[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    """Yield the public functions and classes of a module, and the public methods of those classes.

    An overload declares types only: what it does is said once, by the function itself.
    """
    for node in body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        if "overload" not in map(ast.unparse, node.decorator_list):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def docstring_violations(module: str, tree: ast.Module) -> Iterator[str]:
    if not is_lower(module):
        return
    if not ast.get_docstring(tree):
        yield f"{module} has no docstring"
    for node in public(tree.body):
        text = ast.get_docstring(node)
        if not text:
            yield f"{module}:{node.lineno} {node.name} has no docstring"
        elif isinstance(node, Function) and text.split()[0] not in {"Return", *ACTIONS}:
            yield f"{module}:{node.lineno} the docstring of {node.name} begins with {text.split()[0]!r}, not 'Return'"


def body_lines(function: Function) -> int:
    """Return the number of lines of a body, from the statement after the docstring to the end."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def size_violations(module: str, tree: ast.Module, source: str) -> Iterator[str]:
    lines = len(source.splitlines())
    limit = SCRIPT_LINES if module.startswith("scripts") else MODULE_LINES
    if lines > limit:
        yield f"{module} has {lines} lines; at most {limit}"
    for node in ast.walk(tree):
        if isinstance(node, Function) and body_lines(node) > FUNCTION_LINES:
            yield f"{module}:{node.lineno} {node.name} has {body_lines(node)} lines; at most {FUNCTION_LINES}"


def violations(module: str, source: str) -> list[str]:
    """Return every breach of the rules in the source text of one module."""
    tree = ast.parse(source)
    found = [
        *import_violations(module, tree),
        *call_violations(module, tree),
        *docstring_violations(module, tree),
        *size_violations(module, tree, source),
    ]
    return list(dict.fromkeys(found))


def modules() -> dict[str, Path]:
    """Return the dotted name and path of every module of the project, tests excepted."""
    paths = [path for folder in ("gflow", "analysis", "scripts") for path in sorted((ROOT / folder).rglob("*.py"))]
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts).removeprefix("analysis.") for path in paths)
    return dict(zip(names, paths, strict=True))


@cache
def sources() -> dict[str, str]:
    """Return the dotted name and source text of every module of the project, tests excepted."""
    return {name: path.read_text(encoding="utf-8") for name, path in modules().items()}


def test_every_module_keeps_to_its_room() -> None:
    assert len(sources()) > 400
    assert [found for module, source in sources().items() for found in violations(module, source)] == []


def test_every_module_of_gflow_has_its_tests() -> None:
    names = {name.split(".")[1] for name in modules() if name.startswith("gflow.")} - {"__init__", "__main__"}
    assert [name for name in sorted(names) if not (ROOT / "tests" / f"test_{name}.py").is_file()] == []


def test_nothing_but_the_agreed_names_stands_at_the_top() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split("/")[0] for line in listed.splitlines()} <= TOP_LEVEL


def classes(source: str) -> list[str]:
    """Return the names of the classes that a module defines."""
    tree = ast.parse(source if "class " in source else "")
    return [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def defined_twice(sources: dict[str, str]) -> dict[str, list[str]]:
    """Return the names of classes that several modules define, with these modules."""
    homes: dict[str, list[str]] = {}
    for module, source in sources.items():
        for name in classes(source):
            homes.setdefault(name, []).append(module)
    return {name: found for name, found in homes.items() if len(found) > 1}


CONTRACTED = {"Config", "Result"}
"""What every study calls its configuration and its result, by the protocol ``FigureStudy``."""


def test_one_name_means_one_class_in_the_whole_package() -> None:
    twice = defined_twice(sources())
    assert {name: found for name, found in twice.items() if name not in CONTRACTED} == {}
    assert all(name.startswith("gflow_studies.figures") for each in CONTRACTED for name in twice.get(each, []))


def test_a_class_defined_twice_is_seen() -> None:
    planted = {"gflow.flow.run": "class Run:\n    pass", "gflow.a": "class A:\n    class Run:\n        pass"}
    assert defined_twice(planted) == {"Run": ["gflow.flow.run", "gflow.a"]}


DOC = '"""A module."""\n'
LONG = "\n".join(f"    x = {i}" for i in range(FUNCTION_LINES + 1))
PLANTED = [
    ("gflow.models", DOC + "import gflow.flow", "may not import gflow.flow"),
    ("gflow.models", DOC + "from gflow.flow import gradient_flow", "may not import gflow.flow"),
    ("gflow.models", DOC + "from gflow import flow", "may not import gflow.flow"),
    ("gflow.models", DOC + "import gflow", "may not import gflow"),
    ("gflow.models", DOC + "from . import flow", "may not import gflow.flow"),
    ("gflow.models", DOC + "from .flow import gradient_flow", "may not import gflow.flow"),
    ("gflow.flow.__init__", DOC + "from ..escape import escape_limit", "may not import gflow.escape"),
    ("gflow.models", DOC + "from gflow.statements import Claim", "may not import gflow.statements"),
    ("gflow.flow.solvers", DOC + "from gflow.escape import escape_limit", "may not import gflow.escape"),
    ("gflow.models", DOC + "import scipy.linalg", "may not use scipy.linalg"),
    ("gflow.models", DOC + "def _f():\n    import sympy", "may not use sympy"),
    ("gflow.nowhere", DOC, "has no row"),
    ("gflow.models", DOC + "import gflow_studies.figures", "may not import gflow_studies.figures"),
    ("gflow.cli", DOC + "import gflow_studies.figures", "may not import gflow_studies.figures"),
    ("gflow.statements.theorem_1", DOC + "from gflow.flow import gradient_flow", "may not import gflow.flow"),
    ("gflow.statements.theorem_1", DOC + "from gflow.report import Report", "may not import gflow.report"),
    ("gflow.plots", DOC + "import gflow", "may not import gflow"),
    ("gflow.flow", DOC + "import matplotlib.pyplot as plt", "imports matplotlib.pyplot"),
    ("gflow.flow", DOC + "import argparse", "imports argparse"),
    ("gflow.flow", DOC + "from rich import print", "imports rich"),
    ("gflow.flow", DOC + "import random", "imports random"),
    ("gflow.files", DOC + "import pickle", "imports pickle"),
    ("gflow.studies", DOC + "import pickle", "imports pickle"),
    ("gflow.files", DOC + "np.load(path, allow_pickle=True)", "allows pickled arrays"),
    ("gflow.studies", DOC + "np.load(path, allow_pickle=flag)", "allows pickled arrays"),
    ("gflow.flow", DOC + "print(1)", "prints"),
    ("gflow.flow", DOC + "np.random.seed(0)", "global random state: np.random.seed"),
    ("gflow.flow", DOC + "x = np.random.standard_normal(3)", "global random state"),
    ("gflow.flow", DOC + "from numpy.random import normal", "global random state: normal"),
    ("gflow.flow", "x = 1", "gflow.flow has no docstring"),
    ("gflow.flow", DOC + "def f():\n    return 1", "f has no docstring"),
    ("gflow.flow", DOC + "class C:\n    pass", "C has no docstring"),
    ("gflow.flow", DOC + "class C:\n    'A thing.'\n    def f(self):\n        return 1", "f has no docstring"),
    ("gflow.flow", DOC + "def f():\n    '''Computes it.'''", "begins with 'Computes'"),
    ("gflow.flow", DOC + "x = 1\n" * MODULE_LINES, "300 lines; at most 299"),
    ("gflow.plots", "x = 1\n" * (MODULE_LINES + 1), "300 lines; at most 299"),
    ("scripts.recipe", "x = 1\n" * (SCRIPT_LINES + 1), "41 lines; at most 40"),
    ("gflow.flow", DOC + f"def _f():\n    '''Return it.'''\n{LONG}", "_f has 41 lines; at most 40"),
]


@pytest.mark.parametrize(("module", "source", "message"), PLANTED, ids=[message for *_, message in PLANTED])
def test_a_planted_violation_is_flagged(module: str, source: str, message: str) -> None:
    found = violations(module, source)
    assert len(found) == 1 and message in found[0]


LAWFUL = [
    ("gflow.flow", "import numpy as np\nimport scipy.integrate\nfrom gflow.files import write_arrays"),
    ("gflow.flow", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from gflow.models import Model"),
    ("gflow.flow.solvers", "from gflow.flow.tables import Table\nfrom gflow import files"),
    ("gflow.flow.__init__", "from .tables import Table\nfrom . import tables\nfrom ..files import write_arrays"),
    ("gflow.flow", "rng = np.random.default_rng(0)\nx = np.load(path, allow_pickle=False)"),
    ("gflow.flow", "def f() -> int:\n    'Return one.'\n    return 1\ndef write_it() -> None:\n    'Write it.'"),
    ("gflow.flow", "def _f():\n    '''Return it.\n" + "    More.\n" * 50 + "    '''\n    return 1"),
    (
        "gflow.statements.theorem_1",
        "import gflow\nfrom gflow import connectivity\nfrom gflow.statements import claims",
    ),
    ("gflow.cli", "import argparse\nfrom rich.table import Table\nfrom gflow import report\nprint(1)"),
    ("scripts.recipe", "import gflow\nimport gflow.cli\nprint(gflow)"),
]


@pytest.mark.parametrize(("module", "source"), LAWFUL)
def test_lawful_source_passes(module: str, source: str) -> None:
    assert violations(module, DOC + source) == []


def test_every_room_names_only_rooms() -> None:
    named: set[str] = set().union(*(entry.ours for entry in ROOMS.values()))
    assert named <= set(ROOMS)


def test_the_rooms_have_no_cycle() -> None:
    assert list(TopologicalSorter({name: entry.ours for name, entry in ROOMS.items()}).static_order())
