"""Orders of the entries of a matrix of rank one, and how many of them determine it.

Figure 4 of Zhang et al. 2022 prints six orders with the transitions below. These are six others with the same
transitions: orders are drawn until rows and columns are connected at just that many entries.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import gflow

ROWS = np.array([[40.0, 6, 18, 8], [100, 27, 51, 36], [80, 27, 51, 36], [80, 22, 26, 16]])
"""Ten times the rows of the notebook's matrices, so that ranks are exact."""
TRANSITIONS = (8, 9, 12, 11, 12, 13)
COLUMN = (1.0, 1.5, 2.0, 4.5)
"""Six sequences of the entries of this column times the first row, linearly stable from so many entries on."""


def seen(entries: Any) -> np.ndarray:
    """Return the mask of entries counted row by row."""
    found = np.zeros(16, dtype=bool)
    found[list(entries)] = True
    return found.reshape(4, 4)


def sequence(seed: int, row: int) -> np.ndarray:
    """Return the first random order of the entries, after those of earlier rows, that connects at this transition."""
    rng, places = np.random.default_rng([seed, 4]), iter(TRANSITIONS[: row + 1])
    wanted = next(places)
    while True:
        order = rng.permutation(16)
        if [spans(seen(order[:n])) for n in (wanted - 1, wanted)] == [False, True]:
            wanted = next(places, 0)
            if not wanted:
                return order


def spans(mask: np.ndarray) -> bool:
    """Return whether the observed entries connect all rows and columns."""
    return bool(mask.any(axis=0).all() and mask.any(axis=1).all() and len(gflow.connectivity(mask).components) == 1)


def transition(seed: int, row: int) -> tuple[bool, bool, float, float]:
    """Return linear stability and relative error of the limit, one entry before the transition and at it."""
    model, M, order = gflow.Factorization((4, 4)), np.outer(COLUMN, ROWS[0]), sequence(seed, row)
    theta, stable, errors = model.theta(np.outer(COLUMN, np.eye(4)[0]), np.outer(np.eye(4)[0], ROWS[0])), [], []
    for count in (TRANSITIONS[row] - 1, TRANSITIONS[row]):
        problem = gflow.MatrixCompletion(M, seen(order[:count]))
        stable.append(gflow.linear_stability(problem, model, theta).stable)
        limit = gflow.saddle_to_saddle(problem, model.random(np.random.default_rng([seed, row])))
        errors.append(
            float(np.linalg.norm(limit.matrix - M) / np.linalg.norm(M)) if limit.matrix is not None else np.inf
        )
    return stable[0], stable[1], errors[0], errors[1]
