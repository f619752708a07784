"""Properties of measurement operators: do the measurements commute, is the operator a restricted isometry.

Commuting measurements are the hypothesis of Gunasekar et al. 2017 (Theorem 1, Corollary 2), restricted isometry that
of the incremental learning results (Jin et al. 2023).
"""

from gflow.operators.commuting import FORMS, Commutation, commuting, commuting_mask
from gflow.operators.families import (
    NormCounterexample,
    commuting_measurements,
    gaussian_measurements,
    nuclear_norm_counterexample,
    symmetric_dilation,
)
from gflow.operators.isometry import RestrictedIsometry, restricted_isometry
from gflow.operators.kernel import KernelElement, kernel_rank_one
from gflow.operators.paths import CommutingPath, commuting_path

__all__ = [
    "FORMS",
    "Commutation",
    "CommutingPath",
    "KernelElement",
    "NormCounterexample",
    "RestrictedIsometry",
    "commuting",
    "commuting_mask",
    "commuting_measurements",
    "commuting_path",
    "gaussian_measurements",
    "kernel_rank_one",
    "nuclear_norm_counterexample",
    "restricted_isometry",
    "symmetric_dilation",
]
