"""Model ranks: closed forms against proven bounds, and numerical ranks that scales of parameters do not touch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.networks import OURS, applies as is_network
from gflow.statements.statement import Answer, Hypothesis, Statement

LARGEST_DIM_RANKED = 40
"""Largest dimension at which ranks are proven for a statement."""
SHRUNK = 2.0**-60
"""Outer weights as small as this change no function space, but the sizes of its columns."""


def applies(problem: Any, model: Any) -> bool:
    """Return whether this is regression by a small model with a closed form of its rank."""
    return (
        isinstance(problem, gflow.Regression) and hasattr(model, "structural_rank") and model.dim <= LARGEST_DIM_RANKED
    )


def _proofs(given: Evidence) -> Answer:
    if not gflow.model_rank(gflow.AffineModel([0.0]), np.zeros(2)).certified:
        return None, "python-flint, the extra 'certify', is missing"
    theta = np.zeros(given.model.dim)
    return given.model.structural_rank(theta) is not None, str(given.model)


PROOFS = Hypothesis("proofs", "a closed form is known, and ball arithmetic is at hand", _proofs)


def formula(given: Evidence) -> Claim:
    """Return the claim, measured by the number of points at which the closed form is not the proven rank."""
    rng, model = given.rng(FORMULA.id), given.model
    generic = rng.standard_normal(model.dim)
    points = [generic, np.zeros(model.dim), np.where(rng.random(model.dim) < 0.5, generic, 0.0)]
    if is_network(given.problem, model):
        network: Any = model
        points.append(gflow.condensed(network, 1).nearest(generic).project(generic) if network.width < 6 else generic)
    found = [gflow.model_rank(model, theta, rng=given.seed) for theta in points]
    ranks = ", ".join(f"{each.upper} ({each.lower})" for each in found)
    wrong = sum(not each.certified for each in found)
    reason = f"points where they differ; closed form (proven) {ranks}"
    return Claim.bounded(FORMULA.id, FORMULA.title, wrong, 0, 0, reason=reason)


def scale(given: Evidence) -> Iterator[Claim]:
    """Yield the claim, measured by how many singular values count less after outer weights have shrunk."""
    model: Any = given.model
    theta = given.rng(SCALE.id).standard_normal(model.dim)
    small = theta.copy()
    small[0] *= SHRUNK
    ranks = [gflow.model_rank(model, each, rng=given.seed).numerical for each in (theta, small)]
    reason = f"numerical rank {ranks[0]}, and {ranks[1]} with an outer weight of 2^-60"
    yield Claim.bounded(SCALE.id, SCALE.title, ranks[0] - ranks[1], 0, 0, reason=reason)


FORMULA = Statement(
    "rank_formula",
    "the model rank is that of its closed form",
    formula,
    f"Zhang et al. 2022, arXiv 2211.11623, Proposition 1, Corollary 2; {OURS} (bias, attention)",
    "check",
    r"\operatorname{rank}_f(\theta) = \dim \operatorname{span} \{\partial_i f(\cdot; \theta)\}",
    (PROOFS,),
    applies,
)
SCALE = Statement(
    "rank_scale",
    "the numerical model rank does not depend on the sizes of outer weights",
    scale,
    OURS,
    "check",
    "",
    (),
    lambda problem, model: is_network(problem, model) and model.dim <= LARGEST_DIM_RANKED,
)
STATEMENTS: tuple[Statement, ...] = (FORMULA, SCALE)
