"""The loss along a line, a polynomial of degree four for every factorised model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gflow.policy import EPS

if TYPE_CHECKING:
    from gflow.objective import Objective


@dataclass(frozen=True, slots=True)
class Quartic:
    """The polynomial c1 s + c2 s^2 + c3 s^3 + c4 s^4."""

    c1: float
    c2: float
    c3: float
    c4: float

    def __call__(self, s: float) -> float:
        """Return the value at s."""
        return s * (self.c1 + s * (self.c2 + s * (self.c3 + s * self.c4)))

    def minimiser(self, longest: float) -> float:
        """Return the s in (0, longest] of least value: a root of the cubic derivative, or the end."""
        scaled = np.array([4 * self.c4 * longest**3, 3 * self.c3 * longest**2, 2 * self.c2 * longest, self.c1])
        kept = np.flatnonzero(np.abs(scaled) > EPS * np.abs(scaled).max())
        roots = np.roots(scaled[kept[0] :])
        real = roots.real[(np.abs(roots.imag) <= 1e-6 * np.abs(roots)) & (roots.real > 0) & (roots.real < 1)]
        return min((longest * float(s) for s in (*real, 1.0)), key=self)


def quartic_along(
    objective: Objective, theta: np.ndarray, direction: np.ndarray, reach: float, slope: float | None = None
) -> Quartic:
    """Return f(theta + s direction) - f(theta) as a polynomial in s, for an objective of degree four.

    Parameters
    ----------
    objective : Objective
    theta, direction : (dim,) arrays
    reach : float
        The values at s = reach and s = -reach give c3 and c4, in the deviation form and so without cancellation;
        c1 and c2 come from the gradient and from a Hessian-vector product. The errors of all terms are rounding
        errors of the largest at s = reach.
    slope : float, optional
        <grad f, direction> at theta, where it is known.
    """
    slope = float(objective.gradient(theta) @ direction) if slope is None else slope
    bend = float(direction @ objective.hvp(theta, direction)) / 2
    local = objective.around(theta)
    forth, back = (local.value(s * direction) for s in (reach, -reach))
    even = (forth + back) / 2 - bend * reach**2
    return Quartic(slope, bend, (forth - back) / 2 / reach**3, even / reach**4)
