"""The way from the weights of attention to its outputs and back, with derivatives and differences along it.

One formula gives both: the change of a product a b is da b' + a db, with b' = b for a derivative and b + db for a
difference, which then cancels nothing. Arrays have the axes (..., heads, n, .), ... those of theta.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Weights:
    """W_Q, W_K, W_V and W_O of all heads, shapes (..., heads, ., .)."""

    Q: Array
    K: Array
    V: Array
    O: Array  # noqa: E741 - the field's letter

    @property
    def all(self) -> tuple[Array, Array, Array, Array]:
        """Return the four matrices."""
        return self.Q, self.K, self.V, self.O

    def plus(self, other: Weights) -> Weights:
        """Return the sums."""
        return Weights(*(one + two for one, two in zip(self.all, other.all, strict=True)))


@dataclass(frozen=True, slots=True)
class Context:
    """Query x_L W_Q, scores and weights p of the tokens, shape (..., heads, n, L), and p X, shape (..., heads, n, d).

    For the change of a context both are differences or derivatives.
    """

    model: Any
    query: Array
    scores: Array
    weights: Array
    mixed: Array

    def spread(self, values: Array) -> Array:
        """Return what the scores of keys add to sums p values, shape (heads, n, d, o), for values (heads, n, L, o)."""
        keys, p = self.model.keys, self.weights
        if self.model.linear:
            return keys.mT @ values / keys.shape[1]
        weighted = p[..., None] * values
        mean = (p[..., None, :] @ keys)[..., 0, :]
        return keys.mT @ weighted - mean[..., None] * weighted.sum(axis=-2)[..., None, :]


def _sums(p: Array, tokens: Array) -> Array:
    """Return sum_l p_l x_l, shape (..., heads, n, d)."""
    return (p[..., None, :] @ tokens)[..., 0, :]


def _scores(tokens: Array, probe: Array) -> Array:
    """Return x_l . r, shape (..., heads, n, L)."""
    return (tokens @ probe[..., None])[..., 0]


def context(model: Any, W: Weights) -> Context:
    """Return how every sequence is attended to."""
    query = model.keys[:, -1] @ W.Q
    probe = query @ W.K.mT * model.scale
    scores = _scores(model.keys, probe)
    if model.linear:
        p = scores / model.keys.shape[1]
    else:
        p = _softmax(scores)
    return Context(model, query, scores, p, _sums(p, model.values))


def tilted(model: Any, here: Context, W: Weights, D: Weights, finite: bool) -> Context:
    """Return the change of the context along D: a difference where ``finite``, else the derivative."""
    query = model.keys[:, -1] @ D.Q
    probe = (query @ (W.K + D.K if finite else W.K).mT + here.query @ D.K.mT) * model.scale
    change = _scores(model.keys, probe)
    if model.linear:
        p = change / model.keys.shape[1]
    else:
        p = _softmax_change(here.weights, here.scores, change, finite)
    return Context(model, query, change, p, _sums(p, model.values))


def _softmax(scores: Array) -> Array:
    """Return the softmax along the last axis; differences from the largest score do not overflow, and balls may."""
    grown = np.exp(scores if scores.dtype == object else scores - scores.max(axis=-1, keepdims=True))
    return grown / grown.sum(axis=-1)[..., None]


def _softmax_change(p: Array, scores: Array, change: Array, finite: bool) -> Array:
    """Return the change of the softmax p of ``scores`` where they change so, shape (..., L).

    With e = exp(change) - 1 it is p (e - <p, e>) / (1 + <p, e>); where a score changes by more than 1, nothing cancels.
    """
    if not finite:
        return p * (change - np.sum(p * change, axis=-1, keepdims=True))
    far = np.abs(change).max(axis=-1, keepdims=True) > 1.0
    grown = np.expm1(np.where(far, 0.0, change))
    mean = np.sum(p * grown, axis=-1, keepdims=True)
    near = p * (grown - mean) / (1.0 + mean)
    return np.where(far, _softmax(scores + change) - p, near) if far.any() else near


def _back(model: Any, p: Array, felt: Array) -> Array:
    """Return the slope in the scores from that in the weights p."""
    if model.linear:
        return felt / model.keys.shape[1]
    return p * (felt - np.sum(p * felt, axis=-1, keepdims=True))


def _back_change(model: Any, p: Array, dp: Array, felt: Array, dfelt: Array, finite: bool) -> Array:
    """Return the change of ``_back``; p (felt - <p, felt>) with both changing."""
    if model.linear:
        return dfelt / model.keys.shape[1]
    after, level = (p + dp if finite else p), np.sum(p * felt, axis=-1, keepdims=True)
    risen = np.sum(dp * (felt + dfelt if finite else felt) + p * dfelt, axis=-1, keepdims=True)
    return dp * (felt - level) + after * (dfelt - risen)


def pulled(here: Context, W: Weights, G: Array, D: Weights | None = None, finite: bool = False) -> Weights:
    """Return the gradient of <G, f> in the weights W of a context, or its change along D."""
    model, last = here.model, here.model.keys[:, -1]
    G = G[..., None, :, :]
    wanted = G @ W.O.mT
    seen = wanted @ W.V.mT
    felt = _scores(model.values, seen)
    tilt = _back(model, here.weights, felt)
    probe = _sums(tilt, model.keys) * model.scale
    if D is None:
        return Weights(
            last.mT @ (probe @ W.K), probe.mT @ here.query, here.mixed.mT @ wanted, (here.mixed @ W.V).mT @ G
        )
    after, moved = (W.plus(D) if finite else W), tilted(model, here, W, D, finite)
    dwanted = G @ D.O.mT
    dseen = dwanted @ after.V.mT + wanted @ D.V.mT
    dfelt = _scores(model.values, dseen)
    dtilt = _back_change(model, here.weights, moved.weights, felt, dfelt, finite)
    dprobe = _sums(dtilt, model.keys) * model.scale
    return Weights(
        last.mT @ (dprobe @ after.K + probe @ D.K),
        dprobe.mT @ (here.query + moved.query if finite else here.query) + probe.mT @ moved.query,
        moved.mixed.mT @ (wanted + dwanted if finite else wanted) + here.mixed.mT @ dwanted,
        (moved.mixed @ after.V + here.mixed @ D.V).mT @ G,
    )
