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
from gflow.statements.study import Study

Kind = critical.Kind
STATEMENT = "every critical point is a strict saddle or a global minimum"
STARTS = ((64, 40), (150, 12), (300, 4))
"""Largest dimension and number of starts of the survey; none above."""
CLEAR = 100.0
"""A residual counts when the curvature it could cause exceeds what passes for zero by this factor."""


def claims(study: Study) -> tuple[Claim, ...]:
    """Return the claim, measured by the number of critical points that are neither."""
    met = _met(study)
    neither = (Kind.SECOND_ORDER, Kind.DEGENERATE_SADDLE)
    open_points = [point for point in met if point.kind in (*neither, Kind.NOT_CRITICAL)]
    counter = [point for point in open_points if point.kind in neither and _clear(study, point)]
    reason = _summary(study, met)
    if study.model.rank < min(study.model.shape):
        least = min(study.model.shape)
        unmet = f"the width r = {study.model.rank} is below min(d1, d2) = {least}; of {reason}"
        return (Claim.unmet("thm1", STATEMENT, f"{unmet}; {len(counter)} are neither", len(counter)),)
    if not met:
        return (Claim.undecided("thm1", STATEMENT, reason),)
    if counter:
        losses = ", ".join(f"{point.value * study.unit * study.unit:.6g}" for point in counter[:5])
        reason += f"; no negative curvature at loss {losses}"
    elif open_points:
        reason += f"; {len(open_points)} cannot be told from a minimum at rounding level"
        return (Claim.undecided("thm1", STATEMENT, reason, 0.0),)
    return (Claim.bounded("thm1", STATEMENT, len(counter), 0.0, 0.0, reason=reason),)


def _met(study: Study) -> list[gflow.CriticalPoint]:
    found = [saddle.point for saddle in study.saddles]
    if study.end is not None:
        found.append(study.end)
    starts = next((starts for largest, starts in STARTS if study.model.dim <= largest), 0)
    if starts:
        orbits = gflow.critical_orbits(study.objective, study.model, study.rng("thm1"), n_starts=starts)
        found += [point for orbit in orbits for point in orbit.points]
    return found


def _clear(study: Study, point: gflow.CriticalPoint) -> bool:
    """Return whether the residual is so large that its negative curvature, 2 sigma_1(E) / n, could not be missed."""
    residual = study.normalized.residual(study.model.output(point.theta))
    rate = 2.0 * study.normalized.weight * float(np.linalg.norm(residual, 2))
    return rate > CLEAR * point.zero_cut


def _summary(study: Study, met: Iterable[gflow.CriticalPoint]) -> str:
    kinds = [str(point.kind) for point in met]
    if not kinds:
        return f"no critical point was met at dimension {study.model.dim}"
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    places = f"{len(study.saddles)} along the trajectory"
    return f"{len(kinds)} critical points met ({places}, the others by a survey): {counts}"
