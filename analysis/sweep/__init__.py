"""Many runs of one function: parallel, resumable, with the same table whatever the number of workers."""

from analysis.sweep.catalogue import SWEEPS, sweep_named
from analysis.sweep.records import Progress, Row, RowStatus, Sweep, Table
from analysis.sweep.running import run_sweep

__all__ = ["SWEEPS", "Progress", "Row", "RowStatus", "Sweep", "Table", "run_sweep", "sweep_named"]
