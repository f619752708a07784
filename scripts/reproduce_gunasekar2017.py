"""Every study of Gunasekar et al. 2017 in one HTML report, and the verdict on every claim.

usage: python scripts/reproduce_gunasekar2017.py [--quick] [--out DIR] [--seed S] [--jobs N]
"""

import sys
from argparse import ArgumentParser

from gflow.report import write_report
from gflow.statements.claims import exit_code, tally
from gflow.studies import combined_report, configured, study_named, study_names, study_report

if __name__ == "__main__":
    parser = ArgumentParser(description="Run the studies of Gunasekar et al. 2017; status 1 if a claim fails.")
    parser.add_argument("--quick", action="store_true", help="small versions of all studies")
    parser.add_argument("--out", default="gunasekar2017", help="folder of the report")
    parser.add_argument("--seed", type=int, help="instead of each study's own")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes")
    given = parser.parse_args()
    reports = []
    for name in (name for name in study_names() if name.startswith(("gunasekar2017-", "jin2023-"))):
        study = study_named(name)
        config = configured(study, quick=given.quick, seed=given.seed)
        reports.append(study_report(study, name, config, jobs=given.jobs))
        for claim in reports[-1].claims:
            print(f"{claim.verdict:19} {claim.id}: {claim.statement} ({claim.measured})", flush=True)
    whole = combined_report(reports, "Gunasekar et al. 2017, study by study")
    print(tally(whole.claims))
    print(f"report: {write_report(whole, given.out)}")
    sys.exit(exit_code(whole.claims))
