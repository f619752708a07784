"""What errors are judged on, and what an integration knows of those it has made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gflow.flow.record import Units
    from gflow.objective import Objective

STEPS = 100.0
"""The tolerances of the steps are taken to add up to so many of them."""
LARGEST_SETTLED = 300
"""Largest dimension at which an end is asked whether it forgets the way to it."""
FLAT, SETTLED = 1e-8, 1e-3
"""Eigenvalues of the Hessian that vanish, relative to the largest one, and rates of the output along them that do,
relative to |theta|."""


class Output:
    """What errors are judged on: the model's output W, or theta where an objective names none.

    ``objective`` is in its own unit, and ``units`` are those of theta, time and W in the caller's.
    """

    def __init__(self, objective: Objective, units: Units) -> None:
        self.function, self.hessian, self.theta_unit = objective.output, objective.hessian, units[0]
        self.unit = units[0] if self.function is None else units[2]

    def at(self, theta: np.ndarray) -> np.ndarray:
        """Return the output at theta, both in the caller's units."""
        inner = theta / self.theta_unit
        return self.unit * (inner if self.function is None else self.function(inner))

    def size(self, theta: np.ndarray) -> float:
        """Return the largest entry of the output, at least its unit."""
        return max(self.unit, float(np.abs(self.at(theta)).max()))

    def is_settled(self, theta: np.ndarray) -> bool:
        """Return whether a minimum has no other one nearby with another output: its end forgets the way to it.

        The directions in which the Hessian vanishes must leave the output alone, to first order.
        """
        if self.hessian is None or self.function is None or len(theta) > LARGEST_SETTLED:
            return False
        inner = theta / self.theta_unit
        values, vectors = np.linalg.eigh(self.hessian(inner))
        flat = vectors[:, np.abs(values) <= FLAT * float(np.abs(values).max())]
        here, step = self.function(inner), np.sqrt(FLAT) * max(float(np.linalg.norm(inner)), 1.0)
        moved = [float(np.abs(self.function(inner + step * v) - here).max()) / step for v in flat.T]
        return max(moved, default=0.0) <= SETTLED * float(np.linalg.norm(inner))


def missed(output: Output, theta: np.ndarray, steps: float, rtol: float) -> float:
    """Return what steps too long for hidden columns have changed at the end ``theta``, which may forget its way."""
    return steps * (SETTLED if steps > STEPS * rtol and output.is_settled(theta) else 1.0)


@dataclass(frozen=True)
class Doubts:
    """What an integration knows of its errors at ``theta``, its end, in the caller's units as all of ``output``.

    Attributes
    ----------
    rtol : float
    rounding : float or None
        By how much rounding, or steps too long for it, changed a column that became large; None if nothing is known.
    missed : float
        What steps too long for hidden columns have changed, relative to the output: an end may forget it.
    escaped : bool
        Whether a saddle was left;
    blind : bool
        and nothing can be known of the rounding errors in that.
    hidden : float
        How far the conserved quantity has drifted outside the channels of a product of more than two factors.
    stopped : bool
        Whether the callback asked to stop.
    """

    output: Output
    theta: np.ndarray
    rtol: float
    rounding: float | None
    missed: float
    escaped: bool
    blind: bool
    hidden: float
    stopped: bool

    def error(self, drift: float | None, rise: float) -> float | None:
        """Return the error at the end that the gauges suggest, None where it is not known."""
        if self.rounding is None and self.escaped:
            return None
        relative = min(1.0, (self.rounding or 0.0) + (drift or 0.0) + rise + STEPS * self.rtol + self.missed)
        return relative * self.output.size(self.theta)
