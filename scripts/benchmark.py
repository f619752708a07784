"""Time gflow against what a user would run instead; both sides in one run, on one BLAS thread.

OMP_NUM_THREADS=1 python scripts/benchmark.py [CASE ...] [--repeats 5] [--json FILE]
"""

import argparse
import json
import platform

from analysis.benchmarks import CASES, STUDIES, measure, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = list(dict.fromkeys([*(case.name for case in CASES), *STUDIES]))
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(known))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    asked = parser.parse_args()
    if unknown := set(asked.cases) - set(known):
        parser.error(f"unknown case {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    cases, rows, studies = {case.name: case for case in CASES}, [], {}
    for name in known if not asked.cases else [name for name in known if name in asked.cases]:
        if name in cases:
            timed = measure(cases[name], asked.repeats)
            print(f"{name}: {cases[name].title}\n{table(timed)}", flush=True)
            rows += [row.to_dict() for row in timed]
        if name in STUDIES:
            text, studies[name] = STUDIES[name]()
            print(text)
        print(flush=True)
    if asked.json:
        with open(asked.json, "w", encoding="utf-8") as file:
            record = {"machine": platform.machine(), "python": platform.python_version(), "rows": rows}
            json.dump(record | {"studies": studies}, file)


if __name__ == "__main__":
    main()
