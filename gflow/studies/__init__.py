"""Studies and sweeps: what each offers, how it runs, and where it is found.

A study is a module that becomes a report; a sweep is many runs of one function: parallel, resumable, with the same
table whatever the number of workers. Both come from installed packages, by their entry points.
"""

from gflow.renamed import old_names
from gflow.studies.registry import studies, study_named, study_names, sweep_named, sweep_names, sweeps
from gflow.studies.running import run_sweep
from gflow.studies.study import FigureStudy, Panel, combined_report, configured, study_report
from gflow.studies.sweep import RowStatus, Sweep, SweepProgress, SweepRow, SweepTable

__all__ = [
    "FigureStudy",
    "Panel",
    "RowStatus",
    "Sweep",
    "SweepProgress",
    "SweepRow",
    "SweepTable",
    "combined_report",
    "configured",
    "run_sweep",
    "studies",
    "study_named",
    "study_names",
    "study_report",
    "sweep_named",
    "sweep_names",
    "sweeps",
]

__getattr__ = old_names(__name__, {"Progress": "SweepProgress", "Row": "SweepRow", "Table": "SweepTable"})
