"""Compare the limit alpha -> 0 by traversal with direct integration from tiny starts on random problems.

usage: python scripts/limit_study.py [NUMBER] [FILE.json] [SEED]
"""

import json
import sys

from analysis.limit_study import Outcome, limit_study

if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    study = limit_study(number, seed=int(sys.argv[3]) if len(sys.argv) > 3 else 0, n_jobs=2)
    for name, count in study.counts.items():
        print(f"{name}: {count}")
    for case in study.cases:
        if case.outcome not in (Outcome.AGREE, Outcome.DIVERGING):
            print(f"  {case!r} {case.reason or case.difference}")
    if len(sys.argv) > 2:
        with open(sys.argv[2], "w", encoding="utf-8") as file:
            json.dump(study.to_dict(), file, indent=1)
    sys.exit(study.counts[Outcome.DISAGREE] > 0)
