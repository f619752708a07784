"""Theorem 1 (landscape): every critical point is a strict saddle or a global minimum.

It needs full width, r >= min(d1, d2). Tested at every critical point met: the saddles of the trajectory, its end, and
a multistart survey that also leaves the Omega_k along GL(r) orbits. A survey proves nothing about points not met.

Source: Bai et al. 2024, Theorem 1.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

import gflow
from gflow import critical
from gflow.statements.claims import Claim
from gflow.statements.evidence import Evidence
from gflow.statements.statement import Answer, Hypothesis, Statement

TITLE = "every critical point is a strict saddle or a global minimum"
STARTS = ((64, 40), (150, 12), (300, 4))
"""Largest dimension and number of starts of the survey; none above."""
CLEAR_RESIDUAL = 100.0
"""A residual counts when the curvature it could cause exceeds what passes for zero by this factor."""


def claim(given: Evidence) -> Claim:
    """Return the claim, measured by the number of critical points that are neither."""
    met = _met(given)
    neither = (critical.PointKind.SECOND_ORDER, critical.PointKind.DEGENERATE_SADDLE)
    open_points = [point for point in met if point.kind in (*neither, critical.PointKind.NOT_CRITICAL)]
    counter = [point for point in open_points if point.kind in neither and _clear(given, point)]
    reason = _summary(given, met)
    width = FULL_WIDTH.of(given)
    if not width.met:
        return Claim.unmet("thm1", TITLE, f"{width.found}; of {reason}; {len(counter)} are neither", len(counter))
    if not met:
        return Claim.undecided("thm1", TITLE, reason)
    if counter:
        losses = ", ".join(f"{point.value * given.unit * given.unit:.6g}" for point in counter[:5])
        reason += f"; no negative curvature at loss {losses}"
    elif open_points:
        reason += f"; {len(open_points)} cannot be told from a minimum at rounding level"
        return Claim.undecided("thm1", TITLE, reason, 0.0)
    return Claim.bounded("thm1", TITLE, len(counter), 0.0, 0.0, reason=reason)


def _full_width(given: Evidence) -> Answer:
    r, least = given.model.rank, min(given.model.shape)
    return r >= least, f"the width r = {r} is {'below' if r < least else 'at least'} min(d1, d2) = {least}"


def _met(given: Evidence) -> list[gflow.CriticalPoint]:
    found = [saddle.point for saddle in given.saddles]
    if given.end is not None:
        found.append(given.end)
    starts = next((starts for largest, starts in STARTS if given.model.dim <= largest), 0)
    if starts:
        orbits = gflow.critical_orbits(given.objective, given.model, given.rng("thm1"), n_starts=starts)
        found += [point for orbit in orbits for point in orbit.points]
    return found


def _clear(given: Evidence, point: gflow.CriticalPoint) -> bool:
    """Return whether the residual is so large that its negative curvature, 2 sigma_1(E) / n, could not be missed."""
    residual = given.normalized.residual(given.model.output(point.theta))
    rate = 2.0 * given.normalized.weight * float(np.linalg.norm(residual, 2))
    return rate > CLEAR_RESIDUAL * point.zero_cut


def _summary(given: Evidence, met: Iterable[gflow.CriticalPoint]) -> str:
    kinds = [str(point.kind) for point in met]
    if not kinds:
        return f"no critical point was met at dimension {given.model.dim}"
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    places = f"{len(given.saddles)} along the trajectory"
    return f"{len(kinds)} critical points met ({places}, the others by a survey): {counts}"


FULL_WIDTH = Hypothesis("full width", "the width r is at least min(d1, d2)", _full_width)
FORMULA = r"\nabla R(\theta) = 0 \Rightarrow R(\theta) = \min R \text{ or } \lambda_{\min}(\nabla^2 R(\theta)) < 0"
STATEMENT = Statement("thm1", TITLE, claim, "Bai et al. 2024, Theorem 1", "theorem", FORMULA, (FULL_WIDTH,))
