"""Models with all their parts: what a model does not give comes from automatic differentiation of its output."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from gflow.checks import positive
from gflow.models.functions import checked_inputs
from gflow.models.protocol import Model, normal_start

REQUIRED = ("shape", "dim", "output")
DERIVED = ("tangent", "pullback", "bend", "increment", "jacobian", "bend_matrix")
NODES = 8
"""Nodes of Gauss's rule along a step where the degree is not known: it is exact for polynomials of degree 15."""
ROUNDING = 1e2 * float(np.finfo(float).eps)
"""A difference and the integral of the derivative agree within this fraction of what is subtracted."""


def completed(model: Any) -> Model:
    """Return a model that has every part: ``model`` itself if it has them.

    Parameters
    ----------
    model : object with ``shape``, ``dim`` and ``output(theta)``
        Of what is missing ``output`` must be written with ``autograd.numpy``.

    Raises ``TypeError``, which names what is missing, for anything else.
    """
    missing = [name for name in REQUIRED if not hasattr(model, name)]
    if missing:
        raise TypeError(
            f"a model has shape, dim and output(theta) (and may have {', '.join(DERIVED)}); "
            f"{type(model).__name__} has no {' and no '.join(missing)}"
        )
    return model if all(hasattr(model, name) for name in DERIVED) else Completed(model)


