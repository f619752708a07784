"""The plateaus of a deep flow end when its start says: predicted blow-up times beside the trajectory.

A trajectory may pass the right saddles at wrong times: what is outside the channels moves by alpha^(L-1), and the
tolerances of the steps may be larger. The conserved quantity tells: it is of the order of alpha^2, and a drift of that
size or more says that the clock is not resolved. Then a difference decides nothing.
"""

from __future__ import annotations

import numpy as np

import gflow
from gflow.statements.claims import Claim
from gflow.statements.deep import OURS, SMALL_START, applies
from gflow.statements.evidence import Evidence
from gflow.statements.statement import Statement

CLOCK_TOL = 2e-2
"""Predicted and seen times agree within this fraction: the start is not infinitely small."""
RESOLVED_SHARE = 0.1
"""The clock is resolved where the conserved quantity has drifted by no more than this fraction of |start|^2."""
SHARP = 1e-3
"""Predictions that may be off by more than this fraction are not compared."""


def predicted(given: Evidence) -> gflow.DeepTraversal:
    """Return the limit with the plateau times of the start itself, in the problem's own unit."""
    found = gflow.saddle_to_saddle(given.normalized, given.start, rank=given.model.rank, depth=given.model.depth)
    assert isinstance(found, gflow.DeepTraversal)
    return found


def gauge(path: gflow.Trajectory) -> float:
    """Return the drift of the conserved quantity relative to |start|^2."""
    largest = float(np.max(np.sum(path.states**2, axis=1)))
    return (path.conservation_drift or 0.0) * largest / float(np.sum(path.states[0] ** 2))


def clock(given: Evidence) -> Claim:
    """Return the claim, measured by the largest relative difference of the times of the plateaus."""
    if not SMALL_START.of(given).met:
        return CLOCK.judged(given, (None, "not compared"))
    found, path = given.once(predicted), given.trajectory
    seen = []
    for saddle, after, time, error in zip(
        found.saddles, found.saddles[1:], found.plateau_times, found.plateau_errors, strict=False
    ):
        below = np.flatnonzero(path.losses <= (saddle.loss + after.loss) / 2)
        if error <= SHARP * time and below.size:
            seen.append(float(path.times[below[0]]) / time - 1.0)
    if not seen:
        return Claim.undecided(CLOCK.id, CLOCK.title, f"no plateau to compare: {found.status}, {path.status}")
    worst, drift = float(np.max(np.abs(seen))), gauge(path)
    reason = (
        f"largest relative difference of {len(seen)} plateaus; the conserved quantity drifted by {drift:.2g} |start|^2"
    )
    if drift > RESOLVED_SHARE:
        reason += ": the clock of this trajectory is not resolved, that of deep_flow is"
        if worst > CLOCK_TOL:
            return Claim.undecided(CLOCK.id, CLOCK.title, reason, worst)
    return Claim.bounded(CLOCK.id, CLOCK.title, worst, 0.0, CLOCK_TOL, reason=reason)


CLOCK = Statement(
    "deep_clock",
    "the plateaus of the flow end at the blow-up times that its start predicts",
    clock,
    OURS,
    "conjecture",
    r"t_k = (s_0 + \dots + s_k) \alpha^{-(L-2)} (1 + O(\alpha))",
    (SMALL_START,),
    applies,
)
STATEMENTS: tuple[Statement, ...] = (CLOCK,)
