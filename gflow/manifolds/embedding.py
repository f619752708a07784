"""Critical points of narrow networks in wide ones: a neuron that is split in two."""

from __future__ import annotations

from typing import Any

import numpy as np


def split_neuron(model: Any, theta: np.ndarray, neuron: int = 0, share: float = 0.5) -> tuple[Any, np.ndarray]:
    """Return the network with one more neuron and the same function: (share a, w) and ((1 - share) a, w) for (a, w).

    Parameters
    ----------
    model : TanhNetwork
    theta : (dim,) array
    neuron : int
        Counted from 0.
    share : float

    Raises
    ------
    TypeError
        If the model has no neurons.
    ValueError
        If there is no such neuron, or theta or the share is not finite, or theta of another shape.

    A critical point is split into a critical point at any share (Fukumizu and Amari 2000; Zhang et al. 2021).
    """
    theta = _checked(model, theta, neuron)
    a, rows = model.parts(theta)
    if not np.isfinite(share):
        raise ValueError(f"share must be finite; got {share!r}")
    split = np.insert(a, neuron + 1, (1.0 - share) * a[neuron])
    split[neuron] = share * a[neuron]
    wide = model.widened(1)
    return wide, wide.theta(split, np.insert(rows, neuron + 1, rows[neuron], axis=0))


def transverse_curvature(problem: Any, model: Any, theta: np.ndarray, neuron: int = 0) -> np.ndarray:
    """Return S = a sum_j (dR/df)_j s''(w . x_j) x_j x_j^T of one neuron, shape (d, d) with d counting the bias.

    Parameters
    ----------
    problem : Regression
    model : TanhNetwork
    theta : (dim,) array
        A critical point.
    neuron : int

    At the equal split of the neuron the Hessian across {both halves are equal} is 0 along the outer weights and S / 2
    along the inner ones, so that a negative eigenvalue of S makes the split a saddle; docs/develop/mathematics.md,
    section 14. Scales as s^2 with targets and outputs. Raises as ``split_neuron``.
    """
    theta = _checked(model, theta, neuron)
    m, d = model.width, model.features.shape[1]
    block = slice(m + neuron * d, m + (neuron + 1) * d)
    return np.asarray(model.bend_matrix(theta, problem.gradient(model.output(theta)))[block, block])


def _checked(model: Any, theta: np.ndarray, neuron: int) -> np.ndarray:
    """Return theta as an array of doubles, where it belongs to a network that has such a neuron."""
    if not hasattr(model, "neurons"):
        raise TypeError(f"model must be a TanhNetwork; got {type(model).__name__}")
    theta = np.asarray(theta, dtype=float)
    if theta.shape != (model.dim,) or not np.isfinite(theta).all():
        raise ValueError(f"theta must be finite and of shape ({model.dim},); got shape {theta.shape}")
    if isinstance(neuron, bool) or not isinstance(neuron, (int, np.integer)) or not 0 <= neuron < model.width:
        raise ValueError(f"neuron must lie between 0 and {model.width - 1}; got {neuron!r}")
    return theta
