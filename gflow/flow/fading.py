"""The end of a flow in a valley of fourth order, where columns of Z = [A; B^T] fade that are no part of W any more.

Let W be met exactly by some columns, and let the others be small. The large ones settle exponentially; once they have,
the loss is a form r >= 0 of degree four in the small ones, x' = -grad r, and Euler's identity x . grad r = 4 r makes
(|x|^2)' = -8 r: they never grow again, the loss falls like 1 / t^2 at most, and W stays as near to the completion of
the large columns as their squares. A run to infinity meets none of this: no completion is near, and columns grow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.flow.trajectory import Ending, Status

if TYPE_CHECKING:
    from gflow.flow.centred import Centred
    from gflow.objective import Objective

SMALL = 1e-5
"""Squares of singular values of Z up to this fraction of the largest belong to columns that may fade, and W may move by
no more than this, relative to its largest entry, for that to be an end."""
LOW_SLOPE, LOW_LOSS = 1e-6, 1e-8
"""No valley is looked for before the slope, relative to the largest one, and the loss have fallen to these."""
LATER = 2.0
"""Times between two looks grow by this factor."""
GRADIENTS = {"RKC": 1.54e-3, "DOP853": 2.0, "RK45": 1.8}
"""Fewest gradients of explicit steps over a time of 1 / curvature: stages, at most 1000, over the longest step."""
BEYOND_BUDGET = 2.0
"""That many times the budget must be needed for the loss to reach its tolerance at its present rate."""
NEWTON_STEPS, PRODUCTS, CG_TOL = 6, 500, 1e-4
"""Newton steps to the completion by large columns, products of each, and the accuracy of its linear system."""
NEAR = 1e-2
"""The completion lies within this distance, relative to the state."""
EULER = 0.5
"""By how much of it (|x|^2)' may miss -8 r."""


@dataclass(frozen=True)
class Valley:
    """What fades around a completion of rank ``rank``; W stays within ``error`` of what it is, in its own unit."""

    rank: int
    error: float


def valley(objective: Objective, theta: np.ndarray, loss_tol: float) -> Valley | None:
    """Return what fades at ``theta``, shape (dim,); None where columns grow, have not settled, or W may move far.

    The error is one to leading order in the squares of the small columns: their response is measured on those there
    are, and others of the same size may ask for twice as much. The large columns alone must meet the data within
    ``loss_tol``, or what is too small to be learned yet may be at work. In the objective's own unit.
    """
    columns, drive, output = objective.columns, objective.drive, objective.output
    above = objective.value(theta) - (objective.lower_bound or 0.0)
    if columns is None or drive is None or output is None or (W := output(theta)).ndim != 2:
        return None
    Z = columns(theta)
    sizes, frame = np.linalg.svd(Z, full_matrices=False)[1:]
    rank = int(np.sum(sizes**2 > SMALL * sizes[0] ** 2))
    faded = Z @ frame[rank:].T
    size = float(np.sum(faded**2))
    change = 2.0 * float(np.sum(faded * drive(theta)(faded)))
    if not abs(change + 8.0 * above) <= 8.0 * EULER * above:
        return None
    trimmed = _theta(columns, (Z @ frame[:rank].T) @ frame[:rank], objective.dim)
    met = None if trimmed is None else _completion(objective, trimmed, loss_tol)
    if trimmed is None or met is None or float(np.linalg.norm(met - theta)) > NEAR * float(np.linalg.norm(theta)):
        return None
    apart, part = float(np.abs(W - output(met)).max()), float(np.linalg.norm(W - output(trimmed)))
    error = apart * (1.0 + size / part) if part > 0.0 else np.inf
    return Valley(rank, error) if error <= SMALL * float(np.abs(W).max()) else None


def _theta(columns: Callable[[np.ndarray], np.ndarray], Z: np.ndarray, dim: int) -> np.ndarray | None:
    """Return the theta of these columns, None unless they are its entries in another order."""
    places, theta = columns(np.arange(float(dim))), np.empty(dim)
    if not np.array_equal(np.sort(places, axis=None), np.arange(dim)):
        return None
    theta[places.astype(int)] = Z
    return theta


def _completion(objective: Objective, theta: np.ndarray, enough: float) -> np.ndarray | None:
    """Return where Newton steps from ``theta`` end, within its columns, if the loss left there is small enough."""
    from scipy.sparse.linalg import LinearOperator, cg

    floor, shape = objective.lower_bound or 0.0, (objective.dim, objective.dim)
    for _ in range(NEWTON_STEPS):
        if objective.value(theta) - floor <= enough:
            return theta
        here = theta
        hessian = LinearOperator(shape, matvec=lambda v: objective.hvp(here, np.ravel(v)), dtype=np.dtype(float))  # noqa: B023
        theta = here + cg(hessian, -objective.gradient(here), rtol=CG_TOL, maxiter=PRODUCTS)[0]
    return None


class Fading:
    """Ends a flow whose budget would be spent in a valley; all in the objective's own unit.

    Parameters
    ----------
    flow : Centred
    unit : float
    loss_tol, max_evaluations : as for ``gradient_flow``

    Attributes
    ----------
    error : float
        How far W may still move where it has ended the flow, else 0.
    """

    def __init__(self, flow: Centred, unit: float, limits: dict[str, Any]) -> None:
        self.flow, self.unit, self.limits = flow, unit, limits
        self.highest, self.next, self.error = flow.slope, 0.0, 0.0

    @property
    def may_end(self) -> bool:
        """Return whether the steps are explicit ones, of which a valley asks so many."""
        return self.flow.solvers.kind in GRADIENTS

    def __call__(self) -> Ending | None:
        """Return that only a valley is left, or None."""
        flow = self.flow
        self.highest = max(self.highest, flow.slope)
        if flow.t < self.next or not 0.0 < flow.slope <= LOW_SLOPE * self.highest:
            return None
        loss = flow.objective.value(flow.theta)
        if not self.is_hopeless(loss - (flow.objective.lower_bound or 0.0)):
            return None
        self.next = LATER * flow.t
        flow.n_hessians += 1
        found = valley(flow.objective, flow.theta, self.limits["loss_tol"])
        if found is None:
            return None
        self.error = found.error * self.unit
        said = f"the loss, {loss * self.unit**2:.3g}, falls like a power of time: what fades beside rank {found.rank}"
        return Status.CONVERGED, f"{said} moves W by {self.error:.2g} at most"

    def is_hopeless(self, above: float) -> bool:
        """Return whether a loss that much above its bound, falling like 1 / t^2, would spend the budget twice."""
        flow, tol = self.flow, self.limits["loss_tol"]
        kind = flow.solvers.kind
        if not isinstance(kind, str) or kind not in GRADIENTS or not tol < above <= LOW_LOSS:
            return False
        time = 2.0 * (np.sqrt(above / tol) - 1.0) * above / flow.slope**2
        rate = flow.solver.steps.rho if kind == "RKC" else flow.curvature
        needed = flow.n_gradients + GRADIENTS[kind] * rate * time
        return bool(needed > BEYOND_BUDGET * self.limits["max_evaluations"])
