"""Every command and code block of the README and of the tour runs, and prints what they say."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```(?P<language>\w*) *(?P<name>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
RESULT = re.compile(r"  # (?P<value>.*)$")
INSTALLATIONS = {"pip install .", "pip install -e '.[test]'", "pip install '.[docs]'"}
"""Run by ``.ci/run`` and, as a wheel, by ``test_packaging``."""
OTHERS = {"python -m pytest", "python -m sphinx -W docs docs/_build"}
"""Run by ``.ci/run``."""


SHORTENED = {"gflow landscape": " --rank 1", "gflow figure bai2024-fig5": " --set directions=4"}
"""What is added to commands of many seconds: the whole is for ``test_landscape`` and the tests of figures."""


@dataclass(frozen=True)
class Block:
    """A fenced block of the README: its language, the file name after it, and its text."""

    language: str
    name: str
    text: str


def blocks(text: str) -> list[Block]:
    return [Block(**match.groupdict()) for match in FENCE.finditer(text)]


def commands(text: str) -> list[str]:
    """Return the single commands of the console blocks, split at `&&`."""
    lines = [line for block in blocks(text) if block.language == "console" for line in block.text.splitlines()]
    assert all(line.startswith("$ ") for line in lines)
    return [command.strip() for line in lines for command in line[2:].split("&&")]


def wrong_results(source: str, names: dict[str, Any]) -> list[str]:
    """Run a block statement by statement; return the expressions whose value is not the comment that follows them."""
    wrong = []
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Expr):
            value = repr(eval(ast.unparse(statement), names))
            comment = RESULT.search(source.splitlines()[(statement.end_lineno or 0) - 1])
            if comment is None or comment["value"] != value:
                wrong.append(f"{ast.unparse(statement)} is {value}")
        else:
            exec(compile(ast.Module([statement], []), "README.md", "exec"), names)
    return wrong


def run(command: str) -> int:
    """Return the exit code of a `gflow` command, run in this process."""
    from gflow.cli import main

    program, *arguments = shlex.split(command)
    assert program == "gflow", f"the README has a command that no test runs: {command}"
    try:
        return main(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)


README, TOUR = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/start/tour.md"))
GFLOW_COMMANDS = [command for command in commands(README) + commands(TOUR) if command not in INSTALLATIONS | OTHERS]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the data files that the tour tells its reader to save."""
    monkeypatch.chdir(tmp_path)
    for block in blocks(README + TOUR):
        if block.name:
            (tmp_path / block.name).write_text(block.text, encoding="utf-8")
    return tmp_path


def test_the_readme_holds_only_blocks_that_are_run() -> None:
    assert {block.language for block in blocks(README + TOUR) if not block.name} == {"console", "python", "text"}
    assert (README + TOUR).count("\n```") == 2 * len(blocks(README + TOUR))


def test_the_readme_is_short_and_names_what_nobody_else_has() -> None:
    assert len(README.splitlines()) < 120
    assert {
        word for word in ("Omega_k", "sub-Omega_k", "sympy", "ledger", "seven minutes") if word not in README
    } == set()


def test_the_readme_names_the_installations_the_test_command_and_how_the_site_is_built() -> None:
    assert INSTALLATIONS | OTHERS <= set(commands(README))


def test_the_answer_is_the_one_that_is_shown() -> None:
    import gflow

    (shown,) = [block.text for block in blocks(README) if block.language == "text"]
    assert f"{gflow.explain(gflow.data.example('fig3'), name='fig3')}\n" == shown


@pytest.mark.parametrize("command", GFLOW_COMMANDS)
def test_every_command_succeeds(command: str, folder: Path) -> None:
    added = [more for start, more in SHORTENED.items() if command.startswith(start)]
    assert run(command + "".join(added)) == 0
    words = shlex.split(command)
    if "--out" in words:
        assert (folder / words[words.index("--out") + 1]).exists()


@pytest.mark.parametrize("text", [README, TOUR], ids=["README", "tour"])
def test_every_code_block_gives_the_values_in_its_comments(text: str, folder: Path) -> None:
    names: dict[str, Any] = {}
    assert [wrong for b in blocks(text) if b.language == "python" for wrong in wrong_results(b.text, names)] == []


def test_a_wrong_value_in_a_comment_is_found() -> None:
    assert wrong_results("x = 2\nx + 1  # 3\nx + 2  # 5\nx\n", {}) == ["x + 2 is 4", "x is 2"]
