"""Exponential Rosenbrock steps for a gradient flow in few variables: stiff tails and slow drifts cost few of them.

Each step solves the flow linearised at its beginning exactly, in the eigenbasis of the Hessian, and adds what the
nonlinear rest contributes (Hochbruck and Ostermann, Acta Numerica 2010; the scheme exprb53s3 of Luan and Ostermann,
J. Comput. Appl. Math. 2014, order 5 with an embedded order 3).
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np

from gflow.policy import EPS

NOISE = 16 * EPS
"""Slopes below this fraction of curvature times deviation are rounding and move nothing."""
SMALL = 0.1
"""phi functions are summed as series below this argument and divided out above."""
SERIES = np.array([1.0 / float(np.prod(np.arange(1.0, j + 1))) for j in range(4, 13)])
"""Coefficients of phi_4."""
NODES = np.array([[0.5], [0.9], [1.0]])
E_FOLDINGS = 3.0
"""Largest growth of an unstable mode in one step, in e-foldings."""


class Rosenbrock:
    """Steps of y' = -gradient(y).

    Parameters
    ----------
    gradient, hessian : y -> (dim,) and (dim, dim) arrays
    y : (dim,) array
        The start: a deviation, relative to which rounding errors are judged.
    allowed : size -> float
        The norm of the error estimate that a step may have where |y|, or the step itself, has that size. The estimate
        is of order 4 in the length of the step and the error of order 6.

    Attributes
    ----------
    rates, basis : (dim,) and (dim, dim) arrays
        Eigenvalues, ascending, and eigenvectors of the Hessian at y.
    speed : float
        |y'|.
    at_rest : bool
        Whether the whole slope is rounding.
    length : float
        Length of the next step.
    """

    def __init__(
        self,
        gradient: Callable[[np.ndarray], np.ndarray],
        hessian: Callable[[np.ndarray], np.ndarray],
        y: np.ndarray,
        allowed: Callable[[float], float],
    ) -> None:
        self.gradient, self.hessian, self.allowed = gradient, hessian, allowed
        self.y, self.n_gradients, self.length = y, 0, np.inf
        self.expand()

    def slope(self, y: np.ndarray) -> np.ndarray:
        """Return the gradient at y."""
        self.n_gradients += 1
        return self.gradient(y)

    def expand(self) -> None:
        """Keep the flow linearised at the present state."""
        self.rates, self.basis = np.linalg.eigh(self.hessian(self.y))
        self.size = sqrt(self.y.dot(self.y))
        self.noise = NOISE * max(-float(self.rates[0]), float(self.rates[-1])) * self.size
        self.velocity = -self.slope(self.y).dot(self.basis)
        self.moving = self.audible(self.velocity)
        self.speed = sqrt(self.velocity.dot(self.velocity))
        self.at_rest = not self.moving.any()

    def audible(self, slopes: np.ndarray) -> np.ndarray:
        """Return slopes without those that are rounding."""
        return np.where(np.abs(slopes) > self.noise, slopes, 0.0)

    def bent(self, move: np.ndarray) -> np.ndarray:
        """Return the nonlinear part of the velocity after ``move``, both in the eigenbasis."""
        bend = self.rates * move
        bend -= self.velocity
        bend -= self.slope(self.y + self.basis.dot(move)).dot(self.basis)
        return self.audible(bend)

    def step(self, longest: float = np.inf) -> float:
        """Return the length of one step of acceptable error, which is taken; the next one is prepared."""
        h = min(self.length, E_FOLDINGS / max(-float(self.rates[0]), 1e-300), longest)
        while True:
            with np.errstate(over="ignore", invalid="ignore"):
                move, error = self.attempt(h)
            ratio = sqrt(error.dot(error)) / self.allowed(max(self.size, sqrt(move.dot(move))))
            if ratio <= 1.0:
                break
            h *= max(0.2, 0.9 * ratio**-0.25) if np.isfinite(ratio) else 0.2
        self.y = self.y + self.basis.dot(move)
        self.length = h * min(5.0, 0.9 * max(ratio, 1e-10) ** -0.25)
        self.expand()
        return h

    def attempt(self, h: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the move of a step of length h and its error estimate, in the eigenbasis."""
        phi1, phi3, phi4 = phi_functions(-h * NODES * self.rates)
        linear = h * phi1 * self.moving
        first = self.bent(0.5 * linear[0])
        second = self.bent(0.9 * linear[1] + h * (27 / 25 * phi3[0] + 729 / 125 * phi3[1]) * first)
        bend = phi3[2] * (18 * first - 250 / 81 * second) + phi4[2] * (-60 * first + 500 / 27 * second)
        return linear[2] + h * bend, h * (bend - 8 * phi3[2] * first)


def phi_functions(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return phi_1, phi_3 and phi_4 of real arguments: phi_0 = exp, phi_(k+1)(z) = (phi_k(z) - 1/k!) / z."""
    small = np.abs(z) < SMALL
    far, near = np.where(small, 1.0, z), np.where(small, z, 0.0)
    one = np.expm1(far) / far
    three = ((one - 1.0) / far - 0.5) / far
    four = (three - 1.0 / 6.0) / far
    series = SERIES[-1] * near
    for coefficient in SERIES[-2:0:-1]:
        series += coefficient
        series *= near
    series += SERIES[0]
    cubic = series * near + 1.0 / 6.0
    linear = (cubic * near + 0.5) * near + 1.0
    return np.where(small, linear, one), np.where(small, cubic, three), np.where(small, series, four)
