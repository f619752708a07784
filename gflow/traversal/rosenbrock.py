"""The gradient flow in few variables by an exponential Rosenbrock method: stiff tails and slow drifts cost few steps.

Each step solves the flow linearised at its beginning exactly, in the eigenbasis of the Hessian, and adds what the
nonlinear rest contributes (Hochbruck and Ostermann, Acta Numerica 2010; the scheme exprb53s3 of Luan and Ostermann,
J. Comput. Appl. Math. 2014, order 5 with an embedded order 3).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gflow import watch as clock
from gflow.flow import Status, Trajectory
from gflow.flow.monitor import along, norm
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.problems import MatrixCompletion

METHOD = "exponential Rosenbrock"
COMPILED_METHOD = f"compiled {METHOD}"
EPS = float(np.finfo(float).eps)
NOISE = 16 * EPS
"""Slopes below this fraction of curvature times deviation are rounding and move nothing."""
SMALL = 0.1
"""phi functions are summed as series below this argument and divided out above."""
SERIES = [1.0 / float(np.prod(np.arange(1.0, j + 1))) for j in range(12, 3, -1)]
NODES = np.array([[0.5], [0.9], [1.0]])
E_FOLDINGS = 3.0
"""Largest growth of an unstable mode in one step, in e-foldings."""

Watch = Callable[[float, np.ndarray, float], object]


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
    if compiled_for is None:
        flow = _Flow(objective, center, launch, rtol)
    else:
        flow = _CompiledFlow(objective, center, launch, rtol, *compiled_for)
    far = norm_limit * max(1.0, norm(center))
    while True:
        theta = flow.center + flow.delta
        if flow.at_rest:
            ending = Status.ROUNDOFF, "the slope has fallen to rounding errors"
        elif flow.times[-1] > 0.0 and watch(flow.times[-1], theta, flow.speed):
            ending = Status.HORIZON, "the callback asked to stop"
        elif norm(theta) > far:
            ending = Status.DIVERGING, f"|theta| passed {far:.3g}"
        elif len(flow.times) > max_steps:
            ending = Status.BUDGET, f"{max_steps} steps were taken"
        elif late := clock.spent("orbit"):
            ending = Status.BUDGET, late
        else:
            flow.step()
            continue
        return flow.trajectory(*ending)


class _Flow:
    """The state of one integration: deviation, local eigenbasis, and the length of the next step."""

    method = METHOD

    def __init__(self, objective: Objective, center: np.ndarray, launch: np.ndarray, rtol: float) -> None:
        self.objective, self.center = objective, center
        self.delta, self.tol = launch, rtol ** (2.0 / 3.0)
        self.times, self.deltas = [0.0], [launch]
        self.n_gradients, self.length = 0, np.inf
        self.local = objective.around(center)
        self.expand()

    def slope(self, delta: np.ndarray) -> np.ndarray:
        self.n_gradients += 1
        return self.local.gradient(delta)

    def expand(self) -> None:
        """Linearise the flow at the present state."""
        self.rates, self.basis = np.linalg.eigh(self.objective.hessian(self.center + self.delta))
        self.size = norm(self.delta)
        self.noise = NOISE * max(-float(self.rates[0]), float(self.rates[-1])) * self.size
        self.velocity = -self.slope(self.delta).dot(self.basis)
        self.moving = self.audible(self.velocity)
        self.speed = norm(self.velocity)
        self.at_rest = not self.moving.any()

    def audible(self, slopes: np.ndarray) -> np.ndarray:
        return np.where(np.abs(slopes) > self.noise, slopes, 0.0)

    def bent(self, move: np.ndarray) -> np.ndarray:
        """Return the nonlinear part of the velocity after ``move``, both in the eigenbasis."""
        bend = self.rates * move
        bend -= self.velocity
        bend -= self.slope(self.delta + self.basis.dot(move)).dot(self.basis)
        return self.audible(bend)

    def step(self) -> None:
        """Take one step of acceptable error and prepare the next one."""
        self.length = min(self.length, E_FOLDINGS / max(-float(self.rates[0]), 1e-300))
        while True:
            with np.errstate(over="ignore", invalid="ignore"):
                move, error = self.attempt(self.length)
            ratio = norm(error) / (self.tol * max(self.size, norm(move)))
            if ratio <= 1.0:
                break
            self.length *= max(0.2, 0.9 * ratio**-0.25) if np.isfinite(ratio) else 0.2
        self.delta = self.delta + self.basis.dot(move)
        self.keep(self.length)
        self.length *= min(5.0, 0.9 * max(ratio, 1e-10) ** -0.25)
        self.expand()

    def keep(self, length: float) -> None:
        """Keep the state that a step of this length has led to."""
        self.times.append(self.times[-1] + length)
        self.deltas.append(self.delta)

    def attempt(self, h: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the move of a step of length h and its error estimate, in the eigenbasis."""
        phi1, phi3, phi4 = phi_functions(-h * NODES * self.rates)
        linear = h * phi1 * self.moving
        first = self.bent(0.5 * linear[0])
        second = self.bent(0.9 * linear[1] + h * (27 / 25 * phi3[0] + 729 / 125 * phi3[1]) * first)
        bend = phi3[2] * (18 * first - 250 / 81 * second) + phi4[2] * (-60 * first + 500 / 27 * second)
        return linear[2] + h * bend, h * (bend - 8 * phi3[2] * first)

    def trajectory(self, status: Status, message: str) -> Trajectory:
        times, states = np.array(self.times), self.center + np.array(self.deltas)
        losses, slopes, drift = along(self.objective, states)
        return Trajectory(
            times=times,
            states=states,
            losses=losses,
            gradient_norms=slopes,
            status=status,
            message=message,
            method=self.method,
            plateaus=(),
            conservation_drift=drift,
            monotonicity_defect=float(np.max(np.diff(losses), initial=0.0)) / max(float(losses.max()), 1e-300),
            n_gradients=self.n_gradients,
            n_hessians=len(times),
            n_steps=len(times) - 1,
        )