@cache
def gauss(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the points and the weights of Gauss's rule."""
    return np.polynomial.legendre.leggauss(count)


def along(
    derivative: Callable[[np.ndarray], np.ndarray], theta: np.ndarray, variation: np.ndarray, nodes: int = NODES
) -> np.ndarray:
    """Return the integral of a derivative along the step from theta to theta + variation, by Gauss's rule."""
    points, weights = gauss(nodes)
    steps = zip((1 + points) / 2, weights / 2, strict=True)
    return sum(weight * derivative(theta + s * variation) for s, weight in steps)


def agreed(near: Any, there: Any, here: Any, size: float | None = None) -> Any:
    """Return a difference: ``near``, its integral form, unless that misses there - here by more than rounding.

    Gauss's rule does along a step on which the function is no polynomial of low degree. ``size`` is what rounding is
    relative to. Default: the norms of both arrays.
    """
    far = there - here
    size = float(np.linalg.norm(there) + np.linalg.norm(here)) if size is None else size
    return near if float(np.linalg.norm(near - far)) <= ROUNDING * size else far


def turned(model: Any, theta: np.ndarray, variation: np.ndarray, G: np.ndarray) -> np.ndarray:
    """Return pullback(theta + variation, G) - pullback(theta, G), shape (dim,): the model's own ``turn``, which cancels
    nothing, or the integral of its bend where that is accurate."""
    if hasattr(model, "turn"):
        return model.turn(theta, variation, G)  # type: ignore[no-any-return]
    degree = getattr(model, "degree", None)
    nodes = NODES if degree is None else max(1, degree // 2)  # exact: the bend has the degree L - 2
    near = along(lambda at: model.bend(at, variation, G), theta, variation, nodes)
    return agreed(near, model.pullback(theta + variation, G), model.pullback(theta, G))


class Completed:
    """A model whose missing parts are derived from its output by HIPS autograd; everything else is the model's own."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.shape, self.dim = tuple(model.shape), int(model.dim)
        for name in DERIVED:
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "model"), name)

    def __repr__(self) -> str:
        return repr(self.model)

    def output(self, theta: np.ndarray) -> np.ndarray:
        """Return W(theta), shape ``shape``."""
        return np.asarray(self.model.output(theta))

    def tangent(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return the derivative of the output along ``variation``: the adjoint of the pullback, linear in G."""
        from autograd import make_vjp

        def pulled(G: Any) -> Any:
            return make_vjp(self.model.output)(theta)[0](G)

        return make_vjp(pulled)(np.zeros(self.shape))[0](np.asarray(variation, dtype=float))

    def pullback(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the derivative of <G, output> at theta, shape (dim,)."""
        from autograd import make_vjp

        return np.asarray(make_vjp(self.model.output)(theta)[0](G))

    def bend(self, theta: np.ndarray, variation: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the second derivative of <G, output> at theta times ``variation``, shape (dim,)."""
        from autograd import hessian_vector_product

        return hessian_vector_product(self._weighted(G))(theta, variation)

    def increment(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return W(theta + v) - W(theta): the integral of the tangent, which cancels nothing, where it is accurate."""
        degree = getattr(self.model, "degree", None)
        nodes = NODES if degree is None else max(1, -(-degree // 2))  # exact: the tangent has the degree L - 1
        near = along(lambda at: self.tangent(at, variation), theta, variation, nodes)
        return agreed(near, self.output(theta + variation), self.output(theta))

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """Return the derivative of the output, shape (*shape, dim)."""
        units = np.eye(int(np.prod(self.shape))).reshape(-1, *self.shape)
        return np.array([self.pullback(theta, unit) for unit in units]).reshape(*self.shape, self.dim)

    def bend_matrix(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the second derivative of <G, output>, shape (dim, dim)."""
        return np.array([self.bend(theta, unit, G) for unit in np.eye(self.dim)])

    def _weighted(self, G: np.ndarray) -> Callable[[Any], Any]:
        import autograd.numpy as anp

        return lambda theta: anp.sum(G * self.model.output(theta))


class AutodiffModel:
    """A model given by one function of theta, written with ``autograd.numpy``.

    Parameters
    ----------
    function : theta -> array, or theta, inputs -> array
        Smooth; its value, of any shape, is the output W. With ``inputs`` the first axis is theirs.
    dim : int
        The number of parameters.
    degree : int, optional
        The function is homogeneous of this degree, hence a polynomial.
    inputs : (n, ...) array, optional
        Where the function is evaluated, those of the ``Regression``; the model then has ``at(inputs)``, the same
        function elsewhere, and ``gflow.model_rank`` samples it.

    Raises
    ------
    ValueError
        If ``dim`` is not a positive integer, the inputs are empty or not finite, or there is not one value for each.
    TypeError
        If the function cannot be differentiated: it is not written with ``autograd.numpy``; or inputs are no numbers.

    >>> import gflow
    >>> slope = gflow.AutodiffModel(lambda theta, x: theta[0] * theta[1] * x, dim=2, inputs=[1.0, 2.0, 3.0])
    >>> gflow.model_rank(slope, [1.0, 0.5]).rank
    1
    """

    def __init__(self, function: Callable[..., Any], dim: int, degree: int | None = None, inputs: Any = None) -> None:
        self.function, self.output, self.dim = function, function, positive(dim, "dim")
        self.degree = None if degree is None else positive(degree, "degree")
        if inputs is not None:
            self.inputs = checked_inputs(inputs, np.ndim(inputs))
            self.output, self.at = (lambda theta: function(theta, self.inputs)), self._elsewhere
        self.shape = self._shape()

    def _elsewhere(self, inputs: Any) -> AutodiffModel:
        """Return the model of the same function at other inputs."""
        return AutodiffModel(self.function, self.dim, self.degree, inputs)

    def _shape(self) -> tuple[int, ...]:
        from autograd import make_vjp

        origin = np.zeros(self.dim)
        with np.errstate(all="ignore"):
            shape = np.shape(self.output(origin))
            try:
                make_vjp(self.output)(origin)[0](np.zeros(shape))
            except (TypeError, ValueError, AttributeError) as error:
                raise TypeError(f"the function of a model must be written with autograd.numpy: {error}") from error
        if hasattr(self, "inputs") and shape[:1] != self.inputs.shape[:1]:
            raise ValueError(f"there must be one value for each of {len(self.inputs)} inputs; got shape {shape}")
        return shape

    def random(self, rng: np.random.Generator | int, scale: float = 1.0) -> np.ndarray:
        """Return ``scale * rng.standard_normal(dim)``."""
        return normal_start(self.dim, rng, scale)

    def __repr__(self) -> str:
        return f"AutodiffModel({getattr(self.function, '__name__', 'function')}, dim={self.dim})"
