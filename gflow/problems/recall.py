"""The recall task: a sequence of keys with values, a query, and the value that belongs to it."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from gflow.problems.regression import Regression, real


def recall_task(keys: int, sizes: Any, frequencies: Any = None) -> Regression:
    """Return exact associative recall over all sequences, without sampling noise, as a regression.

    Parameters
    ----------
    keys : int
        p: every sequence holds the tokens (e_l, v_l), l = 1 ... p, and last the query (e_q, 0).
    sizes : (o,) array
        Values v_l are all of {+-s_1} x ... x {+-s_o}; the target is v_q.
    frequencies : (p,) array, optional
        How often each key is asked for. Default: all equally often.

    Raises
    ------
    TypeError
        If ``keys`` is no integer.
    ValueError
        If ``keys`` is not positive, p o exceeds 14, sizes are not positive, or there is not one frequency for each key.

    Inputs have shape (p 2^(p o), p + 1, p + o), the first p coordinates of a token its key.
    """
    if isinstance(keys, bool) or not isinstance(keys, (int, np.integer)):
        raise TypeError(f"keys must be a positive integer; got {keys!r}")
    s = real(np.atleast_1d(sizes), "sizes")
    p, o = int(keys), s.size
    if p < 1 or s.ndim != 1 or not (s > 0).all():
        raise ValueError(f"keys and sizes must be positive; got {keys!r} and {sizes!r}")
    if p * o > 14:
        raise ValueError(f"keys times sizes must be at most 14, for all 2^(p o) sequences are listed; got {p * o}")
    omega = np.full(p, 1.0 / p) if frequencies is None else real(frequencies, "frequencies")
    if omega.shape != (p,):
        raise ValueError(f"frequencies must have shape ({p},); got {omega.shape}")
    signs = np.array(list(product((1.0, -1.0), repeat=p * o))).reshape(-1, p, o)
    inputs, targets = [], []
    for query in range(p):
        tokens = np.zeros((len(signs), p + 1, p + o))
        tokens[:, :p, :p], tokens[:, p, query] = np.eye(p), 1.0
        tokens[:, :p, p:] = signs * s
        inputs.append(tokens)
        targets.append(tokens[:, query, p:])
    return Regression(np.concatenate(inputs), np.concatenate(targets), np.repeat(omega, len(signs)))
