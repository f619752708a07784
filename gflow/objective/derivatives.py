"""Derivatives of a function of the user's by a library of automatic differentiation, behind one small interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
Function = Callable[[Any], Any]


class Derivatives(NamedTuple):
    """A function of theta with its gradient, Hessian products and Hessian, all of arrays of numpy."""

    value: Callable[[Array], float]
    gradient: Callable[[Array], Array]
    hvp: Callable[[Array, Array], Array]
    hessian: Callable[[Array], Array]


def by_autograd(function: Function) -> Derivatives:
    """Return the derivatives of a function written with ``autograd.numpy``, in reverse mode."""
    import autograd
    import autograd.numpy as anp

    def dependent(theta: Array) -> Any:
        # of what does not depend on theta, or only linearly, autograd makes a warning instead of zeros
        return function(theta) + 0.0 * anp.sum(anp.sin(theta))

    gradient, hessian = autograd.grad(dependent), autograd.hessian(dependent)

    def slope(theta: Array) -> Array:
        try:
            return gradient(theta)
        except (TypeError, ValueError) as error:
            if "ArrayBox" not in str(error):
                raise
            raise TypeError(f"the function must be written with autograd.numpy: {error}") from error

    return Derivatives(
        value=lambda theta: float(function(theta)),
        gradient=slope,
        hvp=autograd.hessian_vector_product(dependent),
        hessian=lambda theta: hessian(theta).reshape(theta.size, theta.size),
    )


def by_jax(function: Function) -> Derivatives:
    """Return the derivatives of a function written with ``jax.numpy``, compiled, in double precision.

    Hessians are those of the forward mode over the reverse one. The settings of jax elsewhere are left alone. Raises
    ``ImportError`` without jax.
    """
    try:
        import jax
    except ImportError as missing:
        raise ImportError("backend='jax' needs jax: python -m pip install 'gflow-toolkit[jax]'") from missing

    def scalar(theta: Any) -> Any:
        return jax.numpy.reshape(function(theta), ())

    def in_doubles(compiled: Callable[..., Any]) -> Callable[..., Array]:
        def evaluated(*arrays: Array) -> Array:
            try:
                with jax.enable_x64(True):
                    return np.array(compiled(*arrays))
            except jax.errors.TracerArrayConversionError as error:
                raise TypeError("the function must be written with jax.numpy") from error

        return evaluated

    gradient = jax.grad(scalar)
    value = in_doubles(jax.jit(scalar))
    return Derivatives(
        value=lambda theta: float(value(theta)),
        gradient=in_doubles(jax.jit(gradient)),
        hvp=in_doubles(jax.jit(lambda theta, v: jax.jvp(gradient, (theta,), (v,))[1])),
        hessian=in_doubles(jax.jit(jax.hessian(scalar))),
    )


BACKENDS: dict[str, Callable[[Function], Derivatives]] = {"autograd": by_autograd, "jax": by_jax}
"""What differentiates a function, by name."""
