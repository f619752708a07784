"""Time gflow against what a user would run instead; both sides in one run.

python scripts/benchmark.py [CASE ...] [--repeats 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform

from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from analysis.benchmarks import CASES, measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(case.name for case in CASES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    asked = parser.parse_args()
    record = []
    for case in (case for case in CASES if not asked.cases or case.name in asked.cases):
        table = Table("side", "CPU ms", "wall ms", "ratio", "gradients", "error", "to floor", title=case.title)
        with threadpool_limits(1):
            rows = measure(case, asked.repeats)
        for row in rows:
            floor = "" if row.floor_ratio is None else f"{row.floor_ratio:.1f}"
            figures = f"{1e3 * row.cpu:.1f}", f"{1e3 * row.wall:.1f}", f"{row.ratio:.2f}", str(row.evaluations)
            table.add_row(row.side, *figures, f"{row.error:.1e}", floor)
        Console().print(table)
        record += [row.to_dict() for row in rows]
    if asked.json:
        with open(asked.json, "w", encoding="utf-8") as file:
            json.dump({"machine": platform.processor() or platform.machine(), "rows": record}, file, indent=1)


if __name__ == "__main__":
    main()
