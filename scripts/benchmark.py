"""Time gflow against what a user would run instead; both sides in one run, on one BLAS thread.

OMP_NUM_THREADS=1 python scripts/benchmark.py [CASE ...] [--repeats 5] [--json FILE]
"""

import argparse
import json
import platform

from analysis.benchmarks import CASES, measure, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(case.name for case in CASES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    asked = parser.parse_args()
    record = []
    for case in CASES:
        if not asked.cases or case.name in asked.cases:
            rows = measure(case, asked.repeats)
            print(f"{case.name}: {case.title}\n{table(rows)}\n", flush=True)
            record += [row.to_dict() for row in rows]
    if asked.json:
        with open(asked.json, "w", encoding="utf-8") as file:
            json.dump({"machine": platform.machine(), "python": platform.python_version(), "rows": record}, file)


if __name__ == "__main__":
    main()
