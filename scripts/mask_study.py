"""Study the limit on all 316 classes of 4 x 4 masks with integer matrices of rank 1, 2 and 3.

usage: python scripts/mask_study.py [FILE.json] [SEED]
"""

import argparse
import json
import sys
from pathlib import Path

from gflow_studies.mask_study import mask_study

from gflow import mask_classes
from gflow.statements.claims import exit_code

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE.json")
    parser.add_argument("seed", nargs="?", type=int, default=0, metavar="SEED")
    asked = parser.parse_args()
    study = mask_study(mask_classes(4, 4), ranks=(1, 2, 3), seed=asked.seed, n_jobs=2)
    for group, counts in study.summary().items():
        print(f"{group}: {', '.join(f'{name} {value}' for name, value in counts.items())}")
    print("connected cases that are not known to learn the minimum rank:")
    for case in study.exceptions:
        print(f"  {case.mask}, data of rank {case.rank}: {case.learned_rank} against {case.least_rank}; {case.reason}")
    for claim in study.claims():
        print(f"{claim.statement}: {claim.verdict}, {claim.reason}: {claim.measured}")
    if asked.file:
        asked.file.write_text(json.dumps(study.to_dict(), indent=1), encoding="utf-8")
    sys.exit(exit_code(study.claims()))
