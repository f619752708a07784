"""Compare the limit, the graded flow and the flow with a multiprecision integration on problems of many kinds.

usage: python scripts/referee.py [N] [SEED] [--kind KIND] [--jobs J] [--json FILE]

Prints, for each of the three, how many problems agree with the referee, approach it as slowly as predicted, are
declined with an honest status, or are silently wrong. Exit code 1 if any is silently wrong, or fewer than 85 % of the
limits within reach of the referee are answered. Problem number i depends on SEED and i alone.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from joblib import Parallel, delayed

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from court import ANSWERED, KINDS, METHODS, Outcome, answered, case, table


def main() -> int:
    """Run the comparison and return the exit code."""
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
    found = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([sys.path[0], *([found] if found else [])])  # workers read it
    cases = Parallel(n_jobs=asked.jobs)(delayed(case)(asked.seed, i, kinds) for i in range(asked.number))
    print(table(cases, kinds))
    for each in cases:
        for name in METHODS:
            if each.outcomes[name] == Outcome.WRONG:
                print(f"{name}, problem {each.number} ({each.kind}): {each.notes[name]}\n  {each.matrix}")
    share, wrong = answered(cases), sum(Outcome.WRONG in each.outcomes.values() for each in cases)
    print(f"{wrong} problems silently wrong; {share:.1%} of the limits within reach answered")
    if asked.json:
        asked.json.write_text(json.dumps([vars(each) for each in cases], indent=1), encoding="utf-8")
    return int(wrong > 0 or share < ANSWERED)


if __name__ == "__main__":
    sys.exit(main())
