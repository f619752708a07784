"""The training loss theta -> R(W(theta)) in closed form, for any problem and model."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from gflow.objective.modes import escape_modes
from gflow.objective.record import Array, LastPoint, Objective, shifted_argument
from gflow.objective.sampled import observed_hessian, sampled_loss

SPARSE_DENSITY = 0.1
"""Up to this fraction of observed entries products sampled there cost less than whole ones,"""
SPARSE_CELLS, DENSE_CELLS = 90_000, 50_000_000
"""unless the matrix has fewer entries than the first; above the second a dense matrix is never formed."""
BLOCKS = 100
"""Above this dimension the Hessian of a masked loss is put together from its blocks."""


def training_loss(problem: Any, model: Any) -> Objective:
    """Return the loss in the units of the problem; ``normalized`` is the same in its own unit."""
    composed = sampled_loss if _is_sampled(problem, model) else _composed
    if problem.unit == 1.0:
        return composed(problem, model)
    inner = composed(problem.normalized, model)
    return _in_units(inner, problem.unit, problem.unit ** (1.0 / model.degree))


def _composed(problem: Any, model: Any) -> Objective:
    """Return the loss of a problem whose unit is 1."""
    twice = 2.0 * problem.weight

    slope = LastPoint(lambda theta: problem.gradient(model.matrix(theta)))

    def hvp(theta: Array, v: Array) -> Array:
        if model.degree > 1 and not theta.any():  # W moves to second order only
            return model.bend(v, slope(theta))
        change = problem.curvature(model.tangent(theta, v))
        return model.pullback(theta, change) + model.bend(v, slope(theta))

    def hessian(theta: Array) -> Array:
        J = problem.measure(model.jacobian(theta))
        return twice * (J.T @ J) + model.bend_matrix(problem.gradient(model.matrix(theta)))

    def gradient(theta: Array) -> Array:
        return model.pullback(theta, problem.gradient(model.matrix(theta)))

    quick, curved, modes = gradient, hessian, None
    if _is_masked(problem, model):
        quick = model.masked_gradient(problem.curvature_mask, problem.curvature_mask * problem.values)
        if model.dim > BLOCKS and _of_one_class(model, ("jacobian", *MASKED_MODEL)):
            curved = partial(observed_hessian, problem, model)
            modes = partial(_modes, problem, model)

    return Objective(
        dim=model.dim,
        value=lambda theta: problem.risk(model.matrix(theta)),
        gradient=lambda theta: quick(theta) if theta.ndim == 1 else gradient(theta),
        hvp=hvp,
        hessian=curved,
        conserved=getattr(model, "conserved", None),
        deviation=lambda center: _deviation(problem, model, center),
        gauge_dimension=getattr(model, "gauge_dimension", None),
        lower_bound=0.0,
        broadcasts=True,
        escape_modes=modes,
        **_structure(problem, model, slope),
    )


def _structure(problem: Any, model: Any, slope: Any) -> dict[str, Any]:
    """Return what the objective says of its output, its columns and its symmetry."""
    return {
        "output": model.matrix,
        "columns": getattr(model, "stacked", None),
        "drive": (lambda theta: model.drive(slope(theta))) if hasattr(model, "drive") else None,
        "signature": getattr(model, "signature", None),
        "mirror": _mirror(problem, model),
    }


def _mirror(problem: Any, model: Any) -> Any:
    """Return the exchange of A and B^T where data and mask are symmetric, None elsewhere."""
    observed = getattr(problem, "observed", None)
    if observed is None or not hasattr(model, "mirror") or model.shape[0] != model.shape[1]:
        return None
    same = np.array_equal(observed, observed.T) and np.array_equal(problem.values, problem.values.T)
    return model.mirror if same else None


def _modes(problem: Any, model: Any, theta: Array) -> tuple[float, Array]:
    return escape_modes(problem.gradient(model.matrix(theta)), model, theta)


MASKED_PROBLEM = ("curvature_mask", "residual", "gradient", "curvature")
MASKED_MODEL = ("masked_gradient", "masked_deviation", "matrix", "pullback", "bend", "increment")
SAMPLED_PROBLEM = ("observed_product", "scattered", "density", "risk", "measure", "weight", *MASKED_PROBLEM)


def _is_masked(problem: Any, model: Any) -> bool:
    """Return whether problem and model offer the loss of a mask with less overhead.

    A subclass that redefines only part of it takes the general way.
    """
    return _of_one_class(problem, MASKED_PROBLEM) and _of_one_class(model, MASKED_MODEL)


def _is_sampled(problem: Any, model: Any) -> bool:
    """Return whether the loss is evaluated on the observed entries alone: these are few, or the matrix is large."""
    if not (_of_one_class(problem, SAMPLED_PROBLEM) and _of_one_class(model, ("factors", "conserved", *MASKED_MODEL))):
        return False
    return is_sparse(problem)


def is_sparse(problem: Any) -> bool:
    """Return whether arithmetic on the observed entries costs less than on whole matrices, or these are too large."""
    cells = problem.shape[0] * problem.shape[1]
    return cells > DENSE_CELLS or (cells >= SPARSE_CELLS and problem.density <= SPARSE_DENSITY)


def _of_one_class(thing: Any, names: tuple[str, ...]) -> bool:
    """Return whether one class defines all these attributes of ``thing``."""
    return _defined_together(type(thing), names)  # type: ignore[arg-type]


@lru_cache
def _defined_together(kind: type, names: tuple[str, ...]) -> bool:
    found = {next((cls for cls in kind.__mro__ if name in cls.__dict__), None) for name in names}
    return len(found) == 1 and None not in found


def _deviation(problem: Any, model: Any, center: Array) -> Objective:
    """Return the loss relative to a critical center, without cancellation (the vector field is a polynomial).

    The terms linear in delta, zero at a critical center, are left out: rounding of <grad f, delta> would hide the rest.
    """
    origin = np.array(center, dtype=float)
    G = problem.gradient(model.matrix(origin))
    offset = problem.risk(model.matrix(origin))
    base = _composed(problem, model)

    masked = _is_masked(problem, model)

    def value(delta: Array) -> Any:
        dW = model.increment(origin, delta)
        half = model.bend(delta, G)
        if delta.ndim > 1:
            square = np.einsum("...ij,...ij->...", problem.curvature(dW), dW)
            return (np.einsum("...i,...i->...", delta, half) + square) / 2
        change = problem.measure(dW)
        return float(delta @ half) / 2 + problem.weight * float(change @ change)

    def gradient(delta: Array) -> Array:
        change = problem.curvature(model.increment(origin, delta))
        return model.pullback(origin + delta, change) + model.bend(delta, G)

    quick = model.masked_deviation(origin, problem.curvature_mask, G) if masked else gradient

    return replace(
        base,
        value=value,
        gradient=lambda delta: quick(delta) if delta.ndim == 1 else gradient(delta),
        hvp=lambda delta, v: base.hvp(origin + delta, v),
        hessian=lambda delta: base.hessian(origin + delta),
        conserved=shifted_argument(base.conserved, origin),
        broadcasts=masked,
        escape_modes=None,
        output=None,
        columns=None,
        drive=None,
        signature=None,
        mirror=None,
        deviation=lambda shift: _deviation(problem, model, origin + shift),
        gauge_dimension=shifted_argument(base.gauge_dimension, origin),
        lower_bound=-offset,
    )


def _in_units(inner: Objective, unit: float, root: float) -> Objective:
    """Return theta -> unit^2 inner(theta / root): ``inner`` seen in the caller's units; ``root`` is exact."""
    slope, bend = unit * (unit / root), unit / root * (unit / root)

    def deviation(center: Array) -> Objective:
        assert inner.deviation is not None
        return _in_units(inner.deviation(center / root), unit, root)

    conserved = inner.conserved
    gauge = inner.gauge_dimension
    return Objective(
        dim=inner.dim,
        value=lambda theta: unit * (unit * inner.value(theta / root)),
        gradient=lambda theta: slope * inner.gradient(theta / root),
        hvp=lambda theta, v: bend * inner.hvp(theta / root, v),
        hessian=lambda theta: bend * inner.hessian(theta / root),
        conserved=None if conserved is None else (lambda theta: root * root * conserved(theta / root)),
        deviation=deviation,
        gauge_dimension=None if gauge is None else (lambda theta: gauge(theta / root)),
        lower_bound=None if inner.lower_bound is None else unit * (unit * inner.lower_bound),
        unit=unit,
        theta_unit=root,
        normalized=inner,
        mirror=inner.mirror,
    )
