"""Networks of one hidden layer: f(x) = sum_i a_i s(w_i . x + b_i)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from gflow.checks import positive
from gflow.models.activations import as_activation
from gflow.models.functions import checked_inputs, checked_target
from gflow.models.protocol import normal_start

Array = np.ndarray


class TanhNetwork:
    """The model f(x) = sum_i a_i s(w_i . x + b_i) with m neurons; theta is a, then the rows (w_i, b_i).

    Parameters
    ----------
    inputs : (n,) or (n, d) array
        Where the outputs are taken, those of the ``Regression``.
    width : int
        m, the number of neurons.
    bias : bool
        Whether there are b_i.
    activation : str, Activation or function
        s: 'tanh', 'tanh^2', 'linear', or any smooth function of an array written with ``autograd.numpy``.

    Raises
    ------
    TypeError
        If the inputs are no real numbers, or the activation none of these.
    ValueError
        If the inputs are empty or not finite, or the width is no positive integer.

    Outputs have shape (n,). Zhao, Bai and Zhang 2024, arXiv 2405.13787.
    """

    broadcasts = True

    def __init__(self, inputs: Any, width: int, bias: bool = False, activation: Any = "tanh") -> None:
        self.inputs = checked_inputs(inputs, 2)
        self.width, self.bias = positive(width, "width"), bool(bias)
        self.activation = as_activation(activation)
        self.features = np.hstack([self.inputs, np.ones((len(self.inputs), 1))]) if self.bias else self.inputs
        self.shape = (len(self.inputs),)
        self.dim = self.width * (1 + self.features.shape[1])

    @property
    def degree(self) -> int | None:
        """Return 2 for the linear activation; others are homogeneous of no degree."""
        return 2 if self.activation.name == "linear" else None

    def at(self, inputs: Any) -> TanhNetwork:
        """Return the model of the same functions at other inputs, shape (n, d)."""
        return TanhNetwork(inputs, self.width, self.bias, self.activation)

    def widened(self, more: int) -> TanhNetwork:
        """Return the model with ``more`` further neurons."""
        return TanhNetwork(self.inputs, self.width + more, self.bias, self.activation)

    def parts(self, theta: Array) -> tuple[Array, Array]:
        """Return a, shape (m,), and the rows (w_i, b_i), shape (m, d + bias), as views (leading axes are kept)."""
        m = self.width
        return theta[..., :m], theta[..., m:].reshape(*theta.shape[:-1], m, self.features.shape[1])

    def theta(self, a: Any, rows: Any) -> Array:
        """Return the flat parameter with outer weights a, shape (m,), and inner rows, shape (m, d + bias)."""
        a, rows = np.asarray(a, dtype=float), np.asarray(rows, dtype=float)
        expected = (self.width,), (self.width, self.features.shape[1])
        if (a.shape, rows.shape) != expected:
            raise ValueError(
                f"a and rows must have shapes {expected[0]} and {expected[1]}; got {a.shape}, {rows.shape}"
            )
        return np.concatenate([a, rows.ravel()])

    def neurons(self, theta: Array) -> Array:
        """Return the neurons (a_i, w_i, b_i) as rows, shape (m, 1 + d + bias)."""
        a, rows = self.parts(theta)
        return np.concatenate([a[..., None], rows], axis=-1)

    def output(self, theta: Array) -> Array:
        """Return f at the inputs, shape (n,) (leading axes of theta are kept)."""
        a, rows = self.parts(theta)
        return _times(self.activation.jet(self.features @ rows.mT)[0], a)

    def tangent(self, theta: Array, variation: Array) -> Array:
        """Return the derivative of the outputs along ``variation``, shape (n,)."""
        (a, rows), (da, drows) = self.parts(theta), self.parts(variation)
        value, slope, _ = self.activation.jet(self.features @ rows.mT)
        return _times(value, da) + _times(slope * (self.features @ drows.mT), a)

    def increment(self, theta: Array, variation: Array) -> Array:
        """Return f(theta + variation) - f(theta) without cancellation, shape (n,)."""
        (a, rows), (da, drows) = self.parts(theta), self.parts(variation)
        u, du = self.features @ rows.mT, self.features @ drows.mT
        return _times(self.activation.jet(u)[0], da) + _times(self.activation.change(u, du)[0], a + da)

    def pullback(self, theta: Array, G: Array) -> Array:
        """Return sum_j G_j s(u_ij), then a_i sum_j G_j s'(u_ij) x_j, shape (dim,)."""
        a, rows = self.parts(theta)
        value, slope, _ = self.activation.jet(self.features @ rows.mT)
        return self._joined(_times(value.mT, G), a[..., None] * ((slope * G[..., None]).mT @ self.features))

    def bend(self, theta: Array, variation: Array, G: Array) -> Array:
        """Return the derivative of ``pullback`` along ``variation``, shape (dim,)."""
        (a, rows), (da, drows) = self.parts(theta), self.parts(variation)
        _, slope, bend = self.activation.jet(self.features @ rows.mT)
        du = self.features @ drows.mT
        moved = slope * da[..., None, :] + bend * du * a[..., None, :]
        return self._joined(_times((slope * du).mT, G), (moved * G[..., None]).mT @ self.features)

    def turn(self, theta: Array, variation: Array, G: Array) -> Array:
        """Return pullback(theta + variation, G) - pullback(theta, G) without cancellation, shape (dim,)."""
        (a, rows), (da, drows) = self.parts(theta), self.parts(variation)
        u = self.features @ rows.mT
        value, slope = self.activation.change(u, self.features @ drows.mT)
        moved = self.activation.jet(u)[1] * da[..., None, :] + slope * (a + da)[..., None, :]
        return self._joined(_times(value.mT, G), (moved * G[..., None]).mT @ self.features)

    def departing(self, theta: Array, G: Array, curvature: Callable[[Array], Array]) -> Callable[[Array], Array]:
        """Return delta -> pullback(theta + delta, curvature(dW)) + turn(theta, delta, G), dW = increment(theta, delta).

        What does not depend on delta is evaluated once, and what its parts share once for each delta, shape (dim,).
        """
        (a, rows), m, X = self.parts(theta), self.width, self.features
        u = X @ rows.mT
        value, slope, _ = self.activation.jet(u)
        change, weights = self.activation.change, G[:, None]

        def gradient(delta: Array) -> Array:
            da, drows = delta[:m], delta[m:].reshape(m, -1)
            values, slopes = change(u, X @ drows.T)
            after = a + da
            added = curvature(value @ da + values @ after)
            inner = (slope + slopes) * after * added[:, None] + (slope * da + slopes * after) * weights
            return np.concatenate([added @ (value + values) + G @ values, (inner.T @ X).ravel()])

        return gradient

    def jacobian(self, theta: Array) -> Array:
        """Return the derivative of the outputs, shape (n, dim)."""
        a, rows = self.parts(theta)
        value, slope, _ = self.activation.jet(self.features @ rows.mT)
        inner = (slope * a)[:, :, None] * self.features[:, None, :]
        return np.concatenate([value, inner.reshape(len(value), -1)], axis=1)

    def bend_matrix(self, theta: Array, G: Array) -> Array:
        """Return the matrix of ``bend(theta, ., G)``, shape (dim, dim): one block for each neuron."""
        a, rows = self.parts(theta)
        _, slope, bend = self.activation.jet(self.features @ rows.mT)
        m, d, X = self.width, self.features.shape[1], self.features
        cross, H = (slope * G[:, None]).T @ X, np.zeros((self.dim, self.dim))
        for i in range(m):
            block = slice(m + i * d, m + (i + 1) * d)
            H[i, block] = H[block, i] = cross[i]
            H[block, block] = a[i] * (X.T * (bend[:, i] * G)) @ X
        return H

    def _joined(self, a: Array, rows: Array) -> Array:
        return np.concatenate([a, rows.reshape(*rows.shape[:-2], -1)], axis=-1)

    @property
    def symmetries(self) -> tuple[tuple[Array, Array], ...]:
        """Return generators: exchanges of neighbouring neurons, and a sign of the first one for odd or even s."""
        one, d, m = np.ones(self.dim), self.features.shape[1], self.width
        found = []
        for i in range(m - 1):
            order = np.arange(m)
            order[[i, i + 1]] = i + 1, i
            inner = m + (order[:, None] * d + np.arange(d)).ravel()
            found.append((np.concatenate([order, inner]), one))
        if self.activation.parity:
            signs = one.copy()
            signs[m : m + d] = -1.0
            signs[0] = self.activation.parity
            found.append((np.arange(self.dim), signs))
        return tuple(found)

    def structural_rank(self, theta: Array) -> int | None:
        """Return the model rank at theta in closed form, exact for its doubles; None for s other than tanh.

        Classes are the distinct inner rows up to sign: m_w of them in all, m_a of them with an outer weight that is
        not zero. Without bias the rank is m_w + d m_a, and d more where a neuron with w = 0 has a != 0 (Zhang et al.
        2022, arXiv 2211.11623, Corollary 2). With bias, classes count w != 0 alone, and constant neurons add d + 1 if
        one has a != 0, else 1 if one has b != 0; docs/develop/mathematics.md, section 14.
        """
        if self.activation.name != "tanh":
            return None
        a, rows = self.parts(np.asarray(theta, dtype=float))
        d = self.inputs.shape[1]
        living, seen = set[tuple[float, ...]](), set[tuple[float, ...]]()
        for weight, row in zip(a.tolist(), rows, strict=True):
            if row[:d].any():
                seen.add(row_class(row))
                living |= {row_class(row)} if weight else set()
        still = [(weight, row) for weight, row in zip(a.tolist(), rows, strict=True) if not row[:d].any()]
        awake = any(weight for weight, _ in still)
        if self.bias:
            constant = d + 1 if awake else int(any(row[d] for _, row in still))
            return len(seen) + (d + 1) * len(living) + constant
        return len(seen) + d * (len(living) + awake)

    def sample_size(self, target: Array) -> int | None:
        """Return the least rank over all parameters with the function of theta = ``target``, k(d + 1) or k(d + 2).

        k counts the classes whose outer weights do not cancel; a constant adds d + 1. None for s other than tanh.
        Zhang et al. 2022, Proposition 5.
        """
        if self.activation.name != "tanh":
            return None
        a, rows = self.parts(checked_target(target, (self.dim,)))
        sums: dict[tuple[float, ...], Fraction] = {}
        d, constant = self.inputs.shape[1], False
        for weight, row in zip(a.tolist(), rows, strict=True):
            key = row_class(row)
            sums[key] = sums.get(key, Fraction(0)) + (1 if key == tuple(row.tolist()) else -1) * Fraction(weight)
        for key, weight in sums.items():
            constant |= bool(weight) and not any(key[:d]) and any(key)
        count = sum(bool(weight) and any(key[:d]) for key, weight in sums.items())
        return count * (d + 1 + self.bias) + (d + 1) * constant

    def random(self, rng: np.random.Generator | int, scale: float = 1.0) -> Array:
        """Return ``scale * rng.standard_normal(dim)``."""
        return normal_start(self.dim, rng, scale)

    def __repr__(self) -> str:
        n, d = self.inputs.shape
        bias = ", bias" if self.bias else ""
        return f"TanhNetwork({n} inputs of dimension {d}, width={self.width}{bias}, {self.activation.name})"


def _times(matrix: Array, vector: Array) -> Array:
    """Return the products of matrices and vectors, shape (..., n)."""
    return (matrix @ vector[..., None])[..., 0]


def row_class(row: Array) -> tuple[float, ...]:
    """Return the one of row and -row whose first number that is not zero is positive."""
    numbers = row.tolist()
    first = next((number for number in numbers if number), 0.0)
    return tuple((number if first >= 0 else -number) + 0.0 for number in numbers)
