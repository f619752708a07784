"""How a dynamics ends, each way in one sentence: the list that flow, graded flow, descent and orbits share."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from gflow.flow.trajectory import Ending, Status

if TYPE_CHECKING:
    from gflow.objective import Objective

CURVATURE_GROWTH = 1e6
"""The curvature along a trajectory is taken to stay below this many times the largest one met."""

STOPPED: Ending = Status.HORIZON, "the callback asked to stop"
T_END: Ending = Status.HORIZON, "t_end was reached"
MINIMUM: Ending = Status.CONVERGED, "the gradient vanished where the Hessian has no negative eigenvalue"
EXACTLY_ZERO: Ending = (
    Status.ROUNDOFF,
    "the gradient is exactly zero at a strict saddle: only rounding could leave it",
)
ROUNDED: Ending = Status.ROUNDOFF, "the slope has fallen to rounding errors"


def loss_reached(loss: float) -> Ending:
    """Return that the loss is within its tolerance of its lower bound; ``loss`` in the caller's units."""
    return Status.CONVERGED, f"the loss reached {loss:.3g}"


def passed(size: float, what: str = "|theta|") -> Ending:
    """Return that a norm has passed its limit; ``size`` in the caller's units."""
    return Status.DIVERGING, f"{what} passed {size:.3g}"


def passed_in_vain(size: float) -> Ending:
    """Return that |theta| is so large that nothing more can be learned."""
    return Status.DIVERGING, f"{passed(size)[1]} and the gradient fell below its rounding errors"


def spent(gradients: int, allowed: int) -> Ending:
    """Return that the budget of gradients is used up."""
    return Status.BUDGET, f"{gradients} gradients were evaluated; allowed {allowed}"


def steepest(objective: Objective, curvature: float, loss_tol: float) -> float:
    """Return the largest gradient norm where the loss may be within ``loss_tol`` of its lower bound, -1 without one.

    f - floor >= |grad f|^2 / (2 L) with L a bound of the curvature.
    """
    return -1.0 if objective.lower_bound is None else sqrt(2 * CURVATURE_GROWTH * curvature * loss_tol)


def small_loss(objective: Objective, theta: np.ndarray, loss_tol: float, unit: float) -> Ending | None:
    """Return that the loss at ``theta`` is within ``loss_tol`` of its lower bound, or None.

    All in the objective's own unit, ``unit``. To be asked where the gradient is no steeper than ``steepest``.
    """
    loss, floor = objective.value(theta), objective.lower_bound
    return loss_reached(loss * unit**2) if floor is not None and loss - floor <= loss_tol else None
