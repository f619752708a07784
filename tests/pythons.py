"""Pythons that are at hand, and whether the tests pass with one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")


def interpreter(version: str) -> str | None:
    """Return a Python of this version that starts, or None."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), reverse=True)
    for path in (shutil.which(f"python{version}"), *map(str, kept)):
        asked = "import sys; print('%d.%d' % sys.version_info[:2])"
        if path:
            found = subprocess.run([path, "-c", asked], capture_output=True, text=True)
            if found.returncode == 0 and found.stdout.strip() == version:
                return path
    return None


def passed(path: str, options: list[str]) -> bool:
    """Return whether the tests pass with a Python."""
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder, "Scripts" if sys.platform == "win32" else "bin", "python")
        subprocess.run([path, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"{ROOT}[test]"], check=True)
        command = [python, "-m", "pytest", *options]
        return subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": ""}).returncode == 0
