"""Compare the limit, the graded flow and the flow with a multiprecision integration on problems of many kinds.

usage: python scripts/referee.py [N] [SEED] [--kind KIND] [--jobs J] [--json FILE]

Prints, for each of the three, how many problems agree with the referee, approach it as slowly as predicted, are
declined with an honest status, or are silently wrong. Exit code 1 if any is silently wrong, or fewer than 85 % of the
limits within reach of the referee are answered. Problem number i depends on SEED and i alone.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from court import ANSWERED, KINDS, answered, judged_cases, silently_wrong, table

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("number", nargs="?", type=int, default=200, metavar="N")
    parser.add_argument("seed", nargs="?", type=int, default=0, metavar="SEED")
    parser.add_argument("--kind", choices=tuple(KINDS), action="append", help="only this kind; may be repeated")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    if asked.number < 1:
        parser.error(f"N must be a positive integer; got {asked.number}")
    kinds = tuple(asked.kind or KINDS)
    cases = judged_cases(asked.number, asked.seed, kinds, asked.jobs)
    wrong, share = silently_wrong(cases), answered(cases)
    print(table(cases, kinds), *wrong, sep="\n")
    print(f"{len(wrong)} answers silently wrong; {share:.1%} of the limits within reach answered")
    if asked.json:
        asked.json.write_text(json.dumps([vars(each) for each in cases], indent=1), encoding="utf-8")
    sys.exit(bool(wrong) or share < ANSWERED)
