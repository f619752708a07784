"""Attention of one layer, softmax or linear: the value at the last token, summed over heads."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from gflow.checks import positive
from gflow.models.attention_paths import Context, Weights, context, pulled, tilted
from gflow.models.functions import LastPoint, checked_inputs, product_rank, product_vanishes
from gflow.models.protocol import normal_start

Array = np.ndarray


class Attention:
    """The model f(X) = sum_h p_h X W_V W_O, p_h = softmax(x_L W_Q W_K^T X^T / sqrt(dk)), x_L the last token of X.

    Parameters
    ----------
    inputs : (n, L, d) array
        n sequences of L tokens.
    outputs : int
        The dimension o of f(X).
    key_width, value_width : int
        dk and dv, the inner dimensions of W_Q W_K^T and of W_V W_O in each head.
    heads : int
    linear : bool
        Scores over L instead of their softmax.
    streams : int, optional
        With it the first ``streams`` coordinates of a token are its key, read by W_Q and W_K alone, and the others its
        value, read by W_V alone. Default: all matrices read the whole token.

    Raises
    ------
    TypeError
        If the inputs are no real numbers.
    ValueError
        If the inputs are empty or not finite, a width is no positive integer, or ``streams`` leaves no coordinate for
        keys or for values.

    theta holds, head by head, W_Q and W_K (d, dk), W_V (d, dv) and W_O (dv, o), each row-major, with d the coordinates
    that the matrix reads. Outputs have shape (n, o). The factor 1 / sqrt(dk) is a double. Boix-Adsera et al. 2023,
    arXiv 2306.07042; Zhang, Singh, Latham and Saxe 2025, arXiv 2501.16265.
    """

    broadcasts = True

    def __init__(
        self,
        inputs: Any,
        outputs: int,
        key_width: int,
        value_width: int,
        *,
        heads: int = 1,
        linear: bool = False,
        streams: int | None = None,
    ) -> None:
        self.inputs = checked_inputs(inputs, 3)
        self.outputs, self.heads, self.linear = positive(outputs, "outputs"), positive(heads, "heads"), bool(linear)
        self.key_width, self.value_width = positive(key_width, "key_width"), positive(value_width, "value_width")
        d = self.inputs.shape[2]
        self.streams = None if streams is None else positive(streams, "streams")
        if self.streams is not None and not self.streams < d:
            raise ValueError(f"streams must leave coordinates for values, below d = {d}; got {self.streams}")
        keys = self.streams or d
        values = d - keys if self.streams else d
        self.layers = (keys, key_width), (keys, key_width), (values, value_width), (value_width, outputs)
        self.keys = np.ascontiguousarray(self.inputs[:, :, :keys])
        self.values = np.ascontiguousarray(self.inputs[:, :, d - values :])
        self.shape = len(self.inputs), self.outputs
        self.dim = self.heads * sum(rows * columns for rows, columns in self.layers)
        self.attended = LastPoint(self._context)

    @property
    def degree(self) -> int | None:
        """Return 4 for linear attention; softmax is homogeneous of no degree."""
        return 4 if self.linear else None

    def at(self, inputs: Any) -> Attention:
        """Return the model of the same functions at other sequences, shape (n, L, d)."""
        settings: dict[str, Any] = {"heads": self.heads, "linear": self.linear, "streams": self.streams}
        return Attention(inputs, self.outputs, self.key_width, self.value_width, **settings)

    def matrices(self, theta: Array) -> Weights:
        """Return W_Q, W_K, W_V and W_O, shapes (heads, ., .), as views of theta (leading axes are kept)."""
        flat, found, first = theta.reshape(*theta.shape[:-1], self.heads, -1), [], 0
        for rows, columns in self.layers:
            last = first + rows * columns
            found.append(flat[..., first:last].reshape(*flat.shape[:-1], rows, columns))
            first = last
        return Weights(*found)

    def theta(self, W_Q: Any, W_K: Any, W_V: Any, W_O: Any) -> Array:
        """Return the flat parameter with these matrices, one of each or (heads, ., .); ``ValueError`` for others."""
        parts = [np.asarray(part, dtype=float) for part in (W_Q, W_K, W_V, W_O)]
        expected = [(self.heads, *layer) for layer in self.layers]
        parts = [part[None] if part.ndim == 2 else part for part in parts]
        if [part.shape for part in parts] != expected:
            raise ValueError(f"the matrices must have shapes {expected}; got {[part.shape for part in parts]}")
        return np.concatenate([part.reshape(self.heads, -1) for part in parts], axis=1).ravel()

    def _context(self, theta: Array) -> Context:
        return context(self, self.matrices(theta))

    def output(self, theta: Array) -> Array:
        """Return f at the sequences, shape (n, o) (leading axes of theta are kept)."""
        W = self.matrices(theta)
        return _summed(self.attended(theta).mixed @ W.V @ W.O)

    def tangent(self, theta: Array, variation: Array) -> Array:
        """Return the derivative of the outputs along ``variation``, shape (n, o)."""
        return self._moved(theta, variation, finite=False)

    def increment(self, theta: Array, variation: Array) -> Array:
        """Return f(theta + variation) - f(theta) without cancellation, shape (n, o)."""
        return self._moved(theta, variation, finite=True)

    def _moved(self, theta: Array, variation: Array, finite: bool) -> Array:
        W, D = self.matrices(theta), self.matrices(variation)
        after = W.plus(D) if finite else W
        here = self.attended(theta)
        change = tilted(self, here, W, D, finite).mixed
        return _summed((change @ after.V + here.mixed @ D.V) @ after.O + here.mixed @ W.V @ D.O)

    def pullback(self, theta: Array, G: Array) -> Array:
        """Return the gradient of <G, f>, shape (dim,) (leading axes of theta are kept)."""
        return self._flat(pulled(self.attended(theta), self.matrices(theta), G))

    def bend(self, theta: Array, variation: Array, G: Array) -> Array:
        """Return the derivative of ``pullback`` along ``variation``, shape (dim,)."""
        return self._flat(pulled(self.attended(theta), self.matrices(theta), G, self.matrices(variation), finite=False))

    def turn(self, theta: Array, variation: Array, G: Array) -> Array:
        """Return pullback(theta + variation, G) - pullback(theta, G) without cancellation, shape (dim,)."""
        return self._flat(pulled(self.attended(theta), self.matrices(theta), G, self.matrices(variation), finite=True))

    def jacobian(self, theta: Array) -> Array:
        """Return the derivative of the outputs, shape (n, o, dim)."""
        W = self.matrices(theta)
        here = context(self, W)
        n, o = self.shape
        read, spread = here.mixed @ W.V, here.spread(self.values @ (W.V @ W.O)[:, None])  # (h, n, dv), (h, n, d, o)
        last = self.keys[:, -1]
        query, key = last @ W.Q * self.scale, (W.K * self.scale)[:, None].mT @ spread  # (h, n, dk), (h, n, dk, o)
        parts = (
            last[None, :, None, :, None] * key.mT[:, :, :, None, :],
            spread.mT[..., None] * query[:, :, None, None, :],
            here.mixed[:, :, None, :, None] * W.O.mT[:, None, :, None, :],
            read[:, :, None, :, None] * np.eye(o)[:, None, :],
        )
        flat = [part.reshape(self.heads, n, o, -1) for part in parts]
        return np.moveaxis(np.concatenate(flat, axis=-1), 0, 2).reshape(n, o, self.dim)

    def bend_matrix(self, theta: Array, G: Array) -> Array:
        """Return the matrix of ``bend(theta, ., G)``, shape (dim, dim)."""
        return self.bend(theta, np.eye(self.dim), G)

    def _flat(self, parts: Weights) -> Array:
        flat = [part.reshape(*part.shape[:-2], -1) for part in parts.all]
        joined = np.concatenate(flat, axis=-1)
        return joined.reshape(*joined.shape[:-2], self.dim)

    @cached_property
    def scale(self) -> float:
        """Return 1 / sqrt(dk)."""
        return float(1.0 / np.sqrt(self.key_width))

    def conserved(self, theta: Array) -> Array:
        """Return W_Q^T W_Q - W_K^T W_K and W_V^T W_V - W_O W_O^T of every head, flat; for linear attention |W_Q|^2 -
        |W_V|^2 of every head as well. All are constant along every gradient flow (leading axes are kept)."""
        W = self.matrices(theta)
        gaps = [W.Q.mT @ W.Q - W.K.mT @ W.K, W.V.mT @ W.V - W.O @ W.O.mT]
        if self.linear:
            gaps.append(np.sum(W.Q**2, axis=(-2, -1), keepdims=True) - np.sum(W.V**2, axis=(-2, -1), keepdims=True))
        return np.concatenate([gap.reshape(*theta.shape[:-1], -1) for gap in gaps], axis=-1)

    def gauge_dimension(self, theta: Array, rank_tol: float = 1e-6) -> int:
        """Return the dimension of the orbit of theta under W_Q X, W_K X^-T and W_V Y, Y^-1 W_O in every head, and for
        linear attention t W_Q, W_V / t; ranks count singular values above ``rank_tol`` times the largest of a head."""
        found = 0
        for matrices in zip(*self.matrices(theta).all, strict=True):
            sizes = [np.linalg.svd(matrix, compute_uv=False) for matrix in matrices]
            cut = rank_tol * max(size[0] for size in sizes)
            q, k, v, o = (int(np.sum(size > cut)) for size in sizes)
            found += (q + k) * self.key_width - q * k + (v + o) * self.value_width - v * o
            found += int(self.linear and min(q, k, v, o) > 0)
        return found

    @property
    def symmetries(self) -> tuple[tuple[Array, Array], ...]:
        """Return generators: in every head signs of the inner coordinates, and exchanges of neighbouring heads."""
        index, one = np.arange(self.dim), np.ones(self.dim)
        found = []
        places = self.matrices(index)
        for h in range(self.heads):
            for j in range(self.key_width):
                signs = one.copy()
                signs[places.Q[h, :, j]] = signs[places.K[h, :, j]] = -1.0
                found.append((index, signs))
            for j in range(self.value_width):
                signs = one.copy()
                signs[places.V[h, :, j]] = signs[places.O[h, j]] = -1.0
                found.append((index, signs))
        blocks = index.reshape(self.heads, -1)
        for h in range(self.heads - 1):
            order = np.arange(self.heads)
            order[[h, h + 1]] = h + 1, h
            found.append((blocks[order].ravel(), one))
        return tuple(found)

    def structural_rank(self, theta: Array) -> int:
        """Return an upper bound of the model rank that is exact for one head, and for the doubles of theta.

        With t_QK the dimension of {dW_Q W_K^T + W_Q dW_K^T} and t_VO likewise: the sum over heads of t_QK (0 where
        W_V W_O = 0) and t_VO (for linear attention 0 where W_Q W_K^T = 0), less 1 for linear attention where neither
        product vanishes. docs/develop/mathematics.md, section 14.
        """
        W, bound = self.matrices(np.asarray(theta, dtype=float)), 0
        for Q, K, V, out in zip(*W.all, strict=True):
            scores, values = product_rank(Q, K.T), product_rank(V, out)
            blind, idle = product_vanishes(Q, K.T), product_vanishes(V, out)
            bound += scores * (not idle) + values * (not (self.linear and blind))
            bound -= int(self.linear and not idle and not blind)
        return min(bound, self.dim)

    def random(self, rng: np.random.Generator | int, scale: float = 1.0) -> Array:
        """Return ``scale * rng.standard_normal(dim)``."""
        return normal_start(self.dim, rng, scale)

    def __repr__(self) -> str:
        n, L, d = self.inputs.shape
        kind = "linear" if self.linear else "softmax"
        streams = f", keys of {self.streams}" if self.streams else ""
        return f"Attention({n} sequences of {L} tokens of dimension {d}, heads={self.heads}, {kind}{streams})"


def _summed(parts: Array) -> Array:
    """Return the sum over heads, shape (..., n, o)."""
    return parts[..., 0, :, :] if parts.shape[-3] == 1 else parts.sum(axis=-3)
