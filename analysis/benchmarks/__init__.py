"""Timed cases: every side in one run, checked for the same answer before a time is shown."""

from analysis.benchmarks.cases import CASES
from analysis.benchmarks.timing import Case, Row, Side, measure, table

__all__ = ["CASES", "Case", "Row", "Side", "measure", "table"]
