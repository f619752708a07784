"""The slow rest of an orbit, in few long implicit steps: whether it ends, and where, or runs to infinity.

Along a curved valley whose slope is ten orders of magnitude below its walls explicit and exponential steps stay short.
The two-step backward differentiation formula with variable steps damps the walls at any length, so that the way
alone, smooth in log t, limits the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gflow import watch as clock
from gflow.flow import Status, Trajectory
from gflow.flow.monitor import along
from gflow.objective import Objective
from gflow.traversal.curvature import Curvature

EPS = float(np.finfo(float).eps)
TOL = 1e-4
"""Error of a step, relative to |theta|: whether a drift ends, and near what, asks for no more."""
NEWTON_TOL = 1e-2
"""Newton's steps go on until they are this fraction of that error."""
NEWTON_STEPS = 8
IMPLICIT = "implicit steps"
AT_REST = 1e-6
"""A drift that moved by less than this, relative to |theta|, while its time grew tenfold is at rest."""
STRAY = 0.1
ERROR_SHARE = 2.0 / 11.0
"""Error of a step as a fraction of its distance from quadratic extrapolation (equal steps)."""
STRETCH, SHRINK = 2.0, 0.25
"""Bounds of the ratio of successive steps: the formula is stable below 1 + sqrt 2."""

Watch = Callable[[float, np.ndarray, float], object]


def drift(
    objective: Objective,
    curvature: Curvature,
    path: Trajectory,
    *,
    watch: Watch,
    escapes: Callable[[list[float], list[np.ndarray]], object],
    tol: float = TOL,
    max_steps: int,
) -> Trajectory:
    """Return ``path`` with its continuation by implicit steps.

    Parameters
    ----------
    objective : Objective in its own unit
    curvature : Curvature of the same loss
    path : Trajectory of at least three states, past the fast part of the orbit
    watch : (t, theta, slope) -> object
        Called after every step; a true answer stops (status ``horizon``).
    escapes : (times, states) -> object
        Called after every step; a true answer says that the drift runs to infinity (status ``diverging``).
    tol : float
        Error of a step, relative to |theta|.
    max_steps : int
        Status ``budget`` when they are used up. Status ``converged``: at rest; ``roundoff``: the slope is rounding.
    """
    run = _Drift(objective, curvature, path, tol)
    for _ in range(max_steps):
        if late := clock.spent("orbit"):
            return run.trajectory(path, Status.BUDGET, late)
        if not run.step():
            return run.trajectory(path, Status.BUDGET, f"no implicit step from t = {run.times[-1]:.3g} could be solved")
        size = float(np.linalg.norm(run.states[-1]))
        if watch(run.times[-1], run.states[-1], run.slope):
            return run.trajectory(path, Status.HORIZON, "the callback asked to stop")
        if escapes(run.times, run.states):
            return run.trajectory(path, Status.DIVERGING, f"|theta| = {size:.3g} and growing as a power of time")
        if run.slope <= EPS * run.stiffness * size:
            return run.trajectory(path, Status.ROUNDOFF, "the slope has fallen to rounding errors")
        if run.settled(size):
            return run.trajectory(path, Status.CONVERGED, "in the last decade of time the state did not move")
    return run.trajectory(path, Status.BUDGET, f"{max_steps} implicit steps were taken")


class _Drift:
    """The states so far and the length of the next step."""

    def __init__(self, objective: Objective, curvature: Curvature, path: Trajectory, tol: float) -> None:
        self.objective, self.curvature, self.tol = objective, curvature, tol
        self.left = self.candidate = curvature.residual(path.final)
        self.times, self.states = [float(t) for t in path.times], list(path.states)
        self.length = STRETCH * (self.times[-1] - self.times[-2])
        self.n_gradients = self.n_hessians = 0
        self.slope = self.stiffness = 0.0

    def settled(self, size: float) -> bool:
        """Return whether the state, of norm ``size``, has stayed where it is for the last decade of time."""
        early = int(np.searchsorted(self.times, self.times[-1] / 10.0))
        return early > 0 and float(np.linalg.norm(self.states[-1] - self.states[early - 1])) <= AT_REST * size

    def step(self) -> bool:
        """Take one step of acceptable error; False if none can be taken."""
        while self.length > EPS * self.times[-1]:
            guess = self.extrapolated(self.length)
            theta = self.solved(guess, self.length)
            if theta is None:
                self.length *= SHRINK
                continue
            error = (
                ERROR_SHARE * float(np.linalg.norm(theta - guess)) / (self.tol * max(1.0, float(np.linalg.norm(theta))))
            )
            factor = 0.9 * max(error, 1e-3) ** (-1.0 / 3.0)
            if error <= 1.0:
                self.left = self.candidate
                self.times.append(self.times[-1] + self.length)
                self.states.append(theta)
                self.length *= min(STRETCH, factor)
                return True
            self.length *= max(SHRINK, factor)
        return False

    def extrapolated(self, h: float) -> np.ndarray:
        """Return the quadratic through the last three states at h after the last one."""
        (t0, t1, t2), (y0, y1, y2) = self.times[-3:], self.states[-3:]
        first, before = (y2 - y1) / (t2 - t1), (y1 - y0) / (t1 - t0)
        return y2 + h * (first + (h + t2 - t1) * (first - before) / (t2 - t0))

    def solved(self, guess: np.ndarray, h: float) -> np.ndarray | None:
        """Return the state that satisfies the two-step formula, or None where Newton's method does not find it.

        The residual that bends the Hessian is an unknown of its own, linearised along with the state: the residual of
        a trial state, which has left the valley a little, would hide the slow directions.
        """
        ratio = h / (self.times[-1] - self.times[-2])
        share = 1.0 + 2.0 * ratio
        fixed = ((1.0 + ratio) ** 2 * self.states[-1] - ratio**2 * self.states[-2]) / share
        reach, theta, left = h * (1.0 + ratio) / share, guess, self.left
        size = max(1.0, float(np.linalg.norm(guess)))
        for _ in range(NEWTON_STEPS):
            here = self.curvature.linearised(theta)
            self.n_gradients, self.n_hessians = self.n_gradients + 1, self.n_hessians + 1
            try:
                with np.errstate(over="ignore", invalid="ignore"):  # steps that are refused
                    move = here.solved(left, 1.0 / reach, (fixed - theta) / reach - here.gradient)
            except np.linalg.LinAlgError:  # the step is so long that flat directions are all that is left
                return None
            if not float(np.abs(move).max()) <= STRAY * size:
                return None
            length = float(np.linalg.norm(move))
            theta, left = theta + move, here.residual + here.change(move)
            if not length <= STRAY * size:
                return None
            if length <= NEWTON_TOL * self.tol * size:
                self.slope, self.stiffness = float(np.linalg.norm(here.gradient)), here.trace
                self.candidate = left
                return theta
        return None

    def trajectory(self, path: Trajectory, status: Status, message: str) -> Trajectory:
        losses, slopes, lost = along(self.objective, np.array(self.states))
        return replace(
            path,
            times=np.array(self.times),
            states=np.array(self.states),
            losses=losses,
            gradient_norms=slopes,
            status=status,
            message=message,
            method=f"{path.method}, then {IMPLICIT}",
            conservation_drift=lost,
            monotonicity_defect=float(np.max(np.diff(losses), initial=0.0)) / max(float(losses.max()), 1e-300),
            n_gradients=path.n_gradients + self.n_gradients,
            n_hessians=path.n_hessians + self.n_hessians,
            n_steps=len(self.times) - 1,
        )
