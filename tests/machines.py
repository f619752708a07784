"""What one machine can stand in for: other kernels of OpenBLAS, and the lowest versions of the packages."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
import tempfile
from itertools import combinations
from pathlib import Path
from typing import Any

from agreement import disagreements

from gflow.data import example_names

ROOT = Path(__file__).resolve().parents[1]
NEEDED = {
    "Nehalem": {"sse4_2"},
    "Haswell": {"avx2", "fma"},
    "SkylakeX": {"avx512f", "avx512dq", "avx512bw", "avx512vl"},
}
"""Kernels that most x86-64 machines use, and what /proc/cpuinfo calls the instructions that they need."""
CPU = Path("/proc/cpuinfo")
BLAS = (
    "import json, scipy.linalg, threadpoolctl as t; print(json.dumps([b['architecture'] for b in t.threadpool_info()]))"
)
BOUND = re.compile(r"^(?P<name>[\w-]+) *>= *(?P<floor>[\d.]+)", re.MULTILINE)


def run(*command: str | Path, kernel: str | None = None, kept: bool = False) -> subprocess.CompletedProcess[str]:
    """Return what a command ended with, under a kernel; its output is printed, or kept."""
    environment = os.environ | ({"OPENBLAS_CORETYPE": kernel} if kernel else {})
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE if kept else None)


def kernels() -> list[str]:
    """Return the kernels that this processor can run and that BLAS takes where it is asked to."""
    flags = set(CPU.read_text(encoding="utf-8").split()) if CPU.is_file() else set()
    runnable = [kernel for kernel, needed in NEEDED.items() if needed <= flags]
    taken = {kernel: run(sys.executable, "-c", BLAS, kernel=kernel, kept=True).stdout for kernel in runnable}
    return [kernel for kernel in runnable if set(json.loads(taken[kernel])) == {kernel}]


def number(version: str) -> tuple[int, ...]:
    """Return a version as numbers that can be compared, those of `.post1` included."""
    return tuple(int(digits) for digits in re.findall(r"\d+", version))


def floors(setup: str) -> dict[str, str]:
    """Return the lowest versions that the text of setup.cfg allows for gflow and its tests."""
    parsed = configparser.ConfigParser()
    parsed.read_string(setup)
    needed = parsed["options"]["install_requires"] + parsed["options.extras_require"]["test"]
    return {match["name"]: match["floor"] for match in BOUND.finditer(needed)}


def installable(name: str, floor: str) -> str:
    """Return the lowest version of a package, from ``floor`` on, that has a wheel for this Python."""
    command = (sys.executable, "-m", "pip", "index", "versions", "--only-binary=:all:", name)
    listed = re.search(r"Available versions: (.*)", run(*command, kept=True).stdout)
    if listed is None:
        raise SystemExit(f"pip lists no versions of {name}")
    return min((each for each in listed[1].split(", ") if number(each) >= number(floor)), key=number)


def passed(name: str, *command: str | Path, kernel: str | None = None) -> bool:
    """Say what is checked, run it, and return whether it succeeded."""
    print(f"== {name}", flush=True)
    good = run(*command, kernel=kernel).returncode == 0
    if not good:
        print(f"== failed: {name}", flush=True)
    return good


def with_lowest_versions(*suite: str) -> bool:
    """Return whether the tests pass with the lowest versions that setup.cfg allows, in an environment of their own."""
    with tempfile.TemporaryDirectory() as folder:
        python, pins = Path(folder, "bin", "python"), Path(folder, "lowest.txt")
        lowest = floors((ROOT / "setup.cfg").read_text(encoding="utf-8")).items()
        pins.write_text("".join(f"{name}=={installable(name, floor)}\n" for name, floor in lowest), encoding="utf-8")
        install = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "-c", pins)
        return (
            passed("an environment", sys.executable, "-m", "venv", "--without-pip", folder)
            and passed(
                f"the lowest versions: {', '.join(pins.read_text(encoding='utf-8').split())}",
                *install,
                "pip",
                "-e",
                ".[test]",
            )
            and passed("tests with the lowest versions", python, "-m", "pytest", *suite)
        )


def report(name: str, kernel: str) -> dict[str, Any]:
    """Return the report on a shipped matrix, verified with a kernel."""
    command = (sys.executable, "-m", "gflow", "verify", "--example", name, "--json")
    found: dict[str, Any] = json.loads(run(*command, kernel=kernel, kept=True).stdout)
    return found


def reports_agree(names: tuple[str, ...] = (), among: list[str] | None = None) -> bool:
    """Return whether the reports on shipped matrices agree between kernels, and print where they do not."""
    chosen, agree = kernels() if among is None else among, True
    for name in names or example_names():
        print(f"== {name}: reports with {', '.join(chosen)}", flush=True)
        reports = {kernel: report(name, kernel) for kernel in chosen}
        for one, other in combinations(chosen, 2):
            for difference in disagreements(reports[one], reports[other]):
                print(f"{name}, {one} and {other}: {difference}", flush=True)
                agree = False
    return agree
