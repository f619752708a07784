"""The alpha -> 0 limit from the origin: saddle to saddle, per coupling component (Bai et al. 2024; GLRL)."""

from gflow.traversal.deep_flow import deep_flow
from gflow.traversal.deep_records import DeepSaddle, DeepTraversal
from gflow.traversal.limits import greedy_low_rank, saddle_to_saddle
from gflow.traversal.records import Chain, Saddle, TraversalStatus
from gflow.traversal.traversal import Traversal

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
