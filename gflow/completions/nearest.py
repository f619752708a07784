"""The interpolant nearest to a start: what gradient flow of the linear model W = theta converges to."""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow.completions.records import Completion, frobenius, frozen
from gflow.problems import as_completion


def nearest_interpolant(problem: Any, start: np.ndarray | None = None) -> Completion:
    """Return the completion nearest to ``start`` in the Frobenius norm: M on the mask, ``start`` outside it.

    Parameters
    ----------
    problem : MatrixCompletion
    start : (d1, d2) array, optional
        Default: zeros.

    Raises
    ------
    ValueError
        If ``start`` has another shape than M or holds an infinite or undefined entry.

    Scales as s when M and ``start`` are multiplied by s. It is the limit of W' = -(2/n) P o (W - M) from ``start``.
    """
    problem = as_completion(problem)
    W0 = np.zeros(problem.shape) if start is None else np.asarray(start, dtype=float)
    if W0.shape != problem.shape:
        raise ValueError(f"start must have the shape of the matrix, {problem.shape}; got {W0.shape}")
    if not np.isfinite(W0).all():
        i, j = (int(index) for index in np.argwhere(~np.isfinite(W0))[0])
        raise ValueError(f"start must be finite; row {i + 1}, column {j + 1} holds {W0[i, j]}")
    matrix = np.where(problem.observed, problem.values, W0)
    move = matrix - W0
    distance = frobenius(move)
    dual = move / distance if distance > 0 else move
    return Completion("distance", frozen(matrix), distance, distance, frozen(dual), "closed form", True)
