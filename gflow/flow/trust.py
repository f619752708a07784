"""Whether the end of an integration can be trusted: gauges, estimates of errors, and integrations done again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from gflow.flow.outcome import Doubts
from gflow.flow.trajectory import Status, Trajectory

FINEST = 1e-13
"""Least ``rtol``."""
TIGHTER = 10.0
"""Factor by which ``rtol`` falls from one integration to the next."""
DECIDES = 1.0
"""Rounding errors of this size, relative to the column that escaped, may have decided the escape."""
UNTIMED = 1e-4
"""A flow of many factors whose conserved quantity drifts outside its channels by more errs in its times by 1e-3."""
SHARED = 0.1
"""Two integrations may share this part of what rounding errors are estimated to be."""
SAME_LOSS, LITTLE_LOSS = 0.05, 1e-4
"""Plateaus of two integrations are the same if their losses agree within the first fraction, or within the second of
what the loss falls by altogether: by about as much the states of least slope near one saddle differ."""
ENDED = (Status.CONVERGED, Status.HORIZON)


@dataclass(frozen=True)
class Integrated:
    """An integration: what it returned, and what it knows of its errors."""

    path: Trajectory
    doubts: Doubts

    @property
    def rounding(self) -> float:
        """Return by how much rounding has changed what escaped, 0 where nothing is known of it."""
        return self.doubts.rounding or 0.0

    @property
    def shared(self) -> float:
        """Return the error that two integrations may have in common: by rounding none where the end forgets its way."""
        output, steps = self.doubts.output, self.doubts.missed
        size = output.size(self.path.final)
        if not self.rounding or output.is_settled(self.path.final):
            return steps * size
        return (SHARED * self.rounding + steps) * size

    def apart(self, finer: Integrated) -> float:
        """Return the difference of two ends, infinite where they ended in other ways or by way of other saddles."""
        if self.path.status != finer.path.status or not same_plateaus(self.path, finer.path):
            return np.inf
        output = self.doubts.output
        return float(np.abs(output.at(self.path.final) - output.at(finer.path.final)).max())

    def allowed(self, error_tol: float) -> float:
        """Return the error that the end may have."""
        return error_tol * self.doubts.output.size(self.path.final)


def trusted(
    follow: Callable[[float], Integrated], rtol: float, drift_tol: float | None, error_tol: float | None
) -> Trajectory:
    """Return a trajectory whose drift and error are as small as asked, or whose status and message say that not.

    Parameters
    ----------
    follow : rtol -> Integrated
        Integrates with that tolerance.
    rtol : float
        Of the first integration.
    drift_tol, error_tol : float, optional
        As for ``gradient_flow``.
    """
    found, finer = follow(rtol), rtol
    path = found.path
    while _drifts(path, drift_tol) and finer / TIGHTER >= FINEST:
        finer /= TIGHTER
        found = follow(finer)
        path = continued(path, found.path, finer)
    if error_tol is None or found.doubts.stopped:
        return path
    while found.doubts.hidden > UNTIMED and finer / TIGHTER >= FINEST and path.status != Status.BUDGET:
        finer /= TIGHTER
        found = follow(finer)
        path = continued(path, found.path, finer)
    if found.doubts.hidden > UNTIMED and path.status != Status.BUDGET:
        return _untimed(path, found.doubts.hidden)
    if found.rounding >= DECIDES and path.status != Status.BUDGET:
        return _by_rounding(path, found.rounding)
    if path.status not in ENDED or (path.error is None and not found.doubts.blind):
        return path
    while path.error is None or path.error > found.allowed(error_tol):
        if finer / TIGHTER < FINEST:
            return _undecided(path, found)
        finer /= TIGHTER
        again = follow(finer)
        apart = max(found.apart(again), again.shared)
        path = replace(continued(path, again.path, finer), error=apart)
        if again.path.status not in ENDED:
            return path
        if again.rounding >= DECIDES or (found.rounding > error_tol and apart > found.allowed(error_tol)):
            return _undecided(path, again)
        found = again
    return path


def same_plateaus(one: Trajectory, other: Trajectory) -> bool:
    """Return whether two trajectories met the same plateaus, the one on which they end left aside."""
    first, second = ([p.loss for p in path.plateaus if p.end is not None] for path in (one, other))
    slack = LITTLE_LOSS * float(one.losses.max() - one.losses.min())
    return len(first) == len(second) and bool(np.allclose(first, second, rtol=SAME_LOSS, atol=slack))


def _drifts(path: Trajectory, drift_tol: float | None) -> bool:
    drift = path.conservation_drift
    return drift_tol is not None and drift is not None and drift > drift_tol


def continued(path: Trajectory, finer: Trajectory, rtol: float) -> Trajectory:
    """Return the finer trajectory with the counts of both and a message that names its tolerance."""
    counts = {name: getattr(path, name) + getattr(finer, name) for name in ("n_gradients", "n_hessians", "n_steps")}
    return replace(finer, message=f"{finer.message}; integrated again with rtol = {rtol:.3g}", **counts)


def _by_rounding(path: Trajectory, rounding: float) -> Trajectory:
    if path.status == Status.ROUNDOFF:
        return path
    said = "a column that became large was not above what errors of rounding or of the steps have grown to"
    if np.isfinite(rounding):
        said += f", {rounding:.1e} of it"
    return replace(path, status=Status.ROUNDOFF, message=f"{said}; otherwise {path.message}")


def _untimed(path: Trajectory, drift: float) -> Trajectory:
    if path.status == Status.ROUNDOFF:
        return path
    said = f"the conserved quantity drifted by {drift:.1e} of the layers outside the channels, which decide the times"
    return replace(path, status=Status.ROUNDOFF, message=f"{said}; otherwise {path.message}")


def _undecided(path: Trajectory, found: Integrated) -> Trajectory:
    if found.rounding >= DECIDES:
        return _by_rounding(path, found.rounding)
    said = f"the end is uncertain by {path.error:.2g}" if path.error is not None else "the end is uncertain"
    causes = f"rounding errors changed what escaped by {found.rounding:.1e} of it"
    if path.conservation_drift is not None:
        causes += f", the conserved quantity drifted by {path.conservation_drift:.1e}"
    return replace(path, status=Status.ROUNDOFF, message=f"{said}: {causes}; otherwise {path.message}")
