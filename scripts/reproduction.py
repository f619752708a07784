"""What the scripts that make all figures on a subject share."""

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from threadpoolctl import threadpool_limits

from gflow.report import write_index, write_report
from gflow.statements.claims import exit_code, summary
from gflow.studies import configured, study_named, study_report


def reproduce(description: str, names: Iterable[str], folder: str, title: str) -> None:
    """Run the studies with the options given, write their reports and an index page, and leave with the exit code."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(folder))
    parser.add_argument("--quick", action="store_true", help="small versions, in minutes")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default %(default)s)")
    asked = parser.parse_args()
    threadpool_limits(limits=1)
    entries, codes = [], []
    for name in names:
        begun, study = time.perf_counter(), study_named(name)
        report = study_report(study, name, configured(study, quick=asked.quick), jobs=asked.jobs)
        write_report(report, asked.folder / name)
        entries.append((report.title, f"{name}/report.html", summary(report.claims)))
        codes.append(exit_code(report.claims))
        print(f"{name}: {time.perf_counter() - begun:.1f} s", flush=True)
        for claim in report.claims:
            print(f"  {claim.verdict}: {claim.id}: {claim.statement} (measured {claim.measured})")
    print(write_index(entries, asked.folder, title=title))
    sys.exit(max(codes))
