"""Studies behind figures: one module each, with a frozen ``Config``, ``run``, ``claims``, ``data`` and ``draw``.

A study joins ``gflow figure`` and the recipes by one line in ``CATALOGUE``.
"""

from analysis.figures.catalogue import CATALOGUE, study_named
from analysis.figures.study import FigureStudy, Panel, combined_report, study_report

__all__ = ["CATALOGUE", "FigureStudy", "Panel", "combined_report", "study_named", "study_report"]
