"""The gradient flow in few variables by exponential Rosenbrock steps, compiled where that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np

from gflow.flow import Trajectory
from gflow.flow.driver import drive
from gflow.flow.endings import ROUNDED, STOPPED, passed
from gflow.flow.record import Course, Record
from gflow.flow.rosenbrock import Rosenbrock
from gflow.flow.trajectory import Ending, Status
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

METHOD = "exponential Rosenbrock"
COMPILED_METHOD = f"compiled {METHOD}"

Watch = Callable[[float, np.ndarray, float], object]


class OrbitSteps(Protocol):
    """Steps of the method, as ``gflow.flow.rosenbrock.Rosenbrock`` takes them."""

    y: np.ndarray
    speed: float
    at_rest: bool
    n_gradients: int

    def step(self) -> float:
        """Return the length of one step, which is taken."""


def rosenbrock_flow(
    objective: Objective,
    center: np.ndarray,
    launch: np.ndarray,
    *,
    rtol: float,
    watch: Watch,
    norm_limit: float,
    max_steps: int,
    compiled_for: tuple[MatrixCompletion, Factorization] | None = None,
) -> Trajectory:
    """Return the gradient flow from center + launch until ``watch`` stops it or it comes to rest.

    Parameters
    ----------
    objective : Objective in its own unit; a step costs an eigendecomposition of its Hessian
    center : (dim,) array
        A critical point.
    launch : (dim,) array
        Deviation from it at time 0.
    rtol : float
        Tolerance, relative to the deviation. The error estimate of a step is of order 4 in its length and the error
        of order 6, so the estimate is held below rtol^(2/3).
    watch : (t, theta, slope) -> object
        Called after every step with the norm of the gradient; a true answer stops the integration (status ``horizon``).
    norm_limit : float
        Diverging when |theta| > norm_limit * max(1, |center|).
    max_steps : int
        Status ``budget`` when they are used up. Status ``roundoff``: the whole slope is rounding.
    compiled_for : (problem, model), optional
        Problem and model, exactly of these classes, of which ``objective`` is the loss: then numba, which must be
        installed, compiles the steps. They differ in rounding alone.
    """
    tol, far = rtol ** (2.0 / 3.0), norm_limit * max(1.0, float(np.linalg.norm(center)))
    if compiled_for is None:
        gradient = objective.around(center).gradient
        steps: OrbitSteps = Rosenbrock(
            gradient, lambda y: objective.hessian(center + y), launch, lambda size: tol * size
        )
    else:
        steps = CompiledSteps(center, launch, tol, *compiled_for)
    record = Record()
    record.keep(0.0, center + launch)

    def step() -> None:
        length = steps.step()
        record.keep(record.times[-1] + length, center + steps.y)

    def seen() -> Ending | None:
        t = record.times[-1]
        return STOPPED if t > 0.0 and watch(t, record.states[-1], steps.speed) else None

    budget = Status.BUDGET, f"{max_steps} steps were taken"
    endings = (
        lambda: ROUNDED if steps.at_rest else None,
        seen,
        lambda: passed(far) if np.linalg.norm(record.states[-1]) > far else None,
        lambda: budget if len(record.times) > max_steps else None,
    )
    ending, count = drive(step, endings, stage="orbit"), len(record.times)
    name = METHOD if compiled_for is None else COMPILED_METHOD
    counts = steps.n_gradients, count, count - 1
    return Course.along(objective, record).trajectory(ending, name, counts=counts)


class CompiledSteps:
    """The same steps by ``gflow.fast.orbit``."""

    def __init__(
        self, center: np.ndarray, launch: np.ndarray, tol: float, problem: MatrixCompletion, model: Factorization
    ) -> None:
        from gflow.fast.jit import in_time
        from gflow.fast.orbit import start, step

        self.y, self.advance, self.tol = launch, partial(in_time, step), tol
        first, *inner, last = model.factors(np.arange(model.dim))
        places = np.concatenate([first.ravel(), last.T.ravel(), *(hidden.ravel() for hidden in inner)])
        self.order = np.argsort(places)
        begin = center[places], launch[places]
        self.entries, self.memory, self.now = start(problem, model.rank, *begin, model.depth - 2 or None)
        self.look()

    def step(self) -> float:
        """Return the length of one step of acceptable error, which is taken."""
        length = float(self.advance(self.entries, self.memory, self.now, self.tol))
        self.y = self.memory.delta[self.order]
        self.look()
        return length

    def look(self) -> None:
        """Keep what the compiled code says of the present state."""
        self.speed, self.n_gradients = float(self.now["speed"]), int(self.now["gradients"])
        self.at_rest = not self.now["moving"]
