"""What a flow that has converged leaves undone: how far the output may still move, and what is too small to be learned.

A loss below its tolerance, or a gradient that has vanished, says nothing of modes that wait: an entry of 1e-10 beside
one of 1 leaves a loss of 1e-20, and unlearned it holds back unobserved entries of 1e-5. Along each eigenvector of the
Hessian the way to the next minimum is that of a quartic whose curvature grows as |H| (delta / |theta|)^2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gflow.flow.outcome import LARGEST_SETTLED, Output
from gflow.flow.trajectory import Status, Trajectory
from gflow.policy import EPS

if TYPE_CHECKING:
    from gflow.objective import Objective

StackFunction = Callable[[np.ndarray, np.ndarray], np.ndarray]
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
    if (objective.normalized or objective).output is None:
        way, unlearned = max(ahead(path, objective), newton_way(objective, path.final)), 0.0
    else:
        way, unlearned = left(objective, path.final)
    if not np.isfinite(way):
        return replace(path, status=Status.ROUNDOFF, error=None, message=f"{path.message}, but {ENDLESS}")
    return replace(path, error=path.error + way, message=told(path.message, unlearned))


def ahead(path: Trajectory, objective: Objective) -> float:
    """Return how far a flow still goes if its speed falls like s^-a, s being the time since it was last largest.

    That is s |theta'| / (a - 1), too much where it falls exponentially, and infinite for a <= 1; with H the Hessian,
    a = s <theta', H theta'> / |theta'|^2 at the end.
    """
    theta, speeds = path.final, path.gradient_norms
    slope = objective.gradient(theta)
    bent, speed = objective.hvp(theta, slope), float(np.linalg.norm(slope))
    if not speed > ROUNDING * EPS * float(np.linalg.norm(theta)) * float(np.linalg.norm(bent)) / (speed or 1.0):
        return 0.0
    slow = np.flatnonzero(speeds[:-1] < speeds[-1])
    first = int(slow[-1]) + 1 if slow.size else 0
    time = float(path.times[-1] - path.times[first + int(np.argmax(speeds[first:]))])
    power = time * float(slope / speed @ bent) / speed
    return time * speed / (power - 1.0) if power > 1.0 + ENDLESS_BELOW else np.inf


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
    function = output.function

    def each(one: Callable[[np.ndarray], np.ndarray]) -> StackFunction:
        return lambda states, _: np.array([one(state) for state in states])

    (way,), (unlearned,) = all_left(each(inner.hessian), each(inner.gradient), each(function), begin[None])
    return output.unit * float(way), objective.unit * float(unlearned)


def all_left(
    hessian: StackFunction, gradient: StackFunction, output: StackFunction, begins: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what ``left`` does for several flows, in the unit of each, shapes (m,) and (m,).

    Parameters
    ----------
    hessian, gradient, output : functions
        Of states, shape (k, dim), and of the flows that they belong to, shape (k,): what is there.
    begins : (m, dim) array
        Not zero.
    """
    at, modes = _settled(hessian, gradient, begins)
    whose, sizes, scale = np.arange(len(at)), np.linalg.norm(at, axis=1), modes.scale[:, None]
    moving = scale[:, 0] * sizes > np.finfo(float).tiny  # else nothing is left that could move
    size, slopes, falls = sizes[:, None], np.abs(modes.slopes), modes.falls
    with np.errstate(all="ignore"):
        downhill = np.where(moving[:, None], size * np.sqrt(falls / scale), 0.0)
        uphill = np.minimum(slopes / modes.values, size * np.cbrt(slopes / (scale * size)))
    steps = np.where(falls > 0.0, downhill, np.where(moving[:, None], uphill, 0.0))
    here, k, mode = output(at, whose), *np.nonzero(steps)
    moved, axes = np.zeros(steps.shape), tuple(range(1, here.ndim))
    if k.size:
        there = output(at[k] + steps[k, mode, None] * modes.vectors[k, :, mode], k)
        moved[k, mode] = np.abs(there - here[k]).max(axis=axes)
    first = output(begins, whose)
    held = np.linalg.norm(np.where(falls > 0.0, moved, 0.0), axis=1)
    heard = held > TELLING * np.maximum(1.0, np.abs(first).max(axis=axes))
    ways = np.abs(here - first).max(axis=axes) + np.linalg.norm(moved, axis=1)
    return np.where(moving, ways, 0.0), np.where(heard, downhill.max(axis=1) ** 2, 0.0)


class _Modes(NamedTuple):
    """Eigenvectors of Hessians with their curvatures, at least what rounding leaves of zero, slopes and falls.

    ``falls`` are the growth rates of unstable modes, 0 for the others; a slope that may be rounding is 0.
    """

    vectors: np.ndarray
    values: np.ndarray
    slopes: np.ndarray
    falls: np.ndarray
    scale: np.ndarray


def _modes(hessian: StackFunction, gradient: StackFunction, at: np.ndarray, whose: np.ndarray) -> _Modes:
    values, vectors = np.linalg.eigh(hessian(at, whose))
    tiny = float(np.finfo(float).tiny)
    scale = np.maximum(np.abs(values).max(axis=1), tiny)
    lost = np.maximum(ROUNDING * EPS * scale[:, None], tiny)
    curvatures, slopes = np.maximum(values, lost), (vectors.mT @ gradient(at, whose)[:, :, None])[:, :, 0]
    noise = ROUNDING * EPS * np.linalg.norm(at, axis=1)[:, None] * np.sqrt(curvatures * scale[:, None])
    slopes = np.where(np.abs(slopes) > noise, slopes, 0.0)
    return _Modes(vectors, curvatures, slopes, np.where(values < -lost, -values, 0.0), scale)


def _settled(hessian: StackFunction, gradient: StackFunction, begins: np.ndarray) -> tuple[np.ndarray, _Modes]:
    """Return the states after Newton steps along the modes that settle, and their modes.

    What is left of the residual there bends the directions in which nothing has grown; at the state itself the part
    that is about to vanish would do so too.
    """
    at, whose = begins.copy(), np.arange(len(begins))
    known = modes = _modes(hessian, gradient, at, whose)
    for _ in range(NEWTON_STEPS):
        fastest = modes.falls.max(axis=1)
        along = np.where(modes.values > CLEAR * fastest[:, None], modes.slopes / modes.values, 0.0)
        steps = (modes.vectors @ along[:, :, None])[:, :, 0]
        lengths, seen = np.linalg.norm(steps, axis=1), fastest > UNSEEN**2 * modes.scale
        goes = seen & (lengths > 0.0) & (lengths <= NEAR * np.linalg.norm(at[whose], axis=1))
        whose, steps = whose[goes], steps[goes]
        if not whose.size:
            break
        at[whose] -= steps
        modes = _modes(hessian, gradient, at[whose], whose)
        for whole, part in zip(known, modes, strict=True):
            whole[whose] = part
    return at, known
