"""A smooth function on R^n with its derivatives: the one thing that every algorithm takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """A smooth function on R^n; ``theta`` is always a flat array of shape (dim,).

    Parameters
    ----------
    dim : int
    value : theta -> float
    gradient : theta -> (dim,) array
    hvp : (theta, v) -> (dim,) array
        The Hessian at theta times v.
    hessian : theta -> (dim, dim) array
    conserved : theta -> array, optional
        A quantity that is constant along the gradient flow; its drift gauges an integration.
    deviation : center -> Objective, optional
        The function delta -> f(center + delta) - f(center), evaluated without cancellation and with the gradient
        at the center set to zero. ``around`` is the safe way to call it.
    gauge_dimension : theta -> int, optional
        Dimension of the symmetry orbit of theta: a lower bound on the zero modes of the Hessian at a critical point.
    lower_bound : float, optional
        A known lower bound of f; a critical point that attains it is a global minimum.
    unit, theta_unit : float
        Natural sizes of W and of theta: f is of order unit^2, its gradient of order unit^2 / theta_unit and times
        of order (theta_unit / unit)^2. For a problem, unit is max|M| rounded to a power of four.
    normalized : Objective, optional
        The same function in its own unit; algorithms work on it and scale back.
    broadcasts : bool
        Whether value, gradient and conserved accept leading axes of theta.
    """

    dim: int
    value: Callable[[Array], float]
    gradient: Callable[[Array], Array]
    hvp: Callable[[Array, Array], Array]
    hessian: Callable[[Array], Array]
    conserved: Callable[[Array], Array] | None = None
    deviation: Callable[[Array], Objective] | None = None
    gauge_dimension: Callable[[Array], int] | None = None
    lower_bound: float | None = None
    unit: float = 1.0
    theta_unit: float = 1.0
    normalized: Objective | None = None
    broadcasts: bool = False

    @staticmethod
    def of(problem: Any, model: Any) -> Objective:
        """Return the training loss theta -> R(W(theta)) in closed form.

        Parameters
        ----------
        problem : MatrixCompletion or another problem with ``measure``, ``adjoint``, ``gradient`` and ``curvature``
        model : Factorization, DirectMatrix or another model

        Raises
        ------
        ValueError
            If the shapes of problem and model differ.

        Scales as s^2 with theta as sqrt(s) when M is multiplied by s. Bai et al. 2024, section 3.
        """
        if tuple(problem.shape) != tuple(model.shape):
            raise ValueError(f"problem and model must have the same shape; got {problem.shape} and {model.shape}")
        if problem.unit == 1.0:
            return _composed(problem, model)
        inner = _composed(problem.normalized, model)
        return _in_units(inner, problem.unit, problem.unit ** (1.0 / model.degree))

    @staticmethod
    def autodiff(function: Callable[[Array], Any], dim: int, lower_bound: float | None = None) -> Objective:
        """Return ``function`` with derivatives by reverse-mode automatic differentiation (HIPS autograd).

        Parameters
        ----------
        function : theta -> scalar
            Written with ``autograd.numpy`` and smooth.
        dim : int
        lower_bound : float, optional
            A known lower bound of the function.
        """
        import autograd

        hvp = autograd.hessian_vector_product(function)
        gradient = autograd.grad(function)
        hessian = autograd.hessian(function)
        return Objective(
            dim=dim,
            value=lambda theta: float(function(_vector(theta, dim))),
            gradient=lambda theta: gradient(_vector(theta, dim)),
            hvp=lambda theta, v: hvp(_vector(theta, dim), _vector(v, dim)),
            hessian=lambda theta: hessian(_vector(theta, dim)).reshape(dim, dim),
            lower_bound=lower_bound,
        )

    @property
    def time_unit(self) -> float:
        """Return the natural unit of time of the gradient flow, (theta_unit / unit)^2."""
        return (self.theta_unit / self.unit) ** 2

    def around(self, center: Array) -> Objective:
        """Return delta -> f(center + delta) - f(center), exact to rounding of delta where ``deviation`` is given.

        The center is taken as critical: the slope of f there is left out of value and gradient, which vanish at
        delta = 0. Without ``deviation`` the differences are formed by subtraction, with an absolute error of a
        rounding unit of f(center).
        """
        if self.deviation is not None:
            return self.deviation(center)
        origin = np.array(center, dtype=float)
        value, gradient = self.value(origin), self.gradient(origin)
        return replace(
            self,
            value=lambda delta: self.value(origin + delta) - value - float(gradient @ delta),
            gradient=lambda delta: self.gradient(origin + delta) - gradient,
            hvp=lambda delta, v: self.hvp(origin + delta, v),
            hessian=lambda delta: self.hessian(origin + delta),
            gauge_dimension=_shifted(self.gauge_dimension, origin),
            conserved=_shifted(self.conserved, origin),
            lower_bound=None if self.lower_bound is None else self.lower_bound - value,
            normalized=None,
            broadcasts=False,
        )

    def __repr__(self) -> str:
        return f"Objective(dim={self.dim}, unit={self.unit:g})"


def _vector(theta: Array, dim: int) -> Array:
    array = np.asarray(theta, dtype=float)
    if array.shape != (dim,):
        raise ValueError(f"theta must have shape ({dim},); got {array.shape}")
    return array


def _shifted(function: Callable[[Array], Any] | None, origin: Array) -> Callable[[Array], Any] | None:
    return None if function is None else (lambda delta: function(origin + delta))


def _composed(problem: Any, model: Any) -> Objective:
    """Return the loss of a problem whose unit is 1."""
    twice = 2.0 * problem.weight

    def hvp(theta: Array, v: Array) -> Array:
        change = problem.curvature(model.tangent(theta, v))
        return model.pullback(theta, change) + model.bend(v, problem.gradient(model.matrix(theta)))

    def hessian(theta: Array) -> Array:
        J = problem.measure(model.jacobian(theta))
        return twice * (J.T @ J) + model.bend_matrix(problem.gradient(model.matrix(theta)))

    def gradient(theta: Array) -> Array:
        return model.pullback(theta, problem.gradient(model.matrix(theta)))

    quick = gradient
    if _is_masked(problem, model):
        quick = model.masked_gradient(problem.curvature_mask, problem.curvature_mask * problem.values)

    return Objective(
        dim=model.dim,
        value=lambda theta: problem.risk(model.matrix(theta)),
        gradient=lambda theta: quick(theta) if theta.ndim == 1 else gradient(theta),
        hvp=hvp,
        hessian=hessian,
        conserved=getattr(model, "conserved", None),
        deviation=lambda center: _deviation(problem, model, center),
        gauge_dimension=getattr(model, "gauge_dimension", None),
        lower_bound=0.0,
        broadcasts=True,
    )


MASKED_PROBLEM = ("curvature_mask", "residual", "gradient", "curvature")
MASKED_MODEL = ("masked_gradient", "masked_deviation", "matrix", "pullback", "bend", "increment")


def _is_masked(problem: Any, model: Any) -> bool:
    """Return whether problem and model offer the loss of a mask with less overhead.

    A subclass that redefines only part of it takes the general way.
    """

    def together(cls: type, names: tuple[str, ...]) -> bool:
        return len({next((c for c in cls.__mro__ if name in c.__dict__), name) for name in names}) == 1

    return together(type(problem), MASKED_PROBLEM) and together(type(model), MASKED_MODEL)


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
        conserved=_shifted(base.conserved, origin),
        broadcasts=masked,
        deviation=lambda shift: _deviation(problem, model, origin + shift),
        gauge_dimension=_shifted(base.gauge_dimension, origin),
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
    )
