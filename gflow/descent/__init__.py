"""Discrete methods: gradient descent with a fixed step or an exact line search, and projected gradient descent.

Iterates are reported as a ``Trajectory`` whose times are the sums of the steps, so they compare with the gradient flow.
"""

from gflow.descent.gradient import gradient_descent
from gflow.descent.projected import positive_part, projected_gradient, svd_initialization
from gflow.descent.quartic import Quartic, quartic_along

__all__ = [
    "Quartic",
    "gradient_descent",
    "positive_part",
    "projected_gradient",
    "quartic_along",
    "svd_initialization",
]
