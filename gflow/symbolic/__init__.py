"""The flow in exact arithmetic: its equations, their decoupling, and the identities the toolkit relies on.

``symbolic_flow`` differentiates the loss with sympy; ``identities`` compares the result with the closed forms for one
mask, entry by entry, as polynomials; ``general_identities`` works in matrices of symbolic size.
"""

from gflow.symbolic.deep import deep_identities
from gflow.symbolic.equations import (
    SymbolicFlow,
    decoupled_systems,
    equations_latex,
    equations_text,
    lambdified_field,
    lambdified_hessian,
    symbolic_flow,
)
from gflow.symbolic.general import general_identities
from gflow.symbolic.polynomial import CLOSED_FORMS, ClosedForms, Identity, identities

__all__ = [
    "CLOSED_FORMS",
    "ClosedForms",
    "Identity",
    "SymbolicFlow",
    "decoupled_systems",
    "deep_identities",
    "equations_latex",
    "equations_text",
    "general_identities",
    "identities",
    "lambdified_field",
    "lambdified_hessian",
    "symbolic_flow",
]
