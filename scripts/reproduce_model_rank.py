"""Make every figure on model rank, networks and attention, each with its report, and one index page.

usage: python scripts/reproduce_model_rank.py [FOLDER] [--quick] [--jobs N]
"""

import argparse
import sys
import time
from pathlib import Path

from threadpoolctl import threadpool_limits

from gflow.report import write_index, write_report
from gflow.statements.claims import exit_code, summary
from gflow.studies import configured, study_named, study_report

STUDIES = "model-rank recovery network-samples networks attention-softmax attention-linear architectures".split()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("model-rank"))
    parser.add_argument("--quick", action="store_true", help="small versions, in minutes")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default %(default)s)")
    asked = parser.parse_args()
    threadpool_limits(limits=1)
    entries, codes = [], []
    for name in STUDIES:
        begun, study = time.perf_counter(), study_named(name)
        report = study_report(study, name, configured(study, quick=asked.quick), jobs=asked.jobs)
        write_report(report, asked.folder / name)
        entries.append((report.title, f"{name}/report.html", summary(report.claims)))
        codes.append(exit_code(report.claims))
        print(f"{name}: {time.perf_counter() - begun:.1f} s", flush=True)
        for claim in report.claims:
            print(f"  {claim.verdict}: {claim.id}: {claim.statement} (measured {claim.measured})")
    print(write_index(entries, asked.folder, title="Model rank, networks and attention"))
    sys.exit(max(codes))
