"""A smooth function on R^n with its derivatives: the one thing that every algorithm takes."""

from gflow.objective.record import Objective, as_objective

__all__ = ["Objective", "as_objective"]
