"""Time gflow against what a user would run instead; both sides in one run, on one BLAS thread.

OMP_NUM_THREADS=1 python scripts/benchmark.py [CASE ...] [--repeats 5] [--json FILE] [--store]
"""

import argparse
import json
import os
from pathlib import Path

from gflow_studies.benchmarks import CASES, STUDIES, measure, store, surroundings, table

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = list(dict.fromkeys([*(case.name for case in CASES), *STUDIES]))
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(known))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", type=Path)
    parser.add_argument("--store", action="store_true", help="keep the ratios of goals for the next run")
    asked = parser.parse_args()
    if asked.repeats < 1 or (asked.json and not os.access(asked.json.resolve().parent, os.W_OK)):
        parser.error("--repeats must be positive, and the folder of --json one that can be written to")
    if unknown := set(asked.cases) - set(known):
        parser.error(f"unknown case {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    cases, rows, studies, texts = {case.name: case for case in CASES}, [], {}, {}
    for name in known if not asked.cases else [name for name in known if name in asked.cases]:
        if name in cases:
            timed = measure(cases[name], asked.repeats)
            print(f"{name}: {cases[name].title}\n{table(timed)}", end="\n" if name in STUDIES else "\n\n", flush=True)
            rows += [row.to_dict() for row in timed]
        if name in STUDIES:
            texts[name], studies[name] = STUDIES[name]()
            print(texts[name], end="\n\n", flush=True)
            if asked.store and name.startswith("goals"):
                store(studies[name]["rows"])
    if asked.json:
        found = surroundings() | {"repeats": asked.repeats, "rows": rows, "studies": studies, "texts": texts}
        asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
