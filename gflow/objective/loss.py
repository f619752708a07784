"""The training loss theta -> R(W(theta)): one kernel for every problem and every model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gflow.memory import require_memory
from gflow.models import Factorization, Model, TanhNetwork
from gflow.models.functions import LastPoint
from gflow.objective.bends import PolynomialBends, SmoothBends
from gflow.objective.dense import entrywise_gradient, entrywise_hessian, entrywise_product, entrywise_value
from gflow.objective.fused import FusedEntries, is_fused
from gflow.objective.modes import escape_modes
from gflow.objective.record import KEPT_DIM, Array, Objective, shifted_argument
from gflow.objective.sampled import EntriesModel, EntriesProblem, observed_hessian, product_hessian
from gflow.policy import DENSE_CELLS
from gflow.problems import MatrixCompletion, Problem, without_weights

SPARSE_DENSITY, UNCACHED_DENSITY = (0.1, 0.3), (0.3, 0.5)
"""Up to these fractions of observed entries products sampled there cost less than whole ones (10 to 15 ns an entry, 4
to 5 in compiled loops, and 1 to 2 or 3 to 5 ns a cell): of matrices that a cache holds, and of larger ones;"""
SPARSE_CELLS, CACHED_CELLS = 90_000, 1_000_000
"""unless the matrix has fewer entries than the first; a cache holds those with fewer than the second."""
BLOCKS = 100
"""Above this dimension the Hessian of a masked loss is put together from its blocks."""
DENSE_ARRAYS = 5
"""Arrays of the shape of the matrix that a loss by whole matrices holds: data, mask, and three at work."""
HERE = ("escape_modes", "output", "columns", "drive", "layers", "signature", "mirror")
"""Parts of an objective that are said of theta itself and not of a deviation from a center."""


def training_loss(problem: Problem, model: Model) -> Objective:
    """Return the loss in the units of the problem; ``normalized`` is the same in its own unit."""
    degree = getattr(model, "degree", None)
    if problem.unit == 1.0 or not degree:
        return _composed(problem, model)
    inner = _composed(problem.normalized, model)
    return _in_units(inner, problem.unit, problem.unit ** (1.0 / degree))


def _composed(problem: Problem, model: Any) -> Objective:
    """Return the loss in the units of theta, from the storage that costs least.

    A subclass may redefine anything, so only the classes themselves take the quick ways.
    """
    if not (type(problem) is MatrixCompletion and type(model) is Factorization and model.depth > 1):
        quick = partial(_departing, problem, model) if type(model) is TanhNetwork else None
        return Loss(problem, model, quick).objective(**_structure(problem, model))
    if model.depth > 2:
        return deep_loss(problem, model)
    return (sampled_loss if is_sparse(problem, is_fused(problem)) else masked_loss)(problem, model)


def masked_loss(problem: MatrixCompletion, model: Factorization) -> Objective:
    """Return the loss of W = A B on a mask by whole matrices; ``MemoryError`` if they do not fit into what is free."""
    d1, d2 = problem.shape
    require_memory(DENSE_ARRAYS * d1 * d2, f"arithmetic on whole {d1} x {d2} matrices")
    product = entrywise_product(problem, model) if model.dim < KEPT_DIM else None
    loss = Loss(problem, model, partial(entrywise_gradient, problem, model), product)
    parts = _structure(problem, model) | _pair(problem, model, loss.slope, large=model.dim > BLOCKS)
    if model.dim <= BLOCKS:
        parts |= {"value": entrywise_value(problem, model, loss.value), "hessian": entrywise_hessian(problem, model)}
    return loss.objective(**parts)


def sampled_loss(problem: MatrixCompletion, model: Factorization) -> Objective:
    """Return the loss of W = A B on a mask by the observed entries alone, in compiled loops where they pay."""
    loss = Loss(EntriesProblem(problem), EntriesModel(problem, model))
    fused = FusedEntries(problem, model) if is_fused(problem) else None
    slope = loss.slope if fused is None else fused.slope
    found = loss.objective(**_pair(problem, model, lambda theta: problem.scattered(slope(theta)), large=True))
    return found if fused is None else fused.objective(found)


def deep_loss(problem: MatrixCompletion, model: Factorization) -> Objective:
    """Return the loss of W1 ... WL on a mask, L > 2, by whole matrices or by the observed entries alone."""
    parts: dict[str, Any] = {"layers": model.factors}
    if model.dim > BLOCKS:
        parts["hessian"] = partial(product_hessian, problem, model)
    if not is_sparse(problem):
        return Loss(problem, model).objective(**(_structure(problem, model) | parts))
    return Loss(EntriesProblem(problem), EntriesModel(problem, model)).objective(**_known(model), **parts)


class Loss:
    """R(W(theta)) and its derivatives; times are not rescaled.

    Parameters
    ----------
    problem : Problem
    model : Model
        With all its parts.
    quick : (center or None, delta -> array) -> (delta -> array), optional
        The gradient relative to a center, with less overhead for single thetas than the general one.
    product : (theta, v) -> array, optional
        Hessian products of single thetas and vectors, likewise.
    """

    def __init__(
        self,
        problem: Problem,
        model: Model,
        quick: Callable[..., Callable[[Array], Array]] | None = None,
        product: Callable[[Array, Array], Array] | None = None,
    ):
        self.problem, self.model, self.quick, self.product = problem, model, quick, product
        self.degree = getattr(model, "degree", None)
        self.slope = LastPoint(lambda theta: problem.gradient(model.output(theta)), KEPT_DIM)

    def value(self, theta: Array) -> Any:
        """Return R(W)."""
        return self.problem.risk(self.model.output(theta))

    def gradient(self, theta: Array) -> Array:
        """Return the pullback of dR/dW."""
        return self.model.pullback(theta, self.problem.gradient(self.model.output(theta)))

    def hvp(self, theta: Array, v: Array) -> Array:
        """Return the Hessian times v: the Gauss-Newton part and the bend of the model under dR/dW."""
        if self.product is not None and theta.ndim == v.ndim == 1:
            return self.product(theta, v)
        curved = self.model.bend(theta, v, self.slope(theta))
        if self.degree and self.degree > 1 and not theta.any():  # W moves to second order only
            return curved
        return self.model.pullback(theta, self.problem.curvature(self.model.tangent(theta, v))) + curved

    def hessian(self, theta: Array) -> Array:
        """Return 2 weight J^T J for the Jacobian J of the measurements, and the matrix of the bend."""
        J = self.problem.measure(self.model.jacobian(theta))
        return 2.0 * self.problem.weight * (J.T @ J) + self.model.bend_matrix(theta, self.slope(theta))

    def objective(self, **parts: Any) -> Objective:
        """Return the kernel as an objective; ``parts`` are added or replace what is here."""
        ours: dict[str, Any] = {
            "value": self.value,
            "hessian": self.hessian,
            "conserved": getattr(self.model, "conserved", None),
            "gauge_dimension": getattr(self.model, "gauge_dimension", None),
            "output": self.model.output,
        }
        base = Objective(
            dim=self.model.dim,
            gradient=self.gradient if self.quick is None else self.quick(None, self.gradient),
            hvp=self.hvp,
            lower_bound=0.0,
            broadcasts=getattr(self.model, "broadcasts", False),
            **(ours | parts),
        )
        return replace(base, deviation=lambda center: self.deviation(base, center))

    def deviation(self, base: Objective, center: Array) -> Objective:
        """Return the loss relative to a critical center, without cancellation.

        With dW = W(center + delta) - W(center) and G = dR/dW at the center the loss rises by <G, dW - J delta> and the
        risk of dW; the first is the integral of the bend along the step. The terms linear in delta, zero at a critical
        center, are left out: rounding of <grad f, delta> would hide the rest.
        """
        origin = np.array(center, dtype=float)
        problem, model, axes = self.problem, self.model, len(self.model.shape)
        way = (PolynomialBends if self.degree else SmoothBends)(model, origin, self.slope(origin))
        absent: dict[str, Any] = dict.fromkeys(HERE)

        def value(delta: Array) -> Any:
            dW = model.increment(origin, delta)
            change = np.sum(problem.curvature(dW) * dW, axis=tuple(range(-axes, 0)))
            risen = way.risen(delta, dW) + change / 2
            return float(risen) if delta.ndim == 1 else risen

        def gradient(delta: Array) -> Array:
            change = problem.curvature(model.increment(origin, delta))
            return model.pullback(origin + delta, change) + way.turned(delta)

        return replace(
            base,
            value=value,
            gradient=gradient if self.quick is None else self.quick(origin, gradient),
            hvp=lambda delta, v: base.hvp(origin + delta, v),
            hessian=lambda delta: base.hessian(origin + delta),
            conserved=shifted_argument(base.conserved, origin),
            deviation=lambda shift: self.deviation(base, origin + shift),
            gauge_dimension=shifted_argument(base.gauge_dimension, origin),
            lower_bound=-self.value(origin),
            broadcasts=self.quick is not None or (base.broadcasts and hasattr(model, "turn")),
            **absent,
        )


def _departing(
    problem: Problem, model: TanhNetwork, center: Array | None, general: Callable[[Array], Array]
) -> Callable[[Array], Array]:
    """Return the gradient, or the one relative to a center, of a model that shares the work of its parts."""
    if center is None:
        return general
    quick = model.departing(center, problem.gradient(model.output(center)), problem.curvature)
    return lambda delta: quick(delta) if delta.ndim == 1 else general(delta)


def _structure(problem: Any, model: Any) -> dict[str, Any]:
    """Return what the objective says of its columns and its symmetry."""
    if not hasattr(model, "drive") or getattr(model, "degree", None) != 2:
        return {"mirror": _mirror(problem, model), "layers": _layers(model)}
    return {
        "columns": model.stacked,
        "drive": lambda theta: model.drive(problem.gradient(model.output(theta))),
        "signature": getattr(model, "signature", None),
        "mirror": _mirror(problem, model),
    }


def _known(model: Any) -> dict[str, Any]:
    """Return what a model of the observed entries alone does not say."""
    return {"conserved": model.conserved, "gauge_dimension": model.gauge_dimension}


def _layers(model: Any) -> Any:
    """Return the map from theta to the factors of a product of more than two of them, None for other models."""
    return model.factors if isinstance(model, Factorization) and model.depth > 2 else None


def _pair(problem: Any, model: Any, slope: Callable[[Array], Any], large: bool) -> dict[str, Any]:
    """Return what is known of W = A B on a mask: its columns and, where these are large, Hessian and escape modes."""
    parts: dict[str, Any] = {
        "columns": model.stacked,
        "drive": lambda theta: model.drive(slope(theta)),
        "signature": model.signature,
    } | _known(model)
    if large:
        parts["hessian"] = partial(observed_hessian, problem, model)
        parts["escape_modes"] = lambda theta: escape_modes(slope(theta), model, theta)
    return parts


def _mirror(problem: Any, model: Any) -> Any:
    """Return the exchange of A and B^T where data, mask and weights are symmetric, None elsewhere."""
    seen = without_weights(problem)
    observed = getattr(problem, "weight_matrix", getattr(seen, "observed", None))
    if observed is None or not hasattr(model, "mirror") or model.shape[0] != model.shape[1]:
        return None
    same = np.array_equal(observed, observed.T) and np.array_equal(seen.values, seen.values.T)
    return model.mirror if same else None


def is_sparse(problem: Any, fused: bool = False) -> bool:
    """Return whether arithmetic on the observed entries costs less than on whole matrices, or these are too large.

    ``fused`` arithmetic is that of compiled loops, two to four times as fast.
    """
    cells = problem.shape[0] * problem.shape[1]
    least = (SPARSE_DENSITY if cells < CACHED_CELLS else UNCACHED_DENSITY)[fused]
    return cells > DENSE_CELLS or (cells >= SPARSE_CELLS and problem.density <= least)


def _in_units(inner: Objective, unit: float, root: float) -> Objective:
    """Return theta -> unit^2 inner(theta / root): ``inner`` seen in the caller's units."""
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
        broadcasts=inner.broadcasts,
        unit=unit,
        theta_unit=root,
        normalized=inner,
        mirror=inner.mirror,
    )
