"""Whether the flow keeps to a linear subspace: at random points of it, and along a trajectory that starts on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

import gflow
from gflow import manifolds
from gflow.policy import DENSE_LIMIT
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.rounding import excess, gradient_rounding

N_POINTS = 3
LARGEST_FOLLOWED = 300
"""Above this dimension a trajectory is integrated on one of the subspaces alone."""


@dataclass(frozen=True, slots=True, eq=False)
class KeptInside:
    """A trajectory on a subspace: distance in units of what rounding explains, where it ended, or why there is none."""

    ratio: float
    horizon: float
    ending: str


def random_span(rng: np.random.Generator, r: int, k: int) -> np.ndarray:
    """Return an orthonormal basis Q (r, k) of a random subspace."""
    return np.linalg.qr(rng.standard_normal((r, r)))[0][:, :k]


def widths(r: int) -> tuple[int, ...]:
    """Return the dimensions k < r at which Omega_k is tested: all of them up to r = 5, else the ends and the middle."""
    return tuple(range(r)) if r <= 5 else (0, 1, r // 2, r - 1)


def field_ratio(
    manifold: manifolds.Manifold, objective: gflow.Objective, problem: gflow.MatrixCompletion, rng: np.random.Generator
) -> float:
    """Return the largest normal part of the gradient at random points of the subspace, in units of its rounding."""
    worst = 0.0
    for _ in range(N_POINTS):
        theta = manifold.project(rng.standard_normal(objective.dim))
        normal = manifold.distance(objective.gradient(theta))
        worst = max(worst, excess(normal, gradient_rounding(problem, manifold.model, theta)))
    return worst


def followed(given: Evidence, manifold: manifolds.Manifold) -> KeptInside:
    """Return how the trajectory from the start, projected to the subspace, keeps to it."""
    trajectory = given.flow(manifold.project(given.start))
    kept = manifolds.confinement(given.objective, manifold, trajectory)
    return KeptInside(kept.worst_ratio, kept.horizon, str(trajectory.status))


def invariance_claim(
    given: Evidence, id: str, statement: str, spaces: Iterable[tuple[manifolds.Manifold, manifolds.Manifold]], name: str
) -> Claim:
    """Return the claim that subspaces are invariant.

    Parameters
    ----------
    spaces : pairs of Manifold
        One in general position, for random points, and the one nearest to the start, for a trajectory.
    """
    rng, chosen = given.rng(id), list(spaces)
    field = max(field_ratio(random, given.objective, given.normalized, rng) for random, _ in chosen)
    if given.model.dim > DENSE_LIMIT:
        reason = f"normal part of the velocity at random points of {len(chosen)} {name}, in units of rounding; "
        return Claim.bounded(id, statement, field, 0.0, 1.0, reason=reason + "no trajectory at this dimension")
    try:
        few = chosen if given.model.dim <= LARGEST_FOLLOWED else chosen[1:2] or chosen
        paths = [followed(given, nearest) for _, nearest in few]
    except gflow.IntegrationFailed as failure:
        return Claim.undecided(id, statement, str(failure), field)
    flow = max(path.ratio for path in paths)
    endings = ", ".join(path.ending for path in paths)
    horizons = ", ".join(f"{path.horizon / given.unit:.3g}" for path in paths)
    reason = (
        f"larger of two ratios to what rounding explains: normal velocity {field:.2g} at random points of "
        f"{len(chosen)} {name}, distance {flow:.2g} along {len(paths)} trajectories on them, which ended {endings}; "
        f"beyond times {horizons} the budget exceeds 1e-3 |theta|"
    )
    return Claim.bounded(id, statement, max(field, flow), 0.0, 1.0, reason=reason)
