"""Regression: values of a function are known at some inputs."""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import Any

import numpy as np

from gflow.problems.completion import LARGEST_ENTRY, power_of_four


class Regression:
    """Values y_i of a function at inputs x_i with risk R(f) = 1/2 sum_i p_i |f(x_i) - y_i|^2.

    Parameters
    ----------
    inputs : (n, ...) array of real numbers
        The x_i: numbers, vectors, or sequences of tokens. The model of the function takes the same ones.
    targets : (n,) or (n, o) array of real numbers
        The y_i.
    weights : (n,) array, optional
        Relative weights, not negative and not all zero; p is their share of the sum. Default: 1/n each.

    Attributes
    ----------
    inputs : (n, ...) array, read-only
    shape : (n,) or (n, o)
    targets : (n,) or (n o,) array, read-only
        sqrt(p_i) y_i, what ``measure`` of the outputs is compared with.
    values : (n,) or (n, o) array, read-only
        The y_i.
    shares : (n,) array, read-only
        The p_i.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If there is no input, the lengths differ, a number is not finite, max|y| is not zero and leaves
        [1e-150, 1e150], or a weight is negative or all are zero.

    Warns ``UserWarning`` where an input occurs twice: it counts as one for the empirical rank. The factor 1/2 is
    that of Zhao, Bai and Zhang 2024, arXiv 2405.13787. Scales: R as s^2 when y is multiplied by s.
    """

    weight = 0.5

    def __init__(self, inputs: Any, targets: Any, weights: Any = None) -> None:
        self.inputs, self.values = real(inputs, "inputs"), real(targets, "targets")
        if self.values.ndim not in (1, 2):
            raise ValueError(f"targets must have shape (n,) or (n, o); got {self.values.shape}")
        count = len(self.values)
        if len(self.inputs) != count:
            raise ValueError(f"inputs and targets must have the same length; got {len(self.inputs)} and {count}")
        size = float(np.abs(self.values).max(initial=0.0))
        if size and not 1 / LARGEST_ENTRY <= size <= LARGEST_ENTRY:
            raise ValueError(f"max|targets| must lie in [1e-150, 1e150]; it is {size:g}: choose other units")
        self.shares = _shares(weights, count)
        self.shape = self.values.shape
        self._roots = np.sqrt(self.shares).reshape(-1, *(1,) * (self.values.ndim - 1))
        self.targets = (self._roots * self.values).ravel()
        for array in (self.inputs, self.values, self.shares, self.targets):
            array.setflags(write=False)
        twice = count - len(np.unique(self.inputs.reshape(count, -1), axis=0))
        if twice:
            warnings.warn(f"inputs repeat {twice} of {count} rows: repeats add nothing to the rank", stacklevel=2)

    @property
    def n_observed(self) -> int:
        """Return the number of values, n or n o."""
        return self.values.size

    @cached_property
    def unit(self) -> float:
        """Return the power of four nearest to max|y| (1.0 where y = 0)."""
        return power_of_four(float(np.abs(self.values).max()))

    @cached_property
    def normalized(self) -> Regression:
        """Return the same problem with y divided by ``unit``."""
        return self if self.unit == 1.0 else self.rescaled(1.0 / self.unit)

    def rescaled(self, factor: float) -> Regression:
        """Return the problem with y multiplied by ``factor``."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return Regression(self.inputs, self.values * factor, self.shares)

    def measure(self, W: np.ndarray) -> np.ndarray:
        """Return sqrt(p_i) times the outputs, flat, shape (n o,) (trailing axes of W are kept)."""
        extra = W.ndim - len(self.shape)
        return (self._roots.reshape(*self._roots.shape, *(1,) * extra) * W).reshape(-1, *W.shape[len(self.shape) :])

    def adjoint(self, weights: np.ndarray) -> np.ndarray:
        """Return the adjoint of ``measure``, shape ``shape`` (leading axes of weights are kept)."""
        return self._roots * weights.reshape(*weights.shape[:-1], *self.shape)

    def risk(self, W: np.ndarray) -> Any:
        """Return R; an array of such values if W has leading axes."""
        error = W - self.values
        axes = tuple(range(-len(self.shape), 0))
        risk = 0.5 * np.sum(self._column * error * error, axis=axes)
        return float(risk) if np.ndim(risk) == 0 else risk

    def gradient(self, W: np.ndarray) -> np.ndarray:
        """Return dR/df = p_i (f_i - y_i), shape ``shape`` (leading axes of W are kept)."""
        return self._column * (W - self.values)

    def curvature(self, dW: np.ndarray) -> np.ndarray:
        """Return p_i df_i, the second derivative of R applied to df, shape ``shape``."""
        return self._column * dW

    @cached_property
    def _column(self) -> np.ndarray:
        return self.shares.reshape(self._roots.shape)

    def __repr__(self) -> str:
        return f"Regression({len(self.values)} inputs of shape {self.inputs.shape[1:]}, targets {self.shape})"


def real(values: Any, name: str) -> np.ndarray:
    """Return a fresh array of doubles; ``TypeError`` for other numbers, ``ValueError`` if empty or not finite."""
    array = np.asarray(values)
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name} must be an array of real numbers; got dtype {array.dtype}")
    if np.ma.is_masked(values):
        raise ValueError(f"{name} must not hold masked entries; leave those rows out")
    array = np.array(array, dtype=float)
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"{name} must hold at least one row of at least one number; got shape {array.shape}")
    bad = np.argwhere(~np.isfinite(array))
    if bad.size:
        raise ValueError(f"{name} must be finite; row {int(bad[0][0]) + 1} holds {array[tuple(bad[0])]}")
    return array


def _shares(weights: Any, count: int) -> np.ndarray:
    if weights is None:
        return np.full(count, 1.0 / count)
    array = real(weights, "weights")
    if array.shape != (count,):
        raise ValueError(f"weights must have shape ({count},), one for each input; got {array.shape}")
    if (array < 0).any():
        bad = int(np.argmin(array))
        raise ValueError(f"weights must not be negative; number {bad + 1} is {array[bad]}")
    if not array.any():
        raise ValueError("weights must not all be zero")
    scaled = array / array.max()
    return np.asarray(scaled / scaled.sum())
