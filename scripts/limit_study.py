"""Compare the limit alpha -> 0 by traversal with direct integration from tiny starts on random problems.

usage: python scripts/limit_study.py [NUMBER] [FILE.json] [SEED]
"""

import argparse
import json
import sys
from pathlib import Path

from gflow_studies.limit_study import LimitOutcome, limit_study

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("number", nargs="?", type=int, default=200, metavar="NUMBER")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE.json")
    parser.add_argument("seed", nargs="?", type=int, default=0, metavar="SEED")
    asked = parser.parse_args()
    study = limit_study(asked.number, seed=asked.seed, n_jobs=2)
    for name, count in study.counts.items():
        print(f"{name}: {count}")
    for case in study.cases:
        if case.outcome not in (LimitOutcome.AGREE, LimitOutcome.DIVERGING):
            print(f"  {case!r} {case.reason or case.difference}")
    if asked.file:
        asked.file.write_text(json.dumps(study.to_dict(), indent=1), encoding="utf-8")
    sys.exit(study.counts[LimitOutcome.DISAGREE] > 0)
