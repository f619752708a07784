"""How well a flow of three and more factors follows the layers outside its channels, which decide when it goes on.

On a plateau of W = W1 ... WL, L >= 3, what the layers hold outside the channels in use is of size alpha, and moves by
alpha^(L-1): below 1e-16 that is lost in rounding, and tolerances may be larger still. W says nothing of it, but the
conserved Wj^T Wj - W(j+1) W(j+1)^T does: its drift along inner directions outside the channels, relative to the square
of the layers there. Times of later plateaus err by several times as much.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from gflow.policy import EPS

OUTSIDE = 0.03
"""Inner directions with layers below this, relative to the largest or to the unit, are outside the channels."""
LARGEST_LAYERS = 1000
"""Largest number of parameters of which it is looked at."""

Layers = Callable[[np.ndarray], tuple[np.ndarray, ...]]


def hidden_drift(layers: Layers | None, states: np.ndarray) -> float:
    """Return the largest relative drift outside the channels before a further channel opened; 0 if nothing is known.

    Parameters
    ----------
    layers : (..., dim) array -> (W1, ..., WL), optional
    states : (T, dim) array
        Along the flow, in the unit.
    """
    if layers is None or states.shape[1] > LARGEST_LAYERS:
        return 0.0
    return max((_between(one, two.mT) for one, two in pairwise(layers(states))), default=0.0)


def _between(before: np.ndarray, after: np.ndarray) -> float:
    """Return the same for the inner space between two layers, both (T, m, r)."""
    _, sizes, frames = np.linalg.svd(np.concatenate([before, after], axis=1))
    width, largest = before.shape[2], sizes[:, :1]
    sizes = np.pad(sizes, ((0, 0), (0, width - sizes.shape[1])))
    inside = sizes > OUTSIDE * np.maximum(1.0, largest)
    outside = ~inside & (sizes > EPS * largest)
    gaps = [np.sum((part @ frames.mT) ** 2, axis=1) for part in (before, after, before[0], after[0])]
    moved = np.sum(np.abs(gaps[0] - gaps[1] - gaps[2] + gaps[3]) * outside, axis=1)
    squares = np.sum(sizes**2 * outside, axis=1)
    used = inside.sum(axis=1)
    counts = (used < used.max()) & (squares > 0.0)
    return float(np.max(moved[counts] / squares[counts], initial=0.0))
