"""Pages of reference that are written from the package itself: public names by task, the command line."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
from collections import defaultdict
from pathlib import Path

from pages import write

import gflow
from gflow.cli import main
from gflow.cli.commands import COMMANDS

TASKS = {
    "problems": "State a problem",
    "files": "Read and write files",
    "connectivity": "Look at the mask",
    "models": "Choose a model",
    "objective": "Put them together",
    "flow": "Follow a trajectory",
    "graded": "Follow it from extreme scales",
    "descent": "Take discrete steps",
    "ensemble": "Follow many at once",
    "landscape": "See every critical orbit at once",
    "critical": "Find critical points and their spectra",
    "manifolds": "Stay on an invariant manifold",
    "escape": "Leave a saddle",
    "limit": "Take the limit of small starts",
    "traversal": "Take the limit of small starts",
    "symmetric_traversal": "Take the limit of small starts",
    "rank": "Measure the rank of a model",
    "completions": "Compare with reference completions",
    "operators": "Measure with general operators",
    "symbolic": "Check identities with sympy",
    "certify": "Prove by ball arithmetic",
    "statements": "State and check a claim",
    "report": "Explain, verify, report",
    "diagnostics": "Look at what was followed",
    "explore": "Explore by hand",
    "testing": "Test a model or problem of your own",
}
"""What the rooms of the package are for, in the order in which they are read; other rooms follow."""


def room(name: str) -> str:
    """Return the room of the package in which a public name is at home."""
    value = getattr(gflow, name)
    home = inspect.getmodule(value) if not hasattr(value, "__module__") else None
    module = getattr(value, "__module__", None) or (home.__name__ if home else type(value).__module__)
    return module.split(".")[1] if "." in module else module


def write_names(folder: Path) -> None:
    """Write one list of public names for each task."""
    rooms = defaultdict(list)
    for name in gflow.__all__:
        rooms[room(name)].append(name)
    order = [*TASKS, *sorted(set(rooms) - set(TASKS))]
    titles = dict.fromkeys(TASKS.get(each, each.capitalize()) for each in order if each in rooms)
    lines = [
        "# The interface, by task",
        "",
        "Every name below is imported as `gflow.NAME`; nothing loads before it is used.",
        "",
    ]
    for title in titles:
        names = sorted(name for each in rooms if TASKS.get(each, each.capitalize()) == title for name in rooms[each])
        lines += [f"## {title}", "", "```{eval-rst}", ".. autosummary::", "   :toctree: names", "   :nosignatures:", ""]
        lines += [f"   gflow.{name}" for name in names] + ["```", ""]
    write(folder / "index.md", lines)


def write_commands(path: Path) -> None:
    """Write what the commands say of themselves."""
    lines = [
        "# The command line",
        "",
        "As `--help` prints it. Exit codes: 0 nothing is contradicted, 1 a statement is, 2 bad input.",
        "",
        "```text",
        printed("--help"),
        "```",
        "",
    ]
    for command in COMMANDS:
        lines += [f"## gflow {command.name}", "", "```text", printed(command.name, "--help"), "```", ""]
    write(path, lines)


def printed(*arguments: str) -> str:
    """Return what a command prints."""
    os.environ["COLUMNS"] = "88"
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main(list(arguments))
    return out.getvalue().rstrip()
