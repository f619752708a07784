"""Learning problems: what is observed, and the risk it defines on matrices W.

A problem knows nothing of factors. It offers the risk, its gradient and its curvature as functions of W, through
the linear operator ``measure`` and its adjoint, so every model composes with every problem.
"""

from gflow.problems.completion import LARGEST_ENTRY, MatrixCompletion, power_of_four
from gflow.problems.convolution import convolution_sensing
from gflow.problems.given import as_completion, as_problem
from gflow.problems.protocol import Problem
from gflow.problems.recall import recall_task
from gflow.problems.regression import Regression
from gflow.problems.sensing import MatrixSensing
from gflow.problems.weighted import (
    EntryProblem,
    WeightedCompletion,
    as_entries,
    in_own_units,
    largest_weight,
    total_weight,
    without_weights,
)

__all__ = [
    "LARGEST_ENTRY",
    "EntryProblem",
    "MatrixCompletion",
    "MatrixSensing",
    "Problem",
    "Regression",
    "WeightedCompletion",
    "as_completion",
    "as_entries",
    "as_problem",
    "convolution_sensing",
    "in_own_units",
    "largest_weight",
    "power_of_four",
    "recall_task",
    "total_weight",
    "without_weights",
]
