"""Linear functions in other parameters: products of diagonal layers, and two toys of the linear stability papers."""

from __future__ import annotations

from typing import Any

import numpy as np

from gflow.checks import positive
from gflow.models.functions import checked_inputs, checked_target
from gflow.models.protocol import normal_start

Array = np.ndarray


class DeepDiagonal:
    """The model f(x) = sum_j c_j x_j with c_j = a_j^[1] ... a_j^[L]; theta is a^[1], ..., a^[L], each of shape (d,).

    Parameters
    ----------
    inputs : (n,) or (n, d) array
    depth : int
        L.

    Raises
    ------
    TypeError
        If the inputs are no real numbers.
    ValueError
        If they are empty or not finite, or the depth is no positive integer.

    Outputs have shape (n,). Zhang et al. 2023, arXiv 2307.08921, appendix A.1.
    """

    broadcasts = True

    def __init__(self, inputs: Any, depth: int = 2) -> None:
        self.inputs = checked_inputs(inputs, 2)
        self.depth = positive(depth, "depth")
        self.shape, self.dim = (len(self.inputs),), self.depth * self.inputs.shape[1]

    @property
    def degree(self) -> int:
        """Return L."""
        return self.depth

    def at(self, inputs: Any) -> DeepDiagonal:
        """Return the model of the same functions at other inputs, shape (n, d)."""
        return DeepDiagonal(inputs, self.depth)

    def layers(self, theta: Array) -> Array:
        """Return the layers as rows, shape (L, d) (leading axes are kept)."""
        return theta.reshape(*theta.shape[:-1], self.depth, self.inputs.shape[1])

    def coefficients(self, theta: Array) -> Array:
        """Return c, shape (d,) (leading axes are kept)."""
        return np.prod(self.layers(theta), axis=-2)

    def output(self, theta: Array) -> Array:
        """Return f at the inputs, shape (n,) (leading axes of theta are kept)."""
        return self.coefficients(theta) @ self.inputs.T

    def tangent(self, theta: Array, variation: Array) -> Array:
        """Return the derivative of the outputs along ``variation``, shape (n,)."""
        return np.sum(self._others(theta) * self.layers(variation), axis=-2) @ self.inputs.T

    def increment(self, theta: Array, variation: Array) -> Array:
        """Return f(theta + variation) - f(theta) without cancellation, shape (n,)."""
        change, product = np.zeros(self.inputs.shape[1]), np.ones(self.inputs.shape[1])
        for layer, move in zip(self.layers(theta), self.layers(variation), strict=True):
            change, product = change * (layer + move) + product * move, product * layer
        return change @ self.inputs.T

    def pullback(self, theta: Array, G: Array) -> Array:
        """Return the products of the other layers times sum_i G_i x_i, shape (dim,)."""
        return (self._others(theta) * (G @ self.inputs)[..., None, :]).reshape(theta.shape)

    def bend(self, theta: Array, variation: Array, G: Array) -> Array:
        """Return the derivative of ``pullback`` along ``variation``, shape (dim,)."""
        layers, moves, L = self.layers(theta), self.layers(variation), self.depth
        pulled, found = G @ self.inputs, np.zeros_like(layers)
        for j in range(L):
            for k in (k for k in range(L) if k != j):
                rest = [i for i in range(L) if i not in (j, k)]
                found[j] += np.prod(layers[rest], axis=0) * moves[k]
        return (found * pulled).ravel()

    def jacobian(self, theta: Array) -> Array:
        """Return the derivative of the outputs, shape (n, dim)."""
        return (self._others(theta)[None] * self.inputs[:, None, :]).reshape(len(self.inputs), self.dim)

    def bend_matrix(self, theta: Array, G: Array) -> Array:
        """Return the matrix of ``bend(theta, ., G)``, shape (dim, dim)."""
        return np.array([self.bend(theta, unit, G) for unit in np.eye(self.dim)])

    def _others(self, theta: Array) -> Array:
        """Return the product of all layers but one, for each, shape (L, d)."""
        layers = self.layers(theta)
        rest = [[i for i in range(self.depth) if i != j] for j in range(self.depth)]
        return np.stack([np.prod(layers[..., rows, :], axis=-2) for rows in rest], axis=-2) + 0 * layers

    def conserved(self, theta: Array) -> Array:
        """Return a_j^[l]^2 - a_j^[l+1]^2, flat, constant along every gradient flow (leading axes are kept)."""
        squares = self.layers(theta) ** 2
        return (squares[..., :-1, :] - squares[..., 1:, :]).reshape(*theta.shape[:-1], -1)

    def structural_rank(self, theta: Array) -> int:
        """Return the number of coordinates in which at most one layer vanishes, exact for the doubles of theta."""
        return int(np.sum(np.sum(self.layers(np.asarray(theta)) == 0, axis=0) <= 1))

    def sample_size(self, target: Array) -> int:
        """Return the number of coefficients of ``target``, shape (d,), that are not zero; d at depth one."""
        target = checked_target(target, self.inputs.shape[1:])
        return len(target) if self.depth == 1 else int(np.count_nonzero(target))

    def random(self, rng: np.random.Generator | int, scale: float = 1.0) -> Array:
        """Return ``scale * rng.standard_normal(dim)``."""
        return normal_start(self.dim, rng, scale)

    def __repr__(self) -> str:
        n, d = self.inputs.shape
        return f"DeepDiagonal({n} inputs of dimension {d}, depth={self.depth})"


