"""What a fixed slope in W adds to the gradient and to the loss along a step of theta, without cancellation."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from gflow.models.completed import ROUNDING, turned
from gflow.objective.record import Array

SMOOTH_NODES = 8
"""Nodes of the integrals along a step where the model is no polynomial: they are exact for degree 15."""
PLAIN = 1e-3
"""A difference above this fraction of what is subtracted loses three digits, and is taken as it is."""


class PolynomialBends:
    """What a fixed slope G in W adds along a step from ``origin``, for a model that is a polynomial.

    ``turned``: pullback(origin + delta, G) - pullback(origin, G), the integral of the bend along the step; ``risen``:
    <G, dW - J delta>, that of (1 - s) times its part along the step. Gauss's rule is exact for both.
    """

    def __init__(self, model: Any, origin: Array, G: Array) -> None:
        self.model, self.origin, self.G = model, origin, G
        self.nodes = _nodes(getattr(model, "degree", None))

    def _bends(self, delta: Array) -> Any:
        return ((s, weight, self.model.bend(self.origin + s * delta, delta, self.G)) for s, weight in self.nodes)

    def turned(self, delta: Array) -> Array:
        """Return the change of the pullback of G."""
        if hasattr(self.model, "turn"):
            return self.model.turn(self.origin, delta, self.G)  # type: ignore[no-any-return]
        return sum(weight * bend for _, weight, bend in self._bends(delta))

    def risen(self, delta: Array, dW: Array) -> Any:
        """Return <G, dW - J delta>."""
        half = sum((1.0 - s) * weight * bend for s, weight, bend in self._bends(delta))
        return np.einsum("...i,...i->...", delta, half)


class SmoothBends(PolynomialBends):
    """The same for any smooth model: where Gauss's rule misses the difference by more than rounding, that is taken."""

    def __init__(self, model: Any, origin: Array, G: Array) -> None:
        super().__init__(model, origin, G)
        self.slope = model.pullback(origin, G)

    def turned(self, delta: Array) -> Array:
        """Return the change of the pullback of G."""
        return turned(self.model, self.origin, delta, self.G)

    def risen(self, delta: Array, dW: Array) -> Any:
        """Return <G, dW - J delta>."""
        axes = tuple(range(-self.G.ndim, 0))
        size = np.sum(np.abs(self.G * dW), axis=axes) + np.abs(delta) @ np.abs(self.slope)
        far = np.sum(self.G * dW, axis=axes) - delta @ self.slope
        plain = np.abs(far) > PLAIN * size
        if plain.all():
            return far
        near = super().risen(delta, dW)
        return np.where(plain | (np.abs(near - far) > ROUNDING * size), far, near)


@lru_cache
def _nodes(degree: int | None) -> tuple[tuple[float, float], ...]:
    """Return nodes s and weights with which (1 - s) times a bend is integrated over [0, 1], exactly for a polynomial.

    The bend of a model of degree L has degree L - 2 along a step.
    """
    if degree == 1:
        return ((0.5, 1.0),)
    count = SMOOTH_NODES if degree is None else max(1, -(-degree // 2))
    points, weights = np.polynomial.legendre.leggauss(count)
    return tuple(zip(((1 + points) / 2).tolist(), (weights / 2).tolist(), strict=True))
