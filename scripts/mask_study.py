"""Study the limit on all 316 classes of 4 x 4 masks with integer matrices of rank 1, 2 and 3.

usage: python scripts/mask_study.py [FILE.json] [SEED]
"""

import json
import sys

from analysis.claims import exit_code
from analysis.mask_study import mask_study
from gflow import mask_classes

if __name__ == "__main__":
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    study = mask_study(mask_classes(4, 4), ranks=(1, 2, 3), seed=seed, n_jobs=2)
    for group, counts in study.summary().items():
        print(f"{group}: {', '.join(f'{name} {value}' for name, value in counts.items())}")
    print("connected cases that are not known to learn the minimum rank:")
    for case in study.exceptions:
        print(f"  {case.mask}, data of rank {case.rank}: {case.learned_rank} against {case.least_rank}; {case.reason}")
    for claim in study.claims():
        print(f"{claim.statement}: {claim.verdict}, {claim.reason}: {claim.measured}")
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w", encoding="utf-8") as file:
            json.dump(study.to_dict(), file, indent=1)
    sys.exit(exit_code(study.claims()))
