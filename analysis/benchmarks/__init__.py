"""Timed cases: every side in one run, checked for the same answer before a time is shown."""

from analysis.benchmarks.cases import CASES, STUDIES
from analysis.benchmarks.growth import draw_growth, growth
from analysis.benchmarks.timing import Case, Row, Side, measure, table

__all__ = ["CASES", "STUDIES", "Case", "Row", "Side", "draw_growth", "growth", "measure", "table"]
