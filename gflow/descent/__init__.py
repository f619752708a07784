"""Discrete methods: any optimizer step by step, gradient descent with a line search, and projected gradient descent.

Iterates are reported as a ``Trajectory``. The times of ``gradient_descent`` and ``projected_gradient`` are the sums of
the steps, so they compare with the gradient flow; those of ``descent`` are the numbers of the steps.
"""

from gflow.descent.gradient import gradient_descent
from gflow.descent.iteration import descent
from gflow.descent.optimizers import (
    AdaGrad,
    Adam,
    GradientStep,
    HeavyBall,
    LinearOptimizer,
    Nesterov,
    NormalizedGradient,
    Optimizer,
    SignDescent,
    WeightDecay,
)
from gflow.descent.projected import positive_part, projected_gradient, svd_initialization
from gflow.descent.quartic import Quartic, quartic_along

__all__ = [
    "AdaGrad",
    "Adam",
    "GradientStep",
    "HeavyBall",
    "LinearOptimizer",
    "Nesterov",
    "NormalizedGradient",
    "Optimizer",
    "Quartic",
    "SignDescent",
    "WeightDecay",
    "descent",
    "gradient_descent",
    "positive_part",
    "projected_gradient",
    "quartic_along",
    "svd_initialization",
]
