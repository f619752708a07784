"""Models: how a flat parameter vector theta becomes a matrix W, and the chain rule through that map.

Every model offers ``matrix`` (theta -> W), ``tangent`` (its derivative), ``pullback`` (the adjoint of the derivative)
and ``bend`` (the derivative of ``pullback`` in theta). ``objective`` composes them with any problem.
"""

from gflow.models.direct import DirectMatrix
from gflow.models.factorization import Factorization
from gflow.models.protocol import Model
from gflow.models.symmetric import SymmetricFactorization

__all__ = ["DirectMatrix", "Factorization", "Model", "SymmetricFactorization"]
