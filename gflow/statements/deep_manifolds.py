"""Manifolds of three and more factors: what stays invariant, what is conserved per component, and what is coupled.

The gradient of layer j is (W1 ... W(j-1))^T G (W(j+1) ... WL)^T, so Omega_k, one span of dimension k for every inner
space, is invariant, and so is its part on one component. But the hidden layers are shared: components do not evolve
independently of one another, as they do with two factors (``decoupling``).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

import gflow
from gflow import manifolds, symbolic
from gflow.statements.claims import Claim
from gflow.statements.conservation import step_error
from gflow.statements.deep import OURS, applies
from gflow.statements.evidence import Evidence
from gflow.statements.invariance import field_ratio, random_span
from gflow.statements.rounding import excess, gradient_rounding, growth
from gflow.statements.statement import Answer, Hypothesis, Page, Statement

N_POINTS = 4
LARGEST_NUMBER = 4
"""At most this many components are tested, the largest first."""
COUPLED = 1e-6
"""Components are coupled where others cause more than this share of the velocity of one."""


def parts_of(given: Evidence) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return rows and columns of the coupling components, the largest first."""
    found = [(part.rows, part.columns) for part in gflow.connectivity(given.problem).coupling_components]
    return sorted(found, key=lambda part: -len(part[0]) - len(part[1]))[:LARGEST_NUMBER]


def _several(given: Evidence) -> Answer:
    count = len(gflow.connectivity(given.problem).coupling_components)
    return count > 1, f"the data have {count} coupling components"


SEVERAL = Hypothesis("several components", "the observed entries have several coupling components", _several)


def spans(given: Evidence, rng: np.random.Generator, k: int) -> np.ndarray:
    """Return a random span of dimension k for every inner space, shape (L - 1, r, k)."""
    return np.array([random_span(rng, given.model.rank, k) for _ in range(given.model.depth - 1)])


def invariant(given: Evidence) -> Claim:
    """Return the claim on Omega_k, measured by the velocity normal to it in units of rounding."""
    rng, worst = given.rng(OMEGA.id), 0.0
    widths = sorted({1, given.model.rank - 1} - {0})
    for k in widths:
        manifold = manifolds.omega(given.model, spans(given, rng, k))
        worst = max(worst, field_ratio(manifold, given.objective, given.normalized, rng))
    reason = f"normal velocity at random points of Omega_k, k = {', '.join(map(str, widths))}, in units of rounding"
    return Claim.bounded(OMEGA.id, OMEGA.title, worst, 0.0, given.model.depth - 1.0, reason=reason)


def part_invariant(given: Evidence) -> Claim:
    """Return the claim on sub-Omega_k, measured likewise."""
    rng, worst, parts = given.rng(PART.id), 0.0, parts_of(given)
    for rows, columns in parts if len(parts) > 1 else ():
        manifold = manifolds.sub_omega(given.model, spans(given, rng, given.model.rank), rows, columns)
        worst = max(worst, field_ratio(manifold, given.objective, given.normalized, rng))
    reason = f"normal velocity at random points of sub-Omega of {len(parts)} components, in units of rounding"
    return PART.judged(
        given,
        (worst, reason),
        lambda text: Claim.bounded(PART.id, PART.title, worst, 0.0, given.model.depth - 1.0, reason=reason),
    )


def gaps(given: Evidence) -> Iterator[Claim]:
    """Yield the claims that |W1[I]|^2 - |WL[:, J]|^2 has no rate at any theta, and no drift along the trajectory."""
    model, parts, rng, worst = given.model, parts_of(given), given.rng(GAPS.id), 0.0
    for _ in range(N_POINTS):
        theta = rng.standard_normal(model.dim)
        down = given.objective.gradient(theta)
        rate = (model.outer_gaps(theta + down, parts) - model.outer_gaps(theta - down, parts)) / 2.0
        allowed = 2.0 * gradient_rounding(given.normalized, model, theta) * float(np.linalg.norm(theta))
        worst = max(worst, excess(float(np.abs(rate).max()), (model.depth - 1) * allowed))
    reason = f"largest rate of {len(parts)} components at {N_POINTS} random points, in units of the running error bound"
    yield Claim.bounded(f"{GAPS.id}.rate", GAPS.title, worst, 0.0, 1.0, reason=reason)
    path = given.trajectory
    found = model.outer_gaps(path.states, parts)
    drift = float(np.abs(found - found[0]).max() / np.max(np.sum(path.states**2, axis=1)))
    allowed = 2.0 * path.n_steps * step_error(given) + growth(model)
    reason = f"drift relative to max |theta|^2; allowed: what the solver may miss in {path.n_steps} steps"
    yield Claim.bounded(f"{GAPS.id}.drift", GAPS.title, drift, 0.0, allowed, reason=reason)


