"""Closed forms and multiprecision references: numbers that no code under test has touched.

The Taylor integrator works in exact integers (numbers times 2^bits), so its only errors are truncation of the
series and of the last bit, both far below double precision.
"""

from collections.abc import Sequence

import numpy as np


def rotation(angle: float) -> np.ndarray:
    """Return the 2 x 2 rotation by ``angle``."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def logistic(t: np.ndarray, start: float, target: float, rate: float) -> np.ndarray:
    """Return the solution of w' = rate w (target - w) with w(0) = start."""
    return target / (1.0 + (target / start - 1.0) * np.exp(-rate * target * t))


def quartic_saddle(t: np.ndarray, x: float, y: float) -> np.ndarray:
    """Return the flow of f = -x^2/2 + x^4/4 + y^2/2 from (x, y): x' = x - x^3, y' = -y; shape (len(t), 2)."""
    return np.column_stack([x * np.exp(t) / np.sqrt(1.0 + x**2 * np.expm1(2.0 * t)), y * np.exp(-t)])


def linear_model(t: np.ndarray, W: np.ndarray, M: np.ndarray, P: np.ndarray) -> np.ndarray:
    """Return the flow of W' = -(2/n) P o (W - M) at the times t, shape (len(t), d1, d2)."""
    decay = np.exp(-2.0 * t / P.sum())[:, None, None]
    return np.where(P, M + (W - M) * decay, W)


class Taylor:
    """The flow A' = -(2/n) E B^T, B' = -(2/n) A^T E, E = P o (A B - M), by Taylor series in fixed-point integers."""

    def __init__(
        self, M: np.ndarray, P: np.ndarray, A: np.ndarray, B: np.ndarray, *, order: int = 24, bits: int = 200
    ) -> None:
        self.bits, self.order, self.n, self.time = bits, order, int(P.sum()), 0.0
        self.mask = P.astype(object)
        self.M, self.A, self.B = self._fixed(np.where(P, M, 0.0)), self._fixed(A), self._fixed(B)

    def _fixed(self, array: np.ndarray) -> np.ndarray:
        exact = [int(a * 2**self.bits // b) for a, b in (float(x).as_integer_ratio() for x in array.ravel())]
        return np.array(exact, dtype=object).reshape(array.shape)

    def loss(self, A: np.ndarray, B: np.ndarray) -> float:
        """Return R at fixed-point factors, as a float."""
        E = self.mask * ((A @ B >> self.bits) - self.M)
        return int((E * E).sum() >> self.bits) / 2**self.bits / self.n

    def series(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return the Taylor coefficients of A and B at the present state."""
        As, Bs, Es = [self.A], [self.B], []
        for k in range(self.order):
            W = np.hstack(As) @ np.vstack(Bs[::-1]) >> self.bits
            Es.append(self.mask * (W - self.M if k == 0 else W))
            slope_A = np.hstack(Es) @ np.vstack([B.T for B in Bs[::-1]]) >> self.bits
            slope_B = np.hstack([A.T for A in As]) @ np.vstack(Es[::-1]) >> self.bits
            As.append(-2 * slope_A // (self.n * (k + 1)))
            Bs.append(-2 * slope_B // (self.n * (k + 1)))
        return As, Bs

    def at(self, series: list[np.ndarray], h: float) -> np.ndarray:
        """Return the value of a series at the time h after its center."""
        step, value = int(self._fixed(np.array([h]))[0]), series[-1]
        for coefficient in series[-2::-1]:
            value = (value * step >> self.bits) + coefficient
        return value

    def step_size(self, series: list[np.ndarray], accuracy: float = 1e-26) -> float:
        """Return the step for which the last two terms, relative to the state, are below ``accuracy``."""
        sizes = [float(max(abs(x) for x in term.ravel())) for term in (series[0], *series[-2:])]
        steps = [
            (accuracy * sizes[0] / max(size, 1.0)) ** (1.0 / power)
            for size, power in zip(sizes[1:], (self.order - 1, self.order), strict=True)
        ]
        return min(*steps, 4.0)

    def crossings(self, levels: Sequence[float]) -> list[float]:
        """Return the times at which the loss falls below each of the falling ``levels``."""
        found: list[float] = []
        while len(found) < len(levels):
            As, Bs = self.series()
            h = min(self.step_size(As), self.step_size(Bs))
            A, B = self.at(As, h), self.at(Bs, h)
            while len(found) < len(levels) and self.loss(A, B) < levels[len(found)]:
                low, high = 0.0, h
                for _ in range(40):
                    middle = (low + high) / 2
                    above = self.loss(self.at(As, middle), self.at(Bs, middle)) >= levels[len(found)]
                    low, high = (middle, high) if above else (low, middle)
                found.append(self.time + high)
            self.A, self.B, self.time = A, B, self.time + h
        return found
