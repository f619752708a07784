"""Whether the flow keeps to the sub-Omega_1 of two components, and no longer does once an entry joins them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow_studies.figures.plane_runs import PlanePart

TANGENT = 1e-12
"""The normal part of the gradient, relative to the gradient, may be this large."""


def invariance(
    problem: gflow.MatrixCompletion, parts: Sequence[PlanePart], rng: np.random.Generator, points: int = 20
) -> dict[str, float]:
    """Return how far the flow leads out of the sub-manifolds, by three measures, and out of them once they are joined.

    ``defect``: the normal part of the gradient at random points, relative; ``other values``: the same with other data
    on the mask; ``ratio``: the distance of a flow that starts on one, in units of what rounding explains; ``joined``:
    the least defect once an entry between the components is observed.
    """
    model = gflow.Factorization(problem.shape)
    joined = problem.with_gaps()
    joined[parts[0].rows[0], parts[1].columns[0]] = problem.size
    other = gflow.MatrixCompletion(rng.standard_normal(problem.shape) * problem.size, problem.observed)
    cases = {"defect": problem, "other values": other, "joined": gflow.MatrixCompletion(joined)}
    losses = {name: gflow.Objective.of(case, model) for name, case in cases.items()}
    defects: dict[str, list[float]] = {name: [] for name in cases}
    ratios = []
    for part in parts:
        for number in range(points):
            Q = np.linalg.qr(rng.standard_normal((model.rank, 1)))[0]
            home = gflow.sub_omega(model, Q, part.rows, part.columns)
            theta = home.project(model.random(rng, 0.1 * float(np.sqrt(problem.size))))
            for name, loss in losses.items():
                defects[name].append(home.defect(loss, theta))
            if number == 0:
                path = gflow.gradient_flow(losses["defect"], theta, t_end=10.0 / part.rate)
                ratios.append(gflow.confinement(losses["defect"], home, path).worst_ratio)
    largest = {name: max(defects[name]) for name in ("defect", "other values")}
    return largest | {"ratio": max(ratios), "joined": min(defects["joined"])}


def invariance_claims(found: Mapping[str, float]) -> list[Claim]:
    """Return what is expected of these measures."""
    return [
        Claim.bounded(
            "invariant", "the flow at random points of each sub-Omega_1 is tangent to it", found["defect"], 0, TANGENT
        ),
        Claim.bounded("any-values", "so it is with other values on the same mask", found["other values"], 0, TANGENT),
        Claim.bounded(
            "confined", "a flow that starts on a sub-Omega_1 stays on it up to rounding", found["ratio"], 0, 1
        ),
        Claim.bounded(
            "joined", "with one entry observed between the components neither is invariant", found["joined"], 1e-4
        ),
    ]
