"""The four figures of a limit, and why one of them is left out."""

from __future__ import annotations

from types import MappingProxyType

import gflow
from gflow.report import FigureSet
from gflow.report.figures import LeftOut, drawn_figures
from gflow.report.limit_figures.chains import chain_figure
from gflow.report.limit_figures.convergence import convergence_figure
from gflow.report.limit_figures.plateaus import plateau_figure
from gflow.report.limit_figures.polar import polar_figure
from gflow.statements import Evidence, thm2

FIGURES = {
    "limit-convergence": convergence_figure,
    "plateau-times": plateau_figure,
    "chain-of-losses": chain_figure,
    "polar-view": polar_figure,
}


def limit_figures(given: Evidence) -> FigureSet:
    """Return the figures of the limit, in the units of the matrix.

    ``limit-convergence``: how fast escapes and completions reach their limits; ``plateau-times``: waiting times,
    predicted and integrated; ``chain-of-losses``: the orbits between saddles; ``polar-view``: rows of A and columns of
    B on their way from a saddle, as in Bai et al. 2024, Figure 5. None is drawn where the traversal has no limit.
    """
    try:
        _require_limit(given)
    except LeftOut as reason:
        return FigureSet((), MappingProxyType(dict.fromkeys(FIGURES, str(reason))))
    return drawn_figures(given, FIGURES)


def _require_limit(given: Evidence) -> None:
    """Raise LeftOut where there is no limit, or none that is worth its cost."""
    if given.model.dim > thm2.ESCAPE_DIM:
        raise LeftOut(f"not drawn at dimension {given.model.dim}, which exceeds {thm2.ESCAPE_DIM}")
    traversal = given.traversal
    if traversal.status is not gflow.TraversalStatus.CONVERGED:
        raise LeftOut(f"there is no limit: the traversal is {traversal.status}; {traversal.reason}")
    if not any(saddle.loss > 0 for saddle in traversal.saddles):
        raise LeftOut("the limit passes no critical point of positive loss")
