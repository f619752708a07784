"""A smooth function on R^n with its derivatives: the one thing that every algorithm takes."""

from gflow.objective.record import Objective, as_objective
from gflow.objective.stochastic import StochasticLoss

__all__ = ["Objective", "StochasticLoss", "as_objective"]