def coupling(given: Evidence) -> Claim:
    """Return the claim, measured by the share of the velocity of a component's block of W that others cause."""
    parts = parts_of(given)
    if len(parts) < 2:
        return COUPLING.judged(given, (None, "nothing to couple"))
    rng, model, least = given.rng(COUPLING.id), given.model, np.inf
    for _ in range(N_POINTS):
        theta = rng.standard_normal(model.dim)
        G, (rows, columns) = given.normalized.gradient(model.output(theta)), parts[0]
        block = np.ix_(rows, columns)
        moved = model.tangent(theta, model.pullback(theta, G))[block]
        G[block] = 0.0
        hidden = model.pullback(theta, G)
        first, *_, last = model.factors(hidden)
        first[list(rows)], last[:, list(columns)] = 0.0, 0.0  # what is its own has no part of others
        caused = model.tangent(theta, hidden)[block]
        least = min(least, float(np.linalg.norm(caused)) / (float(np.linalg.norm(moved)) or 1.0))
    reason = f"share of the velocity of one block of W that other components cause, least of {N_POINTS} random points"
    return COUPLING.judged(
        given,
        (least, reason),
        lambda text: Claim.bounded(COUPLING.id, COUPLING.title, least, COUPLED, None, reason=reason),
    )


def exact(given: Evidence) -> Iterator[Claim]:
    """Yield one claim for each identity, measured by the number of matrices that are not identically zero."""
    for identity in symbolic.deep_identities(given.model.depth):
        id, reason = f"{IDENTITIES.id}.{identity.name}", "for all sizes, all masks and all values, with sympy"
        yield Claim.bounded(id, identity.statement, len(identity.violations), 0.0, 0.0, reason=reason)


_check = partial(Statement, source=OURS, kind="check", applies=applies)
OMEGA = _check(
    "deep_omega",
    "at any depth Omega_k, a span of dimension k for every inner space, is invariant under the gradient flow",
    invariant,
    formula=r"\operatorname{row} W_j, \operatorname{col} W_{j+1} \subseteq S_j, \; \dim S_j = k",
)
PART = _check(
    "deep_sub_omega",
    "at any depth the part of Omega_k on one component is invariant under the gradient flow",
    part_invariant,
    formula=r"W_1[I^c] = 0, \; W_L[:, J^c] = 0",
    hypotheses=(SEVERAL,),
)
GAPS = _check(
    "deep_gaps",
    "of every component (I, J) |W1[I]|^2 - |WL[:, J]|^2 is constant along the flow",
    gaps,
    formula=r"\tfrac{d}{dt} \bigl(\|W_1[I]\|_F^2 - \|W_L[:, J]\|_F^2\bigr) = 0",
)
COUPLING = _check(
    "deep_coupling",
    "from three factors on components do not evolve independently: the hidden layers are shared",
    coupling,
    formula=r"\dot W_{IJ} \ni W_1[I] \cdots \dot W_j \cdots W_L[:, J], \; \dot W_j = -\sum_c (\ldots)_c, \; L \ge 3",
    hypotheses=(SEVERAL,),
)
IDENTITIES = _check(
    "deep_identities",
    "conservation and invariance hold exactly, as identities of matrices of any size",
    exact,
    pages=[Page.REPORT],
)
STATEMENTS: tuple[Statement, ...] = (OMEGA, PART, GAPS, COUPLING, IDENTITIES)
