"""The package as installed: what the wheel carries, how its names load, and the check that runs on every change."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import gflow

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "gflow", "analysis")
CARRIED = (
    "gflow/*.py",
    "gflow/*.pyi",
    "gflow/*/*.pyi",
    "gflow/py.typed",
    "gflow/data/*.csv",
    "gflow/report/templates/*",
    "gflow/explore/page/*",
    "gflow_studies/*.py",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the checkout stays as it is."""
    copy = tmp_path_factory.mktemp("copy")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        "dist",
        ".",
    ]
    built = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return next((copy / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's contents, in a folder from which they can be imported."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def python(code: str, path: Path = ROOT, folder: Path | None = None) -> str:
    """Return what a fresh interpreter prints that finds the package in `path` and works in `folder`."""
    environment = os.environ | {"PYTHONPATH": str(path)}
    command = [sys.executable, "-W", "error", "-P", "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("root", [ROOT, ROOT / "analysis"], ids=["gflow", "gflow_studies"])
def test_the_wheel_carries_every_file_of_the_packages(unpacked: Path, root: Path) -> None:
    package = "gflow" if root == ROOT else "gflow_studies"
    files = {path.relative_to(root) for path in (root / package).rglob("*") if path.is_file()}
    expected = {path for path in files if "__pycache__" not in path.parts}
    assert {path for path in expected if not (unpacked / path).is_file()} == set()


@pytest.mark.parametrize("pattern", CARRIED)
def test_the_wheel_carries_code_types_matrices_and_templates(unpacked: Path, pattern: str) -> None:
    assert list(unpacked.glob(pattern))


def test_the_wheel_holds_nothing_but_the_two_packages(unpacked: Path) -> None:
    assert {path.name for path in unpacked.iterdir()} == {
        "gflow",
        "gflow_studies",
        f"gflow_toolkit-{gflow.__version__}.dist-info",
    }


def test_a_folder_called_analysis_is_the_user_s_own(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").write_text("mine = True\n")
    code = (
        "import importlib.util, sys\n"
        "assert importlib.util.find_spec('analysis') is None\n"
        "sys.path.insert(0, '.')\n"
        "import analysis, gflow.cli\n"
        "from gflow.studies import study_named\n"
        "assert analysis.mine and study_named('bai2024-fig2').TITLE\n"
        "raise SystemExit(gflow.cli.main(['classify', '--example', 'fig3']))\n"
    )
    assert "connected" in python(code, unpacked, tmp_path)


def test_the_wheel_declares_the_command_and_the_licence(unpacked: Path) -> None:
    about = unpacked / f"gflow_toolkit-{gflow.__version__}.dist-info"
    entries = configparser.ConfigParser()
    entries.read(about / "entry_points.txt")
    assert entries["console_scripts"]["gflow"] == "gflow.cli:main"
    metadata = (about / "METADATA").read_text(encoding="utf-8")
    assert "MIT" in metadata and "Requires-Python: >=3.11" in metadata
    assert list(about.rglob("LICENSE"))


def test_the_command_works_from_the_wheel_alone(unpacked: Path, tmp_path: Path) -> None:
    code = (
        "import pathlib, gflow.cli, gflow\n"
        f"assert pathlib.Path(gflow.__file__).is_relative_to({str(unpacked)!r})\n"
        "for path in sorted((pathlib.Path(gflow.__file__).parent / 'data').glob('*.csv')):\n"
        "    assert gflow.cli.main(['classify', str(path), '--json']) == 0, path\n"
    )
    assert '"kind"' in python(code, unpacked, tmp_path)


@pytest.mark.parametrize("name", gflow.__all__)
def test_every_public_name_is_what_its_module_defines(name: str) -> None:
    value = getattr(gflow, name)
    home = getattr(value, "__module__", type(value).__module__)
    assert home.startswith("gflow.") and getattr(value, "__name__", name) == name


def test_public_names_are_listed() -> None:
    assert set(gflow.__all__) <= set(dir(gflow))
    assert {"MatrixCompletion", "connectivity", "gradient_flow", "__version__"} <= set(dir(gflow))


def test_nothing_else_is_listed() -> None:
    listed = {name for name in dir(gflow) if not name.startswith("__")}
    modules = {
        path.stem for path in (ROOT / "gflow").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert listed - set(gflow.__all__) <= modules


def test_help_begins_with_what_the_package_is_for() -> None:
    assert (gflow.__doc__ or "").startswith("What gradient flow from small starts learns")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'gflow' has no attribute 'gradient_flux'"):
        _ = gflow.gradient_flux  # type: ignore[attr-defined]


def test_importing_gflow_loads_nothing_else() -> None:
    code = "import sys, gflow; print([m for m in sys.modules if m.startswith('gflow.') or m in ('numpy', 'networkx')])"
    assert python(code) == "['gflow.lazy']"


@pytest.mark.parametrize(
    "imports",
    [
        "import gflow",
        "import gflow.connectivity",
        "import gflow.connectivity; import gflow",
        "from gflow import connectivity as function; import gflow",
        "from gflow.connectivity import observation_graph; import gflow",
        "import gflow; gflow.connectivity; import gflow.connectivity",
        "import gflow; gflow.Connectivity; import gflow.connectivity",
        "import importlib, gflow; importlib.import_module('gflow.connectivity')",
        "import gflow.connectivity, importlib, sys; importlib.reload(sys.modules['gflow.connectivity'])",
    ],
)
def test_gflow_connectivity_is_the_function_whatever_was_imported_first(imports: str) -> None:
    code = (
        f"{imports}\n"
        "import sys\n"
        "from gflow.connectivity import connectivity\n"
        "problem = gflow.MatrixCompletion([[1.0, 2.0]])\n"
        "assert gflow.connectivity.__name__ == 'connectivity' and gflow.connectivity(problem).kind\n"
        "assert sys.modules['gflow.connectivity'].connectivity.__code__ is connectivity.__code__\n"
    )
    python(code)


def test_the_check_runs_the_readme_s_test_command_last() -> None:
    script = ROOT / ".ci" / "run"
    lines = script.read_text(encoding="utf-8").splitlines()
    assert os.access(script, os.X_OK) and lines[0] == "#!/usr/bin/env bash" and "set -euo pipefail" in lines
    assert f"$ {lines[-1]}\n" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "pytest" in lines[-1]
