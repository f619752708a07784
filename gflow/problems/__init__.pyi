from gflow.problems.completion import (
    LARGEST_ENTRY as LARGEST_ENTRY,
    MatrixCompletion as MatrixCompletion,
    power_of_four as power_of_four,
)
from gflow.problems.convolution import convolution_sensing as convolution_sensing
from gflow.problems.given import (
    as_completion as as_completion,
    as_problem as as_problem,
)
from gflow.problems.protocol import Problem as Problem
from gflow.problems.recall import recall_task as recall_task
from gflow.problems.regression import Regression as Regression
from gflow.problems.sensing import MatrixSensing as MatrixSensing, as_sensing as as_sensing
from gflow.problems.weighted import (
    EntryProblem as EntryProblem,
    WeightedCompletion as WeightedCompletion,
    as_entries as as_entries,
    in_own_units as in_own_units,
    largest_weight as largest_weight,
    total_weight as total_weight,
    without_weights as without_weights,
)