class _CompiledFlow(_Flow):
    """The same with the steps of ``gflow.fast.orbit``."""

    method = COMPILED_METHOD

    def __init__(
        self,
        objective: Objective,
        center: np.ndarray,
        launch: np.ndarray,
        rtol: float,
        problem: MatrixCompletion,
        model: Factorization,
    ) -> None:
        from gflow.fast.orbit import start, step

        self.objective, self.center = objective, center
        self.delta, self.times, self.deltas = launch, [0.0], [launch]
        self.advance, self.tol = step, rtol ** (2.0 / 3.0)
        places = model.stacked(np.arange(model.dim)).ravel()
        self.order = np.argsort(places)
        self.entries, self.memory, self.now = start(problem, model.rank, center[places], launch[places])
        self.look()

    def step(self) -> None:
        """Take one step of acceptable error and prepare the next one."""
        length = self.advance(self.entries, self.memory, self.now, self.tol)
        self.delta = self.memory.delta[self.order]
        self.keep(length)
        self.look()

    def look(self) -> None:
        """Read what the compiled code says of the present state."""
        self.speed, self.n_gradients = float(self.now["speed"]), int(self.now["gradients"])
        self.at_rest = not self.now["moving"]


def phi_functions(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return phi_1, phi_3 and phi_4 of real arguments: phi_0 = exp, phi_(k+1)(z) = (phi_k(z) - 1/k!) / z."""
    small = np.abs(z) < SMALL
    far, near = np.where(small, 1.0, z), np.where(small, z, 0.0)
    one = np.expm1(far) / far
    three = ((one - 1.0) / far - 0.5) / far
    four = (three - 1.0 / 6.0) / far
    series = SERIES[0] * near
    for coefficient in SERIES[1:-1]:
        series += coefficient
        series *= near
    series += SERIES[-1]
    cubic = series * near + 1.0 / 6.0
    linear = (cubic * near + 0.5) * near + 1.0
    return np.where(small, linear, one), np.where(small, cubic, three), np.where(small, series, four)
