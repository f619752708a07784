"""Models: how a flat parameter vector theta becomes an output W, and the chain rule through that map.

Every model offers ``output`` (theta -> W), ``tangent`` (its derivative), ``pullback`` (the adjoint of the derivative)
and ``bend`` (the derivative of ``pullback`` in theta), or leaves them to automatic differentiation. ``objective``
composes them with any problem.
"""

from gflow.models.completed import AutodiffModel, completed
from gflow.models.direct import DirectMatrix
from gflow.models.factorization import Factorization
from gflow.models.protocol import Model
from gflow.models.starts import balanced_start, identity_start
from gflow.models.symmetric import SymmetricFactorization

__all__ = [
    "AutodiffModel",
    "DirectMatrix",
    "Factorization",
    "Model",
    "SymmetricFactorization",
    "balanced_start",
    "completed",
    "identity_start",
]
