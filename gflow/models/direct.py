"""The linear model, without factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gflow.models.protocol import checked_shape, normal_start


@dataclass(frozen=True)
class DirectMatrix:
    """The linear model W = theta without factors; its flow tends to the interpolant nearest to W(0).

    Raises ``ValueError`` if a dimension is not a positive integer.
    """

    shape: tuple[int, int]
    degree: ClassVar[int] = 1
    broadcasts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", checked_shape(self.shape))

    @property
    def dim(self) -> int:
        """Return d1 d2."""
        return self.shape[0] * self.shape[1]

    def output(self, theta: np.ndarray) -> np.ndarray:
        """Return W, shape (d1, d2) (leading axes of theta are kept)."""
        return theta.reshape(*theta.shape[:-1], *self.shape)

    def tangent(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return dW, shape (d1, d2)."""
        return self.output(variation)

    def pullback(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return G as a flat array of shape (dim,) (leading axes are kept)."""
        return np.broadcast_to(G, (*theta.shape[:-1], *self.shape)).reshape(theta.shape)

    def bend(self, theta: np.ndarray, variation: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return zeros: the model is linear."""
        return np.zeros(variation.shape)

    def increment(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return dW, shape (d1, d2)."""
        return self.output(variation)

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """Return the identity, shape (d1, d2, d1 d2)."""
        return np.eye(self.dim).reshape(*self.shape, self.dim)

    def bend_matrix(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return zeros, shape (dim, dim)."""
        return np.zeros((self.dim, self.dim))

    def random(self, rng: np.random.Generator | int, scale: float = 1.0) -> np.ndarray:
        """Return ``scale * rng.standard_normal(dim)``."""
        return normal_start(self.dim, rng, scale)
