"""What every model offers, and the checks of its arguments."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from gflow.checks import positive


class Model(Protocol):
    """A smooth map from a flat parameter theta, shape (dim,), to an output W, shape ``shape``.

    ``Objective.of`` needs ``shape``, ``dim`` and ``output``; what is missing of the rest comes from automatic
    differentiation, for which ``output`` must be written with ``autograd.numpy``. A model may offer more:

    - ``degree``: W is homogeneous of this degree in theta, so that theta scales as s^(1/degree) with M. Without it
      (or where it is None) problems are solved in the caller's units;
    - ``turn(theta, variation, G)``: pullback(theta + variation, G) - pullback(theta, G) without cancellation;
    - ``conserved(theta)``: what is constant along every gradient flow, any shape;
    - ``gauge_dimension(theta)``: the dimension of the orbit of theta under the symmetries of the model;
    - ``symmetries``: pairs of a permutation of the parameters and signs, arrays of shape (dim,), with the same output
      at theta and at signs * theta[permutation]: what such a map fixes is kept by every gradient flow;
    - ``inputs`` and ``at(inputs)``: where a function is evaluated, and the model of the same function elsewhere;
    - ``structural_rank(theta)``: an upper bound of the model rank that follows from the form of the model;
    - ``sample_size(target)``: the least model rank of a target function (``gflow.optimistic_sample_size``);
    - ``random(rng, scale)``: ``scale`` times standard normal numbers;
    - ``stacked``, ``drive`` and ``signature``: columns Z that move by Z' = drive(dR/dW)(Z), of a model of degree 2;
    - ``mirror(theta)``: the parameters of W^T;
    - ``broadcasts``: True where ``output``, ``pullback`` and ``conserved`` keep leading axes of theta.

    ``gflow.testing.check_model`` tests a model against all of this.

    >>> import numpy as np, gflow
    >>> class Scaled:
    ...     "W = A D B with a diagonal D; theta is A, D, B."
    ...     shape, dim, degree = (2, 2), 2 + 1 + 2, 3
    ...     def output(self, theta):
    ...         return theta[2] * theta[:2, None] * theta[None, 3:]
    >>> objective = gflow.Objective.of(gflow.MatrixCompletion([[1.0, 2.0], [2.0, np.nan]]), Scaled())
    >>> path = gflow.gradient_flow(objective, np.full(5, 0.5))
    >>> path.status.value, Scaled().output(path.final).round(4).tolist()
    ('converged', [[1.0, 2.0], [2.0, 4.0]])
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of W."""

    @property
    def dim(self) -> int:
        """Return the number of parameters."""

    def output(self, theta: np.ndarray) -> np.ndarray:
        """Return W(theta), shape ``shape``."""

    def tangent(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return the derivative of W at theta along ``variation``, shape ``shape``."""

    def pullback(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the adjoint of ``tangent`` at theta applied to G, shape (dim,)."""

    def bend(self, theta: np.ndarray, variation: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the derivative of ``pullback(theta, G)`` in theta along ``variation``, shape (dim,)."""

    def increment(self, theta: np.ndarray, variation: np.ndarray) -> np.ndarray:
        """Return W(theta + variation) - W(theta) without cancellation, shape ``shape``."""

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """Return the derivative of W at theta, shape (*shape, dim)."""

    def bend_matrix(self, theta: np.ndarray, G: np.ndarray) -> np.ndarray:
        """Return the matrix of ``bend(theta, ., G)``, shape (dim, dim)."""


def positive_number(value: float, name: str) -> float:
    """Return ``value`` as a float; raise ``ValueError`` unless it is positive and finite."""
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive finite number; got {value!r}")
    return float(value)


def checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return (d1, d2) as ints; raise ``ValueError`` unless they are two positive integers."""
    if np.ndim(shape) != 1 or len(shape) != 2:
        raise ValueError(f"shape must be (d1, d2); got {shape!r}")
    return positive(shape[0], "d1"), positive(shape[1], "d2")


def normal_start(dim: int, rng: np.random.Generator | int, scale: float) -> np.ndarray:
    """Return ``scale`` times ``dim`` standard normal numbers.

    Parameters
    ----------
    dim : int
    rng : Generator or int
        A seed stands for ``numpy.random.default_rng(seed)``.
    scale : float
        Positive and finite, else ``ValueError``.

    Raises ``TypeError`` if ``rng`` is neither.
    """
    size = positive_number(scale, "scale")
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        rng = np.random.default_rng(rng)
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy Generator or an integer seed; got {rng!r}")
    return size * rng.standard_normal(dim)
