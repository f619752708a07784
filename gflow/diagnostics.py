"""Numbers read off a trajectory: matrices, singular values, ranks, nuclear norms and escape times, as arrays.

A ``model`` tells W (a ``Factorization`` also A and B) in theta. Losses, gradient norms and plateaus are fields of the
``Trajectory`` itself.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gflow.flow import Trajectory

FACTORS = ("A", "B", "stacked")


def matrices(model: Any, trajectory: Trajectory) -> np.ndarray:
    """Return W at every state, shape (T, d1, d2); scales as s when M is multiplied by s.

    Parameters
    ----------
    model : Factorization or another model with ``broadcasts``
    trajectory : Trajectory
        Of T states.
    """
    return model.output(trajectory.states)


def singular_values(model: Any, trajectory: Trajectory) -> np.ndarray:
    """Return the singular values of W at every state, largest first, shape (T, min(d1, d2)).

    Parameters
    ----------
    model : Factorization or another model with ``broadcasts``
    trajectory : Trajectory
        Of T states.

    Each is accurate to rounding times the largest; they scale as s when M is multiplied by s.
    """
    return np.linalg.svd(matrices(model, trajectory), compute_uv=False)


def factor_singular_values(model: Any, trajectory: Trajectory, which: str = "stacked") -> np.ndarray:
    """Return the singular values of a factor at every state, largest first, shape (T, min of its dimensions).

    Parameters
    ----------
    model : Factorization
    trajectory : Trajectory
    which : {'A', 'B', 'stacked'}
        A (d1 x r), B (r x d2) or [A; B^T] (d1 + d2 x r).

    Raises ``ValueError`` for another ``which``. They scale as sqrt(s) when M is multiplied by s.
    """
    if which not in FACTORS:
        raise ValueError(f"which must be one of {', '.join(FACTORS)}; got {which!r}")
    A, B = model.factors(trajectory.states)
    factor = {"A": A, "B": B, "stacked": model.stacked(trajectory.states)}[which]
    return np.linalg.svd(factor, compute_uv=False)


def numerical_rank(W: np.ndarray, rank_tol: float = 1e-4) -> np.ndarray:
    """Return the number of singular values above ``rank_tol * sigma_1``, shape (...) for W of shape (..., d1, d2).

    Parameters
    ----------
    W : (..., d1, d2) array
    rank_tol : float

    A flow from scale alpha ends about alpha^q away from its limit, so no tolerance suits all scales: compare it with
    the gap in the singular values. The zero matrix has rank 0. Scales as 1 when M is multiplied by s.

    Raises ``ValueError`` unless 0 <= rank_tol < 1.
    """
    if not 0 <= rank_tol < 1:
        raise ValueError(f"rank_tol must lie in [0, 1); got {rank_tol!r}")
    s = np.linalg.svd(W, compute_uv=False)
    return np.sum(s > rank_tol * s[..., :1], axis=-1)


def nuclear_norm(W: np.ndarray) -> np.ndarray:
    """Return the sum of the singular values, shape (...) for W of shape (..., d1, d2); scales as s."""
    return np.linalg.svd(W, compute_uv=False).sum(axis=-1)


def escape_times(trajectory: Trajectory) -> np.ndarray:
    """Return the times at which the loss passes halfway between successive plateaus, shape (plateaus - 1,).

    Between states the loss is the cubic with the losses and slopes -|grad f|^2 of both ends (Hermite), whose error is
    of fourth order in the step. Times scale as 1 / s for a factorisation when M is multiplied by s.
    """
    levels = [plateau.loss for plateau in trajectory.plateaus]
    halves = [(high + low) / 2 for high, low in pairwise(levels)]
    return np.array([_crossing(trajectory, half) for half in halves])


def _crossing(trajectory: Trajectory, level: float) -> float:
    """Return the first time at which the loss falls to ``level``, which lies between its extremes."""
    index = int(np.nonzero(trajectory.losses <= level)[0][0])
    if index == 0:
        return float(trajectory.times[0])
    pair = slice(index - 1, index + 1)
    (t0, t1), (f0, f1) = trajectory.times[pair], trajectory.losses[pair]
    step = t1 - t0
    d0, d1 = -step * trajectory.gradient_norms[pair] ** 2
    low, high = 0.0, 1.0
    for _ in range(60):
        x = (low + high) / 2
        loss = f0 * (1 + 2 * x) * (1 - x) ** 2 + d0 * x * (1 - x) ** 2 + f1 * x**2 * (3 - 2 * x) - d1 * x**2 * (1 - x)
        low, high = (x, high) if loss > level else (low, x)
    return float(t0 + step * (low + high) / 2)
