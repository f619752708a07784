"""The linear phase of a flow that starts close to a critical point: exp(-t H) on a Krylov space, without time steps."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

from gflow.flow.monitor import norm

FEWEST_VECTORS, MOST_VECTORS, LARGEST_BASIS = 10, 30, 2**27
"""Lanczos vectors of one phase: how many must be possible, how many are made, and the numbers they hold together."""
CHECK = 3
"""The length that a phase can have is looked at every so many vectors."""
TRUNCATED = 0.1
"""Error of the Krylov space, relative to the tolerance."""
LOOKS = 3
"""Gradients taken to find where the flow ceases to be linear."""
NOISE, BEYOND = 1e-16, 2.0
"""What is not linear, relative to what is, cannot be seen below this; e-foldings added to what it promises."""
SHORTEST, SPACING = 2.0, 0.7
"""e-foldings of a phase that is worth its products, and between the states that are kept of it."""

EPS = float(np.finfo(float).eps)

Field = Callable[[np.ndarray], np.ndarray]


class LinearPhase:
    """A solver with the attributes and methods of ``scipy.integrate.OdeSolver`` that an integration uses.

    It goes as far as gradient and linear part agree to ``rtol``, or the Krylov space allows; then its status is
    ``over``. ``is_useful`` says whether that is far enough to be worth while, ``goes_on`` whether another phase may
    follow. Lanczos process: Saad, SIAM J. Numer. Anal. 29 (1992) 209-228.

    Parameters
    ----------
    gradient, product : v -> (dim,) array
        The gradient at v, and its linear part H v.
    t : float
    y : (dim,) array
        Deviation from the critical point.
    t_bound : float
    rtol : float
    seen : v -> object
        Called with the velocity at each state that is reached.
    """

    def __init__(
        self,
        gradient: Field,
        product: Field,
        t: float,
        y: np.ndarray,
        t_bound: float,
        *,
        rtol: float,
        seen: Callable[[np.ndarray], object],
    ) -> None:
        self.gradient, self.product, self.seen, self.rtol = gradient, product, seen, rtol
        self.begin, self.t, self.t_old, self.t_bound, self.y = t, t, t, t_bound, y
        self.status, self.size, self.length, self.place = "running", norm(y), 0.0, 0
        self.values, self.left = np.zeros(1), 0.0
        self.most = min(MOST_VECTORS, len(y) - 1, LARGEST_BASIS // len(y))
        if self.size > 0.0 and self.most >= FEWEST_VECTORS:
            promised = self._promised(self._bent(y, product(y)))
            if promised > 0.0:
                self._expand(promised + BEYOND)
        self.is_useful = self.length * self.rate >= SHORTEST
        if self.is_useful:
            self.count = int(np.ceil(self.length * self.rate / SPACING))
            self.grid = t + self.length * np.arange(1, self.count + 1) / self.count
            if self.length == t_bound - t:
                self.grid[-1] = t_bound
            self.states = self._states(self.grid)

    def step(self) -> None:
        """Keep the next state, and the velocity there."""
        self.t_old, self.t, self.y = self.t, float(self.grid[self.place]), self.states[self.place]
        self.seen(-(self.slopes(np.array([self.t])) @ self.basis)[0])
        self.place += 1
        if self.place == self.count:
            self.status = "finished" if self.t >= self.t_bound else "over"

    @property
    def goes_on(self) -> bool:
        """Return whether the flow at its end is linear enough for another phase."""
        return self.is_useful and self.left >= SHORTEST

    def dense_output(self) -> Callable[[Any], np.ndarray]:
        """Return the solution: times (m,) -> states (dim, m)."""
        return lambda times: self._states(np.atleast_1d(times)).T

    def coefficients(self, times: np.ndarray) -> np.ndarray:
        """Return the solution in the basis, shape (m, vectors)."""
        return self.size * self._relative(times)

    def _relative(self, times: np.ndarray) -> np.ndarray:
        """Return the same relative to |y|, so that squares of tiny states do not underflow."""
        decay = np.exp(-self.values * (times - self.begin)[:, None])
        return (decay * self.vectors[0]) @ self.vectors.T

    def slopes(self, times: np.ndarray) -> np.ndarray:
        """Return the gradient of the linear flow in the basis, shape (m, vectors)."""
        return ((self.coefficients(times) @ self.vectors) * self.values) @ self.vectors.T

    def _states(self, times: np.ndarray) -> np.ndarray:
        return self.coefficients(times) @ self.basis

    @property
    def rate(self) -> float:
        """Return the largest growth rate seen."""
        return -float(self.values[0])

    def _promised(self, bent: float) -> float:
        """Return the e-foldings until the flow is linear no more, if what is not linear grows with the square."""
        return 0.5 * float(np.log(self.rtol / max(bent, NOISE)))

    def _bent(self, y: np.ndarray, linear: np.ndarray) -> float:
        """Return how far the gradient is from its linear part, relative to that."""
        return norm(self.gradient(y) - linear) / max(norm(linear), 1e-300)

    def _expand(self, foldings: float) -> None:
        """Enlarge the Krylov space until the flow in it is accurate for so many e-foldings, and find its length."""
        basis = np.empty((self.most + 1, len(self.y)))
        basis[0] = self.y / self.size
        T = np.zeros((self.most + 1, self.most + 1))
        for j in range(self.most):
            w = self.product(basis[j])
            for _ in range(2):
                overlaps = basis[: j + 1] @ w
                w -= overlaps @ basis[: j + 1]
                T[j, j] += overlaps[j]
            T[j, j + 1] = T[j + 1, j] = beta = norm(w)
            complete = beta <= EPS * float(np.abs(T).max())
            if complete or (j + 1) % CHECK == 0 or j + 1 == self.most:
                self.values, self.vectors = np.linalg.eigh(T[: j + 1, : j + 1])
                self.basis = basis[: j + 1]
                if self.rate <= 0.0:
                    return
                wanted = foldings / self.rate
                reached = wanted if complete else self._accurate(beta, wanted)
                if reached == wanted or j + 1 == self.most:
                    self.length = self._linear(min(reached, self.t_bound - self.begin))
                    return
            basis[j + 1] = w / beta

    def _accurate(self, beta: float, wanted: float) -> float:
        """Return the length, up to the one wanted, for which the Krylov space is large enough."""
        lengths = wanted * np.linspace(0.0, 1.0, 33)
        parts = self._relative(self.begin + lengths)
        missed = beta * lengths * np.abs(parts[:, -1])
        poor = missed > TRUNCATED * self.rtol * np.linalg.norm(parts, axis=1)
        return float(lengths[np.argmax(poor) - 1]) if poor.any() else wanted

    def _linear(self, length: float) -> float:
        """Return the length, up to the given one, for which the flow is linear; 0.0 where it is not known to be."""
        for _ in range(LOOKS):
            end = np.array([self.begin + length])
            bent = self._bent(self._states(end)[0], (self.slopes(end) @ self.basis)[0])
            if bent <= self.rtol:
                self.left = self._promised(bent)
                return length
            # what is not linear is of second order or higher, relative to what is
            length = self._length_to(0.9 * self._size_at(length) * sqrt(self.rtol / bent), length)
        return 0.0

    def _size_at(self, length: float) -> float:
        return float(np.linalg.norm(self._relative(np.array([self.begin + length]))))

    def _length_to(self, size: float, most: float) -> float:
        """Return the length after which the state has this norm, relative to |y|, by bisection."""
        low, high = 0.0, most
        while high - low > 1e-3 * most:
            middle = (low + high) / 2
            low, high = (middle, high) if self._size_at(middle) < size else (low, middle)
        return low
