"""Starts that a symmetry of the objective leaves in place: the flow keeps them, rounding would not.

For symmetric data the loss of W = A B does not change when A and B^T are exchanged. A start with A = B^T, or A = -B^T,
keeps that for ever, so W = +-U U^T and the sign of its eigenvalues never changes. In the coordinates of all parameters
rounding errors leave this set, grow, and are reported as an escape; in those of U there is nothing to leave. More
factors are reversed and transposed: one in the middle becomes its own transpose, whose diagonal stays in place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gflow.critical import SpectrumNotConverged
from gflow.flow.saddles import saddle_at
from gflow.flow.trajectory import Plateau, Status, Trajectory

if TYPE_CHECKING:
    from gflow.objective import Objective

Array = np.ndarray
OVER = "the gradient vanished"
SAME_SLOPE = 1e-6
"""The gradient and its image are one if they differ by no more than this fraction of it."""


class Fold:
    """The subspace of parameters that the mirror maps to ``sign`` times themselves, in orthonormal coordinates.

    Parameters
    ----------
    mirror : theta -> theta
        A linear involution that permutes parameters.
    sign : float
    dim : int
        The number of parameters.
    """

    def __init__(self, mirror: Callable[[Array], Array], sign: float, dim: int) -> None:
        places = np.rint(mirror(np.arange(dim, dtype=float))).astype(int)
        self.first = np.nonzero(np.arange(dim) < places)[0]
        self.second, self.sign, self.dim = places[self.first], sign, dim
        self.kept = np.nonzero(places == np.arange(dim))[0] if sign > 0 else np.zeros(0, dtype=int)
        self.size = len(self.first) + len(self.kept)

    def embed(self, x: Array) -> Array:
        """Return theta, shape (..., dim), for coordinates of shape (..., size)."""
        theta, pairs = np.zeros((*x.shape[:-1], self.dim)), len(self.first)
        theta[..., self.first] = x[..., :pairs] * np.sqrt(0.5)
        theta[..., self.second] = self.sign * theta[..., self.first]
        theta[..., self.kept] = x[..., pairs:]
        return theta

    def project(self, theta: Array) -> Array:
        """Return the coordinates of the part of theta in the subspace."""
        pairs = (theta[..., self.first] + self.sign * theta[..., self.second]) * np.sqrt(0.5)
        return np.concatenate([pairs, theta[..., self.kept]], axis=-1)

    def objective(self, full: Objective) -> Objective:
        """Return the objective on the subspace."""
        optional: dict[str, Any] = dict.fromkeys(("conserved", "gauge_dimension", "escape_modes", "mirror"))
        optional |= dict.fromkeys(("columns", "drive", "signature"))
        deviation, output, normalized, layers = full.deviation, full.output, full.normalized, full.layers
        return replace(
            full,
            dim=self.size,
            value=lambda x: full.value(self.embed(x)),
            gradient=lambda x: self.project(full.gradient(self.embed(x))),
            hvp=lambda x, v: self.project(full.hvp(self.embed(x), self.embed(v))),
            hessian=lambda x: self.project(self.project(full.hessian(self.embed(x))).T).T,
            deviation=None if deviation is None else (lambda center: self.objective(deviation(self.embed(center)))),
            output=None if output is None else (lambda x: output(self.embed(x))),
            layers=None if layers is None else (lambda x: layers(self.embed(x))),
            normalized=None if normalized is None else self.objective(normalized),
            **optional,
        )

    def unfolded(self, path: Trajectory, full: Objective) -> Trajectory:
        """Return the trajectory of all parameters; one that rests at a saddle of theirs has not converged."""
        stays = tuple(Plateau(p.loss, p.start, p.end, self.embed(p.theta)) for p in path.plateaus)
        drift = None if full.conserved is None else 0.0
        path = replace(path, states=self.embed(path.states), plateaus=stays, conservation_drift=drift)
        if path.status != Status.CONVERGED or not path.message.startswith(OVER):
            return path
        inner = full.normalized or full
        try:
            saddle = saddle_at(inner, path.final / full.theta_unit)
        except SpectrumNotConverged:
            return path
        if not saddle.rates.size:
            return path
        said = "the gradient vanished at a saddle that a start of this symmetry never leaves: only rounding could"
        return replace(path, status=Status.ROUNDOFF, message=said)


def fold_of(objective: Objective, start: Array) -> Fold | None:
    """Return the subspace in which the mirror of the objective keeps the flow from ``start``, None if there is none."""
    if objective.mirror is None or not start.any():
        return None
    image, slope = objective.mirror(start), objective.gradient(start)
    turned = objective.mirror(slope)
    for sign in (1.0, -1.0):  # of an odd number of factors, the second is no symmetry of the loss
        unlike = np.linalg.norm(turned - sign * slope) > SAME_SLOPE * np.linalg.norm(slope)
        if np.array_equal(image, sign * start) and not unlike:
            return Fold(objective.mirror, sign, objective.dim)
    return None
