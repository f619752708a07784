"""Proposition 1 (hierarchical intrinsic invariant manifolds).

Omega_k, the theta with row(A) and col(B) inside one k-dimensional span, is (1) invariant under the gradient flow,
(2) intrinsic: for every data set, values and mask alike, and (3) one in a strictly increasing chain
Omega_0 < Omega_1 < ... < Omega_r, with strictly increasing sets of matrices W, those of rank at most k.

Source: Bai et al. 2024, Proposition 1. Omega_k means the closure.
"""

from __future__ import annotations

import numpy as np

import gflow
from gflow import manifolds
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.invariance import field_ratio, invariance_claim, random_span, widths
from gflow.statements.rounding import growth
from gflow.statements.saddles import singular_values
from gflow.statements.statement import Statement

N_PROBLEMS = 12
MOST_WIDTHS = 32
"""Above so many steps of the chain those looked at are spread evenly, the ends among them."""


def claims(given: Evidence) -> tuple[Claim, ...]:
    """Return the claims of the three parts."""
    return (_invariant(given), _intrinsic(given), _nested(given))


def _invariant(given: Evidence) -> Claim:
    rng, model = given.rng("prop1.1"), given.model
    spaces = [
        (
            manifolds.omega(model, random_span(rng, model.rank, k)),
            manifolds.omega(model, manifolds.omega_basis(model, given.start, k)),
        )
        for k in widths(model.rank)
    ]
    statement = "Omega_k is invariant under the gradient flow, for every k"
    return invariance_claim(given, "prop1.1", statement, spaces, "Omega_k")


def _intrinsic(given: Evidence) -> Claim:
    rng, model, worst = given.rng("prop1.2"), given.model, 0.0
    for _ in range(N_PROBLEMS):
        other = _random_problem(rng, model.shape)
        k = int(rng.choice(widths(model.rank)))
        manifold = manifolds.omega(model, random_span(rng, model.rank, k))
        worst = max(worst, field_ratio(manifold, given.make(other, model), other, rng))
    reason = f"largest normal velocity over {N_PROBLEMS} random data sets, values and masks, in units of rounding"
    return Claim.bounded(
        "prop1.2", "Omega_k is invariant for other values and other masks too", worst, 0.0, 1.0, reason=reason
    )


def _random_problem(rng: np.random.Generator, shape: tuple[int, int]) -> gflow.MatrixCompletion:
    values, mask = rng.standard_normal(shape), rng.random(shape) < rng.uniform(0.2, 1.0)
    mask[rng.integers(shape[0]), rng.integers(shape[1])] = True
    return gflow.MatrixCompletion(values, mask).normalized


def _nested(given: Evidence) -> Claim:
    """A witness W of k + 1 singular values 1 is at spectral distance 1 from every matrix of rank k (Eckart-Young)."""
    rng, model = given.rng("prop1.3"), given.model
    least, worst = min(*model.shape, model.rank), 1.0
    looked_at = np.unique(np.linspace(0, least - 1, min(least, MOST_WIDTHS)).astype(int)).tolist()
    for k in looked_at:
        Q = random_span(rng, model.rank, k + 1)
        inner, outer = manifolds.omega(model, Q[:, :k]), manifolds.omega(model, Q)
        theta = inner.project(rng.standard_normal(model.dim))
        size = max(float(np.linalg.norm(theta)), 1.0)
        outside = outer.distance(theta) / size
        excess_rank = float(singular_values(model, theta)[k]) / size**2
        witness = outer.embed(np.eye(model.shape[0], k + 1), np.eye(k + 1, model.shape[1]))
        distance = float(singular_values(model, witness)[k])
        worst = min(worst, min(distance, 1.0) - outside - excess_rank)
    which = "" if len(looked_at) == least else f"{len(looked_at)} of "
    reason = (
        f"least distance of an output of Omega_(k+1) from all outputs of Omega_k, {which}k < {least}, expected 1, less "
        "what sticks out of Omega_(k+1) and of rank k at random points of Omega_k"
    )
    statement = "Omega_k lies in Omega_(k+1), and its set of matrices W is strictly smaller"
    return Claim.bounded("prop1.3", statement, worst, 1.0 - 3.0 * growth(model), None, reason=reason)


TITLE = "Omega_k is invariant, intrinsic, and one in an increasing chain"
FORMULA = (
    r"\theta_0 \in \Omega_k \Rightarrow \theta_t \in \Omega_k \text{ for all data}, \Omega_k \subsetneq \Omega_{k+1}"
)
STATEMENT = Statement("prop1", TITLE, claims, "Bai et al. 2024, Proposition 1", "theorem", FORMULA)
