"""Verify every statement on every published matrix; the reports and a page that leads to them go into one folder.

usage: python scripts/verify_theorems.py [FOLDER]
"""

import argparse
import sys
from pathlib import Path

from gflow.data import example, example_description, example_names
from gflow.report import write_index, write_report
from gflow.report.verification import verify
from gflow.statements.claims import exit_code, summary

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder", nargs="?", type=Path, default=Path("theorems"), metavar="FOLDER")
folder = parser.parse_args().folder
entries, codes = [], []
for name in example_names():
    report = verify(example(name), name=name)
    write_report(report, folder / name)
    counts = summary(report.claims)
    entries.append((f"{name}: {example_description(name)}", f"{name}/report.html", counts))
    codes.append(exit_code(report.claims))
    print(name, ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count))

print(write_index(entries, folder, title="Theorems verified on the published matrices"))
sys.exit(max(codes))
