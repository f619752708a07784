"""The alpha -> 0 limit from the origin: saddle to saddle, per coupling component (Bai et al. 2024; GLRL)."""

from gflow.limit.deep_flow import deep_flow
from gflow.limit.deep_records import DeepSaddle, DeepTraversal
from gflow.limit.limits import greedy_low_rank, saddle_to_saddle
from gflow.limit.records import Chain, Saddle, TraversalStatus
from gflow.limit.traversal import Traversal

__all__ = [
    "Chain",
    "DeepSaddle",
    "DeepTraversal",
    "Saddle",
    "Traversal",
    "TraversalStatus",
    "deep_flow",
    "greedy_low_rank",
    "saddle_to_saddle",
]
