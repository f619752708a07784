"""What ends a flow in graded columns."""

from __future__ import annotations

import numpy as np
from scipy.linalg.blas import dnrm2 as norm

from gflow.critical import hessian_spectrum
from gflow.flow.endings import MINIMUM, T_END, loss_reached, passed, passed_in_vain, spent
from gflow.flow.record import Units
from gflow.flow.trajectory import Ending, Status
from gflow.flow.verdicts import is_least
from gflow.graded.columns import ROUNDING
from gflow.graded.flow import GradedFlow
from gflow.graded.moves import NEGLIGIBLE
from gflow.models import Factorization
from gflow.objective import Objective
from gflow.policy import EPS

AT_REST = 1e-8
"""A slow descent to loss 0 has a gradient above this many times sqrt(curvature * loss), a saddle has not."""
ZERO = 1e-11
"""Eigenvalues of the Hessian above minus this fraction of its norm are not negative."""


class GradedEndings:
    """What ends a flow in graded columns, asked in this order; all in the problem's own unit.

    Parameters
    ----------
    flow : GradedFlow
    size : float
        The norm of the start.
    units : (theta_unit, time_unit, unit)
    limits : dict
        ``loss_tol``, ``gradient_tol``, ``norm_limit`` and ``max_evaluations`` of ``graded_flow``.
    """

    def __init__(self, flow: GradedFlow, size: float, units: Units, limits: dict[str, float]) -> None:
        self.flow, self.units, self.limits = flow, units, limits
        self.far = limits["norm_limit"] * max(1.0, size)
        self.highest, self.retry_minimum = 0.0, np.inf
        self.local = Factorization(flow.problem.shape, flow.z.shape[1])

    def __call__(self) -> Ending | None:
        """Return how the integration ends at the present state, or None if it goes on."""
        flow = self.flow
        self.highest = max(self.highest, flow.slope)
        if flow.loss <= self.limits["loss_tol"]:
            return loss_reached(flow.loss * self.units[2] ** 2)
        if flow.slope > self.limits["gradient_tol"] * self.highest:
            self.retry_minimum = np.inf
        elif flow.slope <= self.retry_minimum and (ending := self.examine()):
            return ending
        if ending := self.diverging(norm((flow.scales * flow.z).ravel())):
            return ending
        if flow.t >= flow.t_end:
            return T_END
        if flow.n_gradients >= self.limits["max_evaluations"]:
            return spent(flow.n_gradients, int(self.limits["max_evaluations"]))
        return None

    def diverging(self, size: float) -> Ending | None:
        """Return the verdict where |theta| = size is too large, or None."""
        if size > self.far:
            return passed(size * self.units[0])
        if size**2 > self.far and self.flow.slope <= EPS * self.flow.field.twice * size**3:
            return passed_in_vain(size * self.units[0])
        return None

    def examine(self) -> Ending | None:
        """Return the verdict where the gradient has vanished, or None at a saddle that is going to be left."""
        flow, z = self.flow, self.flow.z
        self.retry_minimum = flow.slope / 10
        theta, objective = self.local.unstacked(flow.scales * z), Objective.of(flow.problem, self.local)
        size = max(1.0, norm(theta))
        orbit = 2.0 * flow.slope / size
        if flow.stay().rate > ZERO * size * size + orbit:
            return None
        spectrum = hessian_spectrum(objective, theta)
        flow.n_hessians += 1
        grows = spectrum.values < -(ZERO * spectrum.norm + orbit)
        if not grows.any():
            return MINIMUM if is_least(objective, theta, spectrum, self.limits["loss_tol"]) else None
        sizes = flow.columns.largest(z)
        if flow.blurred and ((sizes > NEGLIGIBLE) & (sizes < ROUNDING)).any():
            return None
        pushes = np.abs(spectrum.vectors[:, grows].T @ objective.gradient(theta)) / -spectrum.values[grows]
        waits = flow.slope <= AT_REST * np.sqrt(spectrum.norm * flow.loss)
        return self.stuck() if waits and float(pushes.max()) <= ROUNDING * size else None

    def stuck(self) -> Ending:
        """Return the verdict at a saddle that only rounding errors could leave."""
        level = self.flow.loss * self.units[2] ** 2
        return Status.ROUNDOFF, f"at the saddle of loss {level:.8g} nothing above rounding errors is left that escapes"
