"""The linear phase of a flow that starts close to a critical point: exp(-t H) on a Krylov space, without time steps."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
from scipy.integrate import DenseOutput, OdeSolver
from scipy.linalg.blas import dnrm2 as norm

from gflow.critical.lanczos import Lanczos, Product
from gflow.policy import EPS

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


class LinearPhase(OdeSolver):
    """The exponential of the linear part of a field that vanishes at y = 0, as far as the field is that linear part.

    It ends where field and linear part differ by more than ``rtol``, or where the Krylov space is exhausted; then
    ``is_over``, and a further step fails. ``is_useful`` says whether that is far enough to be worth while: growth of
    some e-foldings; ``goes_on`` whether another phase may follow. Saad, SIAM J. Numer. Anal. 29 (1992) 209-228.

    Parameters
    ----------
    fun, t0, y0, t_bound, vectorized
        As for the solvers of scipy, and t_bound > t0; ``fun`` does not depend on time.
    rtol : float
    product : v -> (dim,) array, optional
        Minus the Jacobian at y = 0 times v, symmetric.
    jac : (dim, dim) array, optional
        That Jacobian, where there is no ``product``.
    seen : v -> object, optional
        Called with the velocity at each state that is reached.
    """

    t: float
    y: np.ndarray
    basis: np.ndarray
    vectors: np.ndarray

    def __init__(
        self,
        fun: Callable[[float, np.ndarray], np.ndarray],
        t0: float,
        y0: np.ndarray,
        t_bound: float,
        vectorized: bool = False,
        *,
        rtol: float = 1e-3,
        product: Product | None = None,
        jac: np.ndarray | None = None,
        seen: Callable[[np.ndarray], object] | None = None,
    ) -> None:
        super().__init__(fun, t0, y0, t_bound, vectorized)
        if self.direction < 0 or (product is None and jac is None):
            raise ValueError("a linear phase needs t_bound > t0 and a product with its linear part, or jac")
        self.product = (lambda v: -(jac @ v)) if product is None else product
        self.seen, self.rtol, self.begin = seen, rtol, self.t
        self.size, self.length, self.place, self.count = norm(self.y), 0.0, 0, 0
        self.values, self.left = np.zeros(1), 0.0
        most = min(MOST_VECTORS, self.n - 1, LARGEST_BASIS // self.n)
        if self.size > 0.0 and most >= FEWEST_VECTORS:
            promised = self._promised(self._bent(self.y, self.product(self.y)))
            if promised > 0.0:
                self._expand(Lanczos(self.product, self.y / self.size, most), promised + BEYOND)
        self.is_useful = self.length * self.rate >= SHORTEST
        if self.is_useful:
            self.count = int(np.ceil(self.length * self.rate / SPACING))
            self.grid = self.t + self.length * np.arange(1, self.count + 1) / self.count
            if self.length == t_bound - self.t:
                self.grid[-1] = t_bound
            self.reached = self._states(self.grid)

    @property
    def is_over(self) -> bool:
        """Return whether nothing is left of the phase."""
        return self.place == self.count

    def _step_impl(self) -> tuple[bool, str | None]:
        if self.is_over:
            return False, f"the flow is not linear any more at t = {self.t:.6g}"
        self.t, self.y = float(self.grid[self.place]), self.reached[self.place]
        self.place += 1
        if self.seen is not None:
            self.seen(-(self.slopes(np.array([self.t])) @ self.basis)[0])
        return True, None

    def _dense_output_impl(self) -> _Between:
        return _Between(self)

    @property
    def goes_on(self) -> bool:
        """Return whether the flow at its end is linear enough for another phase."""
        return self.is_useful and self.left >= SHORTEST

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
        return norm(self.fun(self.t, y) + linear) / max(norm(linear), 1e-300)

    def _expand(self, space: Lanczos, foldings: float) -> None:
        """Enlarge the Krylov space until the flow in it is accurate for so many e-foldings, and find its length."""
        while True:
            space.grow()
            complete, full = space.is_complete(EPS), space.size == space.most
            if not complete and not full and space.size % CHECK:
                continue
            (self.values, self.vectors), self.basis = space.ritz(), space.basis
            if self.rate <= 0.0:
                return
            wanted = foldings / self.rate
            reached = wanted if complete else self._accurate(space.beta, wanted)
            if reached == wanted or full:
                self.length = self._linear(min(reached, self.t_bound - self.begin))
                return

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


class _Between(DenseOutput):
    """The exponential at any time of the last step."""

    def __init__(self, phase: LinearPhase) -> None:
        super().__init__(phase.t_old, phase.t)
        self.states = phase._states

    def _call_impl(self, times: np.ndarray) -> np.ndarray:
        found = self.states(np.atleast_1d(times)).T
        return found if np.ndim(times) else found[:, 0]
