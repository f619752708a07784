"""The slow rest of an orbit, in few long implicit steps: whether it ends, and where, or runs to infinity.

Along a curved valley whose slope is ten orders of magnitude below its walls explicit and exponential steps stay short.
The two-step backward differentiation formula with variable steps damps the walls at any length, so that the way
alone, smooth in log t, limits the steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gflow.flow import Status, Trajectory
from gflow.flow.bdf import BackwardSteps
from gflow.flow.driver import drive
from gflow.flow.endings import ROUNDED, STOPPED
from gflow.flow.record import Course, Record
from gflow.flow.trajectory import Ending
from gflow.limit.orbit.curvature import Curvature
from gflow.objective import Objective
from gflow.policy import EPS

TOL = 1e-4
"""Error of a step, relative to |theta|: whether a drift ends, and near what, asks for no more."""
NEWTON_TOL = 1e-2
"""Newton's steps go on until they are this fraction of that error."""
NEWTON_STEPS = 8
IMPLICIT = "implicit steps"
RESTED = 1e-6
"""A drift that moved by less than this, relative to |theta|, while its time grew tenfold is at rest."""
STRAY = 0.1

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
    run = _Drift(curvature, path, tol)
    times, states, most = run.record.times, run.record.states, len(path.times) + max_steps

    def rests() -> Ending | None:
        if not run.n_steps:
            return None
        size = float(np.linalg.norm(states[-1]))
        if watch(times[-1], states[-1], run.slope):
            return STOPPED
        if escapes(times, states):
            return Status.DIVERGING, f"|theta| = {size:.3g} and growing as a power of time"
        if run.slope <= EPS * run.stiffness * size:
            return ROUNDED
        return (Status.CONVERGED, "in the last decade of time the state did not move") if run.settled(size) else None

    budget = Status.BUDGET, f"{max_steps} implicit steps were taken"
    ending = drive(run.step, (rests, lambda: budget if len(times) >= most else None), stage="orbit")
    counts = path.n_gradients + run.n_gradients, path.n_hessians + run.n_hessians, len(times) - 1
    return Course.along(objective, run.record).trajectory(ending, f"{path.method}, then {IMPLICIT}", counts=counts)


class _Drift:
    """The states so far, and the linear algebra of the next one."""

    def __init__(self, curvature: Curvature, path: Trajectory, tol: float) -> None:
        self.curvature, self.tol = curvature, tol
        self.left = self.candidate = curvature.residual(path.final)
        times, states = [float(t) for t in path.times], list(path.states)
        self.record = Record(times=times, states=states)
        self.steps = BackwardSteps(times, states, self.solved, lambda size: tol * max(1.0, size))
        self.n_gradients = self.n_hessians = self.n_steps = 0
        self.slope = self.stiffness = 0.0

    def settled(self, size: float) -> bool:
        """Return whether the state, of norm ``size``, has stayed where it is for the last decade of time."""
        times, states = self.record.times, self.record.states
        early = int(np.searchsorted(times, times[-1] / 10.0))
        return early > 0 and float(np.linalg.norm(states[-1] - states[early - 1])) <= RESTED * size

    def step(self) -> Ending | None:
        """Take one step of acceptable error; an ending if none can be taken."""
        if not self.steps.step():
            return Status.BUDGET, f"no implicit step from t = {self.record.times[-1]:.3g} could be solved"
        self.left, self.n_steps = self.candidate, self.n_steps + 1
        return None

    def solved(self, t: float, guess: np.ndarray, fixed: np.ndarray, reach: float) -> np.ndarray | None:
        """Return the state that satisfies the two-step formula, or None where Newton's method does not find it.

        The residual that bends the Hessian is an unknown of its own, linearised along with the state: the residual of
        a trial state, which has left the valley a little, would hide the slow directions.
        """
        theta, left, size = guess, self.left, max(1.0, float(np.linalg.norm(guess)))
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
