"""Timed cases: every side in one run, checked for the same answer before a time is shown."""

from gflow_studies.benchmarks.cases import CASES, STUDIES
from gflow_studies.benchmarks.goals import store
from gflow_studies.benchmarks.growth import draw_growth, growth
from gflow_studies.benchmarks.timing import Case, Side, TimingRow, measure, surroundings, table

__all__ = [
    "CASES",
    "STUDIES",
    "Case",
    "Side",
    "TimingRow",
    "draw_growth",
    "growth",
    "measure",
    "store",
    "surroundings",
    "table",
]
