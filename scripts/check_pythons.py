"""Run the tests with every Python that gflow names and that is at hand: python scripts/check_pythons.py [OPTIONS]

A Python is at hand if ``python3.X`` starts, from the PATH or from pyenv. Each gets an environment of its own with the
newest packages for it, and pytest is given the options. Those that are not at hand are untested, and it says so. Exit
code 0 if all that ran passed.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from pythons import VERSIONS, interpreter, passed

if __name__ == "__main__":
    found = {version: interpreter(version) for version in VERSIONS}
    results = {version: passed(path, sys.argv[1:]) for version, path in found.items() if path}
    for version in VERSIONS:
        told = {True: "passed", False: "failed", None: "untested: it is not at hand"}
        print(f"Python {version}: {told[results.get(version)]}")
    sys.exit(not all(results.values()))
