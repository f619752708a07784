"""Proposition 2 (hierarchical intrinsic sub-invariant manifolds).

If the observation graph is disconnected, every component has its sub-Omega_k: Omega_k with a_i = 0 and b_j = 0 for
all rows i and columns j outside the component. It is (1) invariant under the gradient flow, (2) for all values on the
same mask, but not on a mask that joins the components, and (3) has a strictly smaller set of matrices W than Omega_k.

Source: Bai et al. 2024, Proposition 2. The zero pattern of the observed entries counts as part of the mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import gflow
from gflow import manifolds
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.invariance import field_ratio, invariance_claim, random_span
from gflow.statements.rounding import excess, gradient_rounding, growth
from gflow.statements.statement import Answer, Hypothesis, Statement

N_PROBLEMS = 8
LARGEST_NUMBER = 4
"""At most this many components are tested, the largest first."""

PARTS = {
    "prop2.1": "sub-Omega_k of every component is invariant under the gradient flow, for every k",
    "prop2.2": "sub-Omega_k is invariant for other values on the same mask, and not on a mask that joins components",
    "prop2.3": "the set of matrices W of sub-Omega_k is strictly smaller than that of Omega_k",
}


def claims(given: Evidence) -> tuple[Claim, ...]:
    """Return the claims of the three parts; their hypothesis is that the observation graph is disconnected."""
    apart = DISCONNECTED.of(given)
    if not apart.met:
        return tuple(Claim.unmet(id, statement, apart.found) for id, statement in PARTS.items())
    components = sorted(given.connectivity.components, key=lambda c: -len(c.rows) - len(c.columns))[:LARGEST_NUMBER]
    return (_invariant(given, components), _dependent(given, components), _smaller(given, components))


def _disconnected(given: Evidence) -> Answer:
    count = given.connectivity.n_components
    found = "disconnected" if count > 1 else "connected" if count else "empty: every observed entry is zero"
    return count > 1, f"the observation graph is {found}"


def _invariant(given: Evidence, components: list[Any]) -> Claim:
    rng, model, r = given.rng("prop2.1"), given.model, given.model.rank
    spaces = [
        (
            manifolds.sub_omega(model, random_span(rng, r, k), component.rows, component.columns),
            manifolds.sub_omega(model, manifolds.omega_basis(model, given.start, k), component.rows, component.columns),
        )
        for component in components
        for k in sorted({1, r})
    ]
    return invariance_claim(given, "prop2.1", PARTS["prop2.1"], spaces, "sub-Omega_k")


def _dependent(given: Evidence, components: list[Any]) -> Claim:
    rng, model, worst = given.rng("prop2.2"), given.model, 0.0
    for trial in range(N_PROBLEMS):
        component = components[trial % len(components)]
        k = int(rng.integers(1, model.rank + 1))
        manifold = manifolds.sub_omega(model, random_span(rng, model.rank, k), component.rows, component.columns)
        drawn = rng.standard_normal(model.shape) * (given.normalized.values != 0)
        other = gflow.MatrixCompletion(drawn, given.normalized.observed).normalized
        worst = max(worst, field_ratio(manifold, given.make(other, model), other, rng))
        worst = max(worst, _predicted_escape(given, manifold, component, rng))
    reason = (
        f"larger of two ratios to rounding over {N_PROBLEMS} data sets: normal velocity for other values on the mask, "
        "and difference of the normal velocity from (2/n) |M_ij| |a_i| for an entry (i, j) that joins two components"
    )
    return Claim.bounded("prop2.2", PARTS["prop2.2"], worst, 0.0, 1.0, reason=reason)


def _predicted_escape(given: Evidence, manifold: manifolds.Manifold, component: Any, rng: np.random.Generator) -> float:
    """Return how the normal velocity on a joined mask misses its closed form, which is not zero, in units of rounding.

    At (i, j) with i inside and j outside, b_j = 0 and E_ij = -M_ij: the velocity of b_j is (2/n) M_ij a_i.
    """
    i = int(rng.choice(component.rows))
    j = int(rng.choice([j for other in given.connectivity.components if other is not component for j in other.columns]))
    values, observed = given.normalized.values.copy(), given.normalized.observed.copy()
    values[i, j], observed[i, j] = 1.0, True
    joined = gflow.MatrixCompletion(values, observed)
    theta = manifold.project(rng.standard_normal(given.model.dim))
    a = given.model.factors(theta)[0][i]
    predicted = 2.0 * joined.weight * float(np.linalg.norm(a))
    found = manifold.distance(given.make(joined, given.model).gradient(theta))
    return excess(abs(found - predicted), gradient_rounding(joined, given.model, theta))


def _smaller(given: Evidence, components: list[Any]) -> Claim:
    """A witness W with a single entry 1 outside the component is at distance 1 from every output of sub-Omega_k."""
    rng, model, worst = given.rng("prop2.3"), given.model, 1.0
    (d1, d2), r = model.shape, model.rank
    for component in components:
        Q = random_span(rng, r, 1 + int(rng.integers(r)))
        part, whole = manifolds.sub_omega(model, Q, component.rows, component.columns), manifolds.omega(model, Q)
        theta = part.project(rng.standard_normal(model.dim))
        size = max(float(np.linalg.norm(theta)), 1.0)
        block = np.zeros((d1, d2), dtype=bool)
        block[np.ix_(component.rows, component.columns)] = True
        stray = float(np.linalg.norm(model.output(theta)[~block])) / size**2
        i, j = (int(index) for index in rng.permutation(np.argwhere(~block))[0])
        a, b = np.zeros((d1, Q.shape[1])), np.zeros((Q.shape[1], d2))
        a[i, 0] = b[0, j] = 1.0
        witness = model.output(whole.embed(a, b))
        distance = float(np.linalg.norm(witness[~block]))
        worst = min(worst, min(distance, 1.0) - stray - whole.distance(theta) / size)
    reason = (
        f"least distance of an output of Omega_k from all outputs of sub-Omega_k over {len(components)} components, "
        "expected 1, less what sticks out of Omega_k and of the component at random points of sub-Omega_k"
    )
    return Claim.bounded("prop2.3", PARTS["prop2.3"], worst, 1.0 - 3.0 * growth(model), None, reason=reason)


DISCONNECTED = Hypothesis("disconnected", "the observation graph has several components", _disconnected)
TITLE = "disconnected data: the sub-Omega_k are invariant, and strictly smaller"
FORMULA = r"\theta_0 \in \omega_k \Rightarrow \theta_t \in \omega_k, \quad W(\omega_k) \subsetneq W(\Omega_k)"
STATEMENT = Statement("prop2", TITLE, claims, "Bai et al. 2024, Proposition 2", "theorem", FORMULA, (DISCONNECTED,))
