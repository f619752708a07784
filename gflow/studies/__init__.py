"""Studies and sweeps: what each offers, how it runs, and where it is found.

A study is a module that becomes a report; a sweep is many runs of one function: parallel, resumable, with the same
table whatever the number of workers. Both come from installed packages, by their entry points.
"""

from gflow.studies.registry import study_named, study_names, sweep_named, sweep_names
from gflow.studies.running import run_sweep
from gflow.studies.study import FigureStudy, Panel, combined_report, configured, study_report
from gflow.studies.sweep import Progress, Row, RowStatus, Sweep, Table

__all__ = [
    "FigureStudy",
    "Panel",
    "Progress",
    "Row",
    "RowStatus",
    "Sweep",
    "Table",
    "combined_report",
    "configured",
    "run_sweep",
    "study_named",
    "study_names",
    "study_report",
    "sweep_named",
    "sweep_names",
]
