"""The expectations that the studies of Figures 3 and 4 share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow_studies.figures.passages import RANK_TOL, Journey
from gflow_studies.figures.variances import Learned
from gflow_studies.powers import exponent

LOSS_TOL = 1e-3
"""Largest relative difference between the loss of the flow at rest and that of the saddle."""
NEAR = 1e-2
"""Largest distance of the flow at rest to its saddle and to Omega_k, relative to the data."""
SLACK = 1e2
"""A run may end so many times the predicted accuracy from its limit."""


def all_converged(name: str, unfinished: int, total: int, what: str) -> Claim:
    """Return that no flow ended before it converged."""
    return Claim.bounded(name, f"every flow {what} converges", unfinished, 0, 0, reason=f"{unfinished} of {total} not")


def passage_claims(journey: Journey) -> list[Claim]:
    """Return that the flow rests near every saddle of the limit, where the four ranks agree and Omega_k is near."""
    statements = {
        "saddle-losses": "the flow rests at the losses of the saddles of the limit (relative difference)",
        "saddle-distances": "where it rests, W is that of the saddle within the components (relative to max|M|)",
        "ranks": f"where it rests, W, A, B and [A; B^T] have numerical rank k (threshold {RANK_TOL:g} sqrt(max|M|))",
        "idle": "where it rests, rows and columns of components still at rank 0 vanish (relative to sqrt(max|M|))",
        "omega": "where it rests, it is near some Omega_k (distance relative to sqrt(max|M|))",
    }
    doubt, near = _doubt(journey), max((each.predicted for each in journey.passages), default=1.0)
    if doubt:
        return [Claim.undecided(name, statement, doubt) for name, statement in statements.items()]
    if near > NEAR:
        reason = f"from this scale the flow is predicted to come within {near:.2g} of a saddle: too far to be told"
        return [Claim.unmet(name, statement, reason, near) for name, statement in statements.items()]
    rests = journey.passages[:-1]
    gaps = [abs(passage.loss / passage.visit.loss - 1) for passage in rests if passage.visit.loss > 0]
    ranks = ", ".join(f"{list(passage.ranks)}" for passage in journey.passages)
    disagreeing = sum(passage.disagreeing for passage in journey.passages)
    return [
        Claim.bounded("saddle-losses", statements["saddle-losses"], max(gaps, default=0.0), 0, LOSS_TOL),
        Claim.bounded(
            "saddle-distances", statements["saddle-distances"], max(each.distance for each in journey.passages), 0, NEAR
        ),
        Claim.bounded("ranks", statements["ranks"], disagreeing, 0, 0, reason=f"ranks {ranks}"),
        Claim.bounded("idle", statements["idle"], max(each.idle for each in journey.passages), 0, NEAR),
        Claim.bounded("omega", statements["omega"], max(each.outside for each in journey.passages), 0, NEAR),
    ]


def _doubt(journey: Journey) -> str:
    """Return why the saddles that the flow passes cannot be compared with those of the limit; empty if they can."""
    if journey.limit.status is not gflow.TraversalStatus.CONVERGED:
        return f"there is no limit: {journey.limit.reason}"
    if journey.status != gflow.Status.CONVERGED:
        return f"the flow ended with status {journey.status}: {journey.message}"
    if journey.missing:
        return f"at {journey.missing} saddles of the limit the stay is too short to be seen"
    return ""


def published_losses(journey: Journey, published: Sequence[tuple[float, float]]) -> list[Claim]:
    """Return that the saddles of the limit have the published losses, given with the unit of their last digit."""
    found = [passage.visit.loss for passage in journey.passages]
    claims = []
    for k, (loss, digit) in enumerate(published):
        statement, measured = f"the saddle of rank {k} has loss {loss}", found[k] if k < len(found) else None
        claims.append(Claim.bounded(f"loss-{k}", statement, measured, loss - digit, loss + digit))
    return claims


def limit_claim(limits: Sequence[np.ndarray | None], learned: Learned, traversal: gflow.Traversal) -> Claim:
    """Return that the runs from the smallest variance end at the limits of their starts: one for all, or one each."""
    statement = "from the smallest variance every run ends at the limit of its own start (relative to max|M|)"
    known = [limit for limit in limits if limit is not None]
    if len(known) < len(limits):
        return Claim.undecided("limits", statement, f"there is no limit: {traversal.reason}")
    smallest, size = int(np.argmin(learned.variances)), learned.problem.size or 1.0
    apart = float(np.abs(learned.matrices[smallest] - np.array(known)).max()) / size
    promised = accuracy(traversal, float(learned.scales[smallest]))
    if promised > NEAR:
        reason = (
            f"from alpha = {learned.scales[smallest]:.3g} the limit is predicted to be seen with {promised:.2g} only"
        )
        return Claim.unmet("limits", statement, reason, apart)
    reason = f"allowed is {SLACK:g} times the predicted accuracy"
    return Claim.bounded("limits", statement, apart, 0, SLACK * promised, reason=reason)


def accuracy(traversal: gflow.Traversal, scale: float) -> float:
    """Return the least accuracy for which ``Traversal.log10_alpha`` asks for no smaller scale; 1 if there is none."""
    wanted = float(np.log10(scale))
    if traversal.log10_alpha(0.5) is None:
        return 1.0
    low, high = -15.0, -1e-9
    for _ in range(60):
        middle = (low + high) / 2
        enough = (traversal.log10_alpha(10.0**middle) or 0.0) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return 10.0**high


def fitted_order(scales: np.ndarray, sizes: np.ndarray) -> float | None:
    """Return the slope of log(sizes) against log(scales); None with fewer than two scales or a size that is 0."""
    if len(scales) < 2 or not (sizes > 0).all():
        return None
    return exponent(scales, sizes)


def learned_rank(learned: Learned, rank_tol: float) -> np.ndarray:
    """Return the numerical ranks of all runs, shape (v, m)."""
    return gflow.numerical_rank(learned.matrices, rank_tol)
