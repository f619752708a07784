"""What a flow that has converged leaves undone: how far the output may still move, and what is too small to be learned.

A loss below its tolerance, or a gradient that has vanished, says nothing of modes that wait: an entry of 1e-10 beside
one of 1 leaves a loss of 1e-20, and unlearned it holds back unobserved entries of 1e-5. Along each eigenvector of the
Hessian the way to the next minimum is that of a quartic whose curvature grows as |H| (delta / |theta|)^2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gflow.flow.outcome import LARGEST_SETTLED, Output
from gflow.flow.trajectory import Status, Trajectory
from gflow.policy import EPS

if TYPE_CHECKING:
    from gflow.objective import Objective

ROUNDING = 16.0
"""Eigenvalues of the Hessian are known to so many rounding units of its norm."""
TELLING = 1e-5
"""A size that is not learned is told where the output would move by more than this, relative to its largest entry."""

ENDLESS = "its speed falls no faster than 1 / t: there need be no end"
ENDLESS_BELOW = 1e-2
"""Powers of time above 1 by less than this cannot be told from it."""
NEWTON_STEPS, NEAR = 4, 1e-2
"""Newton steps towards the minimum, and their largest length relative to the state."""
UNSEEN = 1e-7
"""Growth that leads no farther than this, relative to the state, asks for no more of them."""
CLEAR = 10.0
"""Curvatures this many times the fastest growth rate belong to modes that settle."""


def with_rest(path: Trajectory, objective: Objective) -> Trajectory:
    """Return a trajectory whose error counts what is left to do, and whose message tells the size that is not learned.

    Parameters
    ----------
    path : Trajectory
    objective : Objective
        In the caller's units, as are the states of ``path``.
    """
    if path.status != Status.CONVERGED or path.error is None:
        return path
    if objective.output is None:
        way, unlearned = max(ahead(path), newton_way(objective, path.final)), 0.0
    else:
        way, unlearned = left(objective, path.final)
    if not np.isfinite(way):
        return replace(path, status=Status.ROUNDOFF, error=None, message=f"{path.message}, but {ENDLESS}")
    return replace(path, error=path.error + way, message=told(path.message, unlearned))


def ahead(path: Trajectory) -> float:
    """Return how far a flow still goes if its speed goes on falling like the power of time that it has fallen with.

    That is t |theta'| / (a - 1) for t^-a, which is too much where it falls exponentially, and infinite for a <= 1.
    """
    times, speeds = path.times, path.gradient_norms
    early = min(int(np.searchsorted(times, times[-1] / 2.0)), len(times) - 2)
    if early < 0 or not (speeds[-1] > 0.0 and times[early] > 0.0 and speeds[early] > 0.0):
        return 0.0
    a = float(np.log(speeds[early] / speeds[-1]) / np.log(times[-1] / times[early]))
    return float(times[-1] * speeds[-1] / (a - 1.0)) if a > 1.0 + ENDLESS_BELOW else np.inf


def newton_way(objective: Objective, theta: np.ndarray) -> float:
    """Return the length of a Newton step along the modes whose slope and curvature are above rounding errors."""
    if len(theta) > LARGEST_SETTLED:
        return 0.0
    values, vectors = np.linalg.eigh(objective.hessian(theta))
    slopes, lost = np.abs(vectors.T @ objective.gradient(theta)), ROUNDING * EPS * float(np.abs(values).max())
    heard = (values > lost) & (slopes > lost * float(np.linalg.norm(theta)) * np.sqrt(EPS))
    return float(np.linalg.norm(slopes[heard] / values[heard]))


def told(message: str, unlearned: float) -> str:
    """Return the message of an end with the size that is not learned, if there is one."""
    return message + (f"; what is smaller than {unlearned:.1e} may not be learned" if unlearned else "")


def left(objective: Objective, theta: np.ndarray) -> tuple[float, float]:
    """Return how far an entry of the output may still move, and the size below which data may not be learned, or 0.

    Parameters
    ----------
    objective : Objective
        In the caller's units, as is ``theta``: (dim,) array, a state at which the flow counts as ended. Nothing is said
        of objectives without an output, or of more than 300 parameters.
    """
    inner, unit = objective.normalized or objective, objective.theta_unit
    output = Output(inner, (unit, objective.time_unit, objective.unit))
    begin = theta / unit
    if output.function is None or not begin.any() or len(theta) > LARGEST_SETTLED:
        return 0.0, 0.0
    at, modes = _settled(inner, begin)
    here, size = output.at(at * unit), float(np.linalg.norm(at))
    if not modes.scale * size > np.finfo(float).tiny:
        return 0.0, 0.0  # nothing is left that could move
    downhill = size * np.sqrt(modes.falls / modes.scale)
    uphill = size * np.cbrt(np.abs(modes.slopes) / (modes.scale * size))
    uphill = np.minimum(np.abs(modes.slopes) / modes.values, uphill)
    steps = np.where(modes.falls > 0.0, downhill, uphill)
    moved = np.array(
        [
            float(np.abs(output.at((at + step * v) * unit) - here).max()) if step else 0.0
            for step, v in zip(steps, modes.vectors.T, strict=True)
        ]
    )
    held = float(np.linalg.norm(np.where(modes.falls > 0.0, moved, 0.0)))
    heard = held > TELLING * output.size(theta)
    way = float(np.abs(here - output.at(theta)).max()) + float(np.linalg.norm(moved))
    return way, objective.unit * float(downhill.max()) ** 2 if heard else 0.0


@dataclass(frozen=True)
class _Modes:
    """Eigenvectors of the Hessian with their curvatures, at least what rounding leaves of zero, slopes and falls.

    ``falls`` are the growth rates of unstable modes, 0 for the others; a slope that may be rounding is 0.
    """

    vectors: np.ndarray
    values: np.ndarray
    slopes: np.ndarray
    falls: np.ndarray
    scale: float


def _modes(inner: Objective, at: np.ndarray) -> _Modes:
    values, vectors = np.linalg.eigh(inner.hessian(at))
    scale = max(float(np.abs(values).max()), np.finfo(float).tiny)
    lost = ROUNDING * EPS * scale
    curvatures, slopes = np.maximum(values, lost), vectors.T @ inner.gradient(at)
    noise = ROUNDING * EPS * float(np.linalg.norm(at)) * np.sqrt(curvatures * scale)
    slopes = np.where(np.abs(slopes) > noise, slopes, 0.0)
    return _Modes(vectors, curvatures, slopes, np.where(values < -lost, -values, 0.0), scale)


def _settled(inner: Objective, at: np.ndarray) -> tuple[np.ndarray, _Modes]:
    """Return the state after Newton steps along the modes that settle, and its modes.

    What is left of the residual there bends the directions in which nothing has grown; at the state itself the part
    that is about to vanish would do so too.
    """
    modes = _modes(inner, at)
    for _ in range(NEWTON_STEPS):
        settles = modes.values > CLEAR * modes.falls.max()
        step = modes.vectors[:, settles] @ (modes.slopes[settles] / modes.values[settles])
        unseen = modes.falls.max() <= UNSEEN**2 * modes.scale
        if unseen or not 0.0 < float(np.linalg.norm(step)) <= NEAR * float(np.linalg.norm(at)):
            break
        at = at - step
        modes = _modes(inner, at)
    return at, modes
