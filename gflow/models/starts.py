"""Starts of a product of factors that are not Gaussian: balanced ones, and multiples of the identity."""

from __future__ import annotations

import numpy as np

from gflow.models.factorization import Factorization
from gflow.models.protocol import normal_start, positive_number


def balanced_start(model: Factorization, rng: np.random.Generator | int, scale: float = 1.0) -> np.ndarray:
    """Return W1 = U S^(1/L), ..., WL = S^(1/L) V^T for a Gaussian matrix U S V^T of standard deviation scale^L, (dim,).

    Wj^T Wj = W(j+1) W(j+1)^T up to rounding. The hidden bases are those of the singular vectors: columns beyond
    min(d1, d2) are zero, and a width below it keeps the largest singular values. Arora, Cohen, Hu and Luo 2019.

    Parameters
    ----------
    model : Factorization
    rng : Generator or int
        A seed stands for ``numpy.random.default_rng(seed)``.
    scale : float
        Positive and finite, else ``ValueError``. Scales as s^(1/L) when M is multiplied by s.
    """
    size = positive_number(scale, "scale")
    drawn = normal_start(model.shape[0] * model.shape[1], rng, 1.0).reshape(model.shape)
    if model.depth == 1:
        return size * drawn.ravel()
    U, sizes, Vt = np.linalg.svd(drawn, full_matrices=False)
    kept = min(len(sizes), model.rank)
    roots = sizes[:kept] ** (1.0 / model.depth)
    factors = [np.zeros(layer) for layer in model.layers]
    factors[0][:, :kept], factors[-1][:kept] = U[:, :kept] * roots, roots[:, None] * Vt[:kept]
    for hidden in factors[1:-1]:
        hidden[:kept, :kept] = np.diag(roots)
    return size * model.theta(*factors)


def identity_start(model: Factorization, scale: float = 1.0) -> np.ndarray:
    """Return the start with every factor ``scale`` times the identity, cut to the shape of the factor, (dim,).

    For symmetric data it stays diagonal in their eigenbasis, an exception among starts: every mode grows by itself.
    Gissin, Shalev-Shwartz and Daniely 2020.

    Parameters
    ----------
    model : Factorization
    scale : float
        Positive and finite, else ``ValueError``. Scales as s^(1/L) when M is multiplied by s.
    """
    size = positive_number(scale, "scale")
    return np.concatenate([size * np.eye(*layer).ravel() for layer in model.layers])
