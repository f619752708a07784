"""The figures of the alpha -> 0 limit: what the start forgets, when it leaves each saddle, and along which orbits."""

from gflow.report.limit_figures.figures import limit_figures

__all__ = ["limit_figures"]