class AffineModel:
    """The toy f_L: f(x) = theta_0 + theta_1 x_1 + ... + theta_d x_d, of rank d + 1 at every theta.

    Parameters
    ----------
    inputs : (n,) or (n, d) array

    Raises ``TypeError`` if the inputs are no real numbers, ``ValueError`` if they are empty or not finite. Zhang et al.
    2022, arXiv 2211.11623, eq. (2).
    """

    degree, broadcasts = 1, True

    def __init__(self, inputs: Any) -> None:
        self.inputs = checked_inputs(inputs, 2)
        self.features = np.hstack([np.ones((len(self.inputs), 1)), self.inputs])
        self.shape, self.dim = (len(self.inputs),), self.features.shape[1]

    def at(self, inputs: Any) -> AffineModel:
        """Return the model of the same functions at other inputs, shape (n, d)."""
        return AffineModel(inputs)

    def output(self, theta: Array) -> Array:
        """Return f at the inputs, shape (n,) (leading axes of theta are kept)."""
        return theta @ self.features.T

    def tangent(self, theta: Array, variation: Array) -> Array:
        """Return the outputs of ``variation``, shape (n,)."""
        return self.output(variation)

    increment = tangent

    def pullback(self, theta: Array, G: Array) -> Array:
        """Return sum_i G_i (1, x_i), shape (dim,)."""
        return np.zeros(theta.shape) + G @ self.features

    def bend(self, theta: Array, variation: Array, G: Array) -> Array:
        """Return zeros, shape (dim,)."""
        return np.zeros(np.broadcast_shapes(theta.shape, variation.shape))

    def jacobian(self, theta: Array) -> Array:
        """Return (1, x_i), shape (n, dim)."""
        return self.features + 0 * theta

    def bend_matrix(self, theta: Array, G: Array) -> Array:
        """Return zeros, shape (dim, dim)."""
        return np.zeros((self.dim, self.dim))

    def structural_rank(self, theta: Array) -> int:
        """Return d + 1."""
        return self.dim

    def sample_size(self, target: Array) -> int:
        """Return d + 1, whatever the target, shape (d + 1,)."""
        return len(checked_target(target, (self.dim,)))

    def random(self, rng: np.random.Generator | int, scale: float = 1.0) -> Array:
        """Return ``scale * rng.standard_normal(dim)``."""
        return normal_start(self.dim, rng, scale)

    def __repr__(self) -> str:
        return f"AffineModel({len(self.inputs)} inputs of dimension {self.inputs.shape[1]})"


