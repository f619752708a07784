"""Check what this machine can stand in for: other kernels of OpenBLAS, the lowest versions of the packages.

usage: python scripts/check_machines.py [--marked]

For use before a release, from an environment with gflow[test]. The whole suite runs with the kernels that most x86-64
machines use, as far as this processor has them, and with the lowest versions that setup.cfg allows; then
`gflow verify --json` must say the same of every shipped matrix with each kernel. Exit code 0 if all pass, else 1.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from machines import kernels, passed, reports_agree, with_lowest_versions

WHOLE, MARKED = ("-m", "not study"), ("-m", "numerics and not study and not slow")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--marked", action="store_true", help="only the quicker tests marked as numerics")
    marked = parser.parse_args().marked
    suite = MARKED if marked else WHOLE
    found = [
        passed(f"tests with {kernel}", sys.executable, "-m", "pytest", *suite, kernel=kernel) for kernel in kernels()
    ]
    found.append(with_lowest_versions(*suite))
    if not marked:
        found.append(reports_agree())
    print(f"{found.count(True)} of {len(found)} checks passed")
    sys.exit(not all(found))
