"""What an integration leaves: its record with plateaus and gauges of accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gflow.critical.spectra import DENSE_LIMIT
from gflow.flow.monitor import along, plateaus
from gflow.flow.trajectory import Status, Trajectory

if TYPE_CHECKING:
    from gflow.flow.run import Run
    from gflow.objective import Objective

STEPS = 100.0
"""The tolerances of the steps are taken to add up to so many of them."""


def recorded(run: Run, status: Status, message: str, *, sampled: bool) -> Trajectory:
    """Return the record of an integration that has ended, in the caller's units, with its gauges."""
    theta_unit, time_unit, unit = run.units
    end = float(run.solver.t)
    run.steps.keep(end, run.theta, run.slope)
    run.samples.keep(end, run.theta)
    times, states = run.steps.arrays()
    known = np.array(run.steps.slopes) if run.objective.dim > DENSE_LIMIT else None
    losses, slopes, drift = along(run.objective, states, known)
    rise = float(np.max(np.diff(losses), initial=0.0)) / max(float(np.abs(losses).max()), 1e-300)
    largest = max(float(states.max()), -float(states.min()))
    noise = run.curvature * (run.rtol * largest) ** 2 * states.shape[1]
    flat = status in (Status.CONVERGED, Status.ROUNDOFF)
    met = plateaus(times, states, losses, slopes, noise, flat)
    if sampled:
        times, states = run.samples.arrays()
        losses, slopes, _ = along(run.objective, states)
    states *= theta_unit
    # with entries near 1e150 the loss may leave the range of a double
    with np.errstate(over="ignore"):
        losses, slopes = losses * unit * unit, slopes * (unit * (unit / theta_unit))
    return Trajectory(
        times=times * time_unit,
        states=states,
        losses=losses,
        gradient_norms=slopes,
        status=status,
        message=message,
        method=run.solvers.name,
        plateaus=tuple(plateau.scaled(unit * unit, time_unit, theta_unit) for plateau in met),
        conservation_drift=drift,
        monotonicity_defect=rise,
        n_gradients=run.n_gradients,
        n_hessians=run.n_hessians,
        n_steps=run.n_steps,
        error=estimated_error(run, drift, rise),
    )


def estimated_error(run: Run, drift: float | None, rise: float) -> float | None:
    """Return the error at the end that the gauges suggest, None where an escape was passed and nothing is known."""
    rounding = run.rounding.relative
    if rounding is None:
        if run.escapes:
            return None
        rounding = 0.0
    relative = min(1.0, rounding + (drift or 0.0) + rise + STEPS * run.rtol + missed(run))
    return relative * Output(run.objective, run.units).size(run.theta * run.units[0])


def missed(run: Run) -> float:
    """Return what steps too long for hidden columns have changed, relative to the output: an end may forget it."""
    if run.rounding.steps <= STEPS * run.rtol:
        return run.rounding.steps
    settled = Output(run.objective, run.units).is_settled(run.objective, run.theta * run.units[0])
    return run.rounding.steps * (SETTLED if settled else 1.0)


LARGEST_SETTLED = 300
"""Largest dimension at which an end is asked whether it forgets the way to it."""
FLAT, SETTLED = 1e-8, 1e-3
"""Eigenvalues of the Hessian that vanish, relative to the largest one, and rates of the output along them that do,
relative to |theta|."""


class Output:
    """What errors are judged on: the model's output W, or theta where an objective names none.

    ``objective`` is in its own unit, and ``units`` are those of theta, time and W in the caller's.
    """

    def __init__(self, objective: Objective, units: tuple[float, float, float]) -> None:
        self.function, self.theta_unit = objective.output, units[0]
        self.unit = units[0] if self.function is None else units[2]

    def at(self, theta: np.ndarray) -> np.ndarray:
        """Return the output at theta, both in the caller's units."""
        inner = theta / self.theta_unit
        return self.unit * (inner if self.function is None else self.function(inner))

    def size(self, theta: np.ndarray) -> float:
        """Return the largest entry of the output, at least its unit."""
        return max(self.unit, float(np.abs(self.at(theta)).max()))

    def is_settled(self, objective: Objective, theta: np.ndarray) -> bool:
        """Return whether a minimum has no other one nearby with another output: its end forgets the way to it.

        The directions in which the Hessian vanishes must leave the output alone, to first order.
        """
        if objective.hessian is None or self.function is None or len(theta) > LARGEST_SETTLED:
            return False
        inner = theta / self.theta_unit
        values, vectors = np.linalg.eigh(objective.hessian(inner))
        flat = vectors[:, np.abs(values) <= FLAT * float(np.abs(values).max())]
        here, step = self.function(inner), np.sqrt(FLAT) * max(float(np.linalg.norm(inner)), 1.0)
        moved = [float(np.abs(self.function(inner + step * v) - here).max()) / step for v in flat.T]
        return max(moved, default=0.0) <= SETTLED * float(np.linalg.norm(inner))
