"""Model rank: how many independent directions a model has in function space at a parameter, and what follows.

rank_f(theta) is the dimension of the span of the derivatives of f(.; theta) in the parameters (Zhang et al. 2022, arXiv
2211.11623, Definition 3). Sampled tangent functions show it numerically, a minor in ball arithmetic proves a lower
bound, and the form of the model an upper one.
"""

from gflow.rank.measures import empirical_rank, linear_stability, model_rank, optimistic_sample_size
from gflow.rank.records import LinearStability, ModelRank

__all__ = [
    "LinearStability",
    "ModelRank",
    "empirical_rank",
    "linear_stability",
    "model_rank",
    "optimistic_sample_size",
]
