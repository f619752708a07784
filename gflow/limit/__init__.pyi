from gflow.limit.deep_flow import deep_flow as deep_flow
from gflow.limit.deep_records import (
    DeepSaddle as DeepSaddle,
    DeepTraversal as DeepTraversal,
)
from gflow.limit.limits import (
    greedy_low_rank as greedy_low_rank,
    saddle_to_saddle as saddle_to_saddle,
)
from gflow.limit.records import (
    Chain as Chain,
    Saddle as Saddle,
    TraversalStatus as TraversalStatus,
)
from gflow.limit.traversal import Traversal as Traversal
