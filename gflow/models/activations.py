"""Activations of one number with two derivatives and differences that do not cancel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gflow.models.completed import agreed, along

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Activation:
    """A smooth function s of one number, applied entry by entry.

    Parameters
    ----------
    name : str
    jet : (...) array -> three (...) arrays
        s, s' and s''.
    change : two (...) arrays u, du -> two (...) arrays
        s(u + du) - s(u) and s'(u + du) - s'(u), without cancellation.
    parity : int
        -1 for an odd function, 1 for an even one, 0 for neither or not known.
    multiplicity : int
        The order at which s begins at 0 (1 where s'(0) is not zero), 0 where s(0) is not zero.
    exact : bool
        Whether ``jet`` takes balls of python-flint as well, so that ranks can be proven.
    """

    name: str
    jet: Callable[[Any], tuple[Any, Any, Any]]
    change: Callable[[Array, Array], tuple[Array, Array]]
    parity: int = 0
    multiplicity: int = 0
    exact: bool = False


def _tanh_jet(u: Any) -> tuple[Any, Any, Any]:
    t = np.tanh(u)
    slope = 1 - t * t
    return t, slope, -2 * t * slope


def _tanh_change(u: Array, du: Array) -> tuple[Array, Array]:
    t, after = np.tanh(u), np.tanh(u + du)
    change = np.tanh(du) * (1.0 - t * after)
    return change, -change * (t + after)


def _square_jet(u: Any) -> tuple[Any, Any, Any]:
    t = np.tanh(u)
    slope = 1 - t * t
    return t * t, 2 * t * slope, 2 * slope * (1 - 3 * t * t)


def _square_change(u: Array, du: Array) -> tuple[Array, Array]:
    t, after = np.tanh(u), np.tanh(u + du)
    change = np.tanh(du) * (1.0 - t * after)
    return change * (t + after), 2.0 * change * (1.0 - (t * t + t * after + after * after))


def _linear_jet(u: Any) -> tuple[Any, Any, Any]:
    return u, 1 + 0 * u, 0 * u


def _linear_change(u: Array, du: Array) -> tuple[Array, Array]:
    return du, 0.0 * du


TANH = Activation("tanh", _tanh_jet, _tanh_change, parity=-1, multiplicity=1, exact=True)
TANH_SQUARED = Activation("tanh^2", _square_jet, _square_change, parity=1, multiplicity=2, exact=True)
LINEAR = Activation("linear", _linear_jet, _linear_change, parity=-1, multiplicity=1, exact=True)
NAMED = {"tanh": TANH, "tanh^2": TANH_SQUARED, "linear": LINEAR}


KINK = 1e-4, 1e-6
"""Across 0 a smooth function changes in proportion to these distances."""
HIGHEST = 9
"""Multiplicities of functions are seen up to this order."""


def as_activation(activation: Any) -> Activation:
    """Return an activation by its name, as it is, or from a function written with ``autograd.numpy``.

    Parameters
    ----------
    activation : str, Activation or function of an array
        'tanh', 'tanh^2', 'linear', or any smooth function that acts entry by entry.

    Raises
    ------
    ValueError
        For another name, or a function whose values or derivatives are not finite at 0 and +-1, or jump at 0.
    TypeError
        If it is none of these, or the function is not written with ``autograd.numpy``.
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str):
        if activation not in NAMED:
            raise ValueError(f"activation must be one of {', '.join(NAMED)}, or a function; got {activation!r}")
        return NAMED[activation]
    if not callable(activation):
        raise TypeError(f"activation must be a name or a function; got {activation!r}")
    return _of_function(activation)


def _of_function(function: Callable[[Any], Any]) -> Activation:
    import autograd.numpy as anp
    from autograd import elementwise_grad

    def derived(of: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return elementwise_grad(lambda u: of(u) + 0.0 * anp.sin(u))  # of a constant autograd warns

    slope = derived(function)
    bend = derived(slope)
    name = getattr(function, "__name__", "function")
    probe = np.array([-1.0, 0.0, 1.0])
    try:
        found = [np.asarray(part(probe)) for part in (function, slope, bend)]
    except (TypeError, ValueError, AttributeError) as error:
        raise TypeError(f"the activation must be written with autograd.numpy: {error}") from error
    alone = np.array([np.ravel(function(probe[i : i + 1]))[0] for i in range(3)])
    if any(part.shape != probe.shape for part in found) or not np.isfinite(found).all() or np.any(alone != found[0]):
        raise ValueError(f"activation {name!r} must map arrays entry by entry and be smooth and finite near 0")
    for part, size in zip((function, slope, bend), np.abs(found).max(axis=1), strict=True):
        near, nearer = (np.ptp(part(step * probe[::2])) for step in KINK)
        if nearer > max(near / 2.0, KINK[1] * size):
            raise ValueError(f"activation {name!r} must be smooth at 0; it or a derivative jumps there by {nearer:.3g}")

    def change(u: Array, du: Array) -> tuple[Array, Array]:
        def difference(of: Callable[[Array], Array], derivative: Callable[[Array], Array]) -> Array:
            near = along(lambda at: derivative(at) * du, u, du)
            return np.asarray(agreed(near, of(u + du), of(u)))

        return difference(function, slope), difference(slope, bend)

    multiplicity, derivative = 0, function
    while multiplicity < HIGHEST and derivative(probe[1:2])[0] == 0.0:
        multiplicity, derivative = multiplicity + 1, derived(derivative)
    return Activation(name, lambda u: (function(u), slope(u), bend(u)), change, 0, multiplicity)
