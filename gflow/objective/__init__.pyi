from gflow.objective.record import Objective as Objective, as_objective as as_objective
from gflow.objective.stochastic import StochasticLoss as StochasticLoss
