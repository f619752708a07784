"""Closed forms: numbers that no code under test has touched. Multiprecision references are in ``referee``."""

import numpy as np

TRAJECTORY = (
    *("prop1", "prop2", "thm1", "assumption1", "assumption2", "conservation", "balanced", "decoupling"),
    *("spectrum", "derivatives", "identities"),
)
"""The statements that rest on one trajectory and not on the limit."""


def rotation(angle: float) -> np.ndarray:
    """Return the 2 x 2 rotation by ``angle``."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def logistic(t: np.ndarray, start: float, target: float, rate: float) -> np.ndarray:
    """Return the solution of w' = rate w (target - w) with w(0) = start."""
    return target / (1.0 + (target / start - 1.0) * np.exp(-rate * target * t))


def quartic_saddle(t: np.ndarray, x: float, y: float) -> np.ndarray:
    """Return the flow of f = -x^2/2 + x^4/4 + y^2/2 from (x, y): x' = x - x^3, y' = -y; shape (len(t), 2)."""
    return np.column_stack([x * np.exp(t) / np.sqrt(1.0 + x**2 * np.expm1(2.0 * t)), y * np.exp(-t)])


def linear_model(t: np.ndarray, W: np.ndarray, M: np.ndarray, P: np.ndarray) -> np.ndarray:
    """Return the flow of W' = -(2/n) P o (W - M) at the times t, shape (len(t), d1, d2)."""
    decay = np.exp(-2.0 * t / P.sum())[:, None, None]
    return np.where(P, M + (W - M) * decay, W)
