"""A smooth function on R^n with its derivatives: the one thing that every algorithm takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gflow.models import Factorization, Model, completed
from gflow.objective.derivatives import BACKENDS
from gflow.problems import Problem, as_problem

Array = np.ndarray
KEPT_DIM = 1000
"""Above this dimension the slope in W-space is kept from one Hessian product to the next at the same point."""


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
    escape_modes : theta -> (bound, modes), optional
        An upper bound of the eigenvalues of -H, and a (dim, m) array of orthonormal candidates for its eigenvectors
        with the largest of them near a critical point: they spare an iteration for the lowest eigenvalues of H.
    output : theta -> array, optional
        What the parameters are for, W(theta): errors are judged there.
    columns, drive : theta -> (m, r) array, theta -> linear map of such arrays, optional
        For a factorised model, whose flow is Z' = drive(theta)(Z) with Z = columns(theta): what is too small to change
        the output, rounding errors included, moves likewise.
    layers : theta -> (W1, ..., WL), optional
        For a product of more than two factors; leading axes of theta are kept.
    signature : (m,) array, optional
        Signs s with Z^T diag(s) Z constant along the flow.
    mirror : theta -> theta, optional
        A permutation of the parameters, its own inverse, that leaves the function unchanged and none of them in place.
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
    escape_modes: Callable[[Array], tuple[float, Array]] | None = None
    output: Callable[[Array], Array] | None = None
    columns: Callable[[Array], Array] | None = None
    drive: Callable[[Array], Callable[[Array], Array]] | None = None
    layers: Callable[[Array], tuple[Array, ...]] | None = None
    signature: Array | None = None
    mirror: Callable[[Array], Array] | None = None

    @staticmethod
    def of(problem: Problem, model: Model) -> Objective:
        """Return the training loss theta -> R(W(theta)); in closed form as far as the model gives its derivatives.

        Parameters
        ----------
        problem : MatrixCompletion, MatrixSensing or another ``gflow.Problem``, or a matrix with NaN
        model : Factorization, DirectMatrix or another ``gflow.Model``
            Derivatives that it does not give come from automatic differentiation of its output.

        Raises
        ------
        TypeError
            If ``problem`` is no problem or ``model`` no model.
        ValueError
            If the shapes of problem and model differ, or the inputs where both have them.

        Scales as s^2 with theta as sqrt(s) when M is multiplied by s. Bai et al. 2024, section 3.
        """
        from gflow.objective.loss import training_loss

        problem = as_problem(problem)
        whole = completed(model)
        if tuple(problem.shape) != tuple(whole.shape):
            raise ValueError(f"problem and model must have the same shape; got {problem.shape} and {whole.shape}")
        if hasattr(problem, "inputs") and hasattr(whole, "inputs"):
            if not np.array_equal(np.ravel(whole.inputs), np.ravel(problem.inputs)):
                raise ValueError("problem and model must have the same inputs: model.at(problem.inputs) has them")
        return training_loss(problem, whole)

    @staticmethod
    def autodiff(
        function: Callable[[Array], Any], dim: int, lower_bound: float | None = None, *, backend: str = "autograd"
    ) -> Objective:
        """Return ``function`` with derivatives by automatic differentiation.

        Parameters
        ----------
        function : theta -> scalar
            Smooth, and written with the numpy of the backend: ``autograd.numpy`` or ``jax.numpy``.
        dim : int
        lower_bound : float, optional
            A known lower bound of the function.
        backend : 'autograd' or 'jax'
            jax (extra ``jax``) compiles the function, for its first derivative a second or so; then gradients and
            Hessians are many times faster.

        Raises
        ------
        ValueError
            If the backend is none of these.
        ImportError
            If the backend is not installed.
        TypeError
            At the first derivative, if the function is written with another numpy.
        """
        if backend not in BACKENDS:
            raise ValueError(f"backend must be one of {', '.join(map(repr, BACKENDS))}; got {backend!r}")
        known = BACKENDS[backend](function)
        return Objective(
            dim=dim,
            value=lambda theta: known.value(_vector(theta, dim)),
            gradient=lambda theta: known.gradient(_vector(theta, dim)),
            hvp=lambda theta, v: known.hvp(_vector(theta, dim), _vector(v, dim)),
            hessian=lambda theta: known.hessian(_vector(theta, dim)),
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
            gauge_dimension=shifted_argument(self.gauge_dimension, origin),
            conserved=shifted_argument(self.conserved, origin),
            lower_bound=None if self.lower_bound is None else self.lower_bound - value,
            normalized=None,
            broadcasts=False,
            escape_modes=None,
            output=None,
            columns=None,
            drive=None,
            layers=None,
            signature=None,
            mirror=None,
        )

    def __repr__(self) -> str:
        return f"Objective(dim={self.dim}, unit={self.unit:g})"


def _vector(theta: Array, dim: int) -> Array:
    array = np.asarray(theta, dtype=float)
    if array.shape != (dim,):
        raise ValueError(f"theta must have shape ({dim},); got {array.shape}")
    return array


def shifted_argument(function: Callable[[Array], Any] | None, origin: Array) -> Callable[[Array], Any] | None:
    """Return delta -> function(origin + delta), None for None."""
    return None if function is None else (lambda delta: function(origin + delta))


def as_objective(subject: Any, rank: int | None = None) -> Objective:
    """Return an objective as it is, and the loss of W = A B on a problem or a matrix.

    Parameters
    ----------
    subject : Objective, problem, or what ``MatrixCompletion`` takes
    rank : int, optional
        Width of the factorisation of a problem. Default: full width.

    Raises
    ------
    TypeError
        If ``subject`` is none of these.
    ValueError
        If a rank is given for an objective, or is no positive integer.
    """
    if isinstance(subject, Objective):
        if rank is not None:
            raise ValueError("rank belongs to problems; an Objective has its own model")
        return subject
    problem = as_problem(subject)
    return Objective.of(problem, Factorization(problem.shape, rank))
