"""Models: how a flat parameter vector theta becomes an output W, and the chain rule through that map.

Every model offers ``output`` (theta -> W), ``tangent`` (its derivative), ``pullback`` (the adjoint of the derivative)
and ``bend`` (the derivative of ``pullback`` in theta), or leaves them to automatic differentiation. ``objective``
composes them with any problem.
"""

from gflow.models.activations import Activation
from gflow.models.attention import Attention
from gflow.models.completed import AutodiffModel, completed
from gflow.models.convolutional import ConvolutionalNetwork
from gflow.models.diagonal import AffineModel, DeepDiagonal, ProductToy
from gflow.models.direct import DirectMatrix
from gflow.models.factorization import Factorization
from gflow.models.networks import TanhNetwork
from gflow.models.protocol import Model
from gflow.models.starts import balanced_start, identity_start
from gflow.models.symmetric import SymmetricFactorization

__all__ = [
    "Activation",
    "AffineModel",
    "Attention",
    "AutodiffModel",
    "ConvolutionalNetwork",
    "DeepDiagonal",
    "DirectMatrix",
    "Factorization",
    "Model",
    "ProductToy",
    "SymmetricFactorization",
    "TanhNetwork",
    "balanced_start",
    "completed",
    "identity_start",
]
