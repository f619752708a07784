"""Invariant manifolds of factorisation models: Omega_k, its parts omega_k on one component, and balancedness.

With Z = [A; B^T], one row for each row and column of W, the closure of Omega_k is {Z = Z Q Q^T} for an orthonormal
basis Q of the common span (r x k), and omega_k asks besides that Z vanish outside the rows and columns of a component.
Both are linear subspaces, described by one record. Of W = W1 ... WL it is row(Wj) and col(W(j+1)) inside one span of
dimension k for every inner space, with L - 1 bases. A ``model`` is a ``Factorization``: it tells A and B in theta.
"""

from gflow.manifolds.confinement import Confinement, confinement
from gflow.manifolds.spans import factor_ranks, imbalance, omega_basis, omega_distance, principal_angles
from gflow.manifolds.subspaces import Manifold, omega, sub_omega

__all__ = [
    "Confinement",
    "Manifold",
    "confinement",
    "factor_ranks",
    "imbalance",
    "omega",
    "omega_basis",
    "omega_distance",
    "principal_angles",
    "sub_omega",
]
