"""Convolutional networks of one hidden layer: networks whose inner weights are tied to kernels."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from gflow.checks import positive
from gflow.models.functions import checked_inputs, checked_target, rational_rank
from gflow.models.networks import TanhNetwork, row_class
from gflow.models.protocol import normal_start

Array = np.ndarray


class ConvolutionalNetwork:
    """The model f(x) = sum_i sum_s a_is s(k_i . x_[s] + b_i), x_[s] the window of x at the place s.

    Parameters
    ----------
    inputs : (n, d) array or (n, d1, d2) array
        Signals or images.
    kernels : int
        m, the number of kernels.
    size : int
        The length of a kernel, in each direction of an image; there is one place for each position of it inside.
    bias : bool
        Whether there are b_i.
    activation : str, Activation or function
        s, as for ``TanhNetwork``; 'linear' gives the two-layer linear convolutional network.
    shared : bool
        Without it each place has kernels (and biases) of its own: connections are local, weights not shared.

    Raises
    ------
    TypeError
        If the inputs are no real numbers, or the activation is none.
    ValueError
        If the inputs are empty or not finite, a number is no positive integer, or the kernel does not fit.

    theta is a, shape (m, places), then the rows (k_i, b_i), shape (m, .) or (m, places, .). Outputs have shape (n,).
    Zhang et al. 2022, arXiv 2211.11623, Table 4; 2023, arXiv 2307.08921, appendix A.4 and A.5.
    """

    broadcasts = True

    def __init__(
        self,
        inputs: Any,
        kernels: int,
        size: int,
        *,
        bias: bool = False,
        activation: Any = "tanh",
        shared: bool = True,
    ) -> None:
        self.inputs = checked_inputs(inputs, 3 if np.ndim(inputs) == 3 else 2)
        self.kernels, self.size, self.shared = positive(kernels, "kernels"), positive(size, "size"), bool(shared)
        lengths = self.inputs.shape[1:]
        if self.size > min(lengths):
            raise ValueError(f"size must be at most that of the inputs, {min(lengths)}; got {size}")
        pixels = np.arange(int(np.prod(lengths))).reshape(lengths)
        windows = np.lib.stride_tricks.sliding_window_view(pixels, (self.size,) * len(lengths))
        self.windows = windows.reshape(-1, self.size ** len(lengths))
        flat = self.inputs.reshape(len(self.inputs), -1)
        self.network = TanhNetwork(flat, self.kernels * len(self.windows), bias, activation)
        self.bias, self.activation = self.network.bias, self.network.activation
        self.ties = self._ties()
        self.shape, self.dim = self.network.shape, self.ties.shape[1]

    def _ties(self) -> Array:
        """Return the matrix of zeros and ones that makes the parameters of the network without ties from theta."""
        m, (P, taps), d = self.kernels, self.windows.shape, self.network.inputs.shape[1]
        rows = m if self.shared else m * P
        ties = np.zeros((self.network.dim, m * P + rows * (taps + self.bias)), dtype=int)
        ties[np.arange(m * P), np.arange(m * P)] = 1
        first = m * P + np.arange(m * P) * (d + self.bias)  # of the inner row of each neuron
        own = m * P + (np.arange(m * P) // P if self.shared else np.arange(m * P)) * (taps + self.bias)
        for tap in range(taps):
            ties[first + np.tile(self.windows[:, tap], m), own + tap] = 1
        if self.bias:
            ties[first + d, own + taps] = 1
        return ties

    @property
    def degree(self) -> int | None:
        """Return that of the network without ties."""
        return self.network.degree

    def at(self, inputs: Any) -> ConvolutionalNetwork:
        """Return the model of the same functions at other inputs."""
        settings: dict[str, Any] = {"bias": self.bias, "activation": self.activation, "shared": self.shared}
        return ConvolutionalNetwork(inputs, self.kernels, self.size, **settings)

    def parts(self, theta: Array) -> tuple[Array, Array]:
        """Return a, shape (m, places), and the rows (k, b), shape (m, .) or (m, places, .) (leading axes are kept)."""
        m, (P, taps) = self.kernels, self.windows.shape
        shape = (m, taps + self.bias) if self.shared else (m, P, taps + self.bias)
        return theta[..., : m * P].reshape(*theta.shape[:-1], m, P), theta[..., m * P :].reshape(
            *theta.shape[:-1], *shape
        )

    def theta(self, a: Any, rows: Any) -> Array:
        """Return the flat parameter with these parts; ``ValueError`` for other shapes."""
        given = np.asarray(a, dtype=float), np.asarray(rows, dtype=float)
        expected = tuple(part.shape for part in self.parts(np.zeros(self.dim)))
        if tuple(part.shape for part in given) != expected:
            raise ValueError(f"a and rows must have shapes {expected}; got {tuple(part.shape for part in given)}")
        return np.concatenate([part.ravel() for part in given])

    def output(self, theta: Array) -> Array:
        """Return f at the inputs, shape (n,) (leading axes of theta are kept)."""
        return self.network.output(theta @ self.ties.T)

    def tangent(self, theta: Array, variation: Array) -> Array:
        """Return the derivative of the outputs along ``variation``, shape (n,)."""
        return self.network.tangent(theta @ self.ties.T, variation @ self.ties.T)

    def increment(self, theta: Array, variation: Array) -> Array:
        """Return f(theta + variation) - f(theta) without cancellation, shape (n,)."""
        return self.network.increment(theta @ self.ties.T, variation @ self.ties.T)

    def pullback(self, theta: Array, G: Array) -> Array:
        """Return the gradient of <G, f>, shape (dim,) (leading axes of theta are kept)."""
        return self.network.pullback(theta @ self.ties.T, G) @ self.ties

    def bend(self, theta: Array, variation: Array, G: Array) -> Array:
        """Return the derivative of ``pullback`` along ``variation``, shape (dim,)."""
        return self.network.bend(theta @ self.ties.T, variation @ self.ties.T, G) @ self.ties

    def turn(self, theta: Array, variation: Array, G: Array) -> Array:
        """Return pullback(theta + variation, G) - pullback(theta, G) without cancellation, shape (dim,)."""
        return self.network.turn(theta @ self.ties.T, variation @ self.ties.T, G) @ self.ties

    def jacobian(self, theta: Array) -> Array:
        """Return the derivative of the outputs, shape (n, dim)."""
        return self.network.jacobian(theta @ self.ties.T) @ self.ties

    def bend_matrix(self, theta: Array, G: Array) -> Array:
        """Return the matrix of ``bend(theta, ., G)``, shape (dim, dim)."""
        return self.ties.T @ self.network.bend_matrix(theta @ self.ties.T, G) @ self.ties

    @property
    def conserved(self) -> Callable[[Array], Array] | None:
        """Return theta -> a a^T - k k^T, flat, for shared linear kernels (k with bias); None for others."""
        return self._gram_difference if self.shared and self.activation.name == "linear" else None

    def _gram_difference(self, theta: Array) -> Array:
        a, rows = self.parts(theta)
        return (a @ a.mT - rows @ rows.mT).reshape(*theta.shape[:-1], -1)

    @property
    def symmetries(self) -> tuple[tuple[Array, Array], ...]:
        """Return generators: exchanges of neighbouring kernels, and a sign of the first one for odd or even s."""
        index, one = np.arange(self.dim), np.ones(self.dim)
        found = []
        for i in range(self.kernels - 1):
            order = np.arange(self.kernels)
            order[[i, i + 1]] = i + 1, i
            found.append((np.concatenate([part[order].ravel() for part in self.parts(index)]), one))
        if self.activation.parity:
            signs = one.copy()
            a, rows = self.parts(signs)
            a[0], rows[0] = self.activation.parity, -1.0
            found.append((index, signs))
        return tuple(found)

    def structural_rank(self, theta: Array) -> int | None:
        """Return the model rank at theta, exact for its doubles; None for s other than tanh and linear.

        Tangent functions are combinations of tanh(z), x_j tanh'(z) and tanh'(z), one set for each class of rows up to
        sign, and of 1 and x_j, all independent; the rank is that of their coefficients in rational arithmetic. One
        class of kernels has as many as places and taps (d + 1 for signals), and one more with bias;
        docs/develop/mathematics.md, section 14.
        """
        if self.activation.name not in ("tanh", "linear"):
            return None
        found, columns = tangent_coordinates(self.network, np.asarray(theta) @ self.ties.T), self.ties.T
        met = [np.flatnonzero(column) for column in columns]  # few: fractions are not multiplied by zeros
        return rational_rank(
            np.column_stack([found[:, own] @ column[own] for own, column in zip(met, columns, strict=True)])
        )

    def sample_size(self, target: Array) -> int | None:
        """Return the least rank over all parameters with the function of theta = ``target``, where that is known.

        For k kernels with outer weights that do not vanish, k (places + size), with bias k (places + size + 1); where
        weights are not shared, size + 1 (size + 2) for each neuron. None for constants, for kernels whose outer weights
        vanish or that coincide at different places, and for s other than tanh.
        """
        places, taps = self.windows.shape
        target = checked_target(target, (self.dim,))
        whole = self.network.sample_size(target @ self.ties.T)
        if whole is None:
            return None
        neurons, constant = divmod(whole, self.network.inputs.shape[1] + 1 + self.bias)
        if constant or not self.shared:
            return None if constant else neurons * (taps + 1 + self.bias)
        a, rows = self.parts(target)
        found = {row_class(row) for weights, row in zip(a, rows, strict=True) if weights.any() and row[:taps].any()}
        return len(found) * (places + taps + self.bias) if neurons == len(found) * places else None

    def random(self, rng: np.random.Generator | int, scale: float = 1.0) -> Array:
        """Return ``scale * rng.standard_normal(dim)``."""
        return normal_start(self.dim, rng, scale)

    def __repr__(self) -> str:
        shape, extra = self.inputs.shape[1:], ", bias" * self.bias + ", not shared" * (not self.shared)
        return (
            f"ConvolutionalNetwork({len(self.inputs)} inputs of shape {shape}, kernels={self.kernels}, "
            f"size={self.size}{extra}, {self.activation.name})"
        )


def tangent_coordinates(network: TanhNetwork, theta: Array) -> Array:
    """Return the tangent functions in independent functions, as columns, up to factors that are not zero.

    Parameters
    ----------
    network : TanhNetwork
        With tanh or the linear activation.
    theta : (dim,) array

    The columns of neurons with w = 0 lack the factors tanh(b) or tanh'(b), one for each neuron.
    """
    a, rows = network.parts(theta)
    (m, d), wide, linear = rows.shape, network.inputs.shape[1], network.activation.name == "linear"
    classes = sorted({row_class(row) for row in rows if row[:wide].any() and not linear})
    found = np.full(((d + 1) * len(classes) + wide + 1, network.dim), Fraction(0))
    plain = (d + 1) * len(classes) + np.r_[np.arange(wide), np.full(d - wide, wide)]  # the places of x_j and of 1
    for i, row in enumerate(rows):
        inner, weight = m + i * d + np.arange(d), Fraction(float(a[i]))
        if linear:
            found[plain, i], found[plain, inner] = [Fraction(float(number)) for number in row], weight
        elif row[:wide].any():
            place = (d + 1) * classes.index(row_class(row))
            found[place, i], found[place + 1 + np.arange(d), inner] = Fraction(1), weight
        else:
            found[-1, i], found[plain, inner] = Fraction(int(row.any())), weight
    return found
