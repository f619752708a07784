"""Models: how a flat parameter vector theta becomes an output W, and the chain rule through that map.

Every model offers ``output`` (theta -> W), ``tangent`` (its derivative), ``pullback`` (the adjoint of the derivative)
and ``bend`` (the derivative of ``pullback`` in theta), or leaves them to automatic differentiation. ``objective``
composes them with any problem.
"""

from gflow.lazy import attach

attach(__name__)
