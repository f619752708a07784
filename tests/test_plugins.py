"""Packages that add to gflow: the example is installed and seen, and a broken one is told and keeps no other away."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "tests" / "example_package"


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the example is installed, from a copy so that the checkout stays as it is."""
    copy = tmp_path_factory.mktemp("source") / "example"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(folder), str(copy))
    return folder


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder of packages as they are found there: each offers something that cannot be taken."""
    (tmp_path / "crooked.py").write_text("import gflow\nNUMBER = 5\nfrom gflow.statements.thm1 import STATEMENT as s\n")
    with (tmp_path / "crooked.py").open("a") as file:
        file.write('SAME = gflow.Statement("thm1", "mine", lambda given: None, "me", "check")\n')
        file.write('FAILS = gflow.Statement("fails", "it fails", lambda given: 1 / 0, "me", "theorem")\n')
    lines = {
        "gone": "[gflow.statements]\ngone = no_such_module:S\n[gflow.studies]\ngone-study = no_such_module\n"
        "mixing = crooked\n",
        "crooked": "[gflow.statements]\nnumber = crooked:NUMBER\nsame = crooked:SAME\nfails = crooked:FAILS\n"
        "[gflow.sweeps]\ngone-sweep = crooked:NOTHING\n",
    }
    for name, text in lines.items():
        about = tmp_path / f"{name}_package-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-package\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(text)
    return tmp_path


def gflow(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Return what the command does where the packages of ``folder`` are installed."""
    path = os.pathsep.join(map(str, (folder, ROOT, ROOT / "analysis")))
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "gflow", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def told(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_statement_of_an_installed_package_joins_the_ledger_and_every_verification(installed: Path) -> None:
    ledger = told(gflow(installed, "ledger", "--example", "slides2", "--json"))
    assert ledger["example-loss"]["verdict"] == "holds" and list(ledger)[-1] == "example-loss"
    claims = told(gflow(installed, "verify", "--example", "slides2", "--json"))["claims"]
    assert [claim["id"] for claim in claims][-1] == "example-loss" and claims[-1]["measured"] < 1e-6


def test_the_study_of_an_installed_package_is_listed_and_runs(installed: Path) -> None:
    studies = told(gflow(installed, "figure", "--list", "--json"))["studies"]
    assert {"name": "example-decay", "title": "An example: the loss of one entry"} in studies
    assert len(studies) > 10, "the others are still there"
    report = told(gflow(installed, "figure", "example-decay", "--out", str(installed / "out"), "--json"))
    assert report["summary"]["holds"] == 1 and (installed / "out" / "example-decay-loss.svg").is_file()


def test_a_broken_statement_is_told_by_name_and_the_others_go_on(broken: Path) -> None:
    done = gflow(broken, "ledger", "--example", "slides2", "--json")
    found = told(done)
    lines = [line for line in done.stderr.splitlines() if not re.fullmatch(r"gflow: .* \(\d+ s\)", line)]  # progress
    assert found["thm3"]["verdict"] == "holds" and not {"gone", "number", "same"} & set(found)
    assert (
        "its check failed: ZeroDivisionError" in found["fails"]["reason"] and found["fails"]["verdict"] == "undecided"
    )
    assert lines == [
        "gflow: warning: the statement 'gone' of the package gone-package cannot be loaded: ModuleNotFoundError: No "
        "module named 'no_such_module'",
        "gflow: warning: the statement 'number' is left out: its entry point names 5",
        "gflow: warning: the statement 'same' is left out: there is a statement 'thm1' already",
    ]


@pytest.mark.parametrize(("command", "key", "name"), [("figure", "studies", "study"), ("sweep", "sweeps", "sweep")])
def test_a_broken_study_or_sweep_is_told_and_the_list_goes_on(broken: Path, command: str, key: str, name: str) -> None:
    done = gflow(broken, command, "--list", "--json")
    names = [each["name"] for each in told(done)[key]]
    assert len(names) >= 3 and f"gone-{name}" not in names
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"gflow: warning: the {name} 'gone-{name}' of the package")
    clash = "the study 'mixing' of the package gone-package is left out: the study 'mixing' of the package"
    assert lines[1:] == ([f"gflow: warning: {clash} gflow-toolkit has its name"] if name == "study" else [])
    refused = gflow(broken, command, f"gone-{name}", "--out" if command == "figure" else "--store", "x")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert f"the {name} 'gone-{name}' of the package" in refused.stderr


def test_the_recipes_of_contributing_run() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in (each for each in blocks if "check_model" not in each):  # the recipe for a model: test_testing.py
        done = subprocess.run([sys.executable, "-W", "error", "-c", block], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    setup = (EXAMPLE / "setup.cfg").read_text(encoding="utf-8")
    assert all(group in text and group in setup for group in ("gflow.statements", "gflow.studies"))