class ProductToy(AffineModel):
    """The toy f_NL: f(x) = theta_0 + theta_1 x_1 + theta_2 theta_3 x_2, of rank 3, and 2 where theta_2 = theta_3 = 0.

    Parameters
    ----------
    inputs : (n, 2) array

    Raises as ``AffineModel``, and ``ValueError`` for inputs of another dimension than 2. Zhang et al. 2022, arXiv
    2211.11623, eq. (4).
    """

    degree = None  # type: ignore[assignment]

    def __init__(self, inputs: Any) -> None:
        super().__init__(inputs)
        if self.inputs.shape[1] != 2:
            raise ValueError(f"inputs must have shape (n, 2); got {self.inputs.shape}")
        self.dim = 4

    def at(self, inputs: Any) -> ProductToy:
        """Return the model of the same functions at other inputs, shape (n, 2)."""
        return ProductToy(inputs)

    def coefficients(self, theta: Array) -> Array:
        """Return (theta_0, theta_1, theta_2 theta_3), shape (3,) (leading axes are kept)."""
        return np.concatenate([theta[..., :2], theta[..., 2:3] * theta[..., 3:]], axis=-1)

    def output(self, theta: Array) -> Array:
        """Return f at the inputs, shape (n,) (leading axes of theta are kept)."""
        return super().output(self.coefficients(theta))

    def tangent(self, theta: Array, variation: Array) -> Array:
        """Return the derivative of the outputs along ``variation``, shape (n,)."""
        last = theta[..., 2:3] * variation[..., 3:] + variation[..., 2:3] * theta[..., 3:]
        return np.concatenate([variation[..., :2], last], axis=-1) @ self.features.T

    def increment(self, theta: Array, variation: Array) -> Array:
        """Return f(theta + variation) - f(theta) without cancellation, shape (n,)."""
        return self.tangent(theta + variation / 2, variation)

    def pullback(self, theta: Array, G: Array) -> Array:
        """Return the sums of G and G x_1, and those of G x_2 times theta_3 and theta_2, shape (dim,)."""
        pulled = np.zeros((*theta.shape[:-1], 3)) + G @ self.features
        return np.concatenate([pulled[..., :2], pulled[..., 2:] * theta[..., 3:1:-1]], axis=-1)

    def bend(self, theta: Array, variation: Array, G: Array) -> Array:
        """Return the derivative of ``pullback`` along ``variation``, shape (dim,)."""
        return np.concatenate([0.0 * variation[..., :2], variation[..., 3:1:-1] * (G @ self.inputs[:, 1])], axis=-1)

    def turn(self, theta: Array, variation: Array, G: Array) -> Array:
        """Return pullback(theta + variation, G) - pullback(theta, G), the bend itself, shape (dim,)."""
        return self.bend(theta, variation, G)

    def jacobian(self, theta: Array) -> Array:
        """Return the derivative of the outputs, shape (n, dim)."""
        return np.concatenate([self.features[:, :2] + 0 * theta[:2], self.inputs[:, 1:] * theta[3:1:-1]], axis=1)

    def bend_matrix(self, theta: Array, G: Array) -> Array:
        """Return the matrix of ``bend(theta, ., G)``, shape (dim, dim)."""
        return np.array([self.bend(theta, unit, G) for unit in np.eye(4)])

    def conserved(self, theta: Array) -> Array:
        """Return theta_2^2 - theta_3^2, shape (1,), constant along every gradient flow (leading axes are kept)."""
        return theta[..., 2:3] ** 2 - theta[..., 3:] ** 2

    def structural_rank(self, theta: Array) -> int:
        """Return 3, or 2 where theta_2 = theta_3 = 0."""
        return 2 + int(np.any(np.asarray(theta)[2:]))

    def sample_size(self, target: Array) -> int:
        """Return 3 for coefficients ``target``, shape (3,), with x_2, else 2."""
        return 2 + int(checked_target(target, (3,))[2] != 0)

    def __repr__(self) -> str:
        return f"ProductToy({len(self.inputs)} inputs)"
