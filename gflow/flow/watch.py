"""The saddles that an integration passes: tolerances that resolve them, and escapes that rounding may have decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gflow.critical import NotConverged, SpectrumNotConverged
from gflow.flow.centred import Centred
from gflow.flow.rounding import Rounding
from gflow.flow.saddles import TURN, PassedSaddle, SaddleClock, Stay, saddle_at, saddle_near, shifted
from gflow.flow.trajectory import Ending
from gflow.flow.verdicts import undecided
from gflow.policy import DENSE_LIMIT

if TYPE_CHECKING:
    from gflow.flow.record import Units
    from gflow.objective import Objective

RESOLUTION = 1e-3
"""The solver's tolerance may be at most this fraction of the distance to the critical point that is passed."""
SETTLED, DAMPED = 1e-2, 0.1
"""The same towards a minimum, and for steps that damp the stiff modes, whose errors only cost loss."""


class SaddleWatch:
    """What is seen of saddles and of rounding errors along a flow, in the objective's own unit.

    Parameters
    ----------
    flow : Centred
    units : (theta_unit, time_unit, unit)
    exact : bool
        Whether the flow begins around a critical point that was given.

    Attributes
    ----------
    escapes : int
        Saddles that were left.
    """

    def __init__(self, flow: Centred, units: Units, exact: bool) -> None:
        self.flow, self.units = flow, units
        self.clock, self.rounding, self.escapes = SaddleClock(), Rounding(flow.objective, flow.theta), 0
        self.stay, self.rate = Stay(flow.slope, flow.theta, exact=exact), flow.curvature or 1.0

    def keep(self) -> None:
        """Keep what the last step adds."""
        flow = self.flow
        self.rounding.step(flow.t, flow.theta, flow.solver.y, flow.solvers.missed(flow.solver))
        self.stay.keep(flow.t, flow.theta, flow.slope)

    def look(self) -> Ending | None:
        """Return that rounding errors decide how a saddle is left, or None after what the flow needs to go on."""
        slope = self.flow.slope
        if slope > TURN * self.stay.low and (ending := self.depart()):
            return ending
        if slope <= self.stay.peak / TURN and self.unresolved():
            return self.examine()
        self.flow.go_on()
        return None

    def depart(self) -> Ending | None:
        """Return the verdict at the end of a stay: that rounding may have decided it, or None to go on."""
        flow, stay = self.flow, self.stay
        if np.isfinite(stay.arrived) and not stay.exact:
            saddle = stay.saddle or self._saddle_at(stay.bottom)
            if saddle is not None and saddle.rates.size:
                moved, part = self.clock.moved(saddle, stay.arrived, flow.t), flow.slope / saddle.rates
                if moved[0] >= part[0]:
                    return undecided(saddle, flow.objective, part[0], moved[0], self.units)
                self.clock.leave(saddle, stay.arrived)
                self.escapes += 1
        self.rate = flow.curvature or 1.0
        self.stay = Stay(flow.slope, flow.theta)
        return None

    def unresolved(self) -> bool:
        """Return whether the tolerance hides the distance to the critical point that is being approached."""
        slope = self.flow.slope
        return slope <= self.stay.retry_below and self.flow.allowed > RESOLUTION * slope / self.rate

    def examine(self) -> Ending | None:
        """Return the verdict at the critical point nearby: that rounding decides how it is left, or None to go on."""
        flow, stay = self.flow, self.stay
        stay.retry_below = flow.slope / 10
        if stay.saddle is not None or stay.exact:
            flow.enter(flow.t, flow.solver.y, flow.slope / self.rate)
            return None
        flow.n_hessians += 1
        try:
            saddle = saddle_near(flow.objective, flow.theta)
        except (NotConverged, SpectrumNotConverged):
            if flow.objective.dim > DENSE_LIMIT:  # its modes are not known: resolve whatever is there
                self._recentre(flow.theta, shifted(flow.objective, flow.theta), flow.curvature)
            return None
        if not saddle.rates.size:
            self._settle()
            return None
        amplitudes = np.abs(saddle.modes.T @ flow.local.gradient(flow.solver.y)) / saddle.rates
        moved = self.clock.moved(saddle, stay.arrived, flow.t)
        with np.errstate(divide="ignore", over="ignore"):
            waiting, allowed = (np.log(saddle.size / part) / saddle.rates for part in (amplitudes, moved))
        first = int(np.argmin(allowed))
        if waiting.min() >= allowed[first]:
            return undecided(saddle, flow.objective, amplitudes[first], moved[first], self.units)
        if saddle.residual <= 1e-2 * flow.slope:
            stay.saddle = saddle
            self._recentre(saddle.center, flow.objective.around(saddle.center), float(saddle.rates[0]))
        elif flow.objective.dim > DENSE_LIMIT:
            self._recentre(flow.theta, shifted(flow.objective, flow.theta), flow.curvature)
        return None

    def _settle(self) -> None:
        """Go on towards a minimum: there errors are forgotten, and only must not exceed the distance that is left."""
        flow, floor = self.flow, self.flow.objective.lower_bound
        distance, below = flow.slope / flow.curvature, 0.0
        if floor is not None:
            below = np.sqrt(2.0 * (flow.objective.value(flow.theta) - floor) / flow.curvature)
        damped = min(flow.rtol * flow.size, DAMPED * max(distance, below))
        if flow.solvers.damps(flow.solver, damped / np.sqrt(flow.objective.dim)):
            self.stay.retry_below = 0.0
            return
        allowed = damped if flow.solvers.kind == "RKC" else SETTLED * distance
        local = shifted(flow.objective, flow.theta)
        self._recentre(flow.theta, local, flow.curvature, allowed / flow.rtol)

    def _recentre(self, center: np.ndarray, local: Objective, rate: float, grows: float | None = None) -> None:
        """Go on around ``center``, with tolerances relative to ``grows``, by default the distance that is left."""
        self.rate = rate
        self.rounding.step(self.flow.t, self.flow.theta, self.flow.theta)
        self.flow.recentre(center, local, self.flow.slope / rate if grows is None else grows)

    def _saddle_at(self, theta: np.ndarray) -> PassedSaddle | None:
        self.flow.n_hessians += 1
        try:
            return saddle_at(self.flow.objective, theta)
        except SpectrumNotConverged:
            return None
