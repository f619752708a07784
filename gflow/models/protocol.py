"""What every model offers, and the checks of its arguments."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Model(Protocol):
    """What ``Objective.of`` needs of a model; theta and its variations are flat arrays of shape (dim,)."""

    shape: tuple[int, int]
    degree: int
    """W is homogeneous of this degree in theta: theta scales as s^(1/degree) when M is multiplied by s."""

    @property
    def dim(self) -> int:
        """Return the number of parameters."""

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return W(theta), shape (d1, d2)."""

    def tangent(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return the derivative of W at theta along ``variation``, shape (d1, d2)."""

    def pullback(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the adjoint of ``tangent`` at theta applied to G, shape (dim,)."""

    def bend(self, variation: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the derivative of ``pullback(theta, G)`` in theta along ``variation``, shape (dim,)."""

    def increment(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return W(theta + variation) - W(theta) without cancellation, shape (d1, d2)."""

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """Return the derivative of W at theta, shape (d1, d2, dim)."""

    def bend_matrix(self, G: np.ndarray) -> np.ndarray:
        """Return the matrix of ``bend(., G)``, shape (dim, dim)."""


def positive(value: int, name: str) -> int:
    """Return ``value`` as an int; raise ``ValueError`` unless it is a positive integer."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a positive integer; got {value!r}")
    return int(value)


def checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return (d1, d2) as ints; raise ``ValueError`` unless they are two positive integers."""
    if len(shape) != 2:
        raise ValueError(f"shape must be (d1, d2); got {shape!r}")
    return positive(shape[0], "d1"), positive(shape[1], "d2")


def positive_scale(scale: float) -> float:
    """Return ``scale`` as a float; raise ``ValueError`` unless it is positive and finite."""
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be a positive finite number; got {scale!r}")
    return float(scale)
