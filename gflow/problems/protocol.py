"""What every problem offers."""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np


class Problem(Protocol):
    """The risk R(W) = weight * |measure(W) - targets|^2 of outputs W of a model; ``measure`` is linear.

    ``gflow.testing.check_problem`` tests a problem against all of this.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of W."""

    @property
    def targets(self) -> np.ndarray:
        """Return what is observed, shape (n,)."""

    @property
    def weight(self) -> float:
        """Return the factor before the sum of squares."""

    @property
    def unit(self) -> float:
        """Return the size of W that the data ask for, a power of four: 1.0 where the problem is its own unit."""

    @property
    def normalized(self) -> Self:
        """Return the problem with the targets divided by ``unit``."""

    def measure(self, W: np.ndarray) -> np.ndarray:
        """Return the measurements of W, shape (n,) (trailing axes of W are kept)."""

    def adjoint(self, weights: np.ndarray) -> np.ndarray:
        """Return the adjoint of ``measure`` applied to ``weights``, shape ``shape``."""

    def risk(self, W: np.ndarray) -> Any:
        """Return R(W), a float; an array where W has leading axes."""

    def gradient(self, W: np.ndarray) -> np.ndarray:
        """Return dR/dW, shape ``shape`` (leading axes of W are kept)."""

    def curvature(self, dW: np.ndarray) -> np.ndarray:
        """Return the second derivative of R applied to dW, shape ``shape`` (leading axes of dW are kept)."""
