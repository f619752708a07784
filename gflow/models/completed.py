"""Models with all their parts: what a model does not give comes from automatic differentiation of its output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gflow.models.protocol import Model, normal_start, positive

REQUIRED = ("shape", "dim", "output")
DERIVED = ("tangent", "pullback", "bend", "increment", "jacobian", "bend_matrix")
GAUSS_NODES, GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(8)
"""Gauss's rule on [-1, 1] for the increment along a step, exact for polynomials of degree 15."""


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
        """Return the integral of the tangent along the step, which cancels nothing: W(theta + v) - W(theta)."""
        steps = zip((1 + GAUSS_NODES) / 2, GAUSS_WEIGHTS / 2, strict=True)
        return sum(weight * self.tangent(theta + s * variation, variation) for s, weight in steps)

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
    function : theta -> array
        Smooth; its value, of any shape, is the output W.
    dim : int
        The number of parameters.
    degree : int, optional
        The function is homogeneous of this degree, hence a polynomial.

    Raises
    ------
    ValueError
        If ``dim`` is not a positive integer.
    TypeError
        If the function cannot be differentiated: it is not written with ``autograd.numpy``.
    """

    def __init__(self, function: Callable[[Any], Any], dim: int, degree: int | None = None) -> None:
        self.output, self.dim = function, positive(dim, "dim")
        self.degree = None if degree is None else positive(degree, "degree")
        self.shape = self._shape()

    def _shape(self) -> tuple[int, ...]:
        from autograd import make_vjp

        origin = np.zeros(self.dim)
        with np.errstate(all="ignore"):
            shape = np.shape(self.output(origin))
            try:
                make_vjp(self.output)(origin)[0](np.zeros(shape))
            except (TypeError, ValueError, AttributeError) as error:
                raise TypeError(f"the function of a model must be written with autograd.numpy: {error}") from error
        return shape

    def random(self, rng: np.random.Generator | int, scale: float = 1.0) -> np.ndarray:
        """Return ``scale * rng.standard_normal(dim)``."""
        return normal_start(self.dim, rng, scale)

    def __repr__(self) -> str:
        return f"AutodiffModel({getattr(self.output, '__name__', 'function')}, dim={self.dim})"
