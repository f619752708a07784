"""What a direction has outside the channels of a saddle of rank k of W = W1 ... WL, and how that leaves."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from gflow.escape.far import FarStarts

if TYPE_CHECKING:
    from gflow.models import Factorization
    from gflow.objective import Objective
    from gflow.problems import MatrixCompletion

CHANNEL = 1e-6
"""Singular values of the saddle's W above this fraction of the largest are channels in use."""


def channel_starts(
    objective: Objective, problem: MatrixCompletion, model: Factorization, saddle: np.ndarray
) -> FarStarts:
    """Return how W1 ... WL leaves a saddle of rank k: what a direction has outside the k channels blows up.

    There the loss falls like <dR/dW, D1 ... DL>. Directions are those of ``outside_channels``: other parts only move
    the saddle, and the time by O(1).
    """
    root, unit, sides = objective.theta_unit, objective.time_unit, _outside(model, saddle)
    G = sides[0] @ problem.normalized.gradient(model.output(saddle / root)) @ sides[-1]
    return FarStarts(lambda at: -model.pullback(at, G), model.depth, root, unit)


def outside_channels(model: Factorization, saddle: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return the part of a direction outside the spaces of the layers of a saddle of rank k, shape (dim,).

    Raises ``ValueError`` where these spaces do not match, or there is no such part.
    """
    sides, parts = _outside(model, saddle), model.factors(direction)
    D = model.theta(*(left @ part @ right for left, part, right in zip(sides, parts, sides[1:], strict=False)))
    if not np.linalg.norm(D) > CHANNEL * np.linalg.norm(direction):
        raise ValueError("the direction has no part outside the channels of the saddle")
    return D


def _outside(model: Factorization, theta: np.ndarray) -> list[np.ndarray]:
    """Return the projectors on the complements of col W, the L - 1 inner spaces, and row W."""
    decomposed = [np.linalg.svd(factor) for factor in model.factors(theta)]
    sizes = np.linalg.svd(model.output(theta), compute_uv=False)
    k = int(np.sum(sizes > CHANNEL * sizes[0])) if sizes[0] > 0 else 0
    if any(np.sum(s > CHANNEL * (s[0] or 1.0)) != k for _, s, _ in decomposed):
        raise ValueError("the layers of the saddle have other ranks than their product")
    sides = [np.eye(model.shape[0]) - decomposed[0][0][:, :k] @ decomposed[0][0][:, :k].T]
    for (_, _, Vt), (U, _, _) in pairwise(decomposed):
        if k and np.linalg.svd(Vt[:k] @ U[:, :k], compute_uv=False)[-1] < 1.0 - CHANNEL:
            raise ValueError("the inner spaces of the saddle's layers do not match")
        sides.append(np.eye(len(U)) - U[:, :k] @ U[:, :k].T)
    last = decomposed[-1][2][:k]
    return [*sides, np.eye(model.shape[1]) - last.T @ last]
