"""Invariant manifolds of factorisation models: Omega_k, its parts omega_k on one component, and balancedness.

With Z = [A; B^T], one row for each row and column of W, the closure of Omega_k is {Z = Z Q Q^T} for an orthonormal
basis Q of the common span (r x k), and omega_k asks besides that Z vanish outside the rows and columns of a component.
Both are linear subspaces, described by one record. Of W = W1 ... WL it is row(Wj) and col(W(j+1)) inside one span of
dimension k for every inner space, with L - 1 bases. A ``model`` is a ``Factorization``: it tells A and B in theta.
For networks and attention, ``LinearSpace`` is what symmetries fix, ``condensed`` the union that takes the place of
Omega_k, and ``split_neuron`` puts a narrow network into a wide one.
"""

from gflow.manifolds.confinement import Confinement, confinement
from gflow.manifolds.embedding import split_neuron, transverse_curvature
from gflow.manifolds.linear import Condensed, LinearSpace, attention_space, condensed
from gflow.manifolds.spans import factor_ranks, imbalance, omega_basis, omega_distance, principal_angles
from gflow.manifolds.subspaces import Manifold, omega, sub_omega

__all__ = [
    "Condensed",
    "Confinement",
    "LinearSpace",
    "Manifold",
    "attention_space",
    "condensed",
    "confinement",
    "factor_ranks",
    "imbalance",
    "omega",
    "omega_basis",
    "omega_distance",
    "principal_angles",
    "split_neuron",
    "sub_omega",
    "transverse_curvature",
]
